//! The configuration of a server.

use std::{fs::File, path::PathBuf, time::Duration};

use crate::{
    event_loop::Limits,
    http::{Cors, HeaderRule},
    services::{LogFormat, Timeouts},
};

/// Everything that can be set. Start from [`Config::new`] and assign to fields. `None` in a time
/// limit: no limit.
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// Host names or addresses to listen on.
    pub hosts: Vec<String>,
    /// The port to listen on; 0: any free one.
    pub port: u16,
    /// Let other processes listen on the same port: `SO_REUSEPORT`, socket(7).
    pub reuse_port: bool,
    /// The directory to serve.
    pub dir: PathBuf,
    /// The name of the file that stands for its directory.
    pub index: String,
    /// Serve and list dotfiles.
    pub hidden: bool,
    /// Follow links out of the directory.
    pub follow_links: bool,
    /// List directories that have no index file.
    pub listing: bool,
    /// Serve `about.html` at `/about`, and redirect `/about.html` to it.
    pub clean_urls: bool,
    /// The URL path at which the site begins.
    pub base_path: String,
    /// The value of `Cache-Control` for files.
    pub cache_control: String,
    /// Which pages of other origins may read responses.
    pub cors: Option<Cors>,
    /// Header fields to add to responses.
    pub headers: Vec<HeaderRule>,
    /// Learn of changed files from inotify, where the system has it; otherwise `stat` cached files
    /// in every turn.
    pub inotify: bool,
    /// Hosts to answer requests for, beside this machine's own, when listening on loopback only;
    /// `*`: any host.
    pub allow_hosts: Vec<String>,
    /// The sentence that a client reads whose host is not allowed. It goes into an HTML page as it
    /// is.
    pub host_refusal: Option<&'static str>,
    /// The file that answers navigation to a missing file, as a path in `dir`.
    pub spa: Option<String>,
    /// Connections open at once; further peers wait in the backlog. `None`: as many as the
    /// open-file limit allows.
    pub max_connections: Option<usize>,
    /// How long a client may take to send a request, and between two.
    pub timeouts: Timeouts,
    /// Close a connection whose peer accepts no data for this long.
    pub send_timeout: Option<Duration>,
    /// Close the connections that are left this long after a shutdown began.
    pub drain_timeout: Option<Duration>,
    /// Where the access log goes.
    pub access_log: Option<File>,
    /// The format of its lines.
    pub access_log_format: LogFormat,
}

impl Config {
    /// Serves `dir` on 127.0.0.1, port 8000.
    pub fn new(dir: impl Into<PathBuf>) -> Config {
        let limits = Limits::default();
        Config {
            hosts: vec!["127.0.0.1".into()],
            port: 8000,
            reuse_port: false,
            dir: dir.into(),
            index: "index.html".into(),
            hidden: false,
            follow_links: false,
            listing: false,
            clean_urls: false,
            base_path: "/".into(),
            cache_control: "no-cache".into(),
            cors: None,
            headers: Vec::new(),
            inotify: true,
            allow_hosts: Vec::new(),
            host_refusal: None,
            spa: None,
            max_connections: None,
            timeouts: Timeouts::default(),
            send_timeout: limits.send_timeout,
            drain_timeout: limits.drain_timeout,
            access_log: None,
            access_log_format: LogFormat::Common,
        }
    }
}
