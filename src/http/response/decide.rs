//! Decides which response a request gets. No other module does this.

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use super::{answer::Answer, plan::Plan, relative::relative_link};
use crate::{
    http::{
        HeaderPolicy, Method, NotFoundPage, PreconditionResult, Preconditions, Refusal, Representation,
        Request, RequestInfo, SiteHeaders, Status, Validators, Vary, negotiation::range::Ranges,
        request::fields::Persistence,
    },
    site_path::SitePath,
};

/// The bytes of a query that no URL may contain (RFC 3986 section 3.4). Clients send them all the
/// same.
pub const QUERY: &AsciiSet = &CONTROLS
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

const CHANGED: Refusal =
    Refusal::new(Status::PreconditionFailed, "The file does not meet the request's precondition.");

impl<'a> Plan<'a> {
    /// Plans the response to a request for a file: the whole file, ranges of the file, or a 304 or
    /// 412 response. `file` is the variant that the client prefers. The rules of `policy` and
    /// `site` may set fields about its content.
    pub fn file(
        request: &Request<'_>,
        file: &'a Representation,
        policy: &HeaderPolicy,
        site: Option<&SiteHeaders>,
    ) -> Plan<'a> {
        let mut plan = match &request.fields.preconditions {
            None => Plan::new(&request.info, Answer::File(file)),
            Some(preconditions) => Plan::conditional_file(request, preconditions, file, policy, site),
        };
        plan.vary = plan.vary.and(Vary::ACCEPT_ENCODING);
        plan
    }

    /// Plans the response to a request with conditional or range fields.
    fn conditional_file(
        request: &Request<'_>,
        preconditions: &Preconditions<'_>,
        file: &'a Representation,
        policy: &HeaderPolicy,
        site: Option<&SiteHeaders>,
    ) -> Plan<'a> {
        let info = &request.info;
        match preconditions.evaluate(&file.validators) {
            PreconditionResult::Proceed => {}
            PreconditionResult::NotModified => return Plan::new(info, Answer::NotModified(Some(file))),
            PreconditionResult::Failed => return Plan::refuse(info, CHANGED, None),
        }
        // `Range` is defined only for GET (RFC 9110 section 14.2).
        let has_ranges = info.method == Method::Get && file.has_length;
        let ranges = match &preconditions.range {
            Some(value) if has_ranges && preconditions.allows_range(&file.validators) => {
                Ranges::of(value, file.len)
            }
            _ => Ranges::Ignored,
        };
        let answer = match ranges {
            // Clients disagree about whether a content coding applies to each range or to the whole
            // multipart body.
            Ranges::Multiple(_) if file.coding.is_some() => Answer::File(file),
            // Content fields set by header rules would belong in each part of the multipart body.
            Ranges::Multiple(_) if policy.describes_content(site, info) => Answer::File(file),
            Ranges::Multiple(_) if file.has_suffix => Answer::File(file),
            Ranges::Ignored => Answer::File(file),
            // A client that sends `If-Range` has the fields of the file (RFC 9110 section 15.3.7).
            // The content coding stays beside the bytes that it applies to.
            Ranges::Single(range) if preconditions.if_range.is_some() && file.coding.is_none() => {
                Answer::NextFileRange(file, range)
            }
            Ranges::Single(range) => Answer::FileRange(file, range),
            Ranges::Multiple(ranges) => Answer::FileRanges(file, ranges),
            Ranges::Unsatisfiable => Answer::RangeNotSatisfiable(file),
        };
        Plan::new(info, answer)
    }

    /// Plans a redirect to `path` that keeps the query of the request.
    ///
    /// The URL is relative to the URL of the request. It is built from normalized paths, so it
    /// never leads to another host, even if the path in the request starts with `//`.
    pub fn redirect(request: &Request<'_>, path: &SitePath<'_>) -> Plan<'a> {
        let location = relative_link(request.path(), &path.to_string());
        let query = request.query().map(|query| format!("?{}", percent_encode(query, QUERY)));
        let location = format!("{location}{}", query.unwrap_or_default());
        Plan::new(&request.info, Answer::Redirect(Status::MovedPermanently, location))
    }

    /// Plans a redirect of a rule, with this `status`. `location` is a URL on another server, or a
    /// normalized path in the site, perhaps with a query and a fragment. A path becomes relative to
    /// that of the request.
    pub fn redirect_by_rule(request: &RequestInfo<'_>, status: Status, location: String) -> Plan<'a> {
        let location = match request.path {
            Some(requested) if location.starts_with('/') => {
                let (path, rest) = location.split_at(location.find(['?', '#']).unwrap_or(location.len()));
                relative_link(requested, path) + rest
            }
            _ => location,
        };
        Plan::new(request, Answer::Redirect(status, location))
    }

    /// Evaluates the preconditions of a request for a listing, which has no validators (RFC 9110
    /// sections 13.1.1 and 13.1.2). Returns the plan for a 304 or 412 response, or `None` if the
    /// listing can be sent.
    pub fn instead_of_listing(request: &Request<'_>) -> Option<Plan<'a>> {
        let info = &request.info;
        let plan = match request.fields.preconditions.as_ref()?.evaluate(&Validators::default()) {
            PreconditionResult::Proceed => return None,
            PreconditionResult::NotModified => Plan::new(info, Answer::NotModified(None)),
            PreconditionResult::Failed => Plan::refuse(info, CHANGED, None),
        };
        Some(plan.varying(Vary::ACCEPT))
    }

    /// Plans a response with a listing of this media type. The listing is generated while it is
    /// sent.
    pub fn listing(request: &RequestInfo<'_>, media_type: &'static str) -> Plan<'a> {
        Plan::new(request, Answer::Listing(media_type)).varying(Vary::ACCEPT)
    }

    /// Plans a response with a stream of events, which has no end.
    pub fn event_stream(request: &RequestInfo<'_>) -> Plan<'a> {
        Plan::new(request, Answer::EventStream)
    }

    /// Plans the response to an OPTIONS request (RFC 9110 section 9.3.7).
    pub fn options(request: &RequestInfo<'_>) -> Plan<'a> {
        Plan::new(request, Answer::Allow)
    }

    /// Plans the 404 response to a request for a path at which there is nothing, because of `why`.
    /// `above` is the nearest directory above that has a page. The built-in page is HTML if the
    /// client asks for HTML by name, as browsers do, and otherwise a line of text.
    pub fn not_found(request: &Request<'a>, why: &'static str, above: Option<SitePath<'a>>) -> Plan<'a> {
        let page = NotFoundPage { path: request.path(), above, why };
        Plan::new(&request.info, Answer::NotFound(page, request.asks_for_html())).varying(Vary::ACCEPT)
    }

    /// Plans the response for a refusal. `page` is the site's own error page, if there is one.
    pub fn refuse(request: &RequestInfo<'_>, refusal: Refusal, page: Option<&'a Representation>) -> Plan<'a> {
        let answer = match page {
            Some(page) => Answer::CustomErrorPage(refusal, page),
            None => Answer::ErrorPage(refusal),
        };
        let mut plan = Plan::new(request, answer);
        if refusal.status == Status::NotAcceptable {
            plan.vary = Vary::ACCEPT_ENCODING;
        }
        if !refusal.persists {
            (plan.persistence, plan.is_refused) = (Persistence::Close, true);
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Coding, RenderContext, ResponseBody, Validators, locate, parse};

    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn request(line: &str, fields: &str) -> Request<'static> {
        let input = format!("{line}\r\nHost: a\r\n{fields}\r\n").leak();
        parse(input.as_bytes()).expect("no refusal").expect("a whole request").0
    }

    fn rendered(plan: &Plan<'_>) -> String {
        let mut out = Vec::new();
        let cx = RenderContext {
            date: DATE,
            policy: &HeaderPolicy::default(),
            site_headers: None,
            keep_alive: b"Keep-Alive: timeout=5\r\n",
            request: &RequestInfo::unparsed(b""),
        };
        let head = plan.render(&cx, &mut out);
        assert!(out[..head].ends_with(b"\r\n\r\n"));
        String::from_utf8(out).expect("text")
    }

    fn representation() -> Representation {
        Representation::new(5, "text/plain".into(), None, Validators::of_test("tag"))
    }

    #[test]
    fn plan_of_a_file() {
        let file = representation();
        let plan = Plan::file(&request("GET / HTTP/1.1", ""), &file, &HeaderPolicy::default(), None);
        let expected = "HTTP/1.1 200 OK\r\nServer: oneloop\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Keep-Alive: timeout=5\r\nContent-Length: 5\r\nContent-Type: text/plain\r\nETag: \"tag\"\r\nAccept-Ranges: bytes\r\n\
             Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\nVary: Accept-Encoding\r\n\r\n";
        assert_eq!(rendered(&plan), expected);
        assert!(plan.persists());
        assert_eq!(plan.body, ResponseBody::File(0..5));
        let head = Plan::file(&request("HEAD / HTTP/1.1", ""), &file, &HeaderPolicy::default(), None);
        assert_eq!(rendered(&head), expected, "HEAD has the head of GET");
        assert_eq!(head.body, ResponseBody::Empty);
    }

    #[test]
    fn plan_of_a_file_of_unknown_length() {
        let file = Representation::of_unknown_length("text/plain".into(), Some(Coding::Gzip));
        let fields = "Range: bytes=0-\r\nIf-None-Match: \"\"\r\n";
        let plan = |line: &str| Plan::file(&request(line, fields), &file, &HeaderPolicy::default(), None);
        let chunked = plan("GET / HTTP/1.1");
        let text = rendered(&chunked);
        let expected =
            "Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nCache-C";
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains(expected), "{text}");
        assert!(!text.contains("Content-Length") && !text.contains("Accept-Ranges"), "{text}");
        assert_eq!(chunked.body, ResponseBody::Generated { is_chunked: true });
        assert!(chunked.persists() && chunked.body_len().is_none());
        let head = plan("HEAD / HTTP/1.1");
        assert_eq!((rendered(&head), &head.body), (text, &ResponseBody::Empty));

        let old = plan("GET / HTTP/1.0\r\nConnection: keep-alive");
        assert!(!rendered(&old).contains("Transfer-Encoding") && !old.persists());
        assert_eq!(old.body, ResponseBody::Generated { is_chunked: false });
    }

    #[test]
    fn plan_states_whether_the_connection_persists() {
        let table = [
            ("GET / HTTP/1.1", "", None),
            ("GET / HTTP/1.1", "Connection: close\r\n", Some("close")),
            ("GET / HTTP/1.0", "", Some("close")),
            ("GET / HTTP/1.0", "Connection: keep-alive\r\n", Some("keep-alive")),
            ("POST / HTTP/1.1", "Content-Length: 99999\r\n", Some("close")),
        ];
        let file = representation();
        for (line, fields, expected) in table {
            let plan = Plan::file(&request(line, fields), &file, &HeaderPolicy::default(), None);
            let text = rendered(&plan);
            let said = text.split("\r\n").find_map(|line| line.strip_prefix("Connection: "));
            assert_eq!(said, expected, "{line} {fields:?}");
            assert_eq!(plan.persists(), said != Some("close"));
            assert_eq!(plan.persists(), text.contains("\r\nKeep-Alive: timeout=5\r\n"));
            let mut plan = plan;
            plan.close();
            assert!(rendered(&plan).contains("\r\nConnection: close\r\n"));
        }
    }

    #[test]
    fn redirect_keeps_host_and_query() {
        let table = [
            ("/docs", "docs/"),
            ("/docs?a=b&c", "docs/?a=b&c"),
            ("/docs?", "docs/?"),
            ("/docs?<x>\"|\\^`{}[]%zz'", "docs/?%3Cx%3E%22%7C%5C%5E%60%7B%7D%5B%5D%zz'"),
            ("//evil.example", "/evil.example/"),
            ("/.//evil.example", "/evil.example/"),
            ("/\\evil.example", "%5Cevil.example/"),
            ("/%5cevil.example", "%5Cevil.example/"),
            ("/%0d%0aSet-Cookie:x", "%0D%0ASet-Cookie%3Ax/"),
            ("/a%20b/%c3%a9%25", "%C3%A9%25/"),
            ("http://evil.example/docs?q", "docs/?q"),
        ];
        for (target, expected) in table {
            let request = request(&format!("GET {target} HTTP/1.1"), "");
            let path = target.strip_prefix("http://evil.example").unwrap_or(target);
            let path = path.split('?').next().unwrap_or_default();
            let path = locate(path.as_bytes()).expect("a path").into_directory();
            let text = rendered(&Plan::redirect(&request, &path));
            assert!(text.contains(&format!("\r\nLocation: {expected}\r\n")), "{target}: {text}");
            assert!(text.contains("\r\nContent-Length: 0\r\n"), "{text}");
        }
    }

    #[test]
    fn redirect_is_relative_to_the_request() {
        let table = [
            ("/docs/index.html", "/docs/", "./"),
            ("/index.html", "/", "./"),
            ("/docs/about.html", "/docs/about", "about"),
            ("/a/../docs/about.html", "/docs/about", "/docs/about"),
            ("/", "/app/", "app/"),
            ("/app", "/app/", "app/"),
            ("/deep/page", "/app/", "../app/"),
        ];
        for (from, to, expected) in table {
            let request = request(&format!("GET {from} HTTP/1.1"), "");
            let text = rendered(&Plan::redirect(&request, &locate(to.as_bytes()).expect("a path")));
            assert!(text.contains(&format!("\r\nLocation: {expected}\r\n")), "{from}: {text}");
        }
    }

    #[test]
    fn refusals() {
        let get = request("GET / HTTP/1.1", "");
        let text = rendered(&Plan::refuse(&get.info, Refusal::NOT_FOUND, None));
        let (head, page) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", page.len())), "{head}");
        assert!(page.contains("<h1>404 Not Found</h1>") && page.contains(Refusal::NOT_FOUND.why), "{page}");

        let head_only =
            rendered(&Plan::refuse(&request("HEAD / HTTP/1.1", "").info, Refusal::NOT_FOUND, None));
        assert_eq!(head_only, format!("{head}\r\n\r\n"));

        let file = representation();
        let own = Plan::refuse(&get.info, Refusal::NOT_FOUND, Some(&file));
        assert_eq!(own.body, ResponseBody::File(0..5));
        let text = rendered(&own);
        assert!(text.contains("\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"), "{text}");
        assert!(!text.contains("ETag"), "it is no version of what was asked for: {text}");

        let post = request("POST / HTTP/1.1", "");
        let refusal = post.validate().expect_err("a refusal");
        assert!(
            rendered(&Plan::refuse(&post.info, refusal, None)).contains("\r\nAllow: GET, HEAD, OPTIONS\r\n")
        );
        assert!(rendered(&Plan::refuse(&get.info, Refusal::BUSY, None)).contains("\r\nRetry-After: 1\r\n"));
    }

    #[test]
    fn refused_input_ends_the_connection() {
        let plan = Plan::refuse(&RequestInfo::unparsed(b"GET /"), Refusal::bad("Because."), None);
        assert!(!plan.persists());
        assert!(rendered(&plan).ends_with("<p>Because.</p>\n"));
        for head in [&b"HEAD /"[..], b"\r\nHEAD /"] {
            assert!(
                rendered(&Plan::refuse(&RequestInfo::unparsed(head), Refusal::bad("Because."), None))
                    .ends_with("\r\n\r\n")
            );
        }
    }

    #[test]
    fn options() {
        let text = rendered(&Plan::options(&request("OPTIONS * HTTP/1.1", "").info));
        assert!(text.starts_with("HTTP/1.1 204 No Content\r\n"), "{text}");
        assert!(
            text.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n") && !text.contains("Content-Length"),
            "{text}"
        );
    }

    #[test]
    fn plan_of_a_range_a_304_and_a_416() {
        let file = representation();
        let render = |line: &str, fields: &str| {
            let request = request(line, fields);
            let plan = Plan::file(&request, &file, &HeaderPolicy::default(), None);
            (rendered(&plan), plan.body)
        };
        let (part, content) = render("GET / HTTP/1.1", "Range: bytes=1-3\r\n");
        assert!(part.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{part}");
        assert!(
            part.contains("\r\nContent-Length: 3\r\nContent-Range: bytes 1-3/5\r\nContent-Type: "),
            "{part}"
        );
        assert_eq!(content, ResponseBody::File(1..4));

        let (whole, content) = render("HEAD / HTTP/1.1", "Range: bytes=1-3\r\n");
        assert!(whole.contains("\r\nContent-Length: 5\r\n"), "HEAD ignores it: {whole}");
        assert_eq!(content, ResponseBody::Empty);

        let (copy, content) = render("GET / HTTP/1.1", "If-None-Match: \"tag\"\r\nRange: bytes=1-3\r\n");
        assert!(copy.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{copy}");
        assert!(copy.contains("\r\nETag: \"tag\"\r\n") && copy.contains("\r\nCache-Control: "), "{copy}");
        assert!(!copy.contains("Content-Length") && !copy.contains("Content-Type:"), "{copy}");
        assert!(copy.ends_with("\r\n\r\n") && content == ResponseBody::Empty);

        let (none, _) = render("GET / HTTP/1.1", "Range: bytes=5-\r\n");
        assert!(none.starts_with("HTTP/1.1 416 Range Not Satisfiable\r\n"), "{none}");
        assert!(none.contains("\r\nContent-Range: bytes */5\r\n"), "{none}");

        let (failed, _) = render("GET / HTTP/1.1", "If-Match: \"other\"\r\n");
        assert!(failed.starts_with("HTTP/1.1 412 Precondition Failed\r\n"), "{failed}");
        let (changed, _) = render("GET / HTTP/1.1", "If-Range: \"other\"\r\nRange: bytes=1-3\r\n");
        assert!(changed.starts_with("HTTP/1.1 200 OK\r\n"), "{changed}");
        let (lines, _) = render("GET / HTTP/1.1", "If-None-Match: \"x\"\r\nIf-None-Match: \"tag\"\r\n");
        assert!(lines.starts_with("HTTP/1.1 304 "), "two lines are one list: {lines}");
    }
}
