//! An HTTP client for one request and its response.

mod head;
mod request;
mod response;
mod url;

use std::{cell::Cell, io::Write, rc::Rc};

use self::head::ResponseHead;
pub(super) use self::response::{ResponsePiece, ResponseReader};
pub use self::{
    request::HttpRequest,
    url::{HttpServerName, HttpUrl, UrlError},
};
use super::{ClientError, Session};
use crate::{
    protocol::{Body, CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    trace::Step,
};

/// A client that sends one request, shows both heads, and writes the body of the response to its
/// output.
pub struct HttpClient {
    session: Session,
    request: HttpRequest,
    response: ResponseReader,
    output: Box<dyn Write>,
    status: Rc<Cell<Option<u16>>>,
}

impl HttpClient {
    /// Creates a client for one connection. A write to `output` may block the loop.
    pub fn new(request: HttpRequest, session: Session, output: Box<dyn Write>) -> HttpClient {
        let response = ResponseReader::new(request.is_head());
        HttpClient { session, request, response, output, status: Rc::default() }
    }

    /// Makes the client store the status code of the response in `status`.
    #[must_use]
    pub fn with_status(self, status: Rc<Cell<Option<u16>>>) -> HttpClient {
        HttpClient { status, ..self }
    }

    /// Shows a head, and notes about its unexpected consequences.
    fn show_head(&mut self, head: &ResponseHead<'_>) {
        let dialogue = &mut self.session.dialogue;
        dialogue.received(head.bytes);
        if head.ignores_length {
            dialogue.note("Transfer-Encoding overrides Content-Length");
        }
        if head.has_location && (300..400).contains(&head.status) {
            dialogue.note("this client does not follow redirects");
        }
    }

    /// Processes a piece of the response.
    fn process(&mut self, piece: &ResponsePiece<'_>) -> Result<(), ClientError> {
        match piece {
            ResponsePiece::Head(head) => {
                self.show_head(head);
                self.status.set(Some(head.status));
            }
            ResponsePiece::Body(bytes) => {
                let written = self.output.write_all(bytes).and_then(|()| self.output.flush());
                written.map_err(ClientError::Output)?;
            }
            ResponsePiece::Framing => {}
            ResponsePiece::Trailers(lines) => self.session.dialogue.received(lines),
        }
        Ok(())
    }

    /// Flushes the output after a complete response, whose body may have been empty.
    fn flush(&mut self) -> Result<(), ClientError> {
        self.output.flush().map_err(ClientError::Output)
    }
}

impl Protocol for HttpClient {
    fn on_connected(&mut self, out: &mut Outbox, _cx: &mut Context<'_>) -> Progress {
        let head = self.request.head();
        self.session.dialogue.sent(&head);
        out.bytes().extend_from_slice(&head);
        let content = Rc::clone(&self.request.body);
        if !content.is_empty() {
            self.session.dialogue.note(&format!("sending {} bytes of data", content.len()));
        }
        out.put(Body::Memory { range: 0..content.len(), content });
        Progress::NeedInput
    }

    /// Reads all pieces in `input`. If this method returned between two pieces, the second would
    /// stay unread while the request is being sent, because the outbox has no room then.
    fn receive(&mut self, input: &[u8], _out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let mut consumed = 0;
        loop {
            let (piece, len) = match self.response.next(&input[consumed..]) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(sentence) => return self.session.reject(input, sentence),
            };
            let start = if let ResponsePiece::Head(head) = &piece { head.status_line() } else { b"" };
            Session::trace_parsed(&input[consumed..], start, len, cx);
            consumed += len;
            if let Err(e) = self.process(&piece) {
                return Received { consumed: input.len(), progress: self.session.leave(Err(e)) };
            }
        }
        let rest = &input[consumed..];
        if !self.response.is_complete() {
            if !rest.is_empty() {
                cx.trace(|| Step::Incomplete { have: rest.len(), need: self.response.missing_part() });
            }
            return Received { consumed, progress: Progress::NeedInput };
        }
        if !rest.is_empty() {
            self.session.dialogue.note(&format!("ignoring {} bytes after the response", rest.len()));
        }
        let result = self.flush();
        Received { consumed: input.len(), progress: self.session.leave(result) }
    }

    /// A server may respond before it has read the whole request, for example to refuse it.
    fn reads_while_sending(&self) -> bool {
        true
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        self.session.timeout()
    }

    fn on_closed(&mut self, reason: CloseReason, _sent: u64, _cx: &mut Context<'_>) {
        let end = self.response.end();
        if end.is_ok() && reason == CloseReason::Eof {
            let result = self.flush();
            self.session.finish(result);
        }
        let place = end.err().unwrap_or_else(|| "before the end of the body".into());
        self.session.on_closed(reason, &place);
    }
}
