//! `oneloop lesson N`: scripted clients of the real loop, or of a loop with a bug that students
//! often write.
//!
//! A lesson runs the same way every time. Its clients and its page are part of the program.

mod answers;
mod broken_loop;
pub(crate) mod broken_server;
mod catalog;
mod diagram;
mod harness;
mod page;
mod scripts;
mod sheet;
mod transcript;
mod trial;

use std::{
    cell::RefCell,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    rc::Rc,
    time::Duration,
};

use socket2::SockRef;

pub use self::{
    broken_loop::Bug,
    catalog::{LESSONS, Lesson},
    diagram::svg,
    harness::Harness,
    page::{Guess, compared, judge_guess, lines, prose_under, side_by_side, turns},
    sheet::prediction_sheet,
    transcript::{ClientAction, NotedEvent, TracedStep, TranscriptEntry, TranscriptNote},
    trial::{TRIALS, Trial, TrialEvent, TrialLimits, TrialReport, TrialTarget, UnfitServer, Verdict},
};
use self::{
    broken_loop::{BrokenLoop, BugSettings, OnBlocked},
    harness::LoopUnderTest,
    transcript::{Transcript, TranscriptObserver},
};
use crate::{
    clock::Clock,
    event_loop::{EventLoop, Limits},
    server::bind_tcp,
    services::{Echo, HttpService, Timeouts},
    site::{Site, SiteOptions},
    trace::Observers,
};

/// The size in bytes of the largest file that a lesson serves, which is larger than any lesson's
/// send buffer.
const BIG: usize = 1024 * 1024;
/// A lesson polls without sleeping, lets a bug block its loop for a moment, and leaves input unread
/// after a read of a few bytes.
const LESSON_SETTINGS: BugSettings =
    BugSettings { poll: Duration::ZERO, max_block: Duration::from_millis(200), small_read: 16 };
/// A listening socket and its address.
type Bound = (TcpListener, SocketAddr);

impl Lesson {
    /// Runs the lesson on the real loop, or on a loop with `bug`, and returns the transcript.
    ///
    /// # Errors
    /// Fails if a socket, the temporary directory or one of its two files cannot be created, or if
    /// no descriptor is available.
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
            Some(bug) => with_broken_loop(bug, self.listener()?, site.path(), &transcript)?,
        };
        (self.script)(&mut harness)?;
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

/// Returns a clock that is a minute ahead, so that the lesson's files are old enough to be cached.
fn clock() -> Clock {
    Clock::frozen(Clock::system().wall() + Duration::from_secs(60))
}

fn http(dir: &Path) -> io::Result<Rc<HttpService>> {
    // Do not use inotify, so that only the script wakes the loop.
    let options = SiteOptions { inotify: false, ..SiteOptions::default() };
    Ok(Rc::new(HttpService::new(Rc::new(Site::open(dir, options, Default::default())?), Timeouts::default())))
}

fn with_loop(
    (listener, address): Bound,
    dir: &Path,
    transcript: &Rc<RefCell<Transcript>>,
) -> io::Result<Harness> {
    let limits = Limits { max_connections: 10_000, drain_timeout: None, ..Limits::default() };
    let mut event_loop = EventLoop::new(limits, clock())?;
    event_loop.add_listener(listener, Box::new(http(dir)?))?;
    let udp_socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let udp_address = udp_socket.local_addr()?;
    event_loop.add_udp(udp_socket, Box::new(Echo))?;
    event_loop.add_observer(Box::new(TranscriptObserver(Rc::clone(transcript))));
    // Drop the steps that bind the sockets, because they are not part of the lesson.
    transcript.borrow_mut().take_entries();
    Ok(Harness::new(Box::new(event_loop), Rc::clone(transcript), address, Some(udp_address)))
}

fn with_broken_loop(
    bug: Bug,
    (listener, address): Bound,
    dir: &Path,
    transcript: &Rc<RefCell<Transcript>>,
) -> io::Result<Harness> {
    let mut observers = Observers::default();
    observers.add(Box::new(TranscriptObserver(Rc::clone(transcript))));
    let (factory, shown) = (Box::new(http(dir)?), Rc::clone(transcript));
    let on_blocked: OnBlocked = Box::new(move |waited| {
        let mut transcript = shown.borrow_mut();
        transcript.note(NotedEvent::Remark, "(the loop blocks here, and so B waits, until A reads)");
        let text = format!("(B has waited {} ms; the lesson closes A)", waited.as_millis());
        transcript.note(NotedEvent::Blocked(waited), text);
    });
    let broken_loop =
        BrokenLoop::new(bug, listener, factory, clock(), observers, on_blocked, LESSON_SETTINGS)?;
    Ok(Harness::new(Box::new(broken_loop), Rc::clone(transcript), address, None))
}
