//! Nothing is stale: the next request sees every change to a file, whether inotify reports changes
//! or the server checks cached files on each turn.
//!
//! These servers run in this process, on clocks that the tests control, so no test waits for a file
//! to settle or for a path to be reopened. One test runs the real binary.

mod appearing;
mod at_rest;
mod kept;
mod root;
mod rounds;

use std::{
    fs,
    net::TcpStream,
    time::{Duration, SystemTime},
};

use oneloop::Config;

use crate::common::*;

/// With inotify, and without.
pub const MODES: [bool; 2] = [true, false];

/// The result of a request: the content, or the status if it is not 200.
pub type Answer = Result<String, u16>;

/// Returns the content of `response`, or its status if it is not 200.
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
    /// Serves `site` on a clock that starts at the system time.
    pub fn new(site: Site, inotify: bool) -> Serving {
        let mut config = Rig::config(&site);
        config.inotify = inotify;
        Serving::with_config(site, config)
    }

    /// Serves `site` as `config` says, on a clock that starts at the system time.
    pub fn with_config(site: Site, config: Config) -> Serving {
        let mut rig = Rig::at(SystemTime::now(), config);
        let peer = rig.accepted();
        Serving { site, rig, peer }
    }

    /// Requests `path` on the connection.
    pub fn ask(&mut self, path: &str) -> Answer {
        answer(&self.response(path))
    }

    /// Requests `path` on the connection, and returns the whole response.
    pub fn response(&mut self, path: &str) -> Response {
        self.rig.ask(&mut self.peer, get(path))
    }

    /// Advances the clock until all files written so far count as settled. Files written afterwards
    /// get another modification time, as they would on a running clock.
    pub fn settle(&mut self) {
        wait_for_tick();
        self.rig.catch_up();
        self.rig.advance(Duration::from_millis(150));
    }

    /// Requests `path` until the settled file is cached and, with inotify, watched.
    pub fn cache(&mut self, path: &str) {
        for _ in 0..4 {
            assert!(self.ask(path).is_ok(), "{path}");
        }
    }

    /// Advances the clock past the time for which a cached path is trusted.
    pub fn pass_recheck(&mut self) {
        self.rig.advance(Duration::from_millis(1100));
    }
}

/// Waits until the file system's clock, which ticks every few milliseconds, has advanced.
fn wait_for_tick() {
    let probe = Site::empty();
    let tick = || {
        probe.write("probe", "");
        fs::metadata(probe.at("probe")).and_then(|metadata| metadata.modified()).expect("its time")
    };
    let before = tick();
    eventually("a tick", || tick() > before);
}
