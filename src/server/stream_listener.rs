//! A listening stream socket, TCP or Unix.

use std::{
    fs::{self, Permissions},
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    net::listen,
};
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::sockets::{BACKLOG, bind_tcp};
use crate::{address::Address, system::defer_accept};

/// How long a connection is silent before the kernel probes the peer.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// How many seconds the kernel keeps a connection that is silent.
const DEFER_SECONDS: u32 = 1;
/// The number of attempts to lock a directory, and the time between two attempts.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Whether the kernel keeps a new connection until its first bytes have arrived, for about a second
/// at most (`TCP_DEFER_ACCEPT`, tcp(7)). A short connection then needs less CPU time. But the
/// server and its observers do not see the connection meanwhile, and a shutdown resets it. Only
/// Linux has the option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptDeferral {
    /// The server accepts each connection at once.
    Never,
    /// The kernel keeps connections if it can.
    IfPossible,
    /// The same, but a warning is logged if it cannot.
    Always,
}

/// A listening stream socket. Dropping a Unix socket also removes its file, if the file is still
/// the one that this process created.
#[derive(Debug)]
pub struct StreamListener {
    socket: OwnedFd,
    address: Address,
    file: Option<SocketFile>,
}

impl StreamListener {
    /// Listens on an IP address and port. Port 0 means any free port. The kernel closes a
    /// connection whose peer has been unreachable for two minutes.
    ///
    /// # Errors
    /// Fails if the address is in use, is not an address of this machine, or requires a privilege.
    pub fn tcp(address: SocketAddr) -> io::Result<StreamListener> {
        let socket = bind_tcp(address, false)?;
        // Accepted sockets inherit these options. A chat may be silent for any time, so only the
        // kernel can detect that a silent peer is gone (tcp(7)).
        let probes = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4).with_retries(4);
        SockRef::from(&socket).set_tcp_keepalive(&probes)?;
        Ok(socket.into())
    }

    /// Listens on the Unix socket at `path` (unix(7)). `mode` is the permission mode of its file,
    /// such as `0o660`; without a mode, the process's umask decides. A socket file on which nothing
    /// listens is replaced, and any other file stays.
    ///
    /// # Errors
    /// Fails with `AddrInUse` if another process listens on the socket, with `AlreadyExists` if the
    /// path is another kind of file, or if the file cannot be created.
    pub fn unix(path: &Path, mode: Option<u32>) -> io::Result<StreamListener> {
        let _lock = lock_directory(path);
        remove_stale_socket(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = SocketFile::new(path)?;
        // Clients can connect only after listen(2), so none of them gets in before the mode is set.
        if let Some(mode) = mode {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        listen(&socket, BACKLOG)?;
        Ok(StreamListener {
            socket: socket.into(),
            address: Address::Unix(Some(path.into())),
            file: Some(file),
        })
    }

    /// Makes the kernel keep each new connection until its first bytes have arrived, for about
    /// [`DEFER_SECONDS`] at most, if `deferral` is not `Never`. This is for protocols in which the
    /// client speaks first.
    pub(super) fn defer_accept(&self, deferral: AcceptDeferral) {
        let level = match deferral {
            AcceptDeferral::Never => return,
            AcceptDeferral::IfPossible => log::Level::Debug,
            AcceptDeferral::Always => log::Level::Warn,
        };
        if let Err(e) = defer_accept(&self.socket, DEFER_SECONDS) {
            log::log!(level, "cannot defer accept on {}: {e}; accepting connections at once", self.address);
        }
    }

    /// Returns the address that the socket is bound to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the socket, and the guard that removes its file.
    pub(super) fn into_parts(self) -> (OwnedFd, Option<SocketFile>) {
        (self.socket, self.file)
    }
}

impl From<TcpListener> for StreamListener {
    fn from(socket: TcpListener) -> StreamListener {
        StreamListener::new(socket.into())
    }
}

/// The file of the socket stays when the listener is dropped.
impl From<UnixListener> for StreamListener {
    fn from(socket: UnixListener) -> StreamListener {
        StreamListener::new(socket.into())
    }
}

impl StreamListener {
    fn new(socket: OwnedFd) -> StreamListener {
        let address = Address::of_socket(&socket).unwrap_or(Address::Unix(None));
        StreamListener { socket, address, file: None }
    }
}

/// The file of a Unix socket, which is removed on drop.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Identifies the file that this process created.
    identity: Identity,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<SocketFile> {
        // A relative path must still lead to the file if the process changes its directory.
        let path = std::path::absolute(path)?;
        let identity = identity(&path)?;
        Ok(SocketFile { path, identity })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _lock = lock_directory(&self.path);
        // A new process may have replaced the file, while this one was still shutting down.
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _ = fs::remove_file(&self.path); // the next start replaces a file that stays
        }
    }
}

/// The device, the inode and the time of creation. A new file often gets the inode of a file that
/// has just been removed. Nothing writes to a socket's file, so its time of modification is the
/// time of its creation.
type Identity = (u64, u64, i64, i64);

fn identity(path: &Path) -> io::Result<Identity> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino(), file.mtime(), file.mtime_nsec()))
}

/// Locks the directory of `path` until the returned file is dropped. Between bind(2) and listen(2),
/// a socket looks like a stale one, so the lock keeps two processes that start at once from
/// removing the socket of each other. Returns `None` if another program holds the lock for too
/// long, or if locking is not possible. The caller then relies on the check of the file alone.
fn lock_directory(path: &Path) -> Option<fs::File> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir = fs::File::open(dir).ok()?;
    for _ in 0..LOCK_TRIES {
        match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(dir),
            Err(Errno::AGAIN) => std::thread::sleep(LOCK_PAUSE),
            Err(_) => return None,
        }
    }
    None
}

/// Removes the socket file at `path` if nothing listens on it.
fn remove_stale_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
        Ok(file) if !file.file_type().is_socket() => return Err(ErrorKind::AlreadyExists.into()),
        Ok(_) => {}
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A blocking connect would wait while the backlog is full.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        // Nothing listens: the process that created the file has gone (connect(2)).
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Another process listens, or its backlog is full.
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn accepted_sockets_are_probed() {
        let listener = StreamListener::tcp(([127, 0, 0, 1], 0).into()).expect("listen");
        let address = listener.address().ip().expect("an IP address");
        let _peer = std::net::TcpStream::connect(address).expect("connect");
        let accepted = rustix::net::accept(&listener.socket).expect("accept");
        let socket = SockRef::from(&accepted);
        assert!(socket.keepalive().expect("read it"));
        assert_eq!(socket.tcp_keepalive_time().expect("read it"), KEEPALIVE);
    }

    #[test]
    fn stale_socket_is_replaced_and_other_files_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.sock");
        drop(UnixListener::bind(&path).expect("bind"));
        assert!(path.exists(), "the file of a socket outlives it");
        let ours = StreamListener::unix(&path, Some(0o640)).expect("replace it");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let second = StreamListener::unix(&path, None).expect_err("somebody listens");
        assert_eq!(second.kind(), ErrorKind::AddrInUse);
        drop(ours);
        assert!(!path.exists(), "the file is removed with the socket");
        fs::write(&path, "data").expect("write");
        let error = StreamListener::unix(&path, None).expect_err("a regular file");
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("read"), b"data");
    }

    #[test]
    fn file_of_a_newer_socket_with_the_same_inode_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.sock");
        // A server that shuts down closes its socket first, so the next one finds a stale file.
        // Many file systems give the new file the inode of the file just removed.
        let (socket, file) = StreamListener::unix(&path, None).expect("listen").into_parts();
        drop(socket);
        let new = StreamListener::unix(&path, None).expect("replace the stale file");
        drop(file);
        assert!(path.exists());
        drop(new);
        assert!(!path.exists());
    }

    #[test]
    fn one_of_many_that_start_at_once_gets_the_socket() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.sock");
        for round in 0..50 {
            drop(UnixListener::bind(&path).expect("leave a stale file"));
            let barrier = std::sync::Barrier::new(4);
            let start = || {
                barrier.wait();
                StreamListener::unix(&path, None)
            };
            let results: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
            });
            let started = results.iter().filter(|result| result.is_ok()).count();
            assert_eq!(started, 1, "round {round}: {results:?}");
        }
    }

    #[test]
    fn full_backlog_means_in_use() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.sock");
        let busy = UnixListener::bind(&path).expect("bind");
        listen(&busy, 0).expect("shorten the backlog");
        let _waiting = UnixStream::connect(&path).expect("fill the backlog");
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(StreamListener::unix(&path, None).map(drop)));
        let result = receiver.recv_timeout(Duration::from_secs(10)).expect("no wait for the other process");
        assert_eq!(result.expect_err("somebody listens").kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn file_of_a_newer_socket_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.sock");
        let old = StreamListener::unix(&path, None).expect("listen");
        fs::remove_file(&path).expect("remove");
        let new = StreamListener::unix(&path, None).expect("listen again");
        drop(old);
        assert!(path.exists());
        drop(new);
        assert!(!path.exists());
    }
}
