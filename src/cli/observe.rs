//! `--observe`: serves the live page on the server's loop, and the page of a recording on a loop of
//! its own.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    net::{Ipv4Addr, TcpListener},
};

use oneloop::{
    Address, HttpServer, LivePage, Timeouts,
    clock::Clock,
    event_loop::{EventLoop, Limits},
    trace::{RecordedTurns, TurnRecorder},
};

use super::{
    errors::{Failure, cannot_listen, cannot_print, no_signals},
    logger::LogPipe,
    output,
};

/// Serves the live page on this port of the loopback address, and returns its URL. The page links
/// to the site at the URL `site`.
pub fn start(
    server: &mut HttpServer,
    port: Option<u16>,
    site: Option<&str>,
    timeouts: Timeouts,
) -> Result<Option<String>, Failure> {
    let Some(port) = port else { return Ok(None) };
    let listener = listen(port)?;
    let failed = |e| cannot_listen(&loopback(port), &e);
    let address = listener.local_addr().map_err(failed)?;
    let (host, token) = (address.to_string(), token()?);
    let page = LivePage::new(TurnRecorder::new(address), &host, &token, site.unwrap_or_default(), timeouts);
    server.add_listener(listener, page).map_err(failed)?;
    Ok(Some(url(&host, &token)))
}

/// Serves a page that shows `turns` on this port of the loopback address, and prints its URL. Runs
/// until a signal ends it.
///
/// # Errors
/// Fails if the port is taken, or if a system call fails.
pub fn show(turns: RecordedTurns, port: u16, log: &LogPipe) -> Result<(), Failure> {
    let poller_failed = |e| Failure::system("the poller failed", &e);
    let listener = listen(port)?;
    let failed = |e| cannot_listen(&loopback(port), &e);
    let (host, token) = (listener.local_addr().map_err(failed)?.to_string(), token()?);
    let page = LivePage::new(turns, &host, &token, "", Timeouts::default());
    let mut event_loop = EventLoop::new(Limits::default(), Clock::system()).map_err(poller_failed)?;
    event_loop.add_listener(listener, Box::new(page)).map_err(failed)?;
    event_loop.handle_signals().map_err(|e| no_signals(&e))?;
    log.attach(&mut event_loop).map_err(poller_failed)?;
    output::print(&format!("{}\n", url(&host, &token))).map_err(|e| cannot_print(&e))?;
    if io::stdout().is_terminal() {
        log.write_line("this page shows the recording, to this machine only; Ctrl-C ends it");
    }
    while !event_loop.is_drained() {
        event_loop.turn().map_err(poller_failed)?;
    }
    Ok(())
}

fn loopback(port: u16) -> Address {
    Address::Ip((Ipv4Addr::LOCALHOST, port).into())
}

fn listen(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|e| cannot_listen(&loopback(port), &e))
}

fn url(host: &str, token: &str) -> String {
    format!("http://{host}/{token}/")
}

/// Returns a random path. Other users of this machine can connect as well, and must not guess it.
fn token() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    read.map_err(|e| Failure::system("cannot read /dev/urandom for --observe", &e))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
