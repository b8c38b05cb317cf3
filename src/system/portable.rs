//! What macOS, the BSDs and Linux have in common.
//!
//! A file that is not in memory makes the loop wait for the disk here, because no call tells. A
//! directory that may be searched but not read cannot be served.

use std::{
    fs::File,
    io,
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
};

use rustix::{
    fs::OFlags,
    io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio},
    net::{AddressFamily, SendFlags, SocketAddrAny, SocketType, acceptfrom, socket},
};

use super::Bounds;

/// Keeps a send to a closed connection from raising SIGPIPE. macOS has an option of the socket for
/// this.
#[cfg(not(target_vendor = "apple"))]
pub const NOSIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub const NOSIGNAL: SendFlags = SendFlags::empty();
/// Makes bytes wait for the ones that follow, where that is possible.
pub const MORE: SendFlags = SendFlags::empty();
/// The error of accept(2) for a client on a network that this machine has left.
pub const NO_NETWORK: Errno = Errno::NETDOWN;

/// The flag that opens a file only to look at it, without side effects.
pub const LOOK_ONLY: Option<OFlags> = None;
/// The flags that open a directory in order to open what is in it.
pub const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Accepts a connection as a non-blocking socket (accept(2)).
///
/// # Errors
/// Fails as accept(2) does.
pub fn accept(listener: &OwnedFd) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    let (socket, peer) = acceptfrom(listener)?;
    prepare(&socket)?;
    Ok((socket, peer))
}

/// Creates a non-blocking stream socket (socket(2)).
///
/// # Errors
/// Fails as socket(2) does.
pub fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let socket = socket(family, SocketType::STREAM, None)?;
    prepare(&socket)?;
    Ok(socket)
}

/// Fails with `ENOSYS`. Every new connection is accepted at once.
pub fn defer_accept(_listener: impl AsFd, _seconds: u32) -> io::Result<()> {
    Err(Errno::NOSYS.into())
}

/// Returns `false`.
pub fn defers_accept(_listener: impl AsFd) -> bool {
    false
}

/// Makes a socket non-blocking and private to this process. The process starts no other program
/// while it serves, so nothing inherits the socket before.
fn prepare(socket: &OwnedFd) -> Result<(), Errno> {
    fcntl_setfd(socket, FdFlags::CLOEXEC)?;
    ioctl_fionbio(socket, true)?;
    #[cfg(target_vendor = "apple")]
    rustix::net::sockopt::set_socket_nosigpipe(socket, true)?;
    Ok(())
}

/// Lets several processes listen on the port of `socket` (`SO_REUSEPORT`). Whether the system
/// distributes connections among them differs: FreeBSD has an option of its own for this.
///
/// # Errors
/// Fails as setsockopt(2) does.
#[cfg(not(target_os = "freebsd"))]
pub fn share_port(socket: impl AsFd) -> Result<(), Errno> {
    rustix::net::sockopt::set_socket_reuseport(socket, true)
}

/// Distributes connections among the processes that listen on the port of `socket`
/// (`SO_REUSEPORT_LB`).
///
/// # Errors
/// Fails as setsockopt(2) does.
#[cfg(target_os = "freebsd")]
pub fn share_port(socket: impl AsFd) -> Result<(), Errno> {
    rustix::net::sockopt::set_socket_reuseport_lb(socket, true)
}

/// Returns whether a stream socket listens (`SO_ACCEPTCONN`).
///
/// # Errors
/// Fails if `socket` is not a socket.
#[cfg(not(target_vendor = "apple"))]
pub fn is_listening(socket: impl AsFd) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_acceptconn(socket)?)
}

/// Returns whether a stream socket may be listening: it has no peer. (macOS does not tell more.)
///
/// # Errors
/// Fails if `socket` is not a socket.
#[cfg(target_vendor = "apple")]
pub fn is_listening(socket: impl AsFd) -> io::Result<bool> {
    match rustix::net::getpeername(socket) {
        Err(Errno::NOTCONN | Errno::INVAL) => Ok(true),
        peer => Ok(peer.map(|_| false)?),
    }
}

/// Fails: without `unsafe`, a descriptor cannot be duplicated by its number.
///
/// # Errors
/// Always fails, with `ENOSYS`.
pub fn duplicate_descriptor(_number: RawFd) -> io::Result<OwnedFd> {
    Err(Errno::NOSYS.into())
}

/// Fails, so that the file is read and its bytes are sent: each system has a sendfile of its own.
///
/// # Errors
/// Always fails, with `ENOSYS`.
pub fn send_file(_: &OwnedFd, _: BorrowedFd<'_>, _offset: u64, _count: usize) -> Result<usize, Errno> {
    Err(Errno::NOSYS)
}

/// Fails, so that the path is walked.
///
/// # Errors
/// Always fails, with `ENOSYS`.
pub fn open_within(_root: &OwnedFd, _path: &[u8], _flags: OFlags, _bounds: Bounds) -> Result<OwnedFd, Errno> {
    Err(Errno::NOSYS)
}

/// Returns `None`: the file system is unknown, and may find a file by several names.
pub fn file_system(_fd: &OwnedFd) -> Option<u32> {
    None
}

/// Returns whether an open directory compares names by Unicode rules, or may do so.
pub fn is_casefolded(_dir: &OwnedFd) -> bool {
    true
}

/// Fails, so that a hard link takes the place of the call.
///
/// # Errors
/// Always fails, with `ENOSYS`.
pub fn rename_new(_from: &Path, _to: &Path) -> Result<(), Errno> {
    Err(Errno::NOSYS)
}

/// Fails, so that every byte counts as in memory.
///
/// # Errors
/// Always fails, with `ENOSYS`.
pub fn read_cached(_file: &File, _offset: u64, _buffer: &mut [u8]) -> Result<usize, Errno> {
    Err(Errno::NOSYS)
}

/// Does nothing: no byte is known to be missing.
pub fn read_ahead(_file: &File, _range: Range<u64>, _piece: usize) {}

/// Fails: `/dev/fd` leads to the same description, which other processes share.
///
/// # Errors
/// Always fails, with `ENOSYS`.
pub fn reopen(_output: &OwnedFd) -> io::Result<File> {
    Err(Errno::NOSYS.into())
}

/// Fails, so that the output is written to after poll(2) has reported room.
///
/// # Errors
/// Always fails, with `ENOSYS`.
pub fn write_without_waiting(_output: &OwnedFd, _bytes: &[u8]) -> Result<usize, Errno> {
    Err(Errno::NOSYS)
}
