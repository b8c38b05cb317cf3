//! Reading and understanding: one read, and then one message after the other, while there is room for answers.

use std::{
    io::{ErrorKind, Read},
    ops::ControlFlow::{self, Break, Continue},
};

use super::{Budget, Connection, Outcome, Phase, Readiness};
use crate::{
    observer::Step,
    protocol::{Context, Next, Why},
};

impl Connection {
    /// Understands what is left of the last read, or reads once and understands that.
    pub(super) fn receive(
        &mut self,
        budget: &mut Budget,
        ready: &mut Readiness,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> ControlFlow<Outcome> {
        if !self.inbox.unfinished && !ready.readable {
            let is_idle = self.inbox.is_empty();
            return Break(if cx.draining && is_idle {
                Outcome::Closed(Why::Shutdown)
            } else {
                Outcome::Wait
            });
        }
        if budget.messages == 0 {
            return Break(Outcome::Again);
        }
        let must_read = !self.inbox.unfinished;
        let mut len = self.inbox.load(buffer);
        if must_read {
            if len == buffer.len() {
                return Break(Outcome::Closed(Why::Limit)); // the protocol wants more at once than a buffer holds
            }
            let Some(got) = self.read(ready, &mut buffer[len..], len, cx)? else {
                self.inbox.keep(&buffer[..len], false);
                return Continue(());
            };
            len += got;
        }
        self.understand(&buffer[..len], budget, cx);
        Continue(())
    }

    /// Lets the protocol answer one message after the other while the outbox has room and the budget lasts.
    fn understand(&mut self, input: &[u8], budget: &mut Budget, cx: &mut Context<'_>) {
        let mut at = 0;
        let next = loop {
            let got = self.protocol.receive(&input[at..], &mut self.outbox, cx);
            at += got.consumed;
            self.progress |= got.consumed > 0;
            budget.messages = budget.messages.saturating_sub(1);
            match got.next {
                Next::Again if got.consumed == 0 || at == input.len() => break Next::NeedInput,
                Next::Again if budget.messages > 0 && self.outbox.has_room() => {}
                Next::More => {
                    self.progress = true;
                    budget.messages = 0;
                    break Next::More;
                }
                next => break next,
            }
        };
        let rest = &input[at..];
        match next {
            Next::NeedInput => self.inbox.keep(rest, false),
            Next::Again | Next::More => self.inbox.keep(rest, true),
            Next::Finish(why) => {
                self.phase = Phase::Finishing { why, linger: why != Why::Done || !rest.is_empty() };
            }
        }
    }

    /// Reads once, behind the `kept` bytes that were there before. `None`: there is nothing to read now.
    fn read(
        &mut self,
        ready: &mut Readiness,
        buffer: &mut [u8],
        kept: usize,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Outcome, Option<usize>> {
        match self.socket.read(buffer) {
            Ok(0) => {
                cx.note(|| Step::EndOfInput);
                Break(Outcome::Closed(Why::Eof))
            }
            Ok(got) => {
                cx.note(|| Step::Read { offered: buffer.len(), bytes: buffer[..got].to_vec(), kept });
                // A short read has drained the socket, unless an end of input was announced with the data: that makes
                // no further event.
                ready.readable = got == buffer.len() || ready.hung_up;
                Continue(Some(got))
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                cx.note(|| Step::Drained);
                ready.readable = false;
                Continue(None)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Continue(None),
            Err(_) => Break(Outcome::Closed(Why::Reset)),
        }
    }

    /// Reads and drops what the peer still sends.
    pub(super) fn discard(
        &mut self,
        ready: &mut Readiness,
        buffer: &mut [u8],
        why: Why,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Outcome> {
        if !ready.readable {
            return Break(Outcome::Wait);
        }
        match self.read(ready, buffer, 0, cx) {
            Continue(_) => Continue(()),
            Break(_) => Break(Outcome::Closed(why)),
        }
    }
}
