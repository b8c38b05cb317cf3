//! Byte ranges (RFC 9110 §14): which part of a file is asked for.

/// What a `Range` field means for a file of a given length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    /// Send the whole: there is no valid set of ranges, or it names more than one part.
    Whole,
    /// Send the bytes from `first` to `last`, both included.
    Part { first: u64, last: u64 },
    /// 416: no byte of the file is in it.
    Unsatisfiable,
}

impl Ranges {
    /// Reads the value of a `Range` field for a file of `len` bytes. A set with any invalid member is ignored whole, as
    /// are units other than bytes (§14.2).
    pub fn of(value: &[u8], len: u64) -> Ranges {
        let Some((unit, set)) = split_once(value, b'=') else { return Ranges::Whole };
        if !unit.eq_ignore_ascii_case(b"bytes") || set.trim_ascii() != set {
            return Ranges::Whole;
        }
        let mut ranges = Ranges::Unsatisfiable;
        let mut members = 0;
        for member in set.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
            members += 1;
            ranges = match (Ranges::member(member, len), ranges) {
                (None, _) => return Ranges::Whole,
                (Some(Ranges::Unsatisfiable), ranges) => ranges,
                (Some(part), Ranges::Unsatisfiable) => part,
                // More than one part; whether what follows is valid makes no difference.
                (Some(_), _) => return Ranges::Whole,
            };
        }
        if members == 0 { Ranges::Whole } else { ranges }
    }

    /// One member of the set: `first-`, `first-last` or `-suffix`. `None`: it is invalid.
    fn member(member: &[u8], len: u64) -> Option<Ranges> {
        let (first, last) = split_once(member, b'-')?;
        if first.is_empty() {
            let suffix = number(last)?;
            return Some(match suffix {
                0 => Ranges::Unsatisfiable,
                // The end of an empty file is the whole of it.
                _ if len == 0 => Ranges::Whole,
                _ => Ranges::Part { first: len.saturating_sub(suffix), last: len - 1 },
            });
        }
        let is_backwards = !last.is_empty() && size(last) < size(first);
        let first = number(first)?;
        let last = if last.is_empty() { u64::MAX } else { number(last)? };
        if is_backwards {
            return None;
        }
        Some(match first < len {
            true => Ranges::Part { first, last: last.min(len - 1) },
            false => Ranges::Unsatisfiable,
        })
    }
}

fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = memchr::memchr(at, bytes)?;
    Some((&bytes[..index], &bytes[index + 1..]))
}

/// What orders numbers of any length: digits without leading zeros, by their count and then one by one.
fn size(digits: &[u8]) -> (usize, &[u8]) {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    (digits.len() - zeros, &digits[zeros..])
}

/// `1*DIGIT`; what is past the end of `u64` is past the end of every file, too.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        digits.iter().fold(0u64, |n, digit| n.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        use Ranges::{Part, Unsatisfiable, Whole};
        let part = |first, last| Part { first, last };
        let table = [
            // §14.1.2
            ("bytes=0-0", part(0, 0)),
            ("bytes=0-1", part(0, 1)),
            ("bytes=0-9", part(0, 9)),
            ("bytes=9-9", part(9, 9)),
            ("bytes=0-", part(0, 9)),
            ("bytes=5-", part(5, 9)),
            ("bytes=5-100", part(5, 9)),
            ("bytes=-1", part(9, 9)),
            ("bytes=-10", part(0, 9)),
            ("bytes=-100", part(0, 9)),
            ("BYTES=1-2", part(1, 2)),
            ("bytes=00001-0002", part(1, 2)),
            ("bytes=1-2,", part(1, 2)),
            ("bytes=,1-2", part(1, 2)),
            // Numbers past u64.
            ("bytes=1-18446744073709551615", part(1, 9)),
            ("bytes=1-99999999999999999999999999", part(1, 9)),
            ("bytes=-99999999999999999999999999", part(0, 9)),
            ("bytes=99999999999999999999999999-", Unsatisfiable),
            ("bytes=99999999999999999999999998-99999999999999999999999999", Unsatisfiable),
            // No byte of the file.
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=-0,10-", Unsatisfiable),
            // One that can be had, of several.
            ("bytes=10-,2-3", part(2, 3)),
            ("bytes=2-3 , -0", part(2, 3)),
            // More than one part.
            ("bytes=0-1,4-5", Whole),
            // Invalid, so ignored whole.
            ("bytes=5-2", Whole),
            ("bytes=18446744073709551616-18446744073709551615", Whole),
            ("bytes=0-4,9-5", Whole),
            ("bytes=9-5,0-4", Whole),
            ("bytes=0 - 4", Whole),
            ("bytes= 0-4", Whole),
            ("bytes=0-4 ", Whole),
            ("bytes=", Whole),
            ("bytes=,", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1-2-3", Whole),
            ("bytes=0x1-2", Whole),
            ("bytes:0-4", Whole),
            ("bytes", Whole),
            ("", Whole),
            ("lines=0-4", Whole),
            ("bytes =0-4", Whole),
        ];
        for (value, expected) in table {
            assert_eq!(Ranges::of(value.as_bytes(), 10), expected, "{value:?}");
        }
    }

    #[test]
    fn an_empty_file_has_no_part() {
        let table = [
            ("bytes=0-0", Ranges::Unsatisfiable),
            ("bytes=0-", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=-5", Ranges::Whole),
        ];
        for (value, expected) in table {
            assert_eq!(Ranges::of(value.as_bytes(), 0), expected, "{value:?}");
        }
    }

    #[test]
    fn the_largest_file() {
        let last = u64::MAX - 1;
        assert_eq!(Ranges::of(b"bytes=-1", u64::MAX), Ranges::Part { first: last, last });
        assert_eq!(Ranges::of(b"bytes=0-", u64::MAX), Ranges::Part { first: 0, last });
    }
}
