//! All that a response head says about a file. The site gathers the facts; here they become field lines, once a file
//! and not once a request.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use super::negotiate::Coding;

/// What is known of a file that is served.
#[derive(Debug)]
pub struct Facts {
    /// Its length in bytes.
    pub len: u64,
    /// Its `Content-Type`; that of the original, if it is a variant.
    pub media_type: String,
    /// In which coding it is, if it is a variant.
    pub coding: Option<Coding>,
    pub validators: Validators,
    /// Every field line of a 200 that is about the file, in three groups: see the methods.
    fields: Box<[u8]>,
    type_at: usize,
    validators_at: usize,
}

/// What tells one version of a file from another (RFC 9110 §8.8). By default nothing does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// A strong entity tag, in quotes: two versions never share one.
    pub tag: String,
    /// When the file was last changed, to the second, if that is known; not later than the `Date` of any response.
    pub modified: Option<SystemTime>,
    /// Its date was not within the last moments, in which a date cannot tell two versions apart (§8.8.2.2).
    pub is_dated: bool,
    /// And its time was never set by hand, so that its date names this version alone.
    pub is_date_strong: bool,
}

impl Facts {
    pub fn new(len: u64, media_type: String, coding: Option<Coding>, validators: Validators) -> Facts {
        let mut fields = format!("Content-Length: {len}\r\n");
        let type_at = fields.len();
        let _ = write!(fields, "Content-Type: {media_type}\r\n");
        if let Some(coding) = coding {
            let _ = write!(fields, "Content-Encoding: {}\r\n", coding.name());
        }
        let validators_at = fields.len();
        if let Some(modified) = validators.modified {
            let date = httpdate::HttpDate::from(modified);
            let _ = write!(fields, "Last-Modified: {date}\r\n");
        }
        let _ = write!(fields, "ETag: {}\r\nAccept-Ranges: bytes\r\n", validators.tag);
        let fields = fields.into_bytes().into();
        Facts { len, media_type, coding, validators, fields, type_at, validators_at }
    }

    /// The field lines of the whole file: its length, its type, its validators.
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// Those of a part of it: without the length.
    pub fn fields_of_part(&self) -> &[u8] {
        &self.fields[self.type_at..]
    }

    /// Those of a copy that the peer has: without length and type.
    pub fn fields_of_copy(&self) -> &[u8] {
        &self.fields[self.validators_at..]
    }
}

/// The time that a file's `mtime` says, if it can be believed and shown: 0 and 1 mean "unknown" to several packers
/// (RFC 9110 §8.8.2 wants a time at which the file was changed), earlier ones are before what we can show, and a
/// `Last-Modified` is never later than the `Date` of its response (§8.8.2.1). Whole seconds, as on the wire.
pub fn last_modified(seconds: i64, now: SystemTime) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds).ok().filter(|s| *s > 1)?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(now)))
}

#[cfg(test)]
impl Validators {
    /// Those of a file of long ago without a date.
    pub fn of_test(tag: &str) -> Validators {
        Validators { tag: format!("\"{tag}\""), modified: None, is_dated: true, is_date_strong: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_that_cannot_be_believed_are_not_shown() {
        let now = at(1_000_000) + Duration::from_millis(999);
        let table = [
            (i64::MIN, None),
            (-1, None),
            (0, None),
            (1, None),
            (2, Some(at(2))),
            (999_999, Some(at(999_999))),
            (1_000_001, Some(at(1_000_000))),
            (253_402_300_800, Some(at(1_000_000))), // the year 10000
            (i64::MAX, Some(at(1_000_000))),
        ];
        for (seconds, expected) in table {
            assert_eq!(last_modified(seconds, now), expected, "{seconds}");
        }
    }

    #[test]
    fn the_fields_of_a_file() {
        let validators = Validators { modified: Some(at(784_111_777)), ..Validators::of_test("a-b") };
        let facts = Facts::new(12, "text/plain".into(), Some(Coding::Gzip), validators);
        let copy =
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"a-b\"\r\nAccept-Ranges: bytes\r\n";
        let part = format!("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n{copy}");
        assert_eq!(String::from_utf8_lossy(facts.fields()), format!("Content-Length: 12\r\n{part}"));
        assert_eq!(String::from_utf8_lossy(facts.fields_of_part()), part);
        assert_eq!(String::from_utf8_lossy(facts.fields_of_copy()), copy);
    }
}
