//! How the program is told what to do: by options, by variables of the environment, and what it says of itself: help,
//! completions, the man page, its version. What its operator gets wrong is said in one message.
//!
//! The options are not listed here but read from `--help`, so that a new one needs a row in the tables below.
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use crate::common::*;

/// The program with `args`, in `dir`, knowing no variables but `vars`.
fn oneloop(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.current_dir(dir).args(args).env_clear().envs(vars.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server that is killed when the test ends. (Those of the harness know no variables of their own.)
struct Started {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Started {
    /// Starts it on any free port, or on what `vars` say of ports, in `dir`.
    fn with(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> Started {
        let has_port = vars.iter().any(|(name, _)| *name == "ONELOOP_PORT");
        let port: &[&str] = if has_port { &[] } else { &["--port", "0"] };
        let mut child = oneloop(dir, &[args, port].concat(), vars).spawn().expect("start oneloop");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Started { child, stdout }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// The response to `request` of who is announced next; all of it, if it is as long as it says.
    fn ask(&mut self, request: &str) -> Response {
        let url = self.line();
        let address = url.strip_prefix("http://").and_then(|url| url.split_once('/')).expect("a URL").0;
        let mut client = Client::connect(address.parse().expect("an address"));
        client.send(request);
        let mut response = client.head();
        if let Some(len) = response.header("content-length") {
            response.body = client.take(len.parse().expect("a number"));
        }
        response
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program to its end. Where it serves instead, it is killed: the first that it prints is its address.
fn run(dir: &Path, args: &[&str], vars: &[(&str, &str)]) -> Output {
    let mut child = oneloop(dir, args, vars).spawn().expect("start oneloop");
    let mut line = Vec::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    if stdout.read_until(b'\n', &mut line).expect("its output") > 0 {
        child.kill().expect("kill it");
    }
    child.wait_with_output().expect("its end")
}

/// What the program prints, all of it, in good order.
fn printed(args: &[&str], vars: &[(&str, &str)]) -> String {
    let output = oneloop(Path::new("/"), args, vars).output().expect("run oneloop");
    assert_eq!((output.status.code(), lossy(&output.stderr)), (Some(0), String::new()), "{args:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Every word in `text` that begins with two dashes.
fn options_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c == '-' || c.is_ascii_lowercase();
    let words = text.split(|c| !is_part(c)).filter(|w| w.starts_with("--") && w.len() > 2);
    words.map(str::to_owned).collect()
}

/// The options as `--help` introduces them: `--port <PORT>`, with the heading under which they stand.
fn options() -> Vec<(String, String, String)> {
    let (mut options, mut heading) = (Vec::new(), String::new());
    for line in printed(&["--help"], &[]).lines() {
        let text = line.trim_start();
        if !line.starts_with(' ') && line.ends_with(':') && line.len() < 40 {
            heading = text.trim_end_matches(':').to_owned();
        } else if line.len() - text.len() <= 6 && text.starts_with('-') {
            let long = &text[text.find("--").expect("a long name")..];
            let end = long.find(|c: char| c != '-' && !c.is_ascii_lowercase()).unwrap_or(long.len());
            let (name, value) = long.split_at(end);
            options.push((heading.clone(), name.to_owned(), value.trim().trim_matches('.').to_owned()));
        }
    }
    assert!(options.len() > 20, "{options:?}");
    options
}

fn names() -> BTreeSet<String> {
    options().into_iter().map(|(_, name, _)| name).collect()
}

/// `ONELOOP_IDLE_TIMEOUT` of `--idle-timeout`.
fn variable(option: &str) -> String {
    format!("ONELOOP_{}", option.trim_start_matches('-').to_ascii_uppercase().replace('-', "_"))
}

/// Asserts that `output` is a refusal to start: 2, and one message that has each of `named`.
fn assert_mistake(output: &Output, named: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.matches("error: ").count() + stderr.matches("oneloop: ").count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: ") || stderr.trim_end().lines().count() == 1, "{stderr}");
    for word in named {
        assert!(stderr.contains(word), "{stderr:?} does not say {word:?}");
    }
}

/// A value of each option that takes one, which it cannot have.
const MISTAKES: [(&str, &str); 21] = [
    ("--port", "65536"),
    ("--bind", "no address"),
    ("--allow-host", "http://a.example"),
    ("--udp-echo", "9000"),
    ("--index", "docs/index.html"),
    ("--spa", "../secret"),
    ("--base-path", "/../app"),
    ("--cache-control", "a\nb"),
    ("--header", "X-A"),
    ("--cors", "a.example"),
    ("--max-connections", "0"),
    ("--head-timeout", "soon"),
    ("--idle-timeout", "10"),
    ("--send-timeout", "-1s"),
    ("--drain-timeout", "10 seconds ago"),
    ("--access-log", "/no-such-dir/log"),
    ("--access-log-format", "apache"),
    ("--trace", "everything"),
    ("--trace-only", "nobody"),
    ("--trace-file", "/no-such-dir/run.json"),
    ("--step-script", "/no-such-dir/script"),
];

#[test]
fn a_mistake_in_an_option_or_its_variable_is_one_message() {
    let site = Site::new();
    each(options(), |(heading, name, value)| {
        let port: &[&str] = if name == "--port" { &[] } else { &["--port", "0"] };
        let refused = |arg: &str| run(site.path(), &[port, &[arg, "."]].concat(), &[]);
        if value.is_empty() {
            assert_mistake(&refused(&format!("{name}=nonsense")), &[name, "nonsense"]);
            return;
        }
        let (_, bad) = MISTAKES.iter().find(|(of, _)| of == name).expect("a mistake for each option");
        let told = if name == "--bind" || name == "--access-log" { bad } else { name.as_str() };
        assert_mistake(&refused(&format!("{name}={bad}")), &[told]);
        assert_mistake(&run(site.path(), &[port, &["."]].concat(), &[(&variable(name), bad)]), &[told]);
        assert!(heading != "Options", "{name}");
    });
}

#[test]
fn a_variable_says_yes_or_no_in_every_usual_way_and_nothing_else() {
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
    // What these do shows in no response: process.rs, freshness.rs.
    let others = ["--reuse-port", "--no-watch"];
    let all: BTreeSet<String> = options()
        .into_iter()
        .filter(|(heading, _, value)| value.is_empty() && heading != "Options" && heading != "Output")
        .map(|(_, name, _)| name)
        .collect();
    let known = switches.iter().map(|(name, _)| name).chain(&others).chain(&["--step"]);
    assert_eq!(all, known.map(|name| (*name).to_owned()).collect(), "a row for each");
    each(others, |name| {
        for value in ["yes", "0"] {
            let mut server = Started::with(site.path(), &["."], &[(&variable(name), value)]);
            assert_eq!(server.ask(&get("/hello.txt")).status, 200);
        }
        assert_mistake(&run(site.path(), &["-p", "0", "."], &[(&variable(name), "maybe")]), &[name]);
    });
    // Nobody sits at its standard input.
    assert_mistake(&run(site.path(), &["-p", "0", "."], &[("ONELOOP_STEP", "yes")]), &["--step"]);
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
            assert_mistake(&run(site.path(), &["-p", "0", "."], &[(&variable, garbage)]), &[name]);
        }
    });
}

#[test]
fn a_variable_does_what_its_option_does_and_the_option_is_stronger() {
    let site = Site::new();
    site.write("home.html", "another home\n");
    site.write("app.html", "the application\n");
    site.write("third.html", "third\n");
    let navigate = "GET /users/7 HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n";
    let (home, base, app) = (get("/"), get("/app/"), get("/beside/"));
    // What is asked, and what shows of it with the variable alone, and with the option as well.
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
fn a_variable_with_commas_is_a_list_and_an_option_replaces_it() {
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
fn the_lines_of_oneloop_header_are_headers() {
    let site = Site::new();
    let said = |args: &[&str], lines: &str| {
        let response =
            Started::with(site.path(), &[args, &["."]].concat(), &[("ONELOOP_HEADER", lines)]).ask(&get("/"));
        ["x-a", "x-b"].map(|name| response.header(name).map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(said(&[], "X-A: one, and two"), [some("one, and two"), None]);
    assert_eq!(said(&[], "X-A: 1, 2\n/ X-B: 3"), [some("1, 2"), some("3")]);
    assert_eq!(said(&[], "X-A: 1\r\nX-B: 2"), [some("1"), some("2")], "lines of another system");
    assert_eq!(said(&["--header", "X-B: 3"], "X-A: 1\nX-B: 2"), [None, some("3")]);
}

#[test]
fn oneloop_header_may_end_in_a_line_end_as_files_do() {
    let site = Site::new();
    let vars = [("ONELOOP_HEADER", "X-A: 1\nX-B: 2\n")];
    let response = Started::with(site.path(), &["."], &vars).ask(&get("/"));
    assert_eq!((response.header("x-a"), response.header("x-b")), (Some("1"), Some("2")));
}

#[test]
fn an_empty_variable_is_not_set_and_none_matters_to_a_command() {
    let site = Site::new();
    let empty: Vec<_> = names().iter().map(|name| variable(name)).collect();
    let vars: Vec<_> = empty.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(Started::with(site.path(), &["--port", "0", "."], &vars).ask(&get("/")).status, 200);
    for command in [&["completions", "bash"][..], &["man"]] {
        assert!(printed(command, &[("ONELOOP_PORT", "nonsense")]).contains("port"));
    }
}

#[test]
fn a_log_that_nobody_takes_does_not_keep_the_server_from_starting() {
    let site = Site::empty();
    let fifo = site.at("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .expect("make a FIFO");
    assert_mistake(&run(site.path(), &["--port", "0", "--access-log=fifo", "."], &[]), &["fifo"]);
}

#[test]
fn limits_and_logs_and_places_can_be_variables() {
    let site = Site::new();
    // Nothing but variables, and nothing to be read from the command line.
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
fn help_has_a_theme_for_each_option_and_fits_100_columns() {
    let themes = ["Options", "Listening", "Site", "Responses", "Limits", "Output", "Tracing"];
    let options = options();
    let mut headings: Vec<&str> = options.iter().map(|(heading, ..)| heading.as_str()).collect();
    headings.dedup();
    assert_eq!(headings, themes, "each theme is in one place");
    let without_theme: Vec<&str> = options
        .iter()
        .filter(|(heading, ..)| heading == "Options")
        .map(|(_, name, _)| name.as_str())
        .collect();
    assert_eq!(without_theme, ["--help", "--version"]);
    for (args, columns) in [("--help", None), ("-h", None), ("--help", Some("300")), ("-h", Some("300"))] {
        let help = printed(&[args], columns.map(|n| ("COLUMNS", n)).as_slice());
        assert!(options_in(&help).is_superset(&names()), "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{line:?} for {args} in {columns:?} columns");
        }
    }
}

#[test]
fn completions_are_of_every_option_and_bash_reads_its_own() {
    let fish = |text: &str| -> BTreeSet<String> {
        let names = text.split(" -l ").skip(1).filter_map(|rest| rest.split_whitespace().next());
        names.map(|name| format!("--{name}")).collect()
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = printed(&["completions", shell], &[]);
        let known = if shell == "fish" { fish(&text) } else { options_in(&text) };
        assert!(known.is_superset(&names()), "{shell}: {:?}", names().difference(&known));
        // Those without a shell here are left alone.
        let Ok(mut child) =
            Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()
        else {
            assert_ne!(shell, "bash", "this test needs it");
            continue;
        };
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("write");
        let output = child.wait_with_output().expect("its end");
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {}", lossy(&output.stderr));
    }
    let site = Site::new();
    assert_mistake(&run(site.path(), &["completions"], &[]), &["SHELL"]);
    assert_mistake(&run(site.path(), &["completions", "tcsh"], &[]), &["tcsh", "bash"]);
}

#[test]
fn the_man_page_is_of_every_option_and_theme() {
    let page = printed(&["man"], &[]);
    assert!(page.contains(".TH oneloop 1 "), "{page}");
    let plain = page.replace("\\-", "-").replace("\\fB", " ").replace("\\fR", " ").replace("\\fI", " ");
    // What stands in the synopsis alone is not explained.
    let explained = plain.split_once(".SH OPTIONS").expect("a section").1;
    assert!(options_in(explained).is_superset(&names()), "{page}");
    for (heading, ..) in options() {
        let heading = heading.to_ascii_uppercase();
        assert!(
            plain.contains(&format!(".SH {heading}\n")) || plain.contains(&format!(".SH \"{heading}\"\n")),
            "{heading}"
        );
    }
    assert!(plain.contains("ONELOOP_IDLE_TIMEOUT"));
    // No line of text begins with what roff takes for a request (groff_man(7)).
    let requests = [".ie", ".el", ".TH", ".SH", ".TP", ".br", ".RS", ".RE", ".IP"];
    for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
        assert!(requests.iter().any(|request| line.starts_with(request)), "{line:?}");
    }
}

#[test]
fn variables_do_no_harm_to_what_is_only_printed() {
    let vars = [("ONELOOP_LISTING", "1"), ("ONELOOP_HEADER", "X-A: b"), ("ONELOOP_DIR", "/no-such-dir")];
    for args in [&["man"][..], &["completions", "bash"], &["--help"], &["--version"]] {
        assert_eq!(printed(args, &vars), printed(args, &[]), "{args:?}");
    }
}

#[test]
fn its_version_is_that_of_the_package() {
    for flag in ["--version", "-V"] {
        assert_eq!(printed(&[flag], &[]), format!("oneloop {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_directory_that_is_called_like_a_command_is_served_as_dot_slash_name() {
    let site = Site::empty();
    for name in ["completions", "man", "help"] {
        site.write(format!("{name}/index.html"), name);
        let mut server = Started::with(site.path(), &[&format!("./{name}")], &[]);
        assert_eq!(server.ask(&get("/")).text(), name);
        // By its variable there is no such confusion.
        let mut server = Started::with(site.path(), &[], &[("ONELOOP_DIR", name)]);
        assert_eq!(server.ask(&get("/")).text(), name);
    }
}
