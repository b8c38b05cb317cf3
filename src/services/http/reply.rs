//! One reply: from a parsed request to a response in the outbox, or to a response in progress.

use std::{rc::Rc, time::Instant};

use super::{
    HttpService,
    live::LiveResponse,
    representation::StaticFile,
    resolve::{Destination, ListedDirectory},
    rule_files::SiteRules,
    steps,
    stream::{ListingBuilder, StreamBody, put_content},
    target::TargetResponse,
};
use crate::{
    http::{
        Method, OwnedRequestInfo, Plan, Refusal, RenderContext, Request, RequestInfo, RequestKind,
        ResponseBody, Status, Vary, locate,
    },
    listing::{Filter, Listing, Order},
    protocol::{CloseReason, Context, InputShare, Outbox, Progress},
    services::{
        live::{Live, LiveResource},
        pending::PendingEntries,
        target::LoadTarget,
    },
};

/// The outcome of a [`Reply`].
#[must_use]
pub enum Outcome {
    /// The whole response is in the outbox. If there is a close reason, the connection closes after
    /// the response.
    Complete(Option<CloseReason>),
    /// The directory has not been read completely, and waits for a turn that has time for it.
    Gathering(Box<PendingListing>),
    /// The body is not yet completely in the outbox. The progress says when its next piece follows.
    Streaming(Box<StreamingResponse>, Progress),
    /// The body consists of events that are sent when they happen.
    Live(Box<LiveResponse>, Progress),
    /// The response of the load target goes on at the time of the progress.
    Target(Box<TargetResponse>, Progress),
}

/// What a validated request asks for: a resource, or the allowed methods.
enum Requested<'a> {
    Resource(Destination<'a>),
    Live(LiveResource),
    Options,
}

/// One reply in progress: the request, and where the response goes.
pub struct Reply<'c, 'x> {
    pub http: &'c HttpService,
    pub entries: Option<&'c mut PendingEntries>,
    pub request: &'c RequestInfo<'c>,
    /// The bytes of the request, without a body that was dropped. Empty if the response was
    /// delayed.
    pub message: &'c [u8],
    /// When the request was received.
    pub since: Instant,
    /// What is added to the response if it is an HTML page.
    pub live: Option<&'c Rc<Live>>,
    /// The rules of the site, once they are known.
    pub rules: Option<SiteRules>,
    /// The load target, if there is one and it answers this client.
    pub target: Option<&'c LoadTarget>,
    pub out: &'c mut Outbox,
    pub cx: &'c mut Context<'x>,
}

impl<'c, 'x> Reply<'c, 'x> {
    /// Creates the reply to a request whose bytes are no longer there.
    pub fn later(
        http: &'c HttpService,
        entries: Option<&'c mut PendingEntries>,
        request: &'c RequestInfo<'c>,
        since: Instant,
        out: &'c mut Outbox,
        cx: &'c mut Context<'x>,
    ) -> Reply<'c, 'x> {
        Reply { http, entries, request, message: b"", since, live: None, rules: None, target: None, out, cx }
    }

    /// Responds to a parsed request.
    pub fn respond(mut self, request: &Request<'_>) -> Outcome {
        if let Some(resource) = self.http.monitoring.as_ref().and_then(|urls| urls.resource(request.path())) {
            return self.respond_from_monitoring(resource, request);
        }
        // The target comes before all files and redirects.
        if let Some(target) = self.target
            && let Some(path) = target.locate(request)
        {
            return self.respond_from_target(target, &path, request);
        }
        self.begin_live(request);
        let policy = &self.http.policy;
        let rules = self.http.resolver.rules(self.cx.clock);
        let site = rules.headers.as_deref();
        self.rules = Some(rules.clone());
        match self.look_up(request, &rules) {
            Ok(Requested::Resource(Destination::File(file))) => {
                self.send_page(&file, |page| Plan::file(request, page, policy, site))
            }
            Ok(Requested::Resource(Destination::SpaFallback(file))) => self.send_page(&file, |page| {
                Plan::file(request, page, policy, site).as_fallback().varying(Vary::NAVIGATION)
            }),
            Ok(Requested::Live(resource)) => self.send_live(resource, request),
            Ok(Requested::Resource(Destination::Rewrite { file, is_forced })) => {
                self.send_page(&file, |page| {
                    let plan = Plan::file(request, page, policy, site);
                    if is_forced { plan } else { plan.as_fallback() }
                })
            }
            Ok(Requested::Resource(Destination::Location(status, location))) => {
                let plan = Plan::redirect_by_rule(self.request, status, location);
                self.send(plan, None)
            }
            Ok(Requested::Resource(Destination::NotFoundPage(page))) => {
                let info = self.request;
                self.send_page(&page, |page| Plan::refuse(info, Refusal::NOT_FOUND, Some(page)))
            }
            Ok(Requested::Resource(Destination::Redirect(path))) => {
                self.send(Plan::redirect(request, &path), None)
            }
            Ok(Requested::Resource(Destination::Directory(directory))) => self.list(request, directory),
            Ok(Requested::Options) => {
                let plan = Plan::options(self.request);
                self.send(plan, None)
            }
            Err(refusal) if refusal.status == Status::NotFound => self.not_found(request, refusal),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Resolves the request, and reports to observers how long the file system took.
    fn look_up<'a>(&mut self, request: &Request<'a>, rules: &SiteRules) -> Result<Requested<'a>, Refusal> {
        let since = self.cx.is_traced().then(|| self.cx.clock.precise_now());
        let found = self.resolve(request, rules);
        if let Some(since) = since {
            let took = self.cx.clock.precise_now().saturating_duration_since(since);
            self.cx.trace(|| steps::file_lookup(request.path(), took));
        }
        found
    }

    /// Checks the request, and resolves the request's path.
    fn resolve<'a>(&self, request: &Request<'a>, rules: &SiteRules) -> Result<Requested<'a>, Refusal> {
        let (http, clock) = (self.http, self.cx.clock);
        http.check(request)?;
        let destination = match request.validate() {
            Ok(RequestKind::Options) => return Ok(Requested::Options),
            Ok(RequestKind::Path(path)) => {
                if http.live.is_some()
                    && let Some(resource) = Live::resource(&path)
                {
                    return Ok(Requested::Live(resource));
                }
                http.resolver.resolve(path, request, rules, clock)?
            }
            // No file can have this path, but a single-page application may have a URL such as
            // /item/a%2Fb.
            Err(Refusal::NOT_FOUND)
                if request.path().starts_with(http.base().as_bytes())
                    && !http.resolver.is_in_mount(request.path()) =>
            {
                http.resolver.spa_fallback(request, clock)?
            }
            Err(refusal) => return Err(refusal),
        };
        Ok(Requested::Resource(destination))
    }

    /// Responds to a request for a path at which there is nothing: with the site's own 404 page, or
    /// with the built-in page, which names the path. Only a browser follows the link on it.
    fn not_found(self, request: &Request<'_>, refusal: Refusal) -> Outcome {
        let (resolver, clock) = (&self.http.resolver, self.cx.clock);
        let vary = self.not_found_vary();
        let mut above = None;
        let page = resolver.not_found_page(clock).or_else(|| {
            if !request.asks_for_html() {
                return None;
            }
            let path = locate(request.path()).ok();
            above =
                Some(resolver.page_above(path.as_ref(), clock)).filter(|above| path.as_ref() != Some(above));
            self.live_not_found_page(request, refusal.why, above.clone())
        });
        let info = self.request;
        match page {
            Some(page) => self.send_page(&page, |page| Plan::refuse(info, refusal, Some(page)).varying(vary)),
            None => self.send(Plan::not_found(request, refusal.why, above).varying(vary), None),
        }
    }

    /// Returns what a 404 response varies by. A navigation request for the same URL would get the
    /// SPA page, so caches must keep the two responses apart.
    fn not_found_vary(&self) -> Vary {
        if self.http.resolver.options.spa.is_some() { Vary::NAVIGATION } else { Vary::NOTHING }
    }

    /// Refuses the request. For a 404, sends the site's own 404 page if there is one.
    pub fn refuse(self, refusal: Refusal) -> Outcome {
        let resolver = &self.http.resolver;
        let is_missing = refusal.status == Status::NotFound;
        let page = if is_missing { resolver.not_found_page(self.cx.clock) } else { None };
        let vary = if is_missing { self.not_found_vary() } else { Vary::NOTHING };
        let page = page.or_else(|| self.live_error_page(&refusal));
        let request = self.request;
        match page {
            Some(page) => {
                self.send_page(&page, |page| Plan::refuse(request, refusal, Some(page)).varying(vary))
            }
            None => self.send(Plan::refuse(request, refusal, None).varying(vary), None),
        }
    }

    /// Puts the head and the body into the outbox. A body of several ranges is added piece by
    /// piece.
    pub(super) fn send(mut self, mut plan: Plan<'_>, file: Option<&Rc<StaticFile>>) -> Outcome {
        let close_reason = self.write_head(&mut plan);
        match (plan.body, file) {
            (ResponseBody::File(range), Some(file)) => put_content(file, range, self.out),
            (ResponseBody::FileRanges(ranges), Some(file)) => {
                let body = StreamBody::Ranges { file: Rc::clone(file), ranges, next: 0 };
                return self.stream(body, close_reason);
            }
            (ResponseBody::Generated { is_chunked }, Some(file)) => {
                let body = StreamBody::Unmeasured { file: Rc::clone(file), offset: 0, is_chunked };
                return self.stream(body, close_reason);
            }
            _ => {}
        }
        finish(self.entries, close_reason, self.out)
    }

    /// Starts a listing of `directory`.
    fn list(self, request: &Request<'_>, directory: ListedDirectory<'_>) -> Outcome {
        if let Some(plan) = Plan::instead_of_listing(request) {
            return self.send(plan, None);
        }
        let listing = Listing {
            path: directory.shown_path,
            order: Order::parse(request.query()),
            filter: Filter::parse(request.query()),
            is_json: request.fields.accept().prefers_json(),
        };
        // All listings share the quota of the main site.
        let quota = self.http.resolver.site.row_quota();
        let path = directory.path.into_owned();
        let mut builder = Box::new(ListingBuilder::new(directory.site, path, listing, quota));
        // The response to HEAD has no body, so it needs no rows.
        if self.request.method == Method::Head {
            return match builder.open(self.cx.clock) {
                Ok(()) => self.send_listing(builder),
                Err(error) => self.refuse(error.into()),
            };
        }
        let Some(_share) = self.cx.input.take(self.request.text_len()) else {
            return self.refuse(Refusal::BUSY);
        };
        let pending = PendingListing { builder, request: self.request.to_owned(), since: self.since, _share };
        Box::new(pending).resume(self.http, self.entries, self.out, self.cx)
    }

    /// Starts sending a listing whose rows are complete.
    fn send_listing(mut self, builder: Box<ListingBuilder>) -> Outcome {
        let mut plan = Plan::listing(self.request, builder.media_type());
        let close_reason = self.write_head(&mut plan);
        let ResponseBody::Generated { is_chunked } = plan.body else {
            return finish(self.entries, close_reason, self.out);
        };
        // The work that read the last entries includes the first piece of the body. So a small
        // listing waits once, and does not hold its rows meanwhile.
        self.stream(StreamBody::Listing { builder, is_chunked }, close_reason)
    }

    /// Puts the first piece of `body` into the outbox.
    pub(super) fn stream(self, body: StreamBody, close_reason: Option<CloseReason>) -> Outcome {
        let response = Box::new(StreamingResponse { body, close_reason });
        response.put_piece(self.http, self.entries, self.out, self.cx)
    }

    /// Puts the head into the outbox, and the body if it is a built-in error page. If the
    /// connection closes after this response, makes the head say so and returns the close reason.
    pub(super) fn write_head(&mut self, plan: &mut Plan<'_>) -> Option<CloseReason> {
        let close_reason = match plan.persists() {
            true if self.cx.stopping => Some(CloseReason::Shutdown),
            true => None,
            // The rest of the request is not parsed, and may still be arriving.
            false if plan.is_refused() => Some(CloseReason::BadRequest),
            false => Some(CloseReason::Done),
        };
        if close_reason == Some(CloseReason::Shutdown) {
            plan.close();
        }
        let (position, at) = (self.out.position(), self.out.bytes().len());
        let rules = self.rules.take().unwrap_or_else(|| self.http.resolver.rules(self.cx.clock));
        let cx = RenderContext {
            date: self.cx.clock.date(),
            policy: &self.http.policy,
            site_headers: rules.headers.as_deref(),
            keep_alive: &self.http.keep_alive,
            request: self.request,
        };
        let len = plan.render(&cx, self.out.bytes());
        if let Some(entries) = &mut self.entries {
            entries.begin(self.request, self.since, plan, position + len as u64, self.cx.clock);
        }
        self.cx.trace(|| {
            let head = self.out.bytes()[at..at + len].to_vec();
            steps::planned(plan.status.code(), head, plan.body_len())
        });
        close_reason
    }
}

/// Records that the whole response is in the outbox.
pub(super) fn finish(
    entries: Option<&mut PendingEntries>,
    close_reason: Option<CloseReason>,
    out: &Outbox,
) -> Outcome {
    if let Some(entries) = entries {
        entries.end(out.position());
    }
    Outcome::Complete(close_reason)
}

/// A listing whose directory has not been read completely. It owns a copy of a few parts of the
/// request, because the request's bytes are no longer in the input.
pub struct PendingListing {
    builder: Box<ListingBuilder>,
    request: OwnedRequestInfo,
    since: Instant,
    _share: InputShare,
}

impl PendingListing {
    /// Reads directory entries while the turn has time for it. Starts sending the listing when
    /// all entries have been read.
    pub fn resume(
        mut self: Box<Self>,
        http: &HttpService,
        entries: Option<&mut PendingEntries>,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Outcome {
        let (request, since) = (self.request.as_info(), self.since);
        while !self.builder.is_complete() {
            if !cx.take_work() {
                return Outcome::Gathering(self);
            }
            match self.builder.gather(&http.resolver, cx.clock) {
                Ok(names) => cx.trace(|| steps::entries_read(names)),
                Err(error) => {
                    return Reply::later(http, entries, &request, since, out, cx).refuse(error.into());
                }
            }
        }
        Reply::later(http, entries, &request, since, out, cx).send_listing(self.builder)
    }
}

/// A response whose body is put into the outbox in pieces.
pub struct StreamingResponse {
    body: StreamBody,
    close_reason: Option<CloseReason>,
}

impl StreamingResponse {
    /// Puts the next piece into the outbox, if the turn has time for it.
    pub fn put(
        self: Box<Self>,
        http: &HttpService,
        entries: Option<&mut PendingEntries>,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Outcome {
        if self.body.is_work() && !cx.take_work() {
            return Outcome::Streaming(self, Progress::WaitUntil(None));
        }
        self.put_piece(http, entries, out, cx)
    }

    fn put_piece(
        mut self: Box<Self>,
        http: &HttpService,
        entries: Option<&mut PendingEntries>,
        out: &mut Outbox,
        cx: &Context<'_>,
    ) -> Outcome {
        match self.body.put(&http.resolver.site, out, cx.clock) {
            Ok(true) => Outcome::Streaming(self, Progress::Yield),
            Ok(false) => finish(entries, self.close_reason, out),
            // The log reports the response as incomplete.
            Err(reason) => Outcome::Complete(Some(reason)),
        }
    }
}
