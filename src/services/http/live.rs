//! What only live reload adds to replies: the script of pages, and the stream of events.

use std::rc::Rc;

use super::{
    reply::{Outcome, Reply, finish},
    representation::StaticFile,
    stream::StreamBody,
};
use crate::{
    http::{NotFoundPage, Plan, Refusal, Representation, Request, ResponseBody, Status, Vary},
    protocol::{CloseReason, Context, Outbox},
    services::{
        live::{Live, LiveResource, LiveStream, is_html},
        pending::PendingEntries,
    },
    site_path::SitePath,
};

impl<'c> Reply<'c, '_> {
    /// Notices changes that the site has found since its source had its turn, and decides whether
    /// the response gets the script: if it will be a page, and is not fetched by a script.
    pub(super) fn begin_live(&mut self, request: &Request<'_>) {
        let http = self.http;
        let Some(live) = &http.live else { return };
        live.notice(self.cx);
        self.live = Some(live).filter(|_| request.is_page_load());
    }

    /// Sends `file` with the plan that `plan` makes for its representation. A page gets the script.
    pub(super) fn send_page(
        self,
        file: &Rc<StaticFile>,
        plan: impl for<'p> FnOnce(&'p Representation) -> Plan<'p>,
    ) -> Outcome {
        let page = self.live.and_then(|live| {
            let suffix = live.suffix(self.request.path);
            Some((live.page(file, &suffix)?, suffix))
        });
        let Some((page, suffix)) = page else {
            let is_live = self.http.live.is_some() && is_html(&file.description);
            let vary = if is_live { Vary::PAGE_LOAD } else { Vary::NOTHING };
            return self.send(plan(&file.description).varying(vary), Some(file));
        };
        let plan = plan(&page).varying(Vary::PAGE_LOAD);
        match &plan.body {
            ResponseBody::File(range) => {
                let body = StreamBody::Suffixed { file: Rc::clone(file), range: range.clone(), suffix };
                self.send_stream(plan, body)
            }
            _ => self.send(plan, Some(file)),
        }
    }

    /// Sends the head of a response, and the first piece of its body.
    fn send_stream(mut self, mut plan: Plan<'_>, body: StreamBody) -> Outcome {
        let close_reason = self.write_head(&mut plan);
        self.stream(body, close_reason)
    }

    /// Returns the built-in error page if it gets the script: a page comes back when its file does.
    pub(super) fn live_error_page(&self, refusal: &Refusal) -> Option<Rc<StaticFile>> {
        // The others concern the request, not the files.
        let is_of_file =
            matches!(refusal.status, Status::NotFound | Status::Forbidden | Status::InternalServerError);
        let page = || refusal.page().collect::<String>().into_bytes();
        Some(self.live.filter(|_| is_of_file && refusal.persists)?.error_page(page()))
    }

    /// Returns the built-in 404 page if it gets the script.
    pub(super) fn live_not_found_page(
        &self,
        request: &Request<'_>,
        why: &'static str,
        above: Option<SitePath<'_>>,
    ) -> Option<Rc<StaticFile>> {
        Some(self.live?.error_page(NotFoundPage { path: request.path(), why, above }.html()))
    }

    /// Sends the script, or starts a stream of events.
    pub(super) fn send_live(mut self, resource: LiveResource, request: &Request<'_>) -> Outcome {
        let http = self.http;
        let Some(live) = &http.live else { return self.refuse(Refusal::NOT_FOUND) };
        if resource == LiveResource::Script {
            let script = live.script();
            return self.send(Plan::file(request, &script.description, &http.policy, None), Some(script));
        }
        let mut plan = Plan::event_stream(self.request);
        let ResponseBody::Generated { is_chunked } = plan.body else { return self.send(plan, None) };
        let stream = match LiveStream::new(live, request.query(), is_chunked, self.cx) {
            Ok(stream) => stream,
            Err(refusal) => return self.refuse(refusal),
        };
        let close_reason = self.write_head(&mut plan);
        let response = Box::new(LiveResponse { live: Rc::clone(live), stream, close_reason });
        response.resume(self.entries, self.out, self.cx)
    }
}

/// A response with a stream of events.
pub struct LiveResponse {
    pub live: Rc<Live>,
    stream: LiveStream,
    close_reason: Option<CloseReason>,
}

impl LiveResponse {
    /// Puts the events that are due into the outbox.
    pub fn resume(
        mut self: Box<Self>,
        entries: Option<&mut PendingEntries>,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Outcome {
        match self.stream.resume(&self.live, out, cx) {
            Some(progress) => Outcome::Live(self, progress),
            None => {
                self.live.leave(cx.wake_key());
                finish(entries, Some(self.close_reason.unwrap_or(CloseReason::Shutdown)), out)
            }
        }
    }
}
