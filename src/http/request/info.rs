//! The part of a request that the response head and the access log need. It can be copied for a
//! response that is created after the input has been consumed.

use std::net::IpAddr;

use super::{
    Method,
    fields::{Persistence, Version},
};

/// The properties of a request that every response head and log entry needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestInfo<'a> {
    /// The request line without its CRLF.
    pub line: &'a [u8],
    /// The path as sent by the client. Empty for `*` and for CONNECT, `None` if no request was
    /// parsed.
    pub path: Option<&'a [u8]>,
    /// The method.
    pub method: Method,
    /// The HTTP version.
    pub version: Version,
    /// Whether the client wants the connection to persist.
    pub persistence: Persistence,
    /// Whether the whole request has been received. If not, the client may still be sending it.
    pub is_complete: bool,
    /// Whether the request is a CORS preflight request (Fetch standard).
    pub is_preflight: bool,
    /// The value of `Origin`.
    pub origin: Option<&'a [u8]>,
    /// The value of `Referer`.
    pub referer: Option<&'a [u8]>,
    /// The value of `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
    /// The address of the client, if the peer is a proxy that is trusted to name it.
    pub client: Option<IpAddr>,
}

impl<'a> RequestInfo<'a> {
    /// Describes input that is not a valid request. Input that starts like a HEAD request is
    /// answered like a HEAD request.
    pub fn unparsed(input: &'a [u8]) -> RequestInfo<'a> {
        let is_head = input.strip_prefix(b"\r\n").unwrap_or(input).starts_with(b"HEAD ");
        let lines = || input.split(|b| matches!(b, b'\r' | b'\n'));
        RequestInfo {
            line: lines().find(|line| !line.is_empty()).unwrap_or_default(),
            path: None,
            method: if is_head { Method::Head } else { Method::Unknown },
            version: Version::Http11,
            persistence: Persistence::Close,
            is_complete: false,
            is_preflight: false,
            origin: None,
            referer: None,
            user_agent: None,
            client: None,
        }
    }

    /// Returns whether the connection can persist after the response.
    pub fn persists(&self) -> bool {
        self.persistence != Persistence::Close && self.is_complete
    }

    /// Returns the length in bytes of the borrowed parts.
    pub fn text_len(&self) -> usize {
        let parts = [Some(self.line), self.path, self.origin, self.referer, self.user_agent];
        parts.into_iter().flatten().map(<[u8]>::len).sum()
    }

    /// Copies the borrowed parts, for a response that is created later.
    pub fn to_owned(&self) -> OwnedRequestInfo {
        OwnedRequestInfo {
            line: self.line.into(),
            path: self.path.map(Box::from),
            origin: self.origin.map(Box::from),
            referer: self.referer.map(Box::from),
            user_agent: self.user_agent.map(Box::from),
            rest: RequestInfo {
                line: b"",
                path: None,
                origin: None,
                referer: None,
                user_agent: None,
                method: self.method,
                version: self.version,
                persistence: self.persistence,
                is_complete: self.is_complete,
                is_preflight: self.is_preflight,
                client: self.client,
            },
        }
    }
}

/// A [`RequestInfo`] that owns its parts instead of borrowing them.
#[derive(Debug)]
pub struct OwnedRequestInfo {
    line: Box<[u8]>,
    path: Option<Box<[u8]>>,
    origin: Option<Box<[u8]>>,
    referer: Option<Box<[u8]>>,
    user_agent: Option<Box<[u8]>>,
    rest: RequestInfo<'static>,
}

impl OwnedRequestInfo {
    /// Returns a [`RequestInfo`] that borrows from this copy.
    pub fn as_info(&self) -> RequestInfo<'_> {
        RequestInfo {
            line: &self.line,
            path: self.path.as_deref(),
            origin: self.origin.as_deref(),
            referer: self.referer.as_deref(),
            user_agent: self.user_agent.as_deref(),
            ..self.rest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse;

    #[test]
    fn info_outlives_its_input() {
        let input = b"GET /a?b HTTP/1.0\r\nOrigin: o\r\nReferer: r\r\nUser-Agent: u\r\n\r\n".to_vec();
        let mut info = parse(&input).expect("no refusal").expect("a whole request").0.info;
        info.client = Some([192, 0, 2, 1].into());
        assert_eq!(
            (info.line, info.path, info.origin),
            (&b"GET /a?b HTTP/1.0"[..], Some(&b"/a"[..]), Some(&b"o"[..]))
        );
        assert_eq!(info.to_owned().as_info(), info);
    }

    #[test]
    fn info_of_input_without_a_request() {
        let table: [(&[u8], &[u8], Method); 4] = [
            (b"", b"", Method::Unknown),
            (b"\r\nHEAD / HTTP/9\r\nX", b"HEAD / HTTP/9", Method::Head),
            (b"HEADER", b"HEADER", Method::Unknown),
            (b"\n\nGET", b"GET", Method::Unknown),
        ];
        for (input, line, method) in table {
            let info = RequestInfo::unparsed(input);
            assert_eq!((info.line, info.method, info.persists()), (line, method, false), "{input:?}");
        }
    }
}
