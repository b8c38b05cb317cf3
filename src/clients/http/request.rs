//! The request that the client sends.

use std::rc::Rc;

use super::HttpUrl;
use crate::http::{RuleError, parse_field_line};

/// A request with a method, field lines and a body.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    method: String,
    target: String,
    /// The field lines, in the order in which they are sent.
    fields: Vec<(String, String)>,
    pub(super) body: Rc<[u8]>,
}

impl HttpRequest {
    /// Returns a request without a body. It asks the server to close the connection after the
    /// response.
    pub fn new(method: &str, url: &HttpUrl) -> HttpRequest {
        let fields = [
            ("Host", &*url.host),
            ("User-Agent", concat!("oneloop/", env!("CARGO_PKG_VERSION"))),
            ("Accept", "*/*"),
            ("Connection", "close"),
        ];
        HttpRequest {
            method: method.to_owned(),
            target: url.target.clone(),
            fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: Rc::default(),
        }
    }

    /// Sets the body, its type and its length.
    pub fn set_body(&mut self, body: Vec<u8>, media_type: &str) {
        self.replace("Content-Type", media_type);
        self.replace("Content-Length", &body.len().to_string());
        self.body = body.into();
    }

    /// Sets the field lines `lines`, `NAME: VALUE` each. They replace the lines of the same names
    /// that the request already has. A name may occur more than once in `lines`.
    ///
    /// # Errors
    /// Returns the first line that is not valid, and the reason.
    pub fn set_fields<'a>(&mut self, lines: &'a [String]) -> Result<(), (&'a str, RuleError)> {
        let parse = |line: &'a String| parse_field_line(line).map_err(|e| (&**line, e));
        let fields: Vec<_> = lines.iter().map(parse).collect::<Result<_, _>>()?;
        self.fields.retain(|(old, _)| fields.iter().all(|(name, _)| !old.eq_ignore_ascii_case(name)));
        self.fields.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Ok(())
    }

    /// Returns whether the method is HEAD, so that the response has no body.
    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// Returns the request line, the field lines and the empty line.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn replace(&mut self, name: &str, value: &str) {
        self.fields.retain(|(old, _)| !old.eq_ignore_ascii_case(name));
        self.fields.push((name.to_owned(), value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str) -> HttpRequest {
        HttpRequest::new(method, &HttpUrl::parse("http://a:8000/b?c").expect("a URL"))
    }

    fn head(request: &HttpRequest) -> String {
        String::from_utf8(request.head()).expect("text").replace(env!("CARGO_PKG_VERSION"), "0")
    }

    #[test]
    fn request_head_has_the_fields_in_order() {
        let mut get = request("GET");
        let expected = "GET /b?c HTTP/1.1\r\nHost: a:8000\r\nUser-Agent: oneloop/0\r\nAccept: */*\r\n\
                        Connection: close\r\n\r\n";
        assert_eq!(head(&get), expected);
        get.set_fields(&["host: b".into(), "X: 1".into(), "X:2".into(), "ACCEPT:".into()]).expect("valid");
        let expected = "GET /b?c HTTP/1.1\r\nUser-Agent: oneloop/0\r\nConnection: close\r\nhost: b\r\n\
                        X: 1\r\nX: 2\r\nACCEPT: \r\n\r\n";
        assert_eq!(head(&get), expected);
    }

    #[test]
    fn request_body_sets_type_and_length() {
        let mut post = request("POST");
        post.set_body(b"a=b".to_vec(), "text/plain");
        assert!(head(&post).ends_with("close\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n"));
        post.set_fields(&["content-type: x/y".into()]).expect("valid");
        assert!(head(&post).ends_with("close\r\nContent-Length: 3\r\ncontent-type: x/y\r\n\r\n"));
    }

    #[test]
    fn request_field_that_could_break_the_head_is_refused() {
        let table = [
            ("X", RuleError::MissingColon),
            (": y", RuleError::InvalidName),
            ("X : y", RuleError::InvalidName),
            ("X\r\nY: z", RuleError::InvalidName),
            ("X: y\r\nZ: z", RuleError::InvalidValue),
            ("X: \u{1b}", RuleError::InvalidValue),
        ];
        for (line, expected) in table {
            let lines = ["A: b".to_owned(), line.to_owned()];
            let mut get = request("GET");
            assert_eq!(get.set_fields(&lines), Err((line, expected)), "{line:?}");
            assert_eq!(get.head(), request("GET").head(), "{line:?}");
        }
    }
}
