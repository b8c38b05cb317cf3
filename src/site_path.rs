//! The path of a file or directory in the site: decoded, normalized and checked, so that it never
//! leads out of the root.
//!
//! HTTP parses a site path from a request target, and the site opens the path. This module belongs
//! to neither, and must know nothing about requests or the file system.

use std::{borrow::Cow, fmt};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// The longest file name in bytes (`NAME_MAX`, limits.h(0p)).
const NAME_MAX: usize = 255;
/// The one dotfile that is public by convention (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// The files at the top of a site that say how to serve it. They are never served themselves.
pub const RULE_FILES: [&str; 2] = ["_headers", "_redirects"];

/// The bytes to percent-encode in a URL path: all except unreserved characters (RFC 3986 section
/// 2.3) and the slashes between names.
pub const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A path below the root of the site: names joined by single slashes, none of them `.` or `..`. It
/// has no leading slash, and has a trailing slash if it refers to a directory. The root is the
/// empty path.
#[derive(Debug, Clone)]
pub struct SitePath<'a> {
    path: Cow<'a, [u8]>,
    /// Whether any name in the path may begin with a dot. `false` means that parsing has found no
    /// such name.
    may_have_dotfile: bool,
}

impl PartialEq for SitePath<'_> {
    fn eq(&self, other: &SitePath<'_>) -> bool {
        self.path == other.path
    }
}

impl Eq for SitePath<'_> {}

/// The policy for names that begin with a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DotfilePolicy {
    /// Allows no dotfile except `.well-known` at the root.
    #[default]
    Visible,
    /// Allows all dotfiles (but not `.` and `..`).
    All,
}

impl DotfilePolicy {
    /// Returns whether `name` may be requested. `depth` is the number of names before it in its
    /// path.
    pub fn allow(self, name: &[u8], depth: usize) -> bool {
        self == DotfilePolicy::All || !name.starts_with(b".") || (name == WELL_KNOWN && depth == 0)
    }

    /// Returns whether all names in `path` may be requested.
    pub fn allow_all(self, path: &SitePath<'_>) -> bool {
        !path.may_have_dotfile || path.names().enumerate().all(|(depth, name)| self.allow(name, depth))
    }
}

/// Returns whether a file can have this name.
fn is_valid_name(name: &[u8]) -> bool {
    !matches!(name, b"." | b"..") && name.len() <= NAME_MAX && !name.contains(&0)
}

/// Formats the path as a percent-encoded URL path with a leading slash.
impl fmt::Display for SitePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", percent_encode(self.bytes(), PATH))
    }
}

impl<'a> SitePath<'a> {
    /// The root of the site.
    pub const ROOT: SitePath<'static> = SitePath { path: Cow::Borrowed(b""), may_have_dotfile: false };

    /// Normalizes a decoded `path`, which begins with a slash or is empty. Removes empty names and
    /// `.`.
    ///
    /// Returns `None` if a name is `..`, contains a NUL or is too long for a file.
    pub fn parse(path: Cow<'a, [u8]>) -> Option<SitePath<'a>> {
        if let Cow::Borrowed(path) = path
            && is_normalized(path)
        {
            let path = Cow::Borrowed(path.get(1..).unwrap_or_default());
            return Some(SitePath { path, may_have_dotfile: false });
        }
        let names = path.split(|b| *b == b'/').skip(1);
        if !names.filter(|name| !matches!(*name, b"" | b".")).all(is_valid_name) {
            return None;
        }
        Some(SitePath::owned(normalize(&path)))
    }

    fn owned(path: Vec<u8>) -> SitePath<'static> {
        SitePath { path: Cow::Owned(path), may_have_dotfile: true }
    }

    /// Returns the bytes of the path. They contain no NUL, but need not be UTF-8.
    pub fn bytes(&self) -> &[u8] {
        &self.path
    }

    /// Converts the path into one that borrows nothing from the request.
    pub fn into_owned(self) -> SitePath<'static> {
        let SitePath { path, may_have_dotfile } = self;
        SitePath { path: Cow::Owned(path.into_owned()), may_have_dotfile }
    }

    /// Returns whether the path refers to a directory: whether it is the root or ends in a slash.
    pub fn is_directory(&self) -> bool {
        matches!(self.path.last(), None | Some(b'/'))
    }

    /// Returns whether the path is that of a rule file, `_headers` or `_redirects`.
    pub fn is_rule_file(&self) -> bool {
        is_rule_file(self.bytes())
    }

    /// Returns the path with a trailing slash.
    pub fn into_directory(self) -> SitePath<'a> {
        if self.is_directory() { self } else { self.with_extension("/") }
    }

    /// Returns the path with `extension` appended to its last name. The name may then be too long
    /// for a file.
    pub fn with_extension(&self, extension: &str) -> SitePath<'a> {
        SitePath::owned([self.bytes(), extension.as_bytes()].concat())
    }

    /// Returns the path without its suffix `extension`, or `None` if it has no such suffix or no
    /// valid name is left.
    pub fn without_extension(&self, extension: &str) -> Option<SitePath<'a>> {
        let stem = self.path.strip_suffix(extension.as_bytes())?;
        let name = stem.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty())?;
        is_valid_name(name).then(|| SitePath::owned(stem.to_vec()))
    }

    /// Returns the directory that contains the file, or `None` if the path's last name is not
    /// `name`.
    pub fn strip_index(&self, name: &str) -> Option<SitePath<'a>> {
        let parent = self.path.strip_suffix(name.as_bytes())?;
        matches!(parent.last(), None | Some(b'/')).then(|| SitePath::owned(parent.to_vec()))
    }

    /// Returns the directory that the file or directory is in, or `None` for the root.
    pub fn parent(&self) -> Option<SitePath<'static>> {
        let path = self.path.strip_suffix(b"/").unwrap_or(&self.path);
        let start = memchr::memrchr(b'/', path).map_or(0, |slash| slash + 1);
        (!path.is_empty()).then(|| SitePath::owned(path[..start].to_vec()))
    }

    /// Returns the path relative to the directory `base`, or `None` if it is not below `base`.
    pub fn strip_base(&self, base: &SitePath<'_>) -> Option<SitePath<'a>> {
        let rest_at = self.path.strip_prefix(base.bytes()).map(|rest| self.path.len() - rest.len())?;
        let path = match &self.path {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[rest_at..]),
            Cow::Owned(bytes) => Cow::Owned(bytes[rest_at..].to_vec()),
        };
        Some(SitePath { path, may_have_dotfile: self.may_have_dotfile })
    }

    /// Returns this path with `base` in front of it.
    pub fn with_base(&self, base: &SitePath<'_>) -> SitePath<'static> {
        SitePath::owned([base.bytes(), self.bytes()].concat())
    }

    /// Returns the names in the path, starting at the root.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.path.split(|b| *b == b'/').filter(|name| !name.is_empty())
    }
}

/// Returns whether `path` needs no normalization: no name is empty, begins with a dot or may be too
/// long. This is the usual case.
fn is_normalized(path: &[u8]) -> bool {
    let pairs = path.iter().zip(path.iter().skip(1));
    // Compare all pairs without an early exit, so that the compiler can use vector instructions.
    let needs_work = pairs.fold(false, |needs_work, (before, byte)| {
        needs_work | (*byte == 0) | ((*before == b'/') & ((*byte == b'/') | (*byte == b'.')))
    });
    !needs_work && path.len() <= NAME_MAX
}

/// Returns the names in `path` joined by single slashes, without empty names and `.`.
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

/// Returns whether `path` names a rule file, `_headers` or `_redirects`.
pub fn is_rule_file(path: &[u8]) -> bool {
    RULE_FILES.iter().any(|name| path == name.as_bytes())
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
        for (path, parent) in [("/a/b", "/a/"), ("/a/b/", "/a/"), ("/a", "/"), ("/a/", "/")] {
            assert_eq!(at(path).parent(), Some(at(parent)), "{path}");
        }
        assert_eq!(SitePath::ROOT.parent(), None);
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
            assert!(matches!(at(path).path, Cow::Borrowed(_)), "{path}");
        }
        for path in ["//a", "/./a", "/.a"] {
            assert!(matches!(at(path).path, Cow::Owned(_)), "{path}");
        }
    }
}
