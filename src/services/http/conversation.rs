//! One connection's conversation: a request in, an answer out, one after the other.

use std::{rc::Rc, time::Instant};

use super::{
    Http,
    lookup::Destination,
    under_way::{Gathering, Rest, put_content},
};
use crate::{
    clock::Clock,
    http::{
        Ask, Listing, Method, Occasion, Order, Payload, Plan, Refusal, Request, SitePath, Status, Vary,
        missing, parse,
    },
    observer::Step,
    protocol::{Context, Next, Outbox, Patience, Protocol, Received, Why},
    services::access_log::{Asked, Journal},
    site::Entry,
};

/// A request's answer is copied this often at most in one go: about the work of one more answer.
const COPIES: usize = 15;

/// What has been said on one connection, as far as it matters for what comes next.
pub struct Conversation {
    http: Rc<Http>,
    journal: Option<Box<Journal>>,
    /// A listing that cannot be begun yet; its request waits in the input.
    gathering: Option<Box<Gathering>>,
    /// What is left of an answer that was begun.
    rest: Option<Box<UnderWay>>,
    /// It has asked for something before.
    is_acquainted: bool,
}

/// The rest of an answer, and why the connection ends with it, if it does.
struct UnderWay {
    rest: Rest,
    ends: Option<Why>,
}

impl Conversation {
    pub fn new(http: Rc<Http>, journal: Option<Journal>) -> Conversation {
        let journal = journal.map(Box::new);
        Conversation { http, journal, gathering: None, rest: None, is_acquainted: false }
    }
}

impl Protocol for Conversation {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        if let Some(under_way) = self.rest.take() {
            // Whatever comes behind the last piece is understood in a turn of its own.
            let next = match self.go_on(under_way, out, cx.clock) {
                Next::Again => Next::More,
                next => next,
            };
            return Received { consumed: 0, next };
        }
        match parse(input) {
            Ok(None) => {
                cx.note(|| Step::Incomplete { have: input.len(), need: missing(input) });
                Received { consumed: 0, next: Next::NeedInput }
            }
            Ok(Some((request, len))) => {
                self.is_acquainted = true;
                if self.gathering.is_none() {
                    let left = input.len() - len;
                    cx.note(|| Step::Understood { start: request.line.to_vec(), len, left });
                }
                let start = out.bytes().len();
                match self.answer(&request, out, cx) {
                    Some(Next::Again) if !cx.is_watched() => {
                        let times = self.repeat(start, input.split_at(len), out);
                        Received { consumed: len * (1 + times), next: Next::Again }
                    }
                    Some(next) => Received { consumed: len, next },
                    None => Received { consumed: 0, next: Next::More },
                }
            }
            Err(refusal) => {
                cx.note(|| Step::Refused { reason: refusal.why });
                self.refuse_input(input, refusal, out, cx);
                Received { consumed: input.len(), next: Next::Finish(Why::BadRequest) }
            }
        }
    }

    fn patience(&self, partial: bool) -> Patience {
        match partial || !self.is_acquainted {
            true => Patience { limit: self.http.timeouts.head, why: Why::HeadTimeout },
            false => Patience { limit: self.http.timeouts.idle, why: Why::IdleTimeout },
        }
    }

    fn late(&mut self, partial: &[u8], out: &mut Outbox, cx: &mut Context<'_>) {
        // An empty line is no request begun: old clients send one behind a body (RFC 9112 §2.2).
        if partial != b"\r\n" {
            self.refuse_input(partial, Refusal::LATE, out, cx);
        }
    }

    fn sent(&mut self, sent: u64, clock: &Clock) {
        if let Some(journal) = &mut self.journal {
            journal.sent(sent, clock);
        }
    }

    fn closed(&mut self, sent: u64, clock: &Clock) {
        if let Some(journal) = &mut self.journal {
            journal.closed(sent, clock);
        }
    }
}

/// What an admitted request is about.
enum Admitted<'a> {
    For(Destination<'a>),
    Options,
}

impl Http {
    /// Finds out what `request` is about, if this server answers it at all.
    fn find<'a>(&self, request: &Request<'a>, clock: &Clock) -> Result<Admitted<'a>, Refusal> {
        self.hosts.check(request.host())?;
        let destination = match request.admit() {
            Ok(Ask::Options) => return Ok(Admitted::Options),
            Ok(Ask::Path(path)) => self.lookup.find(path, request, clock)?,
            // No file can be there, but an application may have an address such as /item/a%2Fb.
            Err(Refusal::NOT_FOUND) if request.path().starts_with(self.base().as_bytes()) => {
                self.lookup.application(request, clock)?
            }
            Err(refusal) => return Err(refusal),
        };
        Ok(Admitted::For(destination))
    }

    /// Begins to list the directory at `path`.
    fn gather(
        &self,
        path: SitePath<'_>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Box<Gathering>, Refusal> {
        let (directory, share) = self.lookup.site.list(&path)?;
        let listing = Listing {
            path: path.into_owned(),
            base: self.lookup.comforts.base.clone(),
            order: Order::of(request.query()),
            is_json: request.fields.accepted.prefers_json(),
        };
        Ok(Box::new(Gathering::new(listing, directory, share, clock.now())))
    }
}

impl Conversation {
    /// Answers a request that was understood. `None`: not yet, it is to be asked again.
    fn answer(&mut self, request: &Request<'_>, out: &mut Outbox, cx: &mut Context<'_>) -> Option<Next> {
        if let Some(gathering) = self.gathering.take() {
            return self.list(request, gathering, out, cx);
        }
        let http = Rc::clone(&self.http);
        let since = cx.is_watched().then(|| cx.clock.read());
        let found = http.find(request, cx.clock);
        if let Some(since) = since {
            let took = cx.clock.read().saturating_duration_since(since);
            cx.note(|| Step::Found { path: request.path().to_vec(), took });
        }
        let next = match found {
            Ok(Admitted::For(Destination::File(entry))) => {
                let plan = Plan::file(request, &entry.facts, &http.policy);
                self.give(request, plan, Some(&entry), out, cx)
            }
            Ok(Admitted::For(Destination::Application(entry))) => {
                let plan = Plan::file(request, &entry.facts, &http.policy);
                self.give(request, plan.standing_in().varying(Vary::NAVIGATION), Some(&entry), out, cx)
            }
            Ok(Admitted::For(Destination::Elsewhere(path))) => {
                self.give(request, Plan::redirect(request, &path), None, out, cx)
            }
            Ok(Admitted::For(Destination::Directory(path))) => {
                if let Some(plan) = Plan::instead_of_listing(request) {
                    return Some(self.give(request, plan, None, out, cx));
                }
                match http.gather(path, request, cx.clock) {
                    Ok(gathering) => return self.list(request, gathering, out, cx),
                    Err(refusal) => self.refuse(request, refusal, out, cx),
                }
            }
            Ok(Admitted::Options) => self.give(request, Plan::options(request), None, out, cx),
            Err(refusal) => self.refuse(request, refusal, out, cx),
        };
        Some(next)
    }

    /// Gives the answer that stands in `out` from `start` once more for each time that its request is repeated right
    /// behind it, byte for byte. All had come when the answer was made, so that it is as true for each. Says how often.
    fn repeat(&mut self, start: usize, (request, behind): (&[u8], &[u8]), out: &mut Outbox) -> usize {
        if !out.has_room() {
            return 0; // as where the body is sent from where it lies
        }
        let answer = start..out.bytes().len();
        let mut times = 0;
        for _ in behind.chunks_exact(request.len()).take(COPIES).take_while(|next| *next == request) {
            out.bytes().extend_from_within(answer.clone());
            if let Some(journal) = &mut self.journal {
                journal.again(answer.len() as u64);
            }
            times += 1;
            if !out.has_room() {
                break;
            }
        }
        times
    }

    /// Refuses a request that was understood, with the site's own page where it has one.
    fn refuse(
        &mut self,
        request: &Request<'_>,
        refusal: Refusal,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Next {
        let lookup = &self.http.lookup;
        let is_missing = refusal.status == Status::NotFound;
        let page = if is_missing { lookup.missing_page(cx.clock) } else { None };
        let plan = Plan::refuse(request, refusal, page.as_deref().map(|page| &page.facts));
        let plan = match is_missing && lookup.comforts.spa.is_some() {
            true => plan.varying(Vary::NAVIGATION),
            false => plan,
        };
        self.give(request, plan, page.as_ref(), out, cx)
    }

    /// Puts an answer into the outbox, or its beginning: its head, and what of `entry` it carries.
    fn give(
        &mut self,
        request: &Request<'_>,
        plan: Plan<'_>,
        entry: Option<&Rc<Entry>>,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Next {
        let (plan, ends) = ending(plan, request, cx.draining);
        self.begin(&plan, Some(request), request.line, cx.clock.now(), out, cx);
        if let Some(entry) = entry {
            let part = plan.content();
            if let Payload::Parts { parts, .. } = plan.payload {
                let rest = Rest::Parts { entry: Rc::clone(entry), parts, next: 0 };
                return self.go_on(Box::new(UnderWay { rest, ends }), out, cx.clock);
            }
            if !part.is_empty() {
                put_content(entry, part, out);
            }
        }
        self.end(ends, out)
    }

    /// Goes on with a listing: gathers its rows, or begins to write it.
    fn list(
        &mut self,
        request: &Request<'_>,
        mut gathering: Box<Gathering>,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Option<Next> {
        // The answer to HEAD has nothing to wait for.
        while request.method != Method::Head && !gathering.is_whole() {
            if !self.http.has_time(cx.clock) {
                self.gathering = Some(gathering);
                return None;
            }
            match gathering.go_on(&self.http.lookup.site, cx.clock) {
                Ok(names) => cx.note(|| Step::Gathered { names }),
                Err(refusal) => return Some(self.refuse(request, refusal, out, cx)),
            }
        }
        let (plan, ends) = ending(Plan::listing(request, &gathering.listing), request, cx.draining);
        self.begin(&plan, Some(request), request.line, gathering.since, out, cx);
        if !plan.has_body {
            return Some(self.end(ends, out));
        }
        let is_chunked = matches!(plan.payload, Payload::Listing { is_chunked: true, .. });
        let rest = Rest::Listing { gathering, is_chunked };
        Some(self.go_on(Box::new(UnderWay { rest, ends }), out, cx.clock))
    }

    /// Refuses input in which there is no request.
    fn refuse_input(&mut self, input: &[u8], refusal: Refusal, out: &mut Outbox, cx: &mut Context<'_>) {
        let line =
            input.split(|b| matches!(b, b'\r' | b'\n')).find(|line| !line.is_empty()).unwrap_or_default();
        self.begin(&Plan::refuse_input(input, refusal), None, line, cx.clock.now(), out, cx);
        self.end(None, out);
    }

    /// Puts the head of a response into the outbox, and the body where that is a page of ours.
    fn begin(
        &mut self,
        plan: &Plan<'_>,
        request: Option<&Request<'_>>,
        request_line: &[u8],
        since: Instant,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) {
        let (head, at) = (out.position(), out.bytes().len());
        let occasion = Occasion { date: cx.clock.date(), policy: &self.http.policy, request };
        let len = plan.render(&occasion, out.bytes());
        if let Some(journal) = &mut self.journal {
            let asked = Asked {
                line: request_line,
                referer: request.and_then(|request| request.fields.referer),
                user_agent: request.and_then(|request| request.fields.user_agent),
                since,
            };
            journal.begin(&asked, plan.status, head + len as u64, cx.clock);
        }
        cx.note(|| {
            let head = out.bytes()[at..at + len].to_vec();
            Step::Planned { status: plan.status.code(), head, body: plan.body_len() }
        });
    }

    /// Puts the next piece of an answer into the outbox, if there is time for that.
    fn go_on(&mut self, mut under_way: Box<UnderWay>, out: &mut Outbox, clock: &Clock) -> Next {
        let must_wait = under_way.rest.is_work() && !self.http.has_time(clock);
        if must_wait || under_way.rest.put(out) {
            self.rest = Some(under_way);
            return Next::More;
        }
        self.end(under_way.ends, out)
    }

    /// The response is in the outbox, down to its last byte.
    fn end(&mut self, ends: Option<Why>, out: &Outbox) -> Next {
        if let Some(journal) = &mut self.journal {
            journal.end(out.position());
        }
        ends.map_or(Next::Again, Next::Finish)
    }
}

/// Whether the connection ends with this answer, and why: because the peer wants that, or because it was refused, or
/// because the server shuts down.
fn ending<'a>(plan: Plan<'a>, request: &Request<'_>, draining: bool) -> (Plan<'a>, Option<Why>) {
    if plan.persists() {
        return if draining { (plan.closing(), Some(Why::Shutdown)) } else { (plan, None) };
    }
    // What follows such a request is not understood, and may still be coming.
    let is_refused = !request.is_whole() || plan.is_final();
    (plan, Some(if is_refused { Why::BadRequest } else { Why::Done }))
}
