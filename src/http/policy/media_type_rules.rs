//! The media types that the operator gives to files, by file name extension.

use std::fmt;

use super::header_rules::check_value;
use crate::http::{
    request::charset,
    response::media_type::{known, names, with_charset},
};

/// A media type that the operator gives to the files whose names end with an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaTypeRule {
    /// The extension with its dot, such as `.ts` or `.tar.gz`.
    extension: String,
    media_type: String,
}

impl MediaTypeRule {
    /// Parses a rule, `.EXT=TYPE`, such as `.ts=text/plain`. The type may have parameters.
    ///
    /// # Errors
    /// Returns a [`MediaTypeError`] if the extension or the media type is not valid.
    pub fn parse(text: &str) -> Result<MediaTypeRule, MediaTypeError> {
        let (extension, media_type) = text.split_once('=').ok_or(MediaTypeError::MissingEquals)?;
        let (extension, media_type) = (extension.trim(), media_type.trim());
        let is_extension = extension.len() > 1
            && extension.starts_with('.')
            && !extension.contains(['/', '*', '?', '\0'])
            && !extension.contains(char::is_whitespace);
        if !is_extension {
            return Err(MediaTypeError::InvalidExtension);
        }
        if !is_media_type(media_type) {
            return Err(MediaTypeError::InvalidType);
        }
        Ok(MediaTypeRule { extension: extension.to_owned(), media_type: media_type.to_owned() })
    }
}

/// The reason why a [`MediaTypeRule`] is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaTypeError {
    /// There is no `=` between the extension and the media type.
    MissingEquals,
    /// The extension does not begin with a dot, or contains a character that no extension has.
    InvalidExtension,
    /// The media type is not a type, a slash and a subtype (RFC 9110 section 8.3.1).
    InvalidType,
}

impl fmt::Display for MediaTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MediaTypeError::MissingEquals => "not an extension, an equals sign and a media type",
            MediaTypeError::InvalidExtension => "the extension is not a dot and a name",
            MediaTypeError::InvalidType => "invalid media type",
        })
    }
}

impl std::error::Error for MediaTypeError {}

/// The media types of files: those that the operator gives, and those that are known otherwise.
#[derive(Debug, Clone, Default)]
pub struct MediaTypes {
    /// The operator's rules. The first one that matches applies.
    rules: Box<[MediaTypeRule]>,
}

impl MediaTypes {
    /// Creates a table in which `rules` come before the known types. Of several rules that match a
    /// name, the one with the longest extension applies, and of equal ones the last.
    pub fn new(mut rules: Vec<MediaTypeRule>) -> MediaTypes {
        rules.reverse();
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.extension.len()));
        MediaTypes { rules: rules.into() }
    }

    /// Returns the value of `Content-Type` for the file at `path`. `content` is its content, or
    /// `None` if the content has not been read. Text is declared as UTF-8 only if it is known to be
    /// UTF-8.
    pub fn of(&self, path: &[u8], content: Option<&[u8]>) -> String {
        with_charset(self.given(path).unwrap_or_else(|| known(path, content)), content)
    }

    /// Returns the operator's media type for the file at `path`.
    fn given(&self, path: &[u8]) -> Option<&str> {
        if self.rules.is_empty() {
            return None;
        }
        names(path).find_map(|name| {
            let ends_with = |extension: &[u8]| {
                let at = name.len().checked_sub(extension.len());
                at.is_some_and(|at| name[at..].eq_ignore_ascii_case(extension))
            };
            let rule = self.rules.iter().find(|rule| ends_with(rule.extension.as_bytes()));
            rule.map(|rule| &*rule.media_type)
        })
    }
}

/// Returns whether `text` is a media type, perhaps with parameters.
fn is_media_type(text: &str) -> bool {
    let (essence, parameters) =
        text.split_once(';').map_or((text, None), |(essence, rest)| (essence, Some(rest)));
    let is_token = |text: &str| !text.is_empty() && charset::are_all(text.as_bytes(), charset::TOKEN);
    let is_parameter = |text: &str| {
        text.split_once('=').is_some_and(|(name, value)| is_token(name.trim()) && !value.is_empty())
    };
    let is_essence =
        essence.trim().split_once('/').is_some_and(|(main, sub)| is_token(main) && is_token(sub));
    is_essence && parameters.is_none_or(|rest| check_value(rest).is_ok() && is_parameter(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> MediaTypeRule {
        MediaTypeRule::parse(text).expect(text)
    }

    #[test]
    fn rules_of_the_operator_come_first() {
        let rules =
            [".ts=text/x-a", ".TS=video/mp2t", ".d.ts=text/typescript", ".gz=text/plain; charset=latin1"];
        let types = MediaTypes::new(rules.map(rule).to_vec());
        let table: [(&str, &[u8], &str); 9] = [
            ("a/b.ts", b"text", "video/mp2t"),
            ("b.Ts", b"text", "video/mp2t"),
            ("b.d.ts", b"text", "text/typescript; charset=utf-8"),
            ("b.d.ts", b"\xff", "text/typescript"),
            ("b.gz", b"text", "text/plain; charset=latin1"),
            ("b.ts?v=1", b"text", "video/mp2t"),
            ("a.php?b.ts", b"text", "video/mp2t"),
            ("b.ts/c.css", b"text", "text/css; charset=utf-8"),
            ("ts", b"text", "application/octet-stream"),
        ];
        for (name, content, expected) in table {
            assert_eq!(types.of(name.as_bytes(), Some(content)), expected, "{name}");
        }
    }

    #[test]
    fn rules_are_checked() {
        use MediaTypeError::{InvalidExtension, InvalidType, MissingEquals};
        let table = [
            (".ts", MissingEquals),
            ("ts=text/plain", InvalidExtension),
            (".=text/plain", InvalidExtension),
            ("=text/plain", InvalidExtension),
            (".a/b=text/plain", InvalidExtension),
            (".*=text/plain", InvalidExtension),
            (".a b=text/plain", InvalidExtension),
            (".ts=", InvalidType),
            (".ts=text", InvalidType),
            (".ts=text/", InvalidType),
            (".ts=/plain", InvalidType),
            (".ts=text/pl ain", InvalidType),
            (".ts=text/plain;", InvalidType),
            (".ts=text/plain; charset", InvalidType),
            (".ts=text/plain\r\nX-A: b", InvalidType),
            (".ts=text/plain; a=b\r\nX-A: b", InvalidType),
        ];
        for (text, expected) in table {
            assert_eq!(MediaTypeRule::parse(text), Err(expected), "{text:?}");
        }
        for text in [".ts=text/plain", ".tar.gz = application/gzip", ".a=text/x; charset=utf-8; b=\"c\""] {
            rule(text);
        }
    }
}
