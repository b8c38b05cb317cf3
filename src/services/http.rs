//! HTTP for files: parse → admit → find → plan. The glue between the pure part and the site, and nothing more.

use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::access_log::AccessLog;
use crate::{
    http::{Ask, Hosts, Plan, Refusal, Request, SitePath, Status, locate, parse},
    observer::Step,
    protocol::{Body, Context, Next, Outbox, Patience, Protocol, Received, Service, Why},
    site::{Content, Entry, Found, Site},
};

/// Up to this length a body is copied behind its head, so that several answers can leave in one write.
const COPIED: usize = 8 * 1024;
/// The site's own page for what is missing.
const MISSING_PAGE: &str = "404.html";

/// What must be encoded in a name for it to mean itself in a path.
const LITERAL: &AsciiSet = &CONTROLS.add(b'%');

/// How long the peer of a connection may take. `None`: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a whole request, from its first byte, or from the connection's beginning.
    pub head: Option<Duration>,
    /// Between two requests.
    pub idle: Option<Duration>,
}

/// Serves a [`Site`] on every connection.
pub struct Http {
    site: Site,
    log: Option<Rc<RefCell<AccessLog>>>,
    timeouts: Timeouts,
    hosts: Hosts,
    /// The site's own page for what is missing.
    missing_page: Option<SitePath<'static>>,
    /// The file that answers navigation to what is missing: a single-page application finds its way by itself.
    spa: Option<SitePath<'static>>,
}

impl Http {
    pub fn new(site: Site, timeouts: Timeouts, log: Option<Rc<RefCell<AccessLog>>>) -> Http {
        let missing_page = path_of(MISSING_PAGE);
        Http { site, log, timeouts, hosts: Hosts::EVERY, missing_page, spa: None }
    }

    /// Answers to `hosts` alone.
    pub fn for_hosts(self, hosts: Hosts) -> Http {
        Http { hosts, ..self }
    }

    /// Answers navigation to what is missing with the file called `name`, a path in the site. Says whether it can be
    /// one.
    pub fn with_spa(self, name: &str) -> Option<Http> {
        let spa = path_of(name)?;
        Some(Http { spa: Some(spa), ..self })
    }
}

/// The path of the file `name` in a site.
fn path_of(name: &str) -> Option<SitePath<'static>> {
    let path = locate(&format!("/{}", utf8_percent_encode(name, LITERAL))).ok()?.into_owned();
    (!path.is_directory()).then_some(path)
}

impl Service for Rc<Http> {
    fn welcome(&mut self, peer: SocketAddr) -> Box<dyn Protocol> {
        Box::new(Conversation { http: Rc::clone(self), peer: peer.ip(), is_acquainted: false })
    }
}

/// One connection's conversation.
struct Conversation {
    http: Rc<Http>,
    peer: IpAddr,
    /// It has asked for something before.
    is_acquainted: bool,
}

impl Protocol for Conversation {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        match parse(input) {
            Ok(None) => Received { consumed: 0, next: Next::NeedInput },
            Ok(Some((request, consumed))) => {
                self.is_acquainted = true;
                Received { consumed, next: self.answer(&request, out, cx) }
            }
            Err(refusal) => {
                self.refuse(input, refusal, out, cx);
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
            self.refuse(partial, Refusal::LATE, out, cx);
        }
    }
}

/// What an admitted request leads to.
enum Asked<'a> {
    File(Rc<Entry>),
    Directory(SitePath<'a>),
    Options,
}

impl Conversation {
    /// Answers a request that was understood.
    fn answer(&self, request: &Request<'_>, out: &mut Outbox, cx: &mut Context<'_>) -> Next {
        let asked = self.find(request, cx);
        let page = match &asked {
            Err(refusal) if refusal.status == Status::NotFound => self.file_at(&self.http.missing_page, cx),
            _ => None,
        };
        let (plan, entry) = match &asked {
            Ok(Asked::File(entry)) => (Plan::file(request, &entry.facts), Some(entry)),
            Ok(Asked::Directory(path)) => (Plan::redirect(request, path), None),
            Ok(Asked::Options) => (Plan::options(request), None),
            Err(refusal) => {
                (Plan::refuse(request, *refusal, page.as_deref().map(|page| &page.facts)), page.as_ref())
            }
        };
        let ends = if plan.persists() {
            cx.draining.then_some(Why::Shutdown)
        } else {
            Some(why_closed(request, &asked))
        };
        let plan = if ends.is_some() { plan.closing() } else { plan };
        self.send(&plan, entry.map(Rc::as_ref), request.line, out, cx);
        ends.map_or(Next::Again, Next::Finish)
    }

    fn find<'a>(&self, request: &Request<'a>, cx: &Context<'_>) -> Result<Asked<'a>, Refusal> {
        self.http.hosts.check(request.host())?;
        match request.admit()? {
            Ask::Options => Ok(Asked::Options),
            Ask::File(path) => match self.http.site.find(&path, cx.clock) {
                Ok(Found::File(entry)) => Ok(Asked::File(entry)),
                Ok(Found::Directory) => Ok(Asked::Directory(path)),
                // Only for what is missing: what may not be asked for was refused before.
                Err(Refusal::NOT_FOUND) if request.is_navigation => {
                    self.file_at(&self.http.spa, cx).map(Asked::File).ok_or(Refusal::NOT_FOUND)
                }
                Err(refusal) => Err(refusal),
            },
        }
    }

    /// A file that stands for others, if it is there.
    fn file_at(&self, path: &Option<SitePath<'_>>, cx: &Context<'_>) -> Option<Rc<Entry>> {
        match self.http.site.find(path.as_ref()?, cx.clock) {
            Ok(Found::File(entry)) => Some(entry),
            _ => None,
        }
    }

    /// Refuses input in which there is no request.
    fn refuse(&self, input: &[u8], refusal: Refusal, out: &mut Outbox, cx: &mut Context<'_>) {
        let line =
            input.split(|b| matches!(b, b'\r' | b'\n')).find(|line| !line.is_empty()).unwrap_or_default();
        self.send(&Plan::refuse_input(input, refusal), None, line, out, cx);
    }

    /// Puts a response into the outbox: its head and a small body as bytes, a larger body as it lies.
    fn send(
        &self,
        plan: &Plan<'_>,
        entry: Option<&Entry>,
        request_line: &[u8],
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) {
        let mut length = plan.render(cx.clock.date(), out.bytes());
        let part = plan.content();
        if let Some(entry) = entry.filter(|_| !part.is_empty()) {
            length = part.end - part.start;
            match &entry.content {
                Content::Memory(content) => {
                    let part = part.start as usize..part.end as usize; // of what is in memory
                    match part.len() <= COPIED {
                        true => out.bytes().extend_from_slice(&content[part]),
                        false => out.put(Body::Memory { content: Rc::clone(content), part }),
                    }
                }
                Content::Disk(file) => {
                    out.put(Body::File { file: Rc::clone(file), offset: part.start, left: length });
                }
            }
        }
        if let Some(log) = &self.http.log {
            log.borrow_mut().note(self.peer, cx.clock, request_line, plan.status, length);
        }
        cx.note(|| Step::Planned { status: plan.status.code(), body: length });
    }
}

/// Why the connection ends with the answer to `request`: because the peer wants that, or because it was refused.
fn why_closed(request: &Request<'_>, asked: &Result<Asked<'_>, Refusal>) -> Why {
    let is_refused = asked.as_ref().is_err_and(|refusal| !refusal.persists);
    if is_refused || !request.is_whole() { Why::BadRequest } else { Why::Done }
}
