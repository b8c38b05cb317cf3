//! The readers of message boundaries: lines, frames and dotted text.

use oneloop::framing::{DottedPiece, DottedReader, TooLong, frame, line, put_dotted, put_frame, text_lines};

use super::conversation::{cuts, split_choice};

/// The length of the longest message that the readers accept here.
const MAX: usize = 64;

/// Checks the readers: the same messages however the stream is cut, and what a writer wrote is what
/// a reader reads.
pub fn framing(data: &[u8]) {
    let (choice, stream) = split_choice(data);
    let all = cuts(stream, choice);
    let lines = read(&all[0], |input| line(input, MAX));
    let frames = read(&all[0], |input| frame(input, MAX));
    let dotted = read_dotted(&all[0]);
    for pieces in &all[1..] {
        assert_eq!(read(pieces, |input| line(input, MAX)), lines);
        assert_eq!(read(pieces, |input| frame(input, MAX)), frames);
        assert_eq!(read_dotted(pieces), dotted);
    }
    assert!(lines.0.iter().all(|line| line.len() <= MAX && !line.contains(&b'\n')));
    assert!(frames.0.iter().all(|content| content.len() <= MAX));

    let mut sent = Vec::new();
    put_dotted(&mut sent, stream);
    let expected: Vec<u8> = text_lines(stream).flat_map(|line| [line, b"\r\n"].concat()).collect();
    for pieces in cuts(&sent, choice) {
        assert_eq!(read_dotted(&pieces), (expected.clone(), Some(sent.len())), "dotted text returns");
    }
    let mut sent = Vec::new();
    put_frame(&mut sent, stream).expect("a short message");
    assert_eq!(frame(&sent, stream.len()), Ok(Some((stream, sent.len()))), "a frame returns");
    assert_eq!(frame(&sent[..sent.len() - 1], stream.len()), Ok(None), "a frame that is not whole");
}

/// Reads all messages from `pieces`. Returns them, and whether one was too long.
fn read(
    pieces: &[&[u8]],
    next: impl for<'a> Fn(&'a [u8]) -> Result<Option<(&'a [u8], usize)>, TooLong>,
) -> (Vec<Vec<u8>>, bool) {
    let (mut messages, mut kept) = (Vec::new(), Vec::new());
    for piece in pieces {
        kept.extend_from_slice(piece);
        loop {
            match next(&kept) {
                Ok(Some((message, len))) => {
                    messages.push(message.to_vec());
                    kept.drain(..len);
                }
                Ok(None) => break,
                Err(TooLong) => return (messages, true),
            }
        }
        assert!(kept.len() <= MAX + 4, "{} bytes are kept", kept.len());
    }
    (messages, false)
}

/// Reads dotted text from `pieces`. Returns the text, and the length at which it ended.
fn read_dotted(pieces: &[&[u8]]) -> (Vec<u8>, Option<usize>) {
    let (mut reader, mut text, mut kept, mut consumed) = (DottedReader::new(), Vec::new(), Vec::new(), 0);
    for piece in pieces {
        kept.extend_from_slice(piece);
        while let Some((piece, len)) = reader.next(&kept) {
            consumed += len;
            match piece {
                DottedPiece::Text(bytes) => text.extend_from_slice(bytes),
                DottedPiece::End => return (text, Some(consumed)),
            }
            kept.drain(..len);
        }
        assert!(kept.len() <= 2, "{} bytes are kept", kept.len());
    }
    (text, None)
}
