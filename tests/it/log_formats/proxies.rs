//! Behind a trusted proxy, the log shows the client of each request.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::Command,
};

use super::*;

/// Returns the peer in a log line, which must have one.
fn peer(format: &str, line: &str) -> String {
    let brief = || line.trim_end().rsplit_once("  ").expect("a client at the end").1.to_owned();
    match format {
        "json" => {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in {line:?}"));
            value["peer"].as_str().expect("a string").to_owned()
        }
        "brief" => brief(),
        _ => words(line.trim_end())[0].clone(),
    }
}

#[test]
fn client_of_a_trusted_proxy_is_logged_in_each_format() {
    let site = site();
    for format in ["common", "combined", "json", "brief"] {
        let args = ["--listing", "--trusted-proxy", "192.0.2.0/24,127.0.0.1"];
        let Logging { mut server, .. } = Logging::with(&site, format, &args);
        let mut client = server.connect();
        // One connection of a proxy carries the requests of many clients.
        let from = |line: &str, fields: &str| request(line, &format!("X-Forwarded-For: {fields}\r\n"));
        client.send(
            [
                from("GET /hello.txt", "203.0.113.1"),
                from("GET /missing", "203.0.113.3, 192.0.2.7"),
                from("GET /hello.txt", "198.51.100.1\r\nX-Forwarded-For: 203.0.113.4"),
                from("GET /hello.txt", "::ffff:203.0.113.5"),
                request("GET /hello.txt", "Forwarded: for=\"[2001:db8::6]:4711\";proto=https\r\n"),
                from("GET /folder/", "203.0.113.2"),
            ]
            .concat(),
        );
        let statuses = [(); 5].map(|()| client.response().status);
        assert_eq!(statuses, [200, 404, 200, 200, 200]);
        assert_eq!(client.head().status, 200);
        client.take_until(b"\r\n0\r\n\r\n");
        // The body arrives later, and names no client.
        let head = from("POST /hello.txt", "203.0.113.7\r\nContent-Length: 30");
        let body = "\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
        client.send_apart(&mut server.connect(), [head.as_bytes(), body.as_bytes()]);
        assert_eq!(client.response().status, 405);
        let expected = [
            "203.0.113.1",
            "203.0.113.3",
            "203.0.113.4",
            "203.0.113.5",
            "2001:db8::6",
            "203.0.113.2",
            "203.0.113.7",
        ];
        for expected in expected {
            let mut lines = std::iter::repeat_with(|| server.stdout_line());
            let line = lines.find(|line| !line.contains("OPTIONS")).expect("endless");
            assert_eq!(peer(format, &line), expected, "{line}");
        }
    }
}

#[test]
fn client_is_the_peer_unless_a_trusted_proxy_names_it() {
    let site = site();
    let named = "X-Forwarded-For: 203.0.113.1\r\nForwarded: for=203.0.113.1\r\n";
    let rows: [(&[&str], &str, &str); 6] = [
        (&[], named, "127.0.0.1"),
        (&["--trusted-proxy", "127.0.0.2,::1,unix"], named, "127.0.0.1"),
        (&["--trusted-proxy", "::1", "--trusted-proxy", "127.0.0.0/8"], named, "203.0.113.1"),
        (&["--trusted-proxy=127.0.0.1"], "", "127.0.0.1"),
        (&["--trusted-proxy=127.0.0.1"], "X-Forwarded-For: 203.0.113.1, [31m\r\n", "127.0.0.1"),
        (
            &["--trusted-proxy=127.0.0.1"],
            "X-Forwarded-For: 203.0.113.1\r\nX-Forwarded-For: x\r\n",
            "127.0.0.1",
        ),
    ];
    each(rows, |(args, fields, expected)| {
        let Logging { mut server, .. } = Logging::with(&site, "common", args);
        assert_eq!(server.ask(request("GET /hello.txt", fields)).status, 200);
        assert_eq!(peer("common", &server.stdout_line()), *expected);
    });
}

#[test]
fn client_of_an_interrupted_download_is_logged() {
    let site = site();
    let mut logging = Logging::with(&site, "common", &["--trusted-proxy", "127.0.0.1"]);
    stalled(&logging.server, "X-Forwarded-For: 203.0.113.1\r\n").reset();
    let line = logging.server.stdout_line();
    assert!(peer("common", &line) == "203.0.113.1" && line.ends_with(" aborted\n"), "{line}");
}

#[test]
fn client_behind_a_unix_socket_is_logged() {
    let site = site();
    for (trusted, expected) in [("unix", "203.0.113.1"), ("127.0.0.1", "unix:")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.current_dir(site.path()).args([".", "--bind", "unix:a.sock", "--access-log"]);
        command.args(["--trusted-proxy", trusted]);
        let mut server = Server::spawn(command);
        let mut stream = UnixStream::connect(site.at("a.sock")).expect("connect");
        let end = "Connection: close\r\nX-Forwarded-For: 203.0.113.1\r\n";
        stream.write_all(request("GET /hello.txt", end).as_bytes()).expect("send");
        stream.read_to_end(&mut Vec::new()).expect("read");
        assert_eq!(peer("common", &server.stdout_line()), expected);
    }
}
