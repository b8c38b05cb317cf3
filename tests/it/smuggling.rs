//! Request smuggling: if two parsers could disagree about the end of a request, the server answers
//! 400 and closes. The tests cover lengths, transfer codings and chunks.

use crate::common::*;

/// The request after a malformed framing; the server must never answer it.
const HIDDEN: &str = "GET /docs/ HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Asserts that each of `framings` gets a 400, for GET and for POST.
fn all_400(version: &str, framings: &[&[u8]], body: impl Fn(&[u8]) -> Vec<u8>) {
    let site = Site::new();
    let server = Server::start(&site);
    let methods = ["GET", "POST"].iter().flat_map(|m| framings.iter().map(move |f| (*m, Raw(f))));
    each(methods, |(method, framing)| {
        let line = format!("{method} /hello.txt HTTP/{version}\r\nHost: localhost\r\n");
        assert_refused(&server, &[line.as_bytes(), &body(framing.0)].concat(), 400, After::Closes);
    });
}

/// Returns the end of a request with the framing in its fields and a body of five bytes.
fn in_fields(fields: &[u8]) -> Vec<u8> {
    [fields, b"\r\n\r\nhello", HIDDEN.as_bytes()].concat()
}

/// Returns the end of a request with a chunked body that contains the framing.
fn in_chunks(chunks: &[u8]) -> Vec<u8> {
    [b"Transfer-Encoding: chunked\r\n\r\n", chunks, HIDDEN.as_bytes()].concat()
}

#[test]
fn smuggling_by_lengths_that_are_not_one_plain_number() {
    let rows: &[&[u8]] = &[
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 0\r\nX: y\r\ncontent-length: 5",
        b"Content-Length: 5\r\nContent-Length:",
        b"Content-Length: 5, 5",
        b"Content-Length: 5,5",
        b"Content-Length: 5, 6",
        b"Content-Length: 5,",
        b"Content-Length: ,5",
        b"Content-Length:",
        b"Content-Length: \t ",
        b"Content-Length: +5",
        b"Content-Length: -5",
        b"Content-Length: -0",
        b"Content-Length: 0x5",
        b"Content-Length: 5h",
        b"Content-Length: 5 5",
        b"Content-Length: 5 ;",
        b"Content-Length: 5.0",
        b"Content-Length: 5e0",
        b"Content-Length: 5_0",
        b"Content-Length: \"5\"",
        b"Content-Length: five",
        b"Content-Length: \xB2",
        b"Content-Length: \xEF\xBC\x95",
        b"Content-Length: \x0B5",
        b"Content-Length: 5\x0C",
        b"Content-Length: 5\0",
        // 2^64, 2^64 + 5, and more digits than any counter holds.
        b"Content-Length: 18446744073709551616",
        b"Content-Length: 18446744073709551621",
        b"Content-Length: 99999999999999999999",
        b"Content-Length: 9999999999999999999999999999999999999999",
        b"Content-Length : 5",
        b" Content-Length: 5",
        b"Content-Length: 5\r\n 5",
    ];
    all_400("1.1", rows, in_fields);
}

#[test]
fn smuggling_by_a_length_beside_a_transfer_coding() {
    let rows: &[&[u8]] = &[
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0",
        b"Content-Length: 5\r\nTransfer-Encoding: identity",
        b"Content-Length: 5\r\nTransfer-Encoding:",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: chunked, gzip",
        b"Transfer-Encoding: gzip,, chunked",
        b"Transfer-Encoding: chunked, gzip, chunked",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunkedx",
        b"Transfer-Encoding: chunke",
        b"Transfer-Encoding: chun ked",
        b"Transfer-Encoding: chunked;q=1",
        b"Transfer-Encoding: \"chunked\"",
        b"Transfer-Encoding: 'chunked'",
        b"Transfer-Encoding: \x0Bchunked",
        b"Transfer-Encoding: chunked\x0C",
        b"Transfer-Encoding: chunked\0",
        b"Transfer-Encoding: \x80chunked",
        b"Transfer-Encoding:",
        b"Transfer-Encoding: \t ",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding\t: chunked",
        b" Transfer-Encoding: chunked",
        b"Transfer-Encoding:\r\n chunked",
        b"X: y\nTransfer-Encoding: chunked",
        b"X: y\rTransfer-Encoding: chunked",
    ];
    all_400("1.1", rows, in_fields);
    // The end of these bodies is known, but not their content.
    let (site, fields) = (Site::new(), ["gzip, chunked", "identity, chunked", "gzip\t,a,CHUNKED"]);
    let server = Server::start(&site);
    for codings in fields {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {codings}\r\n\r\nhello");
        assert_refused(&server, request.as_bytes(), 501, After::Closes);
    }
    // HTTP/1.0 has no transfer codings, so a client that sends one cannot be trusted (RFC 9112
    // section 6.1).
    all_400("1.0", &[b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"], in_fields);
}

#[test]
fn smuggling_by_chunk_sizes_that_are_not_hex() {
    let rows: &[&[u8]] = &[
        b"+5",
        b"-5",
        b"0x5",
        b"5 ",
        b" 5",
        b"5\t",
        b"\t5",
        b"",
        b" ",
        b"g",
        b"5g",
        b"5h",
        b"5.",
        b"5,",
        b"5_",
        b"\"5\"",
        b"\x0B5",
        b"5\0",
        b"\xB2",
        b"\xEF\xBC\x95",
        b";",
        b";a",
        b" ;a",
        // A length needs sixteen hex digits at most.
        b"00000000000000005",
        b"FFFFFFFFFFFFFFFFF",
        b"10000000000000005",
        // The end of such a chunk overflows a 64-bit offset.
        b"FFFFFFFFFFFFFFFF",
        // Line ends other than CRLF, and control characters in an extension.
        b"5\n",
        b"5\r",
        b"5\r\r",
        b"5;a\n",
        b"5;a\rb",
        b"5;a\0b",
        b"5;a=\x01",
        b"5;a\x7F",
    ];
    all_400("1.1", rows, |size| in_chunks(&[size, b"\r\nhello\r\n0\r\n\r\n"].concat()));
}

#[test]
fn smuggling_by_line_ends_in_chunks() {
    let rows: &[&[u8]] = &[
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\r\nhello \r\n0\r\n\r\n",
        b"5\r\nhell\r\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        b"5\r\nhello\n\r0\r\n\r\n",
        b"5\r\nhello\r\n0\n\r\n",
        b"5\r\nhello\r\n0\n\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5\r\nhello\r\n0\r\n\rX",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"2;\nxx\r\n4c\r\n0\r\n\r\n",
    ];
    all_400("1.1", rows, in_chunks);
}

#[test]
fn smuggling_by_trailers() {
    let rows: &[&[u8]] = &[
        b"no colon",
        b"X : y",
        b" X: y",
        b"X: a\r\n folded",
        b"X: a\nY: b",
        b"X: a\rb",
        b"X: a\0b",
        b"X(Y): z",
        b": y",
        b"X\x80: y",
    ];
    all_400("1.1", rows, |trailer| in_chunks(&[b"0\r\n", trailer, b"\r\n\r\n"].concat()));
}
