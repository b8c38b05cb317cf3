//! The chat room in a server of this process, whose clock the test controls, with real sockets.

mod lines;
mod members;
mod misbehaving;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant, UNIX_EPOCH},
};

use memchr::memmem;
use oneloop::ChatRoom;

use crate::common::*;

const WELCOME: &str = "Please enter your name: You have entered the chat room!\n";
/// The time of the server's clock, as a line shows it.
const TIME: &str = "[2022-12-02 10:58:20]";

/// A server with a chat room.
struct Chat {
    rig: Rig,
    address: SocketAddr,
    _site: Site,
}

/// One connection to the room, and what it has received.
struct Peer {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Chat {
    fn new() -> Chat {
        let site = Site::empty();
        let mut config = Rig::config(&site);
        config.max_connections = Some(2000);
        let mut rig = Rig::at(UNIX_EPOCH + Duration::from_secs(1_669_978_700), config);
        let socket = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = socket.local_addr().expect("read its address");
        let room = ChatRoom::new(Some(Duration::from_secs(10)));
        rig.server.add_listener(socket, room).expect("add a listener");
        Chat { rig, address, _site: site }
    }

    /// Opens a connection, and waits for the prompt.
    fn connect(&mut self) -> Peer {
        let socket = TcpStream::connect(self.address).expect("connect");
        socket.set_nonblocking(true).expect("set non-blocking");
        let mut peer = Peer { socket, received: Vec::new() };
        self.expect(&mut peer, "name: ");
        peer
    }

    /// Opens a connection, gives a name, and waits until the room has answered.
    fn join(&mut self, name: &str) -> Peer {
        let mut peer = self.connect();
        peer.send(&format!("{name}\n"));
        self.expect(&mut peer, "member");
        self.expect(&mut peer, "\n");
        peer.received.clear();
        peer
    }

    /// Opens connections with the names `m1`, `m2`, ... and forgets what they have received.
    fn join_many(&mut self, count: usize) -> Vec<Peer> {
        let mut peers: Vec<Peer> = (1..=count).map(|n| self.join(&format!("m{n}"))).collect();
        for (n, peer) in peers.iter_mut().enumerate() {
            self.expect_times(peer, "joined\n", count - 1 - n);
            peer.received.clear();
        }
        peers
    }

    /// Runs turns until `peer` has received `text`.
    fn expect(&mut self, peer: &mut Peer, text: &str) {
        self.expect_times(peer, text, 1);
    }

    /// Runs turns until `peer` has received `text` as often as `times`.
    fn expect_times(&mut self, peer: &mut Peer, text: &str, times: usize) {
        let end = Instant::now() + SOON;
        while memmem::find_iter(&peer.received, text).count() < times {
            assert!(Instant::now() < end, "{text:?} is missing in {:?}", lossy(&peer.received));
            self.rig.turn();
            peer.read();
        }
    }

    /// Runs turns until the server closes its side of the connection.
    fn expect_end(&mut self, peer: &mut Peer) {
        let end = Instant::now() + SOON;
        while !matches!(peer.socket.read(&mut [0; 65536]), Ok(0)) {
            assert!(Instant::now() < end, "the connection stays open");
            self.rig.turn();
        }
    }

    /// Runs turns until `count` connections are open.
    fn expect_open(&mut self, count: usize) {
        let end = Instant::now() + SOON;
        while self.rig.event_loop().open_connections() != count {
            assert!(Instant::now() < end, "{} are open", self.rig.event_loop().open_connections());
            self.rig.turn();
        }
    }
}

impl Peer {
    fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).expect("send");
    }

    /// Reads what has arrived, and returns its length.
    fn read(&mut self) -> usize {
        let got = received(&mut self.socket);
        self.received.extend_from_slice(&got);
        got.len()
    }

    /// Returns the text that has been received since the last call.
    fn take(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.received)).expect("UTF-8")
    }

    /// Returns the address that the others see.
    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("read its address")
    }
}
