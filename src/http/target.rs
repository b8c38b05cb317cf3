//! From a request target (RFC 9112 §3.2) to a path in the site: the place where traversal dies.

use std::{borrow::Cow, fmt};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

use super::{authority, bytes, refusal::Refusal};

/// The longest file name of the systems that we serve from (`NAME_MAX`).
const NAME_MAX: usize = 255;
/// The one name with a leading dot that is meant to be seen (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// What is encoded in a path of ours: everything but unreserved characters (RFC 3986 §2.3) and the slashes between
/// names.
pub const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A request target, by its form, in visible ASCII. `query` is without its question mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// Origin form, or absolute form, which has an authority. `path` begins with a slash, or is empty where an absolute
    /// form names no path.
    Path { authority: Option<&'a [u8]>, path: &'a [u8], query: Option<&'a [u8]> },
    /// `*`, for OPTIONS.
    Asterisk,
    /// `host:port`, for CONNECT.
    Authority,
}

/// Reads the target of a request with `method`.
///
/// # Errors
/// 400 for a form that the method does not take, a fragment, and any byte that is not visible ASCII.
pub fn parse<'a>(method: &[u8], target: &'a [u8]) -> Result<Target<'a>, Refusal> {
    let query_at = find_query(target)?;
    match (method, target) {
        (b"CONNECT", _) => match authority::check(target)? {
            true => Ok(Target::Authority),
            false => Err(Refusal::bad("CONNECT needs a host and a port.")),
        },
        (b"OPTIONS", b"*") => Ok(Target::Asterisk),
        (_, [b'/', ..]) => {
            let (path, query) = split_query(target, query_at);
            Ok(Target::Path { authority: None, path, query })
        }
        _ => absolute(target, query_at),
    }
}

/// Where the query's question mark is, if there is one.
fn find_query(target: &[u8]) -> Result<Option<usize>, Refusal> {
    if bytes::are_all(target, bytes::TARGET) {
        return Ok(None);
    }
    for byte in target {
        match byte {
            b'#' => return Err(Refusal::bad("The address has a fragment, which is not for servers.")),
            b'!'..=b'~' => {}
            _ => return Err(Refusal::bad("The address has a byte that must be percent-encoded.")),
        }
    }
    Ok(memchr::memchr(b'?', target))
}

/// `http://host:port/path?query`. The authority replaces `Host` (RFC 9112 §3.2.2).
fn absolute(target: &[u8], query_at: Option<usize>) -> Result<Target<'_>, Refusal> {
    let (before, query) = split_query(target, query_at);
    let scheme = before.iter().position(|b| *b == b':').unwrap_or(0);
    let is_http =
        before[..scheme].eq_ignore_ascii_case(b"http") || before[..scheme].eq_ignore_ascii_case(b"https");
    let rest = before[scheme..].strip_prefix(b"://").filter(|_| is_http);
    let rest = rest.ok_or(Refusal::bad("The address must be a path, or begin with http://."))?;
    let (host, path) = rest.split_at(memchr::memchr(b'/', rest).unwrap_or(rest.len()));
    authority::check(host)?;
    Ok(Target::Path { authority: Some(host), path, query })
}

fn split_query(target: &[u8], query_at: Option<usize>) -> (&[u8], Option<&[u8]>) {
    match query_at {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

/// A path below the root of the site: names joined by single slashes, none of them `.` or `..`. No slash begins it; one
/// ends it where a directory is meant. The root is the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePath<'a>(Cow<'a, [u8]>);

/// Which names in the site may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// Those without a leading dot, and `.well-known`.
    #[default]
    Visible,
    /// All but `.` and `..`.
    All,
}

impl Names {
    /// Whether `name`, which has `depth` names before it in its path, is one of them.
    pub fn allow(self, name: &[u8], depth: usize) -> bool {
        self == Names::All || !name.starts_with(b".") || (name == WELL_KNOWN && depth == 0)
    }

    /// Whether all names of `path` are among them.
    pub fn allow_all(self, path: &SitePath<'_>) -> bool {
        let pairs = path.0.iter().zip(path.0.iter().skip(1));
        let has_dots = path.0.first() == Some(&b'.')
            || pairs.fold(false, |has, (before, byte)| has | ((*before == b'/') & (*byte == b'.')));
        !has_dots || path.names().enumerate().all(|(depth, name)| self.allow(name, depth))
    }
}

/// Whether something can have that name: not what leads up, nor stays, nor is longer than any name.
fn can_be(name: &[u8]) -> bool {
    !matches!(name, b"." | b"..") && name.len() <= NAME_MAX && !name.contains(&0)
}

/// The path as it stands in an address, from its slash on.
impl fmt::Display for SitePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", percent_encode(self.bytes(), PATH))
    }
}

impl<'a> SitePath<'a> {
    /// The root of the site.
    pub const ROOT: SitePath<'static> = SitePath(Cow::Borrowed(b""));

    /// The bytes of the path: any but NUL, as in the file system.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same path, for keeps.
    pub fn into_owned(self) -> SitePath<'static> {
        SitePath(Cow::Owned(self.0.into_owned()))
    }

    /// Whether a directory is meant: the root, or a path that ends in a slash.
    pub fn is_directory(&self) -> bool {
        matches!(self.0.last(), None | Some(b'/'))
    }

    /// The same path, meaning a directory.
    pub fn into_directory(self) -> SitePath<'a> {
        if self.is_directory() { self } else { self.with_extension("/") }
    }

    /// The same path with `extension` behind its last name, whether that can be or not.
    pub fn with_extension(&self, extension: &str) -> SitePath<'a> {
        SitePath(Cow::Owned([self.bytes(), extension.as_bytes()].concat()))
    }

    /// The same path without `extension` behind its last name, if that has it, and a name before it.
    pub fn without_extension(&self, extension: &str) -> Option<SitePath<'a>> {
        let stem = self.0.strip_suffix(extension.as_bytes())?;
        let name = stem.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty())?;
        can_be(name).then(|| SitePath(Cow::Owned(stem.to_vec())))
    }

    /// The directory in which the last name is, if that is `name`.
    pub fn parent_of(&self, name: &str) -> Option<SitePath<'a>> {
        let parent = self.0.strip_suffix(name.as_bytes())?;
        matches!(parent.last(), None | Some(b'/')).then(|| SitePath(Cow::Owned(parent.to_vec())))
    }

    /// The path as it is seen from the directory `base`, if it is in there.
    pub fn below(&self, base: &SitePath<'_>) -> Option<SitePath<'a>> {
        let below = self.0.strip_prefix(base.bytes())?.len();
        Some(SitePath(match &self.0 {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[bytes.len() - below..]),
            Cow::Owned(bytes) => Cow::Owned(bytes[bytes.len() - below..].to_vec()),
        }))
    }

    /// The path of what this one is in the directory `base`.
    pub fn within(&self, base: &SitePath<'_>) -> SitePath<'static> {
        SitePath(Cow::Owned([base.bytes(), self.bytes()].concat()))
    }

    /// The names of the path.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|name| !name.is_empty())
    }
}

/// Finds out which path below the root a target's path means: decoded once, cut into names, each name checked.
///
/// Empty names and `.` are passed over.
///
/// # Errors
/// 400 for malformed percent-encoding; 404 for `..` and what cannot name a file.
pub fn locate(path: &[u8]) -> Result<SitePath<'_>, Refusal> {
    if is_plain(path) {
        return Ok(SitePath(Cow::Borrowed(path.get(1..).unwrap_or_default())));
    }
    let decoded = decode(path)?;
    let names = decoded.split(|b| *b == b'/').skip(1);
    if !names.filter(|name| !matches!(*name, b"" | b".")).all(can_be) {
        return Err(Refusal::NOT_FOUND);
    }
    Ok(SitePath(Cow::Owned(canonicalise(&decoded))))
}

/// Whether `path` is what it means already, as most are: nothing in it is encoded, and no name is empty, begins with a
/// dot or may be too long.
fn is_plain(path: &[u8]) -> bool {
    let pairs = path.iter().zip(path.iter().skip(1));
    // All pairs, without an early end: that takes no branch.
    let is_odd = pairs.fold(false, |is_odd, (before, byte)| {
        is_odd | (*byte == b'%') | ((*before == b'/') & ((*byte == b'/') | (*byte == b'.')))
    });
    !is_odd && path.len() <= NAME_MAX
}

/// Joins the names by single slashes, without the empty ones and `.`.
fn canonicalise(path: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(path.len());
    for name in path.split(|b| *b == b'/').filter(|name| !matches!(*name, b"" | b".")) {
        joined.extend_from_slice(name);
        joined.push(b'/');
    }
    if !path.ends_with(b"/") && !path.ends_with(b"/.") {
        joined.pop();
    }
    joined
}

/// Percent-decodes once. An encoded slash would change which names there are, so that no file has it.
fn decode(path: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let mut rest = path;
    while let Some(percent) = memchr::memchr(b'%', rest) {
        match rest.get(percent + 1..percent + 3) {
            Some(b"2F" | b"2f") => return Err(Refusal::NOT_FOUND),
            Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => rest = &rest[percent + 3..],
            _ => return Err(Refusal::bad("The address has a percent sign without two hexadecimal digits.")),
        }
    }
    Ok(percent_decode(path).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let path = |path: &'static str, query: Option<&'static str>| {
            Some(Target::Path { authority: None, path: path.as_bytes(), query: query.map(str::as_bytes) })
        };
        let at = |authority: &'static str, path: &'static str, query: Option<&'static str>| {
            let (authority, path) = (Some(authority.as_bytes()), path.as_bytes());
            Some(Target::Path { authority, path, query: query.map(str::as_bytes) })
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
            ("/..", Err(404)),
            ("/../a", Err(404)),
            ("/a/../b", Err(404)),
            ("/a/..", Err(404)),
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
            let visible = |path: SitePath<'static>| Names::Visible.allow_all(&path).then_some(path);
            let got = locate(path.as_bytes()).and_then(|path| visible(path).ok_or(Refusal::NOT_FOUND));
            let got = got.as_ref().map(SitePath::bytes).map_err(|refusal| refusal.status.code());
            assert_eq!(got, *expected, "{path:?}");
        }
        assert!(locate(format!("/{long}").as_bytes()).is_ok());
        assert_eq!(locate(format!("/{long}a").as_bytes()), Err(Refusal::NOT_FOUND));
    }

    #[test]
    fn hidden_names_can_be_allowed_and_what_leads_up_never() {
        for path in ["/.git/config", "/a/.env", "/.a", "/...", "/a/.well-known/x"] {
            assert!(locate(path.as_bytes()).is_ok_and(|path| Names::All.allow_all(&path)), "{path}");
        }
        for path in ["/..", "/a/..", "/a/../b", "/%2e%2e/a", "/..%2fa", "/a%00"] {
            assert_eq!(locate(path.as_bytes()), Err(Refusal::NOT_FOUND), "{path}");
        }
    }

    #[test]
    fn paths_made_of_paths() {
        let at = |path: &'static str| locate(path.as_bytes()).expect("a path");
        assert_eq!(at("/a").into_directory(), at("/a/"));
        assert_eq!(at("/").into_directory(), SitePath::ROOT);
        assert_eq!(at("/a/b").with_extension(".html"), at("/a/b.html"));
        for (path, stem) in
            [("/a.html", Some("/a")), ("/a/b.html", Some("/a/b")), ("/a", None), ("/a/", None)]
        {
            assert_eq!(at(path).without_extension(".html"), stem.map(at), "{path}");
        }
        for path in ["/a/.html", "/..html", "/a/...html"] {
            assert_eq!(at(path).without_extension(".html"), None, "{path}");
        }
        for (path, parent) in [("/i", Some("/")), ("/a/i", Some("/a/")), ("/ai", None), ("/a/", None)] {
            assert_eq!(at(path).parent_of("i"), parent.map(at), "{path}");
        }
        let base = at("/app/");
        for (path, below) in
            [("/app/", Some("/")), ("/app/a/b", Some("/a/b")), ("/app", None), ("/apple", None)]
        {
            assert_eq!(at(path).below(&base), below.map(at), "{path}");
        }
        assert_eq!(at("/a/b").within(&base), at("/app/a/b"));
        assert_eq!(at("/a/b").below(&SitePath::ROOT), Some(at("/a/b")));
        assert_eq!(at("/a/b/").names().collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn a_plain_path_is_borrowed() {
        for path in ["/", "/a", "/a/b.html", "/a/"] {
            assert!(matches!(locate(path.as_bytes()), Ok(SitePath(Cow::Borrowed(_)))), "{path}");
        }
    }
}
