//! Files that are not in memory: the readiness of which no poller tells.
//!
//! For a poller a file is always ready, and whoever sends from one that is not in the page cache sleeps until the disk
//! has read it, and everybody else with him. So before a part of a large file is sent, the kernel is asked whether it
//! could be read without waiting. If not, the disk is asked to read it, and it is looked at again in a moment. Of a
//! file in memory this costs one short call for each half megabyte.

use std::{fs::File, io::IoSliceMut, num::NonZeroU64};

use rustix::{
    fs::{Advice, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
};

use crate::protocol::{Front, Outbox};

/// So much comes from the disk at once: to wait for it takes no longer than to open a file does.
const PIECE: usize = 128 * 1024;
/// The disk is asked for this much at a time, for to ask takes time, too.
const ASK: u64 = 512 * 1024;
/// The disk is asked to be this far ahead of what is sent.
const AHEAD: u64 = 4 * 1024 * 1024;
/// After so many looks in vain, about a second, a file is sent as it is, whoever has to wait.
const LOOKS: u16 = 1000;

/// What is known of the file that is being sent. Positions are those of the [`Outbox`], so that what was known of one
/// file says nothing of the next.
#[derive(Debug, Default)]
pub struct Disk {
    /// The disk was asked to read up to here: the file is not in memory if this is ahead of what is sent.
    asked: u64,
    /// Up to here it is sent as it is.
    given_up: u64,
    /// Looks in vain since something was found.
    looks: u16,
}

impl Disk {
    /// Whether what is to be sent next was not in memory when it was last looked at.
    pub fn is_awaited(&self) -> bool {
        self.looks > 0
    }

    /// How many of the next `at_most` bytes can be sent without waiting for the disk, which is asked to read ahead where
    /// that is not all of them.
    pub fn at_hand(&mut self, out: &Outbox, at_most: usize) -> usize {
        let Front::File { file, offset, left } = out.front() else { return at_most };
        let next = Next { sent: out.sent(), end: out.position(), count: left.min(at_most as u64) as usize };
        let ask = |ahead| {
            // A hint: whether it was understood shows at the next look.
            let _ = fadvise(file, offset + ahead, NonZeroU64::new(ASK), Advice::WillNeed);
        };
        self.decide(next, |step| in_memory(file, offset, next.count, step), ask)
    }

    /// How much of what is `next` to send. `look` says how much of it is in memory, in steps of so many bytes; `ask` asks
    /// the disk to read, from so far ahead.
    fn decide(
        &mut self,
        Next { sent, end, count }: Next,
        look: impl Fn(usize) -> usize,
        ask: impl FnOnce(u64),
    ) -> usize {
        let is_cold = self.asked > sent;
        if sent < self.given_up || count <= PIECE && !is_cold {
            return count;
        }
        let found = look(if is_cold { PIECE } else { count });
        if found == count && !is_cold {
            return count;
        }
        if self.asked < end.min(sent + AHEAD) {
            let from = self.asked.max(sent);
            ask(from - sent);
            self.asked = end.min(from + ASK);
        }
        self.looks = if found == 0 { self.looks + 1 } else { 0 };
        if self.looks == LOOKS {
            (self.looks, self.given_up) = (0, end);
            return count;
        }
        found
    }
}

/// A part of a file that is to be sent: it stands behind `sent` bytes, the file ends at `end`.
#[derive(Debug, Clone, Copy)]
struct Next {
    sent: u64,
    end: u64,
    count: usize,
}

/// How many of the `count` bytes from `offset` are in memory, looked at in steps of `step` bytes.
fn in_memory(file: &File, offset: u64, count: usize, step: usize) -> usize {
    let mut found = 0;
    while found < count {
        let next = count.min(found + step);
        let last = offset + next as u64 - 1;
        // EAGAIN: it would have to be waited for (preadv2(2), RWF_NOWAIT). Some file systems cannot say.
        if preadv2(file, &mut [IoSliceMut::new(&mut [0])], last, ReadWriteFlags::NOWAIT) == Err(Errno::AGAIN)
        {
            break;
        }
        found = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, os::unix::fs::FileExt, rc::Rc, thread::sleep, time::Duration};

    use super::*;
    use crate::protocol::Body;

    const COUNT: usize = 512 * 1024;
    const END: u64 = 64 << 20;

    fn next(sent: u64) -> Next {
        Next { sent, end: END, count: COUNT.min((END - sent) as usize) }
    }

    #[test]
    fn of_a_file_in_memory_nothing_is_asked() {
        let mut disk = Disk::default();
        for sent in (0..END).step_by(COUNT) {
            let count = disk.decide(next(sent), |step| step, |_| panic!("asked at {sent}"));
            assert_eq!((count, disk.is_awaited()), (COUNT, false));
        }
    }

    #[test]
    fn of_a_small_rest_that_may_be_in_memory_nothing_is_asked_either() {
        let small = Next { sent: 0, end: PIECE as u64, count: PIECE };
        assert_eq!(Disk::default().decide(small, |_| panic!("looked"), |_| panic!("asked")), PIECE);
    }

    #[test]
    fn the_disk_stays_ahead_of_what_is_sent_and_no_further() {
        let (mut disk, asked, mut sent) = (Disk::default(), Cell::new(0), 0);
        while sent < END {
            // The disk is a MiB behind what it was asked for, but for the end.
            let read = if asked.get() < END { u64::saturating_sub(asked.get(), 1 << 20) } else { END };
            let look = |step| {
                let found = next(sent).count.min(u64::saturating_sub(read, sent) as usize);
                found / step * step
            };
            let ask = |ahead| {
                assert_eq!(sent + ahead, asked.get().max(sent), "nothing twice, and without a gap");
                asked.set(sent + ahead + ASK);
            };
            let count = disk.decide(next(sent), look, ask);
            assert_eq!(disk.is_awaited(), count == 0);
            assert!(asked.get() < sent + AHEAD + ASK);
            sent += count as u64;
        }
        assert_eq!((disk.given_up, disk.asked), (0, END), "of the next file nothing is known");
    }

    #[test]
    fn what_does_not_come_is_sent_as_it_is_and_the_next_file_is_looked_at_again() {
        let mut disk = Disk::default();
        for look in 1..LOOKS {
            assert_eq!((disk.decide(next(0), |_| 0, |_| {}), disk.looks), (0, look));
        }
        for sent in [0, COUNT as u64, END - 1] {
            let look = |_| if sent == 0 { 0 } else { panic!("looked at {sent}") };
            assert_eq!(disk.decide(next(sent), look, |_| {}), next(sent).count);
            assert!(!disk.is_awaited());
        }
        let other = Next { sent: END, end: 2 * END, count: COUNT };
        assert_eq!((disk.decide(other, |_| 0, |_| {}), disk.is_awaited()), (0, true));
    }

    /// What the kernel says of a real file; on some file systems all files are in memory.
    #[test]
    fn a_file_on_the_disk_is_at_hand_by_and_by() {
        const LEN: usize = 3 << 20;
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&vec![b'x'; LEN], 0).expect("write");
        file.sync_all().expect("sync");
        fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
        let (mut out, mut disk) = (Outbox::default(), Disk::default());
        out.put(Body::File { file: Rc::new(file), offset: 0, left: LEN as u64 });
        while !out.is_empty() {
            let found = disk.at_hand(&out, COUNT);
            out.advance(found.min(LEN - out.sent() as usize));
            if disk.is_awaited() {
                assert_eq!(found, 0);
                sleep(Duration::from_millis(1));
            }
        }
        assert_eq!(out.sent(), LEN as u64);
    }
}
