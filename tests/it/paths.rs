//! The way from a request target to a file, which never leaves the root: traversal in every
//! disguise, links, dotfiles, unusual names, and special files.

use std::{
    fs,
    os::unix::fs::{self as unix, PermissionsExt},
};

use crate::common::*;

/// The content of files that no client may read.
const SECRET: &str = "SECRET-7f3a\n";

/// Creates a site and, beside it, a directory with a secret file and a secret page.
fn site_and_outside() -> (Site, Site, String) {
    let (site, outside) = (Site::new(), Site::empty());
    outside.write("secret.txt", SECRET);
    outside.write("index.html", SECRET);
    let name = outside.path().file_name().expect("a name").to_str().expect("ASCII").to_owned();
    assert_eq!(site.path().parent(), outside.path().parent(), "they have the same parent");
    (site, outside, name)
}

fn assert_hidden(server: &Server, path: &str) {
    let response = server.get(path);
    assert_eq!(response.status, 404, "{path}");
    assert!(!response.text().contains(SECRET.trim()), "{path} reveals {}", response.text());
}

/// Returns `name` with every byte percent-encoded.
fn encoded(name: impl AsRef<[u8]>) -> String {
    name.as_ref().iter().map(|b| format!("%{b:02X}")).collect()
}

/// Spellings of a parent directory, and strings that a careless decoder takes for one.
const PARENTS: [&str; 36] = [
    "..",
    "%2e%2e",
    "%2E.",
    ".%2e",
    "%2e%2E",
    "..%2f..",
    "..%2F",
    "%2e%2e%2f",
    "..%5c",
    "..%5C..",
    "..\\",
    "..\\..",
    "%252e%252e",
    "%25%32%65%25%32%65",
    "..%252f",
    "%c0%ae%c0%ae",
    "%c0%2e%c0%2e",
    "%e0%80%ae%e0%80%ae",
    "%f0%80%80%ae%f0%80%80%ae",
    "..%c0%af",
    "..%e0%80%af",
    "..%ef%bc%8f",
    "%ef%bc%8e%ef%bc%8e",
    "..;",
    "..;a=b",
    "..%3b",
    "..%00",
    "%00..",
    "..%20",
    "..%09",
    "...",
    "....",
    "..%0a",
    "..%0d%0a",
    ".%00.",
    "..%2500",
];

#[test]
fn path_never_leads_out_by_a_parent() {
    let (site, _outside, sibling) = site_and_outside();
    let server = Server::start(&site);
    let prefixes = ["", "/", "//", "/.", "/./", "/docs/..", "/docs/../..", "/missing/.."];
    let tails =
        [format!("{sibling}/secret.txt"), format!("%2f{sibling}%2fsecret.txt"), format!("{sibling}/")];
    for prefix in prefixes {
        each(PARENTS, |up| {
            tails.iter().for_each(|tail| assert_hidden(&server, &format!("{prefix}/{up}/{tail}")))
        });
    }
    let many = "/..".repeat(20);
    let root = site.path().display();
    each(
        [
            format!("{many}/etc/passwd"),
            format!("{many}/tmp/{sibling}/secret.txt"),
            format!("http://localhost/../{sibling}/secret.txt"),
            format!("http://localhost/%2e%2e/{sibling}/secret.txt"),
            format!("{root}/../{sibling}/secret.txt"),
            format!("/{root}/hello.txt"),
            format!("//tmp/{sibling}/secret.txt"),
            format!("/%2ftmp%2f{sibling}%2fsecret.txt"),
            format!("/.//..//{sibling}//secret.txt"),
            "/..".to_owned(),
            "/../".to_owned(),
            "/docs/../..".to_owned(),
            "/docs/../../".to_owned(),
            "/docs/../../hello.txt".to_owned(),
            "/docs/%2e%2e/hello.txt".to_owned(),
            "/docs/%2e%2e/../hello.txt".to_owned(),
            "/docs%2findex.html".to_owned(),
            "/hello.txt%00".to_owned(),
            "/hello.txt%00.html".to_owned(),
            "/%00".to_owned(),
        ],
        |path| assert_hidden(&server, path),
    );
}

/// Most clients remove `..` before they send a path. Python's do not.
#[test]
fn path_with_a_parent_inside_the_root_is_resolved() {
    let site = Site::new();
    let server = Server::start(&site);
    let rows = [
        ("/docs/..", "home\n"),
        ("/docs/../", "home\n"),
        ("/docs/../hello.txt", "hello\n"),
        ("/missing/../hello.txt", "hello\n"),
        ("/hello.txt/../hello.txt", "hello\n"),
        ("/docs/./..//docs/index.html", "docs\n"),
        ("/a/b/../../docs/", "docs\n"),
        ("http://localhost/docs/../hello.txt", "hello\n"),
    ];
    each(rows, |(path, body)| assert_eq!(server.get(path).text(), *body));
    assert_eq!(server.get("/missing/../docs").header("location"), Some("/docs/"));
}

#[test]
fn path_skips_empty_segments_and_dots() {
    let site = Site::new();
    let server = Server::start(&site);
    let rows = [
        ("//", "home\n"),
        ("/./", "home\n"),
        ("/.", "home\n"),
        ("//hello.txt", "hello\n"),
        ("///hello.txt", "hello\n"),
        ("/./hello.txt", "hello\n"),
        ("/././/./hello.txt", "hello\n"),
        ("/docs//index.html", "docs\n"),
        ("/docs/./index.html", "docs\n"),
        ("/docs//", "docs\n"),
        ("//docs/.//", "docs\n"),
    ];
    each(rows, |(path, body)| assert_eq!(server.get(path).text(), *body));
}

#[test]
fn path_follows_links_within_the_root_only() {
    let (site, outside, sibling) = site_and_outside();
    let own = site.path().file_name().expect("a name").to_str().expect("ASCII");
    let links = [
        ("link.txt", "hello.txt".to_owned(), Some("hello\n")),
        ("docs/up.txt", "../hello.txt".to_owned(), Some("hello\n")),
        ("chain1", "chain2".to_owned(), Some("hello\n")),
        ("chain2", "docs/chain3".to_owned(), Some("hello\n")),
        ("docs/chain3", "../link.txt".to_owned(), Some("hello\n")),
        ("linked", "docs".to_owned(), Some("docs\n")),
        ("out.txt", format!("../{sibling}/secret.txt"), None),
        ("out-absolute.txt", outside.at("secret.txt").display().to_string(), None),
        ("out-chain.txt", "out.txt".to_owned(), None),
        ("docs/out.txt", format!("../../{sibling}/secret.txt"), None),
        ("outdir", format!("../{sibling}"), None),
        ("outdir-absolute", outside.path().display().to_string(), None),
        ("there-and-back", format!("../{own}/hello.txt"), None),
        ("passwd", "/etc/passwd".to_owned(), None),
        ("environ", "/proc/self/environ".to_owned(), None),
        ("own-root", "/proc/self/root/etc/passwd".to_owned(), None),
        ("null", "/dev/null".to_owned(), None),
        ("dangling", "missing.txt".to_owned(), None),
        ("self", "self".to_owned(), None),
        ("loop1", "loop2".to_owned(), None),
        ("loop2", "loop1".to_owned(), None),
        ("parent", "..".to_owned(), None),
    ];
    for (name, target, _) in &links {
        unix::symlink(target, site.at(name)).expect("make a link");
    }
    let server = Server::start(&site);
    each(&links, |(name, _, body)| match body {
        Some(body) if *name == "linked" => {
            assert_eq!(server.get("/linked").leads_to("/linked").as_deref(), Some("/linked/"));
            assert_eq!(server.get("/linked/").text(), **body);
        }
        Some(body) => assert_eq!(server.get(&format!("/{name}")).text(), **body),
        None => {
            for suffix in ["", "/", "/secret.txt", "/index.html", "/hello.txt"] {
                assert_hidden(&server, &format!("/{name}{suffix}"));
            }
        }
    });
}

#[test]
fn path_of_a_dotfile_is_404_except_well_known() {
    let site = Site::new();
    let hidden = [
        ".env",
        ".git/config",
        ".htaccess",
        "docs/.secret",
        "docs/.git/HEAD",
        "...",
        ".well-known/.hidden",
        ".well-knownx",
        ".well-known/a/.b/c",
        ".well-know",
    ];
    hidden.iter().for_each(|name| site.write(name, SECRET));
    site.write(".well-known/x", "known\n");
    site.write(".well-known/acme-challenge/token", "known\n");
    let server = Server::start(&site);
    each(hidden, |name| {
        assert_hidden(&server, &format!("/{name}"));
        assert_hidden(&server, &format!("/{}", name.replace('.', "%2e")));
        assert_hidden(&server, &format!("/./{name}"));
    });
    each(["/.git", "/.git/", "/.env/", "/docs/.git"], |path| assert_hidden(&server, path));
    each(
        ["/.well-known/x", "/%2ewell-known/x", "//.well-known//x", "/.well-known/acme-challenge/token"],
        |path| {
            assert_eq!(server.get(path).text(), "known\n");
        },
    );
}

#[test]
fn path_of_a_special_file_is_404_at_once() {
    let site = Site::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, site.at("fifo"), rustix::fs::Mode::RWXU).expect("make a FIFO");
    let _socket = std::os::unix::net::UnixListener::bind(site.at("socket")).expect("make a socket");
    unix::symlink("fifo", site.at("link-to-fifo")).expect("make a link");
    rustix::fs::mkfifoat(rustix::fs::CWD, site.at("docs/index.htm"), rustix::fs::Mode::RWXU)
        .expect("make a FIFO");
    let server = Server::with(&site, &["--index", "index.htm"]);
    for _ in 0..3 {
        // Opening a FIFO that has no writer blocks, so a careless server would never answer on this
        // connection.
        each(["/fifo", "/fifo/", "/socket", "/socket/", "/link-to-fifo", "/docs/"], |path| {
            assert_hidden(&server, path);
            assert_eq!(server.get("/hello.txt").text(), "hello\n");
        });
    }
    // The server does not read what another process writes to the FIFO either.
    let _writer = fs::File::options().read(true).write(true).open(site.at("fifo")).map(|mut fifo| {
        std::io::Write::write_all(&mut fifo, SECRET.as_bytes()).expect("write");
        fifo
    });
    assert_hidden(&server, "/fifo");
    assert_idle(&server, std::time::Duration::from_millis(300));
}

#[test]
fn path_can_name_every_file() {
    let site = Site::empty();
    let server = Server::start(&site);
    let longest = "n".repeat(255);
    let names: Vec<&[u8]> = vec![
        b"a b",
        b" a",
        b"a ",
        "\u{e4}\u{1F600}".as_bytes(),
        b"line\nbreak",
        b"\r\n",
        b"100%",
        b"%41",
        b"a%20b",
        b"%2e%2e",
        b"what?",
        b"a?b=c",
        b"#1",
        b"a#b",
        b"a+b",
        b"a&b;c=d",
        b"\"quoted\"",
        b"'",
        b"<b>",
        b"back\\slash",
        b"\x01\x1B[31m",
        b"\xFF\xFE",
        b"\xC0\xAE\xC0\xAE",
        b"a:b",
        b"~",
        b"-",
        b"*",
        b"[x]",
        b"{x}|^`",
        b"x.",
        b"x..",
        longest.as_bytes(),
    ];
    each(names.iter().map(|name| Raw(name)), |name| {
        site.write(name.0, "here\n");
        assert_eq!(server.get(&format!("/{}", encoded(name.0))).text(), "here\n");
        site.write([b"folder/", name.0, b"/file"].concat(), "there\n");
        assert_eq!(server.get(&format!("/folder/{}/file", encoded(name.0))).text(), "there\n");
    });
}

/// The query is cut off, a plus sign is not decoded to a space, and percent-decoding happens once.
#[test]
fn path_is_decoded_once_without_its_query() {
    let site = Site::empty();
    ["a b", "100%", "%41", "a%20b", "what?", "a+b"].iter().for_each(|name| site.write(name, "here\n"));
    let server = Server::start(&site);
    each(
        [
            ("/a%20b?c", 200),
            ("/a+b", 200),
            ("/a%2Bb", 200),
            ("/what%3F?", 200),
            ("/what?", 404),
            ("/100%25", 200),
        ],
        |row| {
            assert_eq!(server.get(row.0).status, row.1);
        },
    );
    each([("/%2541", 200), ("/a%2520b", 200), ("/A", 404), ("/%252541", 404)], |row| {
        assert_eq!(server.get(row.0).status, row.1);
    });
}

#[test]
fn path_that_cannot_exist_is_404() {
    let site = Site::new();
    let server = Server::start(&site);
    each(
        [
            "n".repeat(256),
            "n".repeat(5000),
            encoded("n".repeat(256)),
            format!("docs/{}", "n".repeat(256)),
            format!("{}/x", "n".repeat(256)),
            format!("docs/{}/index.html", "n".repeat(256)),
            "d/".repeat(3000),
            "d/".repeat(2500) + "x",
            "hello.txt/x".to_owned(),
            "hello.txt/".to_owned(),
            "HELLO.TXT".to_owned(),
        ],
        |path| assert_hidden(&server, &format!("/{path}")),
    );
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
}

#[test]
fn path_of_an_unreadable_file_is_refused() {
    let site = Site::new();
    site.write("private.txt", SECRET);
    site.write("closed/file.txt", SECRET);
    let set_mode = |name: &str, mode| {
        fs::set_permissions(site.at(name), PermissionsExt::from_mode(mode)).expect("set the mode");
    };
    set_mode("private.txt", 0o000);
    set_mode("closed", 0o000);
    let server = Server::unprivileged(&site, &[]);
    let paths = ["/private.txt", "/closed/file.txt", "/closed/"];
    let responses = server.map(|server| paths.map(|path| (path, server.get(path))));
    // Lets the temporary directory be removed.
    set_mode("closed", 0o700);
    for (path, response) in responses.into_iter().flatten() {
        assert!([403, 404].contains(&response.status), "{path}: {response:?}");
        assert_our_page(&response, false);
    }
}
