//! Converts from the site to HTTP: a file's metadata becomes a representation, and a site error
//! becomes a refusal.

use crate::{
    http::{Coding, DateStrength, MediaTypes, Refusal, Representation, Status, Validators, content_coding},
    site::{Content, Describe, Error, FileOrigin, FileVersion, Metadata},
};

/// A file of the site with its header fields.
pub type StaticFile = crate::site::StaticFile<Representation>;

impl Describe for Representation {
    type Rules = MediaTypes;

    fn describe(
        types: &MediaTypes,
        origin: FileOrigin<'_, Representation>,
        metadata: &Metadata,
        content: &Content,
    ) -> Representation {
        let (media_type, coding) = match origin {
            FileOrigin::Variant { original, extension } => {
                (original.media_type.clone(), Coding::from_extension(extension))
            }
            FileOrigin::Path(path) => {
                let bytes = match content {
                    Content::Memory(bytes) => Some(&**bytes),
                    Content::Disk(_) | Content::Unmeasured(_) => None,
                };
                (types.of(path, bytes), content_coding(path))
            }
        };
        if matches!(content, Content::Unmeasured(_)) {
            return Representation::of_unknown_length(media_type, coding);
        }
        let date_strength = match (metadata.is_mtime_settled, metadata.is_mtime_genuine) {
            (_, true) => DateStrength::Strong,
            (true, false) => DateStrength::Weak,
            (false, false) => DateStrength::None,
        };
        let tag = entity_tag(metadata, coding);
        let validators = Validators { tag, modified: metadata.modified, date_strength };
        Representation::new(metadata.len, media_type, coding, validators)
    }

    fn size(&self) -> usize {
        self.fields().len()
    }
}

/// Returns a strong entity tag, in quotes. The tag differs for each version of a file and for each
/// content coding of a version (RFC 9110 section 8.8.3).
fn entity_tag(metadata: &Metadata, coding: Option<Coding>) -> String {
    let len = metadata.len;
    match metadata.version {
        FileVersion::Hash(hash) => format!("\"{len:x}-{hash:x}{}\"", coding.map_or("", Coding::name)),
        FileVersion::Status { changed, modified, inode, read: None } => {
            format!("\"{len:x}-{changed:x}-{modified:x}-{inode:x}\"")
        }
        FileVersion::Status { changed, modified, inode, read: Some(read) } => {
            format!("\"{len:x}-{changed:x}-{modified:x}-{inode:x}-{read:x}\"")
        }
    }
}

/// Converts a site error to the refusal that reports it. No other code does this.
impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error {
            Error::NotFound => Refusal::NOT_FOUND,
            Error::Forbidden => Refusal::FORBIDDEN,
            Error::Busy => Refusal::BUSY,
            Error::TooLarge => {
                Refusal::new(Status::InternalServerError, "This directory has too many files.")
            }
            Error::Io(_) => Refusal::BROKEN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_differ_by_version_and_coding() {
        let of = |version| Metadata {
            len: 255,
            modified: None,
            is_mtime_settled: true,
            is_mtime_genuine: false,
            version,
        };
        let tag = |version, coding| entity_tag(&of(version), coding);
        let hash = FileVersion::Hash(0xabc);
        let status = |read| FileVersion::Status { changed: 16, modified: 15, inode: 10, read };
        assert_eq!(tag(hash, None), "\"ff-abc\"");
        assert_eq!(tag(hash, Some(Coding::Gzip)), "\"ff-abcgzip\"");
        assert_eq!(tag(status(None), None), "\"ff-10-f-a\"");
        assert_eq!(tag(status(Some(17)), None), "\"ff-10-f-a-11\"");
    }
}
