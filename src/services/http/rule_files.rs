//! The rule files of a site, `_headers` and `_redirects`, which are read again when they change.
//!
//! The site finds a rule file as it finds any other, and says how long its answer holds. While
//! nothing changes, a request asks the file system nothing.

use std::{cell::RefCell, rc::Rc};

use super::{representation::StaticFile, resolve::file_path};
use crate::{
    clock::Clock,
    http::{LineError, MAX_RULE_FILE, Redirects, Representation, SiteHeaders},
    site::{Answered, Content, Error, Lease, Resolved, Site},
    site_path::{RULE_FILES, SitePath},
};

/// The rule files of a site, as they were last read.
pub struct RuleFiles {
    base: SitePath<'static>,
    files: RefCell<Files>,
}

struct Files {
    headers: RuleFile<SiteHeaders>,
    redirects: RuleFile<Redirects>,
    /// How long the answers about both files hold.
    answered: Option<Answered>,
}

/// The rules of a site.
#[derive(Clone, Default)]
pub struct SiteRules {
    /// The rules of `_headers`, if there are any.
    pub headers: Option<Rc<SiteHeaders>>,
    /// The rules of `_redirects`, if there are any.
    pub redirects: Option<Rc<Redirects>>,
}

impl RuleFiles {
    /// Creates the rule files of a site whose root has the URL path `base`. They are read when they
    /// are needed.
    pub fn new(base: &SitePath<'static>) -> RuleFiles {
        RuleFiles::with(base, None)
    }

    /// Creates the rule files of a mount at `path`. They have no effect, and are not served.
    pub fn of_mount(path: &SitePath<'static>) -> RuleFiles {
        RuleFiles::with(path, Some(path))
    }

    fn with(base: &SitePath<'static>, mount: Option<&SitePath<'static>>) -> RuleFiles {
        let [headers, redirects] = RULE_FILES;
        let (headers, redirects) = (RuleFile::new(headers, mount), RuleFile::new(redirects, mount));
        RuleFiles { base: base.clone(), files: RefCell::new(Files { headers, redirects, answered: None }) }
    }

    /// Returns the rules of both files. Reads the files again if they may have changed.
    pub fn rules(&self, site: &Site<Representation>, clock: &Clock) -> SiteRules {
        self.refresh(site, clock);
        let files = self.files.borrow();
        SiteRules { headers: files.headers.rules.clone(), redirects: files.redirects.rules.clone() }
    }

    /// Reads both files again if they may have changed. If one has, ends all leases on the site.
    pub fn refresh(&self, site: &Site<Representation>, clock: &Clock) {
        let files = &mut *self.files.borrow_mut();
        if files.answered.is_none_or(|answered| !site.holds(&answered, clock)) {
            let headers = files.headers.refresh(site, clock, |content| {
                let (headers, errors) = SiteHeaders::parse(content, &self.base);
                ((!headers.is_empty()).then_some(headers), errors)
            });
            let redirects = files.redirects.refresh(site, clock, |content| {
                let (redirects, errors) = Redirects::parse(content);
                ((!redirects.is_empty()).then_some(redirects), errors)
            });
            files.answered = headers.zip(redirects).map(|(headers, redirects)| headers.and(redirects));
        }
    }

    /// Returns whether `lease` may cover the rules as well.
    pub fn may_be_leased(&self, lease: &Lease) -> bool {
        self.files.borrow().answered.is_some_and(|answered| answered.may_be_leased(lease))
    }

    /// Returns whether `file` is one of the rule files under another name: a link, or another
    /// spelling where names are compared by other rules.
    pub fn contain(&self, file: &StaticFile) -> bool {
        let files = self.files.borrow();
        files.headers.is(file) || files.redirects.is(file)
    }
}

/// A rule file with rules of type `T`.
struct RuleFile<T> {
    name: &'static str,
    /// The mount in which the file is, and has no effect.
    mount: Option<SitePath<'static>>,
    path: Option<SitePath<'static>>,
    /// Whether the file is there and cannot be read.
    has_failed: bool,
    file: Option<Rc<StaticFile>>,
    rules: Option<Rc<T>>,
}

impl<T> RuleFile<T> {
    fn new(name: &'static str, mount: Option<&SitePath<'static>>) -> RuleFile<T> {
        RuleFile {
            name,
            mount: mount.cloned(),
            path: file_path(name),
            has_failed: false,
            file: None,
            rules: None,
        }
    }

    /// Reads the file again if it has changed. Returns how long the answer about it holds.
    fn refresh(
        &mut self,
        site: &Site<Representation>,
        clock: &Clock,
        parse: impl Fn(&[u8]) -> (Option<T>, Vec<LineError>),
    ) -> Option<Answered> {
        let path = self.path.as_ref()?;
        let (found, failure) = match site.resolve(path, clock) {
            Ok(Resolved::File(file)) => (Some(file), None),
            Ok(Resolved::Directory) | Err(Error::NotFound) => (None, None),
            // The rules may be about safety. So they apply until others can be read.
            Err(error) => (self.file.clone(), Some(error)),
        };
        if let Some(error) = failure.filter(|_| !self.has_failed) {
            let rest = if self.rules.is_some() { "using its last rules" } else { "not using it" };
            log::warn!("cannot read {}: {error}; {rest}", self.name);
        }
        self.has_failed = failure.is_some();
        let version = |file: &Rc<StaticFile>| file.metadata.version;
        if found.as_ref().map(version) != self.file.as_ref().map(version) {
            self.rules = found.as_ref().and_then(|file| self.parse(file, parse)).map(Rc::new);
            site.end_leases();
        }
        self.file = found;
        Some(site.answered(path, clock))
    }

    /// Parses the file, and logs the errors in it.
    fn parse(&self, file: &StaticFile, parse: impl Fn(&[u8]) -> (Option<T>, Vec<LineError>)) -> Option<T> {
        let name = self.name;
        if let Some(mount) = &self.mount {
            log::warn!("{name} in the mount at {mount} has no effect; only that of the served directory has");
            return None;
        }
        let content = match &file.content {
            Content::Memory(bytes) if bytes.len() <= MAX_RULE_FILE => bytes,
            _ => {
                log::warn!("{name} is longer than {MAX_RULE_FILE} bytes; not using it");
                return None;
            }
        };
        let (rules, errors) = parse(content);
        for LineError { line, problem } in errors {
            log::warn!("{name}:{line}: {problem}");
        }
        log::info!("using {name} of {} bytes", content.len());
        rules
    }

    fn is(&self, file: &StaticFile) -> bool {
        self.file.as_ref().is_some_and(|known| known.is_same_file(file))
    }
}
