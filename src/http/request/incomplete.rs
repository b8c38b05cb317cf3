//! Requests of which only a part has arrived.

/// An incomplete request of fewer bytes is parsed again whenever more of it arrives.
const SHORT: usize = 4 * 1024;

/// Returns whether an incomplete request needs to be parsed again when it has grown to `input`.
/// `seen` is its length when it was parsed last.
///
/// A peer that sends a long head byte by byte would otherwise have the whole head parsed for each
/// byte. A head that is not whole can still be refused, so it is parsed again when it has doubled.
pub fn is_worth_parsing(input: &[u8], seen: usize, max_head: usize) -> bool {
    let may_end = || memchr::memmem::find(&input[seen.saturating_sub(3)..], b"\r\n\r\n").is_some();
    input.len() < SHORT || input.len() >= max_head || input.len() / 2 >= seen || may_end()
}

/// Returns the part that is missing from an incomplete request, for traces.
pub fn missing_part(input: &[u8]) -> &'static str {
    let has_head = memchr::memmem::find(input, b"\r\n\r\n").is_some();
    if has_head { "body" } else { "CRLFCRLF" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::MAX_HEAD;

    #[test]
    fn long_head_is_parsed_again_when_it_may_be_whole() {
        let head = |len: usize| format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(len - 19)).into_bytes();
        let ended = |len: usize| [&head(len - 4)[..], b"\r\n\r\n"].concat();
        let table = [
            ("short", head(SHORT - 1), SHORT - 2, true),
            ("one byte more", head(SHORT + 1), SHORT, false),
            ("almost twice as long", head(2 * SHORT - 1), SHORT, false),
            ("twice as long", head(2 * SHORT), SHORT, true),
            ("at the limit", head(MAX_HEAD), MAX_HEAD - 1, true),
            ("never parsed", head(SHORT), 0, true),
            ("its last byte", ended(5000), 4999, true),
            ("its last four bytes", ended(5000), 4996, true),
            ("its end and more", [ended(5000), head(100)].concat(), 4998, true),
            ("its end was parsed", [ended(5000), head(100)].concat(), 5003, false),
        ];
        for (what, input, seen, expected) in table {
            assert_eq!(is_worth_parsing(&input, seen, MAX_HEAD), expected, "{what}");
        }
        let whole = ended(10_000);
        let (mut seen, mut parsed) = (0, 0);
        for len in 1..=whole.len() {
            if is_worth_parsing(&whole[..len], seen, MAX_HEAD) {
                (seen, parsed) = (len, parsed + 1);
            }
        }
        assert_eq!(
            (seen, parsed),
            (whole.len(), SHORT - 1 + 2),
            "all short ones, at twice 4095 bytes, and whole"
        );
    }
}
