//! The unique names of message files, and the order of messages by name.
//!
//! A name is `TIME.MmicrosecondsPprocessQcounter.HOST`. The host and the process distinguish two
//! deliverers that share the directory, and the counter two deliveries by one process. Deliverers
//! never coordinate, so a name must never be used twice. See
//! <https://cr.yp.to/proto/maildir.html>.

use std::time::{SystemTime, UNIX_EPOCH};

/// The names that this process gives to messages.
#[derive(Clone)]
pub struct UniqueNames {
    process: u32,
    host: String,
    /// The number of names given so far.
    given: u64,
}

impl UniqueNames {
    /// Creates the names for `process` on `host`.
    pub fn new(process: u32, host: &str) -> UniqueNames {
        // A slash would separate directories, and a colon begins the flags of a message.
        let host = host.replace('/', r"\057").replace(':', r"\072");
        UniqueNames { process, host, given: 0 }
    }

    /// Returns the next name, for a message that arrived at `now`.
    pub fn next(&mut self, now: SystemTime) -> String {
        self.given += 1;
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let UniqueNames { process, host, given } = self;
        format!("{}.M{:06}P{process}Q{given}.{host}", since.as_secs(), since.subsec_micros())
    }
}

/// Returns the name of the message without its flags: the part before the colon.
pub fn without_flags(name: &[u8]) -> &[u8] {
    name.split(|b| *b == b':').next().unwrap_or_default()
}

/// Returns the key by which messages are sorted: the time of arrival, then the process's counter,
/// then the name. Numbers that a name does not have count as 0.
pub fn sort_key(name: &[u8]) -> (u64, u64, u64, &[u8]) {
    let mut parts = name.split(|b| *b == b'.');
    let seconds = parts.next().map_or(0, number);
    let unique = parts.next().unwrap_or_default();
    let after = |letter| memchr::memchr(letter, unique).map_or(0, |at| number(&unique[at + 1..]));
    (seconds, after(b'M'), after(b'Q'), name)
}

/// Returns the decimal number at the beginning of `text`, or 0.
fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add((digit - b'0').into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_differ_by_time_process_counter_and_host() {
        let now = UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_042);
        let mut names = UniqueNames::new(7, "dev/a:b");
        assert_eq!(names.next(now), r"1700000000.M000042P7Q1.dev\057a\072b");
        assert_eq!(names.next(now), r"1700000000.M000042P7Q2.dev\057a\072b");
        assert_eq!(UniqueNames::new(8, "x").next(UNIX_EPOCH - Duration::from_secs(1)), "0.M000000P8Q1.x");
    }

    #[test]
    fn names_sort_by_time_and_counter() {
        let sorted: [&[u8]; 8] = [
            b"message",
            b"9.M1P1Q1.host",
            b"10.M000002P9Q9.host:2,S",
            b"10.M000002P9Q10.host",
            b"10.M000003P1Q1.host",
            b"11.1234_5.host",
            b"11.1234_5.host2",
            b"99999999999999999999999.M1.host",
        ];
        let mut names = sorted;
        names.reverse();
        names.sort_by_key(|name| sort_key(name));
        assert_eq!(names, sorted);
    }

    #[test]
    fn flags_are_no_part_of_the_unique_name() {
        assert_eq!(without_flags(b"1.M2P3Q4.host:2,RS"), b"1.M2P3Q4.host");
        assert_eq!(without_flags(b"1.M2P3Q4.host"), b"1.M2P3Q4.host");
    }
}
