//! The body of a response of the load target: bytes that follow from a seed, or the body of the
//! request. It is put into the outbox in pieces, at once or evenly over a time.

use std::{
    io::Write,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use oorandom::Rand64;

use crate::protocol::{Outbox, Progress};

/// The shortest time between two pieces of a body that is sent over a time. A connection then needs
/// at most a hundred turns per second.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// The number of bytes that follow from one random number.
const WORD: u64 = 8;

/// The rest of a body.
#[derive(Debug)]
pub struct TargetBody {
    random: Rand64,
    /// The last number. It covers the bytes up to the next multiple of [`WORD`].
    word: [u8; WORD as usize],
    len: u64,
    /// The bytes, if they do not follow from a seed.
    given: Option<Box<[u8]>>,
    /// The length of its chunks, if it has the chunked coding.
    chunk: Option<u64>,
    /// After how many bytes it is cut off.
    limit: u64,
    /// The number of bytes that have been put into the outbox.
    done: u64,
    pace: Option<Pace>,
}

/// When the pieces of a body are due: piece `k` of `count` at `k / count` of the time.
#[derive(Debug, Clone, Copy)]
struct Pace {
    began: Instant,
    over: Duration,
    count: u32,
}

impl TargetBody {
    /// Creates a body of `len` bytes that follow from `seed`. It is sent evenly `over` a time that
    /// begins `now`, or else at once.
    pub fn new(seed: u64, len: u64, over: Option<Duration>, now: Instant) -> TargetBody {
        let pace = over.filter(|_| len > 0).map(|over| Pace::new(len, over, now));
        TargetBody {
            random: Rand64::new(seed.into()),
            word: [0; WORD as usize],
            len,
            given: None,
            chunk: None,
            limit: len,
            done: 0,
            pace,
        }
    }

    /// Creates a body of these bytes, which is sent like one of [`TargetBody::new`].
    pub fn given(bytes: Box<[u8]>, over: Option<Duration>, now: Instant) -> TargetBody {
        let len = bytes.len() as u64;
        TargetBody { given: Some(bytes), ..TargetBody::new(0, len, over, now) }
    }

    /// Sends the body in chunks of this length (RFC 9112 section 7.1).
    pub fn in_chunks(&mut self, len: NonZeroU64) {
        self.chunk = Some(len.get());
    }

    /// Cuts the body off after `limit` bytes. Returns whether it is longer than that.
    pub fn cut(&mut self, limit: u64) -> bool {
        self.limit = self.len.min(limit);
        self.limit < self.len
    }

    /// Puts what is due `now` into `out`, as long as there is room. Returns when the next piece
    /// follows, or `None` if the body is complete. All of the rest is due if `is_last_chance` is
    /// set.
    pub fn put(&mut self, out: &mut Outbox, now: Instant, is_last_chance: bool) -> Option<Progress> {
        let pace = self.pace.filter(|_| !is_last_chance);
        let due = pace.map_or(self.len, |pace| pace.due(self.len, now)).min(self.limit);
        while self.done < due && out.has_room() {
            let Some(chunk) = self.chunk else {
                self.fill(due.min(self.done + 16 * 1024), out.bytes());
                continue;
            };
            let end = due.min(self.done + chunk);
            let _ = write!(out.bytes(), "{:x}\r\n", end - self.done); // a vector takes all
            self.fill(end, out.bytes());
            out.bytes().extend_from_slice(b"\r\n");
        }
        match pace {
            _ if self.done == self.limit => {
                // Only the last chunk ends the body.
                if self.limit == self.len && self.chunk.is_some() {
                    out.bytes().extend_from_slice(b"0\r\n\r\n");
                }
                None
            }
            Some(pace) if self.done >= due => Some(Progress::WaitUntil(Some(pace.next(now)))),
            _ => Some(Progress::Yield),
        }
    }

    /// Appends the bytes up to position `end`.
    fn fill(&mut self, end: u64, out: &mut Vec<u8>) {
        if let Some(bytes) = &self.given {
            // The end is at most their length.
            out.extend_from_slice(&bytes[self.done as usize..end as usize]);
            self.done = end;
            return;
        }
        while self.done < end {
            let at = self.done % WORD;
            if at == 0 {
                self.fill_words((end - self.done) / WORD, out);
                if self.done == end {
                    return;
                }
                self.word = self.random.rand_u64().to_le_bytes();
            }
            let count = (WORD - at).min(end - self.done);
            // Both are at most the length of a word.
            out.extend_from_slice(&self.word[at as usize..(at + count) as usize]);
            self.done += count;
        }
    }

    /// Appends `count` whole words. A piece has at most some thousand of them.
    fn fill_words(&mut self, count: u64, out: &mut Vec<u8>) {
        let (start, len) = (out.len(), count * WORD);
        out.resize(start + len as usize, 0);
        for word in out[start..].chunks_exact_mut(WORD as usize) {
            word.copy_from_slice(&self.random.rand_u64().to_le_bytes());
        }
        self.done += len;
    }
}

impl Pace {
    fn new(len: u64, over: Duration, began: Instant) -> Pace {
        // The maximum time and the shortest interval make 360,000 pieces.
        let most = u32::try_from(over.as_millis() / MIN_INTERVAL.as_millis()).unwrap_or(u32::MAX);
        let count = most.min(u32::try_from(len).unwrap_or(u32::MAX)).max(1);
        Pace { began, over, count }
    }

    /// Returns how many pieces are due.
    fn pieces(&self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed >= self.over {
            return self.count;
        }
        let pieces = elapsed.as_nanos() * u128::from(self.count) / self.over.as_nanos().max(1);
        u32::try_from(pieces).unwrap_or(self.count)
    }

    /// Returns how many of `len` bytes are due.
    fn due(&self, len: u64, now: Instant) -> u64 {
        let due = u128::from(len) * u128::from(self.pieces(now)) / u128::from(self.count);
        u64::try_from(due).unwrap_or(len)
    }

    /// Returns when the next piece is due.
    fn next(&self, now: Instant) -> Instant {
        let pieces = u64::from(self.pieces(now)) + 1;
        // Rounded up, so that the piece is due at that time.
        let nanos = (self.over.as_nanos() * u128::from(pieces)).div_ceil(u128::from(self.count));
        self.began + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(self.over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        http::{ChunkedDecoder, ChunkedPiece},
    };

    const MS: Duration = Duration::from_millis(1);

    /// Returns the bytes of a body, of which the socket takes each piece at once.
    fn whole(mut body: TargetBody, now: Instant) -> Vec<u8> {
        let (mut out, mut got) = (Outbox::default(), Vec::new());
        loop {
            let progress = body.put(&mut out, now, false);
            got.extend_from_slice(out.bytes());
            let len = out.bytes().len();
            assert!(len <= 80 * 1024, "{len} bytes at once");
            out.advance(len);
            if progress.is_none() {
                return got;
            }
            assert_eq!(progress, Some(Progress::Yield));
        }
    }

    fn now() -> Instant {
        Clock::frozen(std::time::UNIX_EPOCH).now()
    }

    #[test]
    fn body_follows_from_its_seed() {
        let now = now();
        let body = |seed, len| whole(TargetBody::new(seed, len, None, now), now);
        assert_eq!(body(7, 12), body(7, 300_000)[..12]);
        assert_ne!(body(7, 100), body(8, 100));
        for len in [0, 1, 7, 8, 9, 65_536, 300_001] {
            assert_eq!(body(1, len).len() as u64, len);
        }
        // It does not compress: each byte value is as frequent as the others.
        let mut counts = [0_u32; 256];
        body(1, 256_000).iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn body_over_a_time_is_even_and_has_the_same_bytes() {
        let now = now();
        for (len, over, at_most) in
            [(10, 2000, 10), (1024, 2000, 200), (1000, 100, 10), (3, 1, 1), (300_000, 100, 100)]
        {
            let mut body = TargetBody::new(5, len, Some(over * MS), now);
            let (mut out, mut got, mut pieces, mut time) = (Outbox::default(), Vec::new(), 0, now);
            loop {
                let progress = body.put(&mut out, time, false);
                let put = out.bytes().len();
                got.extend_from_slice(out.bytes());
                out.advance(put);
                pieces += usize::from(put > 0);
                let elapsed = (time - now).as_secs_f64() / (over * MS).as_secs_f64();
                match progress {
                    None => break,
                    Some(Progress::Yield) => continue,
                    Some(Progress::WaitUntil(Some(next))) => {
                        // No more than one byte and one piece from the straight line.
                        let ideal = len as f64 * elapsed;
                        assert!((got.len() as f64 - ideal).abs() <= 1.0 + len as f64 / at_most as f64);
                        assert!(next > time, "it goes on");
                        time = next;
                    }
                    Some(other) => panic!("{other:?}"),
                }
            }
            assert_eq!(time - now, over * MS, "it takes its time");
            assert!(pieces <= at_most, "{pieces} pieces");
            assert_eq!(got, whole(TargetBody::new(5, len, None, now), now));
        }
    }

    #[test]
    fn body_in_chunks_ends_with_the_last_chunk() {
        let now = now();
        let chunked = |len, chunk, limit| {
            let mut body = TargetBody::new(5, len, None, now);
            body.in_chunks(NonZeroU64::new(chunk).expect("not 0"));
            body.cut(limit);
            whole(body, now)
        };
        for (len, chunk) in [(0, 1), (10, 1), (10, 3), (10, 10), (10, 64), (100_000, 10_000)] {
            let got = chunked(len, chunk, len);
            let (mut decoder, mut rest, mut data, mut longest) =
                (ChunkedDecoder::default(), &got[..], Vec::new(), 0);
            while let Some((piece, len)) = decoder.next(rest).expect("valid chunks") {
                rest = &rest[len..];
                match piece {
                    ChunkedPiece::Size(size) => longest = longest.max(size),
                    ChunkedPiece::Data(bytes) => data.extend_from_slice(bytes),
                    ChunkedPiece::Trailers(_) => break,
                    ChunkedPiece::DataEnd => {}
                }
            }
            assert!(rest.is_empty() && longest == chunk.min(len), "{len} in {chunk}: {longest}");
            assert!(data == whole(TargetBody::new(5, len, None, now), now));
        }
        assert!(chunked(10, 4, 5).len() < chunked(10, 4, 9).len());
        assert!(!chunked(10, 4, 9).ends_with(b"0\r\n\r\n"));
    }

    #[test]
    fn body_that_is_cut_has_the_first_bytes_at_the_same_times() {
        let now = now();
        let all = whole(TargetBody::new(5, 1000, None, now), now);
        for (limit, is_cut) in [(0, true), (1, true), (999, true), (1000, false), (u64::MAX, false)] {
            let mut body = TargetBody::new(5, 1000, None, now);
            assert_eq!(body.cut(limit), is_cut);
            assert_eq!(whole(body, now), all[..limit.min(1000) as usize]);
        }
        let mut out = Outbox::default();
        let mut body = TargetBody::new(5, 1000, Some(1000 * MS), now);
        assert!(body.cut(300));
        assert!(body.put(&mut out, now + 290 * MS, false).is_some());
        assert_eq!(body.put(&mut out, now + 300 * MS, false), None);
        assert_eq!(out.bytes().len(), 300);
    }

    #[test]
    fn body_that_is_late_catches_up_and_ends_early_at_the_last_chance() {
        let now = now();
        let mut out = Outbox::default();
        let mut body = TargetBody::new(5, 100, Some(1000 * MS), now);
        assert_eq!(body.put(&mut out, now, false), Some(Progress::WaitUntil(Some(now + 10 * MS))));
        assert!(out.is_empty());
        assert_eq!(
            body.put(&mut out, now + 505 * MS, false),
            Some(Progress::WaitUntil(Some(now + 510 * MS)))
        );
        assert_eq!(out.bytes().len(), 50);
        assert_eq!(body.put(&mut out, now + 505 * MS, true), None);
        assert_eq!(out.bytes().len(), 100);
        let mut empty = TargetBody::new(5, 0, Some(1000 * MS), now);
        assert_eq!(empty.put(&mut out, now, false), None);
    }
}
