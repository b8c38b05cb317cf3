//! Rule files: whatever a file says, each response head stays well-formed.

use oneloop::internals::{HeaderScope, RedirectTarget, Redirects, SiteHeaders, SitePath, locate};

/// The head of a response before the rules of the site.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\nVary: Origin\r\nETag: \"a\"\r\n";
/// The fields that no rule may touch.
const RESERVED: [&str; 7] =
    ["content-length", "transfer-encoding", "connection", "date", "etag", "location", "content-range"];

/// Checks that the rules of a `_headers` file cannot end a field line, repeat a field that frames
/// the response or make the head long. The first line of the input is the path of a request.
pub fn headers_file(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (path, content) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let (headers, errors) = SiteHeaders::parse(content, &SitePath::ROOT);
    let count = content.split(|byte| *byte == b'\n').count();
    for error in &errors {
        assert!((1..=count).contains(&error.line), "{error:?}");
        let text = error.problem.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    assert!(errors.len() <= 21, "{} errors", errors.len());
    let scope = HeaderScope { content: true, freshness: true, csp: true, no_store: false, private: false };
    let mut out = HEAD.to_vec();
    headers.apply(scope, path, 0, &mut out);
    assert!(out.starts_with(
        b"HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 5\r\nVary: Origin\r\nETag: \"a\"\r\n"
    ));
    let fields = out.strip_suffix(b"\r\n").expect("whole lines").split(|byte| *byte == b'\n').skip(5);
    let mut len = 0;
    for line in fields {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
        let (name, value) = (String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase(), &line[colon..]);
        assert!(!name.is_empty() && !name.contains([' ', '\t']), "{name:?}");
        assert!(!RESERVED.contains(&name.as_str()), "{name}");
        assert!(!value.iter().any(|byte| *byte < b' ' && *byte != b'\t' || *byte == 0x7f), "{line:?}");
        len += line.len();
    }
    // Each use of what the path has matched is at most 2000 bytes longer than its line.
    assert!(len <= content.len() + 2000 * count, "{len} bytes from {}", content.len());
    headers.describes_content(path);
}

/// Checks that the rules of a `_redirects` file lead only to hosts that the file names, and that no
/// URL can end the field line. The first line of the input is the target of a request.
pub fn redirects_file(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (target, content) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let (redirects, errors) = Redirects::parse(content);
    assert!(errors.len() <= 21, "{} errors", errors.len());
    for error in &errors {
        assert!(!error.problem.to_string().chars().any(char::is_control), "{error:?}");
    }
    // A request with other bytes in its target is refused.
    if !target.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return;
    }
    let query_at = target.iter().position(|byte| *byte == b'?');
    let (path, query) = target.split_at(query_at.unwrap_or(target.len()));
    let Ok(path) = locate(path) else { return };
    let Some(found) = redirects.find(&path, query.get(1..), &SitePath::ROOT) else { return };
    match found.target {
        RedirectTarget::Location(status, location) => {
            assert!((300..=308).contains(&status.code()), "{status:?}");
            assert!(location.bytes().all(|byte| (b'!'..=b'~').contains(&byte)), "{location:?}");
            if let Some(rest) = location.strip_prefix('/') {
                assert!(!rest.starts_with(['/', '\\']), "{location:?}");
            } else {
                let (_, rest) = location.split_once("://").expect("a scheme");
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let is_named = content.windows(host.len()).any(|bytes| bytes == host.as_bytes());
                assert!(is_named && !host.is_empty(), "{location:?}");
            }
        }
        RedirectTarget::File(path) | RedirectTarget::NotFound(path) => {
            assert!(path.names().all(|name| !matches!(name, b"." | b"..")), "{path}");
        }
    }
}
