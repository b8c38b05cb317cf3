//! Directory listings (`--listing`): names that are hostile to HTML, JSON and URLs; a listing shows
//! exactly what the server serves; how a body of unknown length ends; and directories so large that
//! they could delay other clients.

mod crowd;
mod filter;
mod html;
mod json;
mod order;
mod scope;

use std::{
    fs::File,
    time::{Duration, SystemTime},
};

use crate::common::*;
use serde_json::Value;

/// A header field that asks for JSON.
pub const JSON: &str = "Accept: application/json\r\n";

/// Returns a request with the header `fields`.
pub fn asks(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// Reads the next response, which must have a chunked body.
pub fn listing(client: &mut Client) -> Response {
    let mut response = client.head();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    // A message with both fields allows request smuggling (RFC 9112 section 6.2).
    assert_eq!(response.header("content-length"), None);
    response.body = chunks(client);
    response
}

/// Reads a chunked body that has no extensions or trailers to its end (RFC 9112 section 7.1).
pub fn chunks(client: &mut Client) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = client.take_until(b"\r\n");
        let digits = std::str::from_utf8(&line[..line.len() - 2]).expect("ASCII");
        assert!(digits.bytes().all(|b| b.is_ascii_hexdigit()), "{digits:?} is not a chunk size");
        let size = usize::from_str_radix(digits, 16).expect("a size");
        body.extend(client.take(size));
        assert_eq!(client.take(2), b"\r\n", "after a chunk of {size}");
        if size == 0 {
            return body;
        }
    }
}

/// Requests the listing at `path` on a new connection.
pub fn list(server: &Server, path: &str, fields: &str) -> Response {
    let mut client = server.connect();
    client.send(asks("GET", path, fields));
    listing(&mut client)
}

/// Requests a JSON listing and returns its entries.
pub fn entries(server: &Server, path: &str) -> Vec<Value> {
    let response = list(server, path, JSON);
    assert_eq!(response.header("content-type"), Some("application/json"));
    match serde_json::from_slice(&response.body).expect("JSON") {
        Value::Array(entries) => entries,
        other => panic!("{other} is not an array"),
    }
}

/// Returns the string value of `key` in an entry.
pub fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_else(|| panic!("{key} in {entry}"))
}

/// Returns the target and text of each link in the rows of a page.
pub fn links(page: &str) -> Vec<(&str, &str)> {
    let (_, rows) = page.split_once("<tbody>").expect("rows");
    links_in(rows).into_iter().filter(|(href, _)| *href != "../").collect()
}

/// Returns the target and text of each link in `html`.
pub fn links_in(html: &str) -> Vec<(&str, &str)> {
    let link = |rest| -> Option<(&str, &str)> {
        let (href, rest): (&str, &str) = str::split_once(rest, "\">")?;
        Some((href, rest.split_once("</a>")?.0))
    };
    html.split("<a href=\"").skip(1).map(|rest| link(rest).expect("a complete link")).collect()
}

/// Replaces HTML entities with their characters.
pub fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, char)| text.replace(entity, char))
}

/// Sets the modification time of `name`.
pub fn set_modified(site: &Site, name: &str, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(site.at(name)).and_then(|file| file.set_modified(time)).expect("set its time");
}
