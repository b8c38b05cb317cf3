//! The field lines of a request: host, body framing, persistence, and the fields that influence the
//! response.
//!
//! httparse splits the lines and accepts lines that end in a bare LF. This module must never accept
//! such a line, because another parser may read it differently.

use std::borrow::Cow;

use super::{authority::Authority, charset, fetch_metadata::FetchMetadata, info::RequestInfo};
use crate::http::{Accept, AcceptEncoding, MAX_FIELDS, Preconditions, Refusal, Status};

/// The number of field lines that most request heads do not exceed. Initializing an array of
/// [`MAX_FIELDS`] elements takes longer than parsing a typical head.
const USUAL_FIELDS: usize = 16;

/// The HTTP version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http10,
    /// HTTP/1.1, or a later minor version, which is handled as HTTP/1.1 (RFC 9110 section 2.5).
    Http11,
}

/// Whether the connection persists after the response, and whether the response says so (RFC 9112
/// section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    Close,
    KeepAlive,
    /// Keep-alive in HTTP/1.0, where the response must say `Connection: keep-alive`.
    KeepAliveExplicit,
}

/// The field lines of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct HeaderFields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    pub fetch_metadata: FetchMetadata,
    /// The value of `Accept`, see [`HeaderFields::accept`].
    accept: Option<Cow<'a, [u8]>>,
    pub accept_encoding: AcceptEncoding,
    /// Whether the request has `Access-Control-Request-Method`, so that it may be a CORS preflight
    /// request (Fetch standard).
    pub names_method: bool,
    /// The conditional and range fields. Boxed, because most requests have none.
    pub preconditions: Option<Box<Preconditions<'a>>>,
    close: bool,
    keep_alive: bool,
    pub expects_continue: bool,
    /// Whether the request has an `Expect` field that the server cannot meet.
    pub unmet_expectation: bool,
}

/// How to find the end of the request body (RFC 9112 section 6).
pub enum Framing {
    Length(u64),
    Chunked,
}

impl<'a> HeaderFields<'a> {
    /// Parses the field lines at the beginning of `input`, up to the empty line. Puts those that
    /// the access log needs into `info`. Returns the length of the lines in bytes, including the
    /// empty line, or `None` if they are incomplete.
    ///
    /// # Errors
    /// Returns a 400 refusal if a line is malformed, and a 431 refusal if there are too many lines
    /// or more than `at_most` bytes.
    pub fn read(
        &mut self,
        input: &'a [u8],
        at_most: usize,
        info: &mut RequestInfo<'a>,
    ) -> Result<Option<usize>, Refusal> {
        const TOO_LARGE: Refusal = Refusal::closing(
            Status::RequestHeaderFieldsTooLarge,
            "The request header is too large. Deleting the cookies for this host may help.",
        );
        // Parse nothing beyond the limit, so that the result does not depend on how the input was
        // split into reads.
        let within = &input[..input.len().min(at_most)];
        let (mut few, mut many);
        few = [httparse::EMPTY_HEADER; USUAL_FIELDS];
        let parsed = match httparse::parse_headers(within, &mut few) {
            Err(httparse::Error::TooManyHeaders) => {
                many = [httparse::EMPTY_HEADER; MAX_FIELDS];
                httparse::parse_headers(within, &mut many)
            }
            parsed => parsed,
        };
        let (len, lines) = match parsed {
            Ok(httparse::Status::Complete(complete)) => complete,
            Ok(httparse::Status::Partial) if within.len() == at_most => return Err(TOO_LARGE),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(TOO_LARGE),
            Err(httparse::Error::HeaderValue) => {
                return Err(Refusal::bad("A header field has a control character."));
            }
            Err(_) => return Err(Refusal::bad("A header line is not a name, a colon and a value.")),
        };
        if has_bare_lf(&input[..len], lines) {
            return Err(Refusal::bad("A line ends without a carriage return."));
        }
        for line in lines {
            self.apply(line.name, line.value, info)?;
        }
        Ok(Some(len))
    }

    /// Applies one field line. Refuses a repeated field that frames or routes a request.
    fn apply(&mut self, name: &str, value: &'a [u8], info: &mut RequestInfo<'a>) -> Result<(), Refusal> {
        // Clients usually write a name like this, and comparing it exactly is faster.
        let is = |usual: &str| name == usual || name.eq_ignore_ascii_case(usual);
        // The length alone excludes most names.
        match name.len() {
            4 if is("Host") => return once(&mut self.host, value, "The request has more than one Host."),
            14 if is("Content-Length") => {
                return once(
                    &mut self.content_length,
                    value,
                    "The request has more than one Content-Length.",
                );
            }
            17 if is("Transfer-Encoding") => {
                let twice = "The request has more than one Transfer-Encoding.";
                return once(&mut self.transfer_encoding, value, twice);
            }
            6 if is("Accept") => join(&mut self.accept, value),
            6 if is("Expect") => {
                for expectation in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    let known = expectation.eq_ignore_ascii_case(b"100-continue");
                    self.expects_continue |= known;
                    self.unmet_expectation |= !known && !expectation.is_empty();
                }
            }
            6 if is("Origin") => info.origin = Some(value),
            7 if is("Referer") => info.referer = Some(value),
            10 if is("User-Agent") => info.user_agent = Some(value),
            10 if is("Connection") => {
                for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if FetchMetadata::may_have(name) => self.fetch_metadata.apply(name, value),
            15 if is("Accept-Encoding") => self.accept_encoding.apply(value),
            29 if is("Access-Control-Request-Method") => self.names_method = true,
            5 | 8 | 13 | 17 | 19 if Preconditions::may_have(name) => {
                if let Some(field) = self.preconditions.get_or_insert_default().field(name) {
                    join(field, value);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns what the client accepts. Few responses depend on that, and the field is long.
    pub fn accept(&self) -> Accept {
        let mut accept = Accept::default();
        if let Some(value) = &self.accept {
            accept.apply(value);
        }
        accept
    }

    /// Returns how to find the end of the request body.
    ///
    /// # Errors
    /// Returns a 400 refusal if both `Content-Length` and `Transfer-Encoding` are present, or if
    /// either is not valid. Returns a 501 refusal for other codings before a final `chunked`.
    pub fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        match (self.transfer_encoding, self.content_length) {
            (None, None) => Ok(Framing::Length(0)),
            (None, Some(digits)) => content_length(digits)
                .map(Framing::Length)
                .ok_or(Refusal::bad("The Content-Length is not a number of bytes.")),
            // Two parsers could disagree about the end of the body, which allows request smuggling
            // (RFC 9112 section 6.3).
            (Some(_), Some(_)) => {
                Err(Refusal::bad("The request has both Content-Length and Transfer-Encoding."))
            }
            (Some(_), None) if version == Version::Http10 => {
                Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding."))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (Some(codings), None) if ends_in_chunked(codings) => Err(Refusal::closing(
                Status::NotImplemented,
                "The only supported Transfer-Encoding is chunked.",
            )),
            // Without chunked at the end, nothing says where the body ends (RFC 9112 section 6.3).
            (Some(_), None) => Err(Refusal::bad("The Transfer-Encoding does not end in chunked.")),
        }
    }

    /// Returns the value of `Host`, which HTTP/1.1 requires (RFC 9112 section 3.2).
    ///
    /// # Errors
    /// Returns a 400 refusal if an HTTP/1.1 request has no `Host`, or if `Host` is not valid.
    pub fn host(&self, version: Version) -> Result<Option<Authority<'a>>, Refusal> {
        match self.host {
            Some(host) => Authority::parse(host).map(Some),
            None if version == Version::Http10 => Ok(None),
            None => Err(Refusal::bad("The request has no Host.")),
        }
    }

    /// Returns whether the client wants the connection to persist (RFC 9112 section 9.3).
    pub fn persistence(&self, version: Version) -> Persistence {
        match version {
            _ if self.close => Persistence::Close,
            Version::Http11 => Persistence::KeepAlive,
            Version::Http10 if self.keep_alive => Persistence::KeepAliveExplicit,
            Version::Http10 => Persistence::Close,
        }
    }
}

/// Returns whether any line of `head`, which httparse split into `lines`, ends in a bare LF.
fn has_bare_lf(head: &[u8], lines: &[httparse::Header<'_>]) -> bool {
    let offset = |line: &httparse::Header<'_>| line.name.as_ptr().addr() - head.as_ptr().addr();
    let last = head.len() - if head.ends_with(b"\r\n") { 2 } else { 1 };
    // Each line ends where the next one starts, and the last field line where the empty line
    // starts.
    let mut ends = lines.iter().skip(1).map(offset).chain((last > 0).then_some(last));
    head.len() - last != 2 || ends.any(|end| !head[..end].ends_with(b"\r\n"))
}

/// Sets a field that may occur only once. Refuses a second occurrence with the message `twice`.
fn once<'a>(field: &mut Option<&'a [u8]>, value: &'a [u8], twice: &'static str) -> Result<(), Refusal> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::bad(twice)),
    }
}

/// Appends the `value` of a line to the value of its field (RFC 9110 section 5.3).
fn join<'a>(field: &mut Option<Cow<'a, [u8]>>, value: &'a [u8]) {
    *field = Some(match field.take() {
        None => Cow::Borrowed(value),
        Some(before) => Cow::Owned([&*before, value].join(&b", "[..])),
    });
}

/// Returns whether a list of transfer codings is valid and ends in `chunked`: tokens, of which only
/// the last is `chunked`.
fn ends_in_chunked(codings: &[u8]) -> bool {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let mut codings = codings.rsplit(|b| *b == b',').map(<[u8]>::trim_ascii);
    let is_other =
        |coding: &[u8]| !coding.is_empty() && charset::are_all(coding, charset::TOKEN) && !is_chunked(coding);
    codings.next().is_some_and(is_chunked) && codings.all(is_other)
}

/// Parses a `Content-Length`, `1*DIGIT` (RFC 9110 section 8.6). Returns `None` for signs, lists and
/// numbers that overflow a `u64`.
pub fn content_length(digits: &[u8]) -> Option<u64> {
    let only_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| only_digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Result<Option<(HeaderFields<'_>, usize)>, Refusal> {
        let (mut fields, mut info) = (HeaderFields::default(), RequestInfo::unparsed(b""));
        Ok(fields.read(lines.as_bytes(), 1000, &mut info)?.map(|len| (fields, len)))
    }

    #[test]
    fn field_lines_that_are_refused() {
        let lines = [
            "X : y",
            "X\t: y",
            ": y",
            "X",
            "X y",
            "X: a\0b",
            "X: a\rb",
            "X: a\u{7f}b",
            "X: a\u{1b}[31m",
            "X: a\n",
            "X(: y",
            "X\u{e9}: y",
            "\"X\": y",
            " X: y",
            "A: b\r\n folded",
            "A: b\r\n\tfolded",
            "A: b\nX: y",
        ];
        for line in lines {
            let refusal = read(&format!("{line}\r\n\r\n")).map(drop).expect_err(line);
            assert_eq!(refusal.status, Status::BadRequest, "{line:?}");
        }
        assert!(read("A: b\r\n\n").is_err_and(|refusal| refusal.status == Status::BadRequest));
        assert!(read("\n").is_err_and(|refusal| refusal.status == Status::BadRequest));
    }

    #[test]
    fn field_lines_that_are_accepted() {
        for lines in ["\r\n", "X:\r\n\r\n", "X:y\r\n\r\n", "!#$%&'*+-.^_`|~9: \u{e9} \t ~\r\n\r\n"] {
            assert!(
                read(lines).is_ok_and(|fields| fields.is_some_and(|(_, len)| len == lines.len())),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn framing_of_a_body() {
        let table: &[(&str, Option<&str>)] = &[
            ("", Some("0")),
            ("Content-Length: 0", Some("0")),
            ("Content-Length:  42 ", Some("42")),
            ("content-length: 18446744073709551615", Some("18446744073709551615")),
            ("Transfer-Encoding: chunked", Some("chunked")),
            ("transfer-encoding: CHUNKED", Some("chunked")),
            ("Content-Length: 18446744073709551616", None),
            ("Content-Length: ", None),
            ("Content-Length: +5", None),
            ("Content-Length: -5", None),
            ("Content-Length: 0x5", None),
            ("Content-Length: 5, 5", None),
            ("Content-Length: 5 5", None),
            ("Content-Length: 5\r\nContent-Length: 5", None),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", None),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", None),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", None),
            ("Transfer-Encoding: chunked, chunked", None),
            ("Transfer-Encoding: gzip, chunked", None),
            ("Transfer-Encoding: identity", None),
            ("Transfer-Encoding: xchunked", None),
            ("Transfer-Encoding: \"chunked\"", None),
            ("Transfer-Encoding:", None),
        ];
        let framing = |line: &str, version| {
            let lines = if line.is_empty() { "\r\n".to_owned() } else { format!("{line}\r\n\r\n") };
            let framing =
                read(&lines).and_then(|found| found.expect("whole lines").0.framing(version)).ok()?;
            Some(match framing {
                Framing::Length(len) => len.to_string(),
                Framing::Chunked => "chunked".to_owned(),
            })
        };
        for (line, expected) in table {
            assert_eq!(framing(line, Version::Http11).as_deref(), *expected, "{line:?}");
        }
        assert_eq!(framing("Transfer-Encoding: chunked", Version::Http10), None);
    }

    #[test]
    fn head_limit_hides_what_follows_it() {
        let long = format!("X: {}", "a".repeat(1000));
        for rest in ["", "\r\n\r\n", "\0", "\r\nX : y\r\n\r\n"] {
            let refusal = read(&format!("{long}{rest}")).map(drop).expect_err("too large");
            assert_eq!(refusal.status, Status::RequestHeaderFieldsTooLarge, "{rest:?}");
        }
    }

    #[test]
    fn host_must_be_sent_exactly_once() {
        let check = |lines: &str, version| {
            read(lines).and_then(|found| found.expect("whole lines").0.host(version).map(drop)).is_ok()
        };
        let table = [
            ("Host: a\r\n\r\n", true, true),
            ("\r\n", false, true),
            ("Host:\r\n\r\n", false, false),
            ("Host: a\r\nhost: a\r\n\r\n", false, false),
            ("Host: a b\r\n\r\n", false, false),
        ];
        for (lines, in_11, in_10) in table {
            assert_eq!(check(lines, Version::Http11), in_11, "{lines:?}");
            assert_eq!(check(lines, Version::Http10), in_10, "{lines:?} in HTTP/1.0");
        }
    }

    #[test]
    fn field_lines_that_end_in_a_bare_lf_are_refused() {
        let ends = ["\r\n", "\n"];
        for (first, second, last) in
            (0..8).map(|bits: usize| (ends[bits & 1], ends[bits >> 1 & 1], ends[bits >> 2]))
        {
            for lines in [vec![], vec!["Host: a"], vec!["Host: a", "Accept: b"]] {
                let head: String =
                    lines.iter().zip([first, second]).flat_map(|(line, end)| [*line, end]).collect();
                let head = head + last;
                let is_strict = !head.replace("\r\n", "").contains('\n');
                let mut info = RequestInfo::unparsed(b"");
                let found = HeaderFields::default().read(head.as_bytes(), head.len() + 1, &mut info);
                assert_eq!(found.is_ok(), is_strict, "{head:?}");
            }
        }
    }
}
