//! `oneloop talk discover`.

use std::{
    cell::RefCell,
    net::{Ipv4Addr, UdpSocket},
    rc::Rc,
    time::Duration,
};

use clap::Args;
use oneloop::clients::Discover;

use super::Talk;
use crate::cli::{
    errors::{Failure, cannot_print},
    output,
    values::duration,
};

#[derive(Debug, Args)]
pub struct DiscoverArgs {
    /// Send the question to this UDP port, the port of --beacon
    #[arg(long, value_name = "PORT", default_value_t = 8880, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Send the question to this address and to 127.0.0.1
    #[arg(long, value_name = "IP", default_value_t = Ipv4Addr::BROADCAST)]
    address: Ipv4Addr,

    /// Wait this long for answers
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    wait: Duration,
}

/// Asks, waits, and prints each server that has answered.
pub fn run(args: DiscoverArgs, talk: &mut Talk) -> Result<(), Failure> {
    let cannot_ask = |e| Failure::system("cannot create a socket", &e);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(cannot_ask)?;
    socket.set_broadcast(true).map_err(cannot_ask)?;
    let targets = [args.address, Ipv4Addr::LOCALHOST].map(|ip| (ip, args.port).into());
    let found = Rc::new(RefCell::new(Vec::new()));
    let start = talk.event_loop.clock().now();
    let discover = Discover::new(targets.to_vec(), start, args.wait, Rc::clone(&found));
    talk.add_udp(socket, Box::new(discover))?;
    talk.run_until_stopped()?;
    let mut text = String::new();
    for server in found.borrow().iter() {
        text.push_str(&format!("{}\n", server.name));
        for url in &server.urls {
            text.push_str(&format!("  {url}\n"));
        }
    }
    if text.is_empty() {
        let port = args.port;
        return Err(Failure::System(format!(
            "no server answered on UDP port {port}; start one with --beacon 0.0.0.0:{port}"
        )));
    }
    output::print(&text).map_err(|e| cannot_print(&e))
}
