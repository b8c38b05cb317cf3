//! A large file on disk and its bytes as a response body, which never waits for the disk longer
//! than [read-ahead](super::readahead) allows.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    num::NonZeroUsize,
    ops::Range,
    os::fd::{AsFd, BorrowedFd},
    rc::Rc,
    time::{Duration, Instant},
};

use lru::LruCache;
use rustix::{fs::Dev, io::Errno};

use super::{
    error::ErrorLog,
    readahead::{ReadAhead, SMALL_SLICE, Slice, has_ends, probe_all, request},
    stamp::{COARSE_CLOCK, FileStamp},
};
use crate::{
    clock::Clock,
    protocol::{FileBody, Sendable},
};

/// The duration above which a probe counts as slow. A probe usually takes a few tenths of a
/// millisecond, unless it must wait for a slot in the disk's request queue.
const SLOW_PROBE: Duration = Duration::from_millis(5);
/// The delay before the next probe.
const RETRY: Duration = Duration::from_millis(1);

/// The maximum number of file systems without sendfile to remember.
const MAX_DEVICES: usize = 16;

/// The maximum number of unsettled stamps to remember, about 100 KiB.
const MAX_UNSETTLED: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// An open file on disk, and the disk queue that all files of the site share.
#[derive(Debug)]
pub struct DiskFile {
    file: Rc<File>,
    /// The device of the file system.
    device: Dev,
    queue: Rc<DiskState>,
}

impl DiskFile {
    /// Creates a handle for an open file on `device`.
    pub fn new(file: Rc<File>, device: Dev, queue: Rc<DiskState>) -> DiskFile {
        DiskFile { file, device, queue }
    }

    /// Returns the bytes in `range` as a response body.
    pub fn body(&self, range: Range<u64>) -> Box<dyn FileBody> {
        Box::new(DiskBody {
            file: Rc::clone(&self.file),
            device: self.device,
            queue: Rc::clone(&self.queue),
            offset: range.start,
            end: range.end,
            read_ahead: ReadAhead::default(),
        })
    }
}

/// What reading and sending have shown about the disk that all files of a site share.
#[derive(Debug)]
pub struct DiskState {
    /// While the disk's request queue is full, even a probe blocks.
    full_until: Cell<Option<Instant>>,
    /// The devices of the file systems that refused sendfile(2), the latest last.
    without_sendfile: RefCell<Vec<Dev>>,
    /// The log of failed system calls.
    pub errors: ErrorLog,
    /// The stamps of files whose times prove nothing, by device and inode, and when each stamp was
    /// first seen.
    unsettled: RefCell<LruCache<(Dev, u64), (FileStamp, Instant)>>,
}

impl Default for DiskState {
    fn default() -> DiskState {
        DiskState {
            full_until: Cell::default(),
            without_sendfile: RefCell::default(),
            errors: ErrorLog::default(),
            unsettled: RefCell::new(LruCache::new(MAX_UNSETTLED)),
        }
    }
}

impl DiskState {
    /// Returns whether the queue is assumed to be full.
    fn is_full(&self, now: Instant) -> bool {
        self.full_until.get().is_some_and(|until| now < until)
    }

    /// Returns whether a later change to the file must change `stamp`, which was read now. The time
    /// in the stamp proves that if it is past. But the clock of the file system may be ahead of
    /// ours, or ours may have been set back. So a stamp also counts as settled once it has stayed
    /// the same for as long as the coarsest clock ticks.
    pub fn is_settled(&self, stamp: &FileStamp, clock: &Clock) -> bool {
        if stamp.has_settled(clock.wall()) {
            return true;
        }
        let mut unsettled = self.unsettled.borrow_mut();
        let (seen, since) =
            unsettled.get_or_insert_mut((stamp.device, stamp.inode), || (*stamp, clock.now()));
        if seen != stamp {
            (*seen, *since) = (*stamp, clock.now());
        }
        clock.now() >= *since + COARSE_CLOCK
    }

    /// Returns whether sendfile(2) can read files on `device`, as far as is known.
    fn has_sendfile(&self, device: Dev) -> bool {
        !self.without_sendfile.borrow().contains(&device)
    }

    /// Records that sendfile refused a file on `device`.
    fn refuse_sendfile(&self, device: Dev) {
        let mut devices = self.without_sendfile.borrow_mut();
        if devices.contains(&device) {
            return;
        }
        // A forgotten device costs one refused call the next time, and is not logged again.
        if devices.len() >= MAX_DEVICES {
            devices.remove(0);
        } else {
            log::info!("sendfile is not available for all files; sending them with pread and send");
        }
        devices.push(device);
    }

    /// Records how long a probe took. After a slow probe, the queue counts as full for twice as
    /// long as the probe took.
    fn note(&self, took: Duration, now: Instant) {
        if took > SLOW_PROBE {
            self.full_until.set(Some(now + 2 * took));
        }
    }
}

/// A range of a file that is being sent.
struct DiskBody {
    file: Rc<File>,
    device: Dev,
    queue: Rc<DiskState>,
    offset: u64,
    end: u64,
    read_ahead: ReadAhead,
}

impl FileBody for DiskBody {
    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn left(&self) -> u64 {
        self.end - self.offset
    }

    fn advance(&mut self, n: u64) {
        self.offset += n;
        self.read_ahead.note_accepted(n as usize, self.offset);
    }

    fn has_sendfile(&self) -> bool {
        self.queue.has_sendfile(self.device)
    }

    fn refuse_sendfile(&self) {
        self.queue.refuse_sendfile(self.device);
    }

    fn on_error(&self, errno: i32, clock: &Clock) {
        self.queue.errors.warn(format_args!("send a file"), Errno::from_raw_os_error(errno), clock);
    }

    fn sendable(&mut self, at_most: usize, probe: bool, buffer: &mut [u8], clock: &Clock) -> Sendable {
        let slice =
            Slice { offset: self.offset, end: self.end, len: self.left().min(at_most as u64) as usize };
        // Send a small slice immediately. Also send a slice if the caller must make progress
        // (`!probe`), but no more than a disk can deliver quickly.
        if !probe || slice.len <= SMALL_SLICE && !self.read_ahead.is_cold(slice) {
            self.read_ahead.waiting_since = None;
            return Sendable::Bytes(slice.len.min(SMALL_SLICE));
        }
        // The socket may have accepted less than a probe in this turn found.
        let in_memory = self.read_ahead.in_memory(slice, clock.turn());
        if in_memory > 0 {
            return Sendable::Bytes(in_memory);
        }
        let slice = self.read_ahead.to_probe(slice);
        let begun = clock.precise_now();
        // A probe would block now. Wait, without asking the disk for more.
        if self.queue.is_full(begun) {
            self.read_ahead.waiting_since.get_or_insert(begun);
            return Sendable::Retry(RETRY);
        }
        // Probe a warm file only at both ends of the slice: two short calls per half megabyte. If
        // any byte has been missing, probe every byte, because memory may have been reclaimed
        // anywhere.
        let (file, mut in_memory) = (&self.file, 0);
        let find = |is_cold: bool| {
            let is_whole = !is_cold && has_ends(file, slice);
            in_memory = if is_whole { slice.len } else { probe_all(file, slice, buffer) };
            in_memory
        };
        let len = self.read_ahead.plan(slice, begun, find, |range| request(file, range));
        self.read_ahead.note_in_memory(slice.offset + in_memory as u64, clock.turn());
        let now = clock.precise_now();
        self.queue.note(now.saturating_duration_since(begun), now);
        if len == 0 { Sendable::Retry(RETRY) } else { Sendable::Bytes(len) }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::FileExt, thread::sleep, time::SystemTime};

    use rustix::fs::{Advice, fadvise};

    use super::*;

    const LEN: usize = 512 * 1024;

    /// Returns a body of `file` whose last probe found nothing.
    fn body(file: File, queue: &Rc<DiskState>, left: u64, now: Instant) -> DiskBody {
        let mut body = DiskBody {
            file: Rc::new(file),
            device: 0,
            queue: Rc::clone(queue),
            offset: 0,
            end: left,
            read_ahead: ReadAhead::default(),
        };
        body.read_ahead.waiting_since = Some(now);
        body
    }

    #[test]
    fn read_ahead_with_a_full_queue_probes_nothing_but_sends_small_slices() {
        let clock = Clock::system();
        let queue = Rc::new(DiskState::default());
        queue.note(SLOW_PROBE, clock.now());
        assert!(!queue.is_full(clock.now()), "it was quick");
        queue.note(Duration::from_secs(60), clock.now());
        let now = Sendable::Bytes(SMALL_SLICE);
        let table = [
            (SMALL_SLICE, true, now),
            (SMALL_SLICE + 1, true, Sendable::Retry(RETRY)),
            (SMALL_SLICE + 1, false, now),
        ];
        for (left, probe, expected) in table {
            let mut body = body(tempfile::tempfile().expect("a file"), &queue, left as u64, clock.now());
            assert_eq!(body.sendable(LEN, probe, &mut [], &clock), expected);
            assert_eq!(body.read_ahead.waiting_since.is_some(), expected == Sendable::Retry(RETRY));
        }
        assert!(!queue.is_full(clock.now() + Duration::from_secs(120)));
    }

    /// Probes a real file. On some file systems, all files are always in memory.
    #[test]
    fn read_ahead_of_a_real_file_sends_all_of_it() {
        const LEN: u64 = 3 << 20;
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&vec![b'x'; LEN as usize], 0).expect("write");
        file.sync_all().expect("sync");
        fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
        let (clock, mut buffer) = (Clock::system(), [0; 10_000]);
        let mut body = body(file, &Rc::default(), LEN, clock.now());
        while body.left() > 0 {
            match body.sendable(512 * 1024, true, &mut buffer, &clock) {
                Sendable::Bytes(count) => body.advance(count as u64),
                Sendable::Retry(after) => sleep(after),
            }
        }
        assert_eq!(body.offset(), LEN);
    }

    /// A full queue shows whether the body probes.
    #[test]
    fn probe_is_not_repeated_in_the_turn_if_the_peer_accepts_less_than_it_found() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&[b'x'; LEN], 0).expect("write");
        let (mut clock, queue) = (Clock::frozen(SystemTime::now()), Rc::default());
        let mut body = body(file, &queue, LEN as u64, clock.now());
        assert_eq!(body.sendable(LEN, true, &mut [0; 10_000], &clock), Sendable::Bytes(LEN));
        queue.note(Duration::from_secs(60), clock.now());
        body.advance(1000);
        assert_eq!(body.sendable(LEN, true, &mut [], &clock), Sendable::Bytes(LEN - 1000));
        assert_eq!(body.sendable(SMALL_SLICE + 1, true, &mut [], &clock), Sendable::Bytes(SMALL_SLICE + 1));
        clock.tick();
        assert_eq!(body.sendable(LEN, true, &mut [], &clock), Sendable::Retry(RETRY));
    }

    #[test]
    fn file_that_cannot_be_sent_is_logged_once_a_minute_and_cause() {
        let (clock, queue) = (Clock::frozen(SystemTime::now()), Rc::default());
        let body = body(tempfile::tempfile().expect("a file"), &queue, 1, clock.now());
        body.on_error(Errno::IO.raw_os_error(), &clock);
        assert!(!queue.errors.is_due(Errno::IO, &clock), "it was logged");
        assert!(queue.errors.is_due(Errno::STALE, &clock), "another cause");
    }

    #[test]
    fn sendfile_refused_is_remembered_for_its_file_system_alone() {
        let queue = DiskState::default();
        queue.refuse_sendfile(7);
        queue.refuse_sendfile(7);
        assert!(!queue.has_sendfile(7) && queue.has_sendfile(8));
        (100..).take(MAX_DEVICES).for_each(|device| queue.refuse_sendfile(device));
        assert!(queue.has_sendfile(7), "the oldest makes room");
        assert_eq!(queue.without_sendfile.borrow().len(), MAX_DEVICES);
    }
}
