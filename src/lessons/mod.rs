//! `oneloop lesson N`: the loop shown on small plays that are the same every time, beside its twin with a student's bug.
//!
//! The clients of a lesson are in the program, and so is its page. The loop is the real one.

mod broken_loop;
mod catalog;
mod harness;
mod page;

use std::{
    cell::RefCell,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    rc::Rc,
    time::Duration,
};

use socket2::SockRef;

use self::{
    broken_loop::BrokenLoop,
    harness::{Harness, LoopUnderTest, Transcript, TranscriptObserver},
};
pub use self::{
    broken_loop::Bug,
    catalog::{LESSONS, Lesson},
    harness::TranscriptEntry,
    page::{answer_is, lines, section, side_by_side},
};
use crate::{
    clock::Clock,
    event_loop::{EventLoop, Limits},
    server::bind_tcp,
    services::{Echo, HttpService, Timeouts},
    site::{Site, SiteOptions},
};

/// The largest file of the lessons: more than any buffer here takes.
const BIG: usize = 1024 * 1024;
/// A listening socket and its address.
type Bound = (TcpListener, SocketAddr);

impl Lesson {
    /// Plays the lesson, with the loop or with its twin that has `bug`, and tells what happened.
    ///
    /// # Errors
    /// The system gives no sockets, no directory for the lesson's two files, or no more descriptors.
    pub fn play(&self, bug: Option<Bug>) -> io::Result<Vec<TranscriptEntry>> {
        let site = tempfile::tempdir().map_err(|e| {
            let place = std::env::temp_dir();
            io::Error::other(format!("no directory can be made in {} (TMPDIR): {e}", place.display()))
        })?;
        std::fs::write(site.path().join("hello.txt"), "hello\n")?;
        std::fs::write(site.path().join("big.bin"), vec![b'x'; BIG])?;
        let transcript = Rc::<RefCell<Transcript>>::default();
        let mut harness = match bug {
            None => with_loop(self.listener()?, site.path(), &transcript)?,
            Some(bug) => with_twin(bug, self.listener()?, site.path(), &transcript)?,
        };
        (self.catalog)(&mut harness)?;
        Ok(harness.into_entries())
    }

    fn listener(&self) -> io::Result<Bound> {
        let socket = bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), false)?;
        if let Some(size) = self.send_buffer {
            SockRef::from(&socket).set_send_buffer_size(size)?; // accepted sockets inherit it
        }
        let address = socket.local_addr()?;
        Ok((socket, address))
    }
}

impl LoopUnderTest for EventLoop {
    fn turn(&mut self) -> io::Result<()> {
        EventLoop::turn(self)
    }

    fn advance(&mut self, by: Duration) {
        self.clock().advance(by);
    }
}

/// A minute ahead, so that the files of the lesson count as settled.
fn clock() -> Clock {
    Clock::frozen(Clock::system().wall() + Duration::from_secs(60))
}

fn http(dir: &Path) -> io::Result<Rc<HttpService>> {
    // Without inotify, so that nothing but the script makes the loop wake.
    let options = SiteOptions { inotify: false, ..SiteOptions::default() };
    Ok(Rc::new(HttpService::new(Rc::new(Site::open(dir, options)?), Timeouts::default())))
}

fn with_loop(
    (listener, address): Bound,
    dir: &Path,
    transcript: &Rc<RefCell<Transcript>>,
) -> io::Result<Harness> {
    let limits =
        Limits { max_connections: 10_000, send_timeout: Some(Duration::from_secs(30)), drain_timeout: None };
    let mut event_loop = EventLoop::new(limits, clock())?;
    event_loop.add_listener(listener, Box::new(http(dir)?))?;
    let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let for_datagrams = datagrams.local_addr()?;
    event_loop.add_udp(datagrams, Box::new(Echo))?;
    event_loop.add_observer(Box::new(TranscriptObserver(Rc::clone(transcript))));
    transcript.borrow_mut().entries.clear(); // that sockets are bound is no part of the play
    Ok(Harness::new(Box::new(event_loop), Rc::clone(transcript), address, Some(for_datagrams)))
}

fn with_twin(
    bug: Bug,
    (listener, address): Bound,
    dir: &Path,
    transcript: &Rc<RefCell<Transcript>>,
) -> io::Result<Harness> {
    let ear = Box::new(TranscriptObserver(Rc::clone(transcript)));
    let broken_loop =
        BrokenLoop::new(bug, listener, Box::new(http(dir)?), clock(), ear, Rc::clone(transcript))?;
    Ok(Harness::new(Box::new(broken_loop), Rc::clone(transcript), address, None))
}
