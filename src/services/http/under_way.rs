//! Answers that are made in pieces: several parts of a file, and the listing of a directory.
//!
//! A piece is small enough to keep nobody waiting, and the next one is made when there is room for it. What such an
//! answer holds is bounded: a list of parts, or the rows of a directory.

use std::{ops::Range, rc::Rc, time::Instant};

use crate::{
    clock::Clock,
    http::{Listing, Multipart, Part, Refusal, Rows},
    protocol::{Body, Outbox},
    site::{Content, Directory, Entry, Share, Site},
};

/// Up to this length a body is copied behind its head, so that several answers can leave in one write.
const COPIED: usize = 8 * 1024;
/// Names of a directory that are read in one piece of work: some tenths of a millisecond.
const NAMES: usize = 128;
/// A piece of a listing is about this long.
const PIECE: usize = 16 * 1024;

/// Puts the bytes in `part` of the file `entry` behind what is in `out`.
pub fn put_content(entry: &Entry, part: Range<u64>, out: &mut Outbox) {
    let len = part.end - part.start;
    match &entry.content {
        Content::Memory(content) => {
            let part = part.start as usize..part.end as usize; // of what is in memory
            match part.len() <= COPIED {
                true => out.bytes().extend_from_slice(&content[part]),
                false => out.put(Body::Memory { content: Rc::clone(content), part }),
            }
        }
        Content::Disk(file) => out.put(Body::File { file: Rc::clone(file), offset: part.start, left: len }),
    }
}

/// What is left of an answer.
pub enum Rest {
    Parts { entry: Rc<Entry>, parts: Vec<Part>, next: usize },
    Listing { gathering: Box<Gathering>, is_chunked: bool },
}

impl Rest {
    /// Whether a piece takes time to make.
    pub fn is_work(&self) -> bool {
        matches!(self, Rest::Listing { .. })
    }

    /// Puts the next piece into `out`, which has room. Says whether there is more.
    pub fn put(&mut self, out: &mut Outbox) -> bool {
        match self {
            Rest::Parts { entry, parts, next } => {
                let body = Multipart { facts: &entry.facts, parts };
                while out.has_room() {
                    out.bytes().extend_from_slice(body.delimiter(*next).as_bytes());
                    let Some(part) = parts.get(*next) else { return false };
                    put_content(entry, part.first..part.last + 1, out);
                    *next += 1;
                }
                true
            }
            Rest::Listing { gathering, is_chunked } => {
                let (piece, is_last) = gathering.piece();
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

/// One chunk (RFC 9112 §7.1), and the end of all chunks if it is the last.
fn put_chunk(piece: &str, is_last: bool, out: &mut Vec<u8>) {
    let size = format!("{:x}\r\n", piece.len());
    let end = if is_last { "\r\n0\r\n\r\n" } else { "\r\n" };
    for bytes in [&size, piece, end] {
        out.extend_from_slice(bytes.as_bytes());
    }
}

/// A listing: its rows are gathered first, for they come in no order, and then it is written.
pub struct Gathering {
    pub listing: Listing,
    /// When it was asked for.
    pub since: Instant,
    /// `None` when it is read to its end.
    directory: Option<Directory>,
    rows: Rows,
    share: Share,
    /// Something of it was written, and a row of it.
    is_begun: bool,
    has_row: bool,
}

impl Gathering {
    pub fn new(listing: Listing, directory: Directory, share: Share, since: Instant) -> Gathering {
        let rows = Rows::new(listing.order);
        let directory = Some(directory);
        Gathering { listing, since, directory, rows, share, is_begun: false, has_row: false }
    }

    /// Whether all rows are there.
    pub fn is_whole(&self) -> bool {
        self.directory.is_none()
    }

    /// Reads some names, and says how many rows there are now.
    ///
    /// # Errors
    /// As for [`Directory::read`].
    pub fn go_on(&mut self, site: &Site, clock: &Clock) -> Result<usize, Refusal> {
        if let Some(directory) = &mut self.directory
            && !directory.read(NAMES, &mut self.rows, &mut self.share, site, clock)?
        {
            self.directory = None;
        }
        Ok(self.share.rows())
    }

    /// The next piece of its text, never empty, and whether it is the last one.
    fn piece(&mut self) -> (String, bool) {
        let mut text = if self.is_begun { String::new() } else { self.listing.begin() };
        self.is_begun = true;
        let Gathering { listing, rows, share, has_row, .. } = self;
        while text.len() < PIECE {
            if !rows.take(|row| text.push_str(&listing.row(row, !*has_row))) {
                text.push_str(listing.end());
                return (text, true);
            }
            *has_row = true;
            share.give_back();
        }
        (text, false)
    }
}
