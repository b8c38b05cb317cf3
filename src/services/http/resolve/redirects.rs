//! Redirects and rewrites: the rules of the operator, and those of the site's `_redirects` file.
//!
//! A rewritten path is not matched again, so rules cannot form a loop.

use std::rc::Rc;

use super::{Destination, Resolver, UrlOptions};
use crate::{
    clock::Clock,
    http::{RedirectMatch, RedirectTarget, Refusal, Request},
    services::http::{representation::StaticFile, rule_files::SiteRules},
    site::{self, Resolved},
    site_path::SitePath,
};

impl Resolver {
    /// Returns what the first rule that matches a request for `path` in the site says. The rules of
    /// the operator come before those of the site.
    pub(super) fn redirect(
        &self,
        path: &SitePath<'_>,
        request: &Request<'_>,
        rules: &SiteRules,
    ) -> Option<RedirectMatch> {
        let UrlOptions { base, redirects, .. } = &self.options;
        let of_site = || rules.redirects.as_ref()?.find(path, request.query(), base);
        redirects.find(path, request.query(), base).or_else(of_site)
    }

    /// Returns whether a client may know that there is a file at `path`.
    pub(super) fn is_visible(&self, path: &SitePath<'_>) -> bool {
        self.site.options().dotfiles.allow_all(path) && !path.is_rule_file()
    }

    /// Returns the destination of a path that names no visible file: the target of `rule`, or else
    /// the SPA page.
    pub(super) fn fallback<'a>(
        &self,
        rule: Option<&RedirectMatch>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Destination<'a>, Refusal> {
        match rule {
            Some(rule) => self.follow(rule, request, clock),
            None => self.spa_fallback(request, clock),
        }
    }

    /// Returns the destination that `rule` leads to.
    ///
    /// # Errors
    /// Returns 404 if the target is a file that does not exist or must not be served, and another
    /// refusal if it cannot be read.
    pub(super) fn follow<'a>(
        &self,
        rule: &RedirectMatch,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Destination<'a>, Refusal> {
        match &rule.target {
            RedirectTarget::Location(status, location) => {
                Ok(Destination::Location(*status, location.clone()))
            }
            RedirectTarget::File(path) => {
                let (owner, path) = self.owner(path);
                let (path, file) = owner.target(&path, clock)?;
                let file = owner.negotiate(&path, file, request, clock)?;
                Ok(Destination::Rewrite { file, is_forced: rule.is_forced })
            }
            RedirectTarget::NotFound(path) => {
                let (owner, path) = self.owner(path);
                let (_, page) = owner.target(&path, clock)?;
                // An error page is sent as a whole.
                let page = Some(page).filter(|page| page.description.has_length).ok_or(Refusal::NOT_FOUND)?;
                Ok(Destination::NotFoundPage(page))
            }
        }
    }

    /// Returns the file at `path`, or the index file or page there, with its own path.
    fn target(
        &self,
        path: &SitePath<'static>,
        clock: &Clock,
    ) -> Result<(SitePath<'static>, Rc<StaticFile>), Refusal> {
        if !self.is_visible(path) {
            return Err(Refusal::NOT_FOUND);
        }
        self.load_rule_files(clock);
        let found = match self.site.resolve(path, clock) {
            Ok(Resolved::File(file)) => Some((path.clone(), file)),
            Ok(Resolved::Directory) => {
                let path = path.clone().into_directory();
                self.file_at(&path, clock)?.map(|file| (path, file))
            }
            Err(site::Error::NotFound) => self.html_page(path, clock)?,
            Err(error) => return Err(error.into()),
        };
        found.filter(|(_, file)| !self.rule_files.contain(file)).ok_or(Refusal::NOT_FOUND)
    }
}
