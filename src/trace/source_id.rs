//! The identifiers of sources in traces, and the event flags that the kernel reports for them.

use std::{fmt, str::FromStr};

/// The identifier of a source. Numbers are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceId {
    /// The loop itself.
    Loop,
    /// The signals that the process receives.
    Signals,
    /// A source without a number, identified by its name: `files`, `terminal` or `stdin`.
    Named(&'static str),
    /// A listening socket, such as `L1`.
    Listener(u64),
    /// A connection, such as `c3`.
    Connection(u64),
    /// A UDP socket, such as `u1`.
    Udp(u64),
}

/// Formats the identifier as traces show it.
impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceId::Loop => f.write_str("loop"),
            SourceId::Signals => f.write_str("signals"),
            SourceId::Named(name) => f.write_str(name),
            SourceId::Listener(n) => write!(f, "L{n}"),
            SourceId::Connection(n) => write!(f, "c{n}"),
            SourceId::Udp(n) => write!(f, "u{n}"),
        }
    }
}

/// Parses an identifier as traces show it.
impl FromStr for SourceId {
    type Err = String;

    fn from_str(name: &str) -> Result<SourceId, String> {
        let number = |prefix: char| name.strip_prefix(prefix).and_then(|digits| digits.parse().ok());
        let id = match name {
            "loop" => Some(SourceId::Loop),
            "signals" => Some(SourceId::Signals),
            "files" => Some(SourceId::Named("files")),
            "terminal" => Some(SourceId::Named("terminal")),
            "stdin" => Some(SourceId::Named("stdin")),
            _ => number('c')
                .map(SourceId::Connection)
                .or_else(|| number('L').map(SourceId::Listener))
                .or_else(|| number('u').map(SourceId::Udp)),
        };
        id.ok_or_else(|| "give a name such as c3, L1, u1 or loop".into())
    }
}

/// The readiness of a source as epoll(7) reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventFlags {
    /// `EPOLLIN`: the source is readable.
    pub readable: bool,
    /// `EPOLLOUT`: the source is writable.
    pub writable: bool,
    /// `EPOLLHUP`, or `EPOLLRDHUP` with `EPOLLIN`: the peer has closed its side.
    pub read_closed: bool,
    /// `EPOLLHUP`, or `EPOLLERR` alone or with `EPOLLOUT`: neither side can send.
    pub write_closed: bool,
    /// `EPOLLERR`: the source has a pending error.
    pub error: bool,
}

/// Formats the flags as `R`, `W`, `rc`, `wc` and `e`, separated by spaces.
impl fmt::Display for EventFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = [
            (self.readable, "R"),
            (self.writable, "W"),
            (self.read_closed, "rc"),
            (self.write_closed, "wc"),
            (self.error, "e"),
        ];
        let mut is_first = true;
        for (_, letters) in flags.iter().filter(|(is_set, _)| *is_set) {
            f.write_str(if is_first { "" } else { " " })?;
            f.write_str(letters)?;
            is_first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_id_parses_what_it_displays() {
        let ids = [
            SourceId::Loop,
            SourceId::Signals,
            SourceId::Named("files"),
            SourceId::Named("terminal"),
            SourceId::Named("stdin"),
            SourceId::Listener(1),
            SourceId::Connection(u64::MAX),
            SourceId::Udp(2),
        ];
        for id in ids {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for name in ["", "c", "C1", "c-1", "x9", "1", "c18446744073709551616"] {
            let error = name.parse::<SourceId>().expect_err(name);
            assert!(error.contains("c3"), "{name}: {error}");
        }
    }
}
