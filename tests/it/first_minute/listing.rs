//! A directory without an index file: listed on a terminal as long as only this machine can
//! connect, and otherwise a 404 that says to the operator how to list it.

use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::configuration::Started;

/// What a client gets for a directory that has no index file.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Seen {
    Listing,
    /// A 404 that says how to list the directory.
    Advice,
    /// The 404 for any missing file.
    Missing,
}

use Seen::{Advice, Listing, Missing};

fn seen(addr: SocketAddr) -> Seen {
    let mut client = Client::connect(addr);
    // A length, or the close of the connection, ends the body.
    client.send("GET /folder/ HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let response = client.head();
    let body = client.rest();
    let body = String::from_utf8_lossy(&body);
    match response.status {
        200 if body.contains("name.txt") => Listing,
        404 if body.contains("--listing") => Advice,
        404 if body.ends_with("there is nothing at /folder/\n") => Missing,
        status => panic!("{status}: {body}"),
    }
}

/// Returns a site with a directory that has no index file.
fn site() -> Site {
    let site = Site::new();
    site.write("folder/name.txt", "");
    site
}

/// Arguments, variables, and what is seen with them on a terminal and on a pipe.
type Row = (&'static [&'static str], &'static [(&'static str, &'static str)], Seen, Seen);

const ROWS: [Row; 18] = [
    (&[], &[], Listing, Advice),
    (&["--no-listing"], &[], Missing, Missing),
    (&["--listing"], &[], Listing, Listing),
    (&["--listing", "--no-listing"], &[], Missing, Missing),
    (&["--no-listing", "--listing"], &[], Listing, Listing),
    (&["-b", "0.0.0.0"], &[], Missing, Missing),
    (&["-b", "0.0.0.0", "--listing"], &[], Listing, Listing),
    (&["-b", "127.0.0.1", "-b", "::1"], &[], Listing, Advice),
    // Pages of any site could read the names.
    (&["--cors"], &[], Advice, Advice),
    (&["--allow-host", "*"], &[], Advice, Advice),
    (&["--cors=http://localhost:3000", "--allow-host", "dev.example"], &[], Listing, Advice),
    // The directory may be a page of the application, whose file is missing here.
    (&["--spa=app.html"], &[], Advice, Advice),
    (&[], &[("ONELOOP_LISTING", "yes")], Listing, Listing),
    (&[], &[("ONELOOP_LISTING", "no")], Missing, Missing),
    (&[], &[("ONELOOP_NO_LISTING", "yes")], Missing, Missing),
    (&[], &[("ONELOOP_NO_LISTING", "no")], Listing, Advice),
    (&["--no-listing"], &[("ONELOOP_LISTING", "1")], Missing, Missing),
    (&["--listing"], &[("ONELOOP_NO_LISTING", "1")], Listing, Listing),
];

#[test]
fn directory_is_listed_on_a_terminal_for_this_machine_only() {
    let site = site();
    each(ROWS, |(args, vars, terminal, pipe)| {
        let args = [&["--port", "0"], *args, &["."]].concat();
        let on_terminal = seen(on_terminal(site.path(), &args, vars).addr());
        let mut server = Started::with(site.path(), &args[2..], vars);
        let port = server.line().trim_end_matches('/').rsplit(':').next().map(str::parse);
        let on_pipe = seen((Ipv4Addr::LOCALHOST, port.expect("a port").expect("a number")).into());
        assert_eq!((on_terminal, on_pipe), (*terminal, *pipe));
    });
}

#[test]
fn advice_is_for_directories_that_a_client_may_know() {
    let site = site();
    site.write(".git/config", "");
    site.write("docs.html", "");
    let mut terminal = on_terminal(site.path(), &["--port", "0", "."], &[]);
    let terminal = terminal.addr();
    for (args, own_page) in [(&[][..], false), (&["--clean-urls"], false), (&[], true)] {
        if own_page {
            site.write("404.html", "nothing here\n");
        }
        let server = Server::with(&site, args);
        for path in ["/.git/", "/missing/", "/hello.txt/", "/missing"] {
            let text = server.get(path).text();
            assert!(!text.contains("--listing"), "{path}: {text}");
        }
        let text = server.get("/folder/").text();
        assert_eq!(text.contains("--listing"), !own_page, "{text}");
    }
    let mut client = Client::connect(terminal);
    client.send(get("/.git/"));
    assert_eq!(client.head().status, 404, "hidden files are not listed either");
}
