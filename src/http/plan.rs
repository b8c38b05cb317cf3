//! What to send: the one place where responses are decided on. [`render`](super::render) writes them.

use std::ops::Range;

use super::{
    conditional::Verdict,
    facts::{Facts, Validators},
    fields::{Persistence, Version},
    listing::Listing,
    multipart::Multipart,
    negotiate::Vary,
    policy::Policy,
    range::{Part, Ranges},
    refusal::Refusal,
    request::{Method, Request},
    status::Status,
    target::SitePath,
};

/// A response, decided on and not yet sent.
#[derive(Debug)]
pub struct Plan<'a> {
    pub status: Status,
    pub payload: Payload<'a>,
    /// Whether the body is sent: not in answer to HEAD.
    pub has_body: bool,
    /// Which request fields decided on it.
    pub vary: Vary,
    /// The file stands in for one that is missing.
    pub(super) is_stand_in: bool,
    pub(super) persistence: Persistence,
}

/// What a response carries.
#[derive(Debug)]
pub enum Payload<'a> {
    /// The file that these facts are about.
    File(&'a Facts),
    /// A part of it.
    Part { facts: &'a Facts, part: Part },
    /// Several parts of it, in one body.
    Parts { facts: &'a Facts, parts: Vec<Part> },
    /// Nothing: the peer has a copy of it that is still good.
    Copy(&'a Facts),
    /// The names in a directory: made on the way, so that its length is not known.
    Listing { listing: &'a Listing, is_chunked: bool },
    /// A refusal of a part that the file has not.
    NoSuchPart(&'a Facts),
    /// A refusal, with a page of ours.
    Page(Refusal),
    /// A refusal, with the page that the site has for it.
    SitePage(&'a Facts),
    /// The methods that can be used.
    Methods,
    /// Nothing: the peer wants it only if it were not there.
    Nothing,
    /// Where to go instead.
    Redirect(String),
}

const CHANGED: Refusal =
    Refusal::new(Status::PreconditionFailed, "The file is not the one that the request means.");
pub const NO_SUCH_PART: Refusal = Refusal::new(Status::RangeNotSatisfiable, "The file has no such part.");

impl<'a> Plan<'a> {
    /// The file, as asked for: whole, in part, or not at all where the peer's copy is still good. It was chosen among its
    /// variants.
    pub fn file(request: &Request<'_>, facts: &'a Facts, policy: &Policy) -> Plan<'a> {
        Plan::of_file(request, facts, policy).varying(Vary::ACCEPT_ENCODING)
    }

    fn of_file(request: &Request<'_>, facts: &'a Facts, policy: &Policy) -> Plan<'a> {
        let whole = Plan::answer(request, Status::Ok, Payload::File(facts));
        let Some(conditions) = &request.fields.conditions else { return whole };
        match conditions.evaluate(&facts.validators) {
            Verdict::Proceed => {}
            Verdict::NotModified => return Plan::answer(request, Status::NotModified, Payload::Copy(facts)),
            Verdict::Failed => return Plan::refuse(request, CHANGED, None),
        }
        // Range is defined for GET alone (RFC 9110 §14.2).
        let ranges = match &conditions.range {
            Some(value) if request.method == Method::Get && conditions.allows_range(&facts.validators) => {
                Ranges::of(value, facts.len)
            }
            _ => Ranges::Whole,
        };
        match ranges {
            // Whether the coding is that of the parts or of what holds them, readers do not agree.
            Ranges::Parts(_) if facts.coding.is_some() => whole,
            // What the operator says of the content would have to stand in each part.
            Ranges::Parts(_) if policy.is_about_content(request) => whole,
            Ranges::Whole => whole,
            Ranges::Part(part) => {
                Plan::answer(request, Status::PartialContent, Payload::Part { facts, part })
            }
            Ranges::Parts(parts) => {
                Plan::answer(request, Status::PartialContent, Payload::Parts { facts, parts })
            }
            Ranges::Unsatisfiable => {
                Plan::answer(request, Status::RangeNotSatisfiable, Payload::NoSuchPart(facts))
            }
        }
    }

    /// What was asked for is at `path`. The address is made of a path of ours, so that it never leads to another host,
    /// whatever the request's began with.
    pub fn redirect(request: &Request<'_>, path: &SitePath<'_>) -> Plan<'a> {
        let query = request.query().map(|query| format!("?{}", String::from_utf8_lossy(query)));
        let location = format!("{path}{}", query.unwrap_or_default());
        Plan::answer(request, Status::MovedPermanently, Payload::Redirect(location))
    }

    /// What preconditions make of a directory's listing, which has no version that a tag could name (§13.1.1, §13.1.2).
    /// `None`: it can be listed.
    pub fn instead_of_listing(request: &Request<'_>) -> Option<Plan<'a>> {
        let plan = match request.fields.conditions.as_ref()?.evaluate(&Validators::default()) {
            Verdict::Proceed => return None,
            Verdict::NotModified => Plan::answer(request, Status::NotModified, Payload::Nothing),
            Verdict::Failed => Plan::refuse(request, CHANGED, None),
        };
        Some(plan.varying(Vary::ACCEPT))
    }

    /// The names in a directory.
    pub fn listing(request: &Request<'_>, listing: &'a Listing) -> Plan<'a> {
        // HTTP/1.0 knows no chunks: there, the end of the connection ends the body (RFC 9112 §6.3).
        let is_chunked = request.version == Version::Http11;
        let plan = Plan::answer(request, Status::Ok, Payload::Listing { listing, is_chunked });
        let plan = if is_chunked || !plan.has_body { plan } else { plan.closing() };
        plan.varying(Vary::ACCEPT)
    }

    /// What can be asked for (RFC 9110 §9.3.7).
    pub fn options(request: &Request<'_>) -> Plan<'a> {
        Plan::answer(request, Status::NoContent, Payload::Methods)
    }

    /// A refusal of a request that was understood, with the site's own page for it if it has one.
    pub fn refuse(request: &Request<'_>, refusal: Refusal, page: Option<&'a Facts>) -> Plan<'a> {
        let payload = page.map_or(Payload::Page(refusal), Payload::SitePage);
        let plan = Plan::answer(request, refusal.status, payload);
        let plan = match refusal.status {
            Status::NotAcceptable => plan.varying(Vary::ACCEPT_ENCODING),
            _ => plan,
        };
        if refusal.persists { plan } else { plan.closing() }
    }

    /// A refusal of input in which no request was found; what begins like a HEAD is answered like one.
    pub fn refuse_input(input: &[u8], refusal: Refusal) -> Plan<'a> {
        Plan {
            status: refusal.status,
            payload: Payload::Page(refusal),
            is_stand_in: false,
            has_body: !input.strip_prefix(b"\r\n").unwrap_or(input).starts_with(b"HEAD "),
            vary: Vary::NOTHING,
            persistence: Persistence::Close,
        }
    }

    fn answer(request: &Request<'_>, status: Status, payload: Payload<'a>) -> Plan<'a> {
        let persistence = if request.persists() { request.persistence } else { Persistence::Close };
        let has_body = request.method != Method::Head;
        Plan { status, payload, has_body, vary: Vary::NOTHING, is_stand_in: false, persistence }
    }

    /// The same, and `vary` had a say in it, too.
    pub fn varying(self, vary: Vary) -> Plan<'a> {
        Plan { vary: self.vary.and(vary), ..self }
    }

    /// The same, and the file is not the one at its address: what is said of that does not hold for it.
    pub fn standing_in(self) -> Plan<'a> {
        Plan { is_stand_in: true, ..self }
    }

    /// The same, and the connection ends with it.
    pub fn closing(self) -> Plan<'a> {
        Plan { persistence: Persistence::Close, ..self }
    }

    /// Whether the connection goes on after it.
    pub fn persists(&self) -> bool {
        self.persistence != Persistence::Close
    }

    /// Whether it is a refusal after which nothing is understood any more.
    pub fn is_final(&self) -> bool {
        matches!(&self.payload, Payload::Page(refusal) if !refusal.persists)
    }

    /// How long the body is that is sent; `None`: it is made on the way.
    pub fn body_len(&self) -> Option<u64> {
        match &self.payload {
            _ if !self.has_body => Some(0),
            Payload::File(facts) | Payload::SitePage(facts) => Some(facts.len),
            Payload::Part { part, .. } => Some(part.length()),
            Payload::Parts { facts, parts } => Some(Multipart { facts, parts }.length()),
            Payload::Page(refusal) => Some(refusal.page_len()),
            Payload::NoSuchPart(_) => Some(NO_SUCH_PART.page_len()),
            Payload::Listing { .. } => None,
            Payload::Copy(_) | Payload::Methods | Payload::Nothing | Payload::Redirect(_) => Some(0),
        }
    }

    /// Which bytes of a file are sent behind the head; none where no file is, or several parts of it are.
    pub fn content(&self) -> Range<u64> {
        match self.payload {
            Payload::File(facts) | Payload::SitePage(facts) if self.has_body => 0..facts.len,
            Payload::Part { part, .. } if self.has_body => part.first..part.last + 1,
            _ => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::render::Occasion;
    use crate::http::{Validators, locate, parse};

    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn request(line: &str, fields: &str) -> Request<'static> {
        let input = format!("{line}\r\nHost: a\r\n{fields}\r\n").leak();
        parse(input.as_bytes()).expect("no refusal").expect("a whole request").0
    }

    fn rendered(plan: &Plan<'_>) -> String {
        let mut out = Vec::new();
        let policy = Policy::default();
        let head = plan.render(&Occasion { date: DATE, policy: &policy, request: None }, &mut out);
        assert!(out[..head].ends_with(b"\r\n\r\n"));
        String::from_utf8(out).expect("text")
    }

    fn facts() -> Facts {
        Facts::new(5, "text/plain".into(), None, Validators::of_test("tag"))
    }

    #[test]
    fn a_file() {
        let facts = facts();
        let plan = Plan::file(&request("GET / HTTP/1.1", ""), &facts, &Policy::default());
        let expected = "HTTP/1.1 200 OK\r\nServer: oneloop\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Length: 5\r\nContent-Type: text/plain\r\nETag: \"tag\"\r\nAccept-Ranges: bytes\r\n\
             Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\nVary: Accept-Encoding\r\n\r\n";
        assert_eq!(rendered(&plan), expected);
        assert!(plan.persists());
        assert_eq!(plan.content(), 0..5);
        let head = Plan::file(&request("HEAD / HTTP/1.1", ""), &facts, &Policy::default());
        assert_eq!(rendered(&head), expected, "HEAD has the head of GET");
        assert!(head.content().is_empty());
    }

    #[test]
    fn what_is_said_of_the_connection() {
        let table = [
            ("GET / HTTP/1.1", "", None),
            ("GET / HTTP/1.1", "Connection: close\r\n", Some("close")),
            ("GET / HTTP/1.0", "", Some("close")),
            ("GET / HTTP/1.0", "Connection: keep-alive\r\n", Some("keep-alive")),
            ("POST / HTTP/1.1", "Content-Length: 99999\r\n", Some("close")),
        ];
        let facts = facts();
        for (line, fields, expected) in table {
            let plan = Plan::file(&request(line, fields), &facts, &Policy::default());
            let text = rendered(&plan);
            let said = text.split("\r\n").find_map(|line| line.strip_prefix("Connection: "));
            assert_eq!(said, expected, "{line} {fields:?}");
            assert_eq!(plan.persists(), said != Some("close"));
            assert!(rendered(&plan.closing()).contains("\r\nConnection: close\r\n"));
        }
    }

    #[test]
    fn a_redirect_stays_here_and_keeps_the_query() {
        let table = [
            ("/docs", "/docs/"),
            ("/docs?a=b&c", "/docs/?a=b&c"),
            ("/docs?", "/docs/?"),
            ("//evil.example", "/evil.example/"),
            ("/.//evil.example", "/evil.example/"),
            ("/\\evil.example", "/%5Cevil.example/"),
            ("/%5cevil.example", "/%5Cevil.example/"),
            ("/%0d%0aSet-Cookie:x", "/%0D%0ASet-Cookie%3Ax/"),
            ("/a%20b/%c3%a9%25", "/a%20b/%C3%A9%25/"),
            ("http://evil.example/docs?q", "/docs/?q"),
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
    fn refusals() {
        let get = request("GET / HTTP/1.1", "");
        let text = rendered(&Plan::refuse(&get, Refusal::NOT_FOUND, None));
        let (head, page) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", page.len())), "{head}");
        assert!(page.contains("<h1>404 Not Found</h1>") && page.contains(Refusal::NOT_FOUND.why), "{page}");

        let head_only = rendered(&Plan::refuse(&request("HEAD / HTTP/1.1", ""), Refusal::NOT_FOUND, None));
        assert_eq!(head_only, format!("{head}\r\n\r\n"));

        let facts = facts();
        let own = Plan::refuse(&get, Refusal::NOT_FOUND, Some(&facts));
        assert_eq!(own.content(), 0..5);
        let text = rendered(&own);
        assert!(text.contains("\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"), "{text}");
        assert!(!text.contains("ETag"), "it is no version of what was asked for: {text}");

        let post = request("POST / HTTP/1.1", "");
        let refusal = post.admit().expect_err("a refusal");
        assert!(rendered(&Plan::refuse(&post, refusal, None)).contains("\r\nAllow: GET, HEAD, OPTIONS\r\n"));
        assert!(rendered(&Plan::refuse(&get, Refusal::BUSY, None)).contains("\r\nRetry-After: 1\r\n"));
    }

    #[test]
    fn refused_input_ends_the_connection() {
        let plan = Plan::refuse_input(b"GET /", Refusal::bad("Because."));
        assert!(!plan.persists());
        assert!(rendered(&plan).ends_with("<p>Because.</p>\n"));
        for head in [&b"HEAD /"[..], b"\r\nHEAD /"] {
            assert!(rendered(&Plan::refuse_input(head, Refusal::bad("Because."))).ends_with("\r\n\r\n"));
        }
    }

    #[test]
    fn options() {
        let text = rendered(&Plan::options(&request("OPTIONS * HTTP/1.1", "")));
        assert!(text.starts_with("HTTP/1.1 204 No Content\r\n"), "{text}");
        assert!(
            text.contains("\r\nAllow: GET, HEAD, OPTIONS\r\n") && !text.contains("Content-Length"),
            "{text}"
        );
    }

    #[test]
    fn a_part_a_copy_and_neither() {
        let facts = facts();
        let render = |line: &str, fields: &str| {
            let request = request(line, fields);
            let plan = Plan::file(&request, &facts, &Policy::default());
            (rendered(&plan), plan.content())
        };
        let (part, content) = render("GET / HTTP/1.1", "Range: bytes=1-3\r\n");
        assert!(part.starts_with("HTTP/1.1 206 Partial Content\r\n"), "{part}");
        assert!(
            part.contains("\r\nContent-Length: 3\r\nContent-Range: bytes 1-3/5\r\nContent-Type: "),
            "{part}"
        );
        assert_eq!(content, 1..4);

        let (whole, content) = render("HEAD / HTTP/1.1", "Range: bytes=1-3\r\n");
        assert!(whole.contains("\r\nContent-Length: 5\r\n"), "HEAD ignores it: {whole}");
        assert!(content.is_empty());

        let (copy, content) = render("GET / HTTP/1.1", "If-None-Match: \"tag\"\r\nRange: bytes=1-3\r\n");
        assert!(copy.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{copy}");
        assert!(copy.contains("\r\nETag: \"tag\"\r\n") && copy.contains("\r\nCache-Control: "), "{copy}");
        assert!(!copy.contains("Content-Length") && !copy.contains("Content-Type:"), "{copy}");
        assert!(copy.ends_with("\r\n\r\n") && content.is_empty());

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
