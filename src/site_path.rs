//! A path in the site: decoded, normalized and checked, so that it never leads out of the root.
//!
//! HTTP makes one of a request target, and the site opens it. It belongs to neither: it knows no
//! requests and no file system.

use std::{borrow::Cow, fmt};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// The longest file name of the file systems that we serve from (`NAME_MAX`, limits.h(0p)).
const NAME_MAX: usize = 255;
/// The one dotfile that is meant to be public (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// The bytes that are percent-encoded in a URL path: all but unreserved characters (RFC 3986
/// section 2.3) and the slashes between names.
pub const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A path below the root of the site: names joined by single slashes, none of them `.` or `..`. It
/// begins without a slash, and ends in one if it means a directory. The root is the empty path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePath<'a>(Cow<'a, [u8]>);

/// Which names that begin with a dot may be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DotfilePolicy {
    /// None but `.well-known`.
    #[default]
    Visible,
    /// All but `.` and `..`.
    All,
}

impl DotfilePolicy {
    /// Returns whether `name` may be requested; `depth` names come before it in its path.
    pub fn allow(self, name: &[u8], depth: usize) -> bool {
        self == DotfilePolicy::All || !name.starts_with(b".") || (name == WELL_KNOWN && depth == 0)
    }

    /// Returns whether all names of `path` may be requested.
    pub fn allow_all(self, path: &SitePath<'_>) -> bool {
        let pairs = path.0.iter().zip(path.0.iter().skip(1));
        let has_dots = path.0.first() == Some(&b'.')
            || pairs.fold(false, |has, (before, byte)| has | ((*before == b'/') & (*byte == b'.')));
        !has_dots || path.names().enumerate().all(|(depth, name)| self.allow(name, depth))
    }
}

/// Returns whether a file can have this name.
fn is_valid_name(name: &[u8]) -> bool {
    !matches!(name, b"." | b"..") && name.len() <= NAME_MAX && !name.contains(&0)
}

/// The path as a URL path, percent-encoded, from its leading slash on.
impl fmt::Display for SitePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", percent_encode(self.bytes(), PATH))
    }
}

impl<'a> SitePath<'a> {
    /// The root of the site.
    pub const ROOT: SitePath<'static> = SitePath(Cow::Borrowed(b""));

    /// Normalizes `path`, which is decoded and begins with a slash or is empty: joins its names by
    /// single slashes, without the empty ones and `.`.
    ///
    /// Returns `None` for a path with a name that no file can have: `..`, a name with a NUL, or one
    /// that is too long.
    pub fn parse(path: Cow<'a, [u8]>) -> Option<SitePath<'a>> {
        if let Cow::Borrowed(path) = path
            && is_normalized(path)
        {
            return Some(SitePath(Cow::Borrowed(path.get(1..).unwrap_or_default())));
        }
        let names = path.split(|b| *b == b'/').skip(1);
        if !names.filter(|name| !matches!(*name, b"" | b".")).all(is_valid_name) {
            return None;
        }
        Some(SitePath(Cow::Owned(normalize(&path))))
    }

    /// The bytes of the path: any but NUL, as in the file system.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path without borrowing from the request.
    pub fn into_owned(self) -> SitePath<'static> {
        SitePath(Cow::Owned(self.0.into_owned()))
    }

    /// Returns whether the path means a directory: it is the root, or ends in a slash.
    pub fn is_directory(&self) -> bool {
        matches!(self.0.last(), None | Some(b'/'))
    }

    /// Returns the path with a slash at its end.
    pub fn into_directory(self) -> SitePath<'a> {
        if self.is_directory() { self } else { self.with_extension("/") }
    }

    /// Returns the path with `extension` behind its last name. The result may not be a valid name.
    pub fn with_extension(&self, extension: &str) -> SitePath<'a> {
        SitePath(Cow::Owned([self.bytes(), extension.as_bytes()].concat()))
    }

    /// Returns the path without `extension` at its end; `None` if it does not end so, or nothing
    /// valid is left of the name.
    pub fn without_extension(&self, extension: &str) -> Option<SitePath<'a>> {
        let stem = self.0.strip_suffix(extension.as_bytes())?;
        let name = stem.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty())?;
        is_valid_name(name).then(|| SitePath(Cow::Owned(stem.to_vec())))
    }

    /// Returns the directory of the path, if its last name is `name`.
    pub fn strip_index(&self, name: &str) -> Option<SitePath<'a>> {
        let parent = self.0.strip_suffix(name.as_bytes())?;
        matches!(parent.last(), None | Some(b'/')).then(|| SitePath(Cow::Owned(parent.to_vec())))
    }

    /// Returns the path relative to the directory `base`; `None` if it is not below it.
    pub fn strip_base(&self, base: &SitePath<'_>) -> Option<SitePath<'a>> {
        let strip_base = self.0.strip_prefix(base.bytes())?.len();
        Some(SitePath(match &self.0 {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[bytes.len() - strip_base..]),
            Cow::Owned(bytes) => Cow::Owned(bytes[bytes.len() - strip_base..].to_vec()),
        }))
    }

    /// Returns this path below the directory `base`.
    pub fn with_base(&self, base: &SitePath<'_>) -> SitePath<'static> {
        SitePath(Cow::Owned([base.bytes(), self.bytes()].concat()))
    }

    /// Returns the names of the path.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|name| !name.is_empty())
    }
}

/// Returns whether `path` needs no work, as most do not: no name is empty, begins with a dot or may
/// be too long.
fn is_normalized(path: &[u8]) -> bool {
    let pairs = path.iter().zip(path.iter().skip(1));
    // All pairs, without an early exit: that takes no branch.
    let is_odd = pairs.fold(false, |is_odd, (before, byte)| {
        is_odd | (*byte == 0) | ((*before == b'/') & ((*byte == b'/') | (*byte == b'.')))
    });
    !is_odd && path.len() <= NAME_MAX
}

/// Joins the names by single slashes, without the empty ones and `.`.
fn normalize(path: &[u8]) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &'static str) -> SitePath<'static> {
        SitePath::parse(Cow::Borrowed(path.as_bytes())).expect("a path")
    }

    #[test]
    fn paths_made_of_paths() {
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
            assert_eq!(at(path).strip_index("i"), parent.map(at), "{path}");
        }
        let base = at("/app/");
        for (path, strip_base) in
            [("/app/", Some("/")), ("/app/a/b", Some("/a/b")), ("/app", None), ("/apple", None)]
        {
            assert_eq!(at(path).strip_base(&base), strip_base.map(at), "{path}");
        }
        assert_eq!(at("/a/b").with_base(&base), at("/app/a/b"));
        assert_eq!(at("/a/b").strip_base(&SitePath::ROOT), Some(at("/a/b")));
        assert_eq!(at("/a/b/").names().collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn path_that_needs_no_work_is_borrowed() {
        for path in ["/", "/a", "/a/b.html", "/a/"] {
            assert!(matches!(at(path), SitePath(Cow::Borrowed(_))), "{path}");
        }
        for path in ["//a", "/./a", "/.a"] {
            assert!(matches!(at(path), SitePath(Cow::Owned(_))), "{path}");
        }
    }
}
