//! The steps of the loop and the protocol boundary, and the type for steps that services add.
//!
//! A step is created only while an observer is attached, so a step may own copies of the bytes that
//! it reports. [`loop_steps`](super::loop_steps) describes each kind of step.

use std::{fmt, io::ErrorKind, net::SocketAddr, os::fd::RawFd, time::Duration};

use super::{
    field::Field,
    source_id::{EventFlags, SourceId},
    step_doc::StepDoc,
};
use crate::{address::Address, close_reason::CloseReason};

/// One step of the loop, of the protocol boundary or of a service. Lengths are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A socket was bound and registered with the poller.
    Bound {
        /// The local address.
        address: Address,
        /// The descriptor of the socket.
        fd: RawFd,
    },
    /// The turn is over, and the poll starts.
    Waiting {
        /// The number of the turn that is over.
        turn: u64,
        /// How long the poll may sleep, at most until the nearest deadline. The timeout is zero
        /// while work is carried over, and `None` if there is no limit.
        timeout: Option<Duration>,
        /// The number of sources with work carried over.
        carried: usize,
    },
    /// The poll returned, and no source has had its turn yet.
    Woke {
        /// The number of the turn that starts.
        turn: u64,
        /// The sources that became ready.
        ready: Vec<(SourceId, EventFlags)>,
        /// The sources with work carried over from the last turn.
        carried: Vec<SourceId>,
    },
    /// A source's turn starts.
    TurnBegan,
    /// A signal arrived.
    Signalled {
        /// The signal number, as in signal(7).
        number: i32,
    },
    /// A priority source, such as inotify or a terminal, was read.
    Polled,
    /// `accept` returned a connection.
    Accepted {
        /// The number in the connection's [`SourceId::Connection`].
        connection: u64,
        /// The address of the peer.
        peer: Address,
        /// The descriptor of the socket.
        fd: RawFd,
        /// The number of open connections, including this one.
        open: usize,
    },
    /// An outgoing connection was started: `connect` returned `EINPROGRESS`.
    Connecting {
        /// The address of the peer.
        peer: Address,
        /// The descriptor of the socket.
        fd: RawFd,
        /// The number of open connections, including this one.
        open: usize,
    },
    /// The outgoing connection was established: the socket is writable, and `SO_ERROR` is 0.
    Connected,
    /// The outgoing connection could not be established: `SO_ERROR` says why.
    ConnectError {
        /// The kind of error.
        error: ErrorKind,
    },
    /// Another source woke this one.
    Woken,
    /// The source waits for a time or for another source, and reads nothing until then.
    Postponed {
        /// The time until the source continues; `None` if only another source ends the wait.
        within: Option<Duration>,
    },
    /// `accept` would block: the backlog is empty.
    BacklogEmpty,
    /// The listener pauses until a connection closes or a delay has passed.
    AcceptPaused {
        /// Why it pauses.
        reason: PauseReason,
    },
    /// The loop blocks on purpose, because a protocol has asked for it.
    LoopBlocked {
        /// For how long.
        time: Duration,
    },
    /// `read` returned bytes.
    Read {
        /// The free space in the buffer.
        offered: usize,
        /// The bytes that were read.
        bytes: Vec<u8>,
        /// The number of bytes received earlier and not yet parsed.
        kept: usize,
    },
    /// Messages of a TLS handshake were received or sent. They carry no input and no output.
    Handshake {
        /// The number of bytes received.
        received: usize,
        /// The number of bytes sent.
        sent: usize,
    },
    /// `read` would block: the socket is drained.
    Drained,
    /// `read` returned 0: the peer closed its side.
    EndOfInput,
    /// The protocol needs more input before it can parse a message.
    Incomplete {
        /// The number of bytes received and not yet parsed.
        have: usize,
        /// The part of the message that is missing.
        need: &'static str,
    },
    /// The protocol parsed a message.
    Understood {
        /// The first line of the message, or empty if the protocol has no lines.
        start: Vec<u8>,
        /// The length of the message.
        len: usize,
        /// The number of bytes of input after the message.
        left: usize,
    },
    /// The protocol refused the input.
    Refused {
        /// What is wrong with the input.
        reason: &'static str,
    },
    /// A call sent some or all of the bytes offered.
    Wrote {
        /// The system call that sent the bytes.
        by: SendCall,
        /// The number of bytes offered to the call.
        offered: usize,
        /// The number of bytes that the call took.
        got: usize,
        /// The total number of bytes sent on the connection.
        sent: u64,
        /// The total number of bytes put into the connection's outbox.
        of: u64,
    },
    /// A write would block: the send buffer is full.
    Blocked {
        /// The system call that would block.
        by: SendCall,
        /// The number of bytes offered to the call.
        offered: usize,
    },
    /// The next bytes of the body are not in the page cache. They were requested from the disk.
    NotCached {
        /// The total number of bytes sent on the connection.
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
        /// The close reason to use if the deadline passes.
        reason: CloseReason,
        /// The time until the deadline; `None` if it was removed.
        within: Option<Duration>,
    },
    /// The deadline of a connection passed.
    Deadline {
        /// The close reason that was set for the deadline.
        reason: CloseReason,
        /// How long ago the deadline passed.
        late: Duration,
        /// The number of bytes of an incomplete message that had arrived.
        got: usize,
    },
    /// A datagram was received.
    Received {
        /// The free space in the buffer.
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
    /// Our side of the connection was shut down. The loop now waits for the peer to close its side.
    ShutDown,
    /// The protocol ended its output, so our side of the connection was shut down. Input is still
    /// read.
    OutputEnded,
    /// The source was closed.
    Closed {
        /// The close reason.
        reason: CloseReason,
        /// The number of bytes received and not parsed.
        unread: usize,
    },
    /// A service took a step of its own.
    Service(ServiceStep),
}

/// A step that a service describes and reports. Observers know nothing about the service. They
/// format the fields as the description says, and act on the effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceStep {
    /// The description of the step.
    pub doc: &'static StepDoc,
    /// A value for each placeholder of the description's [form](StepDoc::form).
    pub fields: Vec<Field>,
    /// The effect on an observer.
    pub effect: Effect,
}

/// The effect of a service's step on observers, which know nothing about the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// No effect.
    None,
    /// Work was done, so the step counts as progress.
    Progress,
    /// The next input is a secret, such as a password or a private message. It is not shown until
    /// a step has the effect [`ShowInput`](Effect::ShowInput).
    HideInput,
    /// The next input may be shown again.
    ShowInput,
    /// The service decided on the response to a request.
    Response {
        /// The head of the response, as it is sent.
        head: Vec<u8>,
    },
}

impl Step {
    /// Creates a step of a service. `fields` must be exactly the fields that the form of `doc`
    /// names.
    pub fn service(doc: &'static StepDoc, fields: Vec<Field>, effect: Effect) -> Step {
        debug_assert!(doc.has_fields(fields.iter().map(|field| field.name)), "{doc:?}: {fields:?}");
        Step::Service(ServiceStep { doc, fields, effect })
    }

    /// Returns the response head if the step decided on a response.
    pub fn response_head(&self) -> Option<&[u8]> {
        match self {
            Step::Service(ServiceStep { effect: Effect::Response { head }, .. }) => Some(head),
            _ => None,
        }
    }

    /// Returns whether the step counts as progress, for example because bytes were sent, a
    /// connection was accepted or a deadline passed. Parsing, planning and arming do not count.
    pub fn is_progress(&self) -> bool {
        match self {
            Step::Wrote { got, .. } => *got > 0,
            Step::Service(step) => step.effect == Effect::Progress,
            Step::Accepted { .. }
            | Step::Connecting { .. }
            | Step::Connected
            | Step::ConnectError { .. }
            | Step::Woken
            | Step::Postponed { .. }
            | Step::Read { .. }
            | Step::Handshake { .. }
            | Step::EndOfInput
            | Step::NotCached { .. }
            | Step::Deadline { .. }
            | Step::Received { .. }
            | Step::Sent { .. }
            | Step::ShutDown
            | Step::OutputEnded
            | Step::Closed { .. }
            | Step::Signalled { .. }
            | Step::Polled => true,
            _ => false,
        }
    }
}

/// Why a listener accepts no connections for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseReason {
    /// The connection limit was reached.
    Limit,
    /// Descriptors or memory ran out.
    Descriptors,
    /// A protocol asked for it.
    Stall,
}

impl PauseReason {
    /// Returns the reason as traces show it.
    pub fn name(self) -> &'static str {
        match self {
            PauseReason::Limit => "limit",
            PauseReason::Descriptors => "descriptors",
            PauseReason::Stall => "stall",
        }
    }
}

/// A system call that sends data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendCall {
    /// write(2): bytes from one buffer.
    Write,
    /// writev(2): a head, and a body that is already in memory.
    Writev,
    /// send(2) with `MSG_MORE`: a head that is sent together with the file after it.
    Send,
    /// sendfile(2): a file from the page cache.
    Sendfile,
    /// pread(2), then send(2): a file that sendfile(2) refuses.
    ReadSend,
}

impl SendCall {
    /// Returns the name of the system call.
    pub fn name(self) -> &'static str {
        match self {
            SendCall::Write => "write",
            SendCall::Writev => "writev",
            SendCall::Send => "send",
            SendCall::Sendfile => "sendfile",
            SendCall::ReadSend => "pread+send",
        }
    }
}

impl fmt::Display for SendCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
