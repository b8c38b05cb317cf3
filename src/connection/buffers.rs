//! The loop's buffers. The loop owns them, so a connection that waits holds none.

use crate::protocol::SpareBuffer;

/// The loop's buffers, which each source borrows for its turn.
pub struct Buffers {
    /// The buffer for reads. It is as large as any message that a protocol leaves unparsed, and
    /// larger than any datagram.
    pub input: Box<[u8]>,
    /// The spare buffer that the loop lends to an outbox (see
    /// [`Outbox::lend_buffer`](crate::protocol::Outbox::lend_buffer)).
    pub output: SpareBuffer,
}

impl Buffers {
    /// The length of the input buffer in bytes, unless a message may be longer.
    pub const INPUT: usize = 64 * 1024;

    /// Allocates both buffers, usually 144 KiB in total.
    pub fn new(max_message: usize) -> Buffers {
        Buffers {
            input: vec![0; max_message.max(Buffers::INPUT)].into(),
            output: SpareBuffer::with_capacity(80 * 1024),
        }
    }
}
