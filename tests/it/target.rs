//! The load target: `--target` and `--target-from`.

use std::{io::Read, process::Command, time::Duration};

use rustix::process::Signal;

use crate::common::*;

/// Returns a response without the value of its `Date`, and with its head.
fn whole(server: &Server, request: &str) -> (u16, String) {
    let mut client = server.connect();
    client.send(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    let bytes = client.rest();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let at = text.find("Date: ").expect("a date");
    let status = text[9..12].parse().expect("a status");
    (status, format!("{}{}", &text[..at], &text[at + 35..]))
}

#[test]
fn target_sends_what_the_url_asks_for() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    for code in [200, 201, 301, 404, 418, 429, 500, 503, 599] {
        let response = server.get(&format!("/_/status/{code}"));
        assert_eq!((response.status, response.body.len()), (code, 0));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        let response = server.get(&format!("/_/?bytes=10&status={code}"));
        assert_eq!((response.status, response.body.len()), (code, 10));
    }
    for code in [204, 205, 304] {
        // Without a body, whatever was asked for: the next response follows at once.
        let mut client = server.connect();
        client.send(get(&format!("/_/?bytes=10&status={code}")) + &get("/hello.txt"));
        assert_eq!(client.head().status, code);
        assert_eq!(client.response().text(), "hello\n");
    }
    let body = server.get("/_/bytes/1k?seed=7").body;
    assert_eq!(body.len(), 1024);
    assert_eq!(server.get("/_/?seed=7&bytes=1024&status=500").body, body, "they follow from the seed");
    assert_ne!(server.get("/_/bytes/1k").body, body);
    assert_eq!(server.get("/_/drip?bytes=100&over=30ms&seed=7").body, body[..100]);
}

#[test]
fn target_takes_all_common_methods_and_drops_bodies() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let mut client = server.connect();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] {
        let line = format!("{method} /_/?bytes=5&status=201 HTTP/1.1\r\nHost: localhost\r\n");
        let request = match method {
            "POST" => format!("{line}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
            "GET" | "HEAD" => format!("{line}\r\n"),
            _ => format!("{line}Content-Length: 3\r\n\r\nabc"),
        };
        client.send(&request);
        let response = client.response_to(request.as_bytes());
        assert_eq!((response.status, response.header("content-length")), (201, Some("5")), "{method}");
    }
    let options = [
        ("status/503", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("anything/a", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("post", "POST, OPTIONS"),
        ("range/1k", "GET, HEAD, OPTIONS"),
        ("stats", "GET, HEAD, POST, OPTIONS"),
    ];
    for (path, methods) in options {
        client.send(format!("OPTIONS /_/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.header("allow")), (204, Some(methods)), "{path}");
    }
    for (method, status) in [("TRACE", 405), ("BREW", 501)] {
        assert_eq!(server.ask(get("/_/status/200").replace("GET", method)).status, status);
    }
    let big = "POST /_/status/200 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n";
    assert_eq!(server.ask(big).status, 413);
    let old = server.ask("GET /_/bytes/5 HTTP/1.0\r\n\r\n");
    assert_eq!((old.status, old.body.len(), old.header("connection")), (200, 5, Some("close")));
    // Elsewhere nothing has changed.
    assert_eq!(server.ask(get("/hello.txt").replace("GET", "POST")).status, 405);
}

#[test]
fn target_names_mistakes() {
    let site = Site::new();
    let server = Server::with(&site, &["--target"]);
    let message = |path: &str| {
        let response = server.get(path);
        let text = String::from_utf8(response.body.clone()).expect("text");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"), "{path}: {text}");
        (response.status, text)
    };
    assert_eq!(
        message("/_/?foo=1"),
        (
            400,
            "'foo' is not a parameter; use status, delay, bytes, over, chunk, close, seed, reset, truncate, \
             garbage, silent, one-byte, accept-stall, pause\n"
                .into()
        )
    );
    for (path, word) in [
        ("/_/status/700", "status"),
        ("/_/delay/2h", "delay"),
        ("/_/bytes/2G", "bytes"),
        ("/_/?close=200%", "close"),
        ("/_/?seed=x", "seed"),
        ("/_/drip?over=-1", "over"),
        ("/_/status/503?status=503", "status"),
    ] {
        let (status, text) = message(path);
        assert!(status == 400 && text.contains(word), "{path}: {text}");
    }
    let (status, text) = message("/_/none");
    assert!(status == 404 && text.contains("lists all paths"), "{text}");
}

#[test]
fn target_has_a_page_that_lists_what_there_is() {
    let site = Site::new();
    let server = Server::with(&site, &["--target=/lab/x"]);
    let text = server.get("/lab/x/").text();
    assert!(text.contains("  /lab/x/status/503 "), "{text}");
    let page = server.ask("GET /lab/x/ HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let page = page.text();
    // Each link on the page leads to a response.
    let links = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default());
    let mut count = 0;
    let faults = ["reset", "truncate", "garbage", "silent", "one-byte", "stall", "pause"];
    let is_fault = |link: &str| faults.iter().any(|fault| link.contains(fault));
    let is_quick = |link: &str| !link.contains("over=") && !link.contains("10M");
    let has_length = |link: &str| !link.contains("chunk") && !link.contains("stream");
    for link in links.filter(|link| is_quick(link) && has_length(link) && !is_fault(link)) {
        let path = resolve_link("/lab/x/", &link.replace("&amp;", "&"));
        assert_ne!(server.get(&path).status, 400, "{path}");
        count += 1;
    }
    assert!(count > 6, "{page}");
    let response = server.get("/lab/x");
    assert_eq!((response.status, response.leads_to("/lab/x").as_deref()), (301, Some("/lab/x/")));
    assert_eq!(server.get("/_/").status, 404, "nothing is at the default path");
}

#[test]
fn target_comes_before_files_mounts_and_rules() {
    let site = Site::new();
    site.write("_/status/503", "a file");
    site.write("_redirects", "/_/* /hello.txt 302!\n");
    let mount = format!("/_={}", site.path().display());
    let args = ["--target", "--mount", &mount, "--base-path", "/app", "--spa", "--live", "--redirect"];
    let server = Server::with(&site, &[&args[..], &["/_/* /hello.txt 301!"]].concat());
    assert_eq!(server.get("/_/status/503").status, 503);
    assert_eq!(server.get("/%5F//status/./503").status, 503, "it is one path");
    assert_eq!(server.get("/app/hello.txt").text(), "hello\n");
    // Without it, the site has these paths.
    assert_eq!(Server::start(&site).get("/_/status/503").status, 302);
    let root = Server::with(&site, &["--target=/"]);
    assert_eq!((root.get("/status/418").status, root.get("/hello.txt").status), (418, 404));
}

#[test]
fn target_answers_only_some_clients() {
    let site = Site::new();
    let ask = |args: &[&str], field: &str| {
        let server = Server::with(&site, &[&["--target"], args].concat());
        let request = format!("GET /_/status/418 HTTP/1.1\r\nHost: localhost\r\n{field}\r\n");
        let response = server.ask(&request);
        if response.status == 404 {
            // The same response as without a target.
            let without = Server::start(&site).ask(&request);
            assert_eq!(response.body, without.body);
        }
        response.status
    };
    let client = "X-Forwarded-For: 192.0.2.1\r\n";
    let table: [(&[&str], &str, u16); 8] = [
        (&[], "", 418),
        (&["--target-from=192.0.2.0/24"], "", 404),
        (&["--target-from=192.0.2.0/24,127.0.0.0/8"], "", 418),
        (&["--target-from=all"], "", 418),
        (&[], client, 418), // any client can send such a field
        (&["--trusted-proxy=127.0.0.1"], client, 404),
        (&["--trusted-proxy=127.0.0.1", "--access-log=/dev/null"], client, 404),
        (&["--trusted-proxy=127.0.0.1", "--target-from=192.0.2.1"], client, 418),
    ];
    each(table, |&(args, field, expected)| assert_eq!(ask(args, field), expected, "{args:?} {field}"));
    // The checks of a local server apply as well.
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.args(["--port", "0", "--target"]).arg(site.path());
    let server = Server::spawn(command);
    assert_eq!(server.ask("GET /_/ HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 421);
    let cross_site = "GET /_/ HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n\r\n";
    assert_eq!(server.ask(cross_site).status, 403);
    assert_eq!(server.get("/_/").status, 200);
}

#[test]
fn drawn_responses_repeat_and_have_one_length() {
    let site = Site::new();
    let run = |url: &str| {
        let server = Server::with(&site, &["--target"]);
        (0..60).map(|_| whole(&server, &get(url))).collect::<Vec<_>>()
    };
    let url = "/_/?status=503:20%,429:10%&bytes=100&seed=7";
    let first = run(url);
    assert_eq!(first, run(url));
    assert_ne!(first, run(&url.replace("seed=7", "seed=8")));
    for code in [200, 429, 503] {
        assert!(first.iter().any(|(status, _)| *status == code), "{code} is drawn");
    }
    assert!(
        first.windows(2).all(|pair| pair[0].1.len() == pair[1].1.len()),
        "the heads have one length as well"
    );

    // Whether the connection closes is drawn as well, and is in the head.
    let server = Server::with(&site, &["--target"]);
    let mut lens = [Vec::new(), Vec::new()];
    for _ in 0..30 {
        let mut client = server.connect();
        client.send(get("/_/?close=50%&status=503:50%"));
        let head = client.take_until(b"\r\n\r\n");
        let closes = lossy(&head).contains("\r\nConnection: close\r\n");
        if closes {
            assert_eq!(client.rest(), b"");
        } else {
            client.send(get("/hello.txt"));
            assert_eq!(client.response().status, 200);
        }
        lens[usize::from(closes)].push(head.len());
    }
    let all = lens.concat();
    assert!(lens.iter().all(|lens| !lens.is_empty()) && all.iter().all(|len| *len == all[0]), "{lens:?}");
}

#[test]
fn a_thousand_waiting_requests_use_no_cpu_and_end_at_a_shutdown() {
    const COUNT: usize = 1000;
    allow_many_descriptors();
    let site = Site::new();
    let mut server = Server::with(&site, &["--target", "--max-connections=2000"]);
    let mut clients: Vec<Client> = (0..COUNT).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.send(get("/_/?delay=1h&bytes=7")));
    let mut probe = server.connect();
    probe.send(get("/hello.txt"));
    assert_eq!(probe.response().status, 200);
    assert_idle(&server, Duration::from_millis(300));
    assert_eq!(server.threads(), 1);
    // A client that gives up frees its place.
    let sockets = server.sockets();
    clients.drain(..500).for_each(drop);
    eventually("the places of 500 clients are free", || server.sockets() + 500 <= sockets);
    server.signal(Signal::TERM);
    for client in &mut clients {
        let response = client.response();
        assert_eq!((response.status, response.body.len()), (200, 7));
        assert_eq!(response.header("connection"), Some("close"));
    }
    assert!(server.exit().success());
}

#[test]
fn ab_finds_one_length_and_the_same_failures_in_every_run() {
    if Command::new("ab").arg("-V").output().is_err() {
        return skip("it needs ab (the package apache2-utils)");
    }
    let site = Site::new();
    let run = |args: &[&str], path: &str| {
        let server = Server::with(&site, &["--target"]);
        let url = format!("http://{}{path}", server.addr());
        let output =
            Command::new("ab").args(["-q", "-n", "500"]).args(args).arg(&url).output().expect("run ab");
        let text = String::from_utf8(output.stdout).expect("text");
        let figure = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|rest| rest.split_whitespace().next().expect("a number").to_owned())
        };
        assert_eq!(figure("Complete requests").as_deref(), Some("500"), "{text}");
        assert_eq!(figure("Failed requests").as_deref(), Some("0"), "{text}");
        (figure("Document Length"), figure("Non-2xx responses"), figure("Total transferred"))
    };
    let path = "/_/?status=503:20%,429:10%&bytes=100&seed=7";
    let alone = run(&["-c", "1", "-k"], path);
    assert_eq!(alone.0.as_deref(), Some("100"));
    assert!(alone.1.is_some(), "some fail");
    assert_eq!(run(&["-c", "50", "-k"], path), alone);
    let mixed = "/_/?status=503:20%,429:10%&bytes=100&seed=7&close=30%&delay=0,1ms:10%";
    assert_eq!(run(&["-c", "10", "-k"], mixed).1, alone.1, "the others change nothing about it");
    assert_eq!(run(&["-c", "10"], path).1, alone.1, "without persistent connections");
}

#[test]
fn verbose_log_names_the_target_and_its_clients() {
    let site = Site::new();
    for (args, expected) in [
        (&["-v", "--target"][..], "load target: /_/, for this machine"),
        (&["-v", "--target=/lab/", "--target-from=all"], "load target: /lab/, for --target-from"),
    ] {
        let mut server = Server::with(&site, args);
        let mut stderr = server.stderr();
        server.signal(Signal::TERM);
        assert!(server.exit().success());
        let mut text = String::new();
        stderr.read_to_string(&mut text).expect("text");
        assert!(text.lines().any(|line| line.ends_with(expected)), "{text}");
    }
    let args = ["--port", "0", "--target-from", "all"];
    let output = Command::new(env!("CARGO_BIN_EXE_oneloop")).args(args).output().expect("run it");
    assert_eq!(output.status.code(), Some(2));
    assert!(lossy(&output.stderr).contains("--target-from is for the load target; add --target"));
}
