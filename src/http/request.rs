//! From bytes to a request: strictly, because whatever two parsers may read in two ways is a hole (RFC 9112 §11.2).
//!
//! The request line is cut here; httparse cuts the field lines. What httparse forgives and we do not: a line that ends
//! in a bare LF. A request is taken with its body or not at all, so that no body is ever taken for the next request.

use super::{
    MAX_BODY, MAX_FIELDS, MAX_HEAD, MAX_LINE, authority, chunked,
    refusal::Refusal,
    status::Status,
    target::{self, SitePath, Target, locate},
};

/// A request whose end is known, or that ends its connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The request line without its CRLF.
    pub line: &'a [u8],
    pub method: Method,
    pub target: Target<'a>,
    pub persistence: Persistence,
    body: Body,
    /// An `Expect` that nobody here can meet.
    unmet_expectation: bool,
}

/// What a server of files makes of a method (RFC 9110 §9, RFC 5789).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Options,
    /// Defined by HTTP, and not for files.
    NotForFiles,
    /// Not for files either, and what follows its request is no HTTP.
    Connect,
    Unknown,
}

/// Whether the connection goes on after the response, and whether that is to be said (RFC 9112 §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    Close,
    Persist,
    /// HTTP/1.0: only if it is said.
    PersistIfSaid,
}

/// What became of the request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// None, or read past.
    Whole,
    /// Longer than we read past.
    TooLong,
    /// The client waits to be told to send it, and is not.
    Withheld,
}

/// What an admitted request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    File(SitePath<'a>),
    /// What can be asked for.
    Options,
}

/// Finds the first request in `input`: the request and how many bytes it takes, body included. `None`: more is needed.
///
/// # Errors
/// The request is malformed, ambiguous or too large: a refusal that ends the connection.
pub fn parse(input: &[u8]) -> Result<Option<(Request<'_>, usize)>, Refusal> {
    // One empty line before a request is skipped (RFC 9112 §2.2).
    let skipped = if input.starts_with(b"\r\n") { 2 } else { 0 };
    let input = &input[skipped..];
    let Some(line) = take_line(input)? else { return Ok(None) };
    let (method, target, version) = cut_line(line)?;
    let fields_at = line.len() + 2;
    let Some((fields, fields_len)) = Fields::read(&input[fields_at..], MAX_HEAD - fields_at)? else {
        return Ok(None);
    };
    let framing = fields.framing(version)?;
    fields.check_host(version)?;
    let target = target::parse(method, target)?;
    let head_len = fields_at + fields_len;
    let Some((body, body_len)) = read_past(framing, fields.expects_continue, &input[head_len..])? else {
        return Ok(None);
    };
    let request = Request {
        line,
        method: Method::of(method),
        target,
        persistence: fields.persistence(version),
        body,
        unmet_expectation: fields.unmet_expectation,
    };
    Ok(Some((request, skipped + head_len + body_len)))
}

impl<'a> Request<'a> {
    /// Decides whether a file server answers this at all, and finds out what is asked for.
    ///
    /// # Errors
    /// 405, 501, 413, 417, or the refusals of [`locate`].
    pub fn admit(&self) -> Result<Ask<'a>, Refusal> {
        match self.method {
            Method::Get | Method::Head | Method::Options => {}
            Method::NotForFiles => {
                return Err(Refusal::new(Status::MethodNotAllowed, "Files here can only be read."));
            }
            Method::Connect => {
                return Err(Refusal::closing(Status::MethodNotAllowed, "This server is no proxy."));
            }
            Method::Unknown => {
                return Err(Refusal::new(Status::NotImplemented, "The server does not know this method."));
            }
        }
        if self.body == Body::TooLong {
            return Err(Refusal::closing(Status::ContentTooLarge, "The request's body is too long."));
        }
        if self.unmet_expectation {
            return Err(Refusal::new(Status::ExpectationFailed, "The server cannot do what is expected."));
        }
        match self.target {
            Target::Path { path, .. } if self.method != Method::Options => locate(path).map(Ask::File),
            _ => Ok(Ask::Options),
        }
    }

    /// Whether the connection can go on after the response.
    pub fn persists(&self) -> bool {
        self.persistence != Persistence::Close && self.is_whole()
    }

    /// Whether the request was read to its end: else the peer may be still sending.
    pub fn is_whole(&self) -> bool {
        self.body == Body::Whole
    }

    /// The query, without its question mark.
    pub fn query(&self) -> Option<&'a str> {
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
            b"POST" | b"PUT" | b"DELETE" | b"PATCH" | b"TRACE" => Method::NotForFiles,
            b"CONNECT" => Method::Connect,
            _ => Method::Unknown,
        }
    }
}

/// The request line, without its CRLF.
fn take_line(input: &[u8]) -> Result<Option<&[u8]>, Refusal> {
    match memchr::memchr(b'\n', &input[..input.len().min(MAX_LINE + 2)]) {
        Some(lf) if lf > 0 && input[lf - 1] == b'\r' => Ok(Some(&input[..lf - 1])),
        Some(_) => Err(Refusal::bad("A line ends without a carriage return.")),
        None if input.len() >= MAX_LINE + 2 => {
            Err(Refusal::closing(Status::UriTooLong, "The request line is too long."))
        }
        // What cannot become a request is refused before it is whole: a TLS greeting has no line end to wait for.
        None if !input.iter().take_while(|b| **b != b' ').all(|b| is_tchar(*b) || *b == b'\r') => {
            Err(Refusal::bad("The request does not begin with a method."))
        }
        None => Ok(None),
    }
}

/// The minor version of HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    /// 1.1, or a later one of which 1.1 is understood (RFC 9110 §2.5).
    Http11,
}

/// `method SP request-target SP HTTP-version`, nothing more.
fn cut_line(line: &[u8]) -> Result<(&[u8], &[u8], Version), Refusal> {
    let mut parts = line.splitn(3, |b| *b == b' ');
    let (Some(method), Some(target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Refusal::bad("The request line is not a method, an address and a version."));
    };
    if method.is_empty() || !method.iter().copied().all(is_tchar) {
        return Err(Refusal::bad("The method is not a token."));
    }
    if target.is_empty() {
        return Err(Refusal::bad("There is no address between two single spaces."));
    }
    let version = match version {
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Version::Http11,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(Refusal::closing(
                Status::HttpVersionNotSupported,
                "The server speaks HTTP/1.1 and 1.0.",
            ));
        }
        _ => return Err(Refusal::bad("The request line does not end in a version of HTTP.")),
    };
    Ok((method, target, version))
}

/// `tchar` (RFC 9110 §5.6.2).
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What the field lines say that concerns every request.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    unmet_expectation: bool,
}

/// Where the request's body ends (RFC 9112 §6).
enum Framing {
    Length(u64),
    Chunked,
}

impl<'a> Fields<'a> {
    /// Reads the field lines at the beginning of `input`, up to the empty line; also says how long they are.
    fn read(input: &'a [u8], at_most: usize) -> Result<Option<(Fields<'a>, usize)>, Refusal> {
        const TOO_LARGE: Refusal =
            Refusal::closing(Status::RequestHeaderFieldsTooLarge, "The request's head is too large.");
        let mut lines = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let (len, lines) = match httparse::parse_headers(input, &mut lines) {
            Ok(httparse::Status::Complete((len, _))) if len > at_most => return Err(TOO_LARGE),
            Ok(httparse::Status::Complete(complete)) => complete,
            Ok(httparse::Status::Partial) if input.len() >= at_most => return Err(TOO_LARGE),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(TOO_LARGE),
            Err(httparse::Error::HeaderValue) => {
                return Err(Refusal::bad("A field has a control character."));
            }
            Err(_) => return Err(Refusal::bad("A field line is not a name, a colon and a value.")),
        };
        if memchr::memchr_iter(b'\n', &input[..len]).any(|lf| lf == 0 || input[lf - 1] != b'\r') {
            return Err(Refusal::bad("A line ends without a carriage return."));
        }
        let mut fields = Fields::default();
        for line in lines {
            fields.take_in(line.name, line.value)?;
        }
        Ok(Some((fields, len)))
    }

    fn take_in(&mut self, name: &str, value: &'a [u8]) -> Result<(), Refusal> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("host") {
            once(&mut self.host, value, "There is more than one Host.")
        } else if is("content-length") {
            once(&mut self.content_length, value, "There is more than one Content-Length.")
        } else if is("transfer-encoding") {
            once(&mut self.transfer_encoding, value, "There is more than one Transfer-Encoding.")
        } else {
            if is("connection") {
                for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if is("expect") {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue |= known;
                self.unmet_expectation |= !known;
            }
            Ok(())
        }
    }

    /// How long the body is. Two answers to that are none.
    fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        match (self.transfer_encoding, self.content_length) {
            (None, None) => Ok(Framing::Length(0)),
            (None, Some(digits)) => content_length(digits).map(Framing::Length),
            (Some(_), Some(_)) => {
                Err(Refusal::bad("Both Content-Length and Transfer-Encoding say where it ends."))
            }
            (Some(_), None) if version == Version::Http10 => {
                Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding."))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
            (Some(_), None) => Err(Refusal::bad("The Transfer-Encoding is not just chunked.")),
        }
    }

    /// HTTP/1.1 needs exactly one `Host` (RFC 9112 §3.2); where there is one, it must be valid.
    fn check_host(&self, version: Version) -> Result<(), Refusal> {
        match self.host {
            Some(host) => authority::check(host).map(drop),
            None if version == Version::Http10 => Ok(()),
            None => Err(Refusal::bad("There is no Host.")),
        }
    }

    fn persistence(&self, version: Version) -> Persistence {
        match version {
            _ if self.close => Persistence::Close,
            Version::Http11 => Persistence::Persist,
            Version::Http10 if self.keep_alive => Persistence::PersistIfSaid,
            Version::Http10 => Persistence::Close,
        }
    }
}

fn once<'a>(field: &mut Option<&'a [u8]>, value: &'a [u8], twice: &'static str) -> Result<(), Refusal> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::bad(twice)),
    }
}

/// `1*DIGIT` (RFC 9110 §8.6): no sign, no list, no number that does not fit.
fn content_length(digits: &[u8]) -> Result<u64, Refusal> {
    let only_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| only_digits)
        .and_then(|text| text.parse().ok())
        .ok_or(Refusal::bad("The Content-Length is not a number of bytes."))
}

/// Reads past a body at the beginning of `input`: what became of it, and how many bytes it takes. `None`: it is not
/// whole yet.
fn read_past(framing: Framing, withheld: bool, input: &[u8]) -> Result<Option<(Body, usize)>, Refusal> {
    match framing {
        Framing::Length(0) => Ok(Some((Body::Whole, 0))),
        _ if withheld => Ok(Some((Body::Withheld, 0))),
        Framing::Length(len) if len > MAX_BODY as u64 => Ok(Some((Body::TooLong, 0))),
        Framing::Length(len) if len > input.len() as u64 => Ok(None),
        Framing::Length(len) => Ok(Some((Body::Whole, len as usize))),
        Framing::Chunked => match chunked::length(input)? {
            Some(len) if len <= MAX_BODY => Ok(Some((Body::Whole, len))),
            None if input.len() < MAX_BODY => Ok(None),
            _ => Ok(Some((Body::TooLong, 0))),
        },
    }
}
