//! Parses the values of parameters: times, sizes, shares, and lists of values with shares.

use std::time::Duration;

use super::mix::{Mix, Share};

/// The longest delay, and the longest time for a body.
pub const MAX_TIME: Duration = Duration::from_secs(60 * 60);
/// The longest body. It outlasts every buffer on the way, and a client that does not want as much
/// can close the connection.
pub const MAX_BYTES: u64 = 1 << 30;

/// What a time must look like.
pub const TIME_ADVICE: &str = "use a time such as 20ms, 2s or 1m, at most 1h";
/// What a size must look like.
pub const SIZE_ADVICE: &str = "use a number of bytes such as 500, 1k or 10M, at most 1G";

/// Parses a decimal number without a sign or an exponent.
fn number(text: &str) -> Option<f64> {
    let is_digit = |b: &u8| b.is_ascii_digit() || *b == b'.';
    if text.bytes().all(|b| is_digit(&b)) {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    } else {
        None
    }
}

/// Parses a time: a number with a unit, or a number of seconds.
pub fn time(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(at);
    let unit = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let time = Duration::try_from_secs_f64(number(digits)? * unit).ok()?;
    (time <= MAX_TIME).then_some(time)
}

/// Parses a time, or a range of times such as `1ms-5ms`.
pub fn time_range(text: &str) -> Option<(Duration, Duration)> {
    let Some((from, to)) = text.split_once('-') else { return time(text).map(|time| (time, time)) };
    let (from, to) = (time(from)?, time(to)?);
    (from <= to).then_some((from, to))
}

/// Parses a number of bytes, which may have the unit `k`, `M` or `G` (powers of 1024).
pub fn size(text: &str) -> Option<u64> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(at);
    let shift = match unit {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return None,
    };
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    let size = digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(1 << shift)?;
    (size <= MAX_BYTES).then_some(size)
}

/// Parses a share such as `5%`. Returns a number from 0 to 1.
pub fn share(text: &str) -> Option<f64> {
    let share = number(text.strip_suffix('%')?)? / 100.0;
    (share <= 1.0).then_some(share)
}

/// Parses values that are separated by commas. Each may have a share, such as `503:1%`, or a weight
/// among the others, such as `200:3`. Without either, its weight is 1.
pub fn mix<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Mix<T>> {
    let option = |option: &str| {
        let (value, part) = option.split_once(':').unwrap_or((option, "1"));
        let part = if part.ends_with('%') { Share::Of(share(part)?) } else { Share::Weight(number(part)?) };
        Some((parse(value)?, part))
    };
    Mix::new(text.split(',').map(option).collect::<Option<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let table = [
            ("20ms", Some(20_000)),
            ("2s", Some(2_000_000)),
            ("1.5s", Some(1_500_000)),
            ("1m", Some(60_000_000)),
            ("1h", Some(3_600_000_000)),
            ("60m", Some(3_600_000_000)),
            ("100us", Some(100)),
            ("0", Some(0)),
            ("3", Some(3_000_000)),
            (".5", Some(500_000)),
            ("0.002", Some(2000)),
            ("3600", Some(3_600_000_000)),
            ("3601", None),
            ("1h1s", None),
            ("2h", None),
            ("99999999999999999999999s", None),
            ("-1s", None),
            ("+1s", None),
            ("1e3", None),
            ("1 s", None),
            ("s", None),
            ("1.2.3s", None),
            (".", None),
            ("inf", None),
            ("NaN", None),
            ("1\u{b5}s", None),
            ("1d", None),
            ("", None),
        ];
        for (text, micros) in table {
            assert_eq!(time(text), micros.map(Duration::from_micros), "{text:?}");
        }
    }

    #[test]
    fn time_ranges() {
        let ms = Duration::from_millis;
        let table = [
            ("1ms-5ms", Some((ms(1), ms(5)))),
            ("5ms-5ms", Some((ms(5), ms(5)))),
            ("0-1", Some((ms(0), ms(1000)))),
            ("2ms", Some((ms(2), ms(2)))),
            ("5ms-1ms", None),
            ("1ms-", None),
            ("-5ms", None),
            ("1ms-5ms-9ms", None),
            ("1-5ms", None), // from a second
        ];
        for (text, expected) in table {
            assert_eq!(time_range(text), expected, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        let table = [
            ("0", Some(0)),
            ("500", Some(500)),
            ("1k", Some(1024)),
            ("1K", Some(1024)),
            ("10M", Some(10 << 20)),
            ("1m", Some(1 << 20)),
            ("1G", Some(1 << 30)),
            ("1073741824", Some(1 << 30)),
            ("1073741825", None),
            ("2G", None),
            ("18446744073709551616", None),
            ("18446744073709551615G", None),
            ("1.5k", None),
            ("-1", None),
            ("+1", None),
            ("1kB", None),
            ("k", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(size(text), expected, "{text:?}");
        }
    }

    #[test]
    fn shares() {
        let table = [
            ("5%", Some(0.05)),
            ("0.1%", Some(0.001)),
            ("100%", Some(1.0)),
            ("0%", Some(0.0)),
            ("100.1%", None),
            ("-1%", None),
            ("5", None),
            ("%", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(share(text), expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn values_are_within_their_bounds(text in "[0-9a-zA-Z.,:%+-]{0,12}|\\PC{0,20}") {
            assert!(time(&text).is_none_or(|time| time <= MAX_TIME));
            assert!(time_range(&text).is_none_or(|(from, to)| from <= to && to <= MAX_TIME));
            assert!(size(&text).is_none_or(|size| size <= MAX_BYTES));
            assert!(share(&text).is_none_or(|share| (0.0..=1.0).contains(&share)));
            if let Some(mix) = mix(&text, time_range) {
                for number in [0.0, 0.5, 1.0 - f64::EPSILON] {
                    assert!(mix.has_rest() || mix.pick(number).is_some(), "{text:?} at {number}");
                }
            }
        }
    }

    #[test]
    fn lists_with_shares() {
        let of = |text: &str| mix(text, |value| value.parse::<u16>().ok());
        let values =
            |text: &str| of(text).map(|mix| (mix.values().copied().collect::<Vec<_>>(), mix.has_rest()));
        type Case = (&'static str, Option<(&'static [u16], bool)>);
        let table: [Case; 12] = [
            ("503", Some((&[503], false))),
            ("503:1%", Some((&[503], true))),
            ("503:100%", Some((&[503], false))),
            ("503:1%,429:5%", Some((&[503, 429], true))),
            ("200,503:1%", Some((&[200, 503], false))),
            ("200:3,503:1", Some((&[200, 503], false))),
            ("503:60%,429:50%", None),
            ("503:", None),
            ("503:x%", None),
            ("503,", None),
            ("503:1%:2%", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(values(text), expected.map(|(list, rest)| (list.to_vec(), rest)), "{text:?}");
        }
    }
}
