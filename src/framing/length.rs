//! Frames: a length in four bytes, most significant byte first, and then that many bytes.

use super::TooLong;

/// The number of bytes that hold the length.
const HEADER: usize = 4;

/// Splits the first frame off `input`. Returns its content, and its length with the header. Returns
/// `None` if the frame has not arrived completely.
///
/// # Errors
/// Fails as soon as the header announces more than `max` bytes.
pub fn frame(input: &[u8], max: usize) -> Result<Option<(&[u8], usize)>, TooLong> {
    let Some((header, rest)) = input.split_first_chunk::<HEADER>() else { return Ok(None) };
    let len = usize::try_from(u32::from_be_bytes(*header)).map_err(|_| TooLong)?;
    if len > max {
        return Err(TooLong);
    }
    Ok(rest.get(..len).map(|content| (content, HEADER + len)))
}

/// Appends `content` to `out` as one frame.
///
/// # Errors
/// Fails if the length of `content` does not fit into the header.
pub fn put_frame(out: &mut Vec<u8>, content: &[u8]) -> Result<(), TooLong> {
    let len = u32::try_from(content.len()).map_err(|_| TooLong)?;
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(content);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_has_the_announced_length() {
        type Frame = Result<Option<(&'static [u8], usize)>, TooLong>;
        let table: [(&[u8], Frame); 8] = [
            (b"", Ok(None)),
            (b"\0\0\0", Ok(None)),
            (b"\0\0\0\0", Ok(Some((b"", 4)))),
            (b"\0\0\0\x02a", Ok(None)),
            (b"\0\0\0\x02ab", Ok(Some((b"ab", 6)))),
            (b"\0\0\0\x02a\nb", Ok(Some((b"a\n", 6)))),
            (b"\0\0\0\x06", Err(TooLong)),
            (b"\xff\xff\xff\xff", Err(TooLong)),
        ];
        for (input, expected) in table {
            assert_eq!(frame(input, 5), expected, "{input:?}");
        }
    }

    #[test]
    fn frames_arrive_in_any_pieces() {
        let contents: [&[u8]; 4] = [b"one", b"", b"a\r\nb\0", b"end"];
        let mut stream = Vec::new();
        contents.iter().for_each(|content| put_frame(&mut stream, content).expect("short"));
        for step in 1..=stream.len() {
            let (mut got, mut buffer) = (Vec::new(), Vec::new());
            for piece in stream.chunks(step) {
                buffer.extend_from_slice(piece);
                while let Some((content, len)) = frame(&buffer, 100).expect("short") {
                    got.push(content.to_vec());
                    buffer.drain(..len);
                }
            }
            assert_eq!(got, contents, "pieces of {step}");
        }
    }
}
