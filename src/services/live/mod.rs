//! Live reload: pages notice when a file changes, and load it.
//!
//! Each page gets a script at its end. The script reads a stream of events, over which the server
//! sends the paths of changed files. The site owns the files and finds the changes; this module
//! owns the script and the list of streams. It must never read a file.
//!
//! The site's work is done in the turns of the streams, so it costs nothing while no page is open.

mod sites;
mod stream;

use std::{
    cell::RefCell,
    fmt::Write,
    rc::Rc,
    time::{Instant, UNIX_EPOCH},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use xxhash_rust::xxh3::xxh3_64;

use self::sites::LiveSites;
pub use self::stream::LiveStream;
use crate::{
    clock::Clock,
    http::{Refusal, Representation, Validators, relative_link},
    protocol::{Context, PrioritySource, WakeKey},
    services::http::StaticFile,
    site::{Content, Site, TreeChange},
    site_path::SitePath,
};

/// The script of the pages.
const SCRIPT: &str = include_str!("live.js");
/// The directory of our own URLs, below the base path. No site serves it, because it is hidden.
const DIRECTORY: &str = ".oneloop/";
/// The bytes of a path that a URL, a JSON string and an HTML attribute may contain.
const IN_URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_');
/// The maximum number of paths in one message. More of them count as a change of everything.
const MAX_PATHS: usize = 64;

/// Live reload for the pages of a site and its mounts.
pub struct Live {
    sites: LiveSites,
    /// The identifier of this run of the server. After a restart, anything may have changed.
    run: String,
    /// When this run began.
    started: Instant,
    script: Rc<StaticFile>,
    /// The URL path of the script.
    script_path: String,
    streams: RefCell<Vec<WakeKey>>,
    max_streams: usize,
    /// The numbers of the last bursts of changes that all streams know about.
    announced: RefCell<Option<Vec<u64>>>,
}

/// A resource of live reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveResource {
    Script,
    Events,
}

impl Live {
    /// Creates live reload for `sites`, each with the directory at which it is mounted in the first
    /// one, whose root has the URL path `base`. There are at most `max_streams` streams.
    pub fn new(
        sites: impl Iterator<Item = (SitePath<'static>, Rc<Site<Representation>>)>,
        base: &SitePath<'_>,
        max_streams: usize,
        clock: &Clock,
    ) -> Live {
        let tag = format!("\"live-{:x}\"", xxh3_64(SCRIPT.as_bytes()));
        let validators = Validators { tag, ..Validators::default() };
        let (len, media_type) = (SCRIPT.len() as u64, "text/javascript; charset=utf-8");
        let script = Representation::new(len, media_type.into(), None, validators);
        let run = clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Live {
            sites: LiveSites::new(sites, clock),
            run: format!("{run:x}"),
            started: clock.now(),
            script: Rc::new(StaticFile::generated(SCRIPT.as_bytes().into(), script)),
            script_path: format!("{base}{DIRECTORY}live.js"),
            streams: RefCell::default(),
            max_streams,
            announced: RefCell::default(),
        }
    }

    /// Returns the resource at the URL path `path`, if it is one of ours.
    ///
    /// Our directory is below every directory, because an element `base` and scripts of a page
    /// change where relative links lead. Our script then takes the directory above ours for the
    /// root of the site, and reloads the page where it would only replace an image.
    pub fn resource(path: &SitePath<'_>) -> Option<LiveResource> {
        let mut names = path.bytes().rsplitn(3, |b| *b == b'/');
        let (name, directory) = (names.next()?, names.next()?);
        match name {
            _ if directory != DIRECTORY.trim_end_matches('/').as_bytes() => None,
            b"live.js" => Some(LiveResource::Script),
            b"events" => Some(LiveResource::Events),
            _ => None,
        }
    }

    /// Returns the script.
    pub fn script(&self) -> &Rc<StaticFile> {
        &self.script
    }

    /// Returns what follows a page at the requested path: an element that loads the script.
    pub fn suffix(&self, requested: Option<&[u8]>) -> Rc<[u8]> {
        let url = relative_link(requested.unwrap_or_default(), &self.script_path);
        format!("\n<script async src=\"{url}\"></script>\n").into_bytes().into()
    }

    /// Returns the representation of the page `file` with `suffix`, or `None` if the script cannot
    /// be added: `file` is not HTML, or it is compressed or of unknown length.
    pub fn page(&self, file: &StaticFile, suffix: &[u8]) -> Option<Representation> {
        // In UTF-16, the bytes of the script would be other characters.
        let is_utf_16 = |bytes: &[u8]| bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
        let page = &file.description;
        let is_page = page.has_length && page.coding.is_none() && is_html(page);
        if !is_page || matches!(&file.content, Content::Memory(bytes) if is_utf_16(bytes)) {
            return None;
        }
        // A copy without the script has the modification time of the file, and would count as
        // current.
        let tag = page.validators.tag.trim_end_matches('"');
        let tag = format!("{tag}-{:x}\"", xxh3_64(suffix));
        let validators = Validators { tag, ..Validators::default() };
        let len = page.len + suffix.len() as u64;
        let mut page = Representation::new(len, page.media_type.clone(), None, validators);
        page.has_suffix = true;
        Some(page)
    }

    /// Returns a built-in error page as a file, to which the script can be added.
    pub fn error_page(&self, html: Vec<u8>) -> Rc<StaticFile> {
        let len = html.len() as u64;
        let page = Representation::new(len, "text/html; charset=utf-8".into(), None, Validators::default());
        Rc::new(StaticFile::generated(html.into(), page))
    }

    /// Adds a stream.
    ///
    /// # Errors
    /// Fails if there are too many.
    fn join(&self, key: WakeKey) -> Result<(), Refusal> {
        let mut streams = self.streams.borrow_mut();
        if streams.len() >= self.max_streams {
            return Err(Refusal::BUSY);
        }
        streams.push(key);
        Ok(())
    }

    /// Removes a stream.
    pub fn leave(&self, key: WakeKey) {
        self.streams.borrow_mut().retain(|stream| *stream != key);
    }

    /// Wakes the streams if a site has noticed a change. Call this method after a site has handled
    /// file changes.
    pub fn notice(&self, cx: &mut Context<'_>) {
        if self.sites.take_became_due(cx.clock) {
            self.wake_all(cx);
        }
    }

    /// Does a piece of the sites' work, and wakes the other streams if it has ended a burst of
    /// changes.
    fn explore(&self, cx: &mut Context<'_>) {
        self.sites.explore(cx.clock);
        let numbers = self.sites.numbers();
        if numbers != *self.announced.borrow() {
            self.announced.replace(numbers);
            self.wake_all(cx);
        }
    }

    fn wake_all(&self, cx: &mut Context<'_>) {
        let own = cx.wake_key();
        self.streams.borrow().iter().filter(|key| **key != own).for_each(|key| cx.wake(*key));
    }

    /// Returns a message with the changed paths, and with an identifier that the client sends when
    /// it connects again.
    fn message(&self, numbers: &[u64], change: &TreeChange) -> String {
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        let id = format!("{}-{}", self.run, numbers.join("."));
        let mut text = format!("data: {{\"id\":\"{id}\",\"paths\":");
        match change {
            TreeChange::Paths(paths) if paths.len() <= MAX_PATHS => {
                let mut before = '[';
                for path in paths {
                    let _ = write!(text, "{before}\"{}\"", percent_encode(path, IN_URL));
                    before = ',';
                }
                text.push_str(if paths.is_empty() { "[]" } else { "]" });
            }
            _ => text.push_str("null"),
        }
        text.push_str("}\n\n");
        text
    }
}

/// Returns whether a browser shows the file as an HTML page.
pub fn is_html(file: &Representation) -> bool {
    file.media_type == "text/html" || file.media_type.starts_with("text/html;")
}

/// A site as a source of the loop, whose changes wake the streams.
pub struct LiveFiles {
    pub site: Rc<Site<Representation>>,
    pub live: Rc<Live>,
}

impl PrioritySource for LiveFiles {
    fn on_readable(&mut self, cx: &mut Context<'_>) {
        self.site.on_readable(cx);
        self.live.notice(cx);
    }
}
