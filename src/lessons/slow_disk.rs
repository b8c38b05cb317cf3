//! A server of files whose disk is slow, for the lesson about files, which a poller cannot report.
//! The disk is scripted, as the clients are. The rest is the real loop.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    rc::Rc,
    time::Duration,
};

use mio::{Interest, Poll, Token, unix::SourceFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    bug::Bug,
    harness::Harness,
    setup::Setup,
    transcript::{NotedEvent, Transcript},
};
use crate::{
    address::Address,
    clock::Clock,
    framing::line,
    protocol::{
        Body, CloseReason, Context, FileBody, Outbox, Progress, Protocol, ProtocolFactory, Received,
        Sendable, Timeout,
    },
    trace::Step,
};

/// The length in bytes of the file on the disk.
pub const FILM: u64 = 12 * 1024;
/// The maximum length of a line in bytes.
const MAX_LINE: usize = 1024;
/// How long to wait until the disk is asked again, as in the site.
const RETRY: Duration = Duration::from_millis(1);
/// How long a loop that waits for the disk is blocked.
const BLOCKED: Duration = Duration::from_millis(50);

/// Sets up the lesson: a loop that sends `film.bin` from the disk, and a line from memory.
pub fn serve_from_slow_disk(setup: &Setup<'_>) -> io::Result<Harness> {
    let path = setup.dir.join("film.bin");
    std::fs::write(&path, vec![b'f'; FILM as usize])?;
    let film = Rc::new(File::open(path)?);
    let disk = Rc::new(Disk { has_read: Cell::new(0), transcript: Rc::clone(&setup.transcript) });
    let probes = setup.bug != Some(Bug::WaitForDisk);
    let server = FileServer { film: Rc::clone(&film), disk: Rc::clone(&disk), probes };
    let harness = setup.with_listeners(vec![Box::new(server)])?;
    setup.transcript.borrow_mut().note(NotedEvent::Remark, opinion_of_pollers(&film)?);
    Ok(harness.with_disk(disk))
}

/// Asks epoll and poll(2) about `file`, and returns a note about what they say.
fn opinion_of_pollers(file: &File) -> io::Result<String> {
    let poller = Poll::new()?;
    let fd = file.as_raw_fd();
    let epoll = match poller.registry().register(&mut SourceFd(&fd), Token(0), Interest::READABLE) {
        Ok(()) => "accepts film.bin".to_owned(),
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) => {
            "refuses film.bin (EPERM)".to_owned()
        }
        Err(e) => format!("refuses film.bin ({e})"),
    };
    let mut polled = [PollFd::new(file, PollFlags::IN | PollFlags::OUT)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    let ready = polled[0].revents();
    let names = [(PollFlags::IN, "readable"), (PollFlags::OUT, "writable")];
    let ready: Vec<&str> =
        names.iter().filter(|(flag, _)| ready.contains(*flag)).map(|(_, name)| *name).collect();
    Ok(format!("epoll {epoll}; poll() reports it: {}", ready.join(", ")))
}

/// The disk of a lesson. It reads `film.bin` into memory when the script says so.
pub struct Disk {
    /// The number of bytes that are in memory.
    has_read: Cell<u64>,
    transcript: Rc<RefCell<Transcript>>,
}

impl Disk {
    /// Reads the next `count` bytes of the file into memory.
    pub fn read(&self, count: u64) {
        let from = self.has_read.get();
        self.has_read.set((from + count).min(FILM));
        if self.has_read.get() == from {
            self.note(NotedEvent::Remark, "the disk has nothing more to read".into());
        } else {
            self.note(
                NotedEvent::Remark,
                format!("the disk has read {} of {FILM} bytes", self.has_read.get()),
            );
        }
    }

    /// Blocks until the whole file is in memory.
    fn wait(&self) {
        if self.has_read.get() < FILM {
            self.note(
                NotedEvent::Remark,
                "(the loop blocks here, and so B waits, until the disk has read)".into(),
            );
            std::thread::sleep(BLOCKED);
            self.has_read.set(FILM);
            let text = format!("(the disk has read all; B has waited {} ms)", BLOCKED.as_millis());
            self.note(NotedEvent::Blocked(BLOCKED), text);
        }
    }

    fn note(&self, event: NotedEvent, text: String) {
        self.transcript.borrow_mut().note(event, text);
    }
}

/// The protocol of a connection, and the factory that creates a copy for each: the line `film.bin`
/// asks for the file, and any other line is echoed.
#[derive(Clone)]
struct FileServer {
    film: Rc<File>,
    disk: Rc<Disk>,
    /// Whether to check that the next bytes of the file are in memory.
    probes: bool,
}

impl ProtocolFactory for FileServer {
    fn create(&mut self, _peer: &Address) -> Box<dyn Protocol> {
        Box::new(self.clone())
    }
}

impl Protocol for FileServer {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let (name, len) = match line(input, MAX_LINE) {
            Ok(Some(line)) => line,
            Ok(None) => return Received { consumed: 0, progress: Progress::NeedInput },
            Err(_) => return Received { consumed: 0, progress: Progress::Close(CloseReason::Limit) },
        };
        cx.trace(|| Step::Understood { start: name.to_vec(), len, left: input.len() - len });
        if name == b"film.bin" {
            out.put(Body::File(Box::new(Film { server: self.clone(), offset: 0 })));
        } else {
            out.bytes().extend_from_slice(&input[..len]);
        }
        Received { consumed: len, progress: Progress::Again }
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }
}

/// The unsent rest of the file.
struct Film {
    server: FileServer,
    offset: u64,
}

impl FileBody for Film {
    fn fd(&self) -> BorrowedFd<'_> {
        self.server.film.as_fd()
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn left(&self) -> u64 {
        FILM - self.offset
    }

    fn advance(&mut self, n: u64) {
        self.offset += n;
    }

    fn has_sendfile(&self) -> bool {
        true
    }

    fn refuse_sendfile(&self) {}

    fn on_error(&self, _errno: i32, _clock: &Clock) {}

    fn sendable(&mut self, at_most: usize, _probe: bool, _buffer: &mut [u8], _clock: &Clock) -> Sendable {
        let disk = &self.server.disk;
        if !self.server.probes {
            disk.wait();
        }
        match disk.has_read.get() - self.offset {
            0 => Sendable::Retry(RETRY),
            in_memory => Sendable::Bytes(at_most.min(in_memory as usize)),
        }
    }
}
