//! Options as environment variables.

use std::{collections::BTreeSet, path::Path};

use super::*;
use crate::common::*;

/// An invalid value for each option that takes a value.
const INVALID_VALUES: &[(&str, &str)] = &[
    ("--port", "65536"),
    ("--bind", "no address"),
    ("--defer-accept", "sometimes"),
    ("--allow-host", "http://a.example"),
    ("--user", "no-such-user"),
    ("--tls-cert", "/no-such-dir/cert.pem"),
    ("--tls-key", "/no-such-dir/key.pem"),
    ("--tls-dir", "/dev/null/certificates"),
    ("--tcp-echo", "7000"),
    ("--udp-echo", "9000"),
    ("--chat", "7001"),
    ("--smtp", "2525"),
    ("--pop3", "1110"),
    ("--mail-dir", "mail-without-a-service"),
    ("--beacon", "8880"),
    ("--index", "docs/index.html"),
    ("--spa", "../secret"),
    ("--base-path", "/../app"),
    ("--cache-control", "a\nb"),
    ("--header", "X-A"),
    ("--cors", "a.example"),
    ("--type", "ts=text/plain"),
    ("--redirect", "/old //new.example"),
    ("--mount", "docs"),
    ("--max-connections", "0"),
    ("--max-per-address", "some"),
    ("--head-timeout", "soon"),
    ("--max-head", "1000"),
    ("--idle-timeout", "10"),
    ("--send-timeout", "-1s"),
    ("--min-rate", "slow"),
    ("--io-per-event", "0"),
    ("--throttle", "0"),
    ("--delay", "50"),
    ("--target", "lab"),
    ("--target-from", "client.example"),
    ("--shutdown-delay", "soon"),
    ("--drain-timeout", "10 seconds ago"),
    ("--access-log", "/no-such-dir/log"),
    ("--access-log-format", "apache"),
    ("--trusted-proxy", "proxy.example"),
    ("--open", "http://a.example/"),
    ("--health", "health"),
    ("--metrics", "/metrics?all"),
    ("--trace", "everything"),
    ("--observe", "65536"),
    ("--trace-only", "nobody"),
    ("--trace-file", "/no-such-dir/run.json"),
    ("--step-script", "/no-such-dir/script"),
];

#[test]
fn variable_error_is_one_message_as_for_options() {
    let site = Site::new();
    each(options(), |(heading, name, value)| {
        let port: &[&str] = if name == "--port" { &[] } else { &["--port", "0"] };
        let refused = |arg: &str| run(site.path(), &[port, &[arg, "."]].concat(), &[]);
        if value.is_empty() {
            assert_usage_error(&refused(&format!("{name}=nonsense")), &[name, "nonsense"]);
            return;
        }
        let (_, bad) =
            INVALID_VALUES.iter().find(|(of, _)| of == name).expect("an invalid value for each option");
        assert_usage_error(&refused(&format!("{name}={bad}")), &[name]);
        let variable = variable(name);
        let output = run(site.path(), &[port, &["."]].concat(), &[(&variable, bad)]);
        assert_usage_error(&output, &[&variable]);
        assert!(!names_option(&lossy(&output.stderr), name), "{name}: {}", lossy(&output.stderr));
        assert!(heading != "Options", "{name}");
    });
}

/// Returns whether `text` has the whole name of an option.
fn names_option(text: &str, name: &str) -> bool {
    let is_part = |c: char| c == '-' || c.is_ascii_alphanumeric();
    text.split(|c| !is_part(c)).any(|word| word == name)
}

#[test]
fn variable_error_names_the_variable_only_if_it_counts() {
    let site = Site::new();
    let stderr = |args: &[&str], vars: &[(&str, &str)]| {
        let output = run(site.path(), args, vars);
        assert_eq!(output.status.code(), Some(2), "{args:?} {vars:?}");
        lossy(&output.stderr)
    };
    let both = stderr(&["--port=nonsense", "."], &[("ONELOOP_PORT", "abc")]);
    assert!(both.contains("'nonsense' for '--port") && !both.contains("ONELOOP"), "{both}");
    let other = stderr(&["--min-rate=slow", "."], &[("ONELOOP_PORT", "abc")]);
    assert!(other.contains("--min-rate") != other.contains("ONELOOP_PORT"), "one mistake: {other}");
    let listing = stderr(&["-p", "0", "."], &[("ONELOOP_LISTING", "maybe")]);
    assert!(listing.contains("'maybe' for 'ONELOOP_LISTING'"), "{listing}");
    let dir = stderr(&["-p", "0"], &[("ONELOOP_DIR", "no-such-dir")]);
    assert!(dir.contains("'no-such-dir'") && dir.contains("ONELOOP_DIR must be"), "{dir}");
    let dir = stderr(&["-p", "0", "no-dir"], &[("ONELOOP_DIR", ".")]);
    assert!(dir.contains("'no-dir'") && dir.contains("; DIR must be"), "{dir}");
}

#[test]
fn variable_of_an_optional_value_may_be_a_boolean() {
    let site = Site::new();
    let asks =
        "GET /users/7 HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nOrigin: http://a.example\r\n\r\n";
    for (words, is_on) in [(["true", "1", "YES", "on"], true), (["false", "0", "No", "off"], false)] {
        for word in words {
            let vars = ["ONELOOP_SPA", "ONELOOP_CORS", "ONELOOP_ACCESS_LOG", "ONELOOP_TRACE"]
                .map(|name| (name, word));
            let mut server = Started::with(site.path(), &["."], &vars);
            let response = server.ask(asks);
            let origin = response.header("access-control-allow-origin");
            let expected = if is_on { (200, Some("*")) } else { (404, None) };
            assert_eq!((response.status, origin), expected, "{word}");
            if is_on {
                assert!(server.line().contains("GET /users/7"), "the log is on standard output");
            }
            server.child.kill().expect("kill it");
            let mut stderr = String::new();
            let mut pipe = server.child.stderr.take().expect("piped");
            std::io::Read::read_to_string(&mut pipe, &mut stderr).expect("UTF-8");
            assert_eq!(stderr.contains("loop"), is_on, "the trace: {stderr}");
        }
    }
    assert!(!site.at("true").exists() && !site.at("0").exists(), "a boolean is no file");
    let vars = [("ONELOOP_SPA", "true")];
    site.write("app.html", "app\n");
    assert_eq!(Started::with(site.path(), &["--spa=app.html", "."], &vars).ask(asks).text(), "app\n");
    assert_eq!(printed(&["--help"], &vars), printed(&["--help"], &[]));
}

#[test]
fn variable_accepts_common_booleans() {
    let site = Site::new();
    site.write(".hidden", "hidden\n");
    site.write("about.html", "about\n");
    site.write("folder/name", "");
    std::os::unix::fs::symlink("/dev/../etc/passwd", site.at("leads-out")).expect("a link");
    let switches = [
        ("--listing", "/folder/"),
        ("--clean-urls", "/about"),
        ("--hidden", "/.hidden"),
        ("--follow-links", "/leads-out"),
    ];
    // No response shows the effect of these options; process.rs, freshness.rs and sandbox.rs test
    // them.
    let others = ["--reuse-port", "--no-listing", "--no-watch", "--no-sandbox", "--live", "--stats"];
    let all: BTreeSet<String> = options()
        .into_iter()
        .filter(|(heading, _, value)| value.is_empty() && heading != "Options" && heading != "Output")
        .map(|(_, name, _)| name)
        .collect();
    let known = switches.iter().map(|(name, _)| name).chain(&others).chain(&["--step", "--tls"]);
    assert_eq!(all, known.map(|name| (*name).to_owned()).collect(), "the table has a row for each");
    each(others, |name| {
        for value in ["yes", "0"] {
            let mut server = Started::with(site.path(), &["."], &[(&variable(name), value)]);
            assert_eq!(server.ask(&get("/hello.txt")).status, 200);
        }
        let variable = variable(name);
        assert_usage_error(&run(site.path(), &["-p", "0", "."], &[(&variable, "maybe")]), &[&variable]);
    });
    // Standard input is not a terminal.
    assert_usage_error(&run(site.path(), &["-p", "0", "."], &[("ONELOOP_STEP", "yes")]), &["ONELOOP_STEP"]);
    let mut server = Started::with(site.path(), &["."], &[("ONELOOP_STEP", "no")]);
    assert_eq!(server.ask(&get("/hello.txt")).status, 200);
    each(switches, |(name, path)| {
        let variable = variable(name);
        let status = |args: &[&str], value: &str| {
            Started::with(site.path(), &[args, &["."]].concat(), &[(&variable, value)]).ask(&get(path)).status
        };
        for yes in ["1", "true", "yes", "on", "TRUE", "Yes", "y", "t"] {
            assert_eq!(status(&[], yes), 200, "{yes:?}");
        }
        for no in ["0", "false", "no", "off", "FALSE", "No", "n", "f"] {
            assert_eq!(status(&[], no), 404, "{no:?}");
            assert_eq!(status(&[name], no), 200, "the option is stronger than {no:?}");
        }
        for garbage in ["maybe", "2", "yes please", "-1", " "] {
            assert_usage_error(&run(site.path(), &["-p", "0", "."], &[(&variable, garbage)]), &[&variable]);
        }
    });
}

#[test]
fn variable_does_what_its_option_does_and_the_option_wins() {
    let site = Site::new();
    site.write("home.html", "another home\n");
    site.write("app.html", "the application\n");
    site.write("third.html", "third\n");
    let navigate = "GET /users/7 HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n";
    let (home, base, app) = (get("/"), get("/app/"), get("/beside/"));
    // The request, and the part of the response that shows the effect: with the variable alone, and
    // with the option as well.
    type Shows = fn(&Response) -> String;
    let body: Shows = Response::text;
    let caching: Shows = |response| response.header("cache-control").expect("Cache-Control").to_owned();
    let status: Shows = |response| response.status.to_string();
    let rows: [(&str, &str, &str, &str, Shows, &str, &str); 5] = [
        ("--index", "home.html", "--index=third.html", &home, body, "another home\n", "third\n"),
        ("--spa", "app.html", "--spa=third.html", navigate, body, "the application\n", "third\n"),
        ("--spa", "app.html", "--spa", navigate, body, "the application\n", "home\n"),
        ("--cache-control", "no-store", "--cache-control=private", &home, caching, "no-store", "private"),
        ("--base-path", "/app", "--base-path=/beside", &base, status, "200", "404"),
    ];
    for (name, value, stronger, request, shows, alone, both) in rows {
        let vars = [(&*variable(name), value)];
        assert_eq!(shows(&Started::with(site.path(), &["."], &vars).ask(request)), alone, "{name}");
        assert_eq!(
            shows(&Started::with(site.path(), &[stronger, "."], &vars).ask(request)),
            both,
            "{stronger}"
        );
    }
    let vars = [("ONELOOP_BASE_PATH", "/app")];
    assert_eq!(Started::with(site.path(), &["--base-path=/beside", "."], &vars).ask(&app).status, 200);
}

#[test]
fn variable_with_commas_is_a_list() {
    let site = Site::new();
    let hosts = |server: &mut Started| -> Vec<String> { [(); 2].map(|()| server.line()).to_vec() };
    let mut both = Started::with(site.path(), &["."], &[("ONELOOP_BIND", "127.0.0.1,127.0.0.2")]);
    for (line, host) in hosts(&mut both).iter().zip(["http://127.0.0.1:", "http://127.0.0.2:"]) {
        assert!(line.starts_with(host), "{line}");
    }
    let mut one = Started::with(site.path(), &["-b", "127.0.0.3", "."], &[("ONELOOP_BIND", "127.0.0.1")]);
    assert!(one.line().starts_with("http://127.0.0.3:"));

    let asked = |host: &str, args: &[&str]| {
        let vars = [("ONELOOP_ALLOW_HOST", "a.example,b.example")];
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Started::with(site.path(), &[args, &["."]].concat(), &vars).ask(&request).status
    };
    let option = ["--allow-host=c.example"];
    assert_eq!(["a.example", "b.example", "c.example"].map(|host| asked(host, &[])), [200, 200, 421]);
    assert_eq!(["a.example", "b.example", "c.example"].map(|host| asked(host, &option)), [421, 421, 200]);

    let types = [("ONELOOP_TYPE", ".txt=text/x-a,.html=text/x-b")];
    for (path, expected) in [("/hello.txt", "text/x-a; charset=utf-8"), ("/", "text/x-b; charset=utf-8")] {
        let response = Started::with(site.path(), &["."], &types).ask(&get(path));
        assert_eq!(response.header("content-type"), Some(expected));
    }

    let allowed = |origin: &str, vars: &[(&str, &str)]| {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n\r\n");
        let response = Started::with(site.path(), &["."], vars).ask(&request);
        response.header("access-control-allow-origin").map(str::to_owned)
    };
    let listed = [("ONELOOP_CORS", "http://a.example,http://b.example")];
    for origin in ["http://a.example", "http://b.example"] {
        assert_eq!(allowed(origin, &listed).as_deref(), Some(origin));
    }
    assert_eq!(allowed("http://c.example", &listed), None);
    assert_eq!(allowed("http://c.example", &[("ONELOOP_CORS", "*")]).as_deref(), Some("*"));
}

#[test]
fn variable_header_has_one_header_per_line() {
    let site = Site::new();
    let headers = |args: &[&str], lines: &str| {
        let response =
            Started::with(site.path(), &[args, &["."]].concat(), &[("ONELOOP_HEADER", lines)]).ask(&get("/"));
        ["x-a", "x-b"].map(|name| response.header(name).map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(headers(&[], "X-A: one, and two"), [some("one, and two"), None]);
    assert_eq!(headers(&[], "X-A: 1, 2\n/ X-B: 3"), [some("1, 2"), some("3")]);
    assert_eq!(headers(&[], "X-A: 1\r\nX-B: 2"), [some("1"), some("2")], "lines of another system");
    assert_eq!(headers(&["--header", "X-B: 3"], "X-A: 1\nX-B: 2"), [None, some("3")]);
}

#[test]
fn variable_redirect_has_one_rule_per_line() {
    let site = Site::new();
    let location = |path: &str| {
        let vars = [("ONELOOP_REDIRECT", "/a /b 302\n/c d=:e /f/:e\n")];
        let response = Started::with(site.path(), &["."], &vars).ask(&get(path));
        (response.status, response.leads_to(path).unwrap_or_default())
    };
    assert_eq!(location("/a"), (302, "/b".to_owned()));
    assert_eq!(location("/c?d=1"), (301, "/f/1".to_owned()));
}

#[test]
fn variable_header_may_end_in_a_line_end() {
    let site = Site::new();
    let vars = [("ONELOOP_HEADER", "X-A: 1\nX-B: 2\n")];
    let response = Started::with(site.path(), &["."], &vars).ask(&get("/"));
    assert_eq!((response.header("x-a"), response.header("x-b")), (Some("1"), Some("2")));
}

#[test]
fn variable_that_is_empty_counts_as_unset() {
    let site = Site::new();
    let empty: Vec<_> = names().iter().map(|name| variable(name)).collect();
    let vars: Vec<_> = empty.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(Started::with(site.path(), &["--port", "0", "."], &vars).ask(&get("/")).status, 200);
    for command in [&["completions", "bash"][..], &["man"]] {
        assert!(printed(command, &[("ONELOOP_PORT", "nonsense")]).contains("port"));
    }
}

#[test]
fn variable_sets_limits_logs_and_addresses() {
    let site = Site::new();
    // All settings come from variables, none from the command line.
    let vars = [
        ("ONELOOP_DIR", site.path().to_str().expect("UTF-8")),
        ("ONELOOP_PORT", "0"),
        ("ONELOOP_UDP_ECHO", "127.0.0.1:0"),
        ("ONELOOP_MAX_CONNECTIONS", "1"),
        ("ONELOOP_HEAD_TIMEOUT", "200ms"),
        ("ONELOOP_IDLE_TIMEOUT", "0"),
        ("ONELOOP_ACCESS_LOG", "-"),
        ("ONELOOP_ACCESS_LOG_FORMAT", "json"),
    ];
    let mut server = Started::with(Path::new("/"), &[], &vars);
    let request = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\nGET /";
    assert_eq!(server.ask(request).text(), "hello\n");
    assert!(server.line().starts_with("udp://127.0.0.1:"));
    let line = server.line();
    assert!(line.starts_with('{') && line.contains("\"target\":\"/hello.txt\""), "{line}");

    let mut server = Started::with(site.path(), &["--access-log-format=common", "."], &vars);
    let half = "GET /half HTTP/1.1\r\nHost: localhost\r\n";
    assert_eq!(server.ask(half).status, 408, "the head's time-out");
    assert!(server.line().starts_with("udp://"));
    assert!(server.line().starts_with("127.0.0.1 - - ["), "the option is stronger");
}

#[test]
fn variable_does_not_change_printed_pages() {
    let vars = [("ONELOOP_LISTING", "1"), ("ONELOOP_HEADER", "X-A: b"), ("ONELOOP_DIR", "/no-such-dir")];
    for args in [&["man"][..], &["completions", "bash"], &["--help"], &["--version"]] {
        assert_eq!(printed(args, &vars), printed(args, &[]), "{args:?}");
    }
}

/// Kubernetes sets this variable in each pod beside a Service that is called oneloop.
#[test]
fn variable_of_a_kubernetes_service_is_ignored() {
    let site = Site::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.args(["--bind", "192.0.2.1"]).arg(site.path()).env("ONELOOP_PORT", "tcp://10.43.161.118:8000");
    let output = command.output().expect("run oneloop");
    let stderr = lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && stderr.contains("192.0.2.1:8000"),
        "the default port: {stderr}"
    );
}
