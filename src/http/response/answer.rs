//! The kinds of responses, and the parts of each kind: status, field lines, body, and scope of
//! header rules. A new kind needs one more arm in [`Plan::new`].

use std::borrow::Cow;

use super::{
    made,
    plan::{Plan, Recorded, ResponseBody},
};
use crate::http::{
    ByteRange, ByteRanges, Method, NotFoundPage, Refusal, Representation, RequestInfo, Status, Vary,
    policy::header_rules::HeaderScope,
    request::fields::{Persistence, Version},
};

/// The kinds of responses.
#[derive(Debug)]
pub enum Answer<'a> {
    /// 200 with the file, whose length may be unknown.
    File(&'a Representation),
    /// 206 with one range of the file.
    FileRange(&'a Representation, ByteRange),
    /// 206 with one range of a file of which the client has another part.
    NextFileRange(&'a Representation, ByteRange),
    /// 206 with several ranges of the file.
    FileRanges(&'a Representation, Vec<ByteRange>),
    /// 304: the client's copy is current. `None` for a listing.
    NotModified(Option<&'a Representation>),
    /// 416: no requested range contains a byte of the file.
    RangeNotSatisfiable(&'a Representation),
    /// A refusal with the built-in error page.
    ErrorPage(Refusal),
    /// A refusal with the site's own error page.
    CustomErrorPage(Refusal, &'a Representation),
    /// 404 with the built-in page, as HTML or as text.
    NotFound(NotFoundPage<'a>, bool),
    /// 200 with a listing of this media type.
    Listing(&'static str),
    /// 200 with events that are sent when they happen.
    EventStream,
    /// 204 with the allowed methods.
    Allow,
    /// A redirect to this URL, with this status.
    Redirect(Status, String),
    /// This status, with these field lines and a body that a service makes for this request.
    Made(Status, Cow<'static, str>, ResponseBody),
}

const RANGE_NOT_SATISFIABLE: Refusal =
    Refusal::new(Status::RangeNotSatisfiable, "The file does not have the requested range.");
/// The field line that lists the methods of a file server.
const ALLOW: &str = "Allow: GET, HEAD, OPTIONS\r\n";
/// The field lines of an event stream (HTML standard, "Server-sent events"). nginx buffers a
/// response unless the second one tells it not to.
const EVENT_STREAM: &str = "Content-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n";
/// The Content-Security-Policy for listings, so that no file name can run as a script.
const LISTING_CSP: &str = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n";

/// The header rule scope for responses whose body is the bytes of a file.
const CONTENT: HeaderScope =
    HeaderScope { content: true, freshness: true, csp: true, no_store: false, private: false };
/// The header rule scope for other responses about a file.
const ABOUT_FILE: HeaderScope = HeaderScope { content: false, ..CONTENT };
/// The header rule scope for responses that are not about a file.
const OTHER: HeaderScope = HeaderScope { freshness: false, ..ABOUT_FILE };
/// The header rule scope for responses that must not be stored.
pub(super) const UNSTORED: HeaderScope = HeaderScope { no_store: true, ..OTHER };

impl<'a> Plan<'a> {
    /// Creates the plan for the response `answer` to `request`.
    pub(super) fn new(request: &RequestInfo<'_>, answer: Answer<'a>) -> Plan<'a> {
        let mut plan = match answer {
            Answer::File(file) if !file.has_length => {
                generated(request.version, "").file_fields(file.fields(), CONTENT)
            }
            Answer::File(file) => Plan::with_body(Status::Ok, ResponseBody::File(0..file.len), file.len)
                .file_fields(file.fields(), CONTENT),
            Answer::FileRange(file, range) => file_range(file, range, file.partial_fields()),
            Answer::NextFileRange(file, range) => file_range(file, range, file.next_part_fields()),
            Answer::FileRanges(file, ranges) => file_ranges(file, ranges),
            Answer::NotModified(Some(file)) => {
                Plan::empty(Status::NotModified).file_fields(file.not_modified_fields(), ABOUT_FILE)
            }
            Answer::NotModified(None) => Plan::empty(Status::NotModified),
            Answer::RangeNotSatisfiable(file) => {
                error_page(RANGE_NOT_SATISFIABLE, &format!("Content-Range: bytes */{}\r\n", file.len))
            }
            Answer::ErrorPage(refusal) => match refusal.status {
                Status::MethodNotAllowed => error_page(refusal, ALLOW),
                Status::ServiceUnavailable => error_page(refusal, "Retry-After: 1\r\n"),
                _ => error_page(refusal, ""),
            },
            Answer::CustomErrorPage(refusal, page) => {
                let Representation { media_type, len, .. } = page;
                Plan::with_body(refusal.status, ResponseBody::File(0..*len), *len)
                    .fields(format!("Content-Type: {media_type}\r\nContent-Length: {len}\r\n"))
            }
            Answer::NotFound(page, is_html) => not_found(&page, is_html),
            Answer::Listing(media_type) => listing(media_type, request.version),
            Answer::EventStream => generated(request.version, EVENT_STREAM),
            Answer::Allow => Plan::empty(Status::NoContent).fields(ALLOW),
            Answer::Redirect(status, location) => {
                Plan::empty(status).fields(format!("Location: {location}\r\nContent-Length: 0\r\n"))
            }
            Answer::Made(status, fields, body) => made::plan(status, &fields, body, request.version),
        };
        // The response to HEAD has the same fields as the response to GET, but no body (RFC 9110
        // section 9.3.2).
        if request.method == Method::Head {
            (plan.body, plan.len) = (ResponseBody::Empty, Some(0));
        }
        plan.is_refused = !request.is_complete;
        // Without chunked coding, only closing the connection can end a body of unknown length (RFC
        // 9112 section 6.3).
        let ends_body = plan.body == ResponseBody::Generated { is_chunked: false };
        if request.persists() && !ends_body {
            plan.persistence = request.persistence;
        }
        plan
    }

    /// Returns a plan without a body.
    pub(super) fn empty(status: Status) -> Plan<'a> {
        Plan::with_body(status, ResponseBody::Empty, 0)
    }

    /// Returns a plan with a body of `len` bytes. By default, the connection closes after the body.
    pub(super) fn with_body(status: Status, body: ResponseBody, len: u64) -> Plan<'a> {
        Plan {
            status,
            body,
            fields: Cow::Borrowed(""),
            file_fields: b"",
            vary: Vary::NOTHING,
            scope: OTHER,
            persistence: Persistence::Close,
            len: Some(len),
            is_refused: false,
            recorded: Recorded::Everywhere,
        }
    }

    /// Sets the field lines that are specific to this response.
    pub(super) fn fields(self, fields: impl Into<Cow<'static, str>>) -> Plan<'a> {
        Plan { fields: fields.into(), ..self }
    }

    /// Sets the field lines of the file, and the scope of header rules.
    fn file_fields(self, file_fields: &'a [u8], scope: HeaderScope) -> Plan<'a> {
        Plan { file_fields, scope, ..self }
    }
}

/// Returns the plan for a 206 response with one range, and the field lines `fields` of the file.
fn file_range<'a>(file: &Representation, range: ByteRange, fields: &'a [u8]) -> Plan<'a> {
    let ByteRange { first, last } = range;
    let (len, total) = (range.length(), file.len);
    Plan::with_body(Status::PartialContent, ResponseBody::File(first..last + 1), len)
        .fields(format!("Content-Length: {len}\r\nContent-Range: bytes {first}-{last}/{total}\r\n"))
        .file_fields(fields, CONTENT)
}

/// Returns the plan for a 206 response with several ranges.
fn file_ranges(file: &Representation, ranges: Vec<ByteRange>) -> Plan<'_> {
    let body = ByteRanges { file, ranges: &ranges };
    let (len, media_type) = (body.length(), body.media_type());
    Plan::with_body(Status::PartialContent, ResponseBody::FileRanges(ranges), len)
        .fields(format!("Content-Length: {len}\r\nContent-Type: {media_type}\r\n"))
        .file_fields(file.not_modified_fields(), ABOUT_FILE)
}

/// Returns the plan for a refusal with the built-in error page. `fields` are additional field
/// lines.
fn error_page(refusal: Refusal, fields: &str) -> Plan<'static> {
    let len = refusal.page_len();
    Plan::with_body(refusal.status, ResponseBody::ErrorPage(refusal), len)
        .fields(format!("{fields}Content-Type: text/html; charset=utf-8\r\nContent-Length: {len}\r\n"))
}

/// Returns the plan for a 404 response with the built-in page.
fn not_found<'a>(page: &NotFoundPage<'_>, is_html: bool) -> Plan<'a> {
    let (page, fields) = match is_html {
        true => (page.html(), "Content-Type: text/html; charset=utf-8\r\nContent-Length: "),
        false => (page.text(), "Content-Type: text/plain; charset=utf-8\r\nContent-Length: "),
    };
    let len = page.len() as u64;
    Plan::with_body(Status::NotFound, ResponseBody::Page(page), len).fields(format!("{fields}{len}\r\n"))
}

/// Returns the plan for a listing, whose length is not known in advance.
fn listing(media_type: &str, version: Version) -> Plan<'static> {
    let plan = generated(version, &format!("Content-Type: {media_type}\r\n{LISTING_CSP}"));
    Plan { scope: HeaderScope { csp: false, ..OTHER }, ..plan }
}

/// Returns the plan for a 200 response whose length is not known in advance. `fields` are
/// additional field lines.
pub(super) fn generated<'a>(version: Version, fields: &str) -> Plan<'a> {
    // HTTP/1.0 has no chunked coding (RFC 9112 section 6.3).
    let is_chunked = version == Version::Http11;
    let chunked = if is_chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
    let body = ResponseBody::Generated { is_chunked };
    let plan = Plan::with_body(Status::Ok, body, 0).fields(format!("{fields}{chunked}"));
    Plan { len: None, ..plan }
}
