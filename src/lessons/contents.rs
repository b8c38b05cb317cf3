//! How the notes of a transcript describe bytes.

use crate::trace::redact::escaped;

/// Returns what a client has got: the number of HTTP responses, or the beginning of other bytes.
pub fn contents(got: &[u8]) -> String {
    if !got.is_empty() && !got.starts_with(b"HTTP/1.1 ") {
        return format!(" {}", preview(got));
    }
    let answers = memchr::memmem::find_iter(got, b"HTTP/1.1 ").count();
    match (answers, ends_complete(got)) {
        (0, _) => ": no answer".to_owned(),
        (1, true) => ": 1 answer".to_owned(),
        (1, false) => ": the beginning of 1 answer".to_owned(),
        (more, _) => format!(": {more} answers"),
    }
}

/// Returns whether `got` ends with a complete response.
fn ends_complete(got: &[u8]) -> bool {
    let Some(last) = memchr::memmem::rfind(got, b"HTTP/1.1 ").map(|at| &got[at..]) else { return false };
    let Some(head) = memchr::memmem::find(last, b"\r\n\r\n") else { return false };
    let lines = String::from_utf8_lossy(&last[..head]);
    let len = lines.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
    len.is_some_and(|len| last.len() >= head + 4 + len)
}

/// Returns the beginning of `bytes`, escaped and in quotes.
pub fn preview(bytes: &[u8]) -> String {
    const MAX_SHOWN: usize = 28;
    let dots = if bytes.len() > MAX_SHOWN { "\u{2026}" } else { "" };
    format!("\"{}{dots}\"", escaped(&bytes[..bytes.len().min(MAX_SHOWN)]))
}
