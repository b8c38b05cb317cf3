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
//! **The loop moves bytes, protocols decide, the site owns files**; each arrow between them is one signature.
//!
//! ```text
//!   main ─ server            flags and settings → sockets → run
//!             │
//!        event_loop          wait; for each ready source: accept, converse, answer; close the late
//!             │
//!        connection          one peer: read → receive → flush, within a budget
//!             │
//!         protocol           THE SEAM: Protocol, Outbox, Next, Why; no I/O
//!             ▲
//!         services           http: parse → admit → find → plan      echo: by stream and datagram
//!         │      │
//!       http    site         http is pure: bytes in, plan out       site is the only access to files
//! ```
//!
//! An arrow never points back up. [`clock`] and [`observer`] stand below everything: time is read once a turn and handed
//! down, and every step of the loop can be watched. [`watching`] holds those who do, and knows nothing but the steps;
//! [`lessons`] puts the whole on a stage.
//!
//! # What always holds
//!
//! - The process has one thread, and it blocks nowhere but in the poll of [`EventLoop::turn`](event_loop::EventLoop::turn).
//!   (To find and open a file, and to read a small one, is the exception that `epoll` leaves: that waits for the disk. Of
//!   a large one's next part a connection asks first whether it is in memory.)
//! - The poller reports edges; [a source remembers](event_loop) that it is readable or writable until a call would block.
//! - Every step has a budget. What is left over goes to the back of the ready queue, and the next poll does not sleep.
//! - A protocol is asked for more only while its outbox has room, so that a peer cannot make memory grow.
//! - An answer that is long in the making is made in pieces, one a turn, and none while the last one is unsent.
//! - Progress is what was understood or sent; a head that trickles in buys no time.
//! - A silent connection holds no buffer, and an idle server uses no CPU.
//! - A cached file is never stale: each turn knows of every change that was made before it, because the kernel has told of
//!   it or because the file was asked about.
//!
//! # What to read first
//!
//! [`event_loop`], beside `examples/select_server.py` and `docs/course/7-side-by-side.md`; then [`protocol`], which the
//! loop and the services share; then [`services`] and [`http`]. Who is new to loops begins with `docs/LOOP.md`, a course.

pub mod clock;
mod connection;
pub mod event_loop;
pub mod http;
pub mod lessons;
pub mod observer;
pub mod protocol;
mod server;
pub mod services;
mod sink;
pub mod site;
pub mod watching;

pub use server::{HttpServer, Settings, StartError, is_local, plain, raise_descriptor_limit};
pub use services::Timeouts;
pub use sink::Sink;
