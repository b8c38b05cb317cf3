//! Observers change nothing: the same bytes from the same clients get the same responses in the
//! same turns, with and without observers.
//!
//! Each scenario runs on two servers in this process whose clocks show the same time. One server
//! has a recorder and a narrator that writes every byte to a socket that nobody reads. The other
//! server has neither.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    time::{Duration, SystemTime},
};

use crate::common::*;
use oneloop::{
    Echo, LossyWriter,
    trace::{Narrator, TraceLevel},
};

/// The length of a file that is sent from disk.
const LARGE: usize = 4 << 20;

/// What a client received in a turn.
#[derive(Clone, PartialEq, Eq)]
enum Got {
    Bytes(Vec<u8>),
    EndOfInput,
    Reset,
}

impl std::fmt::Debug for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Got::Bytes(bytes) => write!(f, "{} bytes: {}", bytes.len(), lossy(&bytes[..bytes.len().min(60)])),
            Got::EndOfInput => f.write_str("end of input"),
            Got::Reset => f.write_str("reset"),
        }
    }
}

/// A received event: the number of the turn, the number of the client, and what it received.
type Event = (u64, usize, Got);

/// A server and its clients, which read after each turn what the server sent in it.
struct Driver {
    rig: Rig,
    udp: UdpSocket,
    clients: Vec<Client>,
    turn: u64,
    log: Vec<Event>,
    /// The narrator's output, which stays open and unread.
    _narration: Option<UnixStream>,
}

/// A client that reads at most a given number of bytes after each turn.
struct Client {
    socket: TcpStream,
    at_most: usize,
}

/// The client number of the UDP socket.
const UDP: usize = usize::MAX;

impl Driver {
    fn new(site: &Site, time: SystemTime, is_observed: bool) -> Driver {
        let mut config = Rig::config(site);
        config.listing = true;
        let mut rig = Rig::at(time, config);
        let narration = is_observed.then(|| {
            let (ours, theirs) = UnixStream::pair().expect("a socket pair");
            let writer = LossyWriter::new(ours.into());
            rig.server.add_observer(Box::new(Narrator::new(TraceLevel::Bytes, Vec::new(), writer)));
            rig.record();
            theirs
        });
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a UDP socket");
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a UDP socket");
        udp.connect(socket.local_addr().expect("read its address")).expect("connect");
        udp.set_nonblocking(true).expect("set non-blocking");
        rig.server.add_udp(socket, Echo).expect("add it");
        Driver { rig, udp, clients: Vec::new(), turn: 0, log: Vec::new(), _narration: narration }
    }

    /// Opens a connection that reads everything and returns its number.
    fn connect(&mut self) -> usize {
        let socket = self.rig.connect();
        self.clients.push(Client { socket, at_most: usize::MAX });
        self.clients.len() - 1
    }

    /// Opens a connection with a small receive buffer that reads at most `at_most` bytes after each
    /// turn. Returns its number.
    fn connect_slow(&mut self, at_most: usize) -> usize {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(64 << 10).expect("set the receive buffer");
        socket.connect(&self.rig.address.into()).expect("connect");
        socket.set_nonblocking(true).expect("set non-blocking");
        self.clients.push(Client { socket: socket.into(), at_most });
        self.clients.len() - 1
    }

    fn send(&mut self, client: usize, bytes: impl AsRef<[u8]>) {
        self.clients[client].socket.write_all(bytes.as_ref()).expect("send");
    }

    fn half_close(&mut self, client: usize) {
        self.clients[client].socket.shutdown(Shutdown::Write).expect("half-close");
    }

    fn advance(&mut self, seconds: u64) {
        self.rig.advance(Duration::from_secs(seconds));
    }

    /// Runs a turn and lets each client read. Returns whether any client received something.
    fn turn(&mut self) -> bool {
        self.rig.turn();
        self.turn += 1;
        let before = self.log.len();
        for (number, client) in self.clients.iter_mut().enumerate() {
            client.read(|got| self.log.push((self.turn, number, got)));
        }
        let mut buffer = [0; 2048];
        while let Ok(len) = self.udp.recv(&mut buffer) {
            self.log.push((self.turn, UDP, Got::Bytes(buffer[..len].to_vec())));
        }
        self.log.len() > before
    }

    /// Runs turns until no client has received anything for twenty turns.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 20 {
            quiet = if self.turn() { 0 } else { quiet + 1 };
        }
    }
}

impl Client {
    fn read(&mut self, mut on_got: impl FnMut(Got)) {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
        let end = loop {
            let room = buffer.len().min(self.at_most - bytes.len());
            match self.socket.read(&mut buffer[..room]) {
                _ if room == 0 => break None,
                Ok(0) => break Some(Got::EndOfInput),
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break None,
                Err(_) => break Some(Got::Reset),
            }
        };
        if !bytes.is_empty() {
            on_got(Got::Bytes(bytes));
        }
        if let Some(end) = end {
            self.at_most = 0; // it reads no more
            on_got(end);
        }
    }
}

/// A scenario: its name, and a function that runs the clients.
type Scenario = (&'static str, fn(&mut Driver));

const SCENARIOS: [Scenario; 11] = [
    ("a pipeline of one request", |driver| {
        let client = driver.connect();
        driver.send(client, get("/hello.txt").repeat(300));
        driver.settle();
    }),
    ("a pipeline of different requests", |driver| {
        let client = driver.connect();
        let rest = "HEAD /docs/ HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
        let all = [get("/hello.txt"), get("/docs"), get("/missing"), get("/"), rest.to_owned()].concat();
        driver.send(client, all.repeat(60));
        driver.settle();
    }),
    ("ranges and multipart ranges", |driver| {
        let client = driver.connect();
        for set in ["5-9", "-1", "9-5", "0-9,100-199,-5", "0-99999,1000000-2000000,3000000-", "99999999-"] {
            for path in ["/hello.txt", "/large.bin"] {
                driver.send(client, format!("GET {path} HTTP/1.1\r\nHost: a\r\nRange: bytes={set}\r\n\r\n"));
            }
        }
        driver.settle();
    }),
    ("listings as HTML, as JSON and for HTTP/1.0", |driver| {
        let (first, second) = (driver.connect(), driver.connect());
        driver.send(first, get("/crowd/"));
        driver.send(first, "GET /crowd/?sort=size HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
        driver.send(second, "GET /crowd/ HTTP/1.0\r\n\r\n");
        driver.settle();
    }),
    ("a refusal in the middle of a pipeline", |driver| {
        let client = driver.connect();
        driver.send(client, get("/hello.txt").repeat(70) + "nonsense\r\n\r\n" + &get("/").repeat(70));
        driver.settle();
        driver.advance(2);
        driver.settle();
    }),
    ("a body that is too long", |driver| {
        let client = driver.connect();
        driver.send(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\nsome of it");
        driver.settle();
        driver.send(client, "send more of it");
        driver.settle();
    }),
    ("a slow reader of a large file, and another client", |driver| {
        let slow = driver.connect_slow(16 << 10);
        driver.send(slow, get("/large.bin") + &get("/hello.txt"));
        let other = driver.connect();
        driver.send(other, get("/hello.txt"));
        driver.settle();
        driver.advance(29);
        driver.settle();
    }),
    ("clients that close their side", |driver| {
        let clients = [driver.connect(), driver.connect(), driver.connect()];
        driver.send(clients[0], get("/hello.txt").repeat(3));
        driver.send(clients[1], get("/large.bin") + "GET /hel");
        clients.iter().for_each(|client| driver.half_close(*client));
        driver.settle();
    }),
    ("a slow head that times out", |driver| {
        let client = driver.connect();
        for piece in ["GET / HT", "TP/1.1\r\n", "Host: "] {
            driver.send(client, piece);
            driver.settle();
            driver.advance(4);
            driver.settle();
        }
        driver.advance(2);
        driver.settle();
    }),
    ("clients that are silent or idle", |driver| {
        let (_silent, idle) = (driver.connect(), driver.connect());
        driver.send(idle, get("/"));
        for _ in 0..7 {
            driver.settle();
            driver.advance(10);
        }
        driver.settle();
    }),
    ("datagrams together with requests", |driver| {
        let client = driver.connect();
        for i in 0..100 {
            driver.udp.send(format!("datagram {i}").as_bytes()).expect("send");
        }
        driver.send(client, get("/hello.txt"));
        driver.settle();
    }),
];

/// Runs `scenario` and returns what the clients received and when.
fn run(scenario: fn(&mut Driver), site: &Site, time: SystemTime, is_observed: bool) -> Vec<Event> {
    let mut driver = Driver::new(site, time, is_observed);
    scenario(&mut driver);
    driver.log
}

#[test]
fn observed_server_sends_the_same_bytes_in_the_same_turns() {
    let site = Site::new();
    site.write("large.bin", pattern(LARGE));
    site.crowd("crowd", (0..3000).map(|i| format!("{i:04}<&>")));
    let time = SystemTime::now() + Duration::from_secs(60);
    let scenarios = SCENARIOS.map(|(name, _)| name).into_iter().enumerate();
    each(scenarios, |&(number, name)| {
        let scenario = SCENARIOS[number].1;
        let run = |is_observed| run(scenario, &site, time, is_observed);
        // On a busy machine the kernel may deliver a segment one turn later. A real difference
        // appears in every run.
        let mut runs = (0..5).map(|_| (run(false), run(true)));
        let Some((plain, _)) = runs.find(|(plain, observed)| plain == observed) else {
            let (plain, observed) = (run(false), run(true));
            let same = plain.iter().zip(&observed).take_while(|(a, b)| a == b).count();
            panic!("{name}: {:?}, but {:?} with observers", plain.get(same), observed.get(same));
        };
        assert!(!plain.is_empty(), "{name}: the clients got nothing");
    });
}
