//! What wrk counts when this server closes a connection, so that its figures can be compared with
//! ours.
//!
//! wrk prints `Socket errors: connect N, read N, write N, timeout N`. It counts a *connect* error
//! if it cannot open a connection, a *read* error if a connection ends before a response is
//! complete, and a *write* error if the connection has been reset before the request is sent. A
//! *timeout* is a response that took longer than `--timeout`; wrk goes on to wait for it, so no
//! connection is closed. wrk sends the next request as soon as it has a response. So a connection
//! that we close without `Connection: close` is always one on which it waits.

use std::{fmt, time::Duration};

use crate::protocol::CloseReason;

/// The response time above which wrk counts a timeout, unless `--timeout` sets another one.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// The errors that wrk counts when a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketError {
    Connect,
    Read,
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SocketError::Connect => "connect",
            SocketError::Read => "read",
        })
    }
}

/// Returns the error that wrk counts if this server closes a connection for `reason` while wrk
/// waits for a response, or `None` if wrk counts none. No reason gives a write error: the request
/// fits the buffers of the kernel, so wrk has sent it before it can notice a close.
pub fn socket_error(reason: CloseReason) -> Option<SocketError> {
    match reason {
        // The last response was complete and said so, or it was an error response, which wrk counts
        // by its status.
        CloseReason::Done | CloseReason::BadRequest => None,
        // wrk itself has closed the connection, at the end of its run.
        CloseReason::Eof | CloseReason::Reset | CloseReason::BrokenPipe => None,
        CloseReason::HeadTimeout
        | CloseReason::IdleTimeout
        | CloseReason::SendTimeout
        | CloseReason::TooSlow
        | CloseReason::Limit
        | CloseReason::Evicted
        | CloseReason::AddressLimit
        | CloseReason::Shutdown
        | CloseReason::Aborted
        | CloseReason::FileChanged => Some(SocketError::Read),
        // The handshake is part of connecting.
        CloseReason::TlsFailed => Some(SocketError::Connect),
        // Outgoing connections: none of them is wrk's.
        CloseReason::ConnectFailed(_) | CloseReason::ConnectTimeout => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_error_is_what_the_guide_says() {
        let guide = include_str!("../../../docs/GUIDE.md");
        let (_, table) = guide.split_once("| Closed for | wrk counts | Because |").expect("the table");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let documented: Vec<(String, &str)> = rows
            .flat_map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                let reasons = cells[1].split('`').skip(1).step_by(2).map(str::to_owned);
                reasons.map(|reason| (reason, cells[2])).collect::<Vec<_>>()
            })
            .collect();
        let reasons = [
            CloseReason::Done,
            CloseReason::Eof,
            CloseReason::HeadTimeout,
            CloseReason::IdleTimeout,
            CloseReason::SendTimeout,
            CloseReason::TooSlow,
            CloseReason::Reset,
            CloseReason::Aborted,
            CloseReason::BrokenPipe,
            CloseReason::BadRequest,
            CloseReason::Limit,
            CloseReason::Evicted,
            CloseReason::AddressLimit,
            CloseReason::Shutdown,
            CloseReason::TlsFailed,
            CloseReason::FileChanged,
        ];
        for reason in reasons {
            let error = socket_error(reason).map_or("nothing".to_owned(), |error| error.to_string());
            assert!(documented.contains(&(reason.to_string(), &error)), "{reason}: {error}");
        }
        assert_eq!(documented.len(), reasons.len(), "{documented:?}");
    }
}
