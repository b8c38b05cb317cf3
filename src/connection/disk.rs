//! Files that are not in memory: the readiness of which no poller tells.
//!
//! For a poller a file is always ready, and whoever sends from one that is not in the page cache sleeps until the disk
//! has read it, and everybody else with him. So before a part of a large file is sent, the kernel is asked whether both
//! its ends could be read without waiting: two short calls for each half megabyte. If not, the disk is asked to read,
//! and it is looked at again in a moment. From then on, until its end, the file is read through before it is sent, as
//! far as it is in memory.

use std::{
    fs::File,
    io::IoSliceMut,
    mem,
    num::NonZeroU64,
    ops::Range,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Advice, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
};

use crate::{
    clock::Clock,
    protocol::{Front, Outbox},
};

/// So much comes from the disk at once: to wait for it takes no longer than to open a file does. Kernels cut longer
/// wishes down to about this.
const PIECE: usize = 128 * 1024;
/// The disk is first asked for this much, and for twice as much each time when something has come.
const ASK: u64 = 512 * 1024;
/// The disk is asked to be this far ahead of what is sent.
const AHEAD: u64 = 4 * 1024 * 1024;
/// After this long, the next part is sent as it is, whoever has to wait: only then does a disk tell of its faults.
const PATIENCE: Duration = Duration::from_secs(5);
/// To look and to ask take some tenths of a millisecond at most, unless they had to wait for a place in the disk's queue.
const SLOW: Duration = Duration::from_millis(5);

/// What all files share: the queue of what the disk is to read. While it is full, even to look has to wait.
#[derive(Debug, Default)]
pub struct Queue {
    full_until: Option<Instant>,
}

impl Queue {
    fn is_full(&self, now: Instant) -> bool {
        self.full_until.is_some_and(|until| now < until)
    }

    /// To look and to ask has taken that long: a queue that was full is left alone for twice the time.
    fn note(&mut self, took: Duration, now: Instant) {
        if took > SLOW {
            self.full_until = Some(now + 2 * took);
        }
    }
}

/// What is known of the file that is being sent. Positions are those of the [`Outbox`], so that what was known of one
/// file says nothing of the next.
#[derive(Debug, Default)]
pub struct Disk {
    /// The disk was asked to read up to here: the file was not in memory if this is ahead of what is sent.
    asked: u64,
    /// When it was first looked at in vain.
    since: Option<Instant>,
    /// The next piece is sent as it is.
    is_trusted: bool,
}

/// A part of a file that is to be sent: it stands behind `sent` bytes, the file ends at `end`.
#[derive(Debug, Clone, Copy)]
struct Next {
    sent: u64,
    end: u64,
    count: usize,
}

impl Disk {
    /// Whether what is to be sent next was not in memory when it was last looked at.
    pub fn is_awaited(&self) -> bool {
        self.since.is_some()
    }

    /// The next piece is sent without a look: somebody wants to know whether the peer would take it.
    pub fn trust(&mut self) {
        self.is_trusted = true;
    }

    /// How many of the next `at_most` bytes can be sent without waiting for the disk, which is asked to read ahead where
    /// that is not all of them. `buffer` is one that nobody needs now.
    pub fn at_hand(
        &mut self,
        out: &Outbox,
        at_most: usize,
        queue: &mut Queue,
        buffer: &mut [u8],
        clock: &Clock,
    ) -> usize {
        let is_trusted = mem::take(&mut self.is_trusted);
        let Front::File { file, offset, left } = out.front() else { return at_most };
        let next = Next { sent: out.sent(), end: out.position(), count: left.min(at_most as u64) as usize };
        if is_trusted || next.count <= PIECE && !self.is_cold(next) {
            self.since = None;
            return next.count.min(PIECE);
        }
        let begun = clock.read();
        if queue.is_full(begun) {
            self.since.get_or_insert(begun);
            return 0;
        }
        let look = |is_cold| match is_cold {
            true => read_through(file, offset, next.count, buffer),
            false => look_at_ends(file, offset, next.count),
        };
        let found =
            self.decide(next, begun, look, |ahead| ask(file, offset + ahead.start..offset + ahead.end));
        let now = clock.read();
        queue.note(now.saturating_duration_since(begun), now);
        found
    }

    /// Whether something of the file was not in memory until now.
    fn is_cold(&self, next: Next) -> bool {
        self.asked > next.sent
    }

    /// How much of what is `next` to send. `look` says how much of it is in memory; `ask` asks the disk for a range, from
    /// so far ahead.
    fn decide(
        &mut self,
        next: Next,
        now: Instant,
        look: impl FnOnce(bool) -> usize,
        ask: impl FnOnce(Range<u64>),
    ) -> usize {
        let Next { sent, end, count } = next;
        let is_cold = self.is_cold(next);
        let found = look(is_cold);
        if found == count && !is_cold {
            self.since = None;
            return count;
        }
        let from = self.asked.max(sent);
        let more = match (found, is_cold) {
            (0, false) => ASK,
            (0, true) => 0, // a disk that is busy is not asked for more; what it dropped again, the look has asked for
            _ => 2 * ASK,
        };
        let to = (from + more).min(sent + AHEAD).min(end);
        if from < to {
            ask(from - sent..to - sent);
            self.asked = to;
        }
        if found == 0 && now < *self.since.get_or_insert(now) + PATIENCE {
            return 0;
        }
        self.since = None;
        if found == 0 { count } else { found }
    }
}

/// Whether the `count` bytes from `offset` are in memory, by their ends: all of them, or none.
fn look_at_ends(file: &File, offset: u64, count: usize) -> usize {
    let is_here = |at| read_now(file, at, &mut [0]) != Err(Errno::AGAIN);
    if is_here(offset) && is_here(offset + count as u64 - 1) { count } else { 0 }
}

/// How many of the `count` bytes from `offset` are in memory. The kernel has the first that are not read.
fn read_through(file: &File, offset: u64, count: usize, buffer: &mut [u8]) -> usize {
    let mut found = 0;
    while found < count {
        let wanted = buffer.len().min(count - found);
        match read_now(file, offset + found as u64, &mut buffer[..wanted]) {
            Ok(got) if got == wanted => found += got,
            Ok(0) => return count, // the file has become shorter, as who sends will find
            Ok(got) => return found + got,
            Err(Errno::AGAIN) => return found,
            Err(_) => return count,
        }
    }
    found
}

/// Reads what can be read without waiting: preadv2(2), `RWF_NOWAIT`. EAGAIN: nothing. Other errors: this file system
/// cannot say, or the file is of no use.
fn read_now(file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT)
}

/// Asks the disk to read the bytes in `range`. A hint, whose failure shows in nothing but time.
fn ask(file: &File, range: Range<u64>) {
    for at in range.step_by(PIECE) {
        let _ = fadvise(file, at, NonZeroU64::new(PIECE as u64), Advice::WillNeed);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, os::unix::fs::FileExt, rc::Rc, thread::sleep};

    use super::*;
    use crate::protocol::Body;

    const COUNT: usize = 512 * 1024;
    const END: u64 = 64 << 20;

    fn next(sent: u64) -> Next {
        Next { sent, end: END, count: COUNT.min((END - sent) as usize) }
    }

    #[test]
    fn of_a_file_in_memory_nothing_is_asked() {
        let mut disk = Disk { since: Some(Instant::now()), ..Disk::default() }; // the queue was full
        for sent in (0..END).step_by(COUNT) {
            let count = disk.decide(next(sent), Instant::now(), |_| COUNT, |_| panic!("asked at {sent}"));
            assert_eq!((count, disk.is_awaited()), (COUNT, false));
        }
    }

    #[test]
    fn while_the_queue_is_full_nothing_is_looked_at_but_small_rests_are_sent() {
        let file = Rc::new(tempfile::tempfile().expect("a file"));
        let clock = Clock::system();
        let mut queue = Queue::default();
        queue.note(SLOW, clock.now());
        assert!(!queue.is_full(clock.now()), "it was quick");
        queue.note(Duration::from_secs(60), clock.now());
        for (left, is_trusted, expected) in
            [(PIECE, false, PIECE), (PIECE + 1, false, 0), (PIECE + 1, true, PIECE)]
        {
            let since = Some(clock.now()); // the last time it was looked at
            let (mut out, mut disk) = (Outbox::default(), Disk { is_trusted, since, ..Disk::default() });
            out.put(Body::File { file: Rc::clone(&file), offset: 0, left: left as u64 });
            assert_eq!(disk.at_hand(&out, COUNT, &mut queue, &mut [], &clock), expected);
            assert_eq!(disk.is_awaited(), expected == 0);
        }
        assert!(!queue.is_full(clock.now() + Duration::from_secs(120)));
    }

    #[test]
    fn the_disk_stays_ahead_of_what_is_sent_and_no_further() {
        let (mut disk, asked, mut sent) = (Disk::default(), Cell::new(0), 0);
        let mut furthest = 0;
        while sent < END {
            // The disk is 300 KiB behind what it was asked for, but for the end, and a bit late with the first.
            let read = if asked.get() < END { u64::saturating_sub(asked.get(), 300 << 10) } else { END };
            let look = |is_cold| {
                assert_eq!(is_cold, sent < asked.get(), "at {sent}");
                next(sent).count.min(u64::saturating_sub(read, sent) as usize)
            };
            let ask = |ahead: Range<u64>| {
                assert_eq!(sent + ahead.start, asked.get().max(sent), "nothing twice, and without a gap");
                asked.set(sent + ahead.end);
            };
            let count = disk.decide(next(sent), Instant::now(), look, ask);
            assert_eq!(disk.is_awaited(), count == 0);
            furthest = furthest.max(asked.get() - sent);
            sent += count as u64;
        }
        assert_eq!(furthest, AHEAD);
        assert_eq!(disk.asked, END, "of the next file nothing is known");
    }

    #[test]
    fn a_disk_that_gives_nothing_is_asked_once_and_what_does_not_come_is_sent_as_it_is() {
        let (mut disk, start, asks) = (Disk::default(), Instant::now(), Cell::new(0));
        for sent in [0, COUNT as u64] {
            for ms in 0..5000 {
                let now = start + Duration::from_millis(ms);
                let count = disk.decide(next(sent), now, |_| 0, |_| asks.set(asks.get() + 1));
                assert_eq!((count, disk.is_awaited()), (0, true), "at {sent} after {ms} ms");
            }
            let count = disk.decide(next(sent), start + PATIENCE, |_| 0, |_| panic!("asked again"));
            assert_eq!((count, disk.is_awaited()), (COUNT, false));
        }
        assert_eq!(asks.get(), 2, "once for each part");
    }

    /// What the kernel says of a real file; on some file systems all files are in memory.
    #[test]
    fn a_file_on_the_disk_is_at_hand_by_and_by() {
        const LEN: usize = 3 << 20;
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&vec![b'x'; LEN], 0).expect("write");
        file.sync_all().expect("sync");
        fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
        let (mut out, mut disk, mut buffer) = (Outbox::default(), Disk::default(), [0; 10_000]);
        out.put(Body::File { file: Rc::new(file), offset: 0, left: LEN as u64 });
        while !out.is_empty() {
            let found = disk.at_hand(&out, COUNT, &mut Queue::default(), &mut buffer, &Clock::system());
            assert_eq!(disk.is_awaited(), found == 0);
            out.advance(found);
            if found == 0 {
                sleep(Duration::from_millis(1));
            }
        }
        assert_eq!(out.sent(), LEN as u64);
    }

    /// The last page alone is in memory, as after a seek.
    #[test]
    fn bytes_are_not_taken_for_in_memory_because_their_last_is() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&vec![b'x'; COUNT], 0).expect("write");
        file.sync_all().expect("sync");
        let is_at_hand = |is_cold, file: &File| match is_cold {
            true => read_through(file, 0, COUNT, &mut [0; 10_000]) == COUNT,
            false => look_at_ends(file, 0, COUNT) == COUNT,
        };
        for is_cold in [true, false] {
            fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
            if read_now(&file, COUNT as u64 / 2, &mut [0]) != Err(Errno::AGAIN) {
                return; // on this file system all files are in memory
            }
            file.read_exact_at(&mut [0], COUNT as u64 - 1).expect("read");
            assert!(!is_at_hand(is_cold, &file));
            file.read_exact_at(&mut vec![0; COUNT], 0).expect("read");
            assert!(is_at_hand(is_cold, &file));
        }
    }
}
