//! Preconditions (RFC 9110 section 13): whether the client's copy is current, and whether the file
//! is still the version that the request names.

use std::{borrow::Cow, time::SystemTime};

/// How reliably a modification date identifies a version of a file (RFC 9110 section 8.8.2.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DateStrength {
    /// Not at all: the file was modified so recently that another version may get the same date.
    #[default]
    None,
    /// Weakly: a program may have set the date, so two versions may share it.
    Weak,
    /// Strongly: only this version has the date.
    Strong,
}

/// The validators of a representation, which identify its version (RFC 9110 section 8.8). The
/// default value identifies no version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// The strong entity tag, in quotes. Two versions never have the same tag.
    pub tag: String,
    /// The modification time in whole seconds, if it is known. It is not later than the `Date` of
    /// any response.
    pub modified: Option<SystemTime>,
    /// How reliably `modified` identifies this version.
    pub date_strength: DateStrength,
}

/// The values of the conditional and range fields of a request. Several lines of the same field are
/// joined with commas (RFC 9110 section 5.3), which makes the value invalid if the field may occur
/// only once.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Preconditions<'a> {
    pub if_match: Option<Cow<'a, [u8]>>,
    pub if_none_match: Option<Cow<'a, [u8]>>,
    pub if_modified_since: Option<Cow<'a, [u8]>>,
    pub if_unmodified_since: Option<Cow<'a, [u8]>>,
    pub if_range: Option<Cow<'a, [u8]>>,
    pub range: Option<Cow<'a, [u8]>>,
}

/// The result of evaluating the preconditions of a GET or HEAD request for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreconditionResult {
    /// The request is answered as if it had no preconditions.
    Proceed,
    /// 304: the client's copy is current.
    NotModified,
    /// 412: the file is not the version that the request names.
    Failed,
}

impl<'a> Preconditions<'a> {
    /// Returns whether `name` may be a conditional or range field. This is a cheap check.
    pub fn may_have(name: &str) -> bool {
        let name = name.as_bytes();
        name.eq_ignore_ascii_case(b"range")
            || name.first_chunk().is_some_and(|start: &[u8; 3]| start.eq_ignore_ascii_case(b"if-"))
    }

    /// Returns the slot for the value of the field `name`, or `None` if it is another field.
    pub fn field(&mut self, name: &str) -> Option<&mut Option<Cow<'a, [u8]>>> {
        let fields = [
            ("if-match", &mut self.if_match),
            ("if-none-match", &mut self.if_none_match),
            ("if-modified-since", &mut self.if_modified_since),
            ("if-unmodified-since", &mut self.if_unmodified_since),
            ("if-range", &mut self.if_range),
            ("range", &mut self.range),
        ];
        fields.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, field)| field)
    }

    /// Evaluates the preconditions against an existing file, in the order that RFC 9110 section
    /// 13.2.2 requires.
    pub fn evaluate(&self, file: &Validators) -> PreconditionResult {
        // If-Match replaces If-Unmodified-Since (section 13.1.4).
        if let Some(tags) = &self.if_match {
            if !any_tag(tags, |tag| is_strong_match(tag, file)) {
                return PreconditionResult::Failed;
            }
        } else if let Some((date, modified)) = date(&self.if_unmodified_since).zip(file.modified)
            && modified > date
        {
            return PreconditionResult::Failed;
        }
        // If-None-Match replaces If-Modified-Since (section 13.1.3).
        if let Some(tags) = &self.if_none_match {
            if any_tag(tags, |tag| is_weak_match(tag, file)) {
                return PreconditionResult::NotModified;
            }
        } else if let Some((date, modified)) = date(&self.if_modified_since).zip(file.modified)
            && modified <= date
            // A date with strength `None` may also belong to a later version.
            && file.date_strength >= DateStrength::Weak
        {
            return PreconditionResult::NotModified;
        }
        PreconditionResult::Proceed
    }

    /// Returns whether a range may be sent: there is no `If-Range`, or it names this version (RFC
    /// 9110 section 13.1.5). A date names this version only if it equals the file's date and that
    /// date is strong (RFC 9110 section 8.8.2.2).
    pub fn allows_range(&self, file: &Validators) -> bool {
        let Some(value) = &self.if_range else { return true };
        let is_same_date = || date(&self.if_range).is_some_and(|date| file.modified == Some(date));
        is_strong_match(value, file) || (file.date_strength == DateStrength::Strong && is_same_date())
    }
}

/// Parses an HTTP-date in any of its three forms (RFC 9110 section 5.6.7). Returns `None` for
/// anything else, which is ignored (RFC 9110 sections 13.1.3 and 13.1.4).
fn date(value: &Option<Cow<'_, [u8]>>) -> Option<SystemTime> {
    let text = std::str::from_utf8(value.as_deref()?).ok()?;
    httpdate::parse_http_date(text).ok()
}

/// Returns whether `value` is `*`, or a list with a tag that `matches` accepts. Ignores the rest of
/// the list after a malformed member.
fn any_tag(value: &[u8], matches: impl Fn(&[u8]) -> bool) -> bool {
    if value == b"*" {
        return true;
    }
    let mut rest = value;
    loop {
        rest = rest.trim_ascii_start();
        if let Some(after) = rest.strip_prefix(b",") {
            rest = after;
            continue;
        }
        let Some(len) = tag_len(rest) else { return false };
        let (tag, after) = rest.split_at(len);
        if matches(tag) {
            return true;
        }
        rest = after;
    }
}

/// Returns the length of the entity tag at the beginning of `input`, or `None` if there is none.
/// The grammar of a tag is `[ "W/" ] DQUOTE *etagc DQUOTE` (RFC 9110 section 8.8.3).
fn tag_len(input: &[u8]) -> Option<usize> {
    let prefix = if input.starts_with(b"W/\"") { 3 } else { 1 };
    if input.get(prefix - 1) != Some(&b'"') {
        return None;
    }
    let end = memchr::memchr(b'"', &input[prefix..])?;
    let is_valid = input[prefix..prefix + end].iter().all(|b| *b > b' ' && *b != 0x7f);
    is_valid.then_some(prefix + end + 1)
}

/// Returns whether `tag` matches `file` by strong comparison (RFC 9110 section 8.8.3.2). A weak tag
/// never matches, because the server's own tags are strong.
fn is_strong_match(tag: &[u8], file: &Validators) -> bool {
    tag == file.tag.as_bytes()
}

/// Returns whether `tag` matches `file` by weak comparison (RFC 9110 section 8.8.3.2).
fn is_weak_match(tag: &[u8], file: &Validators) -> bool {
    is_strong_match(tag.strip_prefix(b"W/").unwrap_or(tag), file)
}

#[cfg(test)]
impl Validators {
    /// Returns the validators of a file without a known date.
    pub fn of_test(tag: &str) -> Validators {
        Validators { tag: format!("\"{tag}\""), modified: None, date_strength: DateStrength::Strong }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn file(modified: Option<u64>, is_dated: bool) -> Validators {
        let date_strength = if is_dated { DateStrength::Strong } else { DateStrength::None };
        let modified = modified.map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s));
        Validators { modified, date_strength, ..Validators::of_test("a") }
    }

    fn conditions<'a>(lines: &[(&str, &'a str)]) -> Preconditions<'a> {
        let mut conditions = Preconditions::default();
        for (name, value) in lines {
            assert!(Preconditions::may_have(name), "{name}");
            *conditions.field(name).expect(name) = Some(Cow::Borrowed(value.as_bytes()));
        }
        conditions
    }

    #[test]
    fn preconditions_in_the_order_of_rfc_9110_13_2_2() {
        use PreconditionResult::{Failed, NotModified, Proceed};
        let (im, inm) = ("If-Match", "If-None-Match");
        let (ims, ius) = ("If-Modified-Since", "If-Unmodified-Since");
        let table: &[(&[(&str, &str)], PreconditionResult)] = &[
            (&[], Proceed),
            // Section 13.1.1: strong comparison.
            (&[(im, "\"a\"")], Proceed),
            (&[(im, "*")], Proceed),
            (&[(im, "\"b\", \"a\"")], Proceed),
            (&[(im, ",, \"b\" ,\"a\"")], Proceed),
            (&[(im, "\"b\"")], Failed),
            (&[(im, "W/\"a\"")], Failed),
            (&[(im, "a")], Failed),
            (&[(im, "")], Failed),
            (&[(im, "\"b\", *")], Failed),
            // Section 13.1.2: weak comparison.
            (&[(inm, "\"a\"")], NotModified),
            (&[(inm, "W/\"a\"")], NotModified),
            (&[(inm, "*")], NotModified),
            (&[(inm, "\"x,\\\", \"a\"")], NotModified), // a backslash escapes nothing in a tag
            (&[(inm, "\"b,c\", W/\"d\",\"a\"")], NotModified),
            (&[(inm, "\"b\"")], Proceed),
            (&[(inm, "a")], Proceed),
            (&[(inm, "\"a")], Proceed),
            (&[(inm, "w/\"a\"")], Proceed),
            // Section 13.1.3, and all forms of section 5.6.7.
            (&[(ims, MODIFIED)], NotModified),
            (&[(ims, LATER)], NotModified),
            (&[(ims, EARLIER)], Proceed),
            (&[(ims, "Sunday, 06-Nov-94 08:49:37 GMT")], NotModified),
            (&[(ims, "Sun Nov  6 08:49:37 1994")], NotModified),
            (&[(ims, "yesterday")], Proceed),
            (&[(ims, "")], Proceed),
            // Section 13.1.4.
            (&[(ius, MODIFIED)], Proceed),
            (&[(ius, LATER)], Proceed),
            (&[(ius, EARLIER)], Failed),
            (&[(ius, "yesterday")], Proceed),
            // Section 13.2.2: tags precede dates, and conditions for a 412 precede conditions for a
            // 304.
            (&[(im, "\"a\""), (ius, EARLIER)], Proceed),
            (&[(im, "\"b\""), (inm, "\"a\"")], Failed),
            (&[(inm, "\"b\""), (ims, LATER)], Proceed),
            (&[(inm, "\"a\""), (ims, EARLIER)], NotModified),
            (&[(ius, EARLIER), (inm, "\"a\"")], Failed),
        ];
        for (lines, expected) in table {
            assert_eq!(conditions(lines).evaluate(&file(Some(784_111_777), true)), *expected, "{lines:?}");
        }
    }

    #[test]
    fn preconditions_ignore_dates_that_are_missing_or_weak() {
        let since = conditions(&[("if-modified-since", LATER)]);
        assert_eq!(since.evaluate(&file(None, true)), PreconditionResult::Proceed);
        assert_eq!(since.evaluate(&file(Some(784_111_777), false)), PreconditionResult::Proceed);
        let unmodified = conditions(&[("if-unmodified-since", EARLIER)]);
        assert_eq!(unmodified.evaluate(&file(None, true)), PreconditionResult::Proceed);
    }

    #[test]
    fn if_range_needs_a_strong_match() {
        let table = [
            ("\"a\"", true),
            ("W/\"a\"", false),
            ("\"b\"", false),
            ("\"a\", \"b\"", false),
            (MODIFIED, true),
            ("Sunday, 06-Nov-94 08:49:37 GMT", true),
            (LATER, false),
            (EARLIER, false),
            ("*", false),
            ("", false),
        ];
        for (value, expected) in table {
            let allows = conditions(&[("If-Range", value)]).allows_range(&file(Some(784_111_777), true));
            assert_eq!(allows, expected, "{value:?}");
        }
        let by_date = conditions(&[("If-Range", MODIFIED)]);
        assert!(!by_date.allows_range(&file(None, true)));
        assert!(!by_date.allows_range(&file(Some(784_111_777), false)), "the date may be of two versions");
        assert!(conditions(&[]).allows_range(&file(None, false)));
    }
}
