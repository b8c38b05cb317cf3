//! The parser of requests: heads, targets and chunked bodies.

use oneloop::internals::{DotfilePolicy, locate, parse};

use super::conversation::split_choice;

/// Checks that a longer input never contradicts a shorter one: a request or a refusal that was
/// found is found again, whatever follows.
pub fn head(data: &[u8]) {
    let whole = status_of(data);
    let mut trailing = data.to_vec();
    trailing.extend_from_slice(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    if whole.is_some() {
        assert_eq!(status_of(&trailing), whole, "what follows must not matter");
    }
    // Every cut of a short input, and some of a long one.
    let step = 1 + data.len() / 64;
    for cut in (0..data.len()).step_by(step) {
        let before = status_of(&data[..cut]);
        assert!(before.is_none() || before == whole, "{before:?} at {cut}, then {whole:?}");
    }
}

/// Returns `None` if more input is needed, otherwise the length of the request and the status of
/// its refusal, if it is refused.
fn status_of(input: &[u8]) -> Option<(usize, Option<u16>)> {
    match parse(input) {
        Ok(None) => None,
        Ok(Some((request, len))) => {
            assert!(0 < len && len <= input.len(), "{len} of {} bytes", input.len());
            let line = request.info.line;
            assert!(line.iter().all(|byte| (b' '..=b'~').contains(byte)), "{}", line.escape_ascii());
            assert!(
                request.path().is_empty() || line.windows(request.path().len()).any(|w| w == request.path())
            );
            Some((len, request.validate().err().map(|refusal| refusal.status.code())))
        }
        Err(refusal) => {
            assert!(!refusal.persists, "a request without a known end must close the connection");
            Some((0, Some(refusal.status.code())))
        }
    }
}

/// Checks that a path never leads out of the site or to a hidden file.
pub fn target(data: &[u8]) {
    let path = [b"/", data].concat();
    let Ok(path) = locate(&path) else { return };
    let bytes = path.bytes();
    assert!(!bytes.starts_with(b"/") && !bytes.contains(&0), "{path}");
    assert!(!bytes.windows(2).any(|pair| pair == b"//"), "{path}");
    assert!(bytes.split(|byte| *byte == b'/').all(|name| !matches!(name, b"." | b"..")), "{path}");
    assert!(bytes.split(|byte| *byte == b'/').all(|name| name.len() <= 255), "{path}");
    if DotfilePolicy::Visible.allow_all(&path) {
        let hidden = bytes
            .split(|byte| *byte == b'/')
            .enumerate()
            .find(|(at, name)| name.starts_with(b".") && !(*at == 0 && *name == b".well-known"));
        assert_eq!(hidden, None, "{path}");
    }
}

/// Checks that a chunked body ends where the simplest reader of the grammar says that it ends, if
/// it is accepted at all: otherwise a request could be smuggled behind it.
pub fn chunked(data: &[u8]) {
    let (choice, body) = split_choice(data);
    let head: &[u8] = match choice % 3 {
        0 => b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        1 => b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n",
        _ => b"PUT /x HTTP/1.1\r\nTransfer-Encoding:chunked\r\nHost: a\r\n\r\n",
    };
    let input = [head, body].concat();
    if let Ok(Some((request, len))) = parse(&input)
        && request.info.is_complete
    {
        assert_eq!(Some(len - head.len()), end_of_chunks(body), "the end of the body");
    }
    super::http::answer(choice, &input);
}

/// Returns the length of the chunked body at the beginning of `input` (RFC 9112 section 7.1),
/// whatever its extensions and trailers contain.
fn end_of_chunks(input: &[u8]) -> Option<usize> {
    let line_len = |at: usize| input.get(at..)?.windows(2).position(|two| two == b"\r\n");
    let mut at = 0;
    loop {
        let line = &input[at..at + line_len(at)?];
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = usize::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        at += line.len() + 2;
        if size == 0 {
            break;
        }
        at = at.checked_add(size)?;
        if input.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    loop {
        let len = line_len(at)?;
        at += len + 2;
        if len == 0 {
            return Some(at);
        }
    }
}
