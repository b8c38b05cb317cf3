//! The filter `?q=`, and the counts above the rows.

use super::*;
use crate::common::*;

fn site() -> Site {
    let site = Site::empty();
    for (name, len) in [("README.md", 1000), ("readme.txt", 24), ("a b", 1), ("50%.txt", 2), ("read/x", 9)] {
        site.write(name, pattern(len));
    }
    site.write("\u{e9}t\u{e9}", "");
    site
}

#[test]
fn listing_filter_selects_rows() {
    let site = site();
    let server = Server::with(&site, &["--listing"]);
    for (query, expected) in [
        ("?q=", "read/ 50%25.txt a%20b README.md readme.txt %C3%A9t%C3%A9"),
        ("?q=read", "read/ README.md readme.txt"),
        ("?q=README&sort=size", "readme.txt README.md"),
        ("?sort=size&order=desc&q=read", "read/ README.md readme.txt"),
        ("?q=a+b", "a%20b"),
        ("?q=%25", "50%25.txt"),
        ("?q=%C3%89T", "%C3%A9t%C3%A9"),
        ("?q=.txt", "50%25.txt readme.txt"),
        ("?q=none", ""),
        ("?q=*", ""),
    ] {
        let path = format!("/{query}");
        let hrefs: Vec<_> = entries(&server, &path).iter().map(|e| text(e, "href").to_owned()).collect();
        assert_eq!(hrefs.join(" "), expected, "{query} as JSON");
        let page = list(&server, &path, "").text();
        let hrefs: Vec<_> = links(&page).iter().map(|(href, _)| *href).collect();
        assert_eq!(hrefs.join(" "), expected, "{query} as a page");
    }
}

#[test]
fn listing_filter_reflects_no_markup() {
    let site = site();
    let server = Server::with(&site, &["--listing"]);
    let hostile = "\"><script>alert(1)</script>'&";
    let encoded: String = hostile.bytes().map(|b| format!("%{b:02x}")).collect();
    for query in [encoded.as_str(), "\"><script>alert(1)</script>'&", &encoded.repeat(70)] {
        let page = list(&server, &format!("/?q={query}"), "").text();
        assert!(!page.contains("<script") && !page.contains("\"><s"), "{page}");
        assert!(page.len() < 8_000, "{} bytes", page.len());
    }
    let page = list(&server, &format!("/?q={encoded}"), "").text();
    let value = page.split_once(" value=\"").and_then(|(_, rest)| rest.split_once('"')).expect("the field").0;
    assert_eq!(unescaped(value), hostile, "the form shows what was asked");
}

#[test]
fn listing_counts_what_it_shows() {
    let site = site();
    let server = Server::with(&site, &["--listing"]);
    for (path, expected) in [
        ("/", "<p>1 folder, 5 files, 1.0 KiB</p>"),
        ("/?q=read", "<p>1 folder, 2 files, 1.0 KiB found</p>"),
        ("/?q=none", "<p>0 folders, 0 files, 0 B found</p>"),
        ("/read/", "<p>0 folders, 1 file, 9 B</p>"),
    ] {
        let page = list(&server, path, "").text();
        assert!(page.contains(expected), "{path}: {page}");
    }
}
