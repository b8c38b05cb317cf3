//! The calls of Linux.

use std::{
    fs::{File, OpenOptions},
    io::{self, IoSlice, IoSliceMut},
    num::NonZeroU64,
    ops::Range,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
};

use nix::{
    getsockopt_impl, libc, setsockopt_impl, sockopt_impl,
    sys::socket::{GetSockOpt, SetSockOpt},
};
use rustix::{
    fs::{
        Advice, CWD, Mode, OFlags, RenameFlags, ResolveFlags, fadvise, fstatfs, ioctl_getflags, openat2,
        renameat_with,
    },
    io::{Errno, ReadWriteFlags, preadv2, pwritev2},
    net::{
        AddressFamily, SendFlags, SocketAddrAny, SocketFlags, SocketType, acceptfrom_with, socket_with,
        sockopt,
    },
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};

use super::Bounds;

/// Keeps a send to a closed connection from raising SIGPIPE.
pub const NOSIGNAL: SendFlags = SendFlags::NOSIGNAL;
/// Makes bytes wait for the ones that follow, so that both leave in one segment.
pub const MORE: SendFlags = SendFlags::MORE;
/// The error of accept(2) for a client on a network that this machine has left.
pub const NO_NETWORK: Errno = Errno::NONET;

/// The flag that opens a file only to look at it, which has no side effects on any kind of file.
pub const LOOK_ONLY: Option<OFlags> = Some(OFlags::PATH);
/// The flags that open a directory in order to open what is in it.
pub const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The flags of new sockets.
const SOCKET: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// The inode flag of a directory that compares names by Unicode rules (`FS_CASEFOLD_FL`,
/// ioctl_iflags(2)).
const CASEFOLD: u32 = 0x4000_0000;

/// Accepts a connection as a non-blocking socket (accept4(2)).
///
/// # Errors
/// Fails as accept4 does.
pub fn accept(listener: &OwnedFd) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    acceptfrom_with(listener, SOCKET)
}

/// Creates a non-blocking stream socket (socket(2)).
///
/// # Errors
/// Fails as socket(2) does.
pub fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_with(family, SocketType::STREAM, SOCKET, None)
}

/// Distributes connections among the processes that listen on the port of `socket`
/// (`SO_REUSEPORT`, socket(7)).
///
/// # Errors
/// Fails as setsockopt(2) does.
pub fn share_port(socket: impl AsFd) -> Result<(), Errno> {
    sockopt::set_socket_reuseport(socket, true)
}

sockopt_impl!(
    /// How many seconds a new connection may be silent before accept(2) returns it
    /// (`TCP_DEFER_ACCEPT`, tcp(7)).
    DeferAccept,
    Both,
    libc::IPPROTO_TCP,
    libc::TCP_DEFER_ACCEPT,
    u32
);

/// Makes the kernel keep each new connection until its first bytes have arrived, for about
/// `seconds` at most (`TCP_DEFER_ACCEPT`, tcp(7)).
///
/// # Errors
/// Fails as setsockopt(2) does.
pub fn defer_accept(listener: impl AsFd, seconds: u32) -> io::Result<()> {
    Ok(DeferAccept.set(&listener, &seconds)?)
}

/// Returns whether the kernel keeps each new connection of a listening socket until its first bytes
/// have arrived. A Unix socket never has the option.
pub fn defers_accept(listener: impl AsFd) -> bool {
    DeferAccept.get(&listener).is_ok_and(|seconds| seconds > 0)
}

/// Returns whether a stream socket listens (`SO_ACCEPTCONN`, socket(7)).
///
/// # Errors
/// Fails if `socket` is not a socket.
pub fn is_listening(socket: impl AsFd) -> io::Result<bool> {
    Ok(sockopt::socket_acceptconn(socket)?)
}

/// Returns a duplicate of a descriptor of this process, which is known only by its number
/// (pidfd_getfd(2)).
///
/// # Errors
/// Fails if the descriptor is not open, or if the system cannot duplicate it by its number.
pub fn duplicate_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    let this_process = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(this_process, number, PidfdGetfdFlags::empty())?)
}

/// Sends `count` bytes of `file` at `offset` without copying them through this process
/// (sendfile(2)). Returns the number of bytes sent.
///
/// # Errors
/// Fails as sendfile does.
pub fn send_file(
    socket: &OwnedFd,
    file: BorrowedFd<'_>,
    mut offset: u64,
    count: usize,
) -> Result<usize, Errno> {
    rustix::fs::sendfile(socket, file, Some(&mut offset), count)
}

/// Opens `path` beneath `root`, within `bounds` (openat2(2)).
///
/// # Errors
/// Returns `EXDEV` if the path leads out of the bounds, `ELOOP` for a link that must not be
/// followed, `EAGAIN` because of a concurrent rename, and `ENOSYS` or another error before Linux
/// 5.6 and in some sandboxes.
pub fn open_within(root: &OwnedFd, path: &[u8], flags: OFlags, bounds: Bounds) -> Result<OwnedFd, Errno> {
    let resolve = match bounds {
        Bounds::Root => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        Bounds::RootMount => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV,
        Bounds::Mount => ResolveFlags::NO_XDEV,
    };
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Opens `path` beneath `root` with `O_PATH`, without following links or crossing mounts. Only
/// inotify needs this.
///
/// # Errors
/// Returns `ELOOP` if there is a link on the path, `EXDEV` if there is a mount, and `ENOSYS` if
/// openat2(2) is not available.
pub fn open_direct(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Opens `path` with `O_PATH`, without following links.
///
/// # Errors
/// Returns `ELOOP` if there is a link on the path, and `ENOSYS` if openat2(2) is not available.
pub fn open_without_links(path: &Path) -> Result<OwnedFd, Errno> {
    openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_SYMLINKS)
}

/// Returns the magic number of the file system of an open file (statfs(2)), or `None` if it is
/// unknown.
pub fn file_system(fd: &OwnedFd) -> Option<u32> {
    fstatfs(fd).ok().map(|stat| stat.f_type as u32)
}

/// Returns whether an open directory compares names by Unicode rules, or may do so.
pub fn is_casefolded(dir: &OwnedFd) -> bool {
    ioctl_getflags(dir).map_or(true, |flags| flags.bits() & CASEFOLD != 0)
}

/// Renames a file, unless there is a file at `to` (renameat2(2)).
///
/// # Errors
/// Returns `EEXIST` if there is a file at `to`, and `ENOSYS` or `EINVAL` if the system or the file
/// system cannot do this in one call.
pub fn rename_new(from: &Path, to: &Path) -> Result<(), Errno> {
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
}

/// Reads without waiting for the disk (preadv2(2), `RWF_NOWAIT`).
///
/// # Errors
/// Returns `EAGAIN` if nothing is in memory. Returns another error if the file system does not
/// support the flag or the file cannot be read.
pub fn read_cached(file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT)
}

/// Asks the kernel to read `range` into memory, in pieces of `piece` bytes (posix_fadvise(2)). This
/// is only a hint. If it fails, sending takes longer.
pub fn read_ahead(file: &File, range: Range<u64>, piece: usize) {
    for at in range.step_by(piece) {
        let _ = fadvise(file, at, NonZeroU64::new(piece as u64), Advice::WillNeed);
    }
}

/// Opens the pipe or terminal that `output` refers to for appending, as a description of its own
/// that is non-blocking.
///
/// # Errors
/// Fails without `/proc`, and if the pipe or terminal belongs to another user.
pub fn reopen(output: &OwnedFd) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let path = format!("/proc/self/fd/{}", output.as_raw_fd());
    OpenOptions::new().append(true).custom_flags(flags).open(path)
}

/// Writes without waiting for the reader (pwritev2(2), `RWF_NOWAIT`). Returns the number of bytes
/// written.
///
/// # Errors
/// Returns `EAGAIN` if the write would wait, and `EOPNOTSUPP`, `ENOSYS`, `ESPIPE` or `EINVAL` if
/// the kernel or the kind of output does not support the flag.
pub fn write_without_waiting(output: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    pwritev2(output, &[IoSlice::new(bytes)], u64::MAX, ReadWriteFlags::NOWAIT)
}
