//! Byte ranges (RFC 9110 section 14): which ranges of a file a request asks for.

/// The maximum number of ranges in one response. A request for more ranges gets the whole file. RFC
/// 9110 section 14.2 allows this, and warns about requests for many small ranges.
const MAX_PARTS: usize = 64;

/// A byte range of a file, from `first` to `last` inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    pub first: u64,
    pub last: u64,
}

impl ByteRange {
    /// Returns the length in bytes, which is never 0.
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }
}

/// The meaning of a `Range` field for a file of a given length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranges {
    /// Send the whole file, because the field is invalid or ranges would not save any bytes.
    Ignored,
    /// Send one range.
    Single(ByteRange),
    /// Send two or more ranges, in the order of the request.
    Multiple(Vec<ByteRange>),
    /// Send a 416 response, because no range contains a byte of the file.
    Unsatisfiable,
}

/// One `range-spec` in a `Range` field, for a file of a given length.
enum RangeSpec {
    Range(ByteRange),
    /// A range that contains no byte of the file.
    Empty,
    /// A suffix of an empty file, which is the whole file.
    Whole,
}

impl Ranges {
    /// Parses the value of a `Range` field for a file of `len` bytes. Ignores the field if a range
    /// is not valid, if the unit is not `bytes` (RFC 9110 section 14.2), if there are more than
    /// [`MAX_PARTS`] ranges, or if the ranges together are longer than the file.
    pub fn of(value: &[u8], len: u64) -> Ranges {
        let Some((unit, set)) = split_once(value, b'=') else { return Ranges::Ignored };
        if !unit.eq_ignore_ascii_case(b"bytes") || set.trim_ascii() != set {
            return Ranges::Ignored;
        }
        let mut parts = Vec::new();
        let mut left = len;
        let mut members = 0;
        for member in set.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty()) {
            members += 1;
            match RangeSpec::of(member, len) {
                None | Some(RangeSpec::Whole) => return Ranges::Ignored,
                Some(RangeSpec::Empty) => {}
                // Many overlapping ranges could make a small request very expensive (section
                // 17.15).
                Some(RangeSpec::Range(part)) => match left.checked_sub(part.length()) {
                    Some(rest) if parts.len() < MAX_PARTS => {
                        left = rest;
                        parts.push(part);
                    }
                    _ => return Ranges::Ignored,
                },
            }
        }
        match parts[..] {
            [] if members == 0 => Ranges::Ignored,
            [] => Ranges::Unsatisfiable,
            [part] => Ranges::Single(part),
            _ => Ranges::Multiple(parts),
        }
    }
}

impl RangeSpec {
    /// Parses `first-`, `first-last` or `-suffix`. Returns `None` if the range is not valid.
    fn of(member: &[u8], len: u64) -> Option<RangeSpec> {
        let (first, last) = split_once(member, b'-')?;
        if first.is_empty() {
            return Some(match number(last)? {
                0 => RangeSpec::Empty,
                _ if len == 0 => RangeSpec::Whole,
                suffix => RangeSpec::Range(ByteRange { first: len.saturating_sub(suffix), last: len - 1 }),
            });
        }
        // Compare the digits, because the numbers may exceed `u64`.
        let is_backwards = !last.is_empty() && size(last) < size(first);
        let first = number(first)?;
        let last = if last.is_empty() { u64::MAX } else { number(last)? };
        if is_backwards {
            return None;
        }
        Some(match first < len {
            true => RangeSpec::Range(ByteRange { first, last: last.min(len - 1) }),
            false => RangeSpec::Empty,
        })
    }
}

/// Splits `bytes` at the first occurrence of `at`.
fn split_once(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = memchr::memchr(at, bytes)?;
    Some((&bytes[..index], &bytes[index + 1..]))
}

/// Returns a sort key for decimal numbers of any length: the number of digits without leading
/// zeros, then the digits.
fn size(digits: &[u8]) -> (usize, &[u8]) {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    (digits.len() - zeros, &digits[zeros..])
}

/// Parses `1*DIGIT`. Returns `u64::MAX` for a larger number, because both are beyond the end of any
/// file.
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
    fn range_sets_of_ten_bytes() {
        use Ranges::Unsatisfiable;
        let part = |first, last| Ranges::Single(ByteRange { first, last });
        let parts = |parts: &[(u64, u64)]| {
            Ranges::Multiple(parts.iter().map(|&(first, last)| ByteRange { first, last }).collect())
        };
        let table = [
            // Section 14.1.2.
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
            // Numbers larger than a `u64`.
            ("bytes=1-18446744073709551615", part(1, 9)),
            ("bytes=1-99999999999999999999999999", part(1, 9)),
            ("bytes=-99999999999999999999999999", part(0, 9)),
            ("bytes=99999999999999999999999999-", Unsatisfiable),
            ("bytes=99999999999999999999999998-99999999999999999999999999", Unsatisfiable),
            // No byte of the file is in the range.
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=-0,10-", Unsatisfiable),
            // Several ranges, only one of them satisfiable.
            ("bytes=10-,2-3", part(2, 3)),
            ("bytes=2-3 , -0", part(2, 3)),
            // Several ranges, in the order of the request, even if they touch or overlap.
            ("bytes=0-1,4-5", parts(&[(0, 1), (4, 5)])),
            ("bytes=4-5,0-1", parts(&[(4, 5), (0, 1)])),
            ("bytes=0-0,-1", parts(&[(0, 0), (9, 9)])),
            ("bytes=0-4 ,\t5-9", parts(&[(0, 4), (5, 9)])),
            ("bytes=0-2,1-3", parts(&[(0, 2), (1, 3)])),
            ("bytes=0-0,20-,9-", parts(&[(0, 0), (9, 9)])),
        ];
        for (value, expected) in table {
            assert_eq!(Ranges::of(value.as_bytes(), 10), expected, "{value:?}");
        }
    }

    #[test]
    fn range_sets_that_are_ignored() {
        let table = [
            // Together longer than the file.
            "bytes=0-,0-",
            "bytes=0-5,4-9",
            "bytes=0-9,-1",
            // Not valid, so ignored.
            "bytes=5-2",
            "bytes=18446744073709551616-18446744073709551615",
            "bytes=0-4,9-5",
            "bytes=9-5,0-4",
            "bytes=0 - 4",
            "bytes= 0-4",
            "bytes=0-4 ",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "bytes:0-4",
            "bytes",
            "",
            "lines=0-4",
            "bytes =0-4",
        ];
        for value in table {
            assert_eq!(Ranges::of(value.as_bytes(), 10), Ranges::Ignored, "{value:?}");
        }
    }

    #[test]
    fn range_of_an_empty_file_is_unsatisfiable() {
        let table = [
            ("bytes=0-0", Ranges::Unsatisfiable),
            ("bytes=0-", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=-5", Ranges::Ignored),
        ];
        for (value, expected) in table {
            assert_eq!(Ranges::of(value.as_bytes(), 0), expected, "{value:?}");
        }
    }

    #[test]
    fn the_largest_file() {
        let last = u64::MAX - 1;
        assert_eq!(Ranges::of(b"bytes=-1", u64::MAX), Ranges::Single(ByteRange { first: last, last }));
        assert_eq!(Ranges::of(b"bytes=0-", u64::MAX), Ranges::Single(ByteRange { first: 0, last }));
    }

    #[test]
    fn range_count_is_limited() {
        let set = |count: u64| (0..count).map(|i| format!("{i}-{i}")).collect::<Vec<_>>().join(",");
        let of = |count: usize| Ranges::of(format!("bytes={}", set(count as u64)).as_bytes(), 1 << 20);
        assert!(matches!(of(MAX_PARTS), Ranges::Multiple(parts) if parts.len() == MAX_PARTS));
        assert_eq!(of(MAX_PARTS + 1), Ranges::Ignored);
    }
}
