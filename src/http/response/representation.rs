//! The header fields of a file. They are rendered once, when the file is read, not for each
//! request.

use std::fmt::Write;

use crate::http::{Coding, Validators};

/// The metadata of a served file (RFC 9110 section 8).
#[derive(Debug)]
pub struct Representation {
    /// The length in bytes, or 0 if it is not known.
    pub len: u64,
    /// Whether the length is known before the file is sent.
    pub has_length: bool,
    /// Whether the bytes of the file are followed by bytes from elsewhere.
    pub has_suffix: bool,
    /// The value of `Content-Type`. A compressed variant has the media type of its original.
    pub media_type: String,
    /// The content coding of a compressed variant.
    pub coding: Option<Coding>,
    /// The validators of this version of the file.
    pub validators: Validators,
    /// The field lines for a 200 response, in this order: length, type, validators. Responses with
    /// other statuses use a suffix of these lines.
    fields: Box<[u8]>,
    type_at: usize,
    validators_at: usize,
    tag_at: usize,
}

impl Representation {
    /// Creates a representation and renders its field lines.
    pub fn new(
        len: u64,
        media_type: String,
        coding: Option<Coding>,
        validators: Validators,
    ) -> Representation {
        let mut fields = format!("Content-Length: {len}\r\n");
        let type_at = fields.len();
        push_type(&mut fields, &media_type, coding);
        let validators_at = fields.len();
        if let Some(modified) = validators.modified {
            let date = httpdate::HttpDate::from(modified);
            let _ = write!(fields, "Last-Modified: {date}\r\n");
        }
        let tag_at = fields.len();
        let _ = write!(fields, "ETag: {}\r\nAccept-Ranges: bytes\r\n", validators.tag);
        let fields = fields.into_bytes().into();
        Representation {
            len,
            has_length: true,
            has_suffix: false,
            media_type,
            coding,
            validators,
            fields,
            type_at,
            validators_at,
            tag_at,
        }
    }

    /// Creates the representation of a file whose length is not known before it is sent. It has no
    /// validators, and so no ranges.
    pub fn of_unknown_length(media_type: String, coding: Option<Coding>) -> Representation {
        let mut fields = String::new();
        push_type(&mut fields, &media_type, coding);
        let end = fields.len();
        Representation {
            len: 0,
            has_length: false,
            has_suffix: false,
            media_type,
            coding,
            validators: Validators::default(),
            fields: fields.into_bytes().into(),
            type_at: 0,
            validators_at: end,
            tag_at: end,
        }
    }

    /// Returns the field lines for a 200 response: length, type and validators.
    pub fn fields(&self) -> &[u8] {
        &self.fields
    }

    /// Returns the field lines for a 206 response: type and validators.
    pub fn partial_fields(&self) -> &[u8] {
        &self.fields[self.type_at..]
    }

    /// Returns the field lines for a 206 response to a client that has another part of the file:
    /// only the entity tag.
    pub fn next_part_fields(&self) -> &[u8] {
        &self.fields[self.tag_at..]
    }

    /// Returns the field lines for a 304 response: only the validators.
    pub fn not_modified_fields(&self) -> &[u8] {
        &self.fields[self.validators_at..]
    }
}

/// Appends the field lines that say how to read the file.
fn push_type(fields: &mut String, media_type: &str, coding: Option<Coding>) {
    let _ = write!(fields, "Content-Type: {media_type}\r\n");
    if let Some(coding) = coding {
        let _ = write!(fields, "Content-Encoding: {}\r\n", coding.name());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn representation_fields() {
        let validators = Validators { modified: Some(at(784_111_777)), ..Validators::of_test("a-b") };
        let representation = Representation::new(12, "text/plain".into(), Some(Coding::Gzip), validators);
        let copy =
            "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"a-b\"\r\nAccept-Ranges: bytes\r\n";
        let part = format!("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n{copy}");
        assert_eq!(String::from_utf8_lossy(representation.fields()), format!("Content-Length: 12\r\n{part}"));
        assert_eq!(String::from_utf8_lossy(representation.partial_fields()), part);
        assert_eq!(String::from_utf8_lossy(representation.not_modified_fields()), copy);
        let next_part = "ETag: \"a-b\"\r\nAccept-Ranges: bytes\r\n";
        assert_eq!(String::from_utf8_lossy(representation.next_part_fields()), next_part);
    }
}
