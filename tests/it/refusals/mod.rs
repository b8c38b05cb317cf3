//! Refusals: a malformed request gets a small page, and input that cannot be trusted is not parsed
//! further: the connection closes. Each request is sent whole and byte by byte, with a valid
//! request behind it that must not be answered after a 400.

mod fields;
mod lines;

use crate::common::*;
use After::Closes;

/// A whole request around a request line.
pub fn with_line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: localhost\r\n\r\n"].concat()
}

/// Asserts that the request made of each row is refused with 400.
pub fn all_400(rows: &[&[u8]], request: impl Fn(&[u8]) -> Vec<u8>) {
    let site = Site::new();
    let server = Server::start(&site);
    each(rows.iter().map(|row| Raw(row)), |row| assert_refused(&server, &request(row.0), 400, Closes));
}
