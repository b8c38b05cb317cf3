//! `oneloop talk http` against servers that send given bytes.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::unix::net::UnixListener,
    time::Instant,
};

use super::{Pace, Talked, serve_one, talk, talk_with_input};
use crate::common::{PROMPT, lossy};

/// Runs `oneloop talk http METHOD http://ADDR/x ARGS...` against a server that sends `response`
/// after the request, at both paces, and closes. Returns what it printed, without the request.
fn http(method: &str, response: &str, args: &[&str]) -> Talked {
    let [whole, bytes] = [Pace::Whole, Pace::Bytes].map(|pace| {
        let response = response.to_owned();
        let (address, server) = serve_one(move |mut socket| {
            let mut request = Vec::new();
            let mut reader = BufReader::new(socket.try_clone().expect("duplicate the socket"));
            while !request.ends_with(b"\r\n\r\n") {
                assert_ne!(reader.read_until(b'\n', &mut request).expect("a request"), 0, "the end of input");
            }
            pace.send(&mut socket, response.as_bytes());
            lossy(&request)
        });
        let talked = talk(&[&["http", method, &format!("http://{address}/x")][..], args].concat());
        let request = server.join().unwrap_or_else(|_| panic!("no request: {talked:?}"));
        let shown: String =
            request.lines().map(|line| format!("> {line}\n").replace("> \n", ">\n")).collect();
        let rest = talked.stderr.strip_prefix(&shown);
        let rest = rest.unwrap_or_else(|| panic!("the request is not shown: {talked:?}"));
        Talked { stderr: rest.replace(&address.to_string(), "ADDR"), ..talked }
    });
    assert_eq!(whole, bytes, "{response:?}");
    whole
}

/// Returns the lines as the client shows a head.
fn shown(head: &str) -> String {
    head.lines().map(|line| format!("< {line}\n").replace("< \n", "<\n")).collect()
}

#[test]
fn http_shows_the_dialogue_and_writes_the_body() {
    let (address, server) = serve_one(|mut socket| {
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n").expect("send");
        let mut request = Vec::new();
        socket.read_to_end(&mut request).expect("a request");
        lossy(&request)
    });
    let talked = talk(&["http", "GET", &format!("http://{address}/a?b"), "--header", "X-Y: z"]);
    let request = server.join().expect("a request");
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "GET /a?b HTTP/1.1\r\nHost: {address}\r\nUser-Agent: oneloop/{version}\r\nAccept: */*\r\n\
         Connection: close\r\nX-Y: z\r\n\r\n"
    );
    assert_eq!(request, expected);
    let stderr = format!(
        "> GET /a?b HTTP/1.1\n> Host: {address}\n> User-Agent: oneloop/{version}\n> Accept: */*\n\
         > Connection: close\n> X-Y: z\n>\n< HTTP/1.1 200 OK\n< Content-Length: 6\n<\n"
    );
    assert_eq!(talked, Talked { code: Some(0), stdout: "hello\n".into(), stderr });
}

#[test]
fn http_body_is_read_by_its_framing() {
    let table = [
        ("GET", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n", "no", "", "no"),
        ("POST", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", "", ""),
        ("GET", "HTTP/1.0 200 OK\r\n\r\n", "up to the end", "", "up to the end"),
        ("GET", "HTTP/1.1 200 OK\r\n\r\n", "", "", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", "", ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", "", ""),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: \x1b[1m\r\n\r\n",
            "",
            "",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 9\r\n\r\n",
            "< X-Sum: 9\n<\n",
            "hello!",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            "1\r\nx\r\n0\r\n\r\n",
            "* Transfer-Encoding overrides Content-Length\n<\n",
            "x",
        ),
        (
            "GET",
            "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n",
            "",
            "* this client does not follow redirects\n",
            "",
        ),
        ("GET", "HTTP/1.1 201 \u{e9}\x07\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", "", "", ""),
    ];
    for (method, head, body, after, stdout) in table {
        let talked = http(method, &format!("{head}{body}"), &[]);
        let is_refused = head.contains('\x07') || body.contains('\x1b');
        if is_refused {
            assert_eq!(talked.code, Some(1), "{head:?}: {talked:?}");
            assert!(!talked.stderr.contains(['\x07', '\x1b']), "{talked:?}");
            continue;
        }
        let stderr = format!("{}{after}", shown(head));
        assert_eq!(talked, Talked { code: Some(0), stdout: stdout.into(), stderr }, "{head:?}");
    }
}

#[test]
fn http_interim_responses_are_shown_and_skipped() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    let talked = http("POST", &format!("{interim}{last}ok"), &[]);
    let stderr = shown(&format!("{interim}{last}"));
    assert_eq!(talked, Talked { code: Some(0), stdout: "ok".into(), stderr });
}

#[test]
fn http_response_cut_short_or_malformed_fails() {
    let cut = "the server closed the connection";
    let table = [
        ("", format!("{cut} before the response head was complete"), ""),
        ("HTTP/1.1 200 OK\r\nContent-", format!("{cut} before the response head was complete"), ""),
        ("HTTP/1.1 100 Continue\r\n\r\n", format!("{cut} before the response head was complete"), ""),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            format!("{cut} after 4 of 5 bytes of the body"),
            "hell",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            format!("{cut} before the last chunk of the body"),
            "hello",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
            format!("{cut} before the last chunk of the body"),
            "",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            "the response has two different values of Content-Length".into(),
            "",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: x\x1b\r\n\r\nx",
            "the response head is malformed: invalid header value".into(),
            "",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: \u{e9}\r\n\r\nx", "not a Content-Length: \u{e9}".into(), ""),
        ("220 ready\r\n", "the response head is malformed: invalid HTTP version".into(), ""),
    ];
    for (response, expected, stdout) in table {
        let talked = http("GET", response, &[]);
        assert_eq!((talked.code, &*talked.stdout), (Some(1), stdout), "{response:?}: {talked:?}");
        assert!(talked.stderr.ends_with(&format!("oneloop: ADDR: {expected}\n")), "{response:?}: {talked:?}");
    }
}

#[test]
fn http_bytes_after_the_response_are_ignored() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n";
    let (address, server) = serve_one(|mut socket| {
        socket.write_all(response.as_bytes()).expect("send");
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let talked = talk(&["http", "GET", &format!("http://{address}")]);
    server.join().expect("the server");
    assert_eq!((talked.code, &*talked.stdout), (Some(0), "ok"));
    assert!(talked.stderr.ends_with("<\n* ignoring 19 bytes after the response\n"), "{talked:?}");
}

#[test]
fn http_post_sends_its_data() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), b"\0\xff").expect("write");
    let path = file.path().to_str().expect("a path");
    let form = "application/x-www-form-urlencoded";
    let large = vec![b'x'; 3 << 20];
    // Arguments, standard input, media type and data.
    type Row<'a> = (&'a [&'a str], &'a [u8], &'a str, &'a [u8]);
    let table: &[Row<'_>] = &[
        (&["--data", "a=b"], b"", form, b"a=b"),
        (&["--data", ""], b"", form, b""),
        (&["--data-file", path], b"", "application/octet-stream", b"\0\xff"),
        (&["--data-file", "-"], &large, "application/octet-stream", &large),
        (&["--data", "{}", "--header", "content-type: application/json"], b"", "", b"{}"),
        (&[], b"", "text/plain", b""),
    ];
    for (args, input, media_type, data) in table {
        let (address, server) = serve_one(|socket| {
            let mut reader = BufReader::new(socket);
            let (mut head, mut len) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let start = head.len();
                assert_ne!(reader.read_line(&mut head).expect("a line"), 0, "{head:?}");
                let length = head[start..].strip_prefix("Content-Length: ");
                len = length.map_or(len, |digits| digits.trim().parse().expect("a length"));
            }
            let mut body = vec![0; len];
            reader.read_exact(&mut body).expect("the data");
            reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").expect("send");
            (head, body)
        });
        let url = format!("http://{address}/");
        let talked = talk_with_input(&[&["http", "POST", &url][..], args].concat(), input);
        let (head, body) = server.join().expect("a request");
        assert!(body == *data, "{args:?}: {} bytes", body.len());
        let expected = if media_type.is_empty() {
            "content-type: application/json\r\n\r\n".to_owned()
        } else {
            format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", data.len())
        };
        assert!(head.ends_with(&expected), "{args:?}: {head}");
        assert_eq!((talked.code, &*talked.stdout), (Some(0), ""), "{args:?}: {talked:?}");
        let note = format!(">\n* sending {} bytes of data\n<", data.len());
        assert_eq!(talked.stderr.contains(&note), !data.is_empty(), "{args:?}: {talked:?}");
    }
}

#[test]
fn http_reads_a_response_that_comes_before_the_end_of_the_request() {
    let (address, server) = serve_one(|mut socket| {
        socket.read_exact(&mut [0; 10]).expect("the beginning of a request");
        socket.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno").expect("send");
        socket // which stays open, and is not read any more
    });
    let large = vec![b'x'; 64 << 20];
    let start = Instant::now();
    let talked = talk_with_input(&["http", "POST", &format!("http://{address}"), "--data-file", "-"], &large);
    assert_eq!((talked.code, &*talked.stdout), (Some(0), "no"), "{talked:?}");
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    drop(server.join().expect("the server"));
}

#[test]
fn http_reads_the_response_of_a_server_that_closes_without_reading() {
    // The close resets the connection, because the server has not read the request.
    let (address, server) = serve_one(|mut socket| {
        socket.read_exact(&mut [0; 100]).expect("the beginning of a request");
        socket.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno").expect("send");
    });
    let data = tempfile::NamedTempFile::new().expect("a file");
    data.as_file().set_len(32 << 20).expect("set its length");
    let path = data.path().to_str().expect("a path");
    let talked = talk(&["http", "POST", &format!("http://{address}/"), "--data-file", path]);
    server.join().expect("the server");
    assert_eq!((talked.code, &*talked.stdout), (Some(0), "no"), "{talked:?}");
}

#[test]
fn http_over_a_unix_socket() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.sock");
    let listener = UnixListener::bind(&path).expect("listen");
    let server = std::thread::spawn(move || {
        [(), ()].map(|()| {
            let (mut socket, _) = listener.accept().expect("a client");
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("send");
            let mut request = Vec::new();
            socket.read_to_end(&mut request).expect("a request");
            lossy(&request)
        })
    });
    let path = path.to_str().expect("a path");
    for args in
        [&["http", "GET", &format!("unix:{path}")][..], &["http", "GET", "http://a/b?c", "--unix", path]]
    {
        let talked = talk(args);
        assert_eq!((talked.code, &*talked.stdout), (Some(0), "ok"), "{talked:?}");
    }
    let [first, second] = server.join().expect("two requests");
    assert!(first.starts_with("GET / HTTP/1.1\r\nHost: localhost\r\n"), "{first}");
    assert!(second.starts_with("GET /b?c HTTP/1.1\r\nHost: a\r\n"), "{second}");
}

#[test]
fn http_arguments_that_cannot_work_are_refused() {
    let table: &[(&[&str], &str)] = &[
        (
            &["GET", "https://a/"],
            "oneloop: 'https://a/' needs TLS, which this client does not have; use an http URL\n",
        ),
        (
            &["GET", "localhost:80"],
            "oneloop: 'localhost:80' is not a valid URL: the scheme is not http; use http://HOST[:PORT]/PATH or unix:PATH\n",
        ),
        (&["GET", "http://a:b/"], "the host or port is not valid"),
        (&["BREW", "http://a/"], "BREW"),
        (
            &["GET", "http://a/", "--header", "x"],
            "oneloop: 'x' is not valid for --header: use a name, a colon and a value\n",
        ),
        (&["GET", "http://a/", "--header", "x: a\nb: c"], "the value has a control character"),
        (
            &["GET", "http://a/", "--data", "x"],
            "oneloop: GET sends no data; use POST, or leave out --data and --data-file\n",
        ),
        (&["POST", "http://a/", "--data", "x", "--data-file", "y"], "cannot be used with"),
        (
            &["POST", "http://a/", "--data-file", "/nowhere"],
            "cannot read '/nowhere': no such file or directory",
        ),
    ];
    for (args, expected) in table {
        let talked = talk(&[&["http"][..], args].concat());
        assert_eq!((talked.code, &*talked.stdout), (Some(2), ""), "{args:?}: {talked:?}");
        assert!(talked.stderr.contains(expected), "{args:?}: {talked:?}");
    }
}

#[test]
fn http_tries_each_address_of_a_name() {
    // On many machines, localhost is ::1 before it is 127.0.0.1, where this server listens.
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = listener.local_addr().expect("its address").port();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("send");
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let talked = talk(&["http", "GET", &format!("http://localhost:{port}/")]);
    server.join().expect("the server");
    assert_eq!((talked.code, &*talked.stdout), (Some(0), "ok"), "{talked:?}");
}
