//! The steps of the loop and the protocol boundary, and the type of steps that services add.
//!
//! A step is created only while an observer is attached, so it may own copies of the bytes that it
//! reports. [`loop_steps`](super::loop_steps) describes each kind of step.

use std::{fmt, net::SocketAddr, os::fd::RawFd, time::Duration};

use super::{
    field::Field,
    source_id::{EventFlags, SourceId},
    step_doc::StepDoc,
};
use crate::close_reason::CloseReason;

/// A step. Lengths are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A socket was bound and registered.
    Bound {
        /// The local address.
        address: SocketAddr,
        /// The descriptor.
        fd: RawFd,
    },
    /// The turn is over, and the poll begins.
    Waiting {
        /// The number of the turn that is over.
        turn: u64,
        /// How long the poll may sleep, at most until the nearest deadline. Zero while work is left
        /// over; `None` without limit.
        timeout: Option<Duration>,
        /// How many sources have work left over.
        carried: usize,
    },
    /// The poll returned, and no source has had its turn yet.
    Woke {
        /// The number of the turn that begins.
        turn: u64,
        /// The sources that became ready.
        ready: Vec<(SourceId, EventFlags)>,
        /// The sources with work left over from the last turn.
        carried: Vec<SourceId>,
    },
    /// A source's turn begins.
    TurnBegan,
    /// A signal arrived.
    Signalled {
        /// The number of the signal: see signal(7).
        number: i32,
    },
    /// A priority source was read, such as inotify or a terminal.
    Polled,
    /// `accept` returned a connection.
    Accepted {
        /// The number of its [`SourceId::Connection`].
        connection: u64,
        /// The address of the peer.
        peer: SocketAddr,
        /// The descriptor.
        fd: RawFd,
        /// How many connections are open now.
        open: usize,
    },
    /// `accept` would block: the backlog is empty.
    BacklogEmpty,
    /// The listener pauses until a connection closes or a delay is over.
    AcceptPaused {
        /// Whether descriptors or memory ran out. Otherwise the connection limit is reached.
        out_of_fds: bool,
    },
    /// `read` returned bytes.
    Read {
        /// The room in the buffer.
        offered: usize,
        /// The bytes that were read.
        bytes: Vec<u8>,
        /// How many bytes were received earlier and are not parsed.
        kept: usize,
    },
    /// `read` would block: the socket is drained.
    Drained,
    /// `read` returned 0: the peer closed its side.
    EndOfInput,
    /// The protocol needs more input before it can parse a message.
    Incomplete {
        /// How many bytes there are.
        have: usize,
        /// The part that is missing.
        need: &'static str,
    },
    /// The protocol parsed a message.
    Understood {
        /// The first line of the message, or nothing if the protocol has no lines.
        start: Vec<u8>,
        /// The length of the message.
        len: usize,
        /// How many bytes of input follow the message.
        left: usize,
    },
    /// The protocol refused the input.
    Refused {
        /// What is wrong with the input.
        reason: &'static str,
    },
    /// A call sent some or all of the bytes offered.
    Wrote {
        /// The system call.
        by: SendCall,
        /// How many bytes were offered.
        offered: usize,
        /// How many bytes the call took.
        got: usize,
        /// How many bytes were sent since the connection began.
        sent: u64,
        /// How many bytes were put into the outbox since the connection began.
        of: u64,
    },
    /// A write would block: the send buffer is full.
    Blocked {
        /// The system call.
        by: SendCall,
        /// How many bytes were offered.
        offered: usize,
    },
    /// The next bytes of the body are not in memory. They were requested from the disk.
    NotCached {
        /// How many bytes were sent since the connection began.
        sent: u64,
    },
    /// The source is now polled for writability (`wlist.append`).
    Armed,
    /// The source is no longer polled for writability (`wlist.remove`).
    Disarmed,
    /// The rest of the source's work is queued for the next turn.
    CarriedOver,
    /// The deadline of a connection was set or removed.
    DeadlineSet {
        /// The close reason if the deadline passes.
        reason: CloseReason,
        /// The time until the deadline; `None` if it was removed.
        within: Option<Duration>,
    },
    /// The deadline of a connection passed.
    Deadline {
        /// The close reason.
        reason: CloseReason,
        /// How long ago it passed.
        late: Duration,
        /// How many bytes of an incomplete message had arrived.
        got: usize,
    },
    /// A datagram was received.
    Received {
        /// The room in the buffer.
        offered: usize,
        /// The datagram.
        bytes: Vec<u8>,
        /// The address of the sender.
        from: SocketAddr,
    },
    /// A datagram was sent.
    Sent {
        /// The length of the datagram.
        got: usize,
        /// The address of the receiver.
        to: SocketAddr,
    },
    /// Our side of the connection was shut down. The connection waits for the peer to close.
    ShutDown,
    /// The source was closed.
    Closed {
        /// The reason.
        reason: CloseReason,
        /// How many bytes were received and not parsed.
        unread: usize,
    },
    /// A service took a step of its own.
    Service(ServiceStep),
}

/// A step that a service describes and reports. Observers know no service: they format the fields
/// by the description, and act on the effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceStep {
    /// The description.
    pub doc: &'static StepDoc,
    /// A value for each placeholder of the description's [form](StepDoc::form).
    pub fields: Vec<Field>,
    /// The effect on an observer.
    pub effect: Effect,
}

/// The effect of a service's step, for observers that do not know the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// No effect.
    None,
    /// Work was done, so the wake-up counts as progress.
    Progress,
    /// The response to a request was decided.
    Response {
        /// The beginning of the response as it is sent.
        head: Vec<u8>,
    },
}

impl Step {
    /// Creates a step of a service. `fields` must be the fields that the form of `doc` names.
    pub fn service(doc: &'static StepDoc, fields: Vec<Field>, effect: Effect) -> Step {
        debug_assert!(doc.has_fields(fields.iter().map(|field| field.name)), "{doc:?}: {fields:?}");
        Step::Service(ServiceStep { doc, fields, effect })
    }

    /// Returns the response head, if the step decided on a response.
    pub fn response_head(&self) -> Option<&[u8]> {
        match self {
            Step::Service(ServiceStep { effect: Effect::Response { head }, .. }) => Some(head),
            _ => None,
        }
    }

    /// Returns whether the step is progress: it moves a byte, a connection or a deadline. Parsing,
    /// planning and arming do not count.
    pub fn is_progress(&self) -> bool {
        match self {
            Step::Wrote { got, .. } => *got > 0,
            Step::Service(step) => step.effect == Effect::Progress,
            Step::Accepted { .. }
            | Step::Read { .. }
            | Step::EndOfInput
            | Step::NotCached { .. }
            | Step::Deadline { .. }
            | Step::Received { .. }
            | Step::Sent { .. }
            | Step::ShutDown
            | Step::Closed { .. }
            | Step::Signalled { .. }
            | Step::Polled => true,
            _ => false,
        }
    }
}

/// A system call that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendCall {
    /// write(2): bytes from one buffer.
    Write,
    /// writev(2): a head, and a body from where it is in memory.
    Writev,
    /// send(2) with `MSG_MORE`: a head, which leaves together with the file that follows.
    Send,
    /// sendfile(2): a file from the page cache.
    Sendfile,
}

impl SendCall {
    /// Returns the name of the system call.
    pub fn name(self) -> &'static str {
        match self {
            SendCall::Write => "write",
            SendCall::Writev => "writev",
            SendCall::Send => "send",
            SendCall::Sendfile => "sendfile",
        }
    }
}

impl fmt::Display for SendCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
