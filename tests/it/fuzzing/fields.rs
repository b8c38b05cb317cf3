//! Single fields, through whole conversations: the fuzzer finds its way into a value sooner when it
//! does not have to find the request first.

use oneloop::internals::parse;

use super::{
    conversation::split_choice,
    http::{GZIPPED, PLAIN, answer},
    response::Response,
};

/// Returns a GET request for `path` with `fields`.
fn get(path: &str, fields: &[u8]) -> Vec<u8> {
    [b"GET ", path.as_bytes(), b" HTTP/1.1\r\nHost: localhost\r\n", fields, b"\r\n"].concat()
}

/// Returns whether `value` can be the value of a field, so that it does not end its line.
fn is_value(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t')
}

/// Checks that a value of `Range` selects the right bytes, and never many more than the file has.
pub fn ranges(data: &[u8]) {
    let (choice, value) = split_choice(data);
    if !is_value(value) {
        return;
    }
    let (path, len) = if choice & 64 == 0 { ("/1000.bin", 1000) } else { ("/200000.bin", 200_000) };
    let output = answer(choice, &get(path, &[b"Range: bytes=", value, b"\r\n"].concat())).output;
    let response = Response::parse(&output, false);
    // The head of a part is shorter than 200 bytes, and at most 64 ranges are answered.
    assert!(response.body.len() <= len + 65 * 200, "{} bytes of {len}", response.body.len());
    match response.status {
        200 => assert_eq!(response.body.len(), len),
        206 => {}
        416 => assert_eq!(response.field("Content-Range"), Some(&*format!("bytes */{len}"))),
        status => panic!("{status} for a range"),
    }
}

/// Checks conditional requests. The first byte chooses the field, `@` stands for the current entity
/// tag, and `#` for the current date.
pub fn preconditions(data: &[u8]) {
    const NAMES: [&str; 5] =
        ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"];
    let (choice, value) = split_choice(data);
    if !is_value(value) {
        return;
    }
    let plain = answer(0, &get("/1000.bin", b"")).output;
    let plain = Response::parse(&plain, false);
    let (tag, date) =
        (plain.field("ETag").unwrap_or_default(), plain.field("Last-Modified").unwrap_or_default());
    let name = NAMES[usize::from(choice) % NAMES.len()];
    let mut field = format!("Range: bytes=1-2\r\n{name}: ").into_bytes();
    for byte in value {
        match byte {
            b'@' => field.extend_from_slice(tag.as_bytes()),
            b'#' => field.extend_from_slice(date.as_bytes()),
            byte => field.push(*byte),
        }
    }
    field.extend_from_slice(b"\r\n");
    let output = answer(choice, &get("/1000.bin", &field)).output;
    let response = Response::parse(&output, false);
    let allowed: &[u16] = match name {
        "If-Match" | "If-Unmodified-Since" => &[206, 412],
        "If-Range" => &[200, 206],
        _ => &[206, 304],
    };
    assert!(allowed.contains(&response.status) || response.status == 431, "{name}: {}", response.head);
    let expected = match (name, value.trim_ascii()) {
        ("If-Match", b"@" | b"*") | ("If-Unmodified-Since", b"#") | ("If-Range", b"@") => 206,
        ("If-None-Match", b"@" | b"*") | ("If-Modified-Since", b"#") => 304,
        _ => response.status,
    };
    assert_eq!(response.status, expected, "{name}: {}", response.head);
}

/// Checks that a compressed file is sent only to clients that name its coding, and that
/// `Content-Encoding` is correct.
pub fn encoding(data: &[u8]) {
    let (choice, value) = split_choice(data);
    if !is_value(value) {
        return;
    }
    let output = answer(choice, &get("/hello.txt", &[b"Accept-Encoding: ", value, b"\r\n"].concat())).output;
    let response = Response::parse(&output, false);
    if response.status != 200 {
        // 406: the value forbids every coding of the file.
        assert!(matches!(response.status, 406 | 431), "{}", response.head);
        return;
    }
    assert_eq!(response.field("Vary"), Some("Accept-Encoding"), "{}", response.head);
    let is_gzipped = response.field("Content-Encoding").is_some();
    assert_eq!(response.body, if is_gzipped { GZIPPED } else { PLAIN }, "{}", response.head);
    let lower = value.to_ascii_lowercase();
    let names_it = lower.contains(&b'*') || lower.windows(4).any(|four| four == b"gzip");
    assert!(names_it || !is_gzipped, "nobody asked for gzip");
}

/// Checks that the authority of a target and the value of `Host` follow the same rules, and hold
/// nothing that another program could read as the end of a host.
pub fn authority(data: &[u8]) {
    let (choice, value) = split_choice(data);
    let host = [b"GET / HTTP/1.1\r\nHost: ", value, b"\r\n\r\n"].concat();
    let target = [b"GET http://", value, b"/ HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat();
    let accepted = |input: &[u8]| {
        let found = parse(input).ok()??;
        Some(found.0.host.map(|authority| (authority.host.to_vec(), authority.port.map(<[u8]>::to_vec))))
    };
    if is_value(value) {
        if let Some(Some((name, port))) = accepted(&host) {
            let text = port.iter().fold(name, |name, port| [&name[..], b":", &port[..]].concat());
            assert_eq!(text, value.trim_ascii(), "what was parsed is what was sent");
            let is_known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%[]".contains(byte);
            assert!(text.iter().all(is_known), "{}", text.escape_ascii());
            let number = port.as_deref().and_then(|port| std::str::from_utf8(port).ok());
            let is_number = |text: &str| text.is_empty() || text.parse::<u16>().is_ok();
            assert!(port.is_none() || number.is_some_and(is_number), "{port:?}");
        }
        let may_end = value.iter().any(|byte| b"/?# \t@".contains(byte));
        if !may_end && let Some(Some(authority)) = accepted(&target) {
            assert_eq!(accepted(&host), Some(Some(authority)), "the target and Host disagree");
        }
    }
    answer(choice, &host);
    answer(choice, &target);
}
