//! Responses with which the browser of the page becomes a client that is worth a look: it reads
//! slowly, goes away, or stays idle.
//!
//! The site may have no large file, and a page may not read one of another origin. So the page has
//! its own. The page shows their connections like any other.

use std::rc::Rc;

use crate::protocol::{Body, CloseReason, Outbox, Progress};

/// The names of the responses below the secret path.
pub const LARGE: &[u8] = b"try/large";
pub const SMALL: &[u8] = b"try/small";
/// The length of the large response. It is more than the socket buffers of both sides can hold.
pub const LARGE_LEN: u64 = 64 * 1024 * 1024;
/// The length of a piece.
const PIECE: u64 = 64 * 1024;

/// The rest of a large response in progress.
pub struct LargeBody {
    piece: Rc<[u8]>,
    left: u64,
}

impl LargeBody {
    pub fn new() -> LargeBody {
        LargeBody { piece: vec![b'.'; PIECE as usize].into(), left: LARGE_LEN }
    }

    /// Puts the next piece into `out`. Then the connection ends.
    pub fn put(&mut self, out: &mut Outbox) -> Progress {
        let len = self.left.min(PIECE);
        self.left -= len;
        out.put(Body::Memory { content: Rc::clone(&self.piece), range: 0..len as usize });
        if self.left == 0 { Progress::Close(CloseReason::Done) } else { Progress::Yield }
    }
}
