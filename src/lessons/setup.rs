//! What a lesson builds its loop from: listeners, services, a clock and an observer.

use std::{
    cell::RefCell,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::Path,
    rc::Rc,
    time::Duration,
};

use rustix::net::listen;
use socket2::SockRef;

use super::{
    broken_loop::BrokenLoop,
    bug::{Bug, BugSettings, OnDamage},
    harness::Harness,
    transcript::{Transcript, TranscriptObserver},
};
use crate::{
    clock::Clock,
    event_loop::{EventLoop, Limits},
    protocol::ProtocolFactory,
    server::bind_tcp,
    services::{Echo, HttpService, Timeouts},
    site::{Site, SiteOptions},
    trace::Observers,
};

/// A lesson polls without sleeping, lets a bug block its loop for a moment, and leaves input unread
/// after a read of a few bytes.
const LESSON_SETTINGS: BugSettings = BugSettings {
    poll: Duration::ZERO,
    max_block: Duration::from_millis(200),
    small_read: 16,
    is_level: false,
};

/// What a lesson builds its loop from.
pub struct Setup<'a> {
    /// Whether the poller of a loop with a bug is level-triggered.
    pub is_level: bool,
    /// The bug of the loop or of its service, if it has one.
    pub bug: Option<Bug>,
    /// The directory that HTTP serves.
    pub dir: &'a Path,
    /// The size of each connection's send buffer; `None` for the default size.
    pub send_buffer: Option<usize>,
    /// The backlog of each listener; `None` for the server's own.
    pub backlog: Option<i32>,
    /// The transcript of the lesson.
    pub transcript: Rc<RefCell<Transcript>>,
}

impl Setup<'_> {
    /// Returns a listening socket and its address.
    pub fn listener(&self) -> io::Result<(TcpListener, SocketAddr)> {
        let socket = bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), false)?;
        if let Some(size) = self.send_buffer {
            SockRef::from(&socket).set_send_buffer_size(size)?; // accepted sockets inherit it
        }
        if let Some(backlog) = self.backlog {
            listen(&socket, backlog)?; // a second call changes the backlog
        }
        let address = socket.local_addr()?;
        Ok((socket, address))
    }

    /// Returns a UDP socket and its address.
    pub fn udp_socket() -> io::Result<(UdpSocket, SocketAddr)> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    }

    /// Returns the real loop, without any source.
    pub fn event_loop() -> io::Result<EventLoop> {
        Setup::event_loop_with(Limits::default())
    }

    /// Returns the real loop with some of `limits`, without any source.
    pub fn event_loop_with(limits: Limits) -> io::Result<EventLoop> {
        let limits = Limits { max_connections: 10_000, drain_timeout: None, ..limits };
        EventLoop::new(limits, clock())
    }

    /// Returns a harness for the real loop, whose clients connect to `addresses`.
    pub fn harness(
        &self,
        mut event_loop: EventLoop,
        addresses: Vec<SocketAddr>,
        udp_address: Option<SocketAddr>,
    ) -> Harness {
        event_loop.add_observer(Box::new(TranscriptObserver(Rc::clone(&self.transcript))));
        // Drop the steps that bind the sockets, because they are not part of the lesson.
        self.transcript.borrow_mut().take_entries();
        Harness::new(Box::new(event_loop), Rc::clone(&self.transcript), addresses, udp_address)
    }

    /// Returns a harness for the real loop with one listener for each of `factories`.
    pub fn with_listeners(&self, factories: Vec<Box<dyn ProtocolFactory>>) -> io::Result<Harness> {
        self.with_listeners_of(Setup::event_loop()?, factories)
    }

    /// Returns a harness for `event_loop` with one listener for each of `factories`.
    pub fn with_listeners_of(
        &self,
        mut event_loop: EventLoop,
        factories: Vec<Box<dyn ProtocolFactory>>,
    ) -> io::Result<Harness> {
        let mut addresses = Vec::new();
        for factory in factories {
            let (listener, address) = self.listener()?;
            event_loop.add_listener(listener, factory)?;
            addresses.push(address);
        }
        Ok(self.harness(event_loop, addresses, None))
    }

    /// Returns a harness for a loop with `bug`, in place of the real one.
    pub fn with_broken_loop(&self, bug: Bug, factory: Box<dyn ProtocolFactory>) -> io::Result<Harness> {
        let (listener, address) = self.listener()?;
        let mut observers = Observers::default();
        observers.add(Box::new(TranscriptObserver(Rc::clone(&self.transcript))));
        let shown = Rc::clone(&self.transcript);
        let settings = BugSettings { is_level: self.is_level, ..LESSON_SETTINGS };
        let on_damage: OnDamage = Box::new(move |damage| shown.borrow_mut().note_damage(damage));
        let broken_loop = BrokenLoop::new(bug, listener, factory, clock(), observers, on_damage, settings)?;
        Ok(Harness::new(Box::new(broken_loop), Rc::clone(&self.transcript), vec![address], None))
    }
}

/// Sets up a lesson about HTTP, beside which the loop echoes datagrams.
pub fn serve_http(setup: &Setup<'_>) -> io::Result<Harness> {
    let factory = Box::new(http(setup.dir)?);
    if let Some(bug) = setup.bug {
        return setup.with_broken_loop(bug, factory);
    }
    let mut event_loop = Setup::event_loop()?;
    let (listener, address) = setup.listener()?;
    event_loop.add_listener(listener, factory)?;
    let (udp_socket, udp_address) = Setup::udp_socket()?;
    event_loop.add_udp(udp_socket, Box::new(Echo))?;
    Ok(setup.harness(event_loop, vec![address], Some(udp_address)))
}

/// Returns the service that serves the files of `dir`.
pub fn http(dir: &Path) -> io::Result<Rc<HttpService>> {
    // Do not use inotify, so that only the script wakes the loop.
    let options = SiteOptions { inotify: false, ..SiteOptions::default() };
    Ok(Rc::new(HttpService::new(Rc::new(Site::open(dir, options, Default::default())?), Timeouts::default())))
}

/// Returns a clock that is a minute ahead, so that the lesson's files are old enough to be cached.
fn clock() -> Clock {
    Clock::frozen(Clock::system().wall() + Duration::from_secs(60))
}
