//! Options that change which URL leads to which file: `--base-path`, `--clean-urls`, `--hidden`,
//! `--follow-links`, and all of them together. With any of them, no redirect leads to another host,
//! and no `..` leads out of the root.

mod base;
mod clean;
mod reach;

use crate::common::*;

/// The header fields that a browser sends for navigation.
pub const NAVIGATES: &str = "Sec-Fetch-Mode: navigate\r\nAccept: text/html,*/*\r\n";

/// Sends a request on a new connection and reads the response.
pub fn ask(server: &Server, method: &str, path: &str, fields: &str) -> Response {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    let mut client = server.connect();
    client.send(&request);
    client.response_to(request.as_bytes())
}

/// The expected response in a table.
#[derive(Debug, Clone, Copy)]
pub enum Expected {
    /// 200 with this body.
    Page(&'static str),
    /// 301 to this URL.
    Redirect(&'static str),
    Missing,
}

pub use Expected::*;

/// Asserts that `path` gets the expected response, for GET and HEAD.
pub fn check(server: &Server, path: &str, fields: &str, expected: Expected) {
    let response = ask(server, "GET", path, fields);
    let location = response.header("location");
    match expected {
        Page(body) => assert_eq!((response.status, response.text().as_str()), (200, body), "{path}"),
        Redirect(url) => {
            assert_eq!((response.status, response.leads_to(path).as_deref()), (301, Some(url)), "{path}");
        }
        Missing => assert_eq!((response.status, location), (404, None), "{path}"),
    }
    // HEAD gets the same head. A redirect is not cached, because the operator may change the
    // options.
    let head = ask(server, "HEAD", path, fields);
    assert_eq!((head.status, head.header("location")), (response.status, location), "{path}");
    assert!(location.is_none() || response.header("cache-control") == Some("no-cache"), "{path}");
}

pub fn check_all(server: &Server, rows: &[(&str, Expected)]) {
    each(rows, |(path, expected)| check(server, path, "", *expected));
}

pub fn site_of_pages() -> Site {
    let site = Site::new();
    for page in
        ["about.html", "docs.html", "docs/guide.html", "a b%.html", "both", "both.html", "x.html.html"]
    {
        site.write(page, format!("{page}\n"));
    }
    site.write("shop/item.txt", "item\n");
    site.write("folder.html/index.html", "folder\n");
    site
}
