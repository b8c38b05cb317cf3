//! Response bodies: one range of a file, several ranges of a file, a file of unknown length, and a
//! directory listing.
//!
//! The last three are made in pieces. A piece is small enough not to delay other connections, and
//! the next one is made only when the outbox has room. So the memory that such a response uses is
//! limited to one piece, and a list of ranges or the rows of a directory.

use std::{ops::Range, rc::Rc};

use super::{representation::StaticFile, resolve::Resolver};
use crate::{
    clock::Clock,
    http::{ByteRange, ByteRanges, Representation},
    listing::{Listing, Row, Rows},
    protocol::{Body, CloseReason, Outbox},
    site::{Content, DirectoryReader, Error, RowQuota, Site},
    site_path::SitePath,
};

/// The length in bytes of the longest body that is copied into the outbox after its head, so that
/// one write can send several responses.
const COPIED: usize = 8 * 1024;
/// The number of directory entries read in one piece of work, which takes a few tenths of a
/// millisecond.
const ENTRIES: usize = 128;
/// The approximate length in bytes of one piece of a listing, and the maximum length of one of a
/// file of unknown length.
const PIECE: usize = 16 * 1024;
/// The maximum number of reads for one piece. Most files in `/proc` return a page with each.
const READS: usize = 8;

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
        Content::Unmeasured(_) => {} // it has no ranges; see `StreamBody::Unmeasured`
    }
}

/// The rest of a body that is made in pieces.
pub enum StreamBody {
    Ranges {
        file: Rc<StaticFile>,
        ranges: Vec<ByteRange>,
        next: usize,
    },
    Unmeasured {
        file: Rc<StaticFile>,
        offset: u64,
        is_chunked: bool,
    },
    /// A range of a file that is followed by a suffix.
    Suffixed {
        file: Rc<StaticFile>,
        range: Range<u64>,
        suffix: Rc<[u8]>,
    },
    Listing {
        builder: Box<ListingBuilder>,
        is_chunked: bool,
    },
}

impl StreamBody {
    /// Returns whether making a piece counts against the work budget.
    pub fn is_work(&self) -> bool {
        !matches!(self, StreamBody::Ranges { .. } | StreamBody::Suffixed { .. })
    }

    /// Puts the next piece into `out`, which must have room. Returns whether another piece follows.
    ///
    /// # Errors
    /// Returns the close reason if the rest of the body cannot be read.
    pub fn put(
        &mut self,
        site: &Site<Representation>,
        out: &mut Outbox,
        clock: &Clock,
    ) -> Result<bool, CloseReason> {
        match self {
            StreamBody::Ranges { file, ranges, next } => {
                let body = ByteRanges { file: &file.description, ranges };
                while out.has_room() {
                    out.bytes().extend_from_slice(body.delimiter(*next).as_bytes());
                    let Some(range) = ranges.get(*next) else { return Ok(false) };
                    put_content(file, range.first..range.last + 1, out);
                    *next += 1;
                }
                Ok(true)
            }
            StreamBody::Suffixed { file, range, suffix } => {
                let len = file.description.len;
                if range.start < len {
                    let end = range.end.min(len);
                    put_content(file, range.start..end, out);
                    range.start = end;
                }
                if range.is_empty() || !out.has_room() {
                    return Ok(!range.is_empty());
                }
                // The suffix is in memory, so its range fits a `usize`.
                let range = (range.start - len) as usize..(range.end - len) as usize;
                out.bytes().extend_from_slice(&suffix[range]);
                Ok(false)
            }
            StreamBody::Unmeasured { file, offset, is_chunked } => {
                let (piece, is_last) = read_piece(file, *offset, site, clock)?;
                *offset += piece.len() as u64;
                put_piece(&piece, is_last, *is_chunked, out.bytes());
                Ok(!is_last)
            }
            StreamBody::Listing { builder, is_chunked } => {
                let (piece, is_last) = builder.piece();
                put_piece(piece.as_bytes(), is_last, *is_chunked, out.bytes());
                Ok(!is_last)
            }
        }
    }
}

/// Reads the piece of `file` at `offset`, and returns whether it is the last one.
///
/// # Errors
/// Returns the close reason if the file cannot be read.
fn read_piece(
    file: &StaticFile,
    offset: u64,
    site: &Site<Representation>,
    clock: &Clock,
) -> Result<(Vec<u8>, bool), CloseReason> {
    let Content::Unmeasured(file) = &file.content else { return Ok((Vec::new(), true)) };
    let (mut piece, mut len) = (vec![0; PIECE], 0);
    let mut is_last = false;
    for _ in 0..READS {
        let got = site.read_unmeasured(file, offset + len as u64, &mut piece[len..], clock);
        // The status has been sent. An early end of the connection is the only way to report this.
        let got = got.map_err(|_| CloseReason::FileChanged)?;
        is_last = got == 0;
        len += got;
        if is_last || len == PIECE {
            break;
        }
    }
    piece.truncate(len);
    Ok((piece, is_last))
}

/// Appends `piece`. In the chunked coding it is one chunk, and the final, empty chunk follows the
/// last piece (RFC 9112 section 7.1).
pub fn put_piece(piece: &[u8], is_last: bool, is_chunked: bool, out: &mut Vec<u8>) {
    if !is_chunked {
        out.extend_from_slice(piece);
        return;
    }
    // An empty chunk would end the body.
    if !piece.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    if is_last {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}

/// A listing in progress. A directory has no order, so all rows are read and sorted before the
/// first one is written.
pub struct ListingBuilder {
    /// The site that has the directory, and the path in it.
    site: Rc<Site<Representation>>,
    path: SitePath<'static>,
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
    /// Creates a builder that lists the directory at `path` in `site`, and holds rows within
    /// `quota`.
    pub fn new(
        site: Rc<Site<Representation>>,
        path: SitePath<'static>,
        listing: Listing,
        quota: RowQuota,
    ) -> ListingBuilder {
        let (rows, read_state) = (Rows::new(listing.order), ReadState::Unopened);
        ListingBuilder { site, path, listing, read_state, rows, quota, has_started: false, has_row: false }
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
    pub fn open(&mut self, clock: &Clock) -> Result<(), Error> {
        if matches!(self.read_state, ReadState::Unopened) {
            self.read_state = ReadState::Reading(self.site.read_directory(&self.path, clock)?);
        }
        Ok(())
    }

    /// Reads up to [`ENTRIES`] entries. Returns the number of rows so far. The mounts of `main`,
    /// the resolver of the main site, come last, in place of the entries that they hide.
    ///
    /// # Errors
    /// Fails if the directory cannot be read, or if no quota is left for its rows.
    pub fn gather(&mut self, main: &Resolver, clock: &Clock) -> Result<usize, Error> {
        self.open(clock)?;
        let ListingBuilder { site, listing, read_state, rows, quota, .. } = self;
        if let ReadState::Reading(reader) = read_state {
            let mut put = |row: Row<'_>| {
                if !listing.filter.matches(row.name) {
                    return Ok(());
                }
                quota.take_one()?;
                rows.put(row);
                Ok(())
            };
            let has_more = reader.read(ENTRIES, site, clock, |entry| {
                if main.has_mount(&listing.path, entry.name) {
                    return Ok(());
                }
                let (name, is_directory) = (entry.name, entry.is_directory);
                put(Row { name, is_directory, len: entry.len, modified: entry.modified })
            })?;
            if !has_more {
                main.mounts_in(&listing.path, clock, put)?;
                *read_state = ReadState::Complete;
            }
        }
        Ok(self.quota.taken())
    }

    /// Returns the next piece of the listing, never empty, and whether it is the last one.
    fn piece(&mut self) -> (String, bool) {
        let mut text = if self.has_started { String::new() } else { self.listing.begin(self.rows.totals()) };
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
