//! Finds the process that listens on a port that is in use, for a message.

use std::net::{IpAddr, SocketAddr};

/// Returns a remark about the port of a server that listens on `addresses`: why it is not `port`,
/// or that a word without an option gave it.
pub fn note(port: u16, is_bare: bool, addresses: Vec<SocketAddr>) -> String {
    match addresses.first().map(SocketAddr::port) {
        Some(other) if other != port && port != 0 => {
            let hosts: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
            format!(" on port {other}, because {}", in_use(&hosts, port))
        }
        _ if is_bare => format!("; {port} is the port, ./{port} would be a directory"),
        _ => String::new(),
    }
}

/// Returns what is known about `port`, which is in use at one of the addresses `hosts`, such as
/// "port 8000 is in use by node (PID 4711)". The kernel shows the processes of other users to root
/// only.
pub fn in_use(hosts: &[IpAddr], port: u16) -> String {
    match hosts.iter().find_map(|host| holder(SocketAddr::new(*host, port))) {
        Some((id, _)) if id == std::process::id() => format!("port {port} is in use by this server itself"),
        Some((id, name)) => {
            format!("port {port} is in use by {} (PID {id})", name.escape_debug())
        }
        None => format!("port {port} is in use"),
    }
}

/// Returns the ID and the name of the process that keeps others from listening on `address`.
/// proc_net_tcp(5) has the inode of the socket, and proc_pid_fd(5) the process that has it open.
#[cfg(target_os = "linux")]
fn holder(address: SocketAddr) -> Option<(u32, String)> {
    use procfs::{
        net::{TcpState, tcp, tcp6},
        process::{FDTarget, all_processes},
    };

    let conflicts = |other: SocketAddr| {
        let is_wide = other.ip().is_unspecified() || address.ip().is_unspecified();
        // A socket on [::] often accepts for all IPv4 addresses as well.
        let is_family = other.is_ipv4() == address.is_ipv4() || other.ip().is_unspecified();
        other.port() == address.port() && (other.ip() == address.ip() || is_wide && is_family)
    };
    let sockets = [tcp(), tcp6()].into_iter().flatten().flatten();
    let listening =
        sockets.filter(|socket| socket.state == TcpState::Listen && conflicts(socket.local_address));
    let inodes: Vec<u64> = listening.map(|socket| socket.inode).collect();
    if inodes.is_empty() {
        return None;
    }
    let has_socket = |process: &procfs::process::Process| {
        process.fd().is_ok_and(|mut files| {
            files.any(|file| {
                file.is_ok_and(
                    |file| matches!(file.target, FDTarget::Socket(inode) if inodes.contains(&inode)),
                )
            })
        })
    };
    let process = all_processes().ok()?.flatten().find(has_socket)?;
    Some((u32::try_from(process.pid()).ok()?, process.stat().ok()?.comm))
}

#[cfg(not(target_os = "linux"))]
fn holder(_: SocketAddr) -> Option<(u32, String)> {
    None
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn listener_of_this_process_is_found_by_each_address_that_it_conflicts_with() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = socket.local_addr().expect("its address");
        let held = format!("port {} is in use by this server itself", address.port());
        let free = format!("port {} is in use", address.port());
        for (host, expected) in [("127.0.0.1", &held), ("0.0.0.0", &held), ("127.77.77.77", &free)] {
            let host = host.parse().expect("an address");
            assert_eq!(&in_use(&[host], address.port()), expected, "{host}");
        }
        let hosts = ["::1", "127.0.0.1"].map(|host| host.parse().expect("an address"));
        assert_eq!(in_use(&hosts, address.port()), held);
    }
}
