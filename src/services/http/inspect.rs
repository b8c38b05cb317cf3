//! Responses of the load target that follow from the request's fields, and most of which show a
//! client its own request.
//!
//! A browser must not run them: they are never sniffed, and a sandbox keeps a document from
//! scripts. Pages of other sites must not read them, so they get no fields of CORS.

use std::{borrow::Cow, rc::Rc};

use super::{
    reply::{Outcome, Reply},
    representation::StaticFile,
};
use crate::{
    http::{Method, Plan, RawRequest, Representation, Request, ResponseBody, Status, Validators},
    protocol::{InputBudget, InputShare},
    services::target::{Credentials, InspectedRequest, Inspection, LoadTarget, TargetRedirect},
};

/// The field line that keeps a browser from running anything in a response.
const SANDBOX: &str = "Content-Security-Policy: sandbox; default-src 'none'\r\n";

/// The body of a request, or its head if it has no body, and the field lines of the response with
/// it.
pub struct EchoedRequest {
    pub fields: String,
    pub bytes: Box<[u8]>,
    /// The memory that the bytes take, until all of them are in the outbox.
    pub share: InputShare,
}

impl EchoedRequest {
    /// Creates the echo of a valid request with these bytes. Returns `None` if the connections
    /// together keep too much input.
    pub fn of(message: &[u8], input: &InputBudget) -> Option<EchoedRequest> {
        let raw = RawRequest::split(message);
        let has_body = raw.field("Content-Length").or(raw.field("Transfer-Encoding")).is_some();
        let sent = raw.field("Content-Type").and_then(|value| std::str::from_utf8(value).ok());
        let (media_type, bytes) = match has_body {
            false => ("text/plain", Cow::Borrowed(raw.head())),
            true => {
                let is_plain = |value: &&str| value.is_ascii() && !value.is_empty();
                (sent.filter(is_plain).unwrap_or("application/octet-stream"), raw.body())
            }
        };
        let fields = format!("Content-Type: {media_type}\r\n{SANDBOX}");
        let share = input.take(bytes.len())?;
        Some(EchoedRequest { fields, bytes: bytes.into_owned().into(), share })
    }
}

impl Reply<'_, '_> {
    /// Sends what `inspection` shows of the request, or a 405 if the request has another method.
    pub(super) fn send_inspection(
        self,
        target: &LoadTarget,
        inspection: Inspection,
        request: &Request<'_>,
    ) -> Outcome {
        let line = self.request.line;
        let method = &line[..memchr::memchr(b' ', line).unwrap_or(line.len())];
        let methods = inspection.methods();
        if !methods.iter().any(|allowed| allowed.as_bytes() == method) {
            return self.list_methods(Status::MethodNotAllowed, methods);
        }
        let raw = RawRequest::split(self.message);
        let query = request.query();
        let path_and_query = match query {
            Some(query) => [request.path(), b"?", query].concat(),
            None => request.path().to_owned(),
        };
        let peer = self.entries.as_ref().and_then(|entries| entries.peer());
        let inspected = InspectedRequest {
            raw,
            method,
            origin: self.request.client.or(peer),
            url: target.url(request.host, &path_and_query),
            query: query.unwrap_or_default(),
        };
        let page = inspected.json(inspection);
        self.send_json(page)
    }

    /// Sends the methods that a request may have, with this `status`.
    pub(super) fn list_methods(self, status: Status, methods: &[&str]) -> Outcome {
        let fields = format!("Allow: {}, OPTIONS\r\n", methods.join(", "));
        let plan = Plan::made(self.request, status, fields, ResponseBody::Empty);
        self.send(plan, None)
    }

    /// Sends a file of `len` bytes, the alphabet again and again, or ranges of it.
    pub(super) fn send_range(self, len: u64, methods: &[&str], request: &Request<'_>) -> Outcome {
        if !matches!(request.info.method, Method::Get | Method::Head) {
            return self.list_methods(Status::MethodNotAllowed, methods);
        }
        let content: Vec<u8> = (b'a'..=b'z').cycle().take(usize::try_from(len).unwrap_or(0)).collect();
        let validators = Validators { tag: format!("\"range{len}\""), ..Validators::default() };
        let description = Representation::new(len, "application/octet-stream".into(), None, validators);
        let file = Rc::new(StaticFile::generated(content.into(), description));
        let plan = Plan::file(request, &file.description, &self.http.policy, None);
        self.send(plan, Some(&file))
    }

    /// Sends a redirect to another path of the load target.
    pub(super) fn send_target_redirect(
        self,
        target: &LoadTarget,
        redirect: &TargetRedirect,
        request: &Request<'_>,
    ) -> Outcome {
        let mut location = format!("{}{}", target.path(), redirect.to);
        if redirect.is_absolute && request.host.is_some() {
            location = target.url(request.host, location.as_bytes());
        }
        let fields = format!("Location: {location}\r\n");
        let plan = Plan::made(self.request, Status::Found, fields, ResponseBody::Empty);
        self.send(plan, None)
    }

    /// Checks the credentials of the request, and sends a 401 if they are not right.
    pub(super) fn check_credentials(self, credentials: &Credentials) -> Outcome {
        match credentials.json(RawRequest::split(self.message).field("Authorization")) {
            Some(page) => self.send_json(page),
            None => {
                let fields = format!("WWW-Authenticate: {}\r\n", credentials.challenge());
                let plan = Plan::made(self.request, Status::Unauthorized, fields, ResponseBody::Empty);
                self.send(plan, None)
            }
        }
    }

    /// Sends JSON that is for this client alone.
    fn send_json(self, json: String) -> Outcome {
        let fields = format!("Content-Type: application/json\r\n{SANDBOX}");
        let body = ResponseBody::Page(json.into_bytes());
        let plan = Plan::made(self.request, Status::Ok, fields, body).private();
        self.send(plan, None)
    }
}
