//! Several ranges in one request: `multipart/byteranges` on the wire (RFC 9110 sections 14.2 and
//! 14.6), parsed strictly. `conditional.rs` tests single ranges. The table of all range sets is in
//! `src/http`.

mod sets;
mod transfer;

use crate::common::*;
use memchr::memmem;

/// One mebibyte.
pub const MIB: usize = 1 << 20;

/// A file whose content is [`pattern`].
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub path: &'static str,
    pub media_type: &'static str,
    pub len: usize,
}

/// Files whose content is not UTF-8, so that no charset is stated. Their parts are sent in three
/// ways: copied from memory, referenced in memory, and from disk.
pub const SAMPLES: [Sample; 3] = [
    Sample { path: "/small.txt", media_type: "text/plain", len: 1000 },
    Sample { path: "/middle.css", media_type: "text/css", len: 40_000 },
    Sample { path: "/large.bin", media_type: "application/octet-stream", len: 3 * MIB },
];

/// Creates a site with the samples.
pub fn site_of_three() -> Site {
    let site = Site::new();
    for Sample { path, len, .. } in SAMPLES {
        site.write(&path[1..], pattern(len));
    }
    site
}

/// Returns `GET path` for `ranges` with more field lines.
pub fn ask_with(path: &str, ranges: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nRange: bytes={ranges}\r\n{fields}\r\n")
}

/// Returns a request for `ranges` of `path`.
pub fn ask(path: &str, ranges: &str) -> String {
    ask_with(path, ranges, "")
}

/// Returns the `Range` value for `parts`, each given as its first and last byte.
pub fn set_of(parts: &[(u64, u64)]) -> String {
    parts.iter().map(|(first, last)| format!("{first}-{last}")).collect::<Vec<_>>().join(",")
}

/// A part of a multipart body, with its two field values.
pub struct Part<'a> {
    pub media_type: &'a str,
    pub content_range: &'a str,
    pub bytes: &'a [u8],
}

/// Splits a body at its delimiters (RFC 2046 section 5.1.1). Asserts that only a line end comes
/// before the first delimiter (zsync requires it, and nginx and Apache send it), that nothing comes
/// after the last one, and that no part contains one.
pub fn parts_of(response: &Response) -> Vec<Part<'_>> {
    let media_type = response.header("content-type").expect("a type");
    let boundary =
        media_type.strip_prefix("multipart/byteranges; boundary=").expect("the type of a multipart body");
    // Characters that a boundary may contain without quotes.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"'+_-.".contains(&b);
    assert!((1..=70).contains(&boundary.len()) && boundary.bytes().all(is_plain), "{boundary:?}");
    let delimiter = format!("\r\n--{boundary}");
    let at: Vec<usize> = memmem::find_iter(&response.body, &delimiter).collect();
    assert!(response.body.starts_with(delimiter.as_bytes()), "{}", lossy(&response.body));
    let starts = at.iter().map(|at| at + delimiter.len());
    let end = response.body.len();
    let mut pieces: Vec<&[u8]> = starts
        .zip(at.iter().copied().skip(1).chain([end]))
        .map(|(from, to)| &response.body[from..to])
        .collect();
    assert_eq!(pieces.pop(), Some(&b"--\r\n"[..]), "after the last part");
    pieces.into_iter().map(part_of).collect()
}

/// Parses a part into its head and its content.
pub fn part_of(piece: &[u8]) -> Part<'_> {
    let split = memmem::find(piece, b"\r\n\r\n").expect("an empty line after a part's fields");
    let head = std::str::from_utf8(&piece[..split]).expect("fields in ASCII");
    let ["", type_line, range_line] = head.split("\r\n").collect::<Vec<_>>()[..] else {
        panic!("not exactly the two fields of a part: {head:?}");
    };
    Part {
        media_type: type_line.strip_prefix("Content-Type: ").expect("its type first"),
        content_range: range_line.strip_prefix("Content-Range: ").expect("then its range"),
        bytes: &piece[split + 4..],
    }
}

/// Asserts that `response` contains these parts of `content`, in this order, and nothing else.
pub fn assert_parts(response: &Response, content: &[u8], media_type: &str, expected: &[(usize, usize)]) {
    assert_eq!(response.status, 206, "{:?}", response.headers);
    // This field would describe the whole body, but each part has its own (section 15.3.7.2).
    assert_eq!(response.header("content-range"), None);
    assert!(response.header("etag").is_some() && response.header("last-modified").is_some());
    let parts = parts_of(response);
    assert_eq!(parts.len(), expected.len());
    for (part, &(first, last)) in parts.iter().zip(expected) {
        assert_eq!(part.media_type, media_type);
        assert_eq!(part.content_range, format!("bytes {first}-{last}/{}", content.len()));
        assert!(part.bytes == &content[first..=last], "the bytes of {first}-{last}");
    }
}
