//! The flag of the conversation in datagrams: the UDP echo.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use clap::Args;
use oneloop::{HttpServer, UdpEcho};

use super::{
    conversations::{Started, ip_address},
    errors::{Failure, cannot_listen},
    udp_echo::UdpEchoArg,
};

#[derive(Debug, Clone, Args)]
pub struct DatagramArgs {
    /// Echo UDP datagrams sent to this address, such as 127.0.0.1:9000; append faults to add, such
    /// as ,loss=30%,delay=100ms,jitter=20ms,duplicate=5%,seed=7
    #[arg(long, value_name = "ADDR", env = "ONELOOP_UDP_ECHO", hide_env = true)]
    pub udp_echo: Option<UdpEchoArg>,
}

/// Starts the echo if the arguments ask for it. Adds it to `started`.
pub fn start(
    server: &mut HttpServer,
    args: &DatagramArgs,
    started: &mut Vec<Started>,
) -> Result<(), Failure> {
    let Some(arg) = &args.udp_echo else { return Ok(()) };
    let (socket, address) = bind("--udp-echo", &arg.address, UdpSocket::bind)?;
    let impairment = arg.impairment(server.event_loop().clock().wall());
    if impairment.is_random() && arg.seed.is_none() {
        log::warn!("--udp-echo {address} adds random faults; append ,seed={} to repeat them", impairment.seed);
    }
    let (echo, address) = (UdpEcho::new(vec![address], impairment), address.into());
    server.add_udp(socket, echo).map_err(|e| cannot_listen(&address, &e))?;
    started.push(Started { flag: "--udp-echo", scheme: "udp", address });
    Ok(())
}

/// Creates a UDP socket with `create`, on the address given to `flag`. Returns the socket and the
/// address to which it is bound.
fn bind(
    flag: &str,
    text: &str,
    create: impl FnOnce(SocketAddr) -> io::Result<UdpSocket>,
) -> Result<(UdpSocket, SocketAddr), Failure> {
    let address = ip_address(flag, text, "use HOST:PORT, such as 127.0.0.1:9000")?;
    let bound = create(address).and_then(|socket| socket.local_addr().map(|bound| (socket, bound)));
    bound.map_err(|e| cannot_listen(&address.into(), &e))
}
