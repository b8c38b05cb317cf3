//! Redirects that lead to each other a number of times, at the paths that httpbin has for them.

/// The maximum number of redirects in a row. Clients follow far fewer.
const MAX_REDIRECTS: u32 = 1000;

/// A redirect to another path of the target.
#[derive(Debug, PartialEq, Eq)]
pub struct TargetRedirect {
    /// The path, relative to the path of the target.
    pub to: String,
    /// Whether the `Location` is a whole URL.
    pub is_absolute: bool,
}

impl TargetRedirect {
    /// Returns the redirect at `path`, which is relative to the path of the target.
    pub fn at(path: &[u8], query: &[u8]) -> Option<TargetRedirect> {
        let (kind, count) = std::str::from_utf8(path).ok()?.split_once('/')?;
        let is_absolute = match kind {
            "redirect" => query.eq_ignore_ascii_case(b"absolute=true"),
            "relative-redirect" => false,
            "absolute-redirect" => true,
            _ => return None,
        };
        let is_number = count.bytes().all(|b| b.is_ascii_digit());
        let count = count.parse().ok().filter(|_| is_number)?;
        let to = match count {
            1 => "get".to_owned(),
            2..=MAX_REDIRECTS if is_absolute => format!("absolute-redirect/{}", count - 1),
            2..=MAX_REDIRECTS => format!("relative-redirect/{}", count - 1),
            _ => return None,
        };
        Some(TargetRedirect { to, is_absolute })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_count_down() {
        let table = [
            ("redirect/1", "", Some(("get", false))),
            ("redirect/3", "", Some(("relative-redirect/2", false))),
            ("redirect/3", "absolute=True", Some(("absolute-redirect/2", true))),
            ("redirect/3", "absolute=false", Some(("relative-redirect/2", false))),
            ("relative-redirect/2", "", Some(("relative-redirect/1", false))),
            ("absolute-redirect/2", "", Some(("absolute-redirect/1", true))),
            ("absolute-redirect/1", "", Some(("get", true))),
            ("redirect/1000", "", Some(("relative-redirect/999", false))),
            ("redirect/1001", "", None),
            ("redirect/0", "", None),
            ("redirect/+1", "", None),
            ("redirect/", "", None),
            ("redirect/1/2", "", None),
            ("redirect/99999999999", "", None),
            ("redirect", "", None),
            ("redirect-to/1", "", None),
        ];
        for (path, query, expected) in table {
            let redirect = TargetRedirect::at(path.as_bytes(), query.as_bytes());
            let expected = expected.map(|(to, is_absolute)| TargetRedirect { to: to.into(), is_absolute });
            assert_eq!(redirect, expected, "{path}?{query}");
        }
    }
}
