//! The response cache: responses that are kept, and sent again to requests with the same bytes.
//!
//! Browsers that load a page again and load generators send the same request many times. All of a
//! response but its `Date` follows from the bytes of the request, from the configuration, and from
//! what the site answers. So a kept response is sent again without parsing the request, as long as
//! the site would give the same answers ([`Lease`]). The cache must never keep a response that
//! depends on anything else, and must stay within [`MAX_BYTES`].

mod kept_response;

use std::cell::RefCell;

use xxhash_rust::xxh3::xxh3_64;

use self::kept_response::KeptResponse;
pub use self::kept_response::NewResponse;
use super::resolve::Resolver;
use crate::{
    clock::Clock,
    http::{RequestInfo, Status},
    protocol::{Body, CloseReason, Outbox, Progress, Received},
    services::pending::PendingEntries,
    site::Lease,
};

/// The number of sets of kept responses, and of requests that have come once. A request line
/// belongs to one set. With a thousand different requests, a set rarely overflows.
const SETS: usize = 2048;
/// The number of responses or requests in a set.
const WAYS: usize = 4;
/// The maximum length in bytes of the request to a kept response.
const MAX_REQUEST: usize = 4096;
/// The maximum size in bytes of all kept responses, with their requests.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A cache of responses by request.
#[derive(Default)]
pub struct ResponseCache {
    kept: RefCell<KeptResponses>,
}

/// The kept responses. Both tables are empty until they are needed.
#[derive(Default)]
struct KeptResponses {
    slots: Vec<Slot>,
    /// Hashes of requests that have come once. Most requests come once, and would only replace
    /// others.
    candidates: Vec<[u32; WAYS]>,
    bytes: usize,
    /// The slot that is emptied next.
    hand: usize,
    /// The lease on the response that was kept last.
    lease: Option<Lease>,
}

/// A place for a response.
#[derive(Default)]
struct Slot {
    /// A part of the hash of the request line.
    tag: u32,
    response: Option<Box<KeptResponse>>,
}

/// A clone of a service may get other options, so it begins without responses.
impl Clone for ResponseCache {
    fn clone(&self) -> ResponseCache {
        ResponseCache::default()
    }
}

impl ResponseCache {
    /// Puts the kept response to the request at the beginning of `input` into `out`, if there is
    /// one that still holds, and adds it to `entries`.
    pub fn repeat(
        &self,
        input: &[u8],
        resolver: &Resolver,
        entries: Option<&mut PendingEntries>,
        out: &mut Outbox,
        clock: &Clock,
    ) -> Option<RepeatedResponse> {
        let kept = &mut *self.kept.borrow_mut();
        let at = kept.find(input)?;
        let response = kept.slots[at].response.as_deref_mut()?;
        if !resolver.is_current(&response.lease, clock) {
            kept.empty(at);
            return None;
        }
        let position = out.position();
        response.put(out, clock);
        let head_end = position + response.head_len as u64;
        if let (Some(entries), Some(request)) = (entries, &response.info) {
            let request = RequestInfo { client: entries.client(input), ..request.as_info() };
            entries.begin_kept(&request, response.status, head_end, clock);
            entries.end(out.position());
        }
        Some(RepeatedResponse {
            received: Received { consumed: response.request_len, progress: response.progress },
            status: response.status,
            head_len: response.head_len,
            body_len: out.position() - head_end,
        })
    }

    /// Keeps the response `new`, which is at the end of `out`, if the same request has come before.
    pub fn keep(&self, new: &NewResponse<'_>, out: &Outbox, clock: &Clock) {
        if !matches!(new.progress, Progress::Again | Progress::Close(CloseReason::Done)) {
            return;
        }
        let kept = &mut *self.kept.borrow_mut();
        if new.request.len() > MAX_REQUEST || !kept.has_come_before(new.request) {
            return;
        }
        if let Some(response) = KeptResponse::of(new, out, clock) {
            kept.insert(response);
        }
    }
}

/// A kept response that has been put into the outbox.
pub struct RepeatedResponse {
    /// What the protocol returns.
    pub received: Received,
    pub status: Status,
    pub head_len: usize,
    pub body_len: u64,
}

impl RepeatedResponse {
    /// Returns the head, if the response is at the byte `start` of `out`.
    pub fn head<'a>(&self, out: &'a Outbox, start: usize) -> &'a [u8] {
        match out.added_since(start) {
            ([], Some(Body::Memory { content, range })) => &content[range.clone()][..self.head_len],
            (bytes, _) => &bytes[..self.head_len],
        }
    }
}

impl KeptResponses {
    /// Returns the place of the response to the request at the beginning of `input`.
    fn find(&self, input: &[u8]) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let (first, tag) = place(input);
        let set = &self.slots[first..first + WAYS];
        let is_it = |slot: &Slot| {
            slot.tag == tag
                && slot.response.as_ref().is_some_and(|response| input.starts_with(response.request()))
        };
        set.iter().position(is_it).map(|way| first + way)
    }

    /// Returns whether `request` has come before, and remembers it.
    fn has_come_before(&mut self, request: &[u8]) -> bool {
        if self.candidates.is_empty() {
            self.candidates.resize(SETS, [0; WAYS]);
        }
        let hash = xxh3_64(request);
        let (set, tag) = (&mut self.candidates[hash as usize % SETS], (hash >> 32) as u32);
        let has_come = set.contains(&tag);
        if !has_come {
            set.rotate_right(1);
            set[0] = tag;
        }
        has_come
    }

    /// Inserts a response. Removes others if the set is full or all of them are too large.
    fn insert(&mut self, response: KeptResponse) {
        if self.lease.replace(response.lease).is_some_and(|last| !last.is_on_same_answers_as(&response.lease))
        {
            // None of them holds any more.
            self.slots.clear();
            self.bytes = 0;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SETS * WAYS, Slot::default);
        }
        let size = response.size();
        let (first, tag) = place(response.request());
        let free = self.slots[first..first + WAYS].iter().position(|slot| slot.response.is_none());
        self.hand = (self.hand + 1) % self.slots.len();
        let at = first + free.unwrap_or(self.hand % WAYS);
        self.empty(at);
        while self.bytes + size > MAX_BYTES && self.bytes > 0 {
            self.hand = (self.hand + 1) % self.slots.len();
            self.empty(self.hand);
        }
        self.bytes += size;
        self.slots[at] = Slot { tag, response: Some(Box::new(response)) };
    }

    fn empty(&mut self, at: usize) {
        self.bytes -= self.slots[at].response.take().map_or(0, |response| response.size());
    }
}

/// Returns the first slot of the set for the request at the beginning of `input`, and its tag. Both
/// depend on the request line alone, which is found faster than the end of the request.
fn place(input: &[u8]) -> (usize, u32) {
    let line = &input[..memchr::memchr(b'\r', input).unwrap_or(input.len())];
    let hash = xxh3_64(line);
    (hash as usize % SETS * WAYS, (hash >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use std::{
        rc::Rc,
        time::{Duration, Instant, SystemTime},
    };

    use super::*;
    use crate::{
        address::Address,
        protocol::{Context, InputBudget, LoopCounters, LoopRequests, ProtocolFactory, WorkBudget},
        services::{HttpService, Timeouts},
        site::{Site, SiteOptions},
        trace::Observers,
    };

    const REQUEST: &[u8] = b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    const MISSING: &[u8] = b"GET /b/c/d HTTP/1.1\r\nHost: a\r\n\r\n";

    /// Returns the output for `input` on a new connection.
    fn response(http: &mut Rc<HttpService>, input: &[u8], stopping: bool, clock: &Clock) -> Vec<u8> {
        let (mut observers, mut work, mut requests) =
            (Observers::default(), WorkBudget::default(), LoopRequests::default());
        let (budget, mut counters) = (InputBudget::default(), LoopCounters::default());
        let mut cx =
            Context::without_loop(clock, &mut observers, &mut work, &budget, &mut requests, &mut counters);
        cx.stopping = stopping;
        let (mut connection, mut out) = (http.create(&Address::Unix(None)), Outbox::default());
        let received = connection.receive(input, &mut out, &mut cx);
        assert!(received.consumed >= REQUEST.len(), "a whole request");
        out.bytes().clone()
    }

    fn kept(http: &HttpService) -> usize {
        http.responses.kept.borrow().slots.iter().filter(|slot| slot.response.is_some()).count()
    }

    #[test]
    fn response_is_kept_once_its_request_comes_again_and_until_a_file_changes() {
        if crate::testing::leaves_out("inotify") {
            return;
        }
        // A file is watched from its second request on, so only a later response can be kept.
        let asked = crate::testing::dirs().find_map(|dir| {
            std::fs::write(dir.path().join("a.txt"), "one").expect("write");
            let site = Site::open(dir.path(), SiteOptions::default(), Default::default()).expect("open it");
            let site = Rc::new(site);
            let mut http = Rc::new(HttpService::new(Rc::clone(&site), Timeouts::default()));
            let mut clock = Clock::frozen(SystemTime::now() + Duration::from_secs(60));
            let counts = [(); 4].map(|()| {
                clock.tick();
                assert!(response(&mut http, REQUEST, false, &clock).ends_with(b"one"));
                kept(&http)
            });
            assert_eq!(counts[..2], [0, 0], "the request came once, and the file was not watched");
            (counts[3] > 0).then_some((dir, site, http, clock, counts))
        });
        let Some((dir, site, mut http, mut clock, counts)) = asked else {
            return crate::testing::skip("no inotify on any file system here");
        };
        assert_eq!(counts[3], 1);
        // The next request of a pipeline is not a part of this one.
        assert!(response(&mut http, &[REQUEST, b"GET"].concat(), false, &clock).ends_with(b"one"));
        let last = response(&mut http, REQUEST, true, &clock);
        assert!(last.windows(19).any(|window| window == b"Connection: close\r\n"), "the server stops");
        std::fs::write(dir.path().join("a.txt"), "two").expect("write");
        clock.tick();
        site.begin_lease(&clock);
        let lease = site.take_lease().expect("a lease on nothing");
        let seen = (0..).position(|_| !site.is_current(&lease, &clock));
        assert_eq!(seen, Some(64), "inotify is read after a few answers");
        assert!(response(&mut http, REQUEST, false, &clock).ends_with(b"two"));
        assert_eq!(kept(&http), 0);
        // A directory on the path is missing as well.
        for _ in 0..4 {
            assert!(response(&mut http, MISSING, false, &clock).starts_with(b"HTTP/1.1 404"));
        }
        assert_eq!((kept(&http), kept(&HttpService::clone(&http))), (1, 0));
    }

    #[test]
    fn response_is_made_once_a_second_while_nothing_changes() {
        if crate::testing::leaves_out("inotify") {
            return;
        }
        let requests: Vec<_> = (0..30).map(|n| format!("GET /{n}.txt HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        let made = crate::testing::dirs().find_map(|dir| {
            for n in 0..requests.len() {
                std::fs::write(dir.path().join(format!("{n}.txt")), "one").expect("write");
            }
            let site = Site::open(dir.path(), SiteOptions::default(), Default::default()).expect("open it");
            let mut http = Rc::new(HttpService::new(Rc::new(site), Timeouts::default()));
            let mut clock = Clock::frozen(SystemTime::now() + Duration::from_secs(60));
            let is_kept = |http: &HttpService, request: &str, clock: &Clock| {
                let kept = http.responses.kept.borrow();
                let response = kept.find(request.as_bytes()).and_then(|at| kept.slots[at].response.as_ref());
                response.is_some_and(|response| http.resolver.is_current(&response.lease, clock))
            };
            let made = [(); 400].map(|()| {
                clock.advance(Duration::from_millis(10));
                clock.tick();
                let new: Vec<_> =
                    requests.iter().filter(|request| !is_kept(&http, request, &clock)).collect();
                new.iter().for_each(|request| {
                    response(&mut http, request.as_bytes(), false, &clock);
                });
                new.len()
            });
            (kept(&http) > 0).then(|| made[100..].iter().sum::<usize>())
        });
        let Some(made) = made else { return crate::testing::skip("no inotify on any file system here") };
        // Each path is opened again after 0.75 to 1 s.
        assert!((3 * requests.len()..=4 * requests.len()).contains(&made), "{made} in three seconds");
    }

    /// Offers the response to `request`, with a body of `len` bytes, to be kept.
    fn keep(responses: &ResponseCache, request: &[u8], len: usize, lease: Lease) {
        let (mut out, clock) = (Outbox::default(), Clock::frozen(SystemTime::now()));
        let head = [b"HTTP/1.1 200 OK\r\nDate: ", &clock.date()[..], b"\r\n\r\n"].concat();
        out.bytes().extend_from_slice(&head);
        out.put(Body::Memory { content: vec![0; len].into(), range: 0..len });
        let info = &RequestInfo::unparsed(request);
        let progress = Progress::Again;
        let new = NewResponse { request, info, start: 0, is_recorded: false, progress, lease };
        responses.keep(&new, &out, &clock);
    }

    #[test]
    fn responses_to_a_thousand_requests_in_turn_are_kept() {
        let (responses, lease) = (ResponseCache::default(), Lease::new(0, Instant::now()));
        let requests = (0..1000).map(|number| format!("GET /many/{number:04}.html HTTP/1.1\r\n"));
        let is_kept = |request: &String| responses.kept.borrow().find(request.as_bytes()).is_some();
        for round in 0..5 {
            let (kept, new): (Vec<_>, Vec<_>) = requests.clone().partition(is_kept);
            let expected = if round < 2 { 0..=0 } else { 990..=1000 };
            assert!(expected.contains(&kept.len()), "{} in round {round}", kept.len());
            new.iter().for_each(|request| keep(&responses, request.as_bytes(), 1024, lease));
        }
    }

    #[test]
    fn kept_responses_are_bounded() {
        let responses = ResponseCache::default();
        let lease = Lease::new(0, Instant::now());
        let keep = |request: &[u8], len, lease| keep(&responses, request, len, lease);
        for (count, len) in [(10_000, 10), (2000, 100_000)] {
            for number in 0..2 * count {
                keep(format!("GET /{} HTTP/1.1\r\n", number / 2).as_bytes(), len, lease);
                let kept = responses.kept.borrow();
                assert!(kept.bytes <= MAX_BYTES && kept.slots.len() <= SETS * WAYS);
                let sizes = kept.slots.iter().filter_map(|slot| slot.response.as_ref()).map(|r| r.size());
                assert_eq!(kept.bytes, if number % 500 == 0 { sizes.sum() } else { kept.bytes });
            }
            assert!(responses.kept.borrow().bytes > MAX_BYTES / 16, "{len}");
        }
        // Those of another time are worth nothing.
        (0..2).for_each(|_| keep(b"GET / HTTP/1.1\r\n", 10, Lease::new(1, Instant::now())));
        let bytes = responses.kept.borrow().bytes;
        assert!((1..1000).contains(&bytes));
        (0..2).for_each(|_| keep(&[b'x'; MAX_REQUEST + 1], 10, Lease::new(1, Instant::now())));
        assert_eq!(responses.kept.borrow().bytes, bytes, "the request is too long");
    }
}
