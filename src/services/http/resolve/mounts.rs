//! Mounts: other directories, each at a path of the main site.
//!
//! Each mount is a resolver with a site of its own, so it finds, hides and contains files as the
//! main site does. It has no rules and no fallback: a file that it lacks is missing in the main
//! site.

use std::{cmp::Reverse, rc::Rc};

use percent_encoding::percent_decode;

use super::{Destination, Resolver, UrlOptions};
use crate::{
    clock::Clock,
    http::{RedirectMatch, Redirects, Refusal, Representation, Request, Status},
    listing::Row,
    services::http::rule_files::RuleFiles,
    site::{Resolved, Site},
    site_path::SitePath,
};

impl Resolver {
    /// Mounts `site` at the directory `path`. The options must have been set before.
    pub fn mount(&mut self, path: SitePath<'static>, site: Rc<Site<Representation>>) {
        let base = path.with_base(&self.options.base);
        let options = UrlOptions { base, spa: None, redirects: Redirects::default(), ..self.options.clone() };
        let rule_files = Rc::new(RuleFiles::of_mount(&path));
        let mount = Resolver::new(site, options);
        self.mounts.push(Resolver { mounted_at: path, is_live: self.is_live, rule_files, ..mount });
        // The first one that has a path is the nearest.
        self.mounts.sort_by_key(|mount| Reverse(mount.mounted_at.bytes().len()));
    }

    /// Returns this site and its mounts, each with its directory in this site.
    pub fn sites(&self) -> impl Iterator<Item = (SitePath<'static>, Rc<Site<Representation>>)> {
        let sites = std::iter::once(self).chain(&self.mounts);
        sites.map(|Resolver { mounted_at, site, .. }| (mounted_at.clone(), Rc::clone(site)))
    }

    /// Changes this resolver and the resolvers of its mounts.
    pub fn change_all(&mut self, change: impl Fn(&mut Resolver)) {
        change(self);
        self.mounts.iter_mut().for_each(change);
    }

    /// Returns the mount that has the `path` of the main site, if one has.
    pub(super) fn mount_of(&self, path: &SitePath<'_>) -> Option<&Resolver> {
        self.mounts.iter().find(|mount| mount.has(path))
    }

    /// Returns whether the path of a request, which no file can have, is in a mount.
    pub fn is_in_mount(&self, path: &[u8]) -> bool {
        if self.mounts.is_empty() {
            return false;
        }
        let path: Vec<u8> = percent_decode(path).collect();
        let path = path.strip_prefix(b"/").and_then(|path| path.strip_prefix(self.options.base.bytes()));
        path.is_some_and(|path| self.mounts.iter().any(|mount| path.starts_with(mount.mounted_at.bytes())))
    }

    /// Returns whether `path` is in this mount. A mounted file has its own path only.
    fn has(&self, path: &SitePath<'_>) -> bool {
        match self.mounted_at.bytes().split_last() {
            Some((_, name)) if path.bytes() == name => true,
            _ => !self.is_file() && path.bytes().starts_with(self.mounted_at.bytes()),
        }
    }

    fn is_file(&self) -> bool {
        self.site.options().file.is_some()
    }

    /// Returns the site that has the `path` of the main site, and the path in it.
    pub(super) fn owner<'a>(&self, path: &SitePath<'a>) -> (&Resolver, SitePath<'a>) {
        match self.mount_of(path) {
            Some(mount) => (mount, path.strip_base(&mount.mounted_at).unwrap_or(SitePath::ROOT)),
            None => (self, path.clone()),
        }
    }

    /// Returns the destination of the `path` of the main site, which `mount` has, or else what
    /// `rule` says.
    pub(super) fn resolve_mounted<'a>(
        &self,
        mount: &Resolver,
        path: &SitePath<'a>,
        rule: Option<&RedirectMatch>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Destination<'a>, Refusal> {
        mount.load_rule_files(clock);
        let found = match path.strip_base(&mount.mounted_at) {
            Some(path) => mount.find(path, None, request, clock),
            None if mount.is_file() => mount.find(SitePath::ROOT, None, request, clock),
            None => return Ok(Destination::Redirect(mount.options.base.clone())),
        };
        match (found, rule) {
            (Err(Refusal { status: Status::NotFound, .. }), Some(rule)) => self.follow(rule, request, clock),
            (found, _) => found,
        }
    }

    /// Returns whether there is a mount called `name` in the directory at `path`.
    pub fn has_mount(&self, path: &SitePath<'_>, name: &[u8]) -> bool {
        let is_it = |mount: &Resolver| mount.name_in(path) == Some(name);
        self.mounts.iter().any(is_it)
    }

    /// Returns whether the listing of the directory at `path` shows a mount called `name`.
    fn may_list(&self, name: &[u8], path: &SitePath<'_>) -> bool {
        self.site.options().dotfiles.allow(name, path.names().count())
    }

    /// Returns the name of this mount if it is in the directory at `path`.
    fn name_in(&self, path: &SitePath<'_>) -> Option<&[u8]> {
        let name = self.mounted_at.bytes().strip_prefix(path.bytes())?.strip_suffix(b"/")?;
        (!name.contains(&b'/')).then_some(name)
    }

    /// Calls `put` with the row of each mount in the listed directory at `path`.
    ///
    /// # Errors
    /// Returns the first error of `put`.
    pub fn mounts_in<E>(
        &self,
        path: &SitePath<'_>,
        clock: &Clock,
        mut put: impl FnMut(Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for mount in &self.mounts {
            let Some(name) = mount.name_in(path).filter(|name| self.may_list(name, path)) else { continue };
            let mut row = Row { name, is_directory: !mount.is_file(), len: 0, modified: None };
            if mount.is_file()
                && let Ok(Resolved::File(file)) = mount.site.resolve(&SitePath::ROOT, clock)
            {
                (row.len, row.modified) = (file.description.len, file.metadata.modified);
            }
            put(row)?;
        }
        Ok(())
    }
}
