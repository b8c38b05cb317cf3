//! Takes an HTTP response apart, without any code of the server.

/// A response, and where it ends.
pub struct Response<'a> {
    pub status: u16,
    pub head: &'a str,
    pub body: Vec<u8>,
    /// The number of bytes of the response.
    pub len: usize,
    /// Whether the end of the connection ends the body.
    pub ends_with_connection: bool,
}

impl Response<'_> {
    /// Parses the response at the beginning of `output`. A response to a HEAD request has no body.
    ///
    /// # Panics
    /// Panics if the response is not framed as it says.
    pub fn parse(output: &[u8], is_to_head: bool) -> Response<'_> {
        let end = output.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of a head") + 4;
        let head = std::str::from_utf8(&output[..end]).expect("an ASCII head");
        for line in head.split_terminator("\r\n") {
            assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
        }
        let status =
            head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok()).expect("a status");
        let mut response = Response { status, head, body: Vec::new(), len: end, ends_with_connection: false };
        let lengths =
            head.matches("\r\nContent-Length: ").count() + head.matches("\r\nTransfer-Encoding: ").count();
        assert!(lengths <= 1, "two lengths: {head}");
        if is_to_head || status == 304 || status == 204 {
            return response;
        }
        let rest = &output[end..];
        if let Some(len) = response.field("Content-Length") {
            let len: usize = len.parse().expect("a length");
            response.body = rest.get(..len).expect("as many bytes as the head says").to_vec();
            response.len += len;
        } else if response.field("Transfer-Encoding").is_some() {
            let (body, len) = dechunk(rest);
            response.body = body;
            response.len += len;
        } else {
            response.body = rest.to_vec();
            response.len += rest.len();
            response.ends_with_connection = true;
        }
        response
    }

    /// Returns the value of the field called `name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.split("\r\n").skip(1);
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Asserts that a partial response holds what its `Content-Range` fields say. `content` returns
    /// the whole content of a file of the given length.
    pub fn assert_ranges(&self, content: impl Fn(usize) -> &'static [u8]) {
        let media_type = self.field("Content-Type").unwrap_or_default();
        let Some(boundary) = media_type.strip_prefix("multipart/byteranges; boundary=") else {
            assert_slice(self.field("Content-Range").expect("its range"), &self.body, content);
            return;
        };
        let delimiter = format!("--{boundary}\r\n");
        let last = format!("\r\n--{boundary}--\r\n");
        assert!(self.body.ends_with(last.as_bytes()), "a last delimiter");
        let mut rest = &self.body[..];
        let mut parts = 0;
        while let Some(at) = find(rest, delimiter.as_bytes()) {
            let part = &rest[at + delimiter.len()..];
            let end = find(part, b"\r\n\r\n").expect("the head of the part") + 4;
            let head = std::str::from_utf8(&part[..end]).expect("ASCII");
            let range =
                head.split("\r\n").find_map(|line| line.strip_prefix("Content-Range: ")).expect("a range");
            let len = assert_slice(range, &part[end..], &content);
            rest = &part[end + len..];
            assert!(rest.starts_with(format!("\r\n--{boundary}").as_bytes()), "a delimiter after the part");
            parts += 1;
        }
        assert!(parts > 1, "a multipart response has several parts");
    }
}

/// Asserts that `bytes` begin with the slice that `content_range` names. Returns its length.
fn assert_slice(content_range: &str, bytes: &[u8], content: impl Fn(usize) -> &'static [u8]) -> usize {
    let numbers: Vec<usize> = content_range
        .strip_prefix("bytes ")
        .map(|range| range.split(['-', '/']).map(|number| number.parse().expect("a number")).collect())
        .unwrap_or_default();
    let [first, last, whole] = numbers[..] else { panic!("{content_range:?}") };
    let slice = &content(whole)[first..=last];
    assert!(bytes.starts_with(slice), "the content of {content_range}");
    slice.len()
}

/// Returns the content of the chunked body at the beginning of `input`, and its length there.
fn dechunk(input: &[u8]) -> (Vec<u8>, usize) {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = find(&input[at..], b"\r\n").expect("the line of a chunk");
        let size = std::str::from_utf8(&input[at..at + line]).expect("ASCII");
        let size = usize::from_str_radix(size, 16).expect("a size");
        at += line + 2;
        body.extend_from_slice(&input[at..at + size]);
        at += size;
        assert_eq!(&input[at..at + 2], b"\r\n", "the end of a chunk");
        at += 2;
        if size == 0 {
            return (body, at);
        }
    }
}

/// Returns where `needle` begins in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}
