//! Parses requests strictly. If a proxy and this server read the same message in different ways, an
//! attacker can smuggle requests (RFC 9112 section 11.2).
//!
//! [`mod@line`] splits the request line, and [`fields`] parses the field lines. A request is
//! answered when its whole body has been counted and dropped, so that a body is never parsed as the
//! next request.

pub mod authority;
pub mod body;
pub mod charset;
mod chunked;
pub mod fetch_metadata;
pub mod fields;
pub mod incomplete;
pub mod info;
mod line;
pub mod raw;
pub mod target;

use self::{
    authority::Authority,
    body::BodyCounter,
    fields::{Framing, HeaderFields, Persistence, Version},
    info::RequestInfo,
    line::{first_line, split_line},
    target::{Target, locate_if_encoded},
};
use super::{MAX_BODY, MAX_HEAD, Refusal, Status};
use crate::site_path::SitePath;

/// A parsed request. Either its end is known, or the connection closes after the response.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The properties that every response head and log entry needs.
    pub info: RequestInfo<'a>,
    /// The request target.
    pub target: Target<'a>,
    /// The requested host, from the target or from the `Host` field.
    pub host: Option<Authority<'a>>,
    /// The field lines.
    pub fields: HeaderFields<'a>,
    body: BodyStatus,
}

/// The request methods that a file server distinguishes (RFC 9110 section 9, RFC 5789).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Options,
    /// A standard method that a file server does not support.
    Unsupported,
    /// TRACE, which nothing supports, because it would show a page the fields that a browser hides
    /// from it.
    Trace,
    /// CONNECT, which is also unsupported. The bytes after the request are not HTTP.
    Connect,
    Unknown,
}

/// The state of the request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyStatus {
    /// There is no body, or all of it was skipped.
    Complete,
    /// The body is longer than [`MAX_BODY`].
    TooLarge,
    /// The client waits for a 100 (Continue) response before it sends the body. The server never
    /// sends this response.
    AwaitingContinue,
}

/// What a valid request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestKind<'a> {
    /// The file at this path.
    Path(SitePath<'a>),
    /// The allowed methods, for an OPTIONS request.
    Options,
}

/// Parses the first request in `input`. Returns the request and its length in bytes, including the
/// body, or `None` if more input is needed.
///
/// # Errors
/// Returns a refusal that closes the connection if the request is malformed, ambiguous or too
/// large.
pub fn parse(input: &[u8]) -> Result<Option<(Request<'_>, usize)>, Refusal> {
    parse_within(input, MAX_HEAD)
}

/// Parses a request as [`parse`] does, with a head of at most `max_head` bytes.
///
/// # Errors
/// Returns the same refusals as [`parse`].
pub fn parse_within(input: &[u8], max_head: usize) -> Result<Option<(Request<'_>, usize)>, Refusal> {
    let Some(Head { request, len, framing }) = parse_head(input, max_head)? else { return Ok(None) };
    if let Some(Framing::Length(0)) = framing {
        return Ok(Some((request, len))); // the common case
    }
    Ok(match BodyCounter::new(framing).read(&input[len..])? {
        (_, None) => None,
        (body_len, Some(body)) => Some((request.with_body(body), len + body_len)),
    })
}

/// A parsed request head.
struct Head<'a> {
    /// The request. Its body counts as complete until it is known.
    request: Request<'a>,
    len: usize,
    /// `None` if the client waits for a 100 (Continue) response before it sends the body.
    framing: Option<Framing>,
}

/// Parses the head of the first request in `input`, or returns `None` if more input is needed.
///
/// The result is large, and a call would copy it.
#[inline(always)]
fn parse_head(input: &[u8], max_head: usize) -> Result<Option<Head<'_>>, Refusal> {
    // One empty line before a request is skipped (RFC 9112 section 2.2).
    let skipped = if input.starts_with(b"\r\n") { 2 } else { 0 };
    let input = &input[skipped..];
    let Some(line) = first_line(input)? else { return Ok(None) };
    let (method, target, version) = split_line(line)?;
    let target = target::parse(method, target)?;
    let fields_at = line.len() + 2;
    let mut info = RequestInfo {
        line,
        path: Some(target.path()),
        method: Method::of(method),
        version,
        persistence: Persistence::Close,
        is_complete: true,
        is_preflight: false,
        origin: None,
        referer: None,
        user_agent: None,
        client: None,
    };
    let mut fields = HeaderFields::default();
    let at_most = max_head.saturating_sub(skipped + fields_at);
    let Some(fields_len) = fields.read(&input[fields_at..], at_most, &mut info)? else { return Ok(None) };
    let framing = fields.framing(version)?;
    // Check `Host` even if the target replaces it, because a proxy may route by either of them.
    let host = fields.host(version)?;
    let host =
        if let Target::Path { authority: Some(authority), .. } = target { Some(authority) } else { host };
    let head_len = fields_at + fields_len;
    // HTTP/1.0 has no `100-continue` expectation (RFC 9110 section 10.1.1).
    let awaits_continue = fields.expects_continue && version == Version::Http11;
    info.persistence = fields.persistence(version);
    info.is_preflight = info.method == Method::Options && fields.names_method;
    // Only a body that could follow is withheld. One that is too long is refused as such.
    let may_follow = !matches!(framing, Framing::Length(len) if len == 0 || len > MAX_BODY as u64);
    let is_withheld = awaits_continue && may_follow;
    let request = Request { info, target, host, fields, body: BodyStatus::Complete };
    Ok(Some(Head { request, len: skipped + head_len, framing: (!is_withheld).then_some(framing) }))
}

impl<'a> Request<'a> {
    /// Returns the request with the state of its body.
    fn with_body(mut self, body: BodyStatus) -> Request<'a> {
        self.body = body;
        self.info.is_complete = body == BodyStatus::Complete;
        self
    }

    /// Checks that the server supports this request, and returns what the request asks for.
    ///
    /// # Errors
    /// Returns a 405, 413, 417 or 501 refusal, or a refusal from [`locate`](target::locate).
    pub fn validate(&self) -> Result<RequestKind<'a>, Refusal> {
        match self.info.method {
            Method::Get | Method::Head | Method::Options => {}
            Method::Unsupported | Method::Trace => {
                return Err(Refusal::new(
                    Status::MethodNotAllowed,
                    "This server only serves files: use GET or HEAD.",
                ));
            }
            Method::Connect => {
                return Err(Refusal::closing(Status::MethodNotAllowed, "This server is not a proxy."));
            }
            Method::Unknown => {
                return Err(Refusal::new(Status::NotImplemented, "The server does not know this method."));
            }
        }
        self.check_body()?;
        match self.target {
            Target::Path { path, is_encoded, .. } if self.info.method != Method::Options => {
                locate_if_encoded(path, is_encoded).map(RequestKind::Path)
            }
            _ => Ok(RequestKind::Options),
        }
    }

    /// Checks that the server supports the body of this request.
    ///
    /// # Errors
    /// Returns a 413 or 417 refusal.
    pub fn check_body(&self) -> Result<(), Refusal> {
        if self.body == BodyStatus::TooLarge {
            return Err(Refusal::closing(Status::ContentTooLarge, "The request body is too large."));
        }
        if self.fields.unmet_expectation {
            return Err(Refusal::new(
                Status::ExpectationFailed,
                "The server does not support this expectation.",
            ));
        }
        Ok(())
    }

    /// Returns whether the client sends the body only after a 100 (Continue) response, which the
    /// server never sends.
    pub fn awaits_continue(&self) -> bool {
        self.body == BodyStatus::AwaitingContinue
    }

    /// Returns whether the request is a navigation.
    pub fn is_navigation(&self) -> bool {
        self.fields.fetch_metadata.is_navigation(self.fields.accept(), self.path())
    }

    /// Returns whether the client asks for HTML by name, as browsers do for pages.
    pub fn asks_for_html(&self) -> bool {
        self.fields.accept().has_html()
    }

    /// Returns whether the response will be a page in a window or a frame.
    pub fn is_page_load(&self) -> bool {
        self.fields.fetch_metadata.is_page_load(self.fields.accept())
    }

    /// Returns the path as sent by the client, or an empty slice if the target has no path.
    pub fn path(&self) -> &'a [u8] {
        self.target.path()
    }

    /// Returns the query without its question mark, if there is one.
    pub fn query(&self) -> Option<&'a [u8]> {
        match self.target {
            Target::Path { query, .. } => query,
            Target::Asterisk | Target::Authority => None,
        }
    }
}

impl Method {
    fn of(method: &[u8]) -> Method {
        match method {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"OPTIONS" => Method::Options,
            b"POST" | b"PUT" | b"DELETE" | b"PATCH" => Method::Unsupported,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            _ => Method::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::MAX_LINE, *};

    fn parsed(input: &str) -> (Request<'_>, usize) {
        parse(input.as_bytes()).expect("no refusal").expect("a whole request")
    }

    fn status(input: &[u8]) -> u16 {
        parse(input).expect_err("a refusal").status.code()
    }

    #[test]
    fn request_is_found_whole_byte_by_byte_and_with_trailing_data() {
        let requests = [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "HEAD /a?b HTTP/1.0\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost:a\r\nX-Odd: \u{e9}\t\u{f6}\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /",
            "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nGET /\r\n0\r\nT: x\r\n\r\n",
        ];
        for text in requests {
            let (request, len) = parsed(text);
            assert_eq!(len, text.len(), "{text:?}");
            for cut in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..cut]), Ok(None), "{text:?} until {cut}");
            }
            let trailing = format!("{text}\0 and whatever");
            assert_eq!(parsed(&trailing), (request, len), "{text:?} and more");
        }
    }

    #[test]
    fn request_kinds() {
        let not_for_files =
            Err(Refusal::new(Status::MethodNotAllowed, "This server only serves files: use GET or HEAD."));
        let table: &[(&str, Result<&str, u16>)] = &[
            ("GET /a", Ok("a")),
            ("HEAD /a/?q", Ok("a/")),
            ("GET http://other/b", Ok("b")),
            ("GET /../a", Err(404)),
            ("GET /%", Err(400)),
            ("OPTIONS /a", Ok("(options)")),
            ("OPTIONS *", Ok("(options)")),
            ("OPTIONS /..", Ok("(options)")),
            ("POST /..", Err(405)),
            ("TRACE /", Err(405)),
            ("CONNECT a:1", Err(405)),
            ("get /", Err(501)),
            ("BREW /pot", Err(501)),
        ];
        for (line, expected) in table {
            let input = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
            let (request, _) = parsed(&input);
            let asked = request.validate().map_err(|refusal| refusal.status.code()).map(|ask| match ask {
                RequestKind::Path(path) => String::from_utf8_lossy(path.bytes()).into_owned(),
                RequestKind::Options => "(options)".to_owned(),
            });
            assert_eq!(asked.as_deref(), expected.as_ref().copied(), "{line}");
        }
        assert_eq!(parsed("PATCH / HTTP/1.0\r\n\r\n").0.validate(), not_for_files);
    }

    #[test]
    fn persistence() {
        use Persistence::{Close, KeepAlive, KeepAliveExplicit};
        let table = [
            ("1.1", "", KeepAlive),
            ("1.1", "Connection: keep-alive\r\n", KeepAlive),
            ("1.1", "Connection: close\r\n", Close),
            ("1.1", "Connection: Upgrade , CLOSE\r\n", Close),
            ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", Close),
            ("1.1", "Connection: closed\r\n", KeepAlive),
            ("1.0", "", Close),
            ("1.0", "Connection: Keep-Alive\r\n", KeepAliveExplicit),
            ("1.0", "Connection: keep-alive, close\r\n", Close),
            ("1.9", "", KeepAlive),
        ];
        for (version, field, expected) in table {
            let input = format!("GET / HTTP/{version}\r\nHost: a\r\n{field}\r\n");
            assert_eq!(parsed(&input).0.info.persistence, expected, "{version} {field:?}");
        }
    }

    #[test]
    fn request_with_an_unread_body_closes_the_connection() {
        let table = [
            ("Content-Length: 32768\r\n", Ok(None)),
            ("Content-Length: 32769\r\n", Ok(Some(413))),
            ("Transfer-Encoding: chunked\r\n", Ok(None)),
            ("Expect: 100-Continue\r\nContent-Length: 5\r\n", Ok(Some(200))),
            ("Expect: 100-continue\r\n", Ok(Some(200))),
            ("Expect: the-unexpected\r\n", Ok(Some(417))),
        ];
        for (fields, expected) in table {
            let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let got = parse(input.as_bytes()).map(|found| {
                found.map(|(request, _)| {
                    request.validate().map_or_else(|refusal| refusal.status.code(), |_| 200)
                })
            });
            assert_eq!(got, expected, "{fields:?}");
        }
        let awaits_continue =
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
        assert!(!parsed(awaits_continue).0.info.persists());
    }

    #[test]
    fn head_limits() {
        let line = |len: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(len - "GET / HTTP/1.1".len()));
        let head = |len: usize| {
            let around = "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(len - around))
        };
        assert!(parse(format!("{}Host: a\r\n\r\n", line(MAX_LINE)).as_bytes()).is_ok_and(|r| r.is_some()));
        assert_eq!(status(line(MAX_LINE + 1).as_bytes()), 414);
        assert_eq!(status(&[b'a'; MAX_LINE + 2]), 501, "the method is too long for any");
        assert!(parse(head(MAX_HEAD).as_bytes()).is_ok_and(|r| r.is_some()));
        assert_eq!(status(head(MAX_HEAD + 1).as_bytes()), 431);
        assert_eq!(status(&head(MAX_HEAD + 100).as_bytes()[..MAX_HEAD]), 431, "before it is whole");
        // The input buffer need not be larger than the limit.
        let after_empty_line = format!("\r\n{}", head(MAX_HEAD - 1));
        assert_eq!(status(&after_empty_line.as_bytes()[..MAX_HEAD]), 431, "after an empty line");
        for (max_head, expected) in [(100, None), (99, Some(431)), (10, Some(431)), (0, Some(431))] {
            let refused =
                parse_within(head(100).as_bytes(), max_head).err().map(|refusal| refusal.status.code());
            assert_eq!(refused, expected, "at most {max_head}");
        }
        let fields =
            |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
        assert!(parse(fields(64).as_bytes()).is_ok_and(|r| r.is_some()));
        assert_eq!(status(fields(65).as_bytes()), 431);
    }
}
