//! The rule files of a site, `_headers` and `_redirects`, which are read again when they change.
//!
//! The site finds a rule file as it finds any other, and says how long its answer holds. While
//! nothing changes, a request asks the file system nothing.

use std::{cell::RefCell, rc::Rc};

use super::{representation::StaticFile, resolve::file_path};
use crate::{
    clock::Clock,
    http::{LineError, MAX_RULE_FILE, Redirects, Representation, SiteHeaders},
    site::{Answered, Content, Error, Resolved, Site},
    site_path::{RULE_FILES, SitePath},
};

/// The rule files of a site, as they were last read.
pub struct RuleFiles {
    base: SitePath<'static>,
    headers: RefCell<RuleFile<SiteHeaders>>,
    redirects: RefCell<RuleFile<Redirects>>,
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
        RuleFiles {
            base: base.clone(),
            headers: RefCell::new(RuleFile::new(headers, mount)),
            redirects: RefCell::new(RuleFile::new(redirects, mount)),
        }
    }

    /// Returns the rules of `_headers`, if there are any.
    pub fn headers(&self, site: &Site<Representation>, clock: &Clock) -> Option<Rc<SiteHeaders>> {
        let parse = |content: &[u8]| {
            let (headers, errors) = SiteHeaders::parse(content, &self.base);
            ((!headers.is_empty()).then_some(headers), errors)
        };
        self.headers.borrow_mut().current(site, clock, parse)
    }

    /// Returns the rules of `_redirects`, if there are any.
    pub fn redirects(&self, site: &Site<Representation>, clock: &Clock) -> Option<Rc<Redirects>> {
        let parse = |content: &[u8]| {
            let (redirects, errors) = Redirects::parse(content);
            ((!redirects.is_empty()).then_some(redirects), errors)
        };
        self.redirects.borrow_mut().current(site, clock, parse)
    }

    /// Returns whether `file` is one of the rule files under another name: a link, or another
    /// spelling where names are compared by other rules.
    pub fn contain(&self, file: &StaticFile) -> bool {
        self.headers.borrow().is(file) || self.redirects.borrow().is(file)
    }
}

/// A rule file with rules of type `T`.
struct RuleFile<T> {
    name: &'static str,
    /// The mount in which the file is, and has no effect.
    mount: Option<SitePath<'static>>,
    path: Option<SitePath<'static>>,
    answered: Option<Answered>,
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
            answered: None,
            has_failed: false,
            file: None,
            rules: None,
        }
    }

    /// Returns the rules, if there are any. Reads the file again if it may have changed.
    fn current(
        &mut self,
        site: &Site<Representation>,
        clock: &Clock,
        parse: impl Fn(&[u8]) -> (Option<T>, Vec<LineError>),
    ) -> Option<Rc<T>> {
        if self.answered.as_ref().is_none_or(|answered| !site.holds(answered, clock)) {
            self.refresh(site, clock, parse);
        }
        self.rules.clone()
    }

    fn refresh(
        &mut self,
        site: &Site<Representation>,
        clock: &Clock,
        parse: impl Fn(&[u8]) -> (Option<T>, Vec<LineError>),
    ) {
        let Some(path) = &self.path else { return };
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
        self.answered = Some(site.answered(path, clock));
        let version = |file: &Rc<StaticFile>| file.metadata.version;
        if found.as_ref().map(version) != self.file.as_ref().map(version) {
            self.rules = found.as_ref().and_then(|file| self.parse(file, parse)).map(Rc::new);
        }
        self.file = found;
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
