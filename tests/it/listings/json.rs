//! JSON listings, and the clients that get them.

use std::os::unix::fs::symlink;

use super::*;
use crate::common::*;

#[test]
fn listing_json_describes_each_entry() {
    let site = Site::empty();
    site.write("folder/x", "x");
    site.write("file.txt", pattern(12_345));
    symlink("file.txt", site.at("link.txt")).expect("make a link");
    set_modified(&site, "file.txt", 784_111_777);
    set_modified(&site, "folder", 784_111_778);
    let server = Server::with(&site, &["--listing"]);
    let got = entries(&server, "/");
    let (folder, file, link) = (&got[0], &got[1], &got[2]);
    assert_eq!((text(folder, "type"), text(folder, "href")), ("directory", "folder/"));
    assert_eq!((text(folder, "name"), folder.get("size")), ("folder", None));
    assert_eq!(text(folder, "modified"), "1994-11-06T08:49:38Z");
    for (entry, name) in [(file, "file.txt"), (link, "link.txt")] {
        assert_eq!((text(entry, "type"), text(entry, "href")), ("file", name));
        assert_eq!(entry["size"], 12_345, "the size of the link target");
        assert_eq!(text(entry, "modified"), "1994-11-06T08:49:37Z");
    }
}

/// Tests weights and wildcards (RFC 9110 sections 12.4.2 and 12.5.1).
#[test]
fn listing_json_is_for_clients_that_prefer_it() {
    let site = Site::empty();
    let server = Server::with(&site, &["--listing"]);
    let rows = [
        ("", false),
        ("Accept: */*\r\n", false),
        ("Accept: text/html\r\n", false),
        ("Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n", false),
        ("Accept: application/json\r\n", true),
        ("Accept: Application/JSON;charset=utf-8\r\n", true),
        ("Accept: application/json, text/html\r\n", false),
        ("Accept: text/html;q=0.5, application/json\r\n", true),
        ("Accept: text/html, application/json;q=0.9\r\n", false),
        ("Accept: application/json;q=0\r\n", false),
        ("Accept: application/json;q=0.001\r\n", true),
        ("Accept: text/html;q=0.1\r\nAccept: application/json;q=0.2\r\n", true),
        ("Accept: application/jsonx\r\n", false),
    ];
    each(rows, |(fields, is_json)| {
        let response = list(&server, "/", fields);
        let media_type = if *is_json { "application/json" } else { "text/html; charset=utf-8" };
        assert_eq!(response.header("content-type"), Some(media_type));
        assert_eq!(response.header("vary"), Some("Accept"), "a cache must keep them apart");
        assert_eq!(response.header("cache-control"), Some("no-cache"));
    });
}
