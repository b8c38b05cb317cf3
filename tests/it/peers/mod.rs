//! Slow, silent and vanishing clients. Each timeout closes the connections that it is meant for and
//! no others. A client that closes its side gets all pending responses. A client that is gone
//! leaves no descriptor and no work behind.

mod leaving;
mod timeouts;

use crate::common::*;

/// Timeouts so long that none of them expires during a test.
pub const PATIENT: [&str; 6] = ["--head-timeout", "5m", "--idle-timeout", "5m", "--send-timeout", "5m"];

/// More than the socket buffers on both sides hold together.
pub const BIG: u64 = 64 << 20;

/// Creates a site with `big`, a sparse file of [`BIG`] bytes.
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

/// Opens a connection that is idle after its first response.
pub fn kept_alive(server: &Server) -> Client {
    let mut client = sent(server, get("/hello.txt"));
    assert_eq!(client.response().text(), "hello\n");
    client
}
