//! A TLS client whose bytes a test can split.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::{SOON, server::Site};

/// The versions of TLS.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Returns the configuration of a client that trusts the site's certificate.
pub fn config(site: &Site, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.authority()).expect("a certificate")).expect("trust it");
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(versions).expect("known versions");
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// A connection.
pub struct Client {
    pub tls: ClientConnection,
    pub socket: TcpStream,
    received: Vec<u8>,
}

/// A response: its head, and its body if it has a length.
pub struct Response {
    pub head: String,
    pub body: Vec<u8>,
}

impl Client {
    /// Connects with `config`, without a handshake.
    pub fn connect(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Client {
        Client::over(socket(address), name, config)
    }

    /// Returns a client on an open socket.
    pub fn over(socket: TcpStream, name: &str, config: &Arc<ClientConfig>) -> Client {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let tls = ClientConnection::new(Arc::clone(config), name).expect("a session");
        Client { tls, socket, received: Vec::new() }
    }

    /// Connects to `address` as `localhost`.
    pub fn new(site: &Site, address: SocketAddr) -> Client {
        Client::connect(address, "localhost", &Arc::new(config(site, &VERSIONS)))
    }

    /// Encrypts and sends `bytes`.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        rustls::Stream::new(&mut self.tls, &mut self.socket).write_all(bytes.as_ref()).expect("send");
    }

    /// Asks for `path`.
    pub fn get(&mut self, path: &str) -> Response {
        self.send(get(path));
        self.response()
    }

    /// Reads the next response.
    pub fn response(&mut self) -> Response {
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            self.read();
        };
        let head = String::from_utf8(self.received.drain(..end).collect()).expect("ASCII");
        let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let len: usize = len.map_or(0, |len| len.parse().expect("a number"));
        while self.received.len() < len {
            self.read();
        }
        Response { head, body: self.received.drain(..len).collect() }
    }

    /// Reads once, and keeps what it reads.
    pub fn read(&mut self) {
        let mut buffer = [0; 65536];
        let got = rustls::Stream::new(&mut self.tls, &mut self.socket).read(&mut buffer).expect("more");
        assert!(got > 0, "the server ended the session after {:?}", String::from_utf8_lossy(&self.received));
        self.received.extend_from_slice(&buffer[..got]);
    }

    /// Reads until the end. Returns the error, unless the server ended the session properly.
    pub fn read_to_end(&mut self) -> (Vec<u8>, Option<ErrorKind>) {
        let mut bytes = std::mem::take(&mut self.received);
        let result = rustls::Stream::new(&mut self.tls, &mut self.socket).read_to_end(&mut bytes);
        (bytes, result.err().map(|e| e.kind()))
    }

    /// Ends our side: of the session, and of the connection.
    pub fn finish(&mut self) {
        self.tls.send_close_notify();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.socket).expect("send");
        }
        self.socket.shutdown(Shutdown::Write).expect("half-close");
    }

    /// Returns how the session began.
    pub fn handshake_kind(&self) -> Option<HandshakeKind> {
        self.tls.handshake_kind()
    }
}

/// Opens a connection.
pub fn socket(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, SOON).expect("connect");
    socket.set_nodelay(true).expect("set nodelay");
    socket.set_read_timeout(Some(SOON)).expect("set a timeout");
    socket
}

/// Returns `GET path` as a minimal request.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}
