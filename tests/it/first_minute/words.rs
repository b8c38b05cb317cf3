//! Command lines as users of other servers write them.

use super::*;
use crate::configuration::{Started, assert_usage_error, oneloop, printed, run};

fn site() -> Site {
    let site = Site::new();
    site.write("app.html", "app\n");
    site.write("dist/index.html", "dist\n");
    site.write("dist/app.html", "dist app\n");
    site
}

#[test]
fn value_after_a_space_is_accepted_beside_a_directory() {
    let site = site();
    let ask = |args: &[&str], request: &str| Started::with(site.path(), args, &[]).ask(request);
    let origin = "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.example\r\n\r\n";
    let allowed = |args: &[&str]| {
        ask(args, origin).header("access-control-allow-origin").unwrap_or_default().to_owned()
    };
    assert_eq!(allowed(&["--cors", "*", "."]), "*");
    assert_eq!(allowed(&["--cors", "http://a.example", "dist"]), "http://a.example");
    assert_eq!(allowed(&["--cors", "dist"]), "*");
    assert_eq!(ask(&["--cors", "dist"], &get("/")).text(), "dist\n");
    let page =
        |args: &[&str]| ask(args, "GET /users/7 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n").text();
    assert_eq!(page(&["--spa", "app.html", "."]), "app\n");
    assert_eq!(page(&["--spa", "app.html", "--directory", "dist"]), "dist app\n");
    assert_eq!(page(&["--spa", "dist"]), "dist\n");
    for args in [&["--access-log", "access.log", "."][..], &["--access-log", "access.log", "--root=."]] {
        let _ = std::fs::remove_file(site.at("access.log"));
        let mut server = Started::with(site.path(), args, &[]);
        assert_eq!(server.ask(&get("/hello.txt")).status, 200);
        eventually("a line in the log", || {
            std::fs::read_to_string(site.at("access.log")).is_ok_and(|log| log.contains("/hello.txt"))
        });
    }
    let mut server = oneloop(site.path(), &["--trace", "bytes", ".", "--port", "0"], &[]);
    let mut child = server.spawn().expect("start oneloop");
    let mut trace = String::new();
    let stderr = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut lines = std::io::BufRead::lines(stderr);
    while !trace.contains("loop") {
        trace += &lines.next().expect("a line").expect("text");
    }
    child.kill().and_then(|()| child.wait()).expect("kill it");
}

#[test]
fn command_line_that_can_mean_two_things_is_a_mistake() {
    let site = site();
    for (args, parts) in [
        (&["--spa", "app.html"][..], &["--spa=app.html", "app.html --spa"][..]),
        (&["--access-log", "access.log"], &["--access-log=access.log"]),
        (&[".", "dist"], &["'.' and 'dist'"]),
        (&["--directory", "dist", "."], &["'.'", "--directory"]),
        (&["--cors", "docs", "."], &["docs", "--cors"]),
        (&["--trace", "docs", "."], &["docs", "--trace"]),
    ] {
        assert_usage_error(&run(site.path(), &[&["--port=0"], args].concat(), &[]), parts);
    }
    assert!(!site.at("access.log").exists(), "a mistake writes no file");
}

#[test]
fn number_is_the_port_unless_a_file_has_this_name() {
    let site = site();
    let host = format!("127.88.{}.{}", std::process::id() >> 8 & 0xff, std::process::id() & 0xff);
    for args in [&["3000", "dist"][..], &["dist", "3000"], &["--directory", "dist", "3000"]] {
        let mut terminal = on_terminal(site.path(), &[&["-b", &host], args].concat(), &[]);
        terminal.until(&format!("http://{host}:3000/"));
        terminal.until("serving 'dist'; 3000 is the port");
    }
    site.write("3000/index.html", "a directory\n");
    assert_eq!(Started::with(site.path(), &["3000"], &[]).ask(&get("/")).text(), "a directory\n");
    for number in ["4000", "65536"] {
        assert_usage_error(&run(site.path(), &["--port=0", number], &[]), &[number]);
    }
    let two = run(site.path(), &["-b", "127.0.0.1:1", "4000"], &[]);
    assert_usage_error(&two, &["127.0.0.1:1", "4000"]);
}

#[test]
fn help_is_a_command() {
    let site = site();
    site.write("help/index.html", "a directory\n");
    assert_eq!(printed(&["help"], &[]), printed(&["--help"], &[]));
    assert_eq!(printed(&["help", "lesson"], &[]), printed(&["lesson", "--help"], &[]));
    assert_eq!(printed(&["help", "man"], &[("ONELOOP_PORT", "nonsense")]), printed(&["man", "-h"], &[]));
    assert_eq!(Started::with(site.path(), &["./help"], &[]).ask(&get("/")).text(), "a directory\n");
}
