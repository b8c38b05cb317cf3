//! All that a response head says about a file. The site gathers the facts; here they become field lines, once a file
//! and not once a request.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

/// What is known of a file that is served.
#[derive(Debug)]
pub struct Facts {
    /// Its length in bytes.
    pub len: u64,
    /// Its `Content-Type`.
    pub media_type: String,
    /// When it was last changed, to the second, if that is known.
    pub modified: Option<SystemTime>,
    /// Its strong entity tag, in quotes.
    pub tag: String,
    /// It was not changed within the last moments, in which a date cannot tell two versions apart (RFC 9110 §8.8.2.2).
    pub is_settled: bool,
    /// Every field line of a 200, in three groups: see the methods.
    fields: Box<[u8]>,
    type_at: usize,
    validators_at: usize,
}

impl Facts {
    /// `modified` is `None` where the time is not known; it must not be later than the `Date` of any response. `tag` is
    /// the opaque part of a strong entity tag: two versions never share one.
    pub fn new(
        len: u64,
        media_type: String,
        modified: Option<SystemTime>,
        tag: &str,
        is_settled: bool,
    ) -> Facts {
        let tag = format!("\"{tag}\"");
        let mut fields = format!("Content-Length: {len}\r\n");
        let type_at = fields.len();
        let _ = write!(fields, "Content-Type: {media_type}\r\n");
        let validators_at = fields.len();
        if let Some(modified) = modified {
            let date = httpdate::HttpDate::from(modified);
            let _ = write!(fields, "Last-Modified: {date}\r\n");
        }
        let _ = write!(
            fields,
            "ETag: {tag}\r\nAccept-Ranges: bytes\r\nCache-Control: no-cache\r\n\
             X-Content-Type-Options: nosniff\r\n"
        );
        let fields = fields.into_bytes().into();
        Facts { len, media_type, modified, tag, is_settled, fields, type_at, validators_at }
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
        let facts = Facts::new(12, "text/plain".into(), Some(at(784_111_777)), "a-b", true);
        let copy = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"a-b\"\r\nAccept-Ranges: bytes\r\n\
             Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n";
        let part = format!("Content-Type: text/plain\r\n{copy}");
        assert_eq!(String::from_utf8_lossy(facts.fields()), format!("Content-Length: 12\r\n{part}"));
        assert_eq!(String::from_utf8_lossy(facts.fields_of_part()), part);
        assert_eq!(String::from_utf8_lossy(facts.fields_of_copy()), copy);
    }
}
