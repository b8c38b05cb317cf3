//! Patterns for URL paths, and texts that repeat what a pattern has matched. Header rules and
//! redirects share them.
//!
//! No pattern needs backtracking: the time for a match grows with the length of the path.

use std::fmt;

use percent_encoding::{percent_decode_str, percent_encode};

use crate::site_path::PATH;

/// The name of what `*` matches.
const SPLAT: &str = "splat";
/// The maximum length in bytes of a text after [`Template::expand`].
pub const MAX_EXPANDED: usize = 2000;

/// A pattern for decoded URL paths. `*` matches any bytes, including slashes. `:name` at the start
/// of a segment matches the segment, up to the text that follows it in the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathPattern {
    /// The literals before, between and after the stars.
    Stars(Vec<Vec<u8>>),
    /// The segments, if the pattern has placeholders. Only the last may be a [`Segment::Splat`].
    Segments(Vec<Segment>),
}

/// A segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This name.
    Literal(Vec<u8>),
    /// A name that ends with `suffix` and is longer than that.
    Placeholder { name: String, suffix: Vec<u8> },
    /// The rest of the path, which begins with this prefix.
    Splat(Vec<u8>),
}

/// The reason why the path of a rule is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternError {
    /// The pattern has a `*` before its end as well as placeholders.
    SplatBeforeEnd,
    /// Two placeholders have the same name, or one is called `splat`.
    RepeatedName,
    /// There is more than one `*` in a path that can have only one.
    SecondStar,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PatternError::SplatBeforeEnd => "a path with placeholders can have a * only at its end",
            PatternError::RepeatedName => "two placeholders have the same name, or one has the name splat",
            PatternError::SecondStar => "a path can have only one *",
        })
    }
}

/// What a pattern has matched: the bytes of each placeholder and of `*`, by name.
pub type Captures<'m> = Vec<(&'m str, &'m [u8])>;

impl PathPattern {
    /// Parses a pattern. It is percent-encoded as in a URL, so a space is written as `%20`, and a
    /// literal star as `%2A`.
    ///
    /// # Errors
    /// Returns a [`PatternError`] if the pattern could match a path in several ways.
    pub fn parse(text: &str) -> Result<PathPattern, PatternError> {
        let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let is_placeholder = |segment: &&str| placeholder(segment).is_some();
        if !text.split('/').any(|segment| is_placeholder(&segment)) {
            return Ok(PathPattern::Stars(text.split('*').map(decode).collect()));
        }
        if text.find('*').is_some_and(|at| at + 1 < text.len()) {
            return Err(PatternError::SplatBeforeEnd);
        }
        let mut segments = Vec::new();
        let mut names = vec![SPLAT];
        for segment in text.strip_prefix('/').unwrap_or(text).split('/') {
            segments.push(match (placeholder(segment), segment.strip_suffix('*')) {
                (Some(_), Some(_)) => return Err(PatternError::SplatBeforeEnd),
                (Some((name, _)), _) if names.contains(&name) => return Err(PatternError::RepeatedName),
                (Some((name, suffix)), None) => {
                    names.push(name);
                    Segment::Placeholder { name: name.to_owned(), suffix: decode(suffix) }
                }
                (None, Some(prefix)) => Segment::Splat(decode(prefix)),
                (None, None) => Segment::Literal(decode(segment)),
            });
        }
        Ok(PathPattern::Segments(segments))
    }

    /// Returns the captures if the decoded and normalized `path` matches. With several stars, there
    /// are none.
    pub fn matches<'m>(&'m self, path: &'m [u8]) -> Option<Captures<'m>> {
        match self {
            PathPattern::Stars(literals) => {
                let matched = match_stars(literals, path)?;
                Some(matched.into_iter().map(|bytes| (SPLAT, bytes)).collect())
            }
            PathPattern::Segments(segments) => match_segments(segments, path),
        }
    }

    /// Returns whether the pattern has a capture with this name.
    fn has_capture(&self, wanted: &str) -> bool {
        match self {
            PathPattern::Stars(literals) => wanted == SPLAT && literals.len() == 2,
            PathPattern::Segments(segments) => segments.iter().any(|segment| match segment {
                Segment::Placeholder { name, .. } => name == wanted,
                Segment::Splat(_) => wanted == SPLAT,
                Segment::Literal(_) => false,
            }),
        }
    }

    /// Returns the number of stars in the pattern.
    pub fn stars(&self) -> usize {
        match self {
            PathPattern::Stars(literals) => literals.len().saturating_sub(1),
            PathPattern::Segments(segments) => {
                usize::from(matches!(segments.last(), Some(Segment::Splat(_))))
            }
        }
    }
}

/// Returns the name at the start of the segment `:name...`, and the rest of the segment.
pub fn placeholder(segment: &str) -> Option<(&str, &str)> {
    name_at_start(segment.strip_prefix(':')?)
}

/// Splits off a name: a letter, and then letters, digits and underscores.
fn name_at_start(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text.starts_with(|c: char| c.is_ascii_alphabetic()).then(|| text.split_at(end))
}

/// Matches `path` with literals that have stars between them. Each star except the last one matches
/// as few bytes as possible. Returns what the star has matched, if there is exactly one.
fn match_stars<'m>(literals: &[Vec<u8>], path: &'m [u8]) -> Option<Option<&'m [u8]>> {
    let (first, others) = literals.split_first()?;
    let mut rest = path.strip_prefix(&first[..])?;
    let Some((last, between)) = others.split_last() else { return rest.is_empty().then_some(None) };
    for literal in between {
        let at = memchr::memmem::find(rest, literal)?;
        rest = &rest[at + literal.len()..];
    }
    let matched = rest.strip_suffix(&last[..])?;
    Some(between.is_empty().then_some(matched))
}

/// Matches `path` segment by segment.
fn match_segments<'m>(segments: &'m [Segment], path: &'m [u8]) -> Option<Captures<'m>> {
    let mut captures = Captures::new();
    let mut rest = Some(path.strip_prefix(b"/")?);
    for segment in segments {
        let left = rest?;
        let (name, next) = match memchr::memchr(b'/', left) {
            Some(at) => (&left[..at], Some(&left[at + 1..])),
            None => (left, None),
        };
        rest = next;
        match segment {
            Segment::Literal(literal) if name == &literal[..] => {}
            Segment::Literal(_) => return None,
            Segment::Placeholder { name: key, suffix } => {
                let value = name.strip_suffix(&suffix[..]).filter(|value| !value.is_empty())?;
                captures.push((key, value));
            }
            Segment::Splat(prefix) => {
                captures.push((SPLAT, left.strip_prefix(&prefix[..])?));
                return Some(captures);
            }
        }
    }
    rest.is_none().then_some(captures)
}

/// A text in which `:name` stands for what a pattern has matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Capture(String),
}

impl Template {
    /// Parses a text. `:name` stands for a capture if `pattern` captures this name or `names`
    /// contains it, and for itself otherwise.
    pub fn parse(text: &str, pattern: Option<&PathPattern>, names: &[String]) -> Template {
        let is_capture = |name: &str| {
            pattern.is_some_and(|pattern| pattern.has_capture(name))
                || names.iter().any(|known| known == name)
        };
        let mut pieces = Vec::new();
        let (mut start, mut at) = (0, 0);
        while let Some(colon) = text[at..].find(':').map(|found| at + found) {
            at = colon + 1;
            if let Some((name, after)) = name_at_start(&text[at..])
                && is_capture(name)
            {
                pieces.push(Piece::Text(text[start..colon].to_owned()));
                pieces.push(Piece::Capture(name.to_owned()));
                at = text.len() - after.len();
                start = at;
            }
        }
        pieces.push(Piece::Text(text[start..].to_owned()));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Template { pieces }
    }

    /// Returns whether the text has captures.
    pub fn has_captures(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Capture(_)))
    }

    /// Appends the text to `out`, with captures percent-encoded, so that they cannot contain a line
    /// end or a quotation mark. Returns `false` and appends nothing if a text with captures is
    /// longer than [`MAX_EXPANDED`]: the client decides how long the captures are.
    pub fn expand(&self, captures: &Captures<'_>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Capture(name) => {
                    let value =
                        captures.iter().find(|(known, _)| known == name).map_or(&b""[..], |(_, value)| value);
                    percent_encode(value, PATH).for_each(|text| out.extend_from_slice(text.as_bytes()));
                    if out.len() - start > MAX_EXPANDED {
                        out.truncate(start);
                        return false;
                    }
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_bytes() {
        let table = [
            ("/", "/", true),
            ("/", "/a", false),
            ("/a", "/a/", false),
            ("*", "", true),
            ("*", "/a/b", true),
            ("/assets/*", "/assets/a/b.js", true),
            ("/assets/*", "/assets/", true),
            ("/assets/*", "/asset", false),
            ("*.js", "/a.js", true),
            ("*.js", "/a.js/b", false),
            ("*.js", ".js", true),
            ("/a*b*c", "/a-b-b-c", true),
            ("/a*b*c", "/a-c-b", false),
            ("/a*a", "/a", false),
            ("/a**", "/a", true),
            ("*ab*ab", "ab", false),
            ("/a%2Ab", "/a*b", true),
            ("/a%2Ab", "/axb", false),
            ("/a%20b", "/a b", true),
        ];
        for (pattern, path, expected) in table {
            let parsed = PathPattern::parse(pattern).expect(pattern);
            assert_eq!(parsed.matches(path.as_bytes()).is_some(), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn captures_fill_templates() {
        let table = [
            ("/news/*", "/news/a/b", "/blog/:splat", Some("/blog/a/b")),
            ("/news/*", "/news/", "/blog/:splat", Some("/blog/")),
            ("/news/*", "/news", "/blog/:splat", None),
            ("*.htm", "/a/b.htm", ":splat.html", Some("/a/b.html")),
            ("/:year/:month/:day", "/2026/11/27", "/:day-:month-:year", Some("/27-11-2026")),
            ("/:year/:month/:day", "/2026/11", "/", None),
            ("/:year/:month/:day", "/2026/11/27/", "/", None),
            ("/:year/:month/:day", "/2026//27", "/", None),
            (
                "/movies/:title",
                "/movies/a b\r\nX: \"y\"",
                "see :title",
                Some("see a%20b%0D%0AX%3A%20%22y%22"),
            ),
            ("/:page.html", "/a.html.html", "/:page", Some("/a.html")),
            ("/:page.html", "/.html", "/:page", None),
            ("/:a/x*", "/1/xyz/w", ":a :splat", Some("1 yz/w")),
            ("/:a/x*", "/1/yz", "", None),
            ("/:a/*", "/1/", "<:splat>", Some("<>")),
            ("/:a/*", "/1", "", None),
            ("/a", "/a", "http://host:80/:a/:splat", Some("http://host:80/:a/:splat")),
            ("/:a", "/1", ":a:a :ab :1 : ::a", Some("11 :ab :1 : :1")),
            ("/*/x/*", "/a/x/b", ":splat", Some(":splat")),
        ];
        for (pattern, path, text, expected) in table {
            let pattern = PathPattern::parse(pattern).expect(pattern);
            let expanded = pattern.matches(path.as_bytes()).map(|captures| {
                let mut out = Vec::new();
                assert!(Template::parse(text, Some(&pattern), &[]).expand(&captures, &mut out));
                String::from_utf8(out).expect("text")
            });
            assert_eq!(expanded.as_deref(), expected, "{pattern:?} {path:?}");
        }
    }

    #[test]
    fn patterns_are_unambiguous() {
        for (text, error) in [
            ("/*/:a", PatternError::SplatBeforeEnd),
            ("/:a*", PatternError::SplatBeforeEnd),
            ("/:a/*/*", PatternError::SplatBeforeEnd),
            ("/:a/:a", PatternError::RepeatedName),
            ("/:splat/b", PatternError::RepeatedName),
        ] {
            assert_eq!(PathPattern::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn expanded_text_has_a_limit() {
        let pattern = PathPattern::parse("/*").expect("a pattern");
        let long = [b"/", &[b'a'; MAX_EXPANDED][..]].concat();
        let captures = pattern.matches(&long).expect("a match");
        let mut out = b"before".to_vec();
        assert!(Template::parse(":splat", Some(&pattern), &[]).expand(&captures, &mut out));
        out.truncate(6);
        assert!(!Template::parse("a:splat", Some(&pattern), &[]).expand(&captures, &mut out));
        assert_eq!(out, b"before");
    }
}
