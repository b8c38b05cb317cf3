//! Fetch metadata: what a browser says about how a page makes a request, and about the page.
//!
//! Browsers send these fields to `https` URLs and to loopback addresses, and pages cannot change
//! them. Other clients do not send them.

/// The values of `Sec-Fetch-Mode` and `Sec-Fetch-Site` (W3C Fetch Metadata Request Headers).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FetchMetadata {
    /// Whether `Sec-Fetch-Mode` is `navigate`, or `None` if the field is missing.
    pub is_navigation: Option<bool>,
    /// Whether `Sec-Fetch-Site` is `cross-site`.
    is_cross_site: bool,
}

impl FetchMetadata {
    /// Returns whether `name` may be one of the fields. This cheap check runs for most field lines.
    pub fn may_have(name: &str) -> bool {
        name.as_bytes()
            .first_chunk()
            .is_some_and(|start: &[u8; 10]| start.eq_ignore_ascii_case(b"sec-fetch-"))
    }

    /// Applies one field line.
    pub fn apply(&mut self, name: &str, value: &[u8]) {
        if name.eq_ignore_ascii_case("sec-fetch-mode") {
            self.is_navigation = Some(value == b"navigate");
        } else if name.eq_ignore_ascii_case("sec-fetch-site") {
            self.is_cross_site |= value == b"cross-site";
        }
    }

    /// Returns whether a page of another site makes the request without navigating to its URL, for
    /// example for a script, for an image or with `fetch`.
    pub fn is_cross_site_subresource(&self) -> bool {
        self.is_cross_site && self.is_navigation != Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
