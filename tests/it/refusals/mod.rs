//! Refusals: a malformed request gets a small error page. If the server cannot trust the rest of
//! the input, it parses no further and closes the connection. The tests send each request whole and
//! byte by byte. A valid request follows that must not be answered after a 400.

mod fields;
mod lines;

use crate::common::*;
use After::Closes;

/// Returns a complete request with the request line `line`.
pub fn with_line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: localhost\r\n\r\n"].concat()
}

/// Asserts that the request for each row is refused with 400.
pub fn all_400(rows: &[&[u8]], request: impl Fn(&[u8]) -> Vec<u8>) {
    let site = Site::new();
    let server = Server::start(&site);
    each(rows.iter().map(|row| Raw(row)), |row| assert_refused(&server, &request(row.0), 400, Closes));
}
