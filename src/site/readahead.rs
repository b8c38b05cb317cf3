//! Read-ahead: decides what part of a file can be sent without blocking the loop.
//!
//! epoll rejects regular files (epoll_ctl(2), `EPERM`), so no event reports when sendfile(2) would
//! block on a file outside the page cache. Before each large slice, this module probes whether the
//! slice is in memory, with preadv2(2) and `RWF_NOWAIT`. If not, it asks the kernel to read ahead,
//! and the connection tries again in a millisecond.
//!
//! [`ReadAhead`] is the policy and does no I/O. The functions below it make the system calls.

use std::{
    fs::File,
    io::IoSliceMut,
    num::NonZeroU64,
    ops::Range,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Advice, fadvise},
    io::{Errno, ReadWriteFlags, preadv2},
};

/// The largest slice in bytes that is sent without a probe. Reading it takes no longer than opening
/// a file. Kernels split larger reads into pieces of about this size.
pub const SMALL_SLICE: usize = 128 * 1024;
/// The size of the first read-ahead in bytes. Later read-aheads are twice as large.
const FIRST_REQUEST: u64 = 512 * 1024;
/// The maximum number of bytes that read-ahead may be ahead of the bytes sent.
const MAX_AHEAD: u64 = 4 * 1024 * 1024;
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
    /// The offset up to which the disk has been asked to read. If this offset is ahead of the bytes
    /// sent, part of the file was not in memory.
    requested: u64,
    /// The time when a probe first found nothing in memory, or `None` while bytes flow.
    pub waiting_since: Option<Instant>,
}

impl ReadAhead {
    /// Returns whether the file is cold, that is, part of it was not yet in memory.
    pub fn is_cold(&self, slice: Slice) -> bool {
        self.requested > slice.offset
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
        // Probe a warm file only at both ends of the slice: two short calls per half megabyte. Once
        // any byte has been missing, probe every byte, because memory may have been reclaimed
        // anywhere.
        let found = probe(is_cold);
        if found == len && !is_cold {
            self.waiting_since = None;
            return len;
        }
        let from = self.requested.max(offset);
        let more = match (found, is_cold) {
            // The first miss: start reading ahead.
            (0, false) => FIRST_REQUEST,
            // Nothing has arrived yet, so do not ask a busy disk for more. If the kernel has
            // dropped pages again, the probe itself has requested them.
            (0, true) => 0,
            // Data is arriving: extend the window before it runs out.
            _ => 2 * FIRST_REQUEST,
        };
        let to = (from + more).min(offset + MAX_AHEAD).min(end);
        if from < to {
            request(from..to);
            self.requested = to;
        }
        // Wait for the disk, but not indefinitely. After `GIVE_UP`, a blocking send reports the
        // error.
        if found == 0 && now < *self.waiting_since.get_or_insert(now) + GIVE_UP {
            return 0;
        }
        self.waiting_since = None;
        if found == 0 { len } else { found }
    }
}

/// Returns the length of `slice` if its first and last bytes are in memory, otherwise 0.
pub fn probe_ends(file: &File, slice: Slice) -> usize {
    let is_cached = |at| read_cached(file, at, &mut [0]) != Err(Errno::AGAIN);
    let last = slice.offset + slice.len as u64 - 1;
    if is_cached(slice.offset) && is_cached(last) { slice.len } else { 0 }
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

/// Reads without waiting for the disk (preadv2(2), `RWF_NOWAIT`).
///
/// # Errors
/// Returns `EAGAIN` if nothing is in memory. Returns another error if the file system does not
/// support the flag or the file cannot be read.
fn read_cached(file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT)
}

/// Asks the kernel to read `range` into memory (posix_fadvise(2)). This is only a hint. If it
/// fails, sending takes longer.
pub fn request(file: &File, range: Range<u64>) {
    for at in range.step_by(SMALL_SLICE) {
        let _ = fadvise(file, at, NonZeroU64::new(SMALL_SLICE as u64), Advice::WillNeed);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, os::unix::fs::FileExt};

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
    fn read_ahead_stays_in_front_of_what_is_sent_and_no_further() {
        let (mut policy, requested, mut offset) = (ReadAhead::default(), Cell::new(0), 0);
        let mut furthest = 0;
        while offset < END {
            // The disk is 300 KiB behind the requests, except at the end, and late with the first
            // one.
            let read =
                if requested.get() < END { u64::saturating_sub(requested.get(), 300 << 10) } else { END };
            let probe = |is_cold| {
                assert_eq!(is_cold, offset < requested.get(), "at {offset}");
                slice(offset).len.min(u64::saturating_sub(read, offset) as usize)
            };
            let request = |range: Range<u64>| {
                assert_eq!(range.start, requested.get().max(offset), "nothing twice, and without a gap");
                requested.set(range.end);
            };
            let len = policy.plan(slice(offset), Instant::now(), probe, request);
            assert_eq!(policy.waiting_since.is_some(), len == 0);
            furthest = furthest.max(requested.get() - offset);
            offset += len as u64;
        }
        assert_eq!(furthest, MAX_AHEAD);
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
            let found =
                if is_cold { probe_all(file, slice, &mut [0; 10_000]) } else { probe_ends(file, slice) };
            found == LEN
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
