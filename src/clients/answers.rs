//! Finds the end of each answer in a stream of answers. Nothing of an answer is kept.

use super::{
    http::{ResponsePiece, ResponseReader},
    scripted::ScriptedRequest,
};

/// The maximum length in bytes of a line that is an answer.
const MAX_LINE: usize = 1024 * 1024;

/// The length in bytes of a complete answer, and its status if it is a response of HTTP.
type CompleteAnswer = (u64, Option<u16>);

/// A reader of the answers on one connection.
pub struct AnswerReader {
    kind: Kind,
    /// The number of bytes of the answer that is being read.
    len: u64,
    status: Option<u16>,
}

/// The protocol of the answers.
enum Kind {
    Http(ResponseReader),
    Line,
}

impl AnswerReader {
    /// Returns a reader for the answers to requests such as `request`.
    pub fn new(request: &ScriptedRequest) -> AnswerReader {
        let kind = match request {
            ScriptedRequest::Http(_) => Kind::Http(ResponseReader::new(false)),
            ScriptedRequest::Line(_) => Kind::Line,
        };
        AnswerReader { kind, len: 0, status: None }
    }

    /// Reads a piece at the beginning of `input`. Returns its length, which is 0 if more input is
    /// needed, and the answer that it completes, if it does.
    ///
    /// # Errors
    /// Returns an error message if the input is not an answer.
    pub fn next(&mut self, input: &[u8]) -> Result<(usize, Option<CompleteAnswer>), String> {
        let (len, is_complete) = match &mut self.kind {
            Kind::Line => match memchr::memchr(b'\n', input) {
                Some(at) => (at + 1, true),
                None if self.len + input.len() as u64 > MAX_LINE as u64 => {
                    return Err(format!("a line of the answer is longer than {MAX_LINE} bytes"));
                }
                None => (input.len(), false),
            },
            Kind::Http(reader) => {
                let Some((piece, len)) = reader.next(input)? else { return Ok((0, None)) };
                if let ResponsePiece::Head(head) = &piece {
                    self.status = Some(head.status);
                }
                (len, reader.is_complete())
            }
        };
        self.len += len as u64;
        Ok((len, if is_complete { Some(self.complete()) } else { None }))
    }

    /// Handles the end of the stream. Returns the answer that it completes, if it does.
    pub fn end(&mut self) -> Option<CompleteAnswer> {
        match &mut self.kind {
            // A server may leave the end of its last line out.
            Kind::Line => (self.len > 0).then(|| self.complete()),
            Kind::Http(reader) => (self.len > 0 && reader.end().is_ok()).then(|| self.complete()),
        }
    }

    /// Returns what an incomplete answer lacks, for traces.
    pub fn missing_part(&self) -> &'static str {
        match &self.kind {
            Kind::Http(reader) => reader.missing_part(),
            Kind::Line => "LF",
        }
    }

    /// Returns the answer that is complete now, and begins the next one.
    fn complete(&mut self) -> CompleteAnswer {
        if let Kind::Http(reader) = &mut self.kind {
            *reader = ResponseReader::new(false);
        }
        (std::mem::take(&mut self.len), self.status.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::HttpUrl;

    fn http() -> ScriptedRequest {
        ScriptedRequest::get(&HttpUrl::parse("http://a/").expect("a URL"))
    }

    /// Returns the answers in `input`, of which `step` more bytes arrive at a time, and the answer
    /// that the end of the stream completes.
    fn answers(request: &ScriptedRequest, input: &[u8], step: usize) -> Vec<CompleteAnswer> {
        let (mut reader, mut found) = (AnswerReader::new(request), Vec::new());
        let (mut at, mut arrived) = (0, 0);
        while arrived < input.len() {
            arrived = input.len().min(arrived + step);
            loop {
                let (len, answer) = reader.next(&input[at..arrived]).expect("answers");
                at += len;
                found.extend(answer);
                if len == 0 || at == arrived {
                    break;
                }
            }
        }
        found.extend(reader.end());
        found
    }

    #[test]
    fn answers_end_by_length_by_chunks_and_with_the_connection() {
        let length = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".as_slice();
        let chunks = b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".as_slice();
        let close = b"HTTP/1.0 200 OK\r\n\r\nok".as_slice();
        let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok".as_slice();
        let [of_length, of_chunks, of_close] = [length, chunks, close].map(|bytes| bytes.len() as u64);
        for step in [1, 7, 1000] {
            let both = [length, chunks, close].concat();
            let expected = [(of_length, Some(200)), (of_chunks, Some(404)), (of_close, Some(200))];
            assert_eq!(answers(&http(), &both, step), expected, "{step}");
            assert_eq!(answers(&http(), cut, step), []);
        }
    }

    #[test]
    fn answers_may_be_lines() {
        let line = ScriptedRequest::Line(b"a\n".to_vec());
        for step in [1, 2, 100] {
            assert_eq!(answers(&line, b"A\nBB\nC", step), [(2, None), (3, None), (1, None)], "{step}");
        }
        assert!(AnswerReader::new(&line).next(&vec![b'a'; MAX_LINE + 1]).is_err());
        assert!(AnswerReader::new(&http()).next(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }
}
