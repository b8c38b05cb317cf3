//! The URL of a request: the server to connect to, and the request target.

use std::{fmt, path::PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::http::Authority;

/// The characters of a URL that a request line cannot contain. Non-ASCII characters are encoded as
/// well.
const NOT_IN_A_TARGET: &AsciiSet = &CONTROLS.add(b' ');

/// A parsed URL, `http://HOST[:PORT][/PATH][?QUERY]` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// The server to connect to.
    pub server: HttpServerName,
    /// The value of the `Host` field.
    pub(super) host: String,
    /// The request target in origin form.
    pub(super) target: String,
}

/// The server that a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpServerName {
    /// A host name or an IP address without brackets, and a port.
    Host(String, u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// The reason why a URL is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlError {
    /// The scheme is `https`.
    Https,
    /// The scheme is missing, or is neither `http` nor `unix`.
    Scheme,
    /// The host or the port is not valid.
    Host,
    /// The path of the Unix socket is empty.
    EmptyPath,
}

impl HttpUrl {
    /// Returns the shortest head of a GET request for the URL, after which the server may keep the
    /// connection.
    pub(in crate::clients) fn shortest_head(&self) -> Vec<u8> {
        format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", self.target, self.host).into_bytes()
    }

    /// Parses a URL. Characters that a request line cannot contain are percent-encoded, and a
    /// fragment is dropped.
    ///
    /// # Errors
    /// Returns a [`UrlError`] if the URL is not valid, or needs TLS.
    pub fn parse(text: &str) -> Result<HttpUrl, UrlError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let server = HttpServerName::Unix(path.into());
            return match path.is_empty() {
                true => Err(UrlError::EmptyPath),
                false => Ok(HttpUrl { server, host: "localhost".into(), target: "/".into() }),
            };
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => {}
            _ if scheme.eq_ignore_ascii_case("https") => return Err(UrlError::Https),
            _ => return Err(UrlError::Scheme),
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let slash = if target.starts_with('/') { "" } else { "/" };
        let target = format!("{slash}{}", utf8_percent_encode(target, NOT_IN_A_TARGET));
        Ok(HttpUrl { server: server_name(host)?, host: host.to_owned(), target })
    }

    /// Sends the request to the Unix socket at `path` instead of the host.
    #[must_use]
    pub fn via_unix(self, path: PathBuf) -> HttpUrl {
        HttpUrl { server: HttpServerName::Unix(path), ..self }
    }
}

/// Splits `host [":" port]`. The default port is 80.
fn server_name(text: &str) -> Result<HttpServerName, UrlError> {
    let Authority { host, port } = Authority::parse(text.as_bytes()).map_err(|_| UrlError::Host)?;
    let host = std::str::from_utf8(host).map_err(|_| UrlError::Host)?;
    let port = match port.map(std::str::from_utf8) {
        None | Some(Ok("")) => 80,
        Some(digits) => digits.ok().and_then(|digits| digits.parse().ok()).ok_or(UrlError::Host)?,
    };
    Ok(HttpServerName::Host(host.trim_matches(['[', ']']).to_owned(), port))
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::Https => "TLS is not supported",
            UrlError::Scheme => "the scheme is not http",
            UrlError::Host => "the host or port is not valid",
            UrlError::EmptyPath => "the path of the socket is empty",
        })
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_split_into_server_host_and_target() {
        let table = [
            ("http://a", "a", 80, "a", "/"),
            ("HTTP://a:8000", "a", 8000, "a:8000", "/"),
            ("http://a:/b", "a", 80, "a:", "/b"),
            ("http://127.0.0.1:1/b/c?d=e&f#g", "127.0.0.1", 1, "127.0.0.1:1", "/b/c?d=e&f"),
            ("http://a?b", "a", 80, "a", "/?b"),
            ("http://[::1]:80/", "::1", 80, "[::1]:80", "/"),
            ("http://[::1]", "::1", 80, "[::1]", "/"),
            ("http://a/b c\r\nX: \u{e9}", "a", 80, "a", "/b%20c%0D%0AX:%20%C3%A9"),
            ("http://a/%41%zz\"", "a", 80, "a", "/%41%zz\""),
        ];
        for (text, name, port, host, target) in table {
            let server = HttpServerName::Host(name.into(), port);
            let expected = HttpUrl { server, host: host.into(), target: target.into() };
            assert_eq!(HttpUrl::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn url_can_name_a_unix_socket() {
        let at = |path: &str| HttpServerName::Unix(path.into());
        let url = HttpUrl::parse("unix:/run/a b.sock").expect("a URL");
        assert_eq!((&url.server, &*url.host, &*url.target), (&at("/run/a b.sock"), "localhost", "/"));
        let url = HttpUrl::parse("http://a/b?c").expect("a URL").via_unix("x.sock".into());
        assert_eq!((&url.server, &*url.host, &*url.target), (&at("x.sock"), "a", "/b?c"));
    }

    #[test]
    fn url_malformed_is_refused() {
        let table = [
            ("https://a/", UrlError::Https),
            ("HTTPS://a", UrlError::Https),
            ("a", UrlError::Scheme),
            ("localhost:8000/", UrlError::Scheme),
            ("ftp://a/", UrlError::Scheme),
            ("", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http:///a", UrlError::Host),
            ("http://:80/", UrlError::Host),
            ("http://a:65536/", UrlError::Host),
            ("http://a:b/", UrlError::Host),
            ("http://user@a/", UrlError::Host),
            ("http://[::1/", UrlError::Host),
            ("http://a b/", UrlError::Host),
            ("http://a\r\nX: y/", UrlError::Host),
            ("http://\u{e9}/", UrlError::Host),
            ("unix:", UrlError::EmptyPath),
        ];
        for (text, expected) in table {
            assert_eq!(HttpUrl::parse(text), Err(expected), "{text:?}");
        }
    }
}
