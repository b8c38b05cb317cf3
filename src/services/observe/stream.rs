//! One stream of events (HTML standard, "Server-sent events"): the state of the loop, then its
//! turns.
//!
//! The stream wakes by time, so that a busy loop is not busier because of its pages.

use std::time::{Duration, Instant};

use super::PageContext;
use crate::protocol::{Context, Outbox, Progress};

/// The shortest time between two messages.
const PERIOD: Duration = Duration::from_millis(100);
/// The longest time without a message. Only a write shows that a peer has gone without a word.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The approximate maximum length of a message. A new page gets its old turns in several.
const MAX_MESSAGE: usize = 48 * 1024;

/// A stream in progress.
pub struct TurnStream {
    /// The mark of the client's own connections.
    mark: String,
    /// The number of the next turn, or `None` before the first message.
    next: Option<u64>,
    due: Instant,
    beat_at: Instant,
}

impl TurnStream {
    /// Starts a stream for a client with this `User-Agent`.
    pub fn new(context: &PageContext, user_agent: &[u8], cx: &mut Context<'_>) -> TurnStream {
        join(context, cx);
        let now = cx.clock.now();
        TurnStream { mark: context.feed.mark_of(user_agent), next: None, due: now, beat_at: now + HEARTBEAT }
    }

    /// Puts the messages that are due into `out`.
    pub fn resume(
        &mut self,
        context: &PageContext,
        peer: &str,
        out: &mut Outbox,
        cx: &mut Context<'_>,
    ) -> Progress {
        let now = cx.clock.now();
        let Some(next) = self.next else {
            let (state, next) = context.feed.state();
            let (mark, site) = (&self.mark, serde_json::Value::from(context.site.as_str()));
            let hello = format!(
                "event: hello\ndata: {{\"peer\":\"{peer}\",\"agent\":\"{mark}\",\"site\":{site},\
                 \"state\":{state}}}\n\n"
            );
            self.put(&hello, now, out);
            self.next = Some(next);
            return Progress::Yield;
        };
        if now < self.due {
            return Progress::WaitUntil(Some(self.due));
        }
        match context.feed.turns(next, MAX_MESSAGE) {
            Some((turns, next)) => {
                self.put(&format!("event: turns\ndata: {turns}\n\n"), now, out);
                self.next = Some(next);
                if context.feed.turns(next, 0).is_some() {
                    return Progress::Yield;
                }
            }
            None if self.beat_at <= now => self.put(":\n\n", now, out),
            None => {}
        }
        join(context, cx);
        self.due = now + PERIOD;
        Progress::WaitUntil(Some(self.due))
    }

    fn put(&mut self, message: &str, now: Instant, out: &mut Outbox) {
        out.bytes().extend_from_slice(message.as_bytes());
        self.beat_at = now + HEARTBEAT;
    }
}

/// Starts a new period of the record.
fn join(context: &PageContext, cx: &mut Context<'_>) {
    if let Some(observer) = context.feed.begin_period() {
        cx.observers.join(observer);
    }
}
