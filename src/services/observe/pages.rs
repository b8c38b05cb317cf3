//! The files of the live page, and the heads of its responses.

use crate::{
    clock::Clock,
    http::{Refusal, Status},
};

/// A response without its date.
pub struct PageFile {
    pub media_type: &'static str,
    pub body: &'static str,
}

/// Returns the file with this name, if there is one.
pub fn file(name: &[u8]) -> Option<PageFile> {
    let (media_type, body) = match name {
        b"" => ("text/html; charset=utf-8", include_str!("page.html")),
        b"page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        b"page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        b"try.js" => ("text/javascript; charset=utf-8", include_str!("try.js")),
        b"view.js" => ("text/javascript; charset=utf-8", include_str!("view.js")),
        _ => return None,
    };
    Some(PageFile { media_type, body })
}

/// Returns a response head. `length` is the length of the body, or `None` if the connection ends
/// with it. The page may load nothing but its own files.
pub fn head(status: Status, media_type: &str, length: Option<u64>, persists: bool, clock: &Clock) -> Vec<u8> {
    let mut head = status.head().as_bytes().to_vec();
    head.extend_from_slice(clock.date());
    let connection = if persists { "" } else { "Connection: close\r\n" };
    let length = length.map_or_else(String::new, |length| format!("Content-Length: {length}\r\n"));
    let fields = format!(
        "\r\n{connection}{length}Content-Type: {media_type}\r\n\
         Cache-Control: no-store\r\n\
         Content-Security-Policy: default-src 'none'; img-src data:; script-src 'self'; style-src 'self'; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n\
         Cross-Origin-Opener-Policy: same-origin\r\n\
         Referrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n\r\n"
    );
    head.extend_from_slice(fields.as_bytes());
    head
}

/// Returns the page for a refusal.
pub fn refusal_page(refusal: &Refusal) -> String {
    refusal.page().collect()
}
