//! The start of an outgoing connection.

use std::{
    io,
    ops::ControlFlow::{self, Break, Continue},
    os::fd::OwnedFd,
    time::Duration,
};

use rustix::net::sockopt;

use super::{Connection, Phase};
use crate::{
    clock::Clock,
    protocol::{CloseReason, Context, Protocol},
    source::{Readiness, Want},
    trace::Step,
};

impl Connection {
    /// Creates an outgoing connection from a socket on which connect(2) has been called. The
    /// connection must be established within `connect_timeout`.
    pub fn connecting(
        socket: OwnedFd,
        protocol: Box<dyn Protocol>,
        connect_timeout: Option<Duration>,
        clock: &Clock,
    ) -> Connection {
        Connection {
            phase: Phase::Connecting,
            is_fresh: false,
            waiting: CloseReason::ConnectTimeout,
            deadline: clock.compact_after(connect_timeout),
            ..Connection::new(socket, protocol, clock)
        }
    }

    /// Checks whether the outgoing connection has been established, and lets the protocol start.
    pub(super) fn finish_connecting(
        &mut self,
        ready: &mut Readiness,
        cx: &mut Context<'_>,
    ) -> ControlFlow<Want> {
        if cx.draining {
            return Break(Want::Close(CloseReason::Shutdown));
        }
        // The socket becomes writable when connect(2) has succeeded or failed. SO_ERROR says which
        // (connect(2), EINPROGRESS).
        if !ready.writable {
            return Break(Want::Writable);
        }
        if let Err(error) = sockopt::socket_error(&self.socket).unwrap_or_else(Err) {
            let error = io::Error::from(error);
            cx.trace(|| Step::ConnectError { error: error.kind() });
            return Break(Want::Close(CloseReason::ConnectFailed(error.kind())));
        }
        // An event is only a hint: a stale one must not count as an established connection.
        if rustix::net::getpeername(&self.socket).is_err() {
            ready.writable = false;
            return Break(Want::Writable);
        }
        cx.trace(|| Step::Connected);
        self.phase = Phase::Open;
        self.progress = true;
        self.start(cx);
        Continue(())
    }
}
