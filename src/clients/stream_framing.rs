//! How a client finds the messages in a byte stream. The user types lines, and each framing shows a
//! received message as a line.

use crate::framing::{TooLong, frame, line, put_frame};

/// The framing of the messages between a client and its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamFraming {
    /// None: bytes are relayed as they come, and boundaries are lost.
    #[default]
    None,
    /// Each message is a line.
    Lines,
    /// Each message is a frame that begins with its length.
    Length,
}

impl StreamFraming {
    /// The maximum length of a message, without its line end or header. A frame of this length
    /// fills 64 KiB.
    pub const MAX_MESSAGE: usize = 64 * 1024 - 4;

    /// Appends the complete lines of `typed` to `out`, each as one message. Returns the number of
    /// bytes that are done.
    ///
    /// # Errors
    /// Fails if a line is too long for a message.
    pub fn encode(self, typed: &[u8], out: &mut Vec<u8>) -> Result<usize, TooLong> {
        let put: fn(&mut Vec<u8>, &[u8]) -> Result<(), TooLong> = match self {
            StreamFraming::None => {
                out.extend_from_slice(typed);
                return Ok(typed.len());
            }
            StreamFraming::Lines => put_line,
            StreamFraming::Length => put_frame,
        };
        let mut done = 0;
        while let Some((line, len)) = line(&typed[done..], StreamFraming::MAX_MESSAGE)? {
            put(out, line)?;
            done += len;
        }
        Ok(done)
    }

    /// Appends the complete messages of `received` to `out`, each as one line. A line feed within a
    /// frame becomes `\n`, so that the line stays one line. Returns the number of bytes that are
    /// done.
    ///
    /// # Errors
    /// Fails if a message is too long. The peer probably uses another framing.
    pub fn decode(self, received: &[u8], out: &mut Vec<u8>) -> Result<usize, TooLong> {
        if self != StreamFraming::Length {
            return self.encode(received, out); // lines stay lines
        }
        let mut done = 0;
        while let Some((content, len)) = frame(&received[done..], StreamFraming::MAX_MESSAGE)? {
            for (n, piece) in content.split(|byte| *byte == b'\n').enumerate() {
                out.extend_from_slice(if n > 0 { b"\\n" } else { b"" });
                out.extend_from_slice(piece);
            }
            out.push(b'\n');
            done += len;
        }
        Ok(done)
    }
}

fn put_line(out: &mut Vec<u8>, line: &[u8]) -> Result<(), TooLong> {
    out.extend_from_slice(line);
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = StreamFraming::MAX_MESSAGE;

    /// Passes `input` to `convert` in pieces of `step` bytes, and returns the output and the rest.
    fn convert(
        input: &[u8],
        step: usize,
        convert: impl Fn(&[u8], &mut Vec<u8>) -> Result<usize, TooLong>,
    ) -> Result<(Vec<u8>, Vec<u8>), TooLong> {
        let (mut out, mut buffer) = (Vec::new(), Vec::new());
        for piece in input.chunks(step) {
            buffer.extend_from_slice(piece);
            let done = convert(&buffer, &mut out)?;
            buffer.drain(..done);
        }
        Ok((out, buffer))
    }

    #[test]
    fn framing_delimits_messages_wherever_the_input_is_cut() {
        use StreamFraming::{Length, Lines, None};
        let typed = b"one\r\n\ntwo";
        for step in 1..=typed.len() {
            for (framing, sent, rest) in [
                (None, &typed[..], &b""[..]),
                (Lines, b"one\n\n", b"two"),
                (Length, b"\0\0\0\x03one\0\0\0\0", b"two"),
            ] {
                let encoded = convert(typed, step, |typed, out| framing.encode(typed, out));
                assert_eq!(encoded, Ok((sent.to_vec(), rest.to_vec())), "{framing:?}, pieces of {step}");
            }
        }
        let frames = b"\0\0\0\x03one\0\0\0\0\0\0\0\x04a\nb\n\0\0\0\x05par";
        for step in 1..=frames.len() {
            let decoded = convert(frames, step, |received, out| Length.decode(received, out));
            let (shown, rest) = (b"one\n\na\\nb\\n\n".to_vec(), b"\0\0\0\x05par".to_vec());
            assert_eq!(decoded, Ok((shown, rest)), "pieces of {step}");
        }
        let decoded = convert(typed, 1, |received, out| Lines.decode(received, out));
        assert_eq!(decoded, Ok((b"one\n\n".to_vec(), b"two".to_vec())));
    }

    #[test]
    fn framing_refuses_messages_that_are_too_long() {
        let mut longest = vec![b'x'; MAX];
        longest.push(b'\n');
        let mut sent = Vec::new();
        assert_eq!(StreamFraming::Length.encode(&longest, &mut sent), Ok(MAX + 1));
        assert_eq!(sent.len(), 64 * 1024);
        let mut shown = Vec::new();
        assert_eq!(StreamFraming::Length.decode(&sent, &mut shown), Ok(sent.len()));
        assert_eq!(shown, longest);
        longest.insert(0, b'x');
        let mut out = Vec::new();
        for framing in [StreamFraming::Lines, StreamFraming::Length] {
            assert_eq!(framing.encode(&longest, &mut out), Err(TooLong));
            assert_eq!(framing.decode(&longest, &mut out), Err(TooLong));
        }
        assert_eq!(StreamFraming::Length.decode(b"HTTP/1.1 200 OK\r\n", &mut out), Err(TooLong));
        assert_eq!(StreamFraming::None.encode(&longest, &mut out), Ok(longest.len()));
    }
}
