//! One stream of events (HTML standard, "Server-sent events"): the changes of the site, as a page
//! or its worker reads them.

use std::time::{Duration, Instant};

use super::Live;
use crate::{
    clock::Clock,
    http::Refusal,
    protocol::{Context, Outbox, Progress},
    services::http::put_piece,
    site::TreeChange,
};

/// The longest time without a message. A proxy may close a stream that is silent for a minute, and
/// only a write shows that a peer has gone without a word.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A message that clients ignore.
const NO_MESSAGE: &[u8] = b":\n\n";
/// The longest time that a page may have been loading when it opens its stream.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// How long the request of a page may take to arrive after it has said how old the page is. This is
/// less than the quiet time after a change, so a page that was reloaded because of a change does
/// not hear of it again.
const LATENCY: Duration = Duration::from_millis(40);

/// A stream in progress.
pub struct LiveStream {
    known: Known,
    beat_at: Instant,
    is_chunked: bool,
}

/// What the client knows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// The changes up to these bursts, one of each site, of which it has received a message or not.
    Bursts { numbers: Vec<u64>, is_greeted: bool },
    /// The changes before this time.
    Until(Instant),
    /// Nothing: its page or its last message came from another run of the server.
    Nothing,
}

impl LiveStream {
    /// Starts a stream for the request with this `query`.
    ///
    /// # Errors
    /// Fails if there are too many streams.
    pub fn new(
        live: &Live,
        query: Option<&[u8]>,
        is_chunked: bool,
        cx: &Context<'_>,
    ) -> Result<LiveStream, Refusal> {
        live.join(cx.wake_key())?;
        let known = known(query.unwrap_or_default(), &live.run, live.sites.len(), cx.clock);
        let known = match known {
            // The page came from another run.
            Known::Until(time) if time < live.started => Known::Nothing,
            known => known,
        };
        Ok(LiveStream { known, beat_at: cx.clock.now() + HEARTBEAT, is_chunked })
    }

    /// Puts the messages that are due into `out`. Returns what the connection does next, or `None`
    /// if the stream is over, because the server shuts down.
    pub fn resume(&mut self, live: &Live, out: &mut Outbox, cx: &mut Context<'_>) -> Option<Progress> {
        if cx.draining {
            put_piece(b"", true, self.is_chunked, out.bytes());
            return None;
        }
        let now = cx.clock.now();
        if live.sites.due().is_some_and(|due| due <= now) {
            if !cx.take_work() {
                return Some(Progress::WaitUntil(None));
            }
            live.explore(cx);
        }
        if let Some(message) = self.message(live) {
            self.put(message.as_bytes(), now, out);
        } else if self.beat_at <= now {
            self.put(NO_MESSAGE, now, out);
        }
        Some(match live.sites.due() {
            Some(due) if due <= now => Progress::Yield,
            due => Progress::WaitUntil(Some(due.map_or(self.beat_at, |due| due.min(self.beat_at)))),
        })
    }

    fn put(&mut self, message: &[u8], now: Instant, out: &mut Outbox) {
        put_piece(message, false, self.is_chunked, out.bytes());
        self.beat_at = now + HEARTBEAT;
    }

    /// Returns the next message, if the client does not know something yet. The first message tells
    /// the client from where the server observes the files.
    fn message(&mut self, live: &Live) -> Option<String> {
        let latest = live.sites.numbers()?;
        let change = match &self.known {
            Known::Bursts { numbers, is_greeted: true } if *numbers == latest => return None,
            Known::Bursts { numbers, .. } => live.sites.changes_since(numbers),
            Known::Until(time) => live.sites.changes_since_time(time.checked_sub(LATENCY).unwrap_or(*time)),
            Known::Nothing => TreeChange::Everything,
        };
        let message = live.message(&latest, &change);
        self.known = Known::Bursts { numbers: latest, is_greeted: true };
        Some(message)
    }
}

/// Returns what the client knows according to its query: `since=ID` with the identifier in the last
/// message, which has a number for each of `count` sites, or `age=MS`, the milliseconds since it
/// requested its page.
fn known(query: &[u8], run: &str, count: usize, clock: &Clock) -> Known {
    let value = |name: &str| std::str::from_utf8(query).ok()?.strip_prefix(name)?.strip_prefix('=');
    if let Some(id) = value("since") {
        let numbers = id.strip_prefix(run).and_then(|rest| rest.strip_prefix('-'));
        let numbers = numbers.map(|list| list.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>());
        return match numbers {
            // After a restart there may be other mounts.
            Some(Ok(numbers)) if numbers.len() == count => Known::Bursts { numbers, is_greeted: false },
            _ => Known::Nothing,
        };
    }
    let age = value("age").and_then(|ms| ms.parse().ok()).map_or(Duration::ZERO, Duration::from_millis);
    let now = clock.now();
    Known::Until(now.checked_sub(age.min(MAX_AGE)).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn query_says_what_the_client_knows() {
        let clock = Clock::frozen(SystemTime::UNIX_EPOCH);
        let ago = |ms| Known::Until(clock.now().checked_sub(Duration::from_millis(ms)).expect("a time"));
        let bursts = |numbers: &[u64]| Known::Bursts { numbers: numbers.to_vec(), is_greeted: false };
        let table: [(&[u8], usize, Known); 15] = [
            (b"", 1, ago(0)),
            (b"age=1500", 1, ago(1500)),
            (b"age=-1", 1, ago(0)),
            (b"age=99999999999999", 1, ago(3_600_000)),
            (b"age=\xff", 1, ago(0)),
            (b"since=a1f-7", 1, bursts(&[7])),
            (b"since=a1f-18446744073709551615", 1, bursts(&[u64::MAX])),
            (b"since=a1f-18446744073709551616", 1, Known::Nothing),
            (b"since=b2-7", 1, Known::Nothing),
            (b"since=a1f7", 1, Known::Nothing),
            (b"since=", 1, Known::Nothing),
            (b"since=a1f-7.0.9", 3, bursts(&[7, 0, 9])),
            (b"since=a1f-7.0", 3, Known::Nothing),
            (b"since=a1f-7..9", 3, Known::Nothing),
            (b"since=a1f-7.0", 1, Known::Nothing),
        ];
        for (query, count, expected) in table {
            assert_eq!(known(query, "a1f", count, &clock), expected, "{}", String::from_utf8_lossy(query));
        }
    }
}
