//! Slow, silent and vanishing clients. Each time limit catches what it is there for and nothing
//! else; a client that closes its side gets all that it is owed; one that is gone leaves neither a
//! descriptor nor work behind.

mod leaving;
mod timeouts;

use crate::common::*;

/// Time limits so long that nothing in a test can happen because one of them has passed.
pub const PATIENT: [&str; 6] = ["--head-timeout", "5m", "--idle-timeout", "5m", "--send-timeout", "5m"];

/// More than the socket buffers of both sides hold together.
pub const BIG: u64 = 64 << 20;

/// Makes a site with `big`, a file of [`BIG`] bytes that takes no room.
pub fn site_with_big() -> Site {
    let site = Site::new();
    site.sparse("big", BIG);
    site
}

/// Opens a connection and sends `bytes`.
pub fn sent(server: &Server, bytes: impl AsRef<[u8]>) -> Client {
    let mut client = server.connect();
    client.send(bytes);
    client
}

/// Opens a connection that is kept alive after its first response.
pub fn kept_alive(server: &Server) -> Client {
    let mut client = sent(server, get("/hello.txt"));
    assert_eq!(client.response().text(), "hello\n");
    client
}
