//! What a client has sent, as JSON in the form of httpbin.
//!
//! A response shows the client nothing but its own request. It must never become a document that a
//! browser runs, or one that a page of another site can read; `services::http` adds the fields for
//! that.

use std::{borrow::Cow, net::IpAddr};

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode;
use serde_json::{Map, Value, value::RawValue};

use super::ALL_METHODS;
use crate::http::RawRequest;

/// What a response shows of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inspection {
    /// The query, the fields, the client and the URL of a GET request.
    Get,
    /// As [`Inspection::Get`], and the body of a request with this method.
    Body(&'static [&'static str]),
    /// As [`Inspection::Body`], and the method, for any method and any path below.
    Anything,
    Headers,
    Ip,
    UserAgent,
}

/// A request, and what the server knows about it.
pub struct InspectedRequest<'a> {
    pub raw: RawRequest<'a>,
    pub method: &'a [u8],
    /// The client's address, unless it is on a Unix socket.
    pub origin: Option<IpAddr>,
    pub url: String,
    pub query: &'a [u8],
}

impl Inspection {
    /// Returns what `path` shows, which is relative to the path of the target.
    pub fn at(path: &[u8]) -> Option<Inspection> {
        Some(match std::str::from_utf8(path).ok()? {
            "get" => Inspection::Get,
            "post" => Inspection::Body(&["POST"]),
            "put" => Inspection::Body(&["PUT"]),
            "patch" => Inspection::Body(&["PATCH"]),
            "delete" => Inspection::Body(&["DELETE"]),
            "headers" => Inspection::Headers,
            "ip" => Inspection::Ip,
            "user-agent" => Inspection::UserAgent,
            path if path == "anything" || path.starts_with("anything/") => Inspection::Anything,
            _ => return None,
        })
    }

    /// Returns the methods that a request may have.
    pub fn methods(self) -> &'static [&'static str] {
        match self {
            Inspection::Anything => ALL_METHODS,
            Inspection::Body(method) => method,
            _ => &["GET", "HEAD"],
        }
    }

    /// Returns whether the response needs the body of the request.
    pub fn keeps_body(self) -> bool {
        matches!(self, Inspection::Body(_) | Inspection::Anything)
    }
}

impl InspectedRequest<'_> {
    /// Returns what `inspection` shows, as indented JSON.
    pub fn json(&self, inspection: Inspection) -> String {
        let (body, origin) =
            (self.raw.body(), || self.origin.map_or(Value::Null, |ip| ip.to_string().into()));
        let mut members: Vec<(&str, Value)> = Vec::new();
        match inspection {
            Inspection::Headers => members.push(("headers", self.headers())),
            Inspection::Ip => members.push(("origin", origin())),
            Inspection::UserAgent => {
                let name = self.raw.field("User-Agent").map_or(Value::Null, text);
                members.push(("user-agent", name));
            }
            Inspection::Get | Inspection::Body(_) | Inspection::Anything => {
                members.push(("args", pairs(self.query)));
                members.push(("headers", self.headers()));
                members.push(("origin", origin()));
                members.push(("url", self.url.clone().into()));
            }
        }
        let mut json = None;
        if inspection.keeps_body() {
            let is_form = self.has_media_type("application/x-www-form-urlencoded");
            let (data, form) =
                if is_form { (&b""[..], pairs(&body)) } else { (&*body, Value::Object(Map::new())) };
            members.push(("data", data_text(data)));
            members.push(("form", form));
            // Parts of a multipart body are not taken apart: they are in `data`.
            members.push(("files", Value::Object(Map::new())));
            // As it was sent. To indent deep arrays would make the response much longer than the
            // request.
            json = Some(serde_json::from_slice::<&RawValue>(data).map_or("null", RawValue::get));
            if inspection == Inspection::Anything {
                members.push(("method", text(self.method)));
            }
        }
        object(members, json)
    }

    /// Returns the fields, with names written like `User-Agent`. Fields with the same name are
    /// joined with commas.
    fn headers(&self) -> Value {
        let mut headers: Map<String, Value> = Map::new();
        for (name, value) in self.raw.fields() {
            let value = String::from_utf8_lossy(value);
            match headers.entry(title_case(name)).or_insert(Value::Null) {
                Value::String(before) => before.extend([",", &value]),
                new => *new = value.into(),
            }
        }
        Value::Object(headers)
    }

    /// Returns whether the body has this media type, perhaps with parameters.
    fn has_media_type(&self, wanted: &str) -> bool {
        let value = self.raw.field("Content-Type").unwrap_or_default();
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        value[..end].trim_ascii().eq_ignore_ascii_case(wanted.as_bytes())
    }
}

/// Returns a JSON object with the `members` in the order of their names, indented by two spaces,
/// and the member `json`, whose value is valid JSON.
fn object(mut members: Vec<(&str, Value)>, json: Option<&str>) -> String {
    members.sort_by_key(|(name, _)| *name);
    let mut lines: Vec<(&str, String)> =
        members.into_iter().map(|(name, value)| (name, indented(&value))).collect();
    if let Some(json) = json {
        let at = lines.partition_point(|(name, _)| *name < "json");
        lines.insert(at, ("json", json.to_owned()));
    }
    let lines: Vec<String> =
        lines.into_iter().map(|(name, value)| format!("  \"{name}\": {value}")).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// Returns a value as indented JSON inside an object.
fn indented(value: &Value) -> String {
    format!("{value:#}").replace('\n', "\n  ")
}

/// Returns bytes of a client as text.
fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}

/// Returns a body as text or, if it is not UTF-8, as a data URL.
fn data_text(data: &[u8]) -> Value {
    match std::str::from_utf8(data) {
        Ok(text) => text.into(),
        Err(_) => format!("data:application/octet-stream;base64,{}", BASE64_STANDARD.encode(data)).into(),
    }
}

/// Returns the pairs of a query or form as an object. A name that occurs more than once has a list
/// of values.
fn pairs(query: &[u8]) -> Value {
    let mut pairs: Map<String, Value> = Map::new();
    for pair in query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        let at = memchr::memchr(b'=', pair);
        let (name, value) = at.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
        let value = Value::String(decoded(value));
        match pairs.get_mut(&decoded(name)) {
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => {
                pairs.insert(decoded(name), value);
            }
        }
    }
    Value::Object(pairs)
}

/// Decodes a name or a value of a query or form (URL standard, application/x-www-form-urlencoded).
fn decoded(text: &[u8]) -> String {
    let spaced: Cow<'_, [u8]> = match memchr::memchr(b'+', text) {
        Some(_) => text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect(),
        None => text.into(),
    };
    percent_decode(&spaced).decode_utf8_lossy().into_owned()
}

/// Returns a field name in which each word begins with a capital letter.
fn title_case(name: &str) -> String {
    let mut is_first = true;
    let letter = |c: char| {
        let cased = if is_first { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        is_first = c == '-';
        cased
    };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is shown of a request to `http://a/`.
    fn shown(inspection: Inspection, query: &str, fields: &str, body: &[u8]) -> Value {
        let head = format!("POST /?{query} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let request = InspectedRequest {
            raw: RawRequest::new(head.as_bytes(), body),
            method: b"POST",
            origin: Some([192, 0, 2, 1].into()),
            url: format!("http://a/?{query}"),
            query: query.as_bytes(),
        };
        let text = request.json(inspection);
        assert!(text.starts_with("{\n  \"") && text.ends_with("\n}\n"), "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn each_view_has_its_members() {
        let names = |inspection| {
            let Value::Object(members) = shown(inspection, "", "", b"") else { panic!("an object") };
            members.keys().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(Inspection::Get), "args headers origin url");
        assert_eq!(names(Inspection::Body(&["POST"])), "args data files form headers json origin url");
        assert_eq!(names(Inspection::Anything), "args data files form headers json method origin url");
        assert_eq!(shown(Inspection::Ip, "", "", b""), json(r#"{"origin": "192.0.2.1"}"#));
        assert_eq!(
            shown(Inspection::UserAgent, "", "User-Agent: u\r\n", b""),
            json(r#"{"user-agent": "u"}"#)
        );
        assert_eq!(shown(Inspection::UserAgent, "", "", b""), json(r#"{"user-agent": null}"#));
        let fields = "x-a: 1\r\nuser-AGENT: \u{ff}\r\nX-A: \"2\"\r\n";
        let expected = r#"{"headers": {"Host": "a", "X-A": "1,\"2\"", "User-Agent": "\u00ff"}}"#;
        assert_eq!(shown(Inspection::Headers, "", fields, b""), json(expected));
    }

    #[test]
    fn query_and_form_are_decoded() {
        let table = [
            ("", "{}"),
            ("a=1&b=&c", r#"{"a": "1", "b": "", "c": ""}"#),
            ("a=1&a=2&a=&b=1", r#"{"a": ["1", "2", ""], "b": "1"}"#),
            ("a+b=c+d%2B%26%3d", r#"{"a b": "c d+&="}"#),
            ("&&a=b=c&", r#"{"a": "b=c"}"#),
            ("%ff=%00", "{\"\u{fffd}\": \"\\u0000\"}"),
            ("=1", r#"{"": "1"}"#),
        ];
        for (query, expected) in table {
            assert_eq!(pairs(query.as_bytes()), json(expected), "{query}");
        }
        let form = shown(
            Inspection::Body(&["POST"]),
            "",
            "Content-Type: Application/X-WWW-Form-Urlencoded; charset=utf-8\r\n",
            b"a=1&b=%20",
        );
        assert_eq!(
            (&form["form"], &form["data"], &form["json"]),
            (&json(r#"{"a": "1", "b": " "}"#), &"".into(), &Value::Null)
        );
    }

    #[test]
    fn body_is_text_json_or_a_data_url() {
        let of = |body: &[u8]| {
            let shown = shown(Inspection::Anything, "", "Content-Type: text/plain\r\n", body);
            (shown["data"].as_str().expect("text").to_owned(), shown["json"].clone())
        };
        assert_eq!(of(b"a\r\n\"b\""), ("a\r\n\"b\"".to_owned(), Value::Null));
        assert_eq!(of(b"{\"a\": [1, null]}"), ("{\"a\": [1, null]}".to_owned(), json(r#"{"a": [1, null]}"#)));
        assert_eq!(of(b"\xff\0"), ("data:application/octet-stream;base64,/wA=".to_owned(), Value::Null));
        assert_eq!(of(b"[1"), ("[1".to_owned(), Value::Null));
    }

    #[test]
    fn response_is_not_much_longer_than_the_request() {
        let deep = ["[".repeat(100), "1,".repeat(10_000), "1".to_owned(), "]".repeat(100)].concat();
        for body in
            [deep.clone().into_bytes(), "[".repeat(32_000).into_bytes(), vec![0; 32_000], vec![0xff; 32_000]]
        {
            let request = InspectedRequest {
                raw: RawRequest::new(b"POST / HTTP/1.1\r\n\r\n", &body),
                method: b"POST",
                origin: None,
                url: String::new(),
                query: b"",
            };
            let len = request.json(Inspection::Anything).len();
            assert!(len < 6 * body.len() + 1000, "{len} for {}", body.len());
        }
    }

    #[test]
    fn names_of_fields_are_in_title_case() {
        for (name, expected) in [("user-agent", "User-Agent"), ("HOST", "Host"), ("x--a-", "X--A-"), ("", "")]
        {
            assert_eq!(title_case(name), expected);
        }
    }
}
