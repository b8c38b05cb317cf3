//! Compressed variants: `app.js.br`, `app.js.zst` and `app.js.gz` beside `app.js`, chosen by
//! `Accept-Encoding` (RFC 9110 section 12.5.3). No file is really compressed: each contains its own
//! name, so that a response shows which file was sent.

mod change;
mod choice;
mod content;

use crate::common::*;

pub const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The file extension of each variant and its name in `Content-Encoding`.
pub const CODINGS: [(&str, &str); 3] = [(".br", "br"), (".zst", "zstd"), (".gz", "gzip")];

/// All content codings with equal weights, as browsers send them.
pub const ALL: &str = "gzip, deflate, br, zstd";

/// Writes `name` with the content `plain NAME` and variants with `br NAME`, `zstd NAME` and
/// `gzip NAME`.
pub fn write_with(site: &Site, name: &str, codings: &[(&str, &str)]) {
    site.write(name, format!("plain {name}"));
    for (extension, coding) in codings {
        site.write(format!("{name}{extension}"), format!("{coding} {name}"));
    }
}

pub fn ask_with(path: &str, accept: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accept}\r\n{fields}\r\n")
}

pub fn ask(path: &str, accept: &str) -> String {
    ask_with(path, accept, "")
}

/// Asserts that `response` contains `name` as [`write_with`] wrote it in `coding`, and declares
/// that coding.
pub fn assert_is(response: &Response, coding: &str, name: &str) {
    assert_eq!((response.status, response.text()), (200, format!("{coding} {name}")));
    assert_eq!(response.header("content-encoding"), Some(coding).filter(|c| *c != "plain"));
    assert_varies(response);
}

/// Asserts that `response` tells caches that it varies with Accept-Encoding (section 12.5.5).
pub fn assert_varies(response: &Response) {
    let vary = response.header("vary").unwrap_or_default().to_ascii_lowercase();
    assert!(vary.split(',').any(|name| name.trim() == "accept-encoding"), "{response:?}");
}

/// Waits until all files written so far have settled, so that small files may come from memory. A
/// large file shows this: before, each read of it gets a new ETag.
pub fn let_settle(site: &Site, client: &mut Client) {
    site.write("large.tmp", pattern(200_000));
    eventually("the ETag stays the same", || tag(client, "/large.tmp", "") == tag(client, "/large.tmp", ""));
}

/// Returns the ETag of `path` in the content coding that `accept` names.
pub fn tag(client: &mut Client, path: &str, accept: &str) -> String {
    client.send(ask(path, accept));
    client.response().header("etag").expect("an ETag").to_owned()
}
