//! Cross-origin resource sharing (CORS, Fetch standard): the origins whose pages may read
//! responses.

use crate::http::{RequestInfo, Vary, request::authority::Authority};

/// The origins whose pages may read responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// Any origin.
    AnyOrigin,
    /// Only these origins.
    Origins(Vec<String>),
}

impl Cors {
    /// Creates a policy that allows `origins`. If one of them is `*`, any origin is allowed.
    ///
    /// # Errors
    /// Returns the first element of `origins` that is not a valid origin.
    pub fn of(origins: &[String]) -> Result<Cors, &str> {
        if origins.iter().any(|origin| origin == "*") {
            return Ok(Cors::AnyOrigin);
        }
        match origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(origin),
            None => Ok(Cors::Origins(origins.iter().map(|origin| as_sent(origin)).collect())),
        }
    }

    /// Appends the CORS response fields to `out`. Returns the request fields that influenced them.
    pub fn append(&self, request: &RequestInfo<'_>, out: &mut Vec<u8>) -> Vary {
        let (allowed, vary) = match self {
            Cors::AnyOrigin => (Some(&b"*"[..]), Vary::NOTHING),
            Cors::Origins(origins) => {
                let is_one = |asked: &&[u8]| origins.iter().any(|origin| origin.as_bytes() == *asked);
                // Send `Vary` even if this origin is not allowed, because the response to another
                // origin may differ.
                (request.origin.filter(is_one), Vary::ORIGIN)
            }
        };
        if let Some(origin) = allowed {
            out.extend_from_slice(b"Access-Control-Allow-Origin: ");
            out.extend_from_slice(origin);
            out.extend_from_slice(b"\r\n");
            let more: &[u8] = if request.is_preflight { PREFLIGHT } else { EXPOSE };
            out.extend_from_slice(more);
        }
        vary
    }
}

/// The additional fields in the response to a preflight request. A page may send any request field.
/// `*` does not include `Authorization`, so the value also names that field.
const PREFLIGHT: &[u8] = b"Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n\
    Access-Control-Allow-Headers: *, Authorization\r\nAccess-Control-Max-Age: 600\r\n";
/// The additional field in other responses. It lets a page read all response fields.
const EXPOSE: &[u8] = b"Access-Control-Expose-Headers: *\r\n";

/// Returns an origin as browsers send it: in lower case and without the default port.
fn as_sent(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let default_port = match origin.split_once("://") {
        Some(("http", _)) => ":80",
        Some(("https", _)) => ":443",
        _ => "",
    };
    origin.strip_suffix(default_port).unwrap_or(&origin).to_owned()
}

/// Returns whether `text` is `scheme://host[:port]` or `null`, the forms that browsers send (RFC
/// 6454 section 6.2).
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "null" };
    let is_scheme = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    is_scheme && !scheme.is_empty() && Authority::parse(host.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let of = |origin: &str| Cors::of(&[origin.to_owned()]).is_ok();
        for origin in
            ["*", "null", "http://localhost", "https://a.example:8443", "HTTP://[::1]:80", "app://x"]
        {
            assert!(of(origin), "{origin}");
        }
        for origin in
            ["", "localhost", "http://", "http://a/", "http://a/b", "http://a b", "://a", "http://a\r\nX: y"]
        {
            assert!(!of(origin), "{origin}");
        }
        assert_eq!(Cors::of(&["a://B".into()]), Ok(Cors::Origins(vec!["a://b".into()])));
        for (given, sent) in
            [("HTTP://A:80", "http://a"), ("https://a:443", "https://a"), ("https://a:80", "https://a:80")]
        {
            assert_eq!(Cors::of(&[given.into()]), Ok(Cors::Origins(vec![sent.into()])));
        }
        assert_eq!(Cors::of(&["a://b".into(), "*".into()]), Ok(Cors::AnyOrigin));
    }
}
