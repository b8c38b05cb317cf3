//! Describes a socket as the system sees it, with getsockopt(2) and related calls.
//!
//! A step carries only the number of a file descriptor. The descriptor is duplicated while the
//! socket is inspected, so the loop's own descriptor is never touched.

use std::{
    fmt::Display,
    io,
    os::fd::{OwnedFd, RawFd},
};

use socket2::{Domain, SockAddr, SockRef, Type};

use crate::{
    address::Address,
    system::{duplicate_descriptor, is_listening},
    trace::SourceId,
};

/// Returns a few lines that describe the socket of `source`, or one line that says why this failed.
pub fn describe(source: SourceId, fd: RawFd) -> String {
    match duplicate_descriptor(fd) {
        Ok(socket) => describe_socket(source, fd, &socket),
        Err(e) => format!("{source} fd={fd}; cannot inspect the socket: {e}"),
    }
}

fn describe_socket(source: SourceId, fd: RawFd, socket: &OwnedFd) -> String {
    let is_listening = is_listening(socket).unwrap_or(false);
    let unread = rustix::io::ioctl_fionread(socket).ok();
    let socket = &SockRef::from(socket);
    let mut words = vec![format!("fd={fd}")];
    words.extend(socket.local_addr().ok().map(|address| family(address.domain())));
    words.extend(socket.r#type().ok().map(kind));
    words.extend(is_listening.then(|| "listening".into()));
    words.extend(socket.nonblocking().ok().filter(|is| *is).map(|_| "O_NONBLOCK".into()));
    let mut lines = vec![
        format!("{source} {}", words.join(" ")),
        format!("local={}  peer={}", address(socket.local_addr()), address(socket.peer_addr())),
    ];
    lines.extend(socket_options(socket).chunks(4).map(|options| options.join("  ")));
    if let Some(unread) = unread.filter(|_| !is_listening) {
        lines.push(format!("bytes in the receive buffer, unread: {unread}"));
    }
    lines.push("SO_ERROR not read: reading would clear it".into());
    lines.join("\n   ")
}

/// Returns the options of the socket, with their names from socket(7) and tcp(7).
fn socket_options(socket: &SockRef<'_>) -> Vec<String> {
    let mut options = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        options.extend(value.map(|value| format!("{name}={value}")));
    };
    add("SO_RCVBUF", text(socket.recv_buffer_size()));
    add("SO_SNDBUF", text(socket.send_buffer_size()));
    // Unix sockets and datagram sockets have no TCP_NODELAY.
    add("TCP_NODELAY", text(socket.tcp_nodelay().map(u8::from)));
    add("SO_KEEPALIVE", text(socket.keepalive().map(u8::from)));
    add("SO_REUSEADDR", text(socket.reuse_address().map(u8::from)));
    add("SO_REUSEPORT", text(socket.reuse_port().map(u8::from)));
    // Broadcast exists for datagrams only, although every socket has the option.
    let is_datagram = socket.r#type().is_ok_and(|kind| kind == Type::DGRAM);
    add("SO_BROADCAST", text(socket.broadcast().map(u8::from)).filter(|_| is_datagram));
    let linger = |time: Option<std::time::Duration>| match time {
        Some(time) => format!("{}s", time.as_secs()),
        None => "off".into(),
    };
    add("SO_LINGER", text(socket.linger().map(linger)));
    options
}

fn text<T: Display>(value: io::Result<T>) -> Option<String> {
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

/// Formats an address, or returns `none` if the socket has no address.
fn address(address: io::Result<SockAddr>) -> String {
    let Ok(address) = address else { return "none".into() };
    if let Some(ip) = address.as_socket() {
        return ip.to_string();
    }
    match address.as_pathname() {
        Some(path) => Address::Unix(Some(path.into())).to_string(),
        None if address.is_unix() => "unix: (unnamed)".into(),
        None => "none".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream, UdpSocket},
        os::{
            fd::{AsFd, AsRawFd},
            unix::net::{UnixListener, UnixStream},
        },
    };

    use super::*;
    use crate::testing::leaves_out;

    #[test]
    fn description_is_of_the_same_socket() {
        if leaves_out("pidfd_getfd") {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let own = listener.local_addr().expect("its address");
        let mut peer = TcpStream::connect(own).expect("connect");
        let (ours, from) = listener.accept().expect("accept");
        ours.set_nodelay(true).expect("set nodelay");
        peer.write_all(b"12345").expect("send");
        let mut first = [0];
        ours.peek(&mut first).expect("it came");
        let text = describe(SourceId::Connection(7), ours.as_raw_fd());
        for expected in [
            format!("c7 fd={} AF_INET SOCK_STREAM\n", ours.as_raw_fd()),
            format!("local={own}  peer={from}\n"),
            "TCP_NODELAY=1".into(),
            "SO_LINGER=off".into(),
            "unread: 5\n".into(),
        ] {
            assert!(text.contains(&expected), "{expected:?} in {text}");
        }
        assert!(!text.contains("SO_BROADCAST"), "{text}");
        let text = describe(SourceId::Listener(1), listener.as_raw_fd());
        assert!(text.contains("listening") && text.contains("peer=none"), "{text}");
        assert!(!text.contains("unread"), "{text}");
    }

    #[test]
    fn datagram_socket_has_no_tcp_options() {
        if leaves_out("pidfd_getfd") {
            return;
        }
        let socket = UdpSocket::bind("[::1]:0").or_else(|_| UdpSocket::bind("127.0.0.1:0")).expect("bind");
        let text = describe(SourceId::Udp(1), socket.as_raw_fd());
        assert!(text.contains("SOCK_DGRAM") && text.contains("SO_RCVBUF="), "{text}");
        assert!(text.contains("SO_BROADCAST=0") && !text.contains("TCP_NODELAY"), "{text}");
        socket.set_broadcast(true).expect("allow broadcast");
        let text = describe(SourceId::Udp(1), socket.as_raw_fd());
        assert!(text.contains("SO_BROADCAST=1"), "{text}");
    }

    #[test]
    fn unix_socket_has_a_path_or_no_name() {
        if leaves_out("pidfd_getfd") {
            return;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.sock");
        let listener = UnixListener::bind(&path).expect("bind");
        let client = UnixStream::connect(&path).expect("connect");
        let (ours, _) = listener.accept().expect("accept");
        let path = path.display();
        for (socket, names) in [
            (ours.as_fd(), format!("local=unix:{path}  peer=unix: (unnamed)\n")),
            (client.as_fd(), format!("local=unix: (unnamed)  peer=unix:{path}\n")),
        ] {
            let text = describe(SourceId::Connection(1), socket.as_raw_fd());
            assert!(text.contains("AF_UNIX SOCK_STREAM") && text.contains(&names), "{text}");
            assert!(!text.contains("TCP_NODELAY"), "{text}");
        }
    }

    #[test]
    fn closed_descriptor_gets_one_sentence() {
        let text = describe(SourceId::Connection(7), i32::MAX);
        assert!(text.starts_with("c7 fd=2147483647; ") && !text.contains('\n'), "{text}");
    }
}
