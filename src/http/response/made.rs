//! Responses that a service makes for one request, for example the load target.

use std::{borrow::Cow, fmt::Write};

use super::{
    answer::{Answer, UNSTORED, generated},
    plan::{Plan, ResponseBody},
    render::connection_field,
};
use crate::http::{
    RequestInfo, Status,
    request::fields::{Persistence, Version},
};

/// The maximum length of the field line `Content-Length` in bytes.
const LENGTH_LINE: usize = 40;

impl<'a> Plan<'a> {
    /// Plans a response with this status, these field lines and this body, which must not be
    /// stored. The body is a `Page`, `Sized`, `Generated` or `Empty`. A status that allows no body
    /// has none.
    pub fn made(
        request: &RequestInfo<'_>,
        status: Status,
        fields: impl Into<Cow<'static, str>>,
        body: ResponseBody,
    ) -> Plan<'a> {
        Plan::new(request, Answer::Made(status, fields.into(), body))
    }

    /// Makes the response one that pages of other sites must not read, even if the operator allows
    /// them to read the others.
    pub fn private(mut self) -> Plan<'a> {
        self.scope.private = true;
        self
    }

    /// Pads the head with a field to the length of the longest one among the responses to `request`
    /// with the `statuses` that it may get. If `may_close` is set, some of them close a connection
    /// that could persist. `keep_alive` is the field line `Keep-Alive`, or nothing.
    pub fn pad_head(
        &mut self,
        statuses: impl Iterator<Item = Status>,
        may_close: bool,
        keep_alive: &[u8],
        request: &RequestInfo<'_>,
    ) {
        let connection_len = |persistence| match persistence {
            Persistence::Close => connection_field(persistence).len(),
            _ => connection_field(persistence).len() + keep_alive.len(),
        };
        let requested = if request.persists() { request.persistence } else { Persistence::Close };
        let closed = if may_close { connection_len(Persistence::Close) } else { 0 };
        let longest = statuses.map(|status| status.head().len()).max().unwrap_or_default()
            + connection_len(requested).max(closed);
        let len = self.status.head().len() + connection_len(self.persistence);
        let padding = "-".repeat(longest.saturating_sub(len));
        self.fields.to_mut().push_str(&format!("X-Padding: {padding}\r\n"));
    }
}

/// Returns the plan for a response that a service makes.
pub fn plan<'a>(status: Status, fields: &str, body: ResponseBody, version: Version) -> Plan<'a> {
    let plan = match (status, body) {
        // A 204 must have no length, and a 304 only the length of the 200 (RFC 9110 section 8.6).
        (Status::NoContent | Status::NotModified, _) => Plan::empty(status).fields(fields.to_owned()),
        (Status::ResetContent, _) => Plan::empty(status).fields(format!("{fields}Content-Length: 0\r\n")),
        (_, ResponseBody::Generated { .. }) => Plan { status, ..generated(version, fields) },
        (_, body) => {
            let len = match &body {
                ResponseBody::Page(page) => page.len() as u64,
                ResponseBody::Sized(len) => *len,
                _ => 0,
            };
            let mut text = String::with_capacity(fields.len() + LENGTH_LINE);
            text.push_str(fields);
            text.push_str("Content-Length: ");
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{len}\r");
            Plan::with_body(status, body, len).fields(text)
        }
    };
    Plan { scope: UNSTORED, ..plan }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeaderPolicy, RenderContext, parse};

    /// Returns the head of a response to a request of `version`, with `fields`.
    fn head(
        line: &str,
        fields: &str,
        act: impl FnOnce(&RequestInfo<'_>) -> Plan<'static>,
    ) -> (String, usize) {
        let input = format!("{line}\r\nHost: a\r\n{fields}\r\n");
        let (request, _) = parse(input.as_bytes()).expect("no refusal").expect("a whole request");
        let cx = RenderContext {
            date: b"Sun, 06 Nov 1994 08:49:37 GMT",
            policy: &HeaderPolicy::default(),
            site_headers: None,
            keep_alive: KEEP_ALIVE,
            request: &request.info,
        };
        let mut out = Vec::new();
        let len = act(&request.info).render(&cx, &mut out);
        (String::from_utf8(out).expect("text"), len)
    }

    const KEEP_ALIVE: &[u8] = b"Keep-Alive: timeout=5\r\n";

    #[test]
    fn made_response_has_its_length_and_is_not_stored() {
        let table = [
            (503, ResponseBody::Sized(1024), Some("1024")),
            (200, ResponseBody::Page(b"page".to_vec()), Some("4")),
            (599, ResponseBody::Empty, Some("0")),
            (204, ResponseBody::Sized(7), None),
            (304, ResponseBody::Page(b"page".to_vec()), None),
            (205, ResponseBody::Sized(7), Some("0")),
            (200, ResponseBody::Generated { is_chunked: true }, None),
        ];
        for (code, body, len) in table {
            let what = format!("{code} {body:?}");
            let is_page = code == 200 && matches!(body, ResponseBody::Page(_));
            let (text, head_len) =
                head("GET / HTTP/1.1", "", |request| Plan::made(request, Status::of(code), "A: b\r\n", body));
            let field = text.split("\r\n").find_map(|line| line.strip_prefix("Content-Length: "));
            assert_eq!(field, len, "{what}");
            assert!(
                text.starts_with(&format!("HTTP/1.1 {code} ")) && text.contains("\r\nA: b\r\n"),
                "{text}"
            );
            assert!(text.contains("\r\nCache-Control: no-store\r\n"), "{text}");
            assert_eq!(text.len() - head_len, if is_page { 4 } else { 0 }, "{what}");
        }
    }

    #[test]
    fn heads_are_evened_out() {
        let statuses = [200, 503, 429, 599].map(Status::of);
        let requests = [
            ("GET / HTTP/1.1", ""),
            ("GET / HTTP/1.1", "Connection: close\r\n"),
            ("GET / HTTP/1.0", "Connection: keep-alive\r\n"),
            ("HEAD / HTTP/1.1", ""),
        ];
        for (line, fields) in requests {
            for may_close in [false, true] {
                let lens = statuses.iter().flat_map(|status| {
                    let closes: &[bool] = if may_close { &[false, true] } else { &[false] };
                    closes.iter().map(|closes| {
                        let (text, len) = head(line, fields, |request| {
                            let mut plan = Plan::made(request, *status, "", ResponseBody::Sized(9));
                            if *closes {
                                plan.close();
                            }
                            plan.pad_head(statuses.into_iter(), may_close, KEEP_ALIVE, request);
                            plan
                        });
                        assert!(text.contains("\r\nX-Padding: "), "{text}");
                        len
                    })
                });
                let lens: Vec<usize> = lens.collect();
                assert!(lens.windows(2).all(|pair| pair[0] == pair[1]), "{line} {may_close}: {lens:?}");
            }
        }
    }
}
