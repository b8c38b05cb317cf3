//! Read-ahead: decides what part of a file can be sent without blocking the loop.
//!
//! epoll rejects regular files (epoll_ctl(2), `EPERM`), so no event reports when sendfile(2) would
//! block on a file outside the page cache. Before each large slice, this module probes whether the
//! slice is in memory, with preadv2(2) and `RWF_NOWAIT`. If not, the connection tries again in a
//! millisecond.
//!
//! A probe that finds nothing, and sendfile(2) on its way through the file, make the kernel read
//! ahead by itself. It does that in large folios, which take a fraction of the time per byte that
//! pages requested with posix_fadvise(2) take. So this module requests as little as possible: the
//! first bytes of a cold file, and more only while the kernel falls behind. (By default it reads
//! 128 KiB ahead, which is not enough for a fast peer.)
//!
//! [`ReadAhead`] is the policy and does no I/O. The functions below it make the system calls.

use std::{
    fs::File,
    ops::Range,
    time::{Duration, Instant},
};

use rustix::io::Errno;

use crate::system::{self, read_cached};

/// The largest slice in bytes that is sent without a probe. Reading it takes no longer than opening
/// a file. Kernels split larger reads into pieces of about this size.
pub const SMALL_SLICE: usize = 128 * 1024;
/// The length of a request to read ahead, in bytes.
const REQUEST: u64 = 512 * 1024;
/// How far requests may run ahead of a fast peer, in bytes.
const MAX_AHEAD: u64 = 4 * 1024 * 1024;
/// A peer that has accepted this many bytes in full is fast. A send buffer holds less.
const FAST: u64 = 4 * 1024 * 1024;
/// A file stays cold up to this many bytes after the last missing or requested one.
const COLD_DISTANCE: u64 = 1024 * 1024;
/// The minimum number of bytes of a cold file to probe at once.
const MIN_PROBE: usize = 64 * 1024;
/// How long the kernel's own read-ahead may take for a slow peer, whose send buffer is still full.
const PATIENCE: Duration = Duration::from_millis(40);
/// How long to wait for the disk before a slice is sent regardless. Only a blocking read reports
/// disk errors.
const GIVE_UP: Duration = Duration::from_secs(5);

/// The next bytes to send: `len` bytes at `offset`, in a body that ends at `end`.
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    pub offset: u64,
    pub end: u64,
    pub len: usize,
}

/// The read-ahead policy of one body.
#[derive(Debug, Default)]
pub struct ReadAhead {
    /// The offset up to which the disk has been asked to read.
    requested: u64,
    /// The offset up to which the file counts as cold.
    cold_until: u64,
    /// The number of bytes that the socket accepted in the last write.
    accepted: usize,
    /// The number of bytes accepted since the socket last accepted less than was in memory.
    in_full: u64,
    /// Whether the kernel's own read-ahead was too slow for a fast peer.
    is_kernel_late: bool,
    /// The offset up to which the last probe found the file in memory, and the turn of that probe.
    in_memory: (u64, u64),
    /// The time when a probe first found nothing in memory, or `None` while bytes flow.
    pub waiting_since: Option<Instant>,
}

impl ReadAhead {
    /// Returns whether the file is cold, that is, part of it was not in memory a short way back.
    pub fn is_cold(&self, slice: Slice) -> bool {
        self.cold_until > slice.offset
    }

    /// Records that the socket accepted `count` bytes, up to the offset `end`.
    pub fn note_accepted(&mut self, count: usize, end: u64) {
        self.accepted = count;
        if end < self.in_memory.0 {
            (self.in_full, self.is_kernel_late) = (0, false);
        } else {
            self.in_full += count as u64;
        }
    }

    /// Records that a probe in this `turn` found the file in memory up to the offset `end`.
    pub fn note_in_memory(&mut self, end: u64, turn: u64) {
        self.in_memory = (end, turn);
    }

    /// Returns the number of bytes of `slice` that a probe in this `turn` found in memory.
    pub fn in_memory(&self, slice: Slice, turn: u64) -> usize {
        let (end, probed_in) = self.in_memory;
        if probed_in == turn { slice.len.min(end.saturating_sub(slice.offset) as usize) } else { 0 }
    }

    /// Returns the part of `slice` to probe. A probe copies what it finds of a cold file, which
    /// costs more than to send it. So it does not go far beyond what a slow peer accepts at once.
    pub fn to_probe(&self, slice: Slice) -> Slice {
        let len = if self.is_cold(slice) { MIN_PROBE.max(2 * self.accepted) } else { slice.len };
        Slice { len: slice.len.min(len), ..slice }
    }

    /// Returns the number of bytes of `slice` to send now, or 0 to try again later. `probe` is told
    /// whether the file is cold and returns the number of bytes in memory. `request` asks the disk
    /// to read a range.
    pub fn plan(
        &mut self,
        slice: Slice,
        now: Instant,
        probe: impl FnOnce(bool) -> usize,
        request: impl FnOnce(Range<u64>),
    ) -> usize {
        let Slice { offset, end, len } = slice;
        let is_cold = self.is_cold(slice);
        let found = probe(is_cold);
        if found < len {
            self.cold_until = self.requested.max(offset) + COLD_DISTANCE;
        }
        // Ask a busy disk only once for the same bytes.
        let is_exhausted = self.requested <= offset;
        self.is_kernel_late |= found == 0 && is_cold && is_exhausted && self.in_full > FAST;
        let has_waited = || self.waiting_since.is_some_and(|since| now >= since + PATIENCE);
        let more = match found {
            0 if is_exhausted && (!is_cold || self.is_kernel_late || has_waited()) => REQUEST,
            // Data is arriving: extend the window before it runs out.
            1.. if self.is_kernel_late => 2 * REQUEST,
            _ => 0,
        };
        let from = self.requested.max(offset);
        let to = (from + more).min(offset + MAX_AHEAD).min(end);
        if from < to {
            self.requested = to;
            self.cold_until = to + COLD_DISTANCE;
            request(from..to);
        }
        if found > 0 {
            self.waiting_since = None;
            return found;
        }
        // Wait for the disk, but not indefinitely. After `GIVE_UP`, a blocking send reports the
        // error.
        if now < *self.waiting_since.get_or_insert(now) + GIVE_UP {
            return 0;
        }
        self.waiting_since = None;
        len
    }
}

/// Returns whether the first and last bytes of `slice` are in memory.
pub fn has_ends(file: &File, slice: Slice) -> bool {
    let is_cached = |at| read_cached(file, at, &mut [0]) != Err(Errno::AGAIN);
    is_cached(slice.offset) && is_cached(slice.offset + slice.len as u64 - 1)
}

/// Returns the number of bytes at the start of `slice` that are in memory. The kernel starts to
/// read the first missing pages.
pub fn probe_all(file: &File, slice: Slice, buffer: &mut [u8]) -> usize {
    let mut found = 0;
    while found < slice.len {
        let wanted = buffer.len().min(slice.len - found);
        match read_cached(file, slice.offset + found as u64, &mut buffer[..wanted]) {
            Ok(got) if got == wanted => found += got,
            Ok(0) => return slice.len, // the file was truncated; the write will notice
            Ok(got) => return found + got,
            Err(Errno::AGAIN) => return found,
            Err(_) => return slice.len,
        }
    }
    found
}

/// Asks the kernel to read `range` into memory.
pub fn request(file: &File, range: Range<u64>) {
    system::read_ahead(file, range, SMALL_SLICE);
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, os::unix::fs::FileExt};

    use rustix::fs::{Advice, fadvise};

    use super::*;

    const LEN: usize = 512 * 1024;
    const END: u64 = 64 << 20;

    fn slice(offset: u64) -> Slice {
        Slice { offset, end: END, len: LEN.min((END - offset) as usize) }
    }

    #[test]
    fn read_ahead_asks_nothing_of_a_file_in_memory() {
        // The body waits because the queue was full.
        let mut policy = ReadAhead { waiting_since: Some(Instant::now()), ..ReadAhead::default() };
        for offset in (0..END).step_by(LEN) {
            let request = |_| panic!("asked at {offset}");
            assert_eq!(policy.plan(slice(offset), Instant::now(), |_| LEN, request), LEN);
            assert_eq!(policy.waiting_since, None);
        }
    }

    #[test]
    fn read_ahead_of_what_arrives_in_time_is_left_to_the_kernel() {
        let (mut policy, now, requests) = (ReadAhead::default(), Instant::now(), Cell::new(0));
        for offset in (0..END).step_by(LEN / 2) {
            for found in [0, LEN / 2] {
                let request = |range: Range<u64>| {
                    assert_eq!(range, 0..REQUEST);
                    requests.set(requests.get() + 1);
                };
                let probe = |is_cold| {
                    assert_eq!(is_cold, offset > 0 || found > 0, "at {offset}");
                    found
                };
                assert_eq!(policy.plan(slice(offset), now, probe, request), found);
                assert_eq!(policy.waiting_since.is_some(), found == 0);
            }
        }
        assert_eq!(requests.get(), 1);
    }

    #[test]
    fn read_ahead_of_a_slow_peer_is_requested_when_the_kernel_is_very_late() {
        let (mut policy, start) = (ReadAhead::default(), Instant::now());
        for offset in [0, REQUEST, 2 * REQUEST] {
            let (requested, late) = (Cell::new(0..0), PATIENCE.as_millis() as u64);
            let table = [(0, 0), (0, late - 1), (0, late), (0, 99), (1, 100)];
            for (found, ms) in table {
                let now = start + Duration::from_millis(ms);
                let request = |range| {
                    assert_eq!(requested.replace(range), 0..0, "once");
                    assert_eq!(ms, if offset == 0 { 0 } else { late }, "not before the kernel had time");
                };
                assert_eq!(policy.plan(slice(offset), now, |_| found, request), found);
            }
            assert_eq!(requested.take(), offset..offset + REQUEST);
        }
    }

    #[test]
    fn read_ahead_stays_in_front_of_a_fast_peer_once_the_kernel_is_late_and_no_further() {
        let (mut policy, now, requested) = (ReadAhead::default(), Instant::now(), Cell::new(0));
        let end = 10 * END;
        let slice = |offset| Slice { offset, end, len: LEN };
        let plan = |policy: &mut ReadAhead, offset, found| {
            let request = |range: Range<u64>| {
                assert_eq!(range.start, requested.get().max(offset), "nothing twice, and without a gap");
                requested.set(range.end);
            };
            assert_eq!(policy.plan(slice(offset), now, |_| found, request), found);
        };
        policy.note_accepted(FAST as usize + 1, FAST + 1);
        plan(&mut policy, 0, 0);
        let mut offset = REQUEST;
        plan(&mut policy, offset, LEN);
        assert_eq!(requested.get(), REQUEST, "the kernel keeps up");
        plan(&mut policy, offset, 0);
        assert_eq!(requested.get(), offset + REQUEST, "it is late");
        for _ in 0..10 {
            plan(&mut policy, offset, LEN);
            offset += LEN as u64;
            policy.note_accepted(LEN, offset);
            assert!(requested.get() > offset && requested.get() <= offset + MAX_AHEAD);
        }
        assert!(requested.get() > offset + MAX_AHEAD / 2);
        policy.note_in_memory(offset + 2, 1);
        policy.note_accepted(1, offset + 1);
        let before = requested.get();
        plan(&mut policy, offset + 1, LEN);
        plan(&mut policy, before, 0);
        assert_eq!(requested.get(), before, "a slow peer has time");
    }

    #[test]
    fn probe_of_a_cold_file_goes_little_further_than_what_the_peer_accepts() {
        let mut policy = ReadAhead::default();
        assert_eq!(policy.to_probe(slice(0)).len, LEN, "two bytes of a warm file");
        assert_eq!(policy.plan(slice(0), Instant::now(), |_| 0, |_| ()), 0);
        let probed = [0, 10_000, 100_000, LEN].map(|accepted| {
            policy.note_accepted(accepted, 0);
            policy.to_probe(slice(0)).len
        });
        assert_eq!(probed, [MIN_PROBE, MIN_PROBE, 200_000, LEN]);
        let later = slice(REQUEST + COLD_DISTANCE);
        assert_eq!(policy.to_probe(later).len, LEN, "nothing was missing for so long");
    }

    #[test]
    fn read_ahead_asks_a_stuck_disk_once_and_then_sends_without_a_probe() {
        let (mut policy, start, requests) = (ReadAhead::default(), Instant::now(), Cell::new(0));
        for offset in [0, LEN as u64] {
            for ms in 0..5000 {
                let now = start + Duration::from_millis(ms);
                let len = policy.plan(slice(offset), now, |_| 0, |_| requests.set(requests.get() + 1));
                assert_eq!((len, policy.waiting_since.is_some()), (0, true), "at {offset} after {ms} ms");
            }
            let len = policy.plan(slice(offset), start + GIVE_UP, |_| 0, |_| panic!("asked again"));
            assert_eq!((len, policy.waiting_since), (LEN, None));
        }
        assert_eq!(requests.get(), 2, "once for each slice");
    }

    /// Drops `file` from memory. Returns whether the kernel reports that it is gone.
    fn drop_from_memory(file: &File) -> bool {
        fadvise(file, 0, None, Advice::DontNeed).expect("advice");
        read_cached(file, LEN as u64 / 2, &mut [0]) == Err(Errno::AGAIN)
    }

    /// Only the last page is in memory, as after a seek.
    #[test]
    fn read_ahead_does_not_take_a_slice_for_cached_because_its_last_byte_is() {
        if crate::testing::leaves_out("RWF_NOWAIT") {
            return;
        }
        let cold_file = |dir: tempfile::TempDir| {
            let file = tempfile::tempfile_in(dir.path()).expect("a file");
            file.write_all_at(&vec![b'x'; LEN], 0).expect("write");
            file.sync_all().expect("sync");
            drop_from_memory(&file).then_some(file)
        };
        let Some(file) = crate::testing::dirs().find_map(cold_file) else {
            return crate::testing::skip("all files are in memory on each file system here");
        };
        let slice = Slice { offset: 0, end: LEN as u64, len: LEN };
        let is_cached = |is_cold, file: &File| {
            if is_cold { probe_all(file, slice, &mut [0; 10_000]) == LEN } else { has_ends(file, slice) }
        };
        for is_cold in [true, false] {
            assert!(drop_from_memory(&file), "as it could be before");
            file.read_exact_at(&mut [0], LEN as u64 - 1).expect("read");
            assert!(!is_cached(is_cold, &file));
            file.read_exact_at(&mut vec![0; LEN], 0).expect("read");
            assert!(is_cached(is_cold, &file));
        }
    }
}
