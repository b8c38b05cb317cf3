//! Content negotiation (RFC 9110 section 12): which compressed variant of a file and which format
//! of a listing the client prefers.

use std::cmp::Reverse;

/// A content coding (RFC 9110 section 8.4.1). A compressed variant of a file may exist next to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstandard,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// All codings, best first. If the client gives several codings the same weight, the server
    /// prefers the first of them.
    pub const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstandard, Coding::Gzip];

    /// Returns the name of the coding, as in `Content-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstandard => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// Returns the coding of compressed variants with this file name extension, such as `.gz`.
    pub fn from_extension(extension: &str) -> Option<Coding> {
        Coding::ALL.into_iter().find(|coding| coding.extension() == extension)
    }

    /// Returns the extension that the name of a compressed variant adds to the name of its
    /// original.
    pub fn extension(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstandard => ".zst",
            Coding::Gzip => ".gz",
        }
    }
}

/// The request fields that influenced a response, for `Vary` (RFC 9110 section 12.5.5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vary(u8);

impl Vary {
    pub const NOTHING: Vary = Vary(0);
    pub const ACCEPT_ENCODING: Vary = Vary(1);
    pub const ORIGIN: Vary = Vary(2);
    pub const ACCEPT: Vary = Vary(4);
    /// The fields that distinguish a navigation from a subresource request.
    pub const NAVIGATION: Vary = Vary(4 | 8);

    /// The fields that say whether the response will be a page in a window or a frame.
    pub const PAGE_LOAD: Vary = Vary(4 | 8 | 16);

    const NAMES: [(Vary, &str); 5] = [
        (Vary::ACCEPT_ENCODING, "Accept-Encoding"),
        (Vary::ORIGIN, "Origin"),
        (Vary::ACCEPT, "Accept"),
        (Vary(8), "Sec-Fetch-Mode"),
        (Vary(16), "Sec-Fetch-Dest"),
    ];

    /// Returns the union of both sets of fields.
    pub fn and(self, other: Vary) -> Vary {
        Vary(self.0 | other.0)
    }

    /// Appends the `Vary` field line, unless the set is empty.
    pub fn append(self, out: &mut Vec<u8>) {
        if self == Vary::ACCEPT_ENCODING {
            return out.extend_from_slice(b"Vary: Accept-Encoding\r\n"); // the common case
        }
        let mut before = "Vary: ";
        for (vary, name) in Vary::NAMES {
            if self.0 & vary.0 != 0 {
                out.extend_from_slice(before.as_bytes());
                out.extend_from_slice(name.as_bytes());
                before = ", ";
            }
        }
        if self != Vary::NOTHING {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// A quality value in thousandths. 0 means not acceptable (RFC 9110 section 12.4.2).
type QValue = u16;
const MOST: QValue = 1000;
const LEAST: QValue = 1;

/// The value of `Accept-Encoding` (RFC 9110 section 12.5.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    /// The quality of each coding, in the order of [`Coding::ALL`].
    weights: [Option<QValue>; 3],
    identity: Option<QValue>,
    /// The quality of `*`, which covers all codings that the field does not name.
    other: Option<QValue>,
}

impl AcceptEncoding {
    /// Applies one `Accept-Encoding` line. Several lines form one list (RFC 9110 section 5.3).
    pub fn apply(&mut self, value: &[u8]) {
        for (coding, weight) in members(value) {
            let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
            let weights = &mut self.weights;
            match Coding::ALL.iter().position(|coding| is(coding.name())) {
                Some(index) => weights[index] = Some(weight),
                None if is("x-gzip") => weights[2] = Some(weight), // section 8.4.1.3
                None if is("identity") => self.identity = Some(weight),
                None if is("*") => self.other = Some(weight),
                None => {}
            }
        }
    }

    /// Returns whether the client may accept a compressed variant.
    pub fn accepts_variants(&self) -> bool {
        *self != AcceptEncoding::default()
    }

    /// Returns the acceptable codings, best first. `None` means the uncompressed file. The
    /// uncompressed file comes last if the client does not name it, and is excluded only by
    /// `identity;q=0` or `*;q=0` (RFC 9110 section 12.5.3).
    pub fn choices(&self) -> impl Iterator<Item = Option<Coding>> + use<> {
        let coded = |index: usize| self.weights[index].or(self.other).unwrap_or(0);
        let identity = match self.other {
            Some(0) => self.identity.unwrap_or(0),
            _ => self.identity.unwrap_or(LEAST),
        };
        let [br, zstd, gzip] = Coding::ALL.map(Some);
        let mut choices = [(br, coded(0)), (zstd, coded(1)), (gzip, coded(2)), (None, identity)];
        // The sort is stable, so codings of equal weight keep their order.
        choices.sort_by_key(|(_, weight)| Reverse(*weight));
        choices.into_iter().filter(|(_, weight)| *weight > 0).map(|(choice, _)| choice)
    }
}

/// The quality values in `Accept` for HTML and JSON, the two formats of listings, and for the
/// ranges that they are in (RFC 9110 section 12.5.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accept {
    /// Whether there is such a field. Without one, the client accepts any type.
    is_sent: bool,
    html: Option<QValue>,
    json: Option<QValue>,
    any_text: Option<QValue>,
    any_application: Option<QValue>,
    any: Option<QValue>,
    /// Whether it names plain text, and OpenMetrics.
    has_plain: bool,
    has_open_metrics: bool,
}

impl Accept {
    /// Applies one `Accept` line.
    pub fn apply(&mut self, value: &[u8]) {
        self.is_sent = true;
        for (media_type, weight) in members(value) {
            let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());
            match weight {
                weight if is("text/html") => self.html = Some(weight),
                weight if is("application/json") => self.json = Some(weight),
                weight if is("text/*") => self.any_text = Some(weight),
                weight if is("application/*") => self.any_application = Some(weight),
                weight if is("*/*") => self.any = Some(weight),
                weight if is("text/plain") => self.has_plain = weight > 0,
                weight if is("application/openmetrics-text") => self.has_open_metrics = weight > 0,
                _ => {}
            }
        }
    }

    /// Returns whether `Accept` names HTML. Browsers name HTML in navigation requests. Other
    /// clients rarely do.
    pub fn has_html(self) -> bool {
        self.html.is_some_and(|weight| weight > 0)
    }

    /// Returns whether `Accept` includes HTML, by name or as part of a range such as `*/*`, or is
    /// missing.
    pub fn includes_html(self) -> bool {
        !self.is_sent || self.html.or(self.any_text).or(self.any).is_some_and(|weight| weight > 0)
    }

    /// Returns whether the client reads metrics as plain text: it names text or HTML, as browsers
    /// do, and not OpenMetrics.
    pub fn prefers_plain_metrics(self) -> bool {
        !self.has_open_metrics && (self.has_plain || self.has_html())
    }

    /// Returns whether the client prefers JSON to HTML. Of the members that match a type, the most
    /// specific one counts.
    pub fn prefers_json(self) -> bool {
        let json = self.json.or(self.any_application).or(self.any);
        let html = self.html.or(self.any_text).or(self.any);
        json.unwrap_or(0) > html.unwrap_or(0)
    }
}

/// Returns the well-formed members of a list, with their quality values.
fn members(value: &[u8]) -> impl Iterator<Item = (&[u8], QValue)> {
    value.split(|b| *b == b',').filter_map(|member| {
        let mut pieces = member.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let name = pieces.next().filter(|name| !name.is_empty())?;
        let mut weight = MOST;
        for piece in pieces {
            // No space may stand around the sign, so `q = 0` is malformed.
            if let [b'q' | b'Q', value @ ..] = piece
                && value.trim_ascii_start().starts_with(b"=")
            {
                weight = parse_weight(value.strip_prefix(b"=")?)?;
            }
        }
        Some((name, weight))
    })
}

/// Parses a quality value, `( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3"0" ] )` (RFC 9110 section
/// 12.4.2).
fn parse_weight(text: &[u8]) -> Option<QValue> {
    let (whole, fraction) = match text {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] => (whole, fraction),
        _ => return None,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |index: usize| fraction.get(index).map_or(0, |digit| QValue::from(digit - b'0'));
    let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2);
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(MOST),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_chooses_the_format_of_metrics() {
        let table = [
            ("", false),
            ("*/*", false),
            ("text/plain", true),
            ("text/plain;version=0.0.4", true),
            ("text/plain;q=0", false),
            ("application/openmetrics-text", false),
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
                false,
            ),
            ("application/openmetrics-text;q=0, text/plain", true),
            ("text/html,application/xhtml+xml,*/*;q=0.8", true),
        ];
        for (value, expected) in table {
            let mut accept = Accept::default();
            accept.apply(value.as_bytes());
            assert_eq!(accept.prefers_plain_metrics(), expected, "{value}");
        }
    }

    #[test]
    fn accept_encoding_choices_by_rfc_9110_12_5_3() {
        let table = [
            ("", "identity"),
            ("br", "br identity"),
            ("gzip, deflate, br, zstd", "br zstd gzip identity"),
            ("GZip", "gzip identity"),
            ("x-gzip", "gzip identity"),
            ("deflate, compress", "identity"),
            ("*", "br zstd gzip identity"),
            ("gzip;q=1.0, br;q=0.5", "gzip br identity"),
            ("gzip;q=0.001", "gzip identity"),
            ("identity, gzip;q=0.5", "identity gzip"),
            ("identity;q=0.5, gzip;q=0.8, br;q=0.2", "gzip identity br"),
            ("identity", "identity"),
            ("br;q=0", "identity"),
            ("*;q=0.5, br;q=0", "zstd gzip identity"),
            ("gzip, identity;q=0", "gzip"),
            ("identity;q=0", ""),
            ("*;q=0", ""),
            ("*;q=0, identity", "identity"),
            ("*;q=0, br", "br"),
            ("identity;q=0, *", "br zstd gzip"),
            (" br ; q=0.8 ,, gzip\t;\tQ=0.9", "gzip br identity"),
            // Members with a malformed quality value are ignored.
            ("br;q=2, gzip", "gzip identity"),
            ("br;q=1.001, gzip", "gzip identity"),
            ("br;q=0.1234, gzip", "gzip identity"),
            ("br;q=, gzip", "gzip identity"),
            ("br; q = 0, gzip", "gzip identity"),
            ("br;q =1, gzip", "gzip identity"),
            ("br;q=-1, gzip;q=a", "identity"),
            ("br;level=5;q=0.5, gzip", "gzip br identity"),
        ];
        for (value, expected) in table {
            let mut codings = AcceptEncoding::default();
            codings.apply(value.as_bytes());
            let names: Vec<_> =
                codings.choices().map(|choice| choice.map_or("identity", Coding::name)).collect();
            assert_eq!(names.join(" "), expected, "{value:?}");
        }
    }

    #[test]
    fn accept_encoding_joins_lines() {
        let mut codings = AcceptEncoding::default();
        assert!(!codings.accepts_variants());
        codings.apply(b"gzip");
        codings.apply(b"identity;q=0");
        assert!(codings.accepts_variants());
        assert_eq!(codings.choices().collect::<Vec<_>>(), [Some(Coding::Gzip)]);
    }

    #[test]
    fn accept_prefers_html_or_json() {
        let table = [
            ("", false, false),
            ("*/*", false, false),
            ("text/html,application/xhtml+xml,*/*;q=0.8", true, false),
            ("application/json", false, true),
            ("application/json, text/html;q=0.9", true, true),
            ("application/json;q=0.5, text/html", true, false),
            ("APPLICATION/JSON", false, true),
            ("application/json;q=0", false, false),
            ("text/html;q=0", false, false),
            ("text/html;level=1", true, false),
            ("application/*", false, true),
            ("application/*;q=0.1, */*", false, false),
            ("text/*, application/json", false, false),
            ("*/*;q=0.5, text/html;q=0.1", true, true),
            ("*/*, application/json;q=0", false, false),
        ];
        for (value, html, json) in table {
            let mut accepted = Accept::default();
            accepted.apply(value.as_bytes());
            assert_eq!((accepted.has_html(), accepted.prefers_json()), (html, json), "{value:?}");
        }
    }
}
