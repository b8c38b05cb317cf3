//! The texts of the room: names, lines and their times.

use std::{
    fmt::Display,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::printable::replace_unprintable;

/// The maximum length of a name, in characters.
const MAX_NAME: usize = 32;

/// Why a name is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    Empty,
    TooLong,
    /// The name has a character that is neither a letter nor a digit nor one of `-`, `_` and `.`.
    BadCharacter,
    /// A member has this name, possibly in a different case.
    Taken,
}

impl NameError {
    /// Returns the sentence that is sent to the peer that chose the name.
    pub fn sentence(self) -> &'static str {
        match self {
            NameError::Empty => "A name needs at least one character.",
            NameError::TooLong => "A name has at most 32 characters.",
            NameError::BadCharacter => "A name consists of letters, digits, '-', '_' and '.'.",
            NameError::Taken => "Another member has that name.",
        }
    }
}

/// Parses a line as a name. Spaces around it are ignored. Spaces and punctuation within it are
/// refused, so that no name looks like the beginning of another member's line.
///
/// # Errors
/// Returns what is wrong with the name.
pub fn parse_name(line: &[u8]) -> Result<String, NameError> {
    let text = replace_unprintable(line);
    let name = text.trim();
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if !name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c)) {
        return Err(NameError::BadCharacter);
    }
    if name.chars().count() > MAX_NAME {
        return Err(NameError::TooLong);
    }
    Ok(name.to_owned())
}

/// Returns a line that a member sent, as the other members see it: the time in UTC, and the
/// sender's name and address.
pub fn spoken(time: SystemTime, sender: impl Display, text: &str) -> String {
    format!("[{}] {sender}: {text}\n", timestamp(time))
}

/// Returns a line that reports what happened to a member, such as `joined`.
pub fn notice(time: SystemTime, member: impl Display, what: &str) -> String {
    format!("[{}] {member} {what}\n", timestamp(time))
}

/// Formats a time as `2022-12-02 10:58:20`, in UTC.
fn timestamp(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = UNIX_EPOCH + since_epoch.min(Duration::from_secs(LAST_SECOND));
    humantime::format_rfc3339_seconds(time).to_string().replace('T', " ").replace('Z', "")
}

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can show.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_letters_digits_and_a_few_signs() {
        let longest = "\u{4f60}".repeat(32);
        let table: [(&[u8], Result<&str, NameError>); 13] = [
            (b"client1", Ok("client1")),
            (b"  J.-P_7\t", Ok("J.-P_7")),
            ("\u{5f6d}\u{7a0b}".as_bytes(), Ok("\u{5f6d}\u{7a0b}")),
            (longest.as_bytes(), Ok(&longest)),
            (&b"a".repeat(33), Err(NameError::TooLong)),
            (b"", Err(NameError::Empty)),
            (b" \t ", Err(NameError::Empty)),
            (b"two words", Err(NameError::BadCharacter)),
            (b"bob (127.0.0.1:1)", Err(NameError::BadCharacter)),
            (b"/quit", Err(NameError::BadCharacter)),
            (b"\x1b[2J", Err(NameError::BadCharacter)),
            (b"a\xff", Err(NameError::BadCharacter)),
            ("a\u{202e}b".as_bytes(), Err(NameError::BadCharacter)),
        ];
        for (line, expected) in table {
            assert_eq!(parse_name(line).as_deref(), expected.as_ref().copied(), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn name_errors_have_sentences() {
        assert!(NameError::TooLong.sentence().contains(&MAX_NAME.to_string()));
    }

    #[test]
    fn lines_have_the_form_of_the_course_notes() {
        let time = UNIX_EPOCH + Duration::from_secs(1_669_978_700);
        let sender = "client1 (127.0.0.1:13961)";
        assert_eq!(
            spoken(time, sender, "\u{4f60}\u{597d}"),
            "[2022-12-02 10:58:20] client1 (127.0.0.1:13961): \u{4f60}\u{597d}\n"
        );
        assert_eq!(
            notice(time, sender, "joined"),
            "[2022-12-02 10:58:20] client1 (127.0.0.1:13961) joined\n"
        );
    }

    #[test]
    fn timestamp_outside_the_range_is_clamped() {
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01 00:00:00");
        assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(LAST_SECOND + 1)), "9999-12-31 23:59:59");
    }
}
