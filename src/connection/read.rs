//! The read side: one read, then one message after another while the outbox has room.
//!
//! The read side must never read while output is unsent.

use std::{
    io::{ErrorKind, Read},
    ops::ControlFlow::{self, Break, Continue},
};

use super::{Budget, Connection, Phase};
use crate::{
    protocol::{CloseReason, Context, Progress, Received},
    source::{Readiness, Want},
    trace::Step,
};

impl Connection {
    /// Resumes a response, parses the input left from the last read, or reads once and parses the
    /// result.
    pub(super) fn receive(
        &mut self,
        budget: &mut Budget,
        ready: &mut Readiness,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want> {
        let must_read = !self.inbox.has_work;
        if must_read && !ready.readable {
            let is_idle = self.inbox.is_empty();
            return Break(if cx.draining && is_idle {
                Want::Close(CloseReason::Shutdown)
            } else {
                Want::Readable
            });
        }
        if budget.messages == 0 {
            return Break(Want::Turn);
        }
        let mut len = self.inbox.take_into(buffer);
        if must_read {
            if len == buffer.len() {
                // The protocol needs more input at once than the buffer holds.
                return Break(Want::Close(CloseReason::Limit));
            }
            let Some(got) = self.read(ready, &mut buffer[len..], len, cx)? else {
                self.inbox.store(&buffer[..len], false);
                return Continue(());
            };
            len += got;
        }
        self.process_input(&buffer[..len], budget, cx)
    }

    /// Lets the protocol answer one message after another, while the outbox has room and the budget
    /// lasts. Stores the remaining input.
    fn process_input(
        &mut self,
        input: &[u8],
        budget: &mut Budget,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want> {
        let mut at = 0;
        let progress = loop {
            let Received { consumed, progress } = self.ask_protocol(&input[at..], cx);
            if consumed > input.len() - at {
                log::error!("{}: the protocol consumed {consumed} bytes of {}", cx.source, input.len() - at);
                return Break(Want::Close(CloseReason::Limit));
            }
            let was_resumed = self.has_yielded;
            self.has_yielded = progress == Progress::Yield;
            at += consumed;
            self.progress |= consumed > 0;
            budget.messages = budget.messages.saturating_sub(1);
            match progress {
                Progress::Again if at == input.len() => break Progress::NeedInput,
                // `Again` without consumed input would loop forever. After a resume it is normal,
                // because `resume` consumes no input.
                Progress::Again if consumed == 0 && !was_resumed => break Progress::NeedInput,
                Progress::Again if budget.messages > 0 && self.outbox.has_room() => {}
                progress => break progress,
            }
        };
        let rest = &input[at..];
        match progress {
            Progress::NeedInput => self.inbox.store(rest, false),
            Progress::Again => self.inbox.store(rest, true),
            Progress::Yield => {
                self.inbox.store(rest, true);
                self.progress = true;
                budget.messages = 0; // end this turn: the next piece is made in the next turn
            }
            Progress::Close(reason) => {
                // Unread input, here or in the socket, would turn the close into a reset.
                let linger = reason != CloseReason::Done || !rest.is_empty();
                self.phase = Phase::Finishing { reason, linger };
            }
        }
        Continue(())
    }

    /// Resumes the protocol if it has yielded; otherwise passes `input` to it.
    fn ask_protocol(&mut self, input: &[u8], cx: &mut Context<'_>) -> Received {
        if self.has_yielded {
            Received { consumed: 0, progress: self.protocol.resume(&mut self.outbox, cx) }
        } else {
            self.protocol.receive(input, &mut self.outbox, cx)
        }
    }

    /// Reads once into `buffer`. Returns the number of bytes, or `None` if a read would block.
    /// `kept` is the number of bytes of earlier input before `buffer`, for traces.
    fn read(
        &mut self,
        ready: &mut Readiness,
        buffer: &mut [u8],
        kept: usize,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want, Option<usize>> {
        match self.socket.read(buffer) {
            Ok(0) => {
                // All output has been sent before a read, so the peer misses nothing if the
                // connection closes now.
                cx.trace(|| Step::EndOfInput);
                Break(Want::Close(CloseReason::Eof))
            }
            Ok(got) => {
                cx.trace(|| Step::Read { offered: buffer.len(), bytes: buffer[..got].to_vec(), kept });
                // A short read means that the socket is drained (epoll(7)). If the peer has closed
                // its side, keep reading: the end of input triggers no further event.
                ready.readable = got == buffer.len() || ready.read_closed;
                Continue(Some(got))
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                cx.trace(|| Step::Drained);
                ready.readable = false;
                Continue(None)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Continue(None),
            Err(_) => Break(Want::Close(CloseReason::Reset)),
        }
    }

    /// Reads and drops input while the connection lingers.
    pub(super) fn discard(
        &mut self,
        ready: &mut Readiness,
        buffer: &mut [u8],
        reason: CloseReason,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want> {
        if !ready.readable {
            return Break(Want::Readable);
        }
        match self.read(ready, buffer, 0, cx) {
            Continue(_) => Continue(()),
            Break(_) => Break(Want::Close(reason)),
        }
    }
}
