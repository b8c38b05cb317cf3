//! What can be set, and why a server cannot start.

use std::{fmt, fs::File, io, path::PathBuf, time::Duration};

use crate::{
    http::{Cors, Extra},
    services::{Format, Timeouts},
};

/// All that can be set. [`Settings::default`] is what the command line has without options. `None` in a time limit: no
/// limit.
#[derive(Debug)]
pub struct Settings {
    /// Names or addresses to listen on.
    pub hosts: Vec<String>,
    /// The port to listen on; 0: any free one.
    pub port: u16,
    /// Other processes may listen on the same port, too.
    pub reuse_port: bool,
    /// The directory to serve.
    pub dir: PathBuf,
    /// The file that stands for its directory.
    pub index: String,
    /// Hidden names are served and listed, too.
    pub hidden: bool,
    /// Links are followed wherever they lead, out of the directory, too.
    pub follow_links: bool,
    /// A directory without an index file is listed.
    pub listing: bool,
    /// `about` is `about.html`, and `about.html` is at `about`.
    pub clean_urls: bool,
    /// The directory in which the site is, as its addresses have it.
    pub base_path: String,
    /// `Cache-Control` for files.
    pub cache_control: String,
    /// Which pages from elsewhere may read what is served.
    pub cors: Option<Cors>,
    /// Field lines that go with responses.
    pub headers: Vec<Extra>,
    /// The kernel is asked to tell of changes; else files are asked about in every turn.
    pub watch: bool,
    /// Hosts that are answered besides this machine's own, while only loopback addresses are listened on; `*` is every
    /// host.
    pub allow_hosts: Vec<String>,
    /// The file that answers navigation to what is missing, as a path in `dir`.
    pub spa: Option<String>,
    /// Where datagrams are answered with themselves, as `host:port`.
    pub udp_echo: Option<String>,
    /// Connections open at once; `None`: what the descriptors allow.
    pub max_connections: Option<usize>,
    /// How long requests may take to come, and connections may be silent.
    pub timeouts: Timeouts,
    /// How long a peer may take nothing of what is sent to it.
    pub send_timeout: Option<Duration>,
    /// How long the responses under way may take after a signal.
    pub drain_timeout: Option<Duration>,
    /// Where the access log goes.
    pub access_log: Option<File>,
    /// How its lines look.
    pub access_log_format: Format,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            hosts: vec!["127.0.0.1".into()],
            port: 8000,
            reuse_port: false,
            dir: "static".into(),
            index: "index.html".into(),
            hidden: false,
            follow_links: false,
            listing: false,
            clean_urls: false,
            base_path: "/".into(),
            cache_control: "no-cache".into(),
            cors: None,
            headers: Vec::new(),
            watch: true,
            allow_hosts: Vec::new(),
            spa: None,
            udp_echo: None,
            max_connections: None,
            timeouts: Timeouts { head: Some(Duration::from_secs(10)), idle: Some(Duration::from_secs(60)) },
            send_timeout: Some(Duration::from_secs(30)),
            drain_timeout: Some(Duration::from_secs(10)),
            access_log: None,
            access_log_format: Format::Common,
        }
    }
}

/// Why a server cannot start; its text is a sentence for the operator.
#[derive(Debug)]
pub enum StartError {
    /// The operator asked for something that is not there.
    Mistake(String),
    /// The system did not give what was asked for.
    System(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Mistake(text) | StartError::System(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StartError {}

/// What the system says, in its words and without its number.
pub fn plain(e: &io::Error) -> String {
    let text = e.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
