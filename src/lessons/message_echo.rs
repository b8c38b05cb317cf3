//! An echo of messages, for the lesson about the two ways to find the end of one: lines on the
//! first listener, and frames on the second. It may have a bug.

use std::{cell::RefCell, io, rc::Rc};

use super::{
    bug::Bug,
    harness::Harness,
    setup::Setup,
    transcript::{NotedEvent, Transcript},
};
use crate::{
    address::Address,
    framing::{TooLong, frame, line, put_frame},
    protocol::{CloseReason, Context, Outbox, Progress, Protocol, ProtocolFactory, Received, Timeout},
    trace::Step,
};

/// The maximum length of a message in bytes.
const MAX_MESSAGE: usize = 1024;
/// The length of a frame's length in bytes.
const HEADER: usize = 4;

/// Sets up the lesson: a loop that echoes lines to the clients of L1, and frames to the clients of
/// L2.
pub fn echo_messages(setup: &Setup<'_>) -> io::Result<Harness> {
    let echo = |framing| MessageEcho {
        framing,
        bug: setup.bug,
        reserved: Vec::new(),
        transcript: Rc::clone(&setup.transcript),
    };
    setup.with_listeners(vec![Box::new(echo(MessageFraming::Lines)), Box::new(echo(MessageFraming::Frames))])
}

/// How a message says where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageFraming {
    /// With a line feed.
    Lines,
    /// With its length, in front of it.
    Frames,
}

/// The protocol of a connection, and the factory that creates a copy for each.
#[derive(Clone)]
struct MessageEcho {
    framing: MessageFraming,
    bug: Option<Bug>,
    /// The memory for a message whose length has been trusted.
    reserved: Vec<u8>,
    transcript: Rc<RefCell<Transcript>>,
}

impl ProtocolFactory for MessageEcho {
    fn create(&mut self, _peer: &Address) -> Box<dyn Protocol> {
        Box::new(self.clone())
    }
}

impl MessageEcho {
    /// Splits the first message off `input`. Returns it, and its length with its line end or
    /// header.
    fn split<'a>(&mut self, input: &'a [u8]) -> Result<Option<(&'a [u8], usize)>, TooLong> {
        match (self.framing, self.bug) {
            (MessageFraming::Lines, _) => line(input, MAX_MESSAGE),
            (MessageFraming::Frames, Some(Bug::TrustLength)) => {
                if let Some((header, rest)) = input.split_first_chunk::<HEADER>() {
                    self.reserve(u32::from_be_bytes(*header) as usize, rest.len());
                }
                frame(input, usize::MAX)
            }
            (MessageFraming::Frames, Some(Bug::HalfLength)) if (1..HEADER).contains(&input.len()) => {
                let len = input.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
                if len == 0 { Ok(Some((&[], input.len()))) } else { Err(TooLong) }
            }
            (MessageFraming::Frames, _) => frame(input, MAX_MESSAGE),
        }
    }

    /// Makes room for a message of `len` bytes, of which `arrived` have arrived.
    fn reserve(&mut self, len: usize, arrived: usize) {
        if len <= self.reserved.capacity() {
            return;
        }
        let text = match self.reserved.try_reserve_exact(len) {
            Ok(()) => format!("(the server reserves {len} bytes, of which {arrived} have arrived)"),
            Err(_) => format!("(the server has no room for {len} bytes)"),
        };
        self.transcript.borrow_mut().note(NotedEvent::Remark, text);
    }

    /// Returns the part of a message that is missing, if `input` is its beginning.
    fn missing(&self, input: &[u8]) -> &'static str {
        match self.framing {
            MessageFraming::Lines => "LF",
            MessageFraming::Frames if input.len() < HEADER => "length",
            MessageFraming::Frames => "content",
        }
    }

    fn put(&self, message: &[u8], out: &mut Outbox) -> Result<(), TooLong> {
        match self.framing {
            MessageFraming::Lines => out.bytes().extend([message, b"\n"].concat()),
            MessageFraming::Frames => put_frame(out.bytes(), message)?,
        }
        Ok(())
    }
}

impl Protocol for MessageEcho {
    fn receive(&mut self, input: &[u8], out: &mut Outbox, cx: &mut Context<'_>) -> Received {
        let answered = self.split(input).and_then(|message| match message {
            Some((message, len)) => {
                cx.trace(|| Step::Understood { start: message.to_vec(), len, left: input.len() - len });
                self.put(message, out).map(|()| Received { consumed: len, progress: Progress::Again })
            }
            None => {
                cx.trace(|| Step::Incomplete { have: input.len(), need: self.missing(input) });
                Ok(Received { consumed: 0, progress: Progress::NeedInput })
            }
        });
        answered.unwrap_or_else(|TooLong| {
            cx.trace(|| Step::Refused { reason: "longer than 1024 bytes" });
            // An error is short enough for any message.
            let _ = self.put(b"too long", out);
            Received { consumed: 0, progress: Progress::Close(CloseReason::Limit) }
        })
    }

    fn timeout(&self, _partial: bool) -> Timeout {
        Timeout { limit: None, reason: CloseReason::IdleTimeout }
    }
}
