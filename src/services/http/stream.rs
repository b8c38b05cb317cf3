//! Response bodies: one range of a file, several ranges of a file, and a directory listing.
//!
//! The last two are made in pieces. A piece is small enough not to delay other connections, and the
//! next one is made only when the outbox has room. So the memory that such a response uses is
//! limited to a list of ranges or the rows of a directory.

use std::{ops::Range, rc::Rc};

use super::representation::StaticFile;
use crate::{
    clock::Clock,
    http::{ByteRange, ByteRanges, Representation},
    listing::{Listing, Row, Rows},
    protocol::{Body, Outbox},
    site::{Content, DirectoryReader, Error, RowQuota, Site},
};

/// The length in bytes of the longest body that is copied into the outbox after its head, so that
/// one write can send several responses.
const COPIED: usize = 8 * 1024;
/// The number of directory entries read in one piece of work, which takes a few tenths of a
/// millisecond.
const ENTRIES: usize = 128;
/// The approximate length in bytes of one piece of a listing.
const PIECE: usize = 16 * 1024;

/// Puts the given `range` of `file` into `out`, after the bytes already there.
pub fn put_content(file: &StaticFile, range: Range<u64>, out: &mut Outbox) {
    match &file.content {
        Content::Memory(content) => {
            // Content in memory fits a `usize`.
            let range = range.start as usize..range.end as usize;
            if range.len() <= COPIED {
                out.bytes().extend_from_slice(&content[range]);
            } else {
                out.put(Body::Memory { content: Rc::clone(content), range });
            }
        }
        Content::Disk(file) => out.put(Body::File(file.body(range))),
    }
}

/// The rest of a body that is made in pieces.
pub enum StreamBody {
    Ranges { file: Rc<StaticFile>, ranges: Vec<ByteRange>, next: usize },
    Listing { builder: Box<ListingBuilder>, is_chunked: bool },
}

impl StreamBody {
    /// Returns whether making a piece counts against the work budget.
    pub fn is_work(&self) -> bool {
        matches!(self, StreamBody::Listing { .. })
    }

    /// Puts the next piece into `out`, which must have room. Returns whether another piece follows.
    pub fn put(&mut self, out: &mut Outbox) -> bool {
        match self {
            StreamBody::Ranges { file, ranges, next } => {
                let body = ByteRanges { file: &file.description, ranges };
                while out.has_room() {
                    out.bytes().extend_from_slice(body.delimiter(*next).as_bytes());
                    let Some(range) = ranges.get(*next) else { return false };
                    put_content(file, range.first..range.last + 1, out);
                    *next += 1;
                }
                true
            }
            StreamBody::Listing { builder, is_chunked } => {
                let (piece, is_last) = builder.piece();
                if *is_chunked {
                    put_chunk(&piece, is_last, out.bytes());
                } else {
                    out.bytes().extend_from_slice(piece.as_bytes());
                }
                !is_last
            }
        }
    }
}

/// Appends `piece` as one chunk. After the last piece, also appends the final, empty chunk (RFC
/// 9112 section 7.1).
fn put_chunk(piece: &str, is_last: bool, out: &mut Vec<u8>) {
    let size = format!("{:x}\r\n", piece.len());
    let end = if is_last { "\r\n0\r\n\r\n" } else { "\r\n" };
    for bytes in [&size, piece, end] {
        out.extend_from_slice(bytes.as_bytes());
    }
}

/// A listing in progress. A directory has no order, so all rows are read and sorted before the
/// first one is written.
pub struct ListingBuilder {
    listing: Listing,
    read_state: ReadState,
    rows: Rows,
    quota: RowQuota,
    has_started: bool,
    has_row: bool,
}

/// How far a directory has been read. A listing that waits for its first turn holds no descriptor.
enum ReadState {
    Unopened,
    Reading(DirectoryReader),
    Complete,
}

impl ListingBuilder {
    /// Creates a builder that holds rows within `quota`.
    pub fn new(listing: Listing, quota: RowQuota) -> ListingBuilder {
        let (rows, read_state) = (Rows::new(listing.order), ReadState::Unopened);
        ListingBuilder { listing, read_state, rows, quota, has_started: false, has_row: false }
    }

    /// Returns whether the directory has been read completely.
    pub fn is_complete(&self) -> bool {
        matches!(self.read_state, ReadState::Complete)
    }

    /// Returns the value of the response's `Content-Type` field.
    pub fn media_type(&self) -> &'static str {
        self.listing.media_type()
    }

    /// Opens the directory, unless it has been opened.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn open(&mut self, site: &Site<Representation>, clock: &Clock) -> Result<(), Error> {
        if matches!(self.read_state, ReadState::Unopened) {
            self.read_state = ReadState::Reading(site.read_directory(&self.listing.path, clock)?);
        }
        Ok(())
    }

    /// Reads up to [`ENTRIES`] entries. Returns the number of rows so far.
    ///
    /// # Errors
    /// Fails if the directory cannot be read, or if no quota is left for its rows.
    pub fn gather(&mut self, site: &Site<Representation>, clock: &Clock) -> Result<usize, Error> {
        self.open(site, clock)?;
        let ListingBuilder { read_state, rows, quota, .. } = self;
        if let ReadState::Reading(reader) = read_state {
            let has_more = reader.read(ENTRIES, site, clock, |entry| {
                quota.take_one()?;
                let (name, is_directory) = (entry.name, entry.is_directory);
                rows.put(Row { name, is_directory, len: entry.len, modified: entry.modified });
                Ok(())
            })?;
            if !has_more {
                *read_state = ReadState::Complete;
            }
        }
        Ok(self.quota.taken())
    }

    /// Returns the next piece of the listing, never empty, and whether it is the last one.
    fn piece(&mut self) -> (String, bool) {
        let mut text = if self.has_started { String::new() } else { self.listing.begin() };
        self.has_started = true;
        let ListingBuilder { listing, rows, quota, has_row, .. } = self;
        while text.len() < PIECE {
            if !rows.take(|row| text.push_str(&listing.row(row, !*has_row))) {
                text.push_str(listing.end());
                return (text, true);
            }
            *has_row = true;
            quota.release_one();
        }
        (text, false)
    }
}
