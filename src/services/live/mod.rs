//! Live reload: pages notice when a file changes, and load it.
//!
//! Each page gets a script at its end. The script reads a stream of events, over which the server
//! sends the paths of changed files. The site owns the files and finds the changes; this module
//! owns the script and the list of streams. It must never read a file.
//!
//! The site's work is done in the turns of the streams, so it costs nothing while no page is open.

mod stream;

use std::{
    cell::{Cell, RefCell},
    fmt::Write,
    rc::Rc,
    time::{Instant, UNIX_EPOCH},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use xxhash_rust::xxh3::xxh3_64;

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
/// The number of pieces of the site's work that the server does when it starts, about 20 ms.
const START_PIECES: usize = 100;
/// The maximum number of paths in one message. More of them count as a change of everything.
const MAX_PATHS: usize = 64;

/// Live reload for the pages of one site.
pub struct Live {
    site: Rc<Site<Representation>>,
    /// The identifier of this run of the server. After a restart, anything may have changed.
    run: String,
    script: Rc<StaticFile>,
    /// The URL path of the script.
    script_path: String,
    streams: RefCell<Vec<WakeKey>>,
    max_streams: usize,
    /// When the site has work to do.
    due: Cell<Instant>,
    /// The number of the last burst of changes that all streams know about.
    announced: Cell<Option<u64>>,
}

/// A resource of live reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveResource {
    Script,
    Events,
}

impl Live {
    /// Creates live reload for `site`, whose root has the URL path `base`, with at most
    /// `max_streams` streams.
    pub fn new(
        site: Rc<Site<Representation>>,
        base: &SitePath<'_>,
        max_streams: usize,
        clock: &Clock,
    ) -> Live {
        let tag = format!("\"live-{:x}\"", xxh3_64(SCRIPT.as_bytes()));
        let validators = Validators { tag, ..Validators::default() };
        let (len, media_type) = (SCRIPT.len() as u64, "text/javascript; charset=utf-8");
        let script = Representation::new(len, media_type.into(), None, validators);
        // A change before the first exploration would go unnoticed, so explore small sites at once.
        for _ in 0..START_PIECES {
            if site.change_number().is_none() {
                site.explore(clock);
            }
        }
        let run = clock.wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        Live {
            site,
            run: format!("{run:x}"),
            script: Rc::new(StaticFile::generated(SCRIPT.as_bytes().into(), script)),
            script_path: format!("{base}{DIRECTORY}live.js"),
            streams: RefCell::default(),
            max_streams,
            due: Cell::new(clock.now()),
            announced: Cell::new(None),
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

    /// Wakes the streams if the site has noticed a change. Call this method after the site has
    /// handled file changes.
    pub fn notice(&self, cx: &mut Context<'_>) {
        if self.site.take_tree_news(cx.clock) {
            self.due.set(cx.clock.now());
            self.wake_all(cx);
        }
    }

    /// Does a piece of the site's work, and wakes the other streams if it has ended a burst of
    /// changes.
    fn explore(&self, cx: &mut Context<'_>) {
        self.due.set(self.site.explore(cx.clock));
        let number = self.site.change_number();
        if number != self.announced.get() {
            self.announced.set(number);
            self.wake_all(cx);
        }
    }

    fn wake_all(&self, cx: &mut Context<'_>) {
        let own = cx.wake_key();
        self.streams.borrow().iter().filter(|key| **key != own).for_each(|key| cx.wake(*key));
    }

    /// Returns a message with the changed paths, and with an identifier that the client sends when
    /// it connects again.
    fn message(&self, number: u64, change: &TreeChange) -> String {
        let mut text = format!("data: {{\"id\":\"{}-{number}\",\"paths\":", self.run);
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

/// The site as a source of the loop, whose changes wake the streams.
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
