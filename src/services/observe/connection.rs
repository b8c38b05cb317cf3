//! One connection to the live page: a request for a file, or for the stream of turns.

use std::rc::Rc;

use super::{
    PageContext,
    large::{LARGE, LARGE_LEN, LargeBody, SMALL},
    pages::{self, head},
    stream::TurnStream,
};
use crate::{
    address::Address,
    http::{Method, Refusal, Request, RequestInfo, Status, missing_part, parse_within},
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    services::http_steps::planned,
    trace::Step,
};

/// The maximum length of a request head.
const MAX_HEAD: usize = 16 * 1024;

/// The protocol of one connection to the page.
pub struct PageConnection {
    context: Rc<PageContext>,
    peer: Address,
    /// Whether no request has arrived.
    is_new: bool,
    stream: Option<Box<TurnStream>>,
    large: Option<Box<LargeBody>>,
}

impl PageConnection {
    pub fn new(context: Rc<PageContext>, peer: Address) -> PageConnection {
        PageConnection { context, peer, is_new: true, stream: None, large: None }
    }

    /// Puts the response to `request` into `out`. `name` is what the request asks for, or why it is
    /// refused.
    fn respond(
        &mut self,
        request: &Request<'_>,
        name: Result<&[u8], Refusal>,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Progress {
        let response = name.and_then(|name| match name {
            LARGE if request.info.method == Method::Get => Ok(self.start_large(out, cx)),
            SMALL => Ok(self.send((Status::Ok, "text/plain", "hello\n"), &request.info, out, cx)),
            b"events" if request.info.method == Method::Get => self.start_stream(request, out, cx),
            _ => {
                let file = pages::file(name).ok_or(Refusal::NOT_FOUND)?;
                Ok(self.send((Status::Ok, file.media_type, file.body), &request.info, out, cx))
            }
        });
        response.unwrap_or_else(|refusal| self.refuse(&refusal, &request.info, out, cx))
    }

    /// Starts the large response. It ends with the connection.
    fn start_large(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        let (media_type, len) = ("application/octet-stream", Some(LARGE_LEN));
        let head = head(Status::Ok, media_type, len, false, cx.clock);
        out.bytes().extend_from_slice(&head);
        cx.trace(|| planned(Status::Ok.code(), head, len));
        self.large = Some(Box::new(LargeBody::new()));
        Progress::Yield
    }

    fn send(
        &self,
        (status, media_type, body): (Status, &str, &str),
        request: &RequestInfo<'_>,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Progress {
        let persists = request.persists() && !cx.stopping;
        let length = Some(body.len() as u64);
        let head = head(status, media_type, length, persists, cx.clock);
        cx.trace(|| planned(status.code(), head.clone(), length));
        out.bytes().extend_from_slice(&head);
        if request.method != Method::Head {
            out.bytes().extend_from_slice(body.as_bytes());
        }
        match (persists, request.is_complete) {
            (true, _) => Progress::Again,
            (false, true) => Progress::Close(CloseReason::Done),
            (false, false) => Progress::Close(CloseReason::BadRequest),
        }
    }

    fn refuse(
        &self,
        refusal: &Refusal,
        request: &RequestInfo<'_>,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Progress {
        let page = pages::refusal_page(refusal);
        self.send((refusal.status, "text/html; charset=utf-8", &page), request, out, cx)
    }

    /// Starts a stream of turns. It ends with the connection.
    fn start_stream(
        &mut self,
        request: &Request<'_>,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Result<Progress, Refusal> {
        if cx.stopping {
            return Err(Refusal::BUSY);
        }
        self.context.open_page()?;
        // It may have been shown for an earlier request.
        self.context.feed.hide(cx.source);
        let agent = request.info.user_agent.unwrap_or_default();
        self.stream = Some(Box::new(TurnStream::new(&self.context, agent, cx)));
        let head = head(Status::Ok, "text/event-stream", None, false, cx.clock);
        out.bytes().extend_from_slice(&head);
        Ok(Progress::Yield)
    }
}

impl Protocol for PageConnection {
    fn on_connected(&mut self, _out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        self.context.feed.hide(cx.source);
        Progress::NeedInput
    }

    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        match parse_within(input, MAX_HEAD) {
            Ok(None) => {
                cx.trace(|| Step::Incomplete { have: input.len(), need: missing_part(input) });
                Received { consumed: 0, progress: Progress::NeedInput }
            }
            Ok(Some((request, len))) => {
                self.is_new = false;
                let name = self.context.check(&request);
                if matches!(name, Ok(LARGE | SMALL)) {
                    let agent = request.info.user_agent.unwrap_or_default();
                    self.context.feed.show(cx.source, &self.peer, agent);
                }
                let (start, left) = (request.info.line.to_vec(), input.len() - len);
                cx.trace(|| Step::Understood { start, len, left });
                Received { consumed: len, progress: self.respond(&request, name, out, cx) }
            }
            Err(refusal) => {
                cx.trace(|| Step::Refused { reason: refusal.why });
                let progress = self.refuse(&refusal, &RequestInfo::unparsed(input), out, cx);
                Received { consumed: input.len(), progress }
            }
        }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        if let Some(large) = &mut self.large {
            return large.put(out);
        }
        let Some(stream) = &mut self.stream else { return Progress::Again };
        if cx.draining {
            return Progress::Close(CloseReason::Shutdown);
        }
        let peer = self.peer.ip().map_or_else(String::new, |peer| peer.ip().to_string());
        stream.resume(&self.context, &peer, out, cx)
    }

    fn timeout(&self, partial: bool) -> Timeout {
        let timeouts = &self.context.timeouts;
        if partial || self.is_new {
            Timeout { limit: timeouts.head, reason: CloseReason::HeadTimeout }
        } else {
            Timeout { limit: timeouts.idle, reason: CloseReason::IdleTimeout }
        }
    }

    fn is_idle(&self) -> bool {
        self.stream.is_none() && self.large.is_none()
    }

    fn ends_at_shutdown(&self) -> bool {
        self.stream.is_some()
    }

    fn ends_with_peer(&self) -> bool {
        // The page has been closed.
        self.stream.is_some()
    }

    fn on_closed(&mut self, _reason: CloseReason, _sent: u64, cx: &mut Context<'_>) {
        if self.stream.take().is_some() {
            self.context.close_page();
        }
        self.context.feed.close(cx.source);
    }
}
