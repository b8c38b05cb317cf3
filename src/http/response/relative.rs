//! Relative links. They also work behind a proxy that removes a prefix from paths, because the
//! prefix, which the server does not know, is not in them.

use crate::http::locate;

/// The number of directories that a relative link may lead up, so that it stays short.
const MAX_LEVELS: usize = 32;

/// Returns a link from `requested`, a path as the client sent it, to `to`, a normalized URL path.
///
/// The link is `to` itself if the client and the server may disagree about the directory of the
/// requested path, because this path is not normalized, or if the link would lead up many
/// directories. It never leads to another host, because both paths are normalized.
pub fn relative_link(requested: &[u8], to: &str) -> String {
    let from = locate(requested).map(|from| from.to_string()).unwrap_or_default();
    // Normalization always removes slashes, because no name is empty, `.` or `..`.
    let is_normalized = from.matches('/').count() == memchr::memchr_iter(b'/', requested).count();
    let directory = &from[..from.rfind('/').map_or(0, |slash| slash + 1)];
    let same = directory.bytes().zip(to.bytes()).take_while(|(a, b)| a == b).count();
    let common = directory[..same].rfind('/').map_or(0, |slash| slash + 1);
    let levels = directory[common..].matches('/').count();
    if common == 0 || !is_normalized || levels > MAX_LEVELS {
        return to.to_owned();
    }
    let link = "../".repeat(levels) + &to[common..];
    if link.is_empty() { "./".to_owned() } else { link }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_is_relative_to_the_requested_path() {
        let table = [
            ("/", "/", "./"),
            ("/", "/a", "a"),
            ("/a", "/", "./"),
            ("/a", "/a/", "a/"),
            ("/a/", "/a", "../a"),
            ("/a/b", "/a/", "./"),
            ("/a/b", "/a/c/d", "c/d"),
            ("/a/b/c", "/a/x", "../x"),
            ("/a/b/c", "/", "../../"),
            ("/ab/c", "/ac/d", "../ac/d"),
            ("/a/bc/d", "/a/bd", "../bd"),
            ("/a%20b/c", "/a%20b/d", "d"),
            ("/%61/c", "/a/d", "d"),
            // The client, or a proxy, may normalize these paths in another way.
            ("//a/b", "/c", "/c"),
            ("/a/../b/c", "/d", "/d"),
            ("/a//b", "/a/c", "/a/c"),
            ("*", "/a", "/a"),
            ("", "/a", "/a"),
            ("/%00/b", "/a", "/a"),
        ];
        for (requested, to, expected) in table {
            assert_eq!(relative_link(requested.as_bytes(), to), expected, "{requested} to {to}");
        }
        let deep = |levels: usize| format!("/{}x", "a/".repeat(levels));
        assert_eq!(relative_link(deep(MAX_LEVELS).as_bytes(), "/b"), "../".repeat(MAX_LEVELS) + "b");
        assert_eq!(relative_link(deep(MAX_LEVELS + 1).as_bytes(), "/b"), "/b");
    }
}
