//! The filter of a listing, `?q=`: the rows whose names contain a text.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// The longest text to look for, in bytes: as long as a name can be.
const MAX_TEXT: usize = 255;

/// A text that names must contain, without regard to case. An empty text is in every name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    lowercase: String,
}

impl Filter {
    /// Parses the last parameter `q` of a query, in which a plus sign is a space (the URL standard,
    /// application/x-www-form-urlencoded). Cuts a long text short.
    pub fn parse(query: Option<&[u8]>) -> Filter {
        let mut parameters = query.unwrap_or_default().rsplit(|b| *b == b'&');
        let Some(value) = parameters.find_map(|parameter| parameter.strip_prefix(b"q=")) else {
            return Filter::default();
        };
        let value: Vec<u8> = value.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
        let decoded: Vec<u8> = percent_decode(&value).take(MAX_TEXT).collect();
        let text = String::from_utf8_lossy(&decoded).trim().to_owned();
        Filter { lowercase: text.to_lowercase(), text }
    }

    /// Returns the text to look for.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether `name` contains the text.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.text.is_empty() || String::from_utf8_lossy(name).to_lowercase().contains(&self.lowercase)
    }

    /// Returns the parameter for another link to the listing, with the ampersand in HTML, or
    /// nothing without a filter.
    pub fn parameter(&self) -> String {
        if self.text.is_empty() {
            return String::new();
        }
        format!("&amp;q={}", utf8_percent_encode(&self.text, NON_ALPHANUMERIC))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_is_decoded_and_bounded() {
        let table: [(&[u8], &str); 9] = [
            (b"", ""),
            (b"sort=name", ""),
            (b"q=", ""),
            (b"q=a", "a"),
            (b"sort=size&q=a+b%2Bc", "a b+c"),
            (b"q=a&q=%C3%89", "\u{c9}"),
            (b"q=%ff%3Cb%3E&order=desc", "\u{fffd}<b>"),
            (b"q=+a%20", "a"),
            (b"q=%zz", "%zz"),
        ];
        for (query, text) in table {
            assert_eq!(Filter::parse(Some(query)).text(), text, "{}", String::from_utf8_lossy(query));
        }
        assert_eq!(Filter::parse(None), Filter::default());
        let long = [&b"q="[..], &b"%61".repeat(2000)].concat();
        assert_eq!(Filter::parse(Some(&long)).text().len(), MAX_TEXT);
    }

    #[test]
    fn filter_matches_a_part_of_a_name() {
        let table: [(&[u8], &[u8], bool); 7] = [
            (b"q=", b"anything", true),
            (b"q=read", b"README.md", true),
            (b"q=READ", b"readme.md", true),
            (b"q=me.m", b"README.md", true),
            (b"q=%C3%A9", "CAF\u{c9}".as_bytes(), true),
            (b"q=md+", b"README.md", true),
            (b"q=x", b"README.md", false),
        ];
        for (query, name, expected) in table {
            assert_eq!(Filter::parse(Some(query)).matches(name), expected, "{query:?}");
        }
    }

    #[test]
    fn filter_stays_in_links() {
        assert_eq!(Filter::parse(Some(b"q=a+%22%3E%26")).parameter(), "&amp;q=a%20%22%3E%26");
        assert_eq!(Filter::default().parameter(), "");
    }
}
