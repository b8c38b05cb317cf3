//! A strict response parser.

/// A strictly parsed response: a bad status line, a bare LF or a bad field line panics.
#[derive(Debug, Clone)]
pub struct Response {
    pub version: String,
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Parses a response head.
    pub(super) fn parse(head: &[u8]) -> Response {
        let text = std::str::from_utf8(head).expect("an ASCII head");
        let mut lines = text.strip_suffix("\r\n\r\n").expect("a complete head").split("\r\n");
        let status_line = lines.next().expect("a status line");
        let mut parts = status_line.splitn(3, ' ');
        let version = parts.next().expect("a version").to_owned();
        assert!(version == "HTTP/1.1", "version in {status_line:?}");
        let status = parts.next().and_then(|s| s.parse().ok()).expect("a status");
        let reason = parts.next().expect("a reason, possibly empty").to_owned();
        let headers = lines
            .map(|line| {
                assert!(!line.contains(['\r', '\n']), "a bare CR or LF in {line:?}");
                let (name, value) = line.split_once(": ").expect("a field line");
                (name.to_owned(), value.to_owned())
            })
            .collect();
        Response { version, status, reason, headers, body: Vec::new() }
    }

    /// Parses `bytes`, a complete response to GET with a Content-Length. Returns `None` if it is
    /// incomplete.
    pub fn whole(bytes: &[u8]) -> Option<Response> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let mut response = Response::parse(&bytes[..end]);
        let len: usize = response.header("content-length").map_or(0, |len| len.parse().expect("a number"));
        response.body = bytes[end..].to_vec();
        assert!(response.body.len() <= len, "bytes after {response:?}");
        (response.body.len() == len).then_some(response)
    }

    /// Returns the value of a field. Panics if the field occurs twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, v)| v.as_str());
        assert!(found.next().is_none(), "{name} occurs twice in {:?}", self.headers);
        value
    }

    /// Returns the path and query to which this redirect leads, as a browser resolves its
    /// `Location` (RFC 3986 section 5.2). `requested` is the path of the request, also in absolute
    /// form.
    pub fn leads_to(&self, requested: &str) -> Option<String> {
        let location = self.header("location")?;
        Some(resolve_link(requested, location))
    }

    /// Returns the length of the head in bytes.
    pub fn head_len(&self) -> usize {
        let lines: usize = self.headers.iter().map(|(name, value)| name.len() + 2 + value.len() + 2).sum();
        self.version.len() + 1 + 3 + 1 + self.reason.len() + 2 + lines + 2
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns whether the response announces that the server closes the connection.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }
}

/// Returns the path or URL that `link` leads to from a page at `requested`.
pub fn resolve_link(requested: &str, link: &str) -> String {
    if link.starts_with('/') || link.contains("://") {
        return link.to_owned();
    }
    let path = requested.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("http://").map_or(path, |rest| &rest[rest.find('/').unwrap_or(0)..]);
    let mut directory = &path[..=path.rfind('/').expect("a slash")];
    let mut rest = link.strip_prefix("./").unwrap_or(link);
    while let Some(below) = rest.strip_prefix("../") {
        rest = below;
        directory = &directory[..=directory[..directory.len() - 1].rfind('/').unwrap_or(0)];
    }
    format!("{directory}{rest}")
}
