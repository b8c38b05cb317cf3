//! Makes text from a peer safe to print, and leaves it readable in any language. Such text must
//! never act on the terminal that shows it.

/// Returns `text` with a space for each tab. Invalid UTF-8, and each other character that acts on a
/// terminal, becomes U+FFFD.
pub fn replace_unprintable(text: &[u8]) -> String {
    let replace = |c: char| match c {
        '\t' => ' ',
        c if acts_on_terminal(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    String::from_utf8_lossy(text).chars().map(replace).collect()
}

/// Returns whether a terminal does anything but show `c`: control characters, line separators, and
/// characters that change the direction of the text around them (Unicode Standard Annex 9).
fn acts_on_terminal(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacement_leaves_readable_text() {
        let table: [(&[u8], &str); 8] = [
            (b"plain", "plain"),
            (b"  spaces stay  ", "  spaces stay  "),
            ("\u{4f60}\u{597d} \u{1f600}".as_bytes(), "\u{4f60}\u{597d} \u{1f600}"),
            (b"\x1b[2J\x07\r\x7f", "\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}"),
            (b"a\tb", "a b"),
            (b"a\xe4\xbd", "a\u{fffd}"),
            ("\u{9b}31m".as_bytes(), "\u{fffd}31m"),
            ("\u{202e}\u{2028}\u{2066}".as_bytes(), "\u{fffd}\u{fffd}\u{fffd}"),
        ];
        for (text, expected) in table {
            assert_eq!(replace_unprintable(text), expected);
        }
        let every: Vec<u8> = (0..=u8::MAX).collect();
        assert!(!replace_unprintable(&every).contains(char::is_control));
    }
}
