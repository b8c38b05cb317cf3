//! From a request's path to what it leads to: a file or a variant of it, a redirect, a listing, by
//! the URL options that the operator has chosen.

use std::rc::Rc;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::representation::StaticFile;
use crate::{
    clock::Clock,
    http::{Coding, Refusal, Representation, Request, locate},
    site::{self, Resolved, Site},
    site_path::SitePath,
};

/// The site's own page for a missing file.
const NOT_FOUND_PAGE: &str = "404.html";
/// What clean URLs leave out.
const HTML_EXTENSION: &str = ".html";
/// What must be encoded in a name for it to mean itself in a path.
const LITERAL: &AsciiSet = &CONTROLS.add(b'%');

/// How URLs map to files.
#[derive(Debug, Clone)]
pub struct UrlOptions {
    /// The URL path at which the site begins.
    pub base: SitePath<'static>,
    /// The file that answers navigation to a missing file: the page of a single-page application.
    pub spa: Option<SitePath<'static>>,
    /// Serve `about.html` at `/about`, and redirect `/about.html` to it.
    pub clean_urls: bool,
    /// List directories that have no index file.
    pub listing: bool,
}

impl Default for UrlOptions {
    fn default() -> UrlOptions {
        UrlOptions { base: SitePath::ROOT, spa: None, clean_urls: false, listing: false }
    }
}

/// What a request's path leads to.
pub enum Destination<'a> {
    File(Rc<StaticFile>),
    /// The page of a single-page application, in place of a missing file.
    SpaFallback(Rc<StaticFile>),
    /// What is meant is at this URL path, base included.
    Redirect(SitePath<'a>),
    /// A directory to be listed, as a path in the site.
    Directory(SitePath<'a>),
}

/// A site and its URL options.
pub struct Resolver {
    pub site: Rc<Site<Representation>>,
    pub options: UrlOptions,
    not_found_page: Option<SitePath<'static>>,
}

/// Returns the path of the file called `name`, which may have folders before it; `None` if it
/// cannot be a file.
pub fn file_path(name: &str) -> Option<SitePath<'static>> {
    path(name).filter(|path| !path.is_directory())
}

/// Returns the path of the directory called `name`, with or without slashes at its ends; `None` if
/// it cannot be one.
pub fn directory_path(name: &str) -> Option<SitePath<'static>> {
    path(name).map(SitePath::into_directory)
}

fn path(name: &str) -> Option<SitePath<'static>> {
    locate(format!("/{}", utf8_percent_encode(name, LITERAL)).as_bytes()).ok().map(SitePath::into_owned)
}

impl Resolver {
    pub fn new(site: Rc<Site<Representation>>, options: UrlOptions) -> Resolver {
        Resolver { not_found_page: file_path(NOT_FOUND_PAGE), site, options }
    }

    /// Returns what `path`, as it was requested, leads to.
    ///
    /// # Errors
    /// Those of [`Site::resolve`], and 406.
    pub fn resolve<'a>(
        &self,
        path: SitePath<'a>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Destination<'a>, Refusal> {
        let base = &self.options.base;
        let Some(path) = path.strip_base(base) else {
            // A client that knows only the port is shown the way.
            let leads_to_base = path.bytes().is_empty() || path.into_directory() == *base;
            return if leads_to_base {
                Ok(Destination::Redirect(base.clone()))
            } else {
                Err(Refusal::NOT_FOUND)
            };
        };
        if !self.site.options().dotfiles.allow_all(&path) {
            return self.spa_fallback(request, clock);
        }
        match self.site.resolve(&path, clock) {
            Ok(Resolved::File(entry)) => match self.canonical_url(&path, clock) {
                Some(clean) => Ok(Destination::Redirect(clean.with_base(base))),
                None => self.negotiate(&path, entry, request, clock).map(Destination::File),
            },
            Ok(Resolved::Directory) => match self.html_page(&path, clock) {
                Some((page, entry)) => self.negotiate(&page, entry, request, clock).map(Destination::File),
                // Relative links would go wrong without the slash.
                None => Ok(Destination::Redirect(path.into_directory().with_base(base))),
            },
            Err(site::Error::NotFound) => self.not_found(path, request, clock),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns what is there in place of a missing file.
    fn not_found<'a>(
        &self,
        path: SitePath<'a>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Destination<'a>, Refusal> {
        if let Some((page, entry)) = self.html_page(&path, clock) {
            return self.negotiate(&page, entry, request, clock).map(Destination::File);
        }
        if self.options.listing && path.is_directory() && self.site.is_directory(&path) {
            return Ok(Destination::Directory(path));
        }
        self.spa_fallback(request, clock)
    }

    /// Returns the page of the single-page application, if the request is a navigation.
    ///
    /// # Errors
    /// 404 if it is not, and 406.
    pub fn spa_fallback<'a>(&self, request: &Request<'_>, clock: &Clock) -> Result<Destination<'a>, Refusal> {
        let spa =
            self.options.spa.as_ref().filter(|_| request.fields.is_navigation()).ok_or(Refusal::NOT_FOUND)?;
        let entry = self.file_at(spa, clock).ok_or(Refusal::NOT_FOUND)?;
        self.negotiate(spa, entry, request, clock).map(Destination::SpaFallback)
    }

    /// Returns the site's own page for a missing file, if it has one.
    pub fn not_found_page(&self, clock: &Clock) -> Option<Rc<StaticFile>> {
        self.file_at(self.not_found_page.as_ref()?, clock)
    }

    /// Returns the clean URL of the page at `path`, if it is another path and leads here.
    fn canonical_url(&self, path: &SitePath<'_>, clock: &Clock) -> Option<SitePath<'static>> {
        if !self.options.clean_urls {
            return None;
        }
        let index = &self.site.options().index;
        if index.ends_with(HTML_EXTENSION)
            && let Some(directory) = path.strip_index(index)
        {
            return Some(directory.into_owned());
        }
        let clean = path.without_extension(HTML_EXTENSION)?;
        match self.site.resolve(&clean, clock) {
            Ok(Resolved::Directory) | Err(site::Error::NotFound) => Some(clean.into_owned()),
            _ => None,
        }
    }

    /// Returns the page of which `path` is the clean URL.
    fn html_page(&self, path: &SitePath<'_>, clock: &Clock) -> Option<(SitePath<'static>, Rc<StaticFile>)> {
        if !self.options.clean_urls || path.is_directory() {
            return None;
        }
        let page = path.with_extension(HTML_EXTENSION).into_owned();
        if !self.site.options().dotfiles.allow_all(&page) {
            return None;
        }
        let entry = self.file_at(&page, clock)?;
        Some((page, entry))
    }

    fn file_at(&self, path: &SitePath<'_>, clock: &Clock) -> Option<Rc<StaticFile>> {
        match self.site.resolve(path, clock) {
            Ok(Resolved::File(entry)) => Some(entry),
            _ => None,
        }
    }

    /// Returns the variant of `file` at `path` that the client prefers, of those that are there
    /// (RFC 9110 section 12.5.3).
    fn negotiate(
        &self,
        path: &SitePath<'_>,
        file: Rc<StaticFile>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Rc<StaticFile>, Refusal> {
        if !request.fields.accept_encoding.want_variants() {
            return Ok(file);
        }
        let best = request.fields.accept_encoding.choices().find_map(|choice| match choice {
            Some(coding) => self.site.variant(path, &file, Coding::extension(coding), clock),
            None => Some(Rc::clone(&file)),
        });
        best.ok_or(Refusal::NOT_ACCEPTABLE)
    }
}
