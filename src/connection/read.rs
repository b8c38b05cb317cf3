//! The read side: one read, then one message after another while the outbox has room.
//!
//! The read side must never read while output is unsent, unless the protocol reads while it sends
//! (see [`Protocol::reads_while_sending`](crate::protocol::Protocol::reads_while_sending)).

use std::{
    ops::ControlFlow::{self, Break, Continue},
    time::Instant,
};

use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
};

use super::{Budget, Connection, Pending, Phase};
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
        if self.half_closes {
            self.end_output(cx);
        }
        if self.pending == Pending::Wake
            && !ready.woken
            && self.wake_at.is_none_or(|time| time > cx.clock.compact_now())
        {
            // Without a read or write, nothing else would notice that the peer has gone.
            if ready.failed {
                return Break(Want::Close(CloseReason::Reset));
            }
            if ready.read_closed && self.protocol.ends_with_peer() {
                return Break(Want::Close(CloseReason::Eof));
            }
            let time = self.wake_at.map(Instant::from);
            let within = cx.clock.until(time);
            cx.trace(|| Step::Postponed { within });
            return Break(Want::WaitUntil(time));
        }
        let is_due = ready.woken || self.pending != Pending::Input;
        let must_read = !self.inbox.has_work() && !is_due;
        if must_read && !ready.readable {
            // The rest of a message is worth waiting for only if it must come in time. Otherwise, a
            // member of a chat room with half a line would hold up the shutdown.
            let may_finish = || self.has_begun() && self.protocol.timeout(true).limit.is_some();
            if !cx.draining || self.expects_message(cx.clock) || may_finish() {
                return Break(Want::Readable);
            }
            let has_last_response = self.put_last_response(CloseReason::Shutdown, cx);
            return if has_last_response { Continue(()) } else { Break(Want::Close(CloseReason::Shutdown)) };
        }
        if budget.messages == 0 || must_read && budget.calls == 0 {
            return Break(Want::Turn);
        }
        if ready.take_woken() && self.pending == Pending::Input {
            self.pending = Pending::Turn;
        }
        match self.load_input(must_read, budget, ready, buffer, cx)? {
            Some(len) => self.process_input(&buffer[..len], budget, cx),
            None => Continue(()),
        }
    }

    /// Moves the unparsed input to the front of `buffer`, and reads once behind it if `must_read`.
    /// Returns the length of the input, or `None` if a read would block.
    fn load_input(
        &mut self,
        must_read: bool,
        budget: &mut Budget,
        ready: &mut Readiness,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want, Option<usize>> {
        let len = self.inbox.take_into(buffer);
        if !must_read {
            return Continue(Some(len));
        }
        if len == buffer.len() {
            // The protocol needs more input at once than the buffer holds.
            return Break(Want::Close(CloseReason::Limit));
        }
        budget.calls -= 1;
        let got = self.read(ready, &mut buffer[len..], len, cx)?;
        if got.is_none() {
            // It was stored a moment ago, so it fits.
            let _ = self.inbox.store(&buffer[..len], false, cx.input);
        }
        Continue(got.map(|got| len + got))
    }

    /// Reads and parses input although output is unsent, until no input is left or the protocol
    /// waits for something else. Breaks only to close the connection or if the budget is used up.
    pub(super) fn receive_while_blocked(
        &mut self,
        budget: &mut Budget,
        ready: &mut Readiness,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want> {
        // A resumed protocol may add output, so it must wait until the output has been sent.
        while self.phase == Phase::Open
            && self.pending == Pending::Input
            && (self.inbox.has_work() || ready.readable)
        {
            let must_read = !self.inbox.has_work();
            if budget.messages == 0 || must_read && budget.calls == 0 {
                return Break(Want::Turn);
            }
            match self.load_input(must_read, budget, ready, buffer, cx) {
                Continue(Some(len)) => self.process_input(&buffer[..len], budget, cx)?,
                Continue(None) => {}
                // The peer has ended its own output, and may still read ours.
                Break(Want::Close(reason @ CloseReason::Eof)) => {
                    ready.readable = false;
                    self.phase = Phase::Finishing { reason, linger: false };
                }
                Break(want) => return Break(want),
            }
        }
        Continue(())
    }

    /// Reads and parses what has arrived before a write failed, then does what the write `wants`. A
    /// peer may have responded before it closed the connection without reading the rest.
    pub(super) fn receive_the_rest(
        &mut self,
        wants: Want,
        budget: &mut Budget,
        ready: &mut Readiness,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want> {
        ready.readable = true;
        budget.calls = budget.calls.max(1); // in each turn, the write fails first
        match self.receive_while_blocked(budget, ready, buffer, cx) {
            Break(Want::Turn) => Break(Want::Turn), // the write fails again in the next turn
            _ => Break(wants),
        }
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
            let Received { consumed, mut progress } = self.ask_protocol(&input[at..], cx);
            if consumed > input.len() - at {
                log::error!("{}: the protocol consumed {consumed} bytes of {}", cx.source, input.len() - at);
                return Break(Want::Close(CloseReason::Limit));
            }
            let was_resumed = self.pending != Pending::Input;
            self.pending = Pending::Input;
            at += consumed;
            self.progress |= consumed > 0 && progress != Progress::Partial;
            self.is_fresh &= consumed == 0;
            budget.messages = budget.messages.saturating_sub(1);
            if progress == Progress::HalfClose {
                // Only our output ends. The rest of the input may hold another message.
                self.half_closes = true;
                progress = Progress::Again;
            }
            match progress {
                Progress::Again if at == input.len() => break Progress::NeedInput,
                // `Again` without consumed input would loop forever. After a resume it is normal,
                // because `resume` consumes no input.
                Progress::Again if consumed == 0 && !was_resumed => break Progress::NeedInput,
                Progress::Again if budget.messages > 0 && self.outbox.has_room() => {}
                progress => break progress,
            }
        };
        if progress == Progress::Yield {
            budget.messages = 0; // end this turn: the next piece is made in the next turn
        }
        self.settle(progress, &input[at..], cx);
        Continue(())
    }

    /// Returns whether the beginning of a message has been received.
    pub(super) fn has_begun(&self) -> bool {
        self.is_partial || !self.inbox.is_empty()
    }

    /// Stores the input that the protocol left, `rest`, and records what it waits for.
    pub(super) fn settle(&mut self, progress: Progress, rest: &[u8], cx: &mut Context<'_>) {
        self.is_partial = progress == Progress::Partial;
        let waits = matches!(progress, Progress::NeedInput | Progress::Partial);
        if !self.inbox.store(rest, !waits, cx.input) && !matches!(progress, Progress::Close(_)) {
            return self.refuse_input(rest, waits, cx);
        }
        match progress {
            Progress::NeedInput | Progress::Partial | Progress::Again => {}
            Progress::Yield => {
                self.pending = Pending::Turn;
                self.progress = true;
            }
            Progress::WaitUntil(time) => {
                self.pending = Pending::Wake;
                self.wake_at = time.map(Into::into);
            }
            Progress::HalfClose => self.half_closes = true,
            Progress::Close(reason) => {
                // Unread input, here or in the socket, would turn the close into a reset.
                let linger = reason != CloseReason::Done || !rest.is_empty();
                self.phase = Phase::Finishing { reason, linger };
            }
        }
    }

    /// Starts to finish the connection, because the budget for input has no room for `rest`. If the
    /// protocol waits for more of a message, lets it put a last response into the outbox.
    fn refuse_input(&mut self, rest: &[u8], waits: bool, cx: &mut Context<'_>) {
        let reason = CloseReason::Limit;
        if waits && self.outbox.has_room() {
            self.protocol.last_response(reason, rest, &mut self.outbox, cx);
        }
        self.phase = Phase::Finishing { reason, linger: true };
        self.progress = true;
    }

    /// Resumes the protocol if it waits for no input; otherwise passes `input` to it.
    fn ask_protocol(&mut self, input: &[u8], cx: &mut Context<'_>) -> Received {
        if self.pending != Pending::Input {
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
        #[cfg(feature = "tls")]
        if self.tls.is_some() && !matches!(self.phase, Phase::Lingering { .. }) {
            return self.read_tls(ready, buffer, kept, cx);
        }
        match recv(&self.socket, &mut *buffer, RecvFlags::empty()).map(|(got, _)| got) {
            Ok(0) => {
                // Output that is unsent is sent before the connection closes, see
                // `receive_while_blocked`.
                cx.trace(|| Step::EndOfInput);
                Break(Want::Close(CloseReason::Eof))
            }
            Ok(got) => {
                cx.counters.bytes_received += got as u64;
                cx.trace(|| Step::Read { offered: buffer.len(), bytes: buffer[..got].to_vec(), kept });
                // A short read means that the socket is drained (epoll(7)). If the peer has closed
                // its side, keep reading: the end of input triggers no further event.
                ready.readable = got == buffer.len() || ready.read_closed;
                Continue(Some(got))
            }
            Err(Errno::AGAIN) => {
                cx.trace(|| Step::Drained);
                ready.readable = false;
                Continue(None)
            }
            Err(Errno::INTR) => Continue(None),
            Err(_) => Break(Want::Close(CloseReason::Reset)),
        }
    }

    /// Reads and drops input while the connection lingers.
    pub(super) fn discard(
        &mut self,
        budget: &mut Budget,
        ready: &mut Readiness,
        buffer: &mut [u8],
        reason: CloseReason,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want> {
        if !ready.readable {
            return Break(Want::Readable);
        }
        if budget.calls == 0 {
            return Break(Want::Turn);
        }
        budget.calls -= 1;
        match self.read(ready, buffer, 0, cx) {
            Continue(_) => Continue(()),
            Break(_) => Break(Want::Close(reason)),
        }
    }
}
