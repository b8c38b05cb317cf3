//! Parses a request target (RFC 9112 section 3.2) and converts it to a path in the site. Path
//! traversal must never get past this module.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::{authority::Authority, charset};
use crate::{http::Refusal, site_path::SitePath};

/// A request target in any of its forms. It consists of visible ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// Origin form, or absolute form with an authority. `path` starts with a slash, or is empty if
    /// a target in absolute form has no path. `query` excludes the question mark.
    Path {
        authority: Option<Authority<'a>>,
        path: &'a [u8],
        query: Option<&'a [u8]>,
        /// Whether the path may contain percent signs.
        is_encoded: bool,
    },
    /// `*`, for OPTIONS.
    Asterisk,
    /// `host:port`, for CONNECT.
    Authority,
}

impl<'a> Target<'a> {
    /// Returns the path as sent by the client, or an empty slice if the target has no path.
    pub fn path(&self) -> &'a [u8] {
        match *self {
            Target::Path { path, .. } => path,
            Target::Asterisk | Target::Authority => b"",
        }
    }
}

/// Parses the target of a request that uses `method`.
///
/// # Errors
/// Returns a 400 refusal if the method does not allow this form of target, or if the target
/// contains a fragment or a byte that is not visible ASCII.
pub fn parse<'a>(method: &[u8], target: &'a [u8]) -> Result<Target<'a>, Refusal> {
    let (query_at, is_encoded) = scan(target)?;
    match (method, target) {
        (b"CONNECT", _) => match Authority::parse(target)?.port {
            Some([_, ..]) => Ok(Target::Authority),
            _ => Err(Refusal::bad("CONNECT needs a host and a port.")),
        },
        (b"OPTIONS", b"*") => Ok(Target::Asterisk),
        (_, [b'/', ..]) => {
            let (path, query) = split_query(target, query_at);
            Ok(Target::Path { authority: None, path, query, is_encoded })
        }
        _ => absolute(target, query_at, is_encoded),
    }
}

/// Checks the bytes in a target. Returns the offset of the question mark before the query, if there
/// is one, and whether the target may contain percent signs.
fn scan(target: &[u8]) -> Result<(Option<usize>, bool), Refusal> {
    let classes = charset::common(target);
    let is_encoded = classes & charset::LITERAL == 0;
    if classes & charset::TARGET != 0 {
        return Ok((None, is_encoded)); // the common case
    }
    for byte in target {
        match byte {
            b'#' => return Err(Refusal::bad("The URL has a fragment, which clients must not send.")),
            b'!'..=b'~' => {}
            _ => return Err(Refusal::bad("The URL has a byte that must be percent-encoded.")),
        }
    }
    Ok((memchr::memchr(b'?', target), is_encoded))
}

/// Parses a target in absolute form, `http://host:port/path?query`. Its authority replaces the
/// `Host` field (RFC 9112 section 3.2.2).
fn absolute(target: &[u8], query_at: Option<usize>, is_encoded: bool) -> Result<Target<'_>, Refusal> {
    let (before, query) = split_query(target, query_at);
    let scheme = before.iter().position(|b| *b == b':').unwrap_or(0);
    let is_http =
        before[..scheme].eq_ignore_ascii_case(b"http") || before[..scheme].eq_ignore_ascii_case(b"https");
    let rest = before[scheme..].strip_prefix(b"://").filter(|_| is_http);
    let rest = rest.ok_or(Refusal::bad("The URL must be a path or begin with http://."))?;
    let (host, path) = rest.split_at(memchr::memchr(b'/', rest).unwrap_or(rest.len()));
    let authority = Some(Authority::parse(host)?);
    Ok(Target::Path { authority, path, query, is_encoded })
}

/// Splits a target at the question mark at offset `query_at`, if there is one.
fn split_query(target: &[u8], query_at: Option<usize>) -> (&[u8], Option<&[u8]>) {
    match query_at {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// Converts the path of a request target to a path in the site. Decodes the path once, normalizes
/// it and checks each name.
///
/// # Errors
/// Returns a 400 refusal for malformed percent-encoding. Returns a 404 refusal for a path that
/// leads above the root, has an encoded `..`, or that no file can have.
pub fn locate(path: &[u8]) -> Result<SitePath<'_>, Refusal> {
    locate_if_encoded(path, path.contains(&b'%'))
}

/// Converts a path as [`locate`] does. `is_encoded` is whether the path may contain percent signs.
pub(super) fn locate_if_encoded(path: &[u8], is_encoded: bool) -> Result<SitePath<'_>, Refusal> {
    let decoded = if is_encoded { decode(path)? } else { Cow::Borrowed(path) };
    if let Some(found) = SitePath::parse(decoded) {
        return Ok(found);
    }
    // Clients remove `..` before they send a path, but not all of them.
    let resolved = resolve_parents(path).ok_or(Refusal::NOT_FOUND)?;
    let decoded = decode(&resolved)?;
    SitePath::parse(decoded).map(SitePath::into_owned).ok_or(Refusal::NOT_FOUND)
}

/// Removes each `..` with the name before it (RFC 3986 section 5.2.4). Empty names and `.` do not
/// count as names, because files have no such names. Returns `None` if there is no `..`, or if the
/// path leads above the root.
fn resolve_parents(path: &[u8]) -> Option<Vec<u8>> {
    let (mut names, mut is_changed) = (Vec::new(), false);
    let mut rest = path.split(|b| *b == b'/').skip(1).peekable();
    while let Some(name) = rest.next() {
        let is_last = rest.peek().is_none();
        match name {
            b".." => {
                names.pop()?;
                is_changed = true;
            }
            b"" | b"." => {}
            // Encoded dots are no way to hide where a path leads.
            name if matches!(&*percent_decode(name).collect::<Vec<_>>(), b"." | b"..") => return None,
            name => names.push(name),
        }
        // Such a name stands for a directory.
        if is_last && matches!(name, b"" | b"." | b"..") {
            names.push(b"");
        }
    }
    is_changed.then(|| [b"/", &names.join(&b'/')[..]].concat())
}

/// Percent-decodes a path once. Returns a 404 refusal for an encoded slash, which would change how
/// the path is split into names.
fn decode(path: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let mut rest = path;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        match rest.get(percent + 1..percent + 3) {
            Some(b"2F" | b"2f") => return Err(Refusal::NOT_FOUND),
            Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => rest = &rest[percent + 3..],
            _ => return Err(Refusal::bad("The URL has a percent sign without two hexadecimal digits.")),
        }
    }
    Ok(percent_decode(path).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site_path::DotfilePolicy;

    #[test]
    fn targets() {
        let path = |path: &'static str, query: Option<&'static str>| {
            Some(Target::Path {
                authority: None,
                path: path.as_bytes(),
                query: query.map(str::as_bytes),
                is_encoded: query.is_some(), // it was not asked
            })
        };
        let at = |authority: &'static str, path: &'static str, query: Option<&'static str>| {
            let authority = Authority::parse(authority.as_bytes()).ok();
            let path = path.as_bytes();
            Some(Target::Path {
                authority,
                path,
                query: query.map(str::as_bytes),
                is_encoded: query.is_some(),
            })
        };
        let table: &[(&str, &str, Option<Target<'_>>)] = &[
            ("GET", "/", path("/", None)),
            ("GET", "/a?b=c?d", path("/a", Some("b=c?d"))),
            ("GET", "/?", path("/", Some(""))),
            ("GET", "//host/a", path("//host/a", None)),
            ("GET", "http://host/a?b", at("host", "/a", Some("b"))),
            ("GET", "HTTPS://host:443", at("host:443", "", None)),
            ("GET", "http://host?b", at("host", "", Some("b"))),
            ("GET", "/a:b@c\\d|e", path("/a:b@c\\d|e", None)),
            ("OPTIONS", "*", Some(Target::Asterisk)),
            ("OPTIONS", "/a", path("/a", None)),
            ("CONNECT", "host:443", Some(Target::Authority)),
            ("CONNECT", "host", None),
            ("CONNECT", "host:", None),
            ("CONNECT", "/", None),
            ("GET", "*", None),
            ("GET", "a", None),
            ("GET", "host:80", None),
            ("GET", "ftp://host/", None),
            ("GET", "http:///a", None),
            ("GET", "http://user@host/a", None),
            ("GET", "http://ho st/", None),
            ("GET", "/a#b", None),
            ("GET", "/\u{e9}", None),
            ("GET", "/a\tb", None),
            ("GET", "/\u{7f}", None),
        ];
        for (method, target, expected) in table {
            assert_eq!(parse(method.as_bytes(), target.as_bytes()).ok(), *expected, "{method} {target:?}");
        }
    }

    #[test]
    fn paths() {
        let long = "a".repeat(255);
        let table: &[(&str, Result<&[u8], u16>)] = &[
            ("/", Ok(b"")),
            ("", Ok(b"")),
            ("/a", Ok(b"a")),
            ("/a/", Ok(b"a/")),
            ("/a/b.c", Ok(b"a/b.c")),
            ("//", Ok(b"")),
            ("//a", Ok(b"a")),
            ("/a//b///c/", Ok(b"a/b/c/")),
            ("/./a/./b", Ok(b"a/b")),
            ("/a/.", Ok(b"a/")),
            ("/.", Ok(b"")),
            ("/%61%2e%62", Ok(b"a.b")),
            ("/%2541", Ok(b"%41")),
            ("/a%20b%0a", Ok(b"a b\n")),
            ("/%c3%a9%ff", Ok(b"\xc3\xa9\xff")),
            ("/a\\b%5cc", Ok(b"a\\b\\c")),
            ("/a..b/...c", Err(404)),
            ("/a..b/c..", Ok(b"a..b/c..")),
            ("/.well-known/x", Ok(b".well-known/x")),
            ("/.well-known/.x", Err(404)),
            ("/a/.well-known/x", Err(404)),
            ("/.git/config", Err(404)),
            ("/%2egit/config", Err(404)),
            ("/a/.env", Err(404)),
            ("/%2e%2E/a", Err(404)),
            ("/.%2e/a", Err(404)),
            ("/..%2fa", Err(404)),
            ("/a%2Fb", Err(404)),
            ("/a%00", Err(404)),
            ("/%", Err(400)),
            ("/%4", Err(400)),
            ("/%zz", Err(400)),
            ("/%+1", Err(400)),
        ];
        for (path, expected) in table {
            let visible = |path: SitePath<'static>| DotfilePolicy::Visible.allow_all(&path).then_some(path);
            let got = locate(path.as_bytes()).and_then(|path| visible(path).ok_or(Refusal::NOT_FOUND));
            let got = got.as_ref().map(SitePath::bytes).map_err(|refusal| refusal.status.code());
            assert_eq!(got, *expected, "{path:?}");
        }
        assert!(locate(format!("/{long}").as_bytes()).is_ok());
        assert_eq!(locate(format!("/{long}a").as_bytes()), Err(Refusal::NOT_FOUND));
    }

    #[test]
    fn parents_are_resolved_within_the_root() {
        let table: &[(&str, Result<&[u8], u16>)] = &[
            ("/..", Err(404)),
            ("/../a", Err(404)),
            ("/a/../..", Err(404)),
            ("/a/../../b", Err(404)),
            ("/a/../b", Ok(b"b")),
            ("/a/..", Ok(b"")),
            ("/a/b/../", Ok(b"a/")),
            ("/a/b/../c%20d/.", Ok(b"a/c d/")),
            ("/a//../b", Ok(b"b")),
            ("/./../a", Err(404)),
            ("/.git/../b", Ok(b"b")),
            ("/b/../.git/config", Ok(b".git/config")), // a dotfile, which is refused later
            ("/a/%2e%2e/../b", Err(404)),
            ("/a/%2E/../b", Err(404)),
            ("/a/../%2e%2e/b", Err(404)),
            ("/a/../b%2fc", Err(404)),
            ("/a/../b%00", Err(404)),
        ];
        for (path, expected) in table {
            let got = locate(path.as_bytes());
            let got = got.as_ref().map(SitePath::bytes).map_err(|refusal| refusal.status.code());
            assert_eq!(got, *expected, "{path:?}");
        }
    }

    #[test]
    fn dotfiles_can_be_allowed_and_parents_cannot() {
        for path in ["/.git/config", "/a/.env", "/.a", "/...", "/a/.well-known/x"] {
            assert!(locate(path.as_bytes()).is_ok_and(|path| DotfilePolicy::All.allow_all(&path)), "{path}");
        }
        for path in ["/..", "/a/../..", "/../a/b", "/%2e%2e/a", "/..%2fa", "/a%00"] {
            assert_eq!(locate(path.as_bytes()), Err(Refusal::NOT_FOUND), "{path}");
        }
    }
}
