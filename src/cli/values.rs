//! Parses the values of options. An error says what to use instead.

use std::{
    ffi::{OsStr, OsString},
    num::NonZeroU64,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use oneloop::{
    HeaderRule, MediaTypeError, MediaTypeRule, PeerNetwork, RedirectRule, RuleError, TrustedProxy,
    is_monitoring_path,
};

/// The header rules of one --header: usually one line. A variable can hold several, and end with an
/// empty one.
#[derive(Debug, Clone)]
pub struct HeaderLines(pub Vec<HeaderRule>);

/// Parses the value of --header.
pub fn header_lines(text: &str) -> Result<HeaderLines, String> {
    let lines = text.trim_end_matches('\n').split('\n');
    lines.map(HeaderRule::parse).collect::<Result<_, _>>().map(HeaderLines).map_err(|e| match e {
        RuleError::MissingColon => "use a name, a colon and a value".into(),
        e => e.to_string(),
    })
}

/// The rules of one --redirect: usually one line. A variable can hold several, and end with an
/// empty one.
#[derive(Debug, Clone)]
pub struct RedirectLines(pub Vec<RedirectRule>);

/// Parses the value of --redirect.
pub fn redirect_lines(text: &str) -> Result<RedirectLines, String> {
    let lines = text.trim_end_matches('\n').split('\n');
    lines.map(RedirectRule::parse).collect::<Result<_, _>>().map(RedirectLines).map_err(|e| e.to_string())
}

/// Parses the value of --type.
pub fn media_type(text: &str) -> Result<MediaTypeRule, String> {
    MediaTypeRule::parse(text).map_err(|e| match e {
        MediaTypeError::MissingEquals => "use an extension and a media type, such as .ts=text/plain".into(),
        MediaTypeError::InvalidExtension => "begin with a dot and an extension, as in .ts=text/plain".into(),
        MediaTypeError::InvalidType => "use a media type such as text/plain after the equals sign".into(),
    })
}

/// Parses the value of --trusted-proxy.
pub fn trusted_proxy(text: &str) -> Result<TrustedProxy, String> {
    let advice = "use an IP address, a network such as 10.0.0.0/8, or unix";
    TrustedProxy::parse(text).ok_or_else(|| advice.into())
}

/// Parses the value of --target-from.
pub fn peer_network(text: &str) -> Result<PeerNetwork, String> {
    let advice = "use an IP address, a network such as 10.0.0.0/8, unix or all";
    PeerNetwork::parse(text).ok_or_else(|| advice.into())
}

/// The value of --mount: a URL path, and the directory or file that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountArg {
    pub path: String,
    pub dir: PathBuf,
}

/// Parses the value of --mount.
pub fn mount(text: OsString) -> Result<MountArg, String> {
    let bytes = text.as_bytes();
    let at = bytes.iter().position(|b| *b == b'=');
    let path = at.and_then(|at| std::str::from_utf8(&bytes[..at]).ok()).filter(|path| !path.is_empty());
    let dir = at.map(|at| &bytes[at + 1..]).filter(|dir| !dir.is_empty());
    match (path, dir) {
        (Some(path), Some(dir)) => Ok(MountArg { path: path.to_owned(), dir: OsStr::from_bytes(dir).into() }),
        _ => Err("use a URL path and a directory, such as /docs=../docs".into()),
    }
}

/// A time limit; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit(pub Option<Duration>);

/// Parses a time limit, of which 0 means none.
pub fn time_limit(text: &str) -> Result<TimeLimit, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Ok(TimeLimit(None)),
        Ok(limit) => Ok(TimeLimit(Some(limit))),
        Err(_) => Err("use a number and a unit, such as 10s, 250ms or 1m; 0 is no limit".into()),
    }
}

/// The longest time that an option can set, if the time is not a limit.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses a time that is not a limit.
pub fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).ok().filter(|time| *time <= MAX_DURATION);
    time.ok_or_else(|| "use a number and a unit, such as 10s, 250ms or 1m; at most 1d".into())
}

/// Parses a number, of which 0 means no limit.
pub fn limit<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "use a whole number; 0 is no limit".into())
}

/// Parses a number of at least 1.
pub fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "use a number of at least 1".into())
}

/// Parses a number of bytes, with the unit `K` or `M` if there is one.
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1024),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1024 * 1024),
        _ => (text, 1),
    };
    digits.parse().ok().and_then(|number: u64| number.checked_mul(unit))
}

/// Parses the size of a request head in bytes.
pub fn head_size(text: &str) -> Result<usize, String> {
    let size = bytes(text).filter(|size| (1024..=1024 * 1024).contains(size));
    size.and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| "use a number of bytes from 1K to 1M, such as 16K".into())
}

/// Parses a number of bytes per second.
pub fn rate(text: &str) -> Result<NonZeroU64, String> {
    let rate = bytes(text).and_then(NonZeroU64::new);
    rate.ok_or_else(|| "use a number of bytes per second, such as 500, 100k or 2M".into())
}

/// Parses the path of a URL that no file has.
pub fn url_path(text: &str) -> Result<String, String> {
    let path = is_monitoring_path(text).then(|| text.to_owned());
    path.ok_or_else(|| "use a path such as /health, without a host or a query".into())
}

/// Parses the name of a file without a path.
pub fn file_name(text: &str) -> Result<String, String> {
    match text {
        "" | "." | ".." => Err("use the name of a file".into()),
        _ if text.contains(['/', '\0']) => Err("use a file name without a path".into()),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_sizes() {
        let table = [
            ("1K", Some(1024)),
            ("64k", Some(65_536)),
            ("1M", Some(1_048_576)),
            ("5000", Some(5000)),
            ("1023", None),
            ("1025K", None),
            ("16KiB", None),
            ("-1", None),
            ("99999999999999999999M", None),
            ("9999999999999999999K", None),
            ("\u{e9}", None),
            ("K", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(head_size(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn mounts() {
        let parsed =
            |path: &str, dir: &[u8]| Some(MountArg { path: path.into(), dir: OsStr::from_bytes(dir).into() });
        let table: [(&[u8], Option<MountArg>); 7] = [
            (b"/docs=../docs", parsed("/docs", b"../docs")),
            (b"docs=a=b", parsed("docs", b"a=b")),
            (b"/docs=\xff", parsed("/docs", b"\xff")),
            (b"/\xff=docs", None),
            (b"/docs", None),
            (b"/docs=", None),
            (b"=docs", None),
        ];
        for (text, expected) in table {
            let parsed = mount(OsStr::from_bytes(text).into()).ok();
            assert_eq!(parsed, expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn rates() {
        let table =
            [("1", Some(1)), ("100k", Some(102_400)), ("2M", Some(2 << 20)), ("0", None), ("0k", None)];
        for (text, expected) in table.into_iter().chain([("100kB", None), ("1.5k", None), ("-1", None)]) {
            assert_eq!(rate(text).ok().map(NonZeroU64::get), expected, "{text:?}");
        }
    }

    #[test]
    fn time_limits() {
        let table = [
            ("0", Some(None)),
            ("0s", Some(None)),
            ("10s", Some(Some(Duration::from_secs(10)))),
            ("250ms", Some(Some(Duration::from_millis(250)))),
            ("1m 30s", Some(Some(Duration::from_secs(90)))),
            ("10", None),
            ("-1s", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(time_limit(text).ok().map(|limit| limit.0), expected, "{text:?}");
        }
    }
}
