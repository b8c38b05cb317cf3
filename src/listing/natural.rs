//! The order of names that people expect: without regard to case, and with numbers by their value.

use std::cmp::Ordering;

/// Compares two names: `file2` comes before `file10`, and `B` beside `b`. Names that differ only in
/// case or in leading zeros are equal.
pub fn compare(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let (Some(first), Some(second)) = (a.first(), b.first()) else { return a.len().cmp(&b.len()) };
        let order = if first.is_ascii_digit() && second.is_ascii_digit() {
            compare_numbers(take_number(&mut a), take_number(&mut b))
        } else {
            let order = first.to_ascii_lowercase().cmp(&second.to_ascii_lowercase());
            (a, b) = (&a[1..], &b[1..]);
            order
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// Compares two numbers, which may have any number of digits.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Takes the digits with which `name` begins, and returns them without leading zeros.
fn take_number<'a>(name: &mut &'a [u8]) -> &'a [u8] {
    let end = name.iter().position(|b| !b.is_ascii_digit()).unwrap_or(name.len());
    let (digits, rest) = name.split_at(end);
    *name = rest;
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_natural_order() {
        let sorted: &[&[u8]] = &[
            b"",
            b"-",
            b"0",
            b"1",
            b"2",
            b"10",
            b"99999999999999999999998",
            b"99999999999999999999999",
            b"a",
            b"A1",
            b"a1b2",
            b"a1b10",
            b"a2",
            b"a10",
            b"B",
            b"ba",
            b"file",
            b"file 2",
            b"file2",
            b"file10.txt",
            b"v1.2.9",
            b"v1.2.10",
            b"v1.10.0",
            b"\xff",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(
                    compare(a, b),
                    i.cmp(&j),
                    "{:?} {:?}",
                    String::from_utf8_lossy(a),
                    String::from_utf8_lossy(b)
                );
            }
        }
        for (a, b) in [(&b"A"[..], &b"a"[..]), (b"01", b"1"), (b"x007y", b"X7Y")] {
            assert_eq!(compare(a, b), Ordering::Equal);
        }
    }
}
