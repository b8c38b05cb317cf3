//! Options that change which URLs lead where: `--base-path`, `--clean-urls`, `--hidden`,
//! `--follow-links`, and all of them together. Whatever is on, no redirect leads to another host,
//! and no `..` leads out.

mod base;
mod clean;
mod reach;

use crate::common::*;

/// What a browser says when a person goes somewhere.
pub const NAVIGATES: &str = "Sec-Fetch-Mode: navigate\r\nAccept: text/html,*/*\r\n";

/// Sends one request on a connection of its own and reads the response.
pub fn ask(server: &Server, method: &str, path: &str, fields: &str) -> Response {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    let mut client = server.connect();
    client.send(&request);
    client.response_to(request.as_bytes())
}

/// What a table says of a response.
#[derive(Debug, Clone, Copy)]
pub enum Is {
    /// 200 with this body.
    Page(&'static str),
    /// 301 to this URL.
    At(&'static str),
    Missing,
}

pub use Is::*;

/// Asserts that `path` leads where the table says, for GET and HEAD.
pub fn check(server: &Server, path: &str, fields: &str, is: Is) {
    let response = ask(server, "GET", path, fields);
    let location = response.header("location");
    match is {
        Page(body) => assert_eq!((response.status, response.text().as_str()), (200, body), "{path}"),
        At(address) => assert_eq!((response.status, location), (301, Some(address)), "{path}"),
        Missing => assert_eq!((response.status, location), (404, None), "{path}"),
    }
    // HEAD answers alike, and a redirect is not cached: the operator may change the options.
    let head = ask(server, "HEAD", path, fields);
    assert_eq!((head.status, head.header("location")), (response.status, location), "{path}");
    assert!(location.is_none() || response.header("cache-control") == Some("no-cache"), "{path}");
}

pub fn check_all(server: &Server, rows: &[(&str, Is)]) {
    each(rows, |(path, is)| check(server, path, "", *is));
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
