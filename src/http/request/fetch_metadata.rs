//! Fetch metadata: what a browser says about how a page makes a request, and about the page.
//!
//! Browsers send these fields to `https` URLs and to loopback addresses, and pages cannot change
//! them. Other clients do not send them.

use super::{Request, authority::Authority};
use crate::http::Accept;

/// The values of `Sec-Fetch-Mode`, `Sec-Fetch-Dest` and `Sec-Fetch-Site` (W3C Fetch Metadata
/// Request Headers).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FetchMetadata {
    /// Whether `Sec-Fetch-Mode` is `navigate`, or `None` if the field is missing.
    is_navigation: Option<bool>,
    /// Whether `Sec-Fetch-Dest` is a window or a frame, or `None` if the field is missing.
    is_document: Option<bool>,
    /// Whether `Sec-Fetch-Site` is `cross-site`.
    is_cross_site: bool,
}

impl FetchMetadata {
    /// Returns whether `name` may be one of the fields.
    pub fn may_have(name: &str) -> bool {
        name.as_bytes()
            .first_chunk()
            .is_some_and(|start: &[u8; 10]| start.eq_ignore_ascii_case(b"sec-fetch-"))
    }

    /// Applies one field line.
    pub fn apply(&mut self, name: &str, value: &[u8]) {
        if name.eq_ignore_ascii_case("sec-fetch-mode") {
            self.is_navigation = Some(value == b"navigate");
        } else if name.eq_ignore_ascii_case("sec-fetch-dest") {
            self.is_document = Some(matches!(value, b"document" | b"iframe" | b"frame"));
        } else if name.eq_ignore_ascii_case("sec-fetch-site") {
            self.is_cross_site |= value == b"cross-site";
        }
    }

    /// Returns whether the request is a navigation rather than a subresource request, according to
    /// `Sec-Fetch-Mode`. Without this field, it is a navigation if `accept` names HTML. If `accept`
    /// only includes HTML in `*/*`, as curl sends it, or is missing, the last name in `path` must
    /// have no dot, which the names of scripts and images have.
    pub fn is_navigation(&self, accept: Accept, path: &[u8]) -> bool {
        let has_dot = || path.iter().rev().take_while(|b| **b != b'/').any(|b| *b == b'.');
        self.is_navigation.unwrap_or_else(|| accept.has_html() || (accept.includes_html() && !has_dot()))
    }

    /// Returns whether the response will be a page in a window or a frame, according to
    /// `Sec-Fetch-Dest`, or else to `Sec-Fetch-Mode`. Without these fields, it will be one if
    /// `accept` names HTML, as browsers do for navigation and scripts do not by default.
    pub fn is_page_load(&self, accept: Accept) -> bool {
        self.is_document.or(self.is_navigation).unwrap_or_else(|| accept.has_html())
    }

    /// Returns whether a page of another site makes the request, perhaps to navigate to its URL.
    pub fn is_cross_site(&self) -> bool {
        self.is_cross_site
    }

    /// Returns whether a page of another site makes the request without navigating to its URL, for
    /// example for a script, for an image or with `fetch`.
    pub fn is_cross_site_subresource(&self) -> bool {
        self.is_cross_site && self.is_navigation != Some(true)
    }
}

impl Request<'_> {
    /// Returns whether a browser sends the request for a page of another origin, even to navigate.
    /// Browsers name the origin in each POST, and other clients do not.
    pub fn is_from_another_origin(&self) -> bool {
        let is_own = |origin: &[u8]| {
            let at = origin.windows(3).position(|window| window == b"://");
            let authority = at.and_then(|at| Authority::parse(&origin[at + 3..]).ok());
            authority.is_some() && authority == self.host
        };
        self.fields.fetch_metadata.is_cross_site() || self.info.origin.is_some_and(|origin| !is_own(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse;

    #[test]
    fn another_origin_is_recognized() {
        let table = [
            ("", false),
            ("Origin: http://localhost:8000\r\n", false),
            ("Origin: https://localhost:8000\r\n", false),
            ("Origin: http://localhost:3000\r\n", true),
            ("Origin: http://localhost\r\n", true),
            ("Origin: http://a.example\r\n", true),
            ("Origin: null\r\n", true),
            ("Origin: \r\n", true),
            ("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n", true),
            ("Sec-Fetch-Site: same-origin\r\nOrigin: http://localhost:8000\r\n", false),
        ];
        for (fields, expected) in table {
            let input = format!("POST / HTTP/1.1\r\nHost: localhost:8000\r\n{fields}\r\n");
            let (request, _) = parse(input.as_bytes()).expect("no refusal").expect("a whole request");
            assert_eq!(request.is_from_another_origin(), expected, "{fields}");
        }
    }

    #[test]
    fn cross_site_subresource_is_recognized() {
        let table: [(&[(&str, &str)], bool); 9] = [
            (&[], false),
            (&[("Sec-Fetch-Site", "cross-site")], true),
            (&[("sec-fetch-site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")], true),
            (&[("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "cross-site")], true),
            (&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")], false),
            (&[("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors")], false),
            (&[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")], false),
            (&[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Dest", "cross-site")], false),
            (&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "none")], true),
        ];
        for (lines, expected) in table {
            let mut metadata = FetchMetadata::default();
            for (name, value) in lines {
                assert!(FetchMetadata::may_have(name), "{name}");
                metadata.apply(name, value.as_bytes());
            }
            assert_eq!(metadata.is_cross_site_subresource(), expected, "{lines:?}");
        }
    }

    #[test]
    fn page_load_is_recognized() {
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);
        let html = "text/html,application/xhtml+xml,*/*;q=0.8";
        let table: [Row<'_>; 9] = [
            ("*/*", &[], false),
            ("", &[], false),
            (html, &[], true),
            (html, &[("Sec-Fetch-Mode", "cors")], false),
            ("*/*", &[("Sec-Fetch-Mode", "navigate")], true),
            ("*/*", &[("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Mode", "navigate")], true),
            ("*/*", &[("Sec-Fetch-Dest", "iframe")], true),
            (html, &[("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "cors")], false),
            (html, &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "object")], false),
        ];
        for (value, lines, expected) in table {
            let (mut accept, mut metadata) = (Accept::default(), FetchMetadata::default());
            accept.apply(value.as_bytes());
            lines.iter().for_each(|(name, value)| metadata.apply(name, value.as_bytes()));
            assert_eq!(metadata.is_page_load(accept), expected, "{value} {lines:?}");
        }
    }

    #[test]
    fn navigation_is_recognized() {
        let table = [
            ("/a", "", None, true),
            ("/a.js", "", None, false),
            ("/a", "", Some("no-cors"), false),
            ("/a", ",", None, false), // a field without a type
            ("/a", "*/*", None, true),
            ("/a.b/", "*/*", None, true),
            ("/a.js", "*/*", None, false),
            ("/a/.b", "*/*", None, false),
            ("/a", "text/*", None, true),
            ("/a", "image/*", None, false),
            ("/a", "application/json", None, false),
            ("/a", "application/json, text/plain, */*", None, true), // axios
            ("/a", "text/html;q=0, */*", None, false),
            ("/a", "text/html5", None, false),
            ("/a.js", "application/json, TEXT/HTML ;q=0.5", None, true),
            ("/a.js", "text/html,application/xhtml+xml,*/*;q=0.8", None, true),
            ("/a.js", "*/*", Some("navigate"), true),
            ("/a", "text/html", Some("cors"), false),
            ("/a", "*/*", Some("no-cors"), false),
        ];
        for (path, value, mode, expected) in table {
            let (mut accept, mut metadata) = (Accept::default(), FetchMetadata::default());
            if !value.is_empty() {
                accept.apply(value.as_bytes());
            }
            mode.into_iter().for_each(|mode| metadata.apply("Sec-Fetch-Mode", mode.as_bytes()));
            let is_navigation = metadata.is_navigation(accept, path.as_bytes());
            assert_eq!(is_navigation, expected, "{path} {value:?} {mode:?}");
        }
    }
}
