//! The load target: responses whose status, delay, length and end a request chooses, for load
//! generators and for tests of clients.
//!
//! The target owns its path, the peers that it answers, and how often each URL was requested. It
//! needs no file. What a response is like follows from its URL alone ([`Behaviour`]), and how it is
//! sent is the business of `services::http`. A request must never be able to take more memory than
//! its own length and one piece of a body.

mod access;
mod behaviour;
mod body;
mod credentials;
mod faults;
mod index;
mod inspect;
mod mix;
mod parameter_error;
mod redirect;
mod values;

use std::{cell::RefCell, num::NonZeroUsize, rc::Rc};

use lru::LruCache;
use xxhash_rust::xxh3::xxh3_128;

use self::behaviour::Behaviour;
pub use self::{
    access::PeerAccess,
    behaviour::DrawnResponse,
    body::TargetBody,
    credentials::Credentials,
    faults::{DrawnFaults, ResponseFault},
    inspect::{InspectedRequest, Inspection},
    parameter_error::ParameterError,
    redirect::TargetRedirect,
    values::MAX_TIME,
};
use crate::{
    http::{Authority, PeerNetwork, Request, TrustedProxies, locate},
    site_path::SitePath,
};

/// How many URLs the target knows. The one that has not been requested for longest is forgotten,
/// and then begins again.
const MAX_URLS: NonZeroUsize = NonZeroUsize::new(1024).expect("not 0");
/// The maximum length of the path and the query of a URL that the target knows, in bytes. The
/// behaviour of a longer one is parsed for each request, so that the memory stays small.
const MAX_KNOWN: usize = 256;

/// The methods to which most paths respond.
const ALL_METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// The load target.
pub struct LoadTarget {
    /// The path of its first page, with a trailing slash.
    path: SitePath<'static>,
    /// The scheme of its URLs.
    scheme: &'static str,
    /// The peers that it answers. Empty means this machine alone.
    from: Vec<PeerNetwork>,
    proxies: Rc<TrustedProxies>,
    /// The URLs that were requested, by their hashes.
    urls: RefCell<LruCache<u128, KnownUrl>>,
}

/// A path that belongs to the load target.
#[derive(Debug)]
pub struct TargetPath<'a> {
    path: SitePath<'a>,
    /// Where the part below the path of the target begins.
    below_at: usize,
}

impl TargetPath<'_> {
    /// Returns the path relative to the path of the target.
    fn below(&self) -> &[u8] {
        &self.path.bytes()[self.below_at..]
    }
}

/// A URL that was requested.
#[derive(Debug, Default)]
struct KnownUrl {
    /// What it asks for, unless the URL is too long.
    behaviour: Option<Behaviour>,
    requests: u64,
}

/// What a request asks the load target for.
#[derive(Debug, PartialEq)]
pub enum TargetResource {
    /// The page that lists what there is.
    Index,
    /// A redirect to that page.
    IndexRedirect,
    /// What the server has counted.
    Statistics,
    /// Whether the server takes requests.
    Health,
    /// A response that has been drawn.
    Response(DrawnResponse),
    /// What the client has sent.
    Inspection(Inspection),
    Redirect(TargetRedirect),
    /// A file of this length, which has ranges.
    Range(u64),
    /// A response to a request that has these credentials.
    Credentials(Credentials),
}

/// Why the load target does not respond as asked.
#[derive(Debug, PartialEq, Eq)]
pub enum TargetError {
    /// There is nothing at this path.
    NotFound,
    /// A parameter is not valid.
    Parameter(ParameterError),
}

impl From<ParameterError> for TargetError {
    fn from(error: ParameterError) -> TargetError {
        TargetError::Parameter(error)
    }
}

impl LoadTarget {
    /// Creates the load target at the directory `path`, whose URLs have this `scheme`. It answers
    /// the peers in `from`, or only those on this machine if `from` is empty. One of the `proxies`
    /// counts as the client that it names.
    pub fn new(
        path: SitePath<'static>,
        scheme: &'static str,
        from: Vec<PeerNetwork>,
        proxies: Rc<TrustedProxies>,
    ) -> LoadTarget {
        LoadTarget { path, scheme, from, proxies, urls: RefCell::new(LruCache::new(MAX_URLS)) }
    }

    /// Returns the path of the first page.
    pub fn path(&self) -> &SitePath<'static> {
        &self.path
    }

    /// Returns the path of `request` if it belongs to the target.
    pub fn locate<'a>(&self, request: &Request<'a>) -> Option<TargetPath<'a>> {
        let path = locate(request.path()).ok()?;
        let (bytes, own) = (path.bytes(), self.path.bytes());
        let is_own = bytes == own.strip_suffix(b"/").unwrap_or(own);
        let below_at = if is_own { bytes.len() } else { own.len() };
        (is_own || bytes.starts_with(own)).then_some(TargetPath { path, below_at })
    }

    /// Returns what `request` for `path` asks for.
    ///
    /// # Errors
    /// Fails if there is nothing at the path, or a parameter is not valid.
    pub fn resource(
        &self,
        path: &TargetPath<'_>,
        request: &Request<'_>,
    ) -> Result<TargetResource, TargetError> {
        let rest = path.below();
        let query = request.query().unwrap_or_default();
        if rest.is_empty() && query.is_empty() {
            return Ok(match path.path.is_directory() {
                true => TargetResource::Index,
                false => TargetResource::IndexRedirect,
            });
        }
        match rest {
            b"stats" => return Ok(TargetResource::Statistics),
            b"health" => return Ok(TargetResource::Health),
            _ => {}
        }
        if let Some(inspection) = Inspection::at(rest) {
            return Ok(TargetResource::Inspection(inspection));
        }
        if let Some(redirect) = TargetRedirect::at(rest, query) {
            return Ok(TargetResource::Redirect(redirect));
        }
        if let Some(len) = rest.strip_prefix(b"range/") {
            if !query.is_empty() {
                let query = String::from_utf8_lossy(query);
                return Err(ParameterError::invalid(
                    "query",
                    &query,
                    "leave it out, because a range has no parameters",
                )
                .into());
            }
            return range_len(len).map(TargetResource::Range).ok_or(TargetError::NotFound);
        }
        if let Some(credentials) = Credentials::at(rest) {
            return Ok(TargetResource::Credentials(credentials));
        }
        self.draw(rest, request.path(), query).map(TargetResource::Response)
    }

    /// Returns the methods that requests for `path` may have, besides OPTIONS.
    pub fn methods(&self, path: &TargetPath<'_>) -> &'static [&'static str] {
        match path.below() {
            b"stats" => &["GET", "HEAD", "POST"],
            rest if rest.starts_with(b"range/") => &["GET", "HEAD"],
            rest => Inspection::at(rest).map_or(ALL_METHODS, Inspection::methods),
        }
    }

    /// Returns whether the response to `request` needs its body.
    pub fn keeps_body(&self, request: &Request<'_>) -> bool {
        self.locate(request).is_some_and(|path| {
            path.below() == behaviour::ECHO
                || Inspection::at(path.below()).is_some_and(Inspection::keeps_body)
        })
    }

    /// Returns the URL of `path_and_query` at this host. A request of HTTP/1.0 may name none.
    pub fn url(&self, host: Option<Authority<'_>>, path_and_query: &[u8]) -> String {
        let (name, port) = host.map_or((&b""[..], None), |host| (host.host, host.port));
        let colon = if port.is_some() { ":" } else { "" };
        let rest = [name, colon.as_bytes(), port.unwrap_or_default(), path_and_query].concat();
        format!("{}://{}", self.scheme, String::from_utf8_lossy(&rest))
    }

    /// Draws the response to a request for the URL with `path` and `query`. `rest` is the path
    /// relative to the path of the target.
    ///
    /// What is drawn depends on the seed, and on how many requests for the URL came before. So a
    /// number of requests for a URL gets a fixed number of each status, however many connections
    /// send them and in whatever order they arrive. A number for each connection would not do:
    /// clients share the requests among their connections as it happens.
    fn draw(&self, rest: &[u8], path: &[u8], query: &[u8]) -> Result<DrawnResponse, TargetError> {
        let hash = xxh3_128(&[path, b"?", query].concat());
        let mut urls = self.urls.borrow_mut();
        if let Some(KnownUrl { behaviour: Some(behaviour), requests }) = urls.get_mut(&hash) {
            *requests += 1;
            return Ok(behaviour.draw(*requests - 1));
        }
        let behaviour = Behaviour::parse(rest, query)?;
        let is_short = path.len() + query.len() <= MAX_KNOWN;
        if !is_short && !behaviour.is_drawn() {
            return Ok(behaviour.draw(0));
        }
        let known = urls.get_or_insert_mut(hash, KnownUrl::default);
        let response = behaviour.draw(known.requests);
        known.behaviour = is_short.then_some(behaviour);
        known.requests += 1;
        Ok(response)
    }

    /// Begins a new run: what is drawn begins again for each URL.
    pub fn restart(&self) {
        self.urls.borrow_mut().clear();
    }

    /// Returns the page that lists what there is, as HTML or as text.
    pub fn index(&self, is_html: bool) -> String {
        index::page(&self.path.to_string(), is_html)
    }
}

/// Parses the length of a file that has ranges. All of it is held in memory.
fn range_len(text: &[u8]) -> Option<u64> {
    const MAX: u64 = 100 * 1024;
    values::size(std::str::from_utf8(text).ok()?).filter(|len| (1..=MAX).contains(len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{TrustedProxy, parse};

    pub fn target(path: &str, from: &[&str], proxies: &[&str]) -> LoadTarget {
        let path = locate(path.as_bytes()).expect("a path").into_owned().into_directory();
        let from = from.iter().map(|text| PeerNetwork::parse(text).expect("a network")).collect();
        let proxies = proxies.iter().map(|text| TrustedProxy::parse(text).expect("a proxy")).collect();
        LoadTarget::new(path, "http", from, Rc::new(TrustedProxies::new(proxies)))
    }

    #[test]
    fn target_has_the_paths_below_its_own() {
        let table = [
            ("/_", "/_/", true),
            ("/_", "/_", true),
            ("/_", "/_/status/503?a", true),
            ("/_", "/%5F/status/503", true),
            ("/_", "/a/../_/status/503", true),
            ("/_", "//_//status/503", true),
            ("/_", "/_a", false),
            ("/_", "/", false),
            ("/_", "/a/_/", false),
            ("/_", "/_/../a", false),
            ("/_", "/_/..", false),
            ("/_", "/_/a%2fb", false),
            ("/a/b/", "/a/b", true),
            ("/a/b/", "/a/b/c", true),
            ("/a/b/", "/a/", false),
            ("/", "/", true),
            ("/", "/status/503", true),
        ];
        for (own, path, expected) in table {
            let input = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            let (request, _) = parse(input.as_bytes()).expect("no refusal").expect("a whole request");
            assert_eq!(target(own, &[], &[]).locate(&request).is_some(), expected, "{own} and {path}");
        }
    }

    fn resource(target: &LoadTarget, path: &str) -> Result<TargetResource, TargetError> {
        let input = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let (request, _) = parse(input.as_bytes()).expect("no refusal").expect("a whole request");
        target.resource(&target.locate(&request).expect(path), &request)
    }

    #[test]
    fn target_has_a_first_page_and_responses() {
        let target = target("/_", &[], &[]);
        assert_eq!(resource(&target, "/_/"), Ok(TargetResource::Index));
        assert_eq!(resource(&target, "/_/?"), Ok(TargetResource::Index));
        assert_eq!(resource(&target, "/_"), Ok(TargetResource::IndexRedirect));
        assert_eq!(resource(&target, "/_/stats?at=1"), Ok(TargetResource::Statistics));
        assert_eq!(resource(&target, "/_/health"), Ok(TargetResource::Health));
        assert!(matches!(resource(&target, "/_/?bytes=1"), Ok(TargetResource::Response(_))));
        assert!(matches!(resource(&target, "/%5f/./status/503"), Ok(TargetResource::Response(_))));
        for path in ["/_/none", "/_/stats/", "/_/status/503/7", "/_/status", "/_/status/%FF"] {
            assert_eq!(resource(&target, path), Err(TargetError::NotFound), "{path}");
        }
    }

    #[test]
    fn requests_are_counted_for_each_url() {
        let target = target("/_", &[], &[]);
        let run = |path: &str| -> Vec<u16> {
            let status = |found| match found {
                Ok(TargetResource::Response(drawn)) => drawn.status.code(),
                other => panic!("{other:?}"),
            };
            (0..100).map(|_| status(resource(&target, path))).collect()
        };
        let first = run("/_/?status=503:50%");
        assert!(first.contains(&200) && first.contains(&503), "{first:?}");
        assert_eq!(run("/_/?status=503:50%25"), first, "another URL begins anew");
        assert_ne!(run("/_/?status=503:50%"), first, "the same URL goes on");
        let long = format!("/_/?{}status=503:50%", "&".repeat(MAX_KNOWN));
        assert_eq!(run(&long), first, "a long one is counted as well");
        assert_ne!(run(&long), first);
        target.restart();
        assert_eq!((run("/_/?status=503:50%"), run(&long)), (first.clone(), first));
    }

    #[test]
    fn target_knows_few_urls() {
        let target = target("/_", &[], &[]);
        for seed in 0..MAX_URLS.get() + 10 {
            let _ = resource(&target, &format!("/_/?bytes=1&seed={seed}"));
            let _ = resource(&target, &format!("/_/?{}bytes=1&seed={seed}", "&".repeat(MAX_KNOWN)));
            let _ = resource(&target, &format!("/_/?none={seed}"));
        }
        let urls = target.urls.borrow();
        assert_eq!(urls.len(), MAX_URLS.get());
        assert!(urls.iter().all(|(_, known)| known.behaviour.is_some()), "neither long ones nor mistakes");
    }

    proptest::proptest! {
        #[test]
        fn target_survives_whatever_a_url_contains(
            path in "(|status/|delay/|bytes/|drip|[a-z/%.]{0,6})[0-9a-zA-Z.,:%-]{0,8}",
            names in proptest::collection::vec("status|delay|bytes|over|close|seed|%73eed|[a-z-]{0,6}", 0..4),
            values in proptest::collection::vec("=?[0-9]{1,3}(ms|s|k|%)?(,[0-9]{1,3}:[0-9]{1,2}%)?|[!-~]{0,8}", 4),
        ) {
            let target = target("/_", &[], &[]);
            let pairs = names.iter().zip(&values).map(|(name, value)| format!("{name}{value}"));
            let url = format!("/_/{path}?{}", pairs.collect::<Vec<_>>().join("&"));
            let input = format!("GET {url} HTTP/1.1\r\nHost: a\r\n\r\n");
            if let Ok(Some((request, _))) = parse(input.as_bytes())
                && let Some(path) = target.locate(&request)
            {
                for _ in 0..3 {
                    if let Ok(TargetResource::Response(drawn)) = target.resource(&path, &request) {
                        assert!(drawn.delay <= values::MAX_TIME && drawn.len <= values::MAX_BYTES, "{url}");
                        assert!((200..=599).contains(&drawn.status.code()), "{url}");
                        assert!(drawn.all_statuses().any(|status| status == drawn.status), "{url}");
                    }
                }
            }
        }
    }
}
