//! `oneloop lesson N`: the loop shown on small plays that are the same every time, beside its twin with a student's bug.
//!
//! The clients of a lesson are in the program, and so is its page. The loop is the real one.

mod page;
mod script;
mod stage;
mod twin;

use std::{
    cell::RefCell,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    rc::Rc,
    time::Duration,
};

use mio::net::{TcpListener, UdpSocket};
use socket2::SockRef;

pub use self::{
    page::{answer_is, lines, section, side_by_side},
    script::{LESSONS, Lesson},
    stage::Entry,
    twin::Bug,
};
use self::{
    stage::{Ear, Stage, Told, Turns},
    twin::Twin,
};
use crate::{
    clock::Clock,
    event_loop::{EventLoop, Limits},
    server::bind_tcp,
    services::{Echo, Http, Timeouts},
    site::{self, Site},
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
    pub fn play(&self, bug: Option<Bug>) -> io::Result<Vec<Entry>> {
        let site = tempfile::tempdir().map_err(|e| {
            let place = std::env::temp_dir();
            io::Error::other(format!("no directory can be made in {} (TMPDIR): {e}", place.display()))
        })?;
        std::fs::write(site.path().join("hello.txt"), "hello\n")?;
        std::fs::write(site.path().join("big.bin"), vec![b'x'; BIG])?;
        let told = Rc::<RefCell<Told>>::default();
        let mut stage = match bug {
            None => with_loop(self.listener()?, site.path(), &told)?,
            Some(bug) => with_twin(bug, self.listener()?, site.path(), &told)?,
        };
        (self.script)(&mut stage)?;
        Ok(stage.into_entries())
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

impl Turns for EventLoop {
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

fn http(dir: &Path) -> io::Result<Rc<Http>> {
    let timeouts = Timeouts { head: Some(Duration::from_secs(10)), idle: Some(Duration::from_secs(60)) };
    Ok(Rc::new(Http::new(Site::open(dir, site::Options::default())?, timeouts)))
}

fn with_loop((listener, address): Bound, dir: &Path, told: &Rc<RefCell<Told>>) -> io::Result<Stage> {
    let limits =
        Limits { max_connections: 10_000, send_timeout: Some(Duration::from_secs(30)), drain_timeout: None };
    let mut event_loop = EventLoop::new(limits, clock())?;
    event_loop.listen(listener, Box::new(http(dir)?))?;
    let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let for_datagrams = datagrams.local_addr()?;
    event_loop.receive(datagrams, Box::new(Echo))?;
    event_loop.watch(Box::new(Ear(Rc::clone(told))));
    told.borrow_mut().entries.clear(); // that sockets are bound is no part of the play
    Ok(Stage::new(Box::new(event_loop), Rc::clone(told), address, Some(for_datagrams)))
}

fn with_twin(
    bug: Bug,
    (listener, address): Bound,
    dir: &Path,
    told: &Rc<RefCell<Told>>,
) -> io::Result<Stage> {
    let ear = Box::new(Ear(Rc::clone(told)));
    let twin = Twin::new(bug, listener, Box::new(http(dir)?), clock(), ear, Rc::clone(told))?;
    Ok(Stage::new(Box::new(twin), Rc::clone(told), address, None))
}
