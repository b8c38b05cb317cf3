//! Character classes, stored as bits in a table. Classifying a byte takes one lookup instead of
//! several comparisons.

/// The characters of a token, `tchar` (RFC 9110 section 5.6.2).
pub const TOKEN: u8 = 1;
/// The characters that almost all hosts consist of: letters, digits, hyphens and dots.
pub const HOST: u8 = 2;
/// Visible ASCII characters except `?` and `#`, which start a query and a fragment.
pub const TARGET: u8 = 4;
/// The characters of [`TARGET`] except `%`. They need no decoding in a path.
pub const LITERAL: u8 = 8;

static CLASSES: [u8; 256] = classes();

/// Computes the table of character classes at compile time.
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        let is_alphanumeric = byte.is_ascii_alphanumeric();
        let is_token = is_alphanumeric
            || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*')
            || matches!(byte, b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        let is_host = is_alphanumeric || matches!(byte, b'-' | b'.');
        let is_target = !matches!(byte, b'?' | b'#');
        let is_literal = is_target && byte != b'%';
        classes[byte as usize] = (is_token as u8 * TOKEN)
            | (is_host as u8 * HOST)
            | (is_target as u8 * TARGET)
            | (is_literal as u8 * LITERAL);
        byte += 1;
    }
    classes
}

/// Returns whether all of `bytes` are in `class`.
pub fn are_all(bytes: &[u8], class: u8) -> bool {
    common(bytes) & class == class
}

/// Returns the classes that contain all of `bytes`, as a bit set.
pub fn common(bytes: &[u8]) -> u8 {
    // No early exit: a loop without branches is faster for the short strings in a request head.
    bytes.iter().fold(u8::MAX, |all, byte| all & CLASSES[usize::from(*byte)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charset_classifies_each_byte() {
        for byte in 0..=u8::MAX {
            let is = |class| are_all(&[b'a', byte, b'z'], class);
            let is_alphanumeric = byte.is_ascii_alphanumeric();
            assert_eq!(is(TOKEN), is_alphanumeric || b"!#$%&'*+-.^_`|~".contains(&byte), "{byte}");
            assert_eq!(is(HOST), is_alphanumeric || b"-.".contains(&byte), "{byte}");
            assert_eq!(is(LITERAL), byte.is_ascii_graphic() && !b"?#%".contains(&byte), "{byte}");
            assert_eq!(is(TARGET), byte.is_ascii_graphic() && !b"?#".contains(&byte), "{byte}");
        }
        assert!(are_all(b"", TOKEN));
    }
}
