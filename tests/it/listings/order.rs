//! The order of rows.

use super::*;
use crate::common::*;

fn site_to_sort() -> Site {
    let site = Site::empty();
    for (name, len, seconds) in [("a", 20, 3_000), ("b", 3, 1_000), ("c", 100, 2_000), ("d", 3, 3_000)] {
        site.write(name, pattern(len));
        set_modified(&site, name, seconds);
    }
    for (name, seconds) in [("y", 20_000), ("z", 10_000)] {
        site.write(format!("{name}/x"), "");
        set_modified(&site, name, seconds);
    }
    site
}

#[test]
fn listing_sorts_as_asked_with_directories_first() {
    let site = site_to_sort();
    let server = Server::with(&site, &["--listing"]);
    let rows = [
        ("", "y/ z/ a b c d"),
        ("?sort=name", "y/ z/ a b c d"),
        ("?sort=name&order=desc", "z/ y/ d c b a"),
        ("?order=desc", "z/ y/ d c b a"),
        ("?sort=size", "y/ z/ b d a c"),
        ("?sort=size&order=asc", "y/ z/ b d a c"),
        ("?order=desc&sort=size", "z/ y/ c a d b"),
        ("?sort=modified", "z/ y/ b c a d"),
        ("?sort=modified&order=desc", "y/ z/ d a c b"),
        ("?sort=colour&order=sideways&x=<script>&&=", "y/ z/ a b c d"),
        ("?", "y/ z/ a b c d"),
    ];
    each(rows, |(query, expected)| {
        let path = format!("/{query}");
        let names: Vec<_> = entries(&server, &path).iter().map(|e| text(e, "href").to_owned()).collect();
        assert_eq!(names.join(" "), *expected);
        let page = list(&server, &path, "").text();
        let names: Vec<_> = links(&page).iter().map(|(href, _)| *href).collect();
        assert_eq!(names.join(" "), *expected, "as a page");
        assert!(!page.contains("<script"), "a query is not shown");
    });
}

#[test]
fn listing_headings_sort_and_reverse() {
    let site = site_to_sort();
    let server = Server::with(&site, &["--listing"]);
    let page_at = |query: &str| list(&server, &format!("/{query}"), "").text();
    let files = |page: &str| -> Vec<String> {
        links(page).iter().filter(|(href, _)| !href.ends_with('/')).map(|(h, _)| h.to_string()).collect()
    };
    for key in ["name", "size", "modified"] {
        let heading = |page: &str| {
            let links = links_in(page.split_once("<tbody>").expect("rows").0);
            let link = links.iter().find(|(href, _)| href.starts_with(&format!("?sort={key}&")));
            unescaped(link.expect("a heading").0)
        };
        let once = page_at(&heading(&page_at("")));
        let twice = page_at(&heading(&once));
        assert_eq!(files(&once).iter().rev().collect::<Vec<_>>(), files(&twice).iter().collect::<Vec<_>>());
        assert_eq!(page_at(&heading(&twice)), once, "{key}");
    }
}

#[test]
fn listing_has_natural_order() {
    let site = Site::empty();
    for name in ["file10", "file2", "File1", "file 3", "v1.10.0", "v1.9.0"] {
        site.write(name, "");
    }
    let server = Server::with(&site, &["--listing"]);
    let names: Vec<_> = entries(&server, "/").iter().map(|entry| text(entry, "name").to_owned()).collect();
    assert_eq!(names, ["file 3", "File1", "file2", "file10", "v1.9.0", "v1.10.0"]);
}
