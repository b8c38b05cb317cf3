//! The program as a child process, with a site and a certificate of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::SOON;

/// A directory with a site in `www` and a place for certificates in `tls`.
pub struct Site(pub TempDir);

impl Site {
    /// Creates a site with a small and a large file.
    pub fn new() -> Site {
        let site = Site(tempfile::tempdir().expect("a directory"));
        fs::create_dir(site.at("www")).expect("create it");
        fs::write(site.at("www/hello.txt"), "hello\n").expect("write");
        fs::write(site.at("www/large.bin"), pattern(400_000)).expect("write");
        site
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Returns the command `oneloop --port 0 ARGS... www`, which keeps its certificate in `tls`.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.env_clear().env("XDG_STATE_HOME", self.at("state")).args(["--port", "0"]).args(args);
        command.arg(self.at("www")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the server with a certificate that it makes.
    pub fn serve(&self, args: &[&str]) -> Server {
        let mut child = self.command(&[&["--tls"], args].concat()).spawn().expect("start oneloop");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("https://").and_then(|rest| rest.split('/').next());
        let address = address.and_then(|address| address.parse().ok()).expect("an address");
        Server { child, address }
    }

    /// Returns the certificate that clients trust.
    pub fn authority(&self) -> PathBuf {
        self.at("state/oneloop/ca.pem")
    }
}

/// A running server, which is killed when the test ends.
pub struct Server {
    pub child: Child,
    pub address: SocketAddr,
}

impl Server {
    /// Waits for the process to exit.
    pub fn exit(&mut self) -> ExitStatus {
        eventually(|| self.child.try_wait().expect("wait for it"))
    }

    /// Returns the number of open descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("its descriptors").count()
    }
}

impl Server {
    /// Returns the number of open descriptors once it does not change any more.
    pub fn settled_descriptors(&self) -> usize {
        let mut last = (usize::MAX, 0);
        eventually(|| {
            let now = self.descriptors();
            last = (now, if now == last.0 { last.1 + 1 } else { 0 });
            (last.1 > 10).then_some(now)
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until `get` returns a value.
pub fn eventually<T>(mut get: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + SOON;
    loop {
        if let Some(value) = get() {
            return value;
        }
        assert!(Instant::now() < end, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns `len` bytes in which each offset differs from its neighbours.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}
