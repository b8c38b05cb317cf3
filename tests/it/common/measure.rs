//! The server's resource usage as the kernel reports it in proc(5).

use std::{os::unix::ffi::OsStrExt, time::Duration};

use rustix::process::Signal;

use super::{Server, eventually};

impl Server {
    /// Returns the user and system CPU time that the process has used.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("read its stat");
        let after_name = stat.rsplit_once(") ").expect("a name in parentheses").1;
        let fields: Vec<&str> = after_name.split(' ').collect();
        // In proc(5) the state is field 3, index 0 here; utime is field 14 and stime is field 15.
        let ticks: u64 = fields[11..=12].iter().map(|f| f.parse::<u64>().expect("ticks")).sum();
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// Returns the CPU time that the process uses during `span` of wall time.
    fn cpu_during(&self, span: Duration) -> Duration {
        let before = self.cpu();
        std::thread::sleep(span);
        self.cpu() - before
    }

    /// Waits until the server sleeps with no work left.
    pub fn wait_until_quiet(&self) {
        eventually("the server is quiet", || self.cpu_during(Duration::from_millis(50)).is_zero());
    }

    /// Returns the resident memory of the process in bytes.
    pub fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("read its status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("a VmRSS line");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    /// Returns how many threads the process has.
    pub fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("read its tasks").count()
    }

    /// Returns how many descriptors the process holds open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("read its descriptors").count()
    }

    /// Returns the number of open sockets in the process: connections, listeners and all others.
    pub fn sockets(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("read its descriptors");
        let links = open.flatten().filter_map(|d| std::fs::read_link(d.path()).ok());
        links.filter(|l| l.as_os_str().as_bytes().starts_with(b"socket:")).count()
    }

    /// Runs `act` while the process is stopped, so that everything `act` sends is waiting when the
    /// process resumes.
    pub fn while_stopped<T>(&self, act: impl FnOnce() -> T) -> T {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.pid());
        eventually("the server is stopped", || {
            std::fs::read_to_string(&stat).is_ok_and(|s| s.contains(") T "))
        });
        let result = act();
        self.signal(Signal::CONT);
        result
    }
}

/// Asserts that `server` sleeps for `span` once it is quiet, no matter what waits for it.
///
/// A tenth of `span` plus two kernel accounting ticks (10 ms each) is allowed. An idle server uses
/// none of it. A spinning server uses more, even with only a fifth of a processor.
pub fn assert_idle(server: &Server, span: Duration) {
    server.wait_until_quiet();
    let cpu = server.cpu_during(span);
    assert!(cpu <= span / 10 + Duration::from_millis(20), "{cpu:?} of CPU time in {span:?}");
}
