//! The live page: the turns of the loop, in a browser on this machine.
//!
//! The page is served by the loop that it shows, at a second address. This module owns its files
//! and decides who may read them. It must never answer a request without the secret path, with
//! another host, or from a page of another site, because the page shows what clients request.

mod connection;
mod large;
mod pages;
mod stream;

use std::{cell::Cell, rc::Rc};

use self::connection::PageConnection;
use crate::{
    address::Address,
    http::{Method, Refusal, Request, Status},
    protocol::{Protocol, ProtocolFactory},
    services::Timeouts,
    trace::TurnFeed,
};

/// The maximum number of pages that are open at the same time.
const MAX_PAGES: usize = 8;

const MISDIRECTED: &str = "This page answers only at the URL that the server has printed.";
const CROSS_SITE: &str = "This page does not answer requests that pages of other sites make.";
const METHODS: &str = "This page answers only GET and HEAD.";

/// A service that shows the turns of the loop it runs on. Add it to a listener on loopback.
pub struct LivePage {
    shared: Rc<PageContext>,
}

/// What all connections to the page share.
struct PageContext {
    feed: Box<dyn TurnFeed>,
    /// The host and port that each request must name.
    host: String,
    /// The secret path, with a leading and a trailing slash.
    path: String,
    /// The URL of the site, which the page links to.
    site: String,
    timeouts: Timeouts,
    pages: Cell<usize>,
}

impl LivePage {
    /// Creates the service for pages at `http://HOST/TOKEN/`. The page gets its turns from `feed`,
    /// and links to the site at the URL `site`. `timeouts` limits how long a request may take, and
    /// how long a connection may be idle.
    pub fn new(
        feed: impl TurnFeed + 'static,
        host: &str,
        token: &str,
        site: &str,
        timeouts: Timeouts,
    ) -> LivePage {
        let shared = PageContext {
            feed: Box::new(feed),
            // Clients leave out the default port.
            host: host.strip_suffix(":80").unwrap_or(host).to_owned(),
            path: format!("/{token}/"),
            site: site.to_owned(),
            timeouts,
            pages: Cell::new(0),
        };
        LivePage { shared: Rc::new(shared) }
    }
}

impl ProtocolFactory for LivePage {
    fn create(&mut self, peer: &Address) -> Box<dyn Protocol> {
        Box::new(PageConnection::new(Rc::clone(&self.shared), peer.clone()))
    }
}

impl PageContext {
    /// Returns the name that a request asks for below the secret path.
    ///
    /// # Errors
    /// Returns a refusal if the request has another host or path, or another method, or comes from
    /// a page of another site.
    fn check<'a>(&self, request: &Request<'a>) -> Result<&'a [u8], Refusal> {
        let host = request.host.map(|host| match host.port {
            Some(port) if port != b"80" => [host.host, b":", port].concat(),
            _ => host.host.to_vec(),
        });
        if host.as_deref() != Some(self.host.as_bytes()) {
            return Err(Refusal::new(Status::MisdirectedRequest, MISDIRECTED));
        }
        if request.fields.fetch_metadata.is_cross_site_subresource() {
            return Err(Refusal::new(Status::Forbidden, CROSS_SITE));
        }
        let path = request.path();
        let (start, name) = path.split_at_checked(self.path.len()).ok_or(Refusal::NOT_FOUND)?;
        // The time of the comparison says nothing about the secret.
        let differences = start.iter().zip(self.path.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        if differences != 0 {
            return Err(Refusal::NOT_FOUND);
        }
        match request.info.method {
            Method::Get | Method::Head => Ok(name),
            _ => Err(Refusal::new(Status::MethodNotAllowed, METHODS)),
        }
    }

    /// Counts a page as open.
    ///
    /// # Errors
    /// Fails if there are too many.
    fn open_page(&self) -> Result<(), Refusal> {
        if self.pages.get() >= MAX_PAGES {
            return Err(Refusal::BUSY);
        }
        self.pages.set(self.pages.get() + 1);
        self.feed.open_page();
        Ok(())
    }

    fn close_page(&self) {
        self.pages.set(self.pages.get().saturating_sub(1));
        self.feed.close_page();
    }
}
