//! A web server in one thread and one poller: the `select()` server of a socket course, grown up.
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
//! **The loop moves bytes, protocols decide, the site owns files**; each arrow between them is one
//! signature.
//!
//! ```text
//!   main ─ cli             arguments → configuration; every sentence about flags
//!           │
//!         server           configuration → sockets → run
//!         │    │
//!         │  services      http: parse → resolve → plan → send    echo    access_log
//!         │  │ │  │ │
//!         │  │ │  │ listing   PURE: a directory as HTML or JSON
//!         │  │ │  http        PURE: bytes in, response plan out
//!         │  │ site           the only access to files; source of file changes (inotify)
//!         │  │  │
//!   event_loop  │          wait; for each ready source: accept or handle; run timers
//!     │      │  │
//!   connection  │          one peer: read → receive → write, within a budget
//!     │      │  │
//!   source   │  │          the contract of the loop and a source: Readiness, Want, Buffers
//!     │      │  │
//!         protocol         THE BOUNDARY: Protocol, Outbox, Progress, CloseReason; no I/O
//! ```
//!
//! An arrow never points up. Below everything are [`clock`], `close_reason`, `site_path` (a checked
//! path, of which HTTP makes one and which the site opens), `lossy_writer`, and of [`trace`] the
//! steps. The rest of `trace` are observers: they know nothing but the steps. `lessons` runs
//! scripted clients against the whole.
//!
//! # What always holds
//!
//! - The process has one thread, and it blocks nowhere but in the poll of
//!   [`EventLoop::turn`](event_loop::EventLoop::turn). (To find and open a file, and to read a
//!   small one, is the exception that `epoll` leaves: that waits for the disk. Before a slice of a
//!   large one is sent, the kernel is asked whether it is in memory.)
//! - The poller reports edges; [a source remembers](event_loop) that it is readable or writable
//!   until a call would block.
//! - Every step has a budget. What is left over goes to the back of the ready queue, and the next
//!   poll does not sleep.
//! - A protocol is asked for more only while its outbox has room, so that a peer cannot make memory
//!   grow.
//! - A response that takes long to make is made in pieces, one a turn, and none while the last one
//!   is unsent.
//! - Progress is input that was parsed or output that was sent; a head that trickles in makes none.
//! - A silent connection holds no buffer, and an idle server uses no CPU.
//! - A cached file is never stale: each turn knows of every change that was made before it, because
//!   inotify has reported it or because the file was checked.
//! - Observers change nothing: the same steps are taken in the same turns, whether one is attached
//!   or not.
//!
//! # What to read first
//!
//! [`event_loop`], beside `examples/select_server.py` and `docs/course/7-side-by-side.md`; then
//! [`protocol`], which the loop and the services share; then `services` and `http`. A reader who is
//! new to loops begins with `docs/LOOP.md`, a course.

pub mod clock;
mod close_reason;
mod connection;
pub mod event_loop;
mod http;
#[cfg(feature = "lessons")]
pub mod lessons;
mod listing;
mod lossy_writer;
pub mod protocol;
mod server;
mod services;
mod site;
mod site_path;
mod source;
#[cfg(test)]
mod testing;
pub mod trace;

pub use self::{
    http::{Cors, HeaderRule, RuleError},
    lossy_writer::LossyWriter,
    server::{Config, HttpServer, StartError, raise_open_file_limit},
    services::{Echo, LogFormat, Timeouts},
};

/// What benchmarks and property tests reach into. It is not part of the interface, and may change
/// at any time.
#[doc(hidden)]
pub mod internals {
    pub use crate::{
        http::{
            Plan, Policy, RenderContext, Representation, Request, RequestInfo, Validators, locate, parse,
        },
        services::{HttpService, UrlOptions, http_steps, step_docs},
        site::{Resolved, Site, SiteOptions},
        site_path::{DotfilePolicy, SitePath},
    };
}
