//! A kept response: its bytes, and what else is needed to send it again.

use std::{ops::Range, rc::Rc};

use crate::{
    clock::Clock,
    http::{OwnedRequestInfo, RequestInfo, Status},
    protocol::{Body, Outbox, Progress},
    site::Lease,
};

/// The maximum length in bytes of a response whose head and body are joined. A connection that does
/// not read holds the joined bytes, which are replaced every second, so they must be fewer than
/// what its outbox may hold anyway.
const MAX_JOINED: usize = 32 * 1024;
/// The name of the only field whose value changes.
const DATE: &[u8] = b"\r\nDate: ";
/// The place of the status code in a response.
const CODE: Range<usize> = 9..12;

/// A response and its request.
pub struct KeptResponse {
    /// The request, and then the bytes of the response, unless they are joined with the body. One
    /// allocation takes fewer cache misses.
    bytes: Box<[u8]>,
    pub request_len: usize,
    /// The offset of the value of `Date` in the response.
    date_at: usize,
    /// The body, if it is too long to be copied. If it is not much longer, the head is in front of
    /// it, because one piece of memory takes less time to send than two.
    body: Option<(Rc<[u8]>, Range<usize>)>,
    pub status: Status,
    pub head_len: usize,
    pub progress: Progress,
    pub lease: Lease,
    /// What the access log shows of the request, if the server has a log or statistics.
    pub info: Option<Box<OwnedRequestInfo>>,
}

/// A response that has just been put into the outbox.
pub struct NewResponse<'a> {
    /// The bytes of the request.
    pub request: &'a [u8],
    pub info: &'a RequestInfo<'a>,
    /// Where the response begins in the bytes of the outbox.
    pub start: usize,
    /// Whether the access log or the statistics will need the request again.
    pub is_recorded: bool,
    /// What the protocol returned after the response.
    pub progress: Progress,
    pub lease: Lease,
}

impl KeptResponse {
    /// Copies the response `new` at the end of `out`. Returns `None` if its body is a file.
    pub fn of(new: &NewResponse<'_>, out: &Outbox, clock: &Clock) -> Option<KeptResponse> {
        let (bytes, body) = out.added_since(new.start);
        let body = match body {
            None => None,
            Some(Body::Memory { content, range }) => Some((Rc::clone(content), range.clone())),
            Some(Body::File(_)) => return None,
        };
        let date_at = memchr::memmem::find(bytes, DATE)? + DATE.len();
        if !bytes[date_at..].starts_with(clock.date()) {
            return None;
        }
        let code = std::str::from_utf8(bytes.get(CODE)?).ok()?.parse().ok()?;
        let info = RequestInfo { client: None, ..*new.info };
        let head_len = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
        let (copied, body) = match body {
            Some((content, range)) if bytes.len() + range.len() <= MAX_JOINED => {
                let joined = [bytes, &content[range]].concat();
                let range = 0..joined.len();
                (&[][..], Some((joined.into(), range)))
            }
            body => (bytes, body),
        };
        Some(KeptResponse {
            bytes: [new.request, copied].concat().into(),
            request_len: new.request.len(),
            date_at,
            body,
            status: Status::of(code),
            head_len,
            progress: new.progress,
            lease: new.lease,
            info: new.is_recorded.then(|| Box::new(info.to_owned())),
        })
    }

    pub fn request(&self) -> &[u8] {
        &self.bytes[..self.request_len]
    }

    /// Returns the number of bytes that the response counts for.
    pub fn size(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |(content, _)| content.len());
        let info = self.info.as_ref().map_or(0, |info| info.as_info().text_len());
        size_of::<KeptResponse>() + self.bytes.len() + body + info
    }

    /// Puts the response into `out`, with the date of this turn.
    pub fn put(&mut self, out: &mut Outbox, clock: &Clock) {
        let copied = &self.bytes[self.request_len..];
        if !copied.is_empty() {
            let bytes = out.bytes();
            let date_at = bytes.len() + self.date_at;
            bytes.extend_from_slice(copied);
            bytes[date_at..][..clock.date().len()].copy_from_slice(clock.date());
        } else if let Some((joined, _)) = &mut self.body {
            let date = self.date_at..self.date_at + clock.date().len();
            if joined[date.clone()] != *clock.date() {
                // This copies the bytes if they are still being sent to somebody.
                Rc::make_mut(joined)[date].copy_from_slice(clock.date());
            }
        }
        if let Some((content, range)) = &self.body {
            out.put(Body::Memory { content: Rc::clone(content), range: range.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::*;
    use crate::protocol::NextWrite;

    #[test]
    fn kept_response_has_the_date_of_its_turn_while_an_earlier_one_is_being_sent() {
        let request = b"GET / HTTP/1.1\r\n";
        for (len, writes) in [(0, 1), (16 * 1024, 1), (MAX_JOINED, 2)] {
            let mut clock = Clock::frozen(SystemTime::now());
            let message = |clock: &Clock| {
                let head = [b"HTTP/1.1 200 OK\r\nDate: ", &clock.date()[..], b"\r\n\r\n"].concat();
                (head.clone(), [head, vec![b'x'; len]].concat())
            };
            let mut out = Outbox::default();
            out.bytes().extend_from_slice(&message(&clock).0);
            out.put(Body::Memory { content: vec![b'x'; len + 5].into(), range: 3..len + 3 });
            let (info, lease) = (&RequestInfo::unparsed(request), Lease::new(0, Instant::now()));
            let new =
                NewResponse { request, info, start: 0, is_recorded: false, progress: Progress::Again, lease };
            let mut kept = KeptResponse::of(&new, &out, &clock).expect("a response that can be kept");
            let mut unsent = Vec::new();
            for _ in 0..3 {
                let mut out = Outbox::default();
                kept.put(&mut out, &clock);
                unsent.push((out, message(&clock).1));
                clock.advance(Duration::from_secs(1));
                clock.tick();
            }
            for (mut out, expected) in unsent {
                let mut sent = Vec::new();
                let mut pieces = 0;
                while !out.is_empty() {
                    let piece = match out.next_write() {
                        NextWrite::Bytes(bytes) | NextWrite::BytesThenMemory(bytes, _) => bytes.to_vec(),
                        _ => panic!("neither a file nor nothing"),
                    };
                    out.advance(piece.len());
                    (sent, pieces) = ([sent, piece].concat(), pieces + 1);
                }
                assert!(sent == expected, "{len}: {}", String::from_utf8_lossy(&sent[..80]));
                assert_eq!(pieces, writes, "{len}");
            }
        }
    }
}
