//! Nothing is stale: whatever becomes of a file, the next request sees it, whether inotify reports
//! changes or cached files are checked on each turn.
//!
//! The servers here are in this process, on clocks that the tests move: no test waits for a file to
//! settle, or for a path to be opened again. One test runs the real binary.

mod appearing;
mod at_rest;
mod rounds;

use std::{
    fs,
    net::TcpStream,
    time::{Duration, SystemTime},
};

use crate::common::*;

/// With inotify, and without.
pub const MODES: [bool; 2] = [true, false];

/// What a request gets: the content, or the status where that is not 200.
pub type Answer = Result<String, u16>;

/// Returns what `response` brought.
pub fn answer(response: &Response) -> Answer {
    if response.status == 200 { Ok(response.text()) } else { Err(response.status) }
}

/// A site and its server, with one connection.
pub struct Serving {
    pub site: Site,
    pub rig: Rig,
    peer: TcpStream,
}

impl Serving {
    /// Serves `site`; the clock begins at the time of the system.
    pub fn new(site: Site, inotify: bool) -> Serving {
        let mut config = Rig::config(&site);
        config.inotify = inotify;
        let mut rig = Rig::at(SystemTime::now(), config);
        let peer = rig.accepted();
        Serving { site, rig, peer }
    }

    /// Asks for `path` on the connection.
    pub fn ask(&mut self, path: &str) -> Answer {
        answer(&self.rig.ask(&mut self.peer, get(path)))
    }

    /// Moves the clock on until all files that were written so far count as settled. Whatever is
    /// written from now on has another time than they have, as it would on a clock that runs.
    pub fn settle(&mut self) {
        wait_for_tick();
        self.rig.catch_up();
        self.rig.advance(Duration::from_millis(150));
    }

    /// Asks until a file that has settled is cached, and watched if it ever is.
    pub fn cache(&mut self, path: &str) {
        for _ in 0..4 {
            assert!(self.ask(path).is_ok(), "{path}");
        }
    }

    /// Moves the clock on further than a cached path is trusted.
    pub fn pass_recheck(&mut self) {
        self.rig.advance(Duration::from_millis(1100));
    }
}

/// Waits until the clock of the file system, which ticks every few milliseconds, has moved on.
fn wait_for_tick() {
    let probe = Site::empty();
    let tick = || {
        probe.write("probe", "");
        fs::metadata(probe.at("probe")).and_then(|metadata| metadata.modified()).expect("its time")
    };
    let before = tick();
    eventually("a tick", || tick() > before);
}
