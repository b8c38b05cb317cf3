//! Rules that redirect or rewrite requests, in the format of the `_redirects` files of Netlify and
//! Cloudflare Pages: `from [name=value] to [status][!]`.
//!
//! A rule must never lead to a host that its text does not name, and never to a path that a client
//! could not request.

use std::fmt;

use percent_encoding::{percent_decode, utf8_percent_encode};

use super::{
    path_pattern::{Captures, PathPattern, PatternError, Template, placeholder},
    rule_file::{LineError, LineProblem, RuleLines},
};
use crate::{
    http::{Authority, Status, request::target::locate, response::decide::QUERY},
    site_path::SitePath,
};

/// The maximum number of rules in a file.
const MAX_RULES: usize = 2000;
/// The maximum number of query parameters of a request that are compared with a rule.
const MAX_PARAMETERS: usize = 64;

/// A rule that redirects or rewrites the requests for some paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectRule {
    from: PathPattern,
    /// The query parameters that a request must have.
    parameters: Vec<Parameter>,
    /// What follows the scheme and the host, up to the query.
    path: Template,
    /// The scheme and the host of a target on another server.
    origin: Option<String>,
    /// The query with its question mark, if the target has one.
    query: Option<Template>,
    /// The fragment with its number sign, or nothing.
    fragment: Template,
    action: Action,
    is_forced: bool,
}

/// A query parameter that a request must have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    key: String,
    /// The value, or the name of a capture.
    value: Result<String, String>,
}

/// What a rule does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Redirect with this status.
    Redirect(Status),
    /// Send another file.
    Rewrite,
    /// Send a 404 with this page.
    NotFound,
}

/// What the rules say about a request.
#[derive(Debug, PartialEq, Eq)]
pub struct RedirectMatch {
    /// What to do.
    pub target: RedirectTarget,
    /// Whether the rule applies even if there is a file at the requested path.
    pub is_forced: bool,
}

/// What to send in response to a request that matches a rule.
#[derive(Debug, PartialEq, Eq)]
pub enum RedirectTarget {
    /// A redirect with this status and `Location`.
    Location(Status, String),
    /// The file at this path in the site.
    File(SitePath<'static>),
    /// A 404 with the page at this path in the site.
    NotFound(SitePath<'static>),
}

/// The reason why a [`RedirectRule`] is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectError {
    /// There is no target.
    MissingTarget,
    /// The source is not a path.
    InvalidSource,
    /// The source path is not a valid pattern.
    Pattern(PatternError),
    /// The target is neither a path in the site nor an `http` or `https` URL.
    InvalidTarget,
    /// The host of the target would come from the request.
    HostFromRequest,
    /// The status is not one of those that a rule can have.
    InvalidStatus,
    /// The target of a rewrite is on another server.
    Proxy,
    /// The rule depends on something that is not supported, such as a country.
    Condition,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RedirectError::MissingTarget => "a rule needs a path and a target, such as /old /new",
            RedirectError::InvalidSource => "a rule begins with a path such as /old",
            RedirectError::Pattern(error) => return error.fmt(f),
            RedirectError::InvalidTarget => {
                "the target is neither a path such as /new nor an http:// or https:// URL"
            }
            RedirectError::HostFromRequest => "a placeholder cannot be in the host of the target",
            RedirectError::InvalidStatus => "the status is none of 200, 301, 302, 303, 307, 308 and 404",
            RedirectError::Proxy => {
                "a target on another host needs a redirect status, because oneloop is not a proxy"
            }
            RedirectError::Condition => "conditions are not supported",
        })
    }
}

impl std::error::Error for RedirectError {}

/// An ordered list of rules. The first one that matches decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirects {
    rules: Vec<RedirectRule>,
}

impl Redirects {
    /// Creates a list of `rules`.
    pub fn new(rules: Vec<RedirectRule>) -> Redirects {
        Redirects { rules }
    }

    /// Parses the content of a `_redirects` file. Returns the rules and the errors in the file.
    pub fn parse(content: &[u8]) -> (Redirects, Vec<LineError>) {
        let mut redirects = Redirects::default();
        let mut lines = RuleLines::new(content);
        while let Some(line) = lines.next_line() {
            let Ok(line) = line else { continue };
            if redirects.rules.len() >= MAX_RULES {
                lines.report(LineProblem::TooManyRules(MAX_RULES));
                break;
            }
            match RedirectRule::parse(line) {
                Ok(rule) => redirects.rules.push(rule),
                Err(error) => lines.report(LineProblem::Redirect(error)),
            }
        }
        (redirects, lines.errors)
    }

    /// Returns whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns what the first rule that matches says about a request for `path` in the site, whose
    /// root has the URL path `base`. A trailing slash of the path does not matter.
    pub fn find(
        &self,
        path: &SitePath<'_>,
        query: Option<&[u8]>,
        base: &SitePath<'_>,
    ) -> Option<RedirectMatch> {
        if self.rules.is_empty() {
            return None;
        }
        let exact = [b"/", path.bytes()].concat();
        let other = match exact.strip_suffix(b"/") {
            Some(without) => without.to_vec(),
            None => [&exact[..], b"/"].concat(),
        };
        let parameters = parameters(query.unwrap_or_default());
        self.rules.iter().find_map(|rule| {
            let captures = rule.from.matches(&exact).or_else(|| rule.from.matches(&other))?;
            let captures = rule.match_parameters(captures, &parameters)?;
            let target = rule.target(&captures, path, query, base)?;
            Some(RedirectMatch { target, is_forced: rule.is_forced })
        })
    }
}

impl RedirectRule {
    /// Parses a rule, `from [name=value] to [status][!]`. The status is 301 if there is none.
    ///
    /// # Errors
    /// Returns a [`RedirectError`] if a part is not valid or not supported.
    pub fn parse(text: &str) -> Result<RedirectRule, RedirectError> {
        let mut words = text.split_ascii_whitespace().take_while(|word| !word.starts_with('#')).peekable();
        let source = words.next().filter(|word| word.starts_with('/')).ok_or(RedirectError::InvalidSource)?;
        let from = PathPattern::parse(source).map_err(RedirectError::Pattern)?;
        if from.stars() > 1 {
            return Err(RedirectError::Pattern(PatternError::SecondStar));
        }
        let mut parameters = Vec::new();
        while let Some(word) = words.next_if(|word| !word.starts_with('/') && !word.contains("://")) {
            parameters.push(Parameter::parse(word).ok_or(RedirectError::InvalidTarget)?);
        }
        let target = words.next().ok_or(RedirectError::MissingTarget)?;
        let (action, is_forced) = match words.next() {
            Some(word) if !word.contains('=') => action(word)?,
            Some(_) => return Err(RedirectError::Condition),
            None => (Action::Redirect(Status::MovedPermanently), false),
        };
        if words.next().is_some() {
            return Err(RedirectError::Condition);
        }
        RedirectRule::with_target(from, parameters, target, action, is_forced)
    }

    fn with_target(
        from: PathPattern,
        parameters: Vec<Parameter>,
        target: &str,
        action: Action,
        is_forced: bool,
    ) -> Result<RedirectRule, RedirectError> {
        let names: Vec<String> = parameters.iter().filter_map(|known| known.value.clone().err()).collect();
        let template = |text: &str| {
            let encoded = utf8_percent_encode(text, QUERY).to_string();
            Template::parse(&encoded, Some(&from), &names)
        };
        let (target, fragment) = split_before(target, '#');
        let (target, query) = split_before(target, '?');
        let (origin, path) = match target.split_once("://") {
            Some((scheme, rest)) => {
                let (host, path) = split_before(rest, '/');
                if !matches!(scheme, "http" | "https") || Authority::parse(host.as_bytes()).is_err() {
                    return Err(RedirectError::InvalidTarget);
                }
                if template(host).has_captures() {
                    return Err(RedirectError::HostFromRequest);
                }
                (Some(format!("{scheme}://{host}")), path)
            }
            None => (None, target),
        };
        // A browser takes `//host` and `/\host` for another host.
        let is_in_site = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
        let leads_up = path.split('/').any(|name| name == "..");
        match (&origin, action) {
            (None, _) if !is_in_site || leads_up => return Err(RedirectError::InvalidTarget),
            (Some(_), Action::Rewrite | Action::NotFound) => return Err(RedirectError::Proxy),
            _ => {}
        }
        let query = Some(query).filter(|query| !query.is_empty()).map(template);
        let (path, fragment) = (template(path), template(fragment));
        Ok(RedirectRule { parameters, path, origin, query, fragment, action, is_forced, from })
    }

    /// Adds the query parameters that the rule names to `captures`. Returns `None` if the request
    /// lacks one of them.
    fn match_parameters<'m>(
        &'m self,
        mut captures: Captures<'m>,
        given: &'m [(Vec<u8>, Vec<u8>)],
    ) -> Option<Captures<'m>> {
        for Parameter { key, value } in &self.parameters {
            let mut values =
                given.iter().filter(|(known, _)| known == key.as_bytes()).map(|(_, value)| value);
            match value {
                Ok(value) => values.any(|given| given == value.as_bytes()).then_some(())?,
                Err(name) => captures.push((name, values.next()?)),
            }
        }
        Some(captures)
    }

    /// Returns the target for a request, or `None` if the rule leads back to the same URL or to a
    /// path that no file can have.
    fn target(
        &self,
        captures: &Captures<'_>,
        path: &SitePath<'_>,
        query: Option<&[u8]>,
        base: &SitePath<'_>,
    ) -> Option<RedirectTarget> {
        let expand = |template: &Template| {
            let mut out = Vec::new();
            template.expand(captures, &mut out).then_some(out).and_then(|out| String::from_utf8(out).ok())
        };
        let to = expand(&self.path)?;
        // Parsing the path as that of a request resolves every way to write another host or to lead
        // out of the site.
        let in_site = || locate(to.as_bytes()).ok().map(SitePath::into_owned);
        let status = match self.action {
            Action::Rewrite => return in_site().map(RedirectTarget::File),
            Action::NotFound => return in_site().map(RedirectTarget::NotFound),
            Action::Redirect(status) => status,
        };
        let (mut location, is_same_path) = match &self.origin {
            Some(origin) => (format!("{origin}{to}"), false),
            None => {
                let to = in_site()?;
                let is_same_path = to == *path;
                (to.with_base(base).to_string(), is_same_path)
            }
        };
        match (&self.query, query) {
            (Some(own), query) => {
                let own = expand(own)?;
                if is_same_path && own.as_bytes().get(1..) == query {
                    return None;
                }
                location.push_str(&own);
            }
            (None, _) if is_same_path => return None,
            // The parameters that the rule names are used up.
            (None, Some(query)) if self.parameters.is_empty() => {
                location.push('?');
                location.extend(percent_encoding::percent_encode(query, QUERY));
            }
            _ => {}
        }
        location.push_str(&expand(&self.fragment)?);
        Some(RedirectTarget::Location(status, location))
    }
}

impl Parameter {
    /// Parses `key=value` or `key=:name`.
    fn parse(text: &str) -> Option<Parameter> {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty())?;
        let value = match placeholder(value) {
            Some((name, "")) => Err(name.to_owned()),
            _ => Ok(value.to_owned()),
        };
        Some(Parameter { key: key.to_owned(), value })
    }
}

/// Parses a status, with an exclamation mark if the rule is forced.
fn action(word: &str) -> Result<(Action, bool), RedirectError> {
    let (code, is_forced) = word.strip_suffix('!').map_or((word, false), |code| (code, true));
    let action = match code {
        "200" => Action::Rewrite,
        "404" => Action::NotFound,
        "301" => Action::Redirect(Status::MovedPermanently),
        "302" => Action::Redirect(Status::Found),
        "303" => Action::Redirect(Status::SeeOther),
        "307" => Action::Redirect(Status::TemporaryRedirect),
        "308" => Action::Redirect(Status::PermanentRedirect),
        _ => return Err(RedirectError::InvalidStatus),
    };
    Ok((action, is_forced))
}

/// Splits `text` before the first `separator`, or at its end.
fn split_before(text: &str, separator: char) -> (&str, &str) {
    text.split_at(text.find(separator).unwrap_or(text.len()))
}

/// Returns the decoded parameters in a query.
fn parameters(query: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let decode = |text: &[u8]| {
        let text: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&text).collect::<Vec<u8>>()
    };
    let pairs = query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).take(MAX_PARAMETERS);
    let split = |pair: &[u8]| {
        let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        (decode(&pair[..at]), decode(pair.get(at + 1..).unwrap_or_default()))
    };
    pairs.map(split).collect()
}

#[cfg(test)]
mod tests;
