//! A socket as the system knows it: getsockopt(2) and its kin.
//!
//! A step names a descriptor by its number only. The system gives a duplicate of it, for just the moment of looking
//! (pidfd_getfd(2)); what the loop owns is not touched.

use std::{fmt::Display, io, os::fd::RawFd};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{Domain, SockAddr, SockRef, Type};

use crate::trace::SourceId;

/// Some lines on the socket of `id`, or why there are none.
pub fn describe(id: SourceId, fd: RawFd) -> String {
    let duplicate = pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|this_process| pidfd_getfd(this_process, fd, PidfdGetfdFlags::empty()));
    match duplicate {
        Ok(socket) => {
            let unread = rustix::io::ioctl_fionread(&socket).ok();
            of(id, fd, &SockRef::from(&socket), unread)
        }
        Err(e) => format!("{id} fd={fd}; the system does not let us look closer: {e}"),
    }
}

fn of(id: SourceId, fd: RawFd, socket: &SockRef<'_>, unread: Option<u64>) -> String {
    let is_listening = socket.is_listener().unwrap_or(false);
    let mut facts = vec![format!("fd={fd}")];
    facts.extend(socket.domain().ok().map(family));
    facts.extend(socket.r#type().ok().map(kind));
    facts.extend(is_listening.then(|| "listening".into()));
    facts.extend(socket.nonblocking().ok().filter(|is| *is).map(|_| "O_NONBLOCK".into()));
    let mut lines = vec![
        format!("{id} {}", facts.join(" ")),
        format!("local={}  peer={}", address(socket.local_addr()), address(socket.peer_addr())),
    ];
    lines.extend(options(socket).chunks(4).map(|some| some.join("  ")));
    if let Some(unread) = unread.filter(|_| !is_listening) {
        lines.push(format!("bytes that wait in the receive buffer, unread: {unread}"));
    }
    lines.push("SO_ERROR is left alone: to ask for it is to clear it".into());
    lines.join("\n   ")
}

/// Those that the socket has, by the names of socket(7) and tcp(7).
fn options(socket: &SockRef<'_>) -> Vec<String> {
    let mut options = Vec::new();
    let mut tell = |name: &str, value: Option<String>| {
        options.extend(value.map(|value| format!("{name}={value}")));
    };
    tell("SO_RCVBUF", shown(socket.recv_buffer_size()));
    tell("SO_SNDBUF", shown(socket.send_buffer_size()));
    tell("TCP_NODELAY", shown(socket.tcp_nodelay().map(u8::from)));
    tell("SO_KEEPALIVE", shown(socket.keepalive().map(u8::from)));
    tell("SO_REUSEADDR", shown(socket.reuse_address().map(u8::from)));
    tell("SO_REUSEPORT", shown(socket.reuse_port().map(u8::from)));
    let linger = |time: Option<std::time::Duration>| match time {
        Some(time) => format!("{}s", time.as_secs()),
        None => "off".into(),
    };
    tell("SO_LINGER", shown(socket.linger().map(linger)));
    options
}

fn shown<T: Display>(value: io::Result<T>) -> Option<String> {
    value.ok().map(|value| value.to_string())
}

fn family(domain: Domain) -> String {
    match domain {
        Domain::IPV4 => "AF_INET".into(),
        Domain::IPV6 => "AF_INET6".into(),
        Domain::UNIX => "AF_UNIX".into(),
        other => format!("family={}", i32::from(other)),
    }
}

fn kind(kind: Type) -> String {
    match kind {
        Type::STREAM => "SOCK_STREAM".into(),
        Type::DGRAM => "SOCK_DGRAM".into(),
        other => format!("type={}", i32::from(other)),
    }
}

/// `none`: the socket has no such end.
fn address(address: io::Result<SockAddr>) -> String {
    address.ok().and_then(|address| address.as_socket()).map_or("none".into(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream, UdpSocket},
        os::fd::AsRawFd,
    };

    use super::*;

    #[test]
    fn what_is_said_is_of_that_very_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let own = listener.local_addr().expect("its address");
        let mut peer = TcpStream::connect(own).expect("connect");
        let (ours, from) = listener.accept().expect("accept");
        ours.set_nodelay(true).expect("set nodelay");
        peer.write_all(b"12345").expect("send");
        let mut first = [0];
        ours.peek(&mut first).expect("it came");
        let told = describe(SourceId::Connection(7), ours.as_raw_fd());
        for fact in [
            format!("c7 fd={} AF_INET SOCK_STREAM\n", ours.as_raw_fd()),
            format!("local={own}  peer={from}\n"),
            "TCP_NODELAY=1".into(),
            "SO_LINGER=off".into(),
            "unread: 5\n".into(),
        ] {
            assert!(told.contains(&fact), "{fact:?} in {told}");
        }
        let told = describe(SourceId::Listener(1), listener.as_raw_fd());
        assert!(told.contains("listening") && told.contains("peer=none"), "{told}");
        assert!(!told.contains("unread"), "{told}");
    }

    #[test]
    fn a_datagram_socket_has_no_options_of_tcp() {
        let socket = UdpSocket::bind("[::1]:0").or_else(|_| UdpSocket::bind("127.0.0.1:0")).expect("bind");
        let told = describe(SourceId::Udp(1), socket.as_raw_fd());
        assert!(told.contains("SOCK_DGRAM") && told.contains("SO_RCVBUF="), "{told}");
        assert!(!told.contains("TCP_NODELAY"), "{told}");
    }

    #[test]
    fn a_descriptor_that_is_gone_is_said_in_a_sentence() {
        let told = describe(SourceId::Connection(7), i32::MAX);
        assert!(told.starts_with("c7 fd=2147483647; ") && !told.contains('\n'), "{told}");
    }
}
