//! The flags of the conversations in datagrams: the UDP echo and the beacon.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::UNIX_EPOCH,
};

use clap::Args;
use oneloop::{Address, Beacon, HttpServer, UdpEcho, bind_broadcast};

use super::{
    address::is_second_loopback,
    conversations::{Started, ip_address},
    errors::{Failure, cannot_bind, cannot_listen},
    udp_echo::UdpEchoArg,
};

/// The flag of the beacon, which is meant for other machines.
pub const BEACON: &str = "--beacon";

#[derive(Debug, Clone, Args)]
pub struct DatagramArgs {
    /// Echo datagrams on this UDP address, such as 127.0.0.1:9000; append faults to simulate, such
    /// as ,loss=30%,delay=100ms,jitter=20ms,duplicate=5%,seed=7
    #[arg(long, value_name = "ADDR", env = "ONELOOP_UDP_ECHO", hide_env = true)]
    pub udp_echo: Option<UdpEchoArg>,

    /// Answer 'oneloop talk discover' on this UDP address, such as 0.0.0.0:8880, with the name of
    /// this machine and the server's URLs
    #[arg(long, value_name = "ADDR", env = "ONELOOP_BEACON", hide_env = true)]
    pub beacon: Option<String>,
}

/// Starts the echo and the beacon if their flags are given, and adds them to `started`.
pub fn start(
    server: &mut HttpServer,
    args: &DatagramArgs,
    started: &mut Vec<Started>,
) -> Result<(), Failure> {
    // Bind both before either answers, because the echo must not answer the beacon.
    let echo = args.udp_echo.as_ref().map(|arg| bind("--udp-echo", &arg.address, UdpSocket::bind));
    let beacon = args.beacon.as_ref().map(|text| bind(BEACON, text, bind_broadcast));
    let (echo, beacon) = (echo.transpose()?, beacon.transpose()?);
    let own = [&echo, &beacon].into_iter().flatten().map(|(_, address)| *address).collect();
    if let (Some((socket, address)), Some(arg)) = (echo, &args.udp_echo) {
        let impairment = arg.impairment(server.event_loop().clock().wall());
        if impairment.is_random() && arg.seed.is_none() {
            log::warn!(
                "--udp-echo {address} adds random faults; append ,seed={} to repeat them",
                impairment.seed
            );
        }
        let (echo, address) = (UdpEcho::new(own, impairment), address.into());
        server.add_udp(socket, echo).map_err(|e| cannot_listen(&address, &e))?;
        started.push(Started { flag: "--udp-echo", scheme: "udp", address });
    }
    if let Some((socket, address)) = beacon {
        let (beacon, address) = (beacon_of(server), address.into());
        server.add_udp(socket, beacon).map_err(|e| cannot_listen(&address, &e))?;
        started.push(Started { flag: BEACON, scheme: "beacon", address });
    }
    Ok(())
}

/// Returns the beacon that announces `server`.
fn beacon_of(server: &mut HttpServer) -> Beacon {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // The process ID and the time distinguish this process from every other.
    let since_epoch = server.event_loop().clock().wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let id = format!("{:x}-{:x}", std::process::id(), since_epoch.as_micros());
    let all = server.addresses();
    // One URL is enough for localhost.
    let is_needed = |ip: &SocketAddr| !is_second_loopback(*ip, all);
    let addresses = all.iter().filter_map(Address::ip).filter(is_needed).collect();
    Beacon::new(name, id, addresses, server.base_path().to_owned()).with_scheme(server.scheme())
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
    bound.map_err(|e| cannot_bind(address, &e))
}
