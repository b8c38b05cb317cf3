//! A web server in one thread and one poller: the `select()` server from a sockets course, grown
//! up.
//!
//! ```no_run
//! use oneloop::HttpServer;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut httpd = HttpServer::new("127.0.0.1", 8000, "static")?;
//!     httpd.serve_forever()?;
//!     Ok(())
//! }
//! ```
//!
//! # The map
//!
//! **The loop moves bytes, protocols decide, the site owns files**; each connection between them is
//! a single function signature.
//!
//! ```text
//!   main ─ cli             arguments → configuration; every sentence about flags
//!           │
//!         server           configuration → sockets → run
//!         │    │
//!         │  services   http: parse → resolve → plan → send  live target echo chat mail access_log
//!         │  │ │  │ │ │
//!         │  │ │  │ │ maildir   mail on disk: one file per message
//!         │  │ │  │ listing   PURE: a directory as HTML or JSON
//!         │  │ │  http        PURE: bytes in, response plan out
//!         │  │ site           the only access to served files; source of file changes (inotify)
//!         │  │  │
//!   event_loop  │          wait; for each ready source: accept or handle; run timers
//!     │      │  │
//!   connection  │          one peer: read → receive → write, within a budget
//!     │      │  │
//!   source   │  │          the contract of the loop and a source: Readiness, Want
//!     │      │  │
//!         protocol         THE BOUNDARY: Protocol, Outbox, Progress, CloseReason; no I/O
//! ```
//!
//! No arrow points up. Below all layers are [`Address`], [`clock`], `close_reason`, `site_path` (a
//! checked path, which HTTP parses and the site opens), [`framing`] (where a message ends in a
//! stream), `discovery` (the question and the answer of a beacon), `printable` (text that cannot
//! act on a terminal), `lossy_writer`, `sandbox` (what the process may do), `size` (a length for
//! people), `system` (the calls that only some systems have), `tls` (a certificate and the rules of
//! TLS sessions), `token_bucket` (a rate limit), and the steps of [`trace`]. The rest of `trace`
//! consists of observers, which know only the steps. `lessons` runs the loop with scripted clients.
//! `compress` writes compressed variants of the files that the site would send, for the command of
//! that name. [`clients`] are the protocols of outgoing connections, which the `talk` command runs
//! on a loop of its own.
//!
//! # What always holds
//!
//! - The process has one thread, which blocks only in the poll of
//!   [`EventLoop::turn`](event_loop::EventLoop::turn). (Exceptions remain, because `epoll` does
//!   not support files: finding and opening a file, and reading a small one, may wait for the disk,
//!   and so does storing a message in a [`Maildir`]. Sending a large file does not wait: the site
//!   checks whether each slice is in memory before it is sent. And a protocol can make the loop
//!   block on purpose, to show what that does to all connections.)
//! - The poller reports edges. [A source remembers](event_loop) that it is readable or writable
//!   until a call would block.
//! - Every turn of a source has a budget. Work that is carried over goes to the back of the ready
//!   queue, and the next poll does not sleep.
//! - The loop calls a protocol only while its outbox has room, so that a peer cannot make memory
//!   grow.
//! - A response that takes a long time to make is made in pieces, at most one per turn. Each piece
//!   is made only after the one before it has been sent.
//! - Only parsed input and sent output count as progress. A client that sends a head byte by byte
//!   does not extend its deadline.
//! - An idle connection holds no buffer, and an idle server uses no CPU.
//! - A cached file is never stale: a request sees every change that was made before it was sent,
//!   because inotify has reported the change or a `stat` has checked the file. (A write through a
//!   memory map, which neither inotify nor `stat` shows, is noticed within a second.)
//! - Observers change nothing. The loop takes the same steps in the same turns with and without
//!   them.
//!
//! # What to read first
//!
//! Read [`event_loop`] first, next to `examples/select_server.py` and
//! `docs/course/7-side-by-side.md`. Then read [`protocol`], which the loop and the services share,
//! then `services` and `http`. If event loops are new to you, start with the course,
//! `docs/LOOP.md`.

mod address;
pub mod clients;
pub mod clock;
mod close_reason;
#[cfg(feature = "compress")]
pub mod compress;
mod connection;
mod discovery;
pub mod event_loop;
pub mod framing;
mod http;
#[cfg(feature = "lessons")]
pub mod lessons;
mod listing;
mod lossy_writer;
mod maildir;
mod printable;
pub mod protocol;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod server;
mod services;
mod site;
mod site_path;
mod size;
mod source;
mod system;
#[cfg(test)]
mod testing;
#[cfg(feature = "tls")]
mod tls;
mod token_bucket;
pub mod trace;

#[cfg(feature = "tls")]
pub use self::tls::{TlsIdentity, TlsIdentityError};
pub use self::{
    address::Address,
    http::{
        Cors, HeaderRule, MediaTypeError, MediaTypeRule, PatternError, PeerNetwork, RedirectError,
        RedirectRule, RuleError, TrustedProxy,
    },
    lossy_writer::LossyWriter,
    maildir::Maildir,
    server::{
        AcceptDeferral, Config, HttpServer, StartError, StreamListener, bind_broadcast, raise_open_file_limit,
    },
    services::{
        AccessLogFormat, Beacon, ChatRoom, Echo, Impairment, LivePage, MailLimits, Mailbox, Pop3Service,
        SmtpService, Timeouts, UdpEcho, is_monitoring_path,
    },
    system::{duplicate_descriptor, is_listening},
};

/// Internals for benchmarks, property tests and fuzz targets. They are not part of the public
/// interface and may change at any time.
#[doc(hidden)]
pub mod internals {
    #[cfg(feature = "lessons")]
    pub use crate::lessons::broken_server::BrokenServer;
    pub use crate::{
        http::{
            HeaderPolicy, HeaderScope, MediaTypes, Plan, RedirectTarget, Redirects, RenderContext,
            Representation, Request, RequestInfo, SiteHeaders, Validators, locate, parse,
        },
        services::{HttpService, UrlOptions, http_steps, step_docs},
        site::{Resolved, Site, SiteOptions},
        site_path::{DotfilePolicy, SitePath},
        trace::stepper::Command as StepperCommand,
    };
}
