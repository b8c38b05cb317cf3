//! The operator's policy: the header fields that are added to responses for caching, CORS and
//! header rules. This module also contains the host allow-list and the trusted proxies.

pub mod cors;
pub mod header_rules;
pub mod host_allowlist;
pub mod media_type_rules;
pub mod path_pattern;
pub mod peer_network;
pub mod redirects;
pub mod rule_file;
pub mod site_headers;
pub mod trusted_proxies;

use percent_encoding::percent_decode;

use self::{
    cors::Cors,
    header_rules::{HeaderRule, HeaderScope, check_value},
    site_headers::SiteHeaders,
};
use super::{RequestInfo, Vary, locate};

/// The header fields that the operator adds to responses.
#[derive(Debug, Clone)]
pub struct HeaderPolicy {
    /// The field lines for every file: `Cache-Control`, `X-Content-Type-Options` and perhaps
    /// `Cross-Origin-Resource-Policy`.
    file_fields: Box<[u8]>,
    /// The field lines for all other responses. They must not be cached without revalidation,
    /// because a missing file may be created at any time.
    other_fields: Box<[u8]>,
    /// The field lines for responses that must not be stored.
    unstored_fields: Box<[u8]>,
    cors: Option<Cors>,
    rules: Vec<HeaderRule>,
}

impl Default for HeaderPolicy {
    fn default() -> HeaderPolicy {
        HeaderPolicy {
            file_fields: DEFAULT_FIELDS.into(),
            other_fields: DEFAULT_FIELDS.into(),
            unstored_fields: UNSTORED_FIELDS.into(),
            cors: None,
            rules: Vec::new(),
        }
    }
}

/// The default field lines.
const DEFAULT_FIELDS: &[u8] = b"Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n";
/// The field lines for responses that must not be stored.
const UNSTORED_FIELDS: &[u8] = b"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
/// The field line that keeps pages of other sites from loading a response, also if the browser does
/// not send `Sec-Fetch-Site` (Fetch standard). `same-origin` would be too strict: during
/// development, a page of one port of localhost often uses files of another one. Such pages come
/// from this machine as well.
const SAME_SITE: &[u8] = b"Cross-Origin-Resource-Policy: same-site\r\n";

impl HeaderPolicy {
    /// Creates a policy. `cache_control` is the `Cache-Control` value for every file.
    ///
    /// # Errors
    /// Returns an error if `cache_control` is not a valid field value.
    pub fn new(
        cache_control: &str,
        cors: Option<Cors>,
        rules: Vec<HeaderRule>,
    ) -> Result<HeaderPolicy, header_rules::RuleError> {
        check_value(cache_control)?;
        let file_fields = format!("Cache-Control: {cache_control}\r\nX-Content-Type-Options: nosniff\r\n");
        Ok(HeaderPolicy {
            file_fields: file_fields.into_bytes().into(),
            cors,
            rules,
            ..HeaderPolicy::default()
        })
    }

    /// Adds a field to every response that keeps pages of other sites from loading it.
    pub fn for_same_site(mut self) -> HeaderPolicy {
        for fields in [&mut self.file_fields, &mut self.other_fields, &mut self.unstored_fields] {
            *fields = [fields, SAME_SITE].concat().into();
        }
        self
    }

    /// Returns whether a header rule, or one of the `site`, sets a content field for the file that
    /// `request` asks for.
    pub fn describes_content(&self, site: Option<&SiteHeaders>, request: &RequestInfo<'_>) -> bool {
        (!self.rules.is_empty() || site.is_some()) && {
            let path = path_of(request.path.unwrap_or_default());
            self.rules.iter().any(|rule| rule.describes_content(&path))
                || site.is_some_and(|site| site.describes_content(&path))
        }
    }

    /// Appends the operator's field lines to the head that starts at offset `head` in `out`.
    /// `scope` selects the rules, and `vary` names the request fields that influenced the response.
    /// Rules of the operator come after those of the `site`, and so replace them.
    pub fn append(
        &self,
        site: Option<&SiteHeaders>,
        scope: HeaderScope,
        mut vary: Vary,
        request: &RequestInfo<'_>,
        head: usize,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(match scope {
            HeaderScope { freshness: true, .. } => &self.file_fields,
            HeaderScope { no_store: true, .. } => &self.unstored_fields,
            _ => &self.other_fields,
        });
        if let (Some(cors), Some(_), false) = (&self.cors, request.path, scope.private) {
            vary = vary.and(cors.append(request, out));
        }
        vary.append(out);
        if (!self.rules.is_empty() || site.is_some())
            && let Some(path) = request.path
        {
            let path = path_of(path);
            if let Some(site) = site {
                site.apply(scope, &path, head, out);
            }
            for rule in &self.rules {
                if let Some(captures) = rule.applies(scope, &path) {
                    rule.field().set(&captures, head, out);
                }
            }
        }
    }
}

/// Returns the decoded and normalized path, for comparison with patterns. An invalid path is
/// decoded but not normalized.
fn path_of(path: &[u8]) -> Vec<u8> {
    match locate(path) {
        Ok(path) => [b"/", path.bytes()].concat(),
        Err(_) => percent_decode(path).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Request, parse};

    fn request(line: &str, fields: &str) -> Request<'static> {
        let input = format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").leak();
        parse(input.as_bytes()).expect("no refusal").expect("a whole request").0
    }

    const OF_FILE: HeaderScope =
        HeaderScope { content: true, freshness: true, csp: true, no_store: false, private: false };
    const ABOUT_FILE: HeaderScope = HeaderScope { content: false, ..OF_FILE };
    const OF_PAGE: HeaderScope = HeaderScope { content: false, freshness: false, ..OF_FILE };
    const UNSTORED: HeaderScope = HeaderScope { no_store: true, ..OF_PAGE };

    fn lines(policy: &HeaderPolicy, scope: HeaderScope, vary: Vary, request: &Request<'_>) -> Vec<String> {
        let mut out = b"before\r\n\r\nHTTP/1.1 200 OK\r\nServer: oneloop\r\nContent-Type: a\r\n".to_vec();
        policy.append(None, scope, vary, &request.info, 10, &mut out);
        let text = String::from_utf8(out).expect("text");
        text.strip_prefix("before\r\n\r\nHTTP/1.1 200 OK\r\n")
            .expect("the rest is untouched")
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn header_rule_that_applies_last_wins() {
        let rules = [
            "X-A: 1",
            "/b* X-A: 2",
            "Content-Type: text/x",
            "Cache-Control: max-age=1",
            "Link: <a>",
            "Link: <b>",
            "server: mine",
        ];
        let rules = rules.map(|line| HeaderRule::parse(line).expect(line)).to_vec();
        let policy = HeaderPolicy::new("no-store", None, rules).expect("a policy");
        let a = request("GET /a", "");
        let file =
            ["X-Content-Type-Options: nosniff", "Vary: Accept-Encoding", "X-A: 1", "Content-Type: text/x"];
        let rest = ["Cache-Control: max-age=1", "Link: <a>", "Link: <b>", "server: mine"];
        assert_eq!(lines(&policy, OF_FILE, Vary::ACCEPT_ENCODING, &a), [&file[..], &rest].concat());
        let b = request("GET /%62", "");
        let page = [
            "Content-Type: a",
            "Cache-Control: no-cache",
            "X-Content-Type-Options: nosniff",
            "X-A: 2",
            "Link: <a>",
            "Link: <b>",
            "server: mine",
        ];
        assert_eq!(lines(&policy, OF_PAGE, Vary::NOTHING, &b), page);
        let copy =
            ["Content-Type: a", "X-Content-Type-Options: nosniff", "X-A: 2", "Cache-Control: max-age=1"];
        assert_eq!(lines(&policy, ABOUT_FILE, Vary::NOTHING, &b)[..4], copy);
    }

    #[test]
    fn policy_for_same_site_is_in_every_response_and_can_be_replaced() {
        let policy = |rules| HeaderPolicy::new("no-store", None, rules).expect("a policy").for_same_site();
        let request = request("GET /", "");
        let said = |policy: &HeaderPolicy, scope| {
            let lines = lines(policy, scope, Vary::NOTHING, &request);
            lines
                .into_iter()
                .filter_map(|line| Some(line.strip_prefix("Cross-Origin-Resource-Policy: ")?.to_owned()))
                .collect::<Vec<_>>()
        };
        for scope in [OF_FILE, ABOUT_FILE, OF_PAGE, UNSTORED] {
            assert_eq!(said(&policy(Vec::new()), scope), ["same-site"]);
            let rule = HeaderRule::parse("Cross-Origin-Resource-Policy: cross-origin").expect("a rule");
            assert_eq!(said(&policy(vec![rule]), scope), ["cross-origin"]);
        }
    }

    #[test]
    fn header_rule_does_not_change_the_csp_of_a_listing() {
        let policy = "Content-Security-Policy: default-src 'self'";
        let rules = vec![HeaderRule::parse(policy).expect("a line")];
        let added = HeaderPolicy::new("no-cache", None, rules).expect("a policy");
        let request = request("GET /", "");
        let says = |scope| lines(&added, scope, Vary::NOTHING, &request).iter().any(|line| line == policy);
        assert!(says(OF_FILE) && says(OF_PAGE));
        assert!(!says(HeaderScope { csp: false, ..OF_PAGE }));
    }

    #[test]
    fn cors_allows_configured_origins() {
        let policy = |cors| HeaderPolicy::new("no-cache", Some(cors), Vec::new()).expect("a policy");
        let some = policy(Cors::Origins(vec!["http://localhost:3000".into(), "null".into()]));
        let any_origin = policy(Cors::AnyOrigin);
        let start = [
            "Server: oneloop",
            "Content-Type: a",
            "Cache-Control: no-cache",
            "X-Content-Type-Options: nosniff",
        ];
        let check = |policy: &HeaderPolicy, line: &str, fields: &str, expected: &[&str]| {
            let request = request(line, fields);
            let got = lines(policy, OF_PAGE, Vary::NOTHING, &request);
            assert_eq!(got, [&start, expected].concat(), "{line} {fields:?}");
        };
        let preflight = [
            "Access-Control-Allow-Methods: GET, HEAD, OPTIONS",
            "Access-Control-Allow-Headers: *, Authorization",
            "Access-Control-Max-Age: 600",
        ];
        let expose = "Access-Control-Expose-Headers: *";
        let headers = "Origin: http://localhost:3000\r\nAccess-Control-Request-Method: GET\r\n";
        let anybody = "Access-Control-Allow-Origin: *";
        let one = "Access-Control-Allow-Origin: http://localhost:3000";
        check(&any_origin, "GET /", "", &[anybody, expose]);
        check(&any_origin, "OPTIONS /", headers, &[&[anybody][..], &preflight].concat());
        check(&any_origin, "GET /", headers, &[anybody, expose]);
        check(&some, "GET /", "", &["Vary: Origin"]);
        check(&some, "GET /", "Origin: http://localhost:3001\r\n", &["Vary: Origin"]);
        check(&some, "GET /", "Origin: http://localhost:3000\r\n", &[one, expose, "Vary: Origin"]);
        check(
            &some,
            "GET /",
            "Origin: null\r\n",
            &["Access-Control-Allow-Origin: null", expose, "Vary: Origin"],
        );
        check(&some, "OPTIONS /", headers, &[&[one][..], &preflight, &["Vary: Origin"]].concat());
    }
}
