//! Resolves a request's path to a file or compressed variant, a redirect or a listing, according to
//! the operator's URL options.
//!
//! The resolver accesses files only through the site, and must never write a response.

mod copies;
mod mounts;
mod redirects;

use std::rc::Rc;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{
    representation::StaticFile,
    rule_files::{RuleFiles, SiteRules},
};
use crate::{
    clock::Clock,
    http::{Coding, RedirectMatch, Redirects, Refusal, Representation, Request, Status, locate},
    services::live::is_html,
    site::{self, Lease, Resolved, Site},
    site_path::SitePath,
};

/// The file name of the site's own 404 page.
const NOT_FOUND_PAGE: &str = "404.html";
/// The extension that clean URLs omit.
const HTML_EXTENSION: &str = ".html";
/// How many of the directories above a missing file are tried for a link.
const PARENTS_TRIED: usize = 8;
/// The bytes to percent-encode in a file name, so that decoding returns the name unchanged.
const LITERAL: &AsciiSet = &CONTROLS.add(b'%');

/// How URLs map to files.
#[derive(Debug, Clone)]
pub struct UrlOptions {
    /// The URL path of the site's root.
    pub base: SitePath<'static>,
    /// The page of a single-page application, which answers navigation requests that match no file.
    pub spa: Option<SitePath<'static>>,
    /// Whether to serve `about.html` at `/about`, and redirect `/about.html` to it.
    pub clean_urls: bool,
    /// Whether to list directories that have no index file.
    pub listing: bool,
    /// The refusal for such a directory if it is not listed. `None` is the one for a missing file.
    pub unlisted: Option<Refusal>,
    /// The redirects and rewrites of the operator, which come before those of the site.
    pub redirects: Redirects,
}

impl Default for UrlOptions {
    fn default() -> UrlOptions {
        UrlOptions {
            base: SitePath::ROOT,
            spa: None,
            clean_urls: false,
            listing: false,
            unlisted: None,
            redirects: Redirects::default(),
        }
    }
}

/// What a request's path resolves to.
pub enum Destination<'a> {
    /// A file, or the compressed variant that the client prefers.
    File(Rc<StaticFile>),
    /// The page of a single-page application, in place of a missing file.
    SpaFallback(Rc<StaticFile>),
    /// A file in place of the one that was requested, because a rule says so. If the rule is not
    /// forced, a file may appear at the requested path at any time.
    Rewrite { file: Rc<StaticFile>, is_forced: bool },
    /// A redirect of a rule, with this status and value of `Location`.
    Location(Status, String),
    /// A 404 with this page.
    NotFoundPage(Rc<StaticFile>),
    /// A redirect to this URL path, which includes the base path.
    Redirect(SitePath<'a>),
    /// A directory to list.
    Directory(ListedDirectory<'a>),
}

/// A directory that is listed.
pub struct ListedDirectory<'a> {
    /// The site that has the directory.
    pub site: Rc<Site<Representation>>,
    /// The path in that site.
    pub path: SitePath<'a>,
    /// The path in the main site, which clients see.
    pub shown_path: SitePath<'static>,
}

/// The resolver: a site, its URL options, and the sites that are mounted in it.
#[derive(Clone)]
pub struct Resolver {
    pub site: Rc<Site<Representation>>,
    pub options: UrlOptions,
    /// Whether pages get a script at their end, which no compressed variant has.
    pub is_live: bool,
    not_found_page: Option<SitePath<'static>>,
    rule_files: Rc<RuleFiles>,
    /// The directory of the main site at which this one is mounted. The main site is at its root.
    mounted_at: SitePath<'static>,
    /// The resolvers of the mounts, the ones with the longest paths first.
    mounts: Vec<Resolver>,
}

/// Returns the path of the file `name`, which is relative to the root, or `None` if no file can
/// have this path.
pub fn file_path(name: &str) -> Option<SitePath<'static>> {
    path(name).filter(|path| !path.is_directory())
}

/// Returns the URL path `name` of a directory, which may have leading and trailing slashes. Returns
/// `None` if no directory can have this path, or if `name` has more than a path.
pub fn directory_path(name: &str) -> Option<SitePath<'static>> {
    if name.contains(['?', '#', ':']) {
        return None;
    }
    path(name).map(SitePath::into_directory)
}

/// Parses a configured path as if a client had requested it, but without `..`, which would be a
/// mistake there.
fn path(name: &str) -> Option<SitePath<'static>> {
    if name.split('/').any(|name| name == "..") {
        return None;
    }
    locate(format!("/{}", utf8_percent_encode(name, LITERAL)).as_bytes()).ok().map(SitePath::into_owned)
}

impl Resolver {
    /// Creates a resolver.
    pub fn new(site: Rc<Site<Representation>>, options: UrlOptions) -> Resolver {
        let rule_files = Rc::new(RuleFiles::new(&options.base));
        let not_found_page = file_path(NOT_FOUND_PAGE);
        let (mounted_at, mounts) = (SitePath::ROOT, Vec::new());
        Resolver { site, options, is_live: false, not_found_page, rule_files, mounted_at, mounts }
    }

    /// Reads the rule files of the site and its mounts, and reports errors in them.
    pub fn load_rule_files(&self, clock: &Clock) {
        self.rules(clock);
        self.mounts.iter().for_each(|mount| mount.load_rule_files(clock));
    }

    /// Returns the rules of the site's own files.
    pub fn rules(&self, clock: &Clock) -> SiteRules {
        self.rule_files.rules(&self.site, clock)
    }

    /// Returns the lease on everything that the main site has answered since [`Resolver::resolve`],
    /// including its rules, and begins no other.
    pub fn take_lease(&self) -> Option<Lease> {
        self.site.take_lease().filter(|lease| self.rule_files.may_be_leased(lease))
    }

    /// Returns whether everything is still as it was when `lease` was taken.
    pub fn is_current(&self, lease: &Lease, clock: &Clock) -> bool {
        self.rule_files.refresh(&self.site, clock);
        self.site.is_current(lease, clock)
    }

    /// Returns whether another directory is mounted.
    pub fn has_mounts(&self) -> bool {
        !self.mounts.is_empty()
    }

    /// Returns the destination of the requested `path`, which the site's own `rules` may redirect.
    ///
    /// # Errors
    /// Returns 404 or another refusal if the site finds nothing ([`Site::resolve`]), and 406 if the
    /// client accepts no variant.
    pub fn resolve<'a>(
        &self,
        path: SitePath<'a>,
        request: &Request<'_>,
        rules: &SiteRules,
        clock: &Clock,
    ) -> Result<Destination<'a>, Refusal> {
        self.site.begin_lease(clock);
        let base = &self.options.base;
        let Some(path) = path.strip_base(base) else {
            // Help a client that knows only the port: redirect it to the base path.
            let leads_to_base = path.bytes().is_empty() || path.into_directory() == *base;
            return if leads_to_base {
                Ok(Destination::Redirect(base.clone()))
            } else {
                Err(Refusal::NOT_FOUND)
            };
        };
        let rule = self.redirect(&path, request, rules);
        if let Some(rule) = rule.as_ref().filter(|rule| rule.is_forced) {
            return self.follow(rule, request, clock);
        }
        match self.mount_of(&path) {
            Some(mount) => self.resolve_mounted(mount, &path, rule.as_ref(), request, clock),
            None => self.find(path, rule.as_ref(), request, clock),
        }
    }

    /// Returns the destination of the `path` in this site, to which `rule` applies if there is
    /// nothing.
    fn find<'a>(
        &self,
        path: SitePath<'a>,
        rule: Option<&RedirectMatch>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Destination<'a>, Refusal> {
        let base = &self.options.base;
        // Treat a hidden file like a missing one, so that a client cannot find out that it exists.
        if !self.is_visible(&path) {
            return self.fallback(rule, request, clock);
        }
        match self.site.resolve(&path, clock) {
            Ok(Resolved::File(file)) if self.rule_files.contain(&file) => self.fallback(rule, request, clock),
            Ok(Resolved::File(file)) => match self.canonical_url(&path, clock) {
                Some(clean) => Ok(Destination::Redirect(clean.with_base(base))),
                None => self.negotiate(&path, file, request, clock).map(Destination::File),
            },
            Ok(Resolved::Directory) => match self.html_page(&path, clock)? {
                Some((page, file)) => self.negotiate(&page, file, request, clock).map(Destination::File),
                // Relative links on a page resolve wrongly if the directory's URL has no trailing
                // slash.
                None => Ok(Destination::Redirect(path.into_directory().with_base(base))),
            },
            Err(site::Error::NotFound) => self.not_found(path, rule, request, clock),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the destination for a `path` that names no file: a clean URL's page, the target of
    /// `rule`, a listing or the SPA page.
    fn not_found<'a>(
        &self,
        path: SitePath<'a>,
        rule: Option<&RedirectMatch>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Destination<'a>, Refusal> {
        if let Some((page, file)) = self.html_page(&path, clock)? {
            return self.negotiate(&page, file, request, clock).map(Destination::File);
        }
        if let Some((copy, file)) = self.copied_page(&path, request, clock)? {
            return self.negotiate(&copy, file, request, clock).map(Destination::File);
        }
        if let Some(rule) = rule {
            return self.follow(rule, request, clock);
        }
        let UrlOptions { listing, unlisted, .. } = self.options;
        let is_directory = || Ok::<_, Refusal>(path.is_directory() && self.site.is_directory(&path, clock)?);
        if listing && is_directory()? {
            let (site, shown_path) = (Rc::clone(&self.site), path.with_base(&self.mounted_at));
            return Ok(Destination::Directory(ListedDirectory { site, path, shown_path }));
        }
        match (self.spa_fallback(request, clock), unlisted) {
            (Err(Refusal::NOT_FOUND), Some(refusal)) if !listing && is_directory()? => Err(refusal),
            (destination, _) => destination,
        }
    }

    /// Returns the page of the single-page application for a navigation request.
    ///
    /// # Errors
    /// Returns 404 if the request is not a navigation request or there is no such page, and 406 if
    /// the client accepts no variant.
    pub fn spa_fallback<'a>(&self, request: &Request<'_>, clock: &Clock) -> Result<Destination<'a>, Refusal> {
        let Some(spa) = &self.options.spa else { return Err(Refusal::NOT_FOUND) };
        if !request.is_navigation() {
            return Err(Refusal::NOT_FOUND);
        }
        let file = self.file_at(spa, clock)?.ok_or(Refusal::NOT_FOUND)?;
        self.negotiate(spa, file, request, clock).map(Destination::SpaFallback)
    }

    /// Returns the site's own 404 page, if it has one that can be read. The built-in page is as
    /// true as this one.
    pub fn not_found_page(&self, clock: &Clock) -> Option<Rc<StaticFile>> {
        let page = self.file_at(self.not_found_page.as_ref()?, clock).ok().flatten();
        page.filter(|page| page.description.has_length)
    }

    /// Returns the nearest directory above the requested `path` that has a page, with the base path
    /// in front. If none of the nearest ones has, or if no file can have the path, returns the root
    /// of the site.
    pub fn page_above(&self, path: Option<&SitePath<'_>>, clock: &Clock) -> SitePath<'static> {
        let base = &self.options.base;
        let first = path.and_then(|path| path.strip_base(base)?.parent());
        let above = std::iter::successors(first, SitePath::parent).take(PARENTS_TRIED);
        let found = above.filter(|directory| !directory.bytes().is_empty()).find(|directory| {
            let (Resolver { site, options, .. }, path) = self.owner(directory);
            let is_listed = || options.listing && site.is_directory(&path, clock) == Ok(true);
            site.options().dotfiles.allow_all(&path)
                && (matches!(site.resolve(&path, clock), Ok(Resolved::File(_))) || is_listed())
        });
        found.map_or_else(|| base.clone(), |directory| directory.with_base(base))
    }

    /// Returns the clean URL of the page at `path`, if it differs from `path` and leads to this
    /// page.
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
        // Redirect only if it is certain that no file has the clean name. Otherwise that file is
        // served there.
        match self.site.resolve(&clean, clock) {
            Ok(Resolved::Directory) | Err(site::Error::NotFound) => Some(clean.into_owned()),
            _ => None,
        }
    }

    /// Returns the page whose clean URL is `path`, with the page's own path.
    ///
    /// # Errors
    /// Returns the refusal if there may be such a page, but it cannot be read.
    fn html_page(
        &self,
        path: &SitePath<'_>,
        clock: &Clock,
    ) -> Result<Option<(SitePath<'static>, Rc<StaticFile>)>, Refusal> {
        if !self.options.clean_urls || path.is_directory() {
            return Ok(None);
        }
        let page = path.with_extension(HTML_EXTENSION).into_owned();
        if !self.site.options().dotfiles.allow_all(&page) {
            return Ok(None);
        }
        Ok(self.file_at(&page, clock)?.map(|file| (page, file)))
    }

    /// Returns the file at `path`, or `None` if there is none.
    ///
    /// # Errors
    /// Returns the refusal if there may be a file, but it cannot be read.
    fn file_at(&self, path: &SitePath<'_>, clock: &Clock) -> Result<Option<Rc<StaticFile>>, Refusal> {
        match self.site.resolve(path, clock) {
            Ok(Resolved::File(file)) => Ok(Some(file)),
            Ok(Resolved::Directory) | Err(site::Error::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the existing variant of `file` that the client prefers, which may be `file` itself
    /// (RFC 9110 section 12.5.3).
    ///
    /// # Errors
    /// Returns 406 if the client accepts no existing variant, and the variant's refusal if it
    /// accepts only one that cannot be read.
    fn negotiate(
        &self,
        path: &SitePath<'_>,
        file: Rc<StaticFile>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Rc<StaticFile>, Refusal> {
        // A file that is itself compressed, such as an .svgz, has only one content coding.
        if !request.fields.accept_encoding.accepts_variants() || file.description.coding.is_some() {
            return Ok(file);
        }
        let gets_script = self.is_live && is_html(&file.description) && request.is_page_load();
        if gets_script && request.fields.accept_encoding.choices().any(|choice| choice.is_none()) {
            return Ok(file);
        }
        // A cached variant has the media type that its original had when the variant was read. The
        // character encoding of the original may have changed since.
        let is_same_type =
            |variant: &Rc<StaticFile>| variant.description.media_type == file.description.media_type;
        let mut refusal = Refusal::NOT_ACCEPTABLE;
        let best = request.fields.accept_encoding.choices().find_map(|choice| match choice {
            Some(coding) => {
                let variant = self.site.variant(path, &file, Coding::extension(coding), clock);
                let variant = variant.unwrap_or_else(|error| {
                    refusal = error.into();
                    None
                });
                variant.filter(is_same_type)
            }
            None => Some(Rc::clone(&file)),
        });
        best.ok_or(refusal)
    }
}
