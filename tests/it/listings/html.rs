//! HTML listings: names that are hostile to HTML and URLs.

use std::collections::BTreeSet;

use super::*;
use crate::common::*;
use percent_encoding::percent_decode_str;

/// Names with a special meaning in HTML, JSON, a URL or a terminal.
const HOSTILE: &[&[u8]] = &[
    b"plain.txt",
    b"a b",
    b" a ",
    b"<script>alert(1)<",
    b"<img src=x onerror=alert(1)>",
    b"\"onmouseover=\"alert(1)",
    b"'onmouseover='alert(1)",
    b"-->",
    b"&",
    b"&amp;",
    b"&lt;b",
    b"100%",
    b"%41",
    b"%2e%2e",
    b"#1",
    b"what?",
    b"?sort=size",
    b"line\nbreak",
    b"\r\nSet-Cookie: a=b",
    b"\t",
    b"\x1B[31m\x7F",
    b"\xFF\xFE",
    b"\xC3\x28",
    b"-rf",
    b"javascript:alert(1)",
    b"http:",
    b":",
    b"\\\\evil.example",
    b"a+b",
    b"a;b=c,d",
    b"{x}|^`[y]$*~!@()",
    b"x..",
    "\u{e4}\u{1F600}".as_bytes(),
    "\u{202e}gpj.exe".as_bytes(),
    "\u{2028}".as_bytes(),
    &[b'n'; 255],
    &[b'%'; 255],
];

fn decoded(href: &str) -> Vec<u8> {
    percent_decode_str(href).collect()
}

#[test]
fn listing_links_lead_to_what_they_name() {
    let site = Site::empty();
    for name in HOSTILE {
        site.write([b"files/", *name].concat(), name);
        site.write([b"folders/", *name, b"/inside.txt"].concat(), name);
    }
    let server = Server::with(&site, &["--listing"]);
    let names: BTreeSet<Vec<u8>> = HOSTILE.iter().map(|name| name.to_vec()).collect();
    let as_page = |path: &str| -> Vec<String> {
        let page = list(&server, path, "").text();
        links(&page).iter().map(|(href, _)| href.to_string()).collect()
    };
    let as_json = |path: &str| -> Vec<String> {
        entries(&server, path).iter().map(|entry| text(entry, "href").to_owned()).collect()
    };
    for hrefs in [as_page("/files/"), as_json("/files/")] {
        assert_eq!(hrefs.iter().map(|href| decoded(href)).collect::<BTreeSet<_>>(), names);
        each(hrefs, |href| {
            // A URL may contain other characters, but HTML or a URL parser could give them
            // a meaning.
            assert!(href.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
            assert_eq!(server.get(&format!("/files/{href}")).body, decoded(href));
        });
    }
    for hrefs in [as_page("/folders/"), as_json("/folders/")] {
        let listed = hrefs.iter().map(|href| decoded(href.strip_suffix('/').expect("a slash")));
        assert_eq!(listed.collect::<BTreeSet<_>>(), names);
        each(hrefs, |href| {
            assert_eq!(as_page(&format!("/folders/{href}")), ["inside.txt"]);
            let inside = server.get(&format!("/folders/{href}inside.txt"));
            assert_eq!([&inside.body[..], b"/"].concat(), decoded(href));
        });
    }
}

#[test]
fn listing_names_never_become_markup() {
    let site = Site::empty();
    for (i, name) in HOSTILE.iter().enumerate() {
        site.write([b"hostile/", *name, b"/", *name].concat(), "x");
        site.write(format!("plain/{i}/{i}"), "x");
    }
    let server = Server::with(&site, &["--listing"]);
    // A page has as many markup characters as a page whose names have the same form and no special
    // meaning.
    let markup = |path: &str| {
        let response = list(&server, path, "");
        assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        let policy = response.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        let page = response.text();
        assert!(!page.contains("<script") && !page.contains('\u{202e}') && !page.contains('\u{1b}'));
        ["<", ">", "\"", "'"].map(|mark| page.matches(mark).count())
    };
    assert_eq!(markup("/hostile/"), markup("/plain/"));
    let plain = markup("/plain/0/");
    each(entries(&server, "/hostile/"), |entry| {
        assert_eq!(
            markup(&format!("/hostile/{}", text(entry, "href"))),
            plain,
            "the title, breadcrumbs and row"
        );
    });
}

#[test]
fn listing_shows_names_as_they_are() {
    let site = Site::empty();
    HOSTILE.iter().for_each(|name| site.write(name, ""));
    let server = Server::with(&site, &["--listing"]);
    // Bytes that are not text, or that would not be shown as they are, become a replacement
    // character.
    let is_plain = |name: &[u8]| {
        std::str::from_utf8(name)
            .is_ok_and(|n| !n.contains(char::is_control) && !n.contains(['\u{2028}', '\u{202e}']))
    };
    let page = list(&server, "/", "").text();
    each(links(&page), |(href, shown)| {
        let name = decoded(href);
        assert_eq!(is_plain(&name), unescaped(shown).as_bytes() == name);
        assert_ne!(is_plain(&name), shown.contains('\u{fffd}'));
    });
    each(entries(&server, "/"), |entry| {
        assert_eq!(text(entry, "name"), String::from_utf8_lossy(&decoded(text(entry, "href"))));
    });
}

#[test]
fn listing_breadcrumbs_lead_back_under_a_base_path() {
    let site = Site::empty();
    site.write("a <b>/50%?/file.txt", "x");
    for (base, args) in [("", vec![]), ("/x/my%20app", vec!["--base-path", "/x/my app"])] {
        let server = Server::with(&site, &[&["--listing"][..], &args].concat());
        let mut client = server.connect();
        client.send(get(&format!("{base}/a%20%3Cb%3E/50%25%3F/")));
        let page = listing(&mut client).text();
        let (top, rows) = page.split_once("<tbody>").expect("rows");
        let steps: Vec<_> = links_in(top).into_iter().filter(|(href, _)| href.starts_with('.')).collect();
        assert_eq!(steps.iter().map(|(href, _)| &**href).collect::<Vec<_>>(), ["../../", "../", "./"]);
        let ways = ["/", "/a%20%3Cb%3E/", "/a%20%3Cb%3E/50%25%3F/"].map(|way| format!("{base}{way}"));
        assert_eq!(steps.iter().map(|(_, shown)| unescaped(shown)).collect::<String>(), "/a <b>/50%?/");
        for way in ways {
            client.send(get(&way));
            assert!(listing(&mut client).text().contains("<tbody>"), "{way}");
        }
        assert!(rows.contains("<a href=\"../\">"));
        client.send(get(&format!("{base}/")));
        assert!(!listing(&mut client).text().contains("\"../\""), "the root has no parent link");
    }
}
