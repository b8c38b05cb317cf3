//! Where a path leads: to a file or a variant of it, to another address, to a listing, with the comforts that the
//! operator has chosen.

use std::rc::Rc;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{
    clock::Clock,
    http::{Refusal, Request, SitePath, locate},
    site::{Entry, Found, Site},
};

/// The site's own page for what is missing.
const MISSING_PAGE: &str = "404.html";
/// What `--clean-urls` leaves out of addresses.
const PAGE_EXTENSION: &str = ".html";
/// What must be encoded in a name for it to mean itself in a path.
const LITERAL: &AsciiSet = &CONTROLS.add(b'%');

/// What makes a site more pleasant to use.
#[derive(Debug, Clone)]
pub struct Comforts {
    /// The directory in which the site is, as its addresses have it.
    pub base: SitePath<'static>,
    /// The file that answers navigation to what is missing: a single-page application finds its way by itself.
    pub spa: Option<SitePath<'static>>,
    /// `about` is `about.html`, and `about.html` is at `about`.
    pub clean_urls: bool,
    /// A directory without an index file is listed.
    pub listing: bool,
}

impl Default for Comforts {
    fn default() -> Comforts {
        Comforts { base: SitePath::ROOT, spa: None, clean_urls: false, listing: false }
    }
}

/// What a request's path leads to.
pub enum Destination<'a> {
    File(Rc<Entry>),
    /// The application that answers navigation.
    Application(Rc<Entry>),
    /// What is meant is at this address, base included.
    Elsewhere(SitePath<'a>),
    /// A directory to be listed, as a path in the site.
    Directory(SitePath<'a>),
}

/// A site with its comforts.
pub struct Lookup {
    pub site: Site,
    pub comforts: Comforts,
    missing_page: Option<SitePath<'static>>,
}

/// The path of the file called `name`, which may have folders before it. `None`: that cannot be a file.
pub fn file_path(name: &str) -> Option<SitePath<'static>> {
    path(name).filter(|path| !path.is_directory())
}

/// The path of the directory called `name`, with or without slashes at its ends. `None`: that cannot be a directory.
pub fn directory_path(name: &str) -> Option<SitePath<'static>> {
    path(name).map(SitePath::into_directory)
}

fn path(name: &str) -> Option<SitePath<'static>> {
    locate(format!("/{}", utf8_percent_encode(name, LITERAL)).as_bytes()).ok().map(SitePath::into_owned)
}

impl Lookup {
    pub fn new(site: Site, comforts: Comforts) -> Lookup {
        Lookup { missing_page: file_path(MISSING_PAGE), site, comforts }
    }

    /// Where `path`, as it was asked for, leads.
    ///
    /// # Errors
    /// As for [`Site::find`], and 406.
    pub fn find<'a>(
        &self,
        path: SitePath<'a>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Destination<'a>, Refusal> {
        let base = &self.comforts.base;
        let Some(path) = path.below(base) else {
            // Whoever knows only the port is shown the way.
            let leads_to_base = path.bytes().is_empty() || path.into_directory() == *base;
            return if leads_to_base {
                Ok(Destination::Elsewhere(base.clone()))
            } else {
                Err(Refusal::NOT_FOUND)
            };
        };
        if !self.site.options().names.allow_all(&path) {
            return self.application(request, clock);
        }
        match self.site.find(&path, clock) {
            Ok(Found::File(entry)) => match self.clean(&path, clock) {
                Some(clean) => Ok(Destination::Elsewhere(clean.within(base))),
                None => self.negotiate(&path, entry, request, clock).map(Destination::File),
            },
            Ok(Found::Directory) => match self.page(&path, clock) {
                Some((page, entry)) => self.negotiate(&page, entry, request, clock).map(Destination::File),
                // Relative links would go wrong without the slash.
                None => Ok(Destination::Elsewhere(path.into_directory().within(base))),
            },
            Err(Refusal::NOT_FOUND) => self.missing(path, request, clock),
            Err(refusal) => Err(refusal),
        }
    }

    /// What is there instead of a file that is missing.
    fn missing<'a>(
        &self,
        path: SitePath<'a>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Destination<'a>, Refusal> {
        if let Some((page, entry)) = self.page(&path, clock) {
            return self.negotiate(&page, entry, request, clock).map(Destination::File);
        }
        if self.comforts.listing && path.is_directory() && self.site.is_directory(&path) {
            return Ok(Destination::Directory(path));
        }
        self.application(request, clock)
    }

    /// The application that finds its way by itself, if a person goes there.
    ///
    /// # Errors
    /// 404 if not, and 406.
    pub fn application<'a>(&self, request: &Request<'_>, clock: &Clock) -> Result<Destination<'a>, Refusal> {
        let spa = self
            .comforts
            .spa
            .as_ref()
            .filter(|_| request.fields.is_navigation())
            .ok_or(Refusal::NOT_FOUND)?;
        let entry = self.file(spa, clock).ok_or(Refusal::NOT_FOUND)?;
        self.negotiate(spa, entry, request, clock).map(Destination::Application)
    }

    /// The site's own page for what is missing, if it has one.
    pub fn missing_page(&self, clock: &Clock) -> Option<Rc<Entry>> {
        self.file(self.missing_page.as_ref()?, clock)
    }

    /// The clean address of the page at `path`, if that is another one, and leads here.
    fn clean(&self, path: &SitePath<'_>, clock: &Clock) -> Option<SitePath<'static>> {
        if !self.comforts.clean_urls {
            return None;
        }
        let index = &self.site.options().index;
        if index.ends_with(PAGE_EXTENSION)
            && let Some(directory) = path.parent_of(index)
        {
            return Some(directory.into_owned());
        }
        let clean = path.without_extension(PAGE_EXTENSION)?;
        match self.site.find(&clean, clock) {
            Ok(Found::Directory) | Err(Refusal::NOT_FOUND) => Some(clean.into_owned()),
            _ => None,
        }
    }

    /// The page of which `path` is the clean address.
    fn page(&self, path: &SitePath<'_>, clock: &Clock) -> Option<(SitePath<'static>, Rc<Entry>)> {
        if !self.comforts.clean_urls || path.is_directory() {
            return None;
        }
        let page = path.with_extension(PAGE_EXTENSION).into_owned();
        if !self.site.options().names.allow_all(&page) {
            return None;
        }
        let entry = self.file(&page, clock)?;
        Some((page, entry))
    }

    fn file(&self, path: &SitePath<'_>, clock: &Clock) -> Option<Rc<Entry>> {
        match self.site.find(path, clock) {
            Ok(Found::File(entry)) => Some(entry),
            _ => None,
        }
    }

    /// The variant of the file `entry` at `path` that is liked best, of those that are there (RFC 9110 §12.5.3).
    fn negotiate(
        &self,
        path: &SitePath<'_>,
        entry: Rc<Entry>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Rc<Entry>, Refusal> {
        if !request.fields.codings.want_variants() {
            return Ok(entry);
        }
        let best = request.fields.codings.choices().find_map(|choice| match choice {
            Some(coding) => self.site.variant(path, &entry, coding, clock),
            None => Some(Rc::clone(&entry)),
        });
        best.ok_or(Refusal::NOT_ACCEPTABLE)
    }
}
