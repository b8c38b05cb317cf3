//! `--observe`: adds the live page to the server's loop.

use std::{fs::File, io::Read, net::Ipv4Addr};

use oneloop::{Address, HttpServer, LivePage, StreamListener, Timeouts, trace::TurnRecorder};

use super::errors::{Failure, cannot_listen};

/// Serves the live page on this port of the loopback address, and returns its URL. The page links
/// to the site at the URL `site`.
pub fn start(
    server: &mut HttpServer,
    port: Option<u16>,
    site: Option<&str>,
    timeouts: Timeouts,
) -> Result<Option<String>, Failure> {
    let Some(port) = port else { return Ok(None) };
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let wanted = Address::Ip(address);
    let listener = StreamListener::tcp(address);
    let listener = listener.map_err(|e| cannot_listen(&wanted, &e))?;
    let Some(address) = listener.address().ip() else { return Ok(None) };
    let (host, token) = (address.to_string(), token()?);
    let page = LivePage::new(TurnRecorder::new(address), &host, &token, site.unwrap_or_default(), timeouts);
    server.add_listener(listener, page).map_err(|e| cannot_listen(&wanted, &e))?;
    Ok(Some(format!("http://{host}/{token}/")))
}

/// Returns a random path. Other users of this machine can connect as well, and must not guess it.
fn token() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    read.map_err(|e| Failure::system("cannot read /dev/urandom for --observe", &e))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
