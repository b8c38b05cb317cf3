//! The state machine of one HTTP connection: one request, then its response, then the next request.
//!
//! | State | Entered when | `receive` | `resume` | Timeout |
//! |---|---|---|---|---|
//! | `New` | the connection is accepted | parses a request and [replies](Reply) | - | head |
//! | `Idle` | a response is in the outbox | as in `New` | - | idle; head once a request has begun |
//! | `Delayed` | a request arrives, if responses are delayed | as in `New`, once the delay is over | - | - |
//! | `Discarding` | the head of a request with a body arrives | drops the body, then replies | - | head |
//! | `Gathering` | a listing is requested | - | reads directory entries, then replies | - |
//! | `Streaming` | a body is made in pieces | - | puts the next piece into the outbox | - |
//! | `Live` | a page observes the files | - | puts the changes into the outbox | - |
//! | `Target` | a response of the load target waits | - | goes on with the response | - |
//!
//! In every state, a response that ends the connection returns [`Progress::Close`]. `Gathering` and
//! `Streaming` yield after each piece, or wait until a turn has time for the next one. `Live` waits
//! for changes, and `Target` for a time. So the loop does not call `receive` until that state ends.
//! The `connection` module enforces the send timeout. This module must never do I/O, and does not
//! parse requests itself.

mod discarding;

use std::{
    mem,
    net::IpAddr,
    num::NonZeroU64,
    rc::Rc,
    time::{Duration, Instant},
};

use self::discarding::DiscardingRequest;
use super::{
    HttpService,
    live::LiveResponse,
    reply::{Outcome, PendingListing, Reply, StreamingResponse},
    response_cache::{NewResponse, RepeatedResponse},
    steps,
    target::TargetResponse,
};
use crate::{
    clock::Clock,
    http::{Refusal, Request, RequestInfo, is_worth_parsing, missing_part, parse_within},
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, Received, Timeout},
    services::{pending::PendingEntries, target::PeerAccess},
    trace::Step,
};

/// The protocol of one HTTP connection.
pub struct HttpConnection {
    http: Rc<HttpService>,
    entries: Option<Box<PendingEntries>>,
    state: State,
    /// The length of an incomplete request when it was parsed last, or 0.
    seen: u32,
    /// Whether the load target answers the peer.
    access: PeerAccess,
}

/// The state of a connection (see the table at the top of this file).
enum State {
    New,
    Idle,
    /// The request that is next in the input is answered at this time.
    Delayed(Instant),
    Discarding(Box<DiscardingRequest>),
    Gathering(Box<PendingListing>),
    Streaming(Box<StreamingResponse>),
    Live(Box<LiveResponse>),
    Target(Box<TargetResponse>),
}

impl HttpConnection {
    /// Creates the protocol of a new connection. `entries` collects the connection's access-log
    /// entries, if there is an access log. `access` is what the load target knows about the peer.
    pub fn new(http: Rc<HttpService>, entries: Option<PendingEntries>, access: PeerAccess) -> HttpConnection {
        HttpConnection { http, entries: entries.map(Box::new), state: State::New, seen: 0, access }
    }

    /// Returns the address of the client that the valid request head at the start of `input` names,
    /// if the peer is a trusted proxy, and the access log or the load target needs to know it.
    fn client(&self, input: &[u8]) -> Option<IpAddr> {
        match &self.http.target {
            Some(target) => target.client(self.access, input),
            None => self.entries.as_ref()?.client(input),
        }
    }

    /// Puts a kept response to the next request in `input` into the outbox, if there is one.
    fn repeat(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Option<Received> {
        let HttpService { responses, resolver, .. } = &*self.http;
        let (entries, at) = (self.entries.as_deref_mut(), out.bytes().len());
        let response = responses.repeat(input, resolver, entries, out, cx.clock)?;
        let RepeatedResponse { received, status, body_len, .. } = response;
        let len = received.consumed;
        cx.trace(|| {
            let line = &input[..memchr::memchr(b'\r', input).unwrap_or(len)];
            Step::Understood { start: line.to_vec(), len, left: input.len() - len }
        });
        cx.trace(|| steps::repeated(status.code(), response.head(out, at).to_vec(), body_len));
        self.state = State::Idle;
        Some(received)
    }

    /// Replies to a parsed request, whose bytes are `input`. Keeps the response if the same one may
    /// be due again.
    fn respond(
        &mut self,
        request: &Request<'_>,
        input: &[u8],
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Progress {
        if !self.http.keeps_responses(cx) {
            return self.reply(&request.info, input, out, cx, |reply| reply.respond(request));
        }
        let (http, start) = (Rc::clone(&self.http), out.bytes().len());
        http.resolver.take_lease();
        let progress = self.reply(&request.info, input, out, cx, |reply| reply.respond(request));
        // What the load target answers depends on the peer as well.
        let is_of_target = || http.target.as_ref().is_some_and(|target| target.locate(request).is_some());
        if let Some(lease) = http.resolver.take_lease().filter(|_| !is_of_target()) {
            let (info, is_recorded) = (&request.info, self.entries.is_some());
            let new = NewResponse { request: input, info, start, is_recorded, progress, lease };
            http.responses.keep(&new, out, cx.clock);
        }
        progress
    }

    /// Returns when to answer the request that is next in the input, or `None` if it is answered
    /// now.
    fn delay(&mut self, delay: Duration, cx: &Context<'_>) -> Option<Instant> {
        let at = match self.state {
            State::Delayed(at) => at,
            _ => cx.clock.now() + delay,
        };
        let is_over = at <= cx.clock.now() || cx.draining;
        self.state = State::Delayed(at);
        (!is_over).then_some(at)
    }

    /// Calls `act` to reply to `request`, whose bytes are `message`, and enters the resulting
    /// state.
    fn reply(
        &mut self,
        request: &RequestInfo<'_>,
        message: &[u8],
        out: &mut Outbox,
        cx: &mut Context<'_>,
        act: impl FnOnce(Reply<'_, '_>) -> Outcome,
    ) -> Progress {
        let since = match (&self.state, self.http.delay) {
            // It was received before the delay.
            (State::Delayed(at), Some(delay)) => at.checked_sub(delay).unwrap_or(cx.clock.now()),
            _ => cx.clock.now(),
        };
        let (http, entries) = (&*self.http, self.entries.as_deref_mut());
        let target = http.target.as_deref().filter(|target| target.answers(self.access, request.client));
        let outcome =
            act(Reply { http, entries, request, message, since, live: None, target, rules: None, out, cx });
        self.enter(outcome)
    }

    /// Enters the state that follows from `outcome`.
    fn enter(&mut self, outcome: Outcome) -> Progress {
        let (state, progress) = match outcome {
            Outcome::Complete(None) => (State::Idle, Progress::Again),
            Outcome::Complete(Some(reason)) => (State::Idle, Progress::Close(reason)),
            Outcome::Gathering(listing) => (State::Gathering(listing), Progress::WaitUntil(None)),
            Outcome::Streaming(response, next) => (State::Streaming(response), next),
            Outcome::Live(response, next) => (State::Live(response), next),
            Outcome::Target(response, next) => (State::Target(response), next),
        };
        self.state = state;
        progress
    }
}

impl Protocol for HttpConnection {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        if let Some(partial) = self.take_partial() {
            return self.discard(partial, input, out, cx);
        }
        let max_head = self.http.max_head;
        if self.seen > 0 && !is_worth_parsing(input, self.seen as usize, max_head) {
            cx.trace(|| Step::Incomplete { have: input.len(), need: "CRLFCRLF" });
            return Received { consumed: 0, progress: Progress::NeedInput };
        }
        self.seen = 0;
        if self.http.keeps_responses(cx)
            && let Some(received) = self.repeat(input, out, cx)
        {
            return received;
        }
        let mut parsed = parse_within(input, max_head);
        if let Some(delay) = self.http.delay
            && (!matches!(parsed, Ok(None)) || missing_part(input) == "body")
            && let Some(at) = self.delay(delay, cx)
        {
            return Received { consumed: 0, progress: Progress::WaitUntil(Some(at)) };
        }
        match &mut parsed {
            Ok(None) => self.begin(input, out, cx),
            Ok(Some((request, len))) => {
                let (len, left) = (*len, input.len() - *len);
                request.info.client = self.client(input);
                cx.trace(|| Step::Understood { start: request.info.line.to_vec(), len, left });
                // Handle one request per call, although more may be in the input (pipelining, RFC
                // 9112 section 9.3.2). The loop checks its budgets and the room in the outbox
                // between calls.
                let progress = self.respond(request, &input[..len], out, cx);
                Received { consumed: len, progress }
            }
            Err(refusal) => {
                cx.trace(|| Step::Refused { reason: refusal.why });
                // Nothing after a malformed request can be trusted to be a request, so consume all
                // input. The refusal closes the connection.
                let request = RequestInfo::unparsed(input);
                let progress = self.reply(&request, b"", out, cx, |reply| reply.refuse(*refusal));
                Received { consumed: input.len(), progress }
            }
        }
    }

    fn resume(&mut self, out: &mut Outbox, cx: &mut Context<'_>) -> Progress {
        // Take the state out, because a step consumes the listing or body. `enter` puts the next
        // state in.
        match mem::replace(&mut self.state, State::Idle) {
            State::Gathering(listing) => {
                let (http, entries) = (&*self.http, self.entries.as_deref_mut());
                let outcome = listing.resume(http, entries, out, cx);
                self.enter(outcome)
            }
            State::Streaming(response) => {
                let outcome = response.put(&self.http, self.entries.as_deref_mut(), out, cx);
                self.enter(outcome)
            }
            State::Live(response) => {
                let outcome = response.resume(self.entries.as_deref_mut(), out, cx);
                self.enter(outcome)
            }
            State::Target(response) => {
                let outcome = response.resume(&self.http, self.entries.as_deref_mut(), out, cx);
                self.enter(outcome)
            }
            state @ State::Discarding(_) => {
                self.state = state;
                Progress::Again
            }
            State::Delayed(at) => {
                self.state = State::Delayed(at);
                Progress::Again
            }
            State::New | State::Idle => Progress::Again,
        }
    }

    fn send_rate(&self) -> Option<NonZeroU64> {
        self.http.send_rate
    }

    fn timeout(&self, partial: bool) -> Timeout {
        let timeouts = &self.http.timeouts;
        match self.state {
            // Only a connection between two requests may be idle. A new connection, or one with
            // half a request, gets the head timeout, so that slow clients do not hold connections.
            State::Idle if !partial => Timeout { limit: timeouts.idle, reason: CloseReason::IdleTimeout },
            _ => Timeout { limit: timeouts.head, reason: CloseReason::HeadTimeout },
        }
    }

    fn is_idle(&self) -> bool {
        matches!(self.state, State::New | State::Idle)
    }

    fn answered_message(&self) -> Option<String> {
        self.entries.as_deref().and_then(PendingEntries::first_request)
    }

    fn ends_at_shutdown(&self) -> bool {
        matches!(self.state, State::Live(_))
    }

    fn ends_with_peer(&self) -> bool {
        // The page has been closed, or the load generator has ended.
        matches!(self.state, State::Live(_) | State::Target(_))
    }

    fn last_response(&mut self, reason: CloseReason, partial: &[u8], out: &mut Outbox, cx: &mut Context<'_>) {
        // Without the beginning of a request, there is nothing to respond to. An empty line does
        // not start a request. Some old clients send one after a body (RFC 9112 section 2.2).
        let request = self.take_partial();
        let partial = request.as_deref().map_or(partial, |request| request.partial.head());
        if !partial.is_empty() && partial != b"\r\n" {
            // The loop closes the connection after this call, so the progress does not matter.
            let refusal = match reason {
                CloseReason::Limit => Refusal::FULL,
                CloseReason::TlsFailed => Refusal::NOT_TLS,
                _ => Refusal::LATE,
            };
            let _ = self.reply(&RequestInfo::unparsed(partial), b"", out, cx, |reply| reply.refuse(refusal));
        }
    }

    fn on_sent(&mut self, sent: u64, clock: &Clock) {
        if let Some(entries) = &mut self.entries {
            entries.on_sent(sent, clock);
        }
    }

    fn on_closed(&mut self, _reason: CloseReason, sent: u64, cx: &mut Context<'_>) {
        if let State::Live(response) = &self.state {
            response.live.leave(cx.wake_key());
        }
        if let Some(entries) = &mut self.entries {
            entries.on_closed(sent, cx.clock);
        }
    }
}
