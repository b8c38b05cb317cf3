//! What the load target adds to replies: responses that wait, and bodies that follow from a seed.

use std::time::Instant;

use super::{
    HttpService,
    faults::{self, SingleBytes},
    inspect::EchoedRequest,
    reply::{Outcome, Reply, finish},
};
use crate::{
    clock::Clock,
    http::{Method, OwnedRequestInfo, Plan, Refusal, Request, RequestInfo, ResponseBody, Status},
    protocol::{CloseReason, Context, InputShare, Outbox, Progress},
    services::{
        pending::PendingEntries,
        target::{
            DrawnResponse, LoadTarget, ResponseFault, TargetBody, TargetError, TargetPath, TargetResource,
        },
    },
};

/// The field lines of a response with a text, with an HTML page, and with random bytes.
const TEXT: &str = "Content-Type: text/plain; charset=utf-8\r\n";
const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";
const BYTES: &str = "Content-Type: application/octet-stream\r\n";
/// The message in the 405 response to a TRACE request, which would show the client's own fields.
const NO_TRACE: &str = "The load target does not respond to TRACE; use anything to see what a client sends.";
/// The message in the 417 response to a request whose body the response would show.
const NO_CONTINUE: &str = "The response shows the body of the request; send it without Expect: 100-continue.";
/// The message in the 404 response for a path at which the target has nothing.
const NOTHING: &str = "The load target has nothing at this path; its first page lists all paths.";

impl Reply<'_, '_> {
    /// Responds to a request for a path of the load target.
    pub(super) fn respond_from_target(
        self,
        target: &LoadTarget,
        path: &TargetPath<'_>,
        request: &Request<'_>,
    ) -> Outcome {
        match self.http.check(request).and_then(|()| check(request, target)) {
            Ok(true) => {}
            Ok(false) => return self.list_methods(Status::NoContent, target.methods(path)),
            Err(refusal) => return self.refuse(refusal),
        }
        match target.resource(path, request) {
            Ok(TargetResource::Response(drawn)) => self.send_later(drawn),
            Ok(TargetResource::Inspection(inspection)) => self.send_inspection(target, inspection, request),
            Ok(TargetResource::Redirect(redirect)) => self.send_target_redirect(target, &redirect, request),
            Ok(TargetResource::Range(len)) => self.send_range(len, target.methods(path), request),
            Ok(TargetResource::Credentials(credentials)) => self.check_credentials(&credentials),
            Ok(TargetResource::Index) => {
                let is_html = request.asks_for_html();
                let fields = if is_html { HTML } else { TEXT };
                self.send_made(Status::Ok, fields, target.index(is_html).into_bytes())
            }
            Ok(TargetResource::Statistics) => self.respond_with_statistics(request),
            Ok(TargetResource::Health) => self.send_health(),
            Ok(TargetResource::IndexRedirect) => self.send(Plan::redirect(request, target.path()), None),
            Err(TargetError::Parameter(error)) => {
                self.send_made(Status::BadRequest, TEXT, format!("{error}\n").into_bytes())
            }
            Err(TargetError::NotFound) => self.send(Plan::not_found(request, NOTHING, None), None),
        }
    }

    /// Sends a response with a page that was made for it.
    fn send_made(self, status: Status, fields: &'static str, page: Vec<u8>) -> Outcome {
        let plan = Plan::made(self.request, status, fields, ResponseBody::Page(page));
        self.send(plan, None)
    }

    /// Sends a drawn response after its delay. While it waits, the parts of the request that
    /// the response needs are kept.
    fn send_later(mut self, drawn: DrawnResponse) -> Outcome {
        let now = self.cx.clock.now();
        let due = self.disrupt(drawn.faults).max(now + drawn.delay);
        let echo = match drawn.is_echo.then(|| EchoedRequest::of(self.message, self.cx.input)) {
            Some(None) => return self.refuse(Refusal::BUSY),
            echo => echo.flatten(),
        };
        if due <= now || self.cx.draining {
            return self.send_drawn(drawn, echo);
        }
        let Some(_share) = self.cx.input.take(self.request.text_len()) else {
            return self.refuse(Refusal::BUSY);
        };
        let request = self.request.to_owned();
        let waiting = WaitingRequest { request, since: self.since, due, drawn, echo, _share };
        let waiting = TargetResponse::Waiting(Box::new(waiting));
        Outcome::Target(Box::new(waiting), Progress::WaitUntil(Some(due)))
    }

    /// Sends a drawn response, or an `echo` like it.
    fn send_drawn(self, drawn: DrawnResponse, echo: Option<EchoedRequest>) -> Outcome {
        let mut reply = match self.send_fault(&drawn) {
            Ok(reply) => reply,
            Err(outcome) => return outcome,
        };
        let mut plan = drawn_plan(reply.request, &drawn, echo.as_ref());
        if drawn.closes {
            plan.close();
        }
        if drawn.has_other_heads() {
            plan.pad_head(drawn.all_statuses(), drawn.may_close, &reply.http.keep_alive, reply.request);
        }
        let (at, now) = (reply.out.bytes().len(), reply.cx.clock.now());
        let close_reason = reply.write_head(&mut plan);
        let (mut body, share) = match (&plan.body, echo) {
            (ResponseBody::Empty, _) => (TargetBody::new(drawn.seed, 0, None, now), None),
            (_, Some(echo)) => (TargetBody::given(echo.bytes, drawn.over, now), Some(echo.share)),
            (_, None) => (TargetBody::new(drawn.seed, drawn.len, drawn.over, now), None),
        };
        if let (ResponseBody::Generated { is_chunked: true }, Some(chunk)) = (&plan.body, drawn.chunk) {
            body.in_chunks(chunk);
        }
        let cut = match drawn.faults.response {
            Some(ResponseFault::OneByte) => {
                let mut rest = SingleBytes::new(at, body, close_reason, reply.out, reply.cx);
                rest.share = share;
                return Outcome::Target(Box::new(TargetResponse::SingleBytes(rest)), Progress::Yield);
            }
            Some(ResponseFault::Cut { after, resets }) => match body.cut(after) {
                _ if resets => Some(CloseReason::Aborted),
                is_cut => is_cut.then_some(CloseReason::Done),
            },
            _ => None,
        };
        let mut sending = SendingBody { body, close_reason, cut, _share: share };
        match sending.put(reply.out, reply.cx) {
            None => faults::end(reply.entries, close_reason, cut, reply.out),
            Some(next) => Outcome::Target(Box::new(TargetResponse::Sending(sending)), next),
        }
    }
}

/// Returns the plan for a drawn response, or for an `echo` like it.
fn drawn_plan(
    request: &RequestInfo<'_>,
    drawn: &DrawnResponse,
    echo: Option<&EchoedRequest>,
) -> Plan<'static> {
    let len = echo.map_or(drawn.len, |echo| echo.bytes.len() as u64);
    let body = match drawn.chunk {
        Some(_) => ResponseBody::Generated { is_chunked: true },
        None => ResponseBody::Sized(len),
    };
    match echo {
        Some(echo) => Plan::made(request, drawn.status, echo.fields.clone(), body).private(),
        None => Plan::made(request, drawn.status, BYTES, body),
    }
}

/// Checks that the target supports the request. Returns `false` for an OPTIONS request.
fn check(request: &Request<'_>, target: &LoadTarget) -> Result<bool, Refusal> {
    if request.awaits_continue() && target.keeps_body(request) {
        // The client may repeat the request without it (RFC 9110 section 10.1.1).
        return Err(Refusal::closing(Status::ExpectationFailed, NO_CONTINUE));
    }
    match request.info.method {
        // The target takes what load generators send. It drops the bodies.
        Method::Get | Method::Head | Method::Unsupported => request.check_body().map(|()| true),
        Method::Trace => Err(Refusal::new(Status::MethodNotAllowed, NO_TRACE)),
        _ => request.validate().map(|_| false),
    }
}

/// A response of the load target that is not completely in the outbox.
pub enum TargetResponse {
    /// A response whose delay is not over.
    Waiting(Box<WaitingRequest>),
    Sending(SendingBody),
    SingleBytes(SingleBytes),
    /// No response. The connection stays until then.
    Silent(Instant),
}

/// A request whose response begins when its delay is over.
pub struct WaitingRequest {
    request: OwnedRequestInfo,
    /// When the request was received.
    since: Instant,
    /// When the response begins.
    due: Instant,
    drawn: DrawnResponse,
    echo: Option<EchoedRequest>,
    _share: InputShare,
}

/// A body that is put into the outbox in pieces.
pub struct SendingBody {
    body: TargetBody,
    close_reason: Option<CloseReason>,
    /// Why the connection closes behind the body, if it is cut off on purpose.
    cut: Option<CloseReason>,
    /// The memory of a body that the request has sent.
    _share: Option<InputShare>,
}

impl SendingBody {
    /// Puts the next piece into the outbox. Returns when another one follows, if one does. A
    /// shutdown does not wait until the rest is due.
    fn put(&mut self, out: &mut Outbox, cx: &Context<'_>) -> Option<Progress> {
        self.body.put(out, cx.clock.now(), cx.draining)
    }
}

/// Counts how late the delay that was `due` has ended, if there are statistics. A delay that a
/// shutdown has ended is not late.
fn record_lateness(due: Instant, http: &HttpService, clock: &Clock) {
    let Some(statistics) = &http.statistics else { return };
    // The turn may have begun earlier, with the work of other connections.
    let now = clock.precise_now();
    if now >= due {
        statistics.borrow_mut().delay_ended(now.saturating_duration_since(due));
    }
}

impl TargetResponse {
    /// Goes on with the response, if it is time. A shutdown ends a delay.
    pub fn resume(
        mut self: Box<Self>,
        http: &HttpService,
        entries: Option<&mut PendingEntries>,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let next = match &mut *self {
            TargetResponse::Waiting(waiting) if cx.clock.now() < waiting.due && !cx.draining => {
                Some(Progress::WaitUntil(Some(waiting.due)))
            }
            TargetResponse::Waiting(waiting) => {
                record_lateness(waiting.due, http, cx.clock);
                None
            }
            TargetResponse::Sending(sending) => sending.put(out, cx),
            TargetResponse::SingleBytes(rest) => rest.put(out, cx),
            TargetResponse::Silent(until) if cx.clock.now() < *until && !cx.draining => {
                Some(Progress::WaitUntil(Some(*until)))
            }
            TargetResponse::Silent(_) => None,
        };
        if let Some(next) = next {
            return Outcome::Target(self, next);
        }
        match *self {
            TargetResponse::Sending(SendingBody { close_reason, cut, .. }) => {
                faults::end(entries, close_reason, cut, out)
            }
            TargetResponse::SingleBytes(rest) => finish(entries, rest.close_reason, out),
            TargetResponse::Silent(_) if cx.draining => Outcome::Complete(Some(CloseReason::Shutdown)),
            TargetResponse::Silent(_) => Outcome::Complete(Some(CloseReason::IdleTimeout)),
            TargetResponse::Waiting(waiting) => {
                let WaitingRequest { request, since, drawn, echo, .. } = *waiting;
                let info = request.as_info();
                let reply = Reply::later(http, entries, &info, since, out, cx);
                reply.send_drawn(drawn, echo)
            }
        }
    }
}
