//! Nothing is stale: whatever becomes of a file, the next request sees it, whether the kernel tells of changes or each
//! file is asked about.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::{FileExt, PermissionsExt, symlink},
};

use crate::common::*;

/// With the kernel's word, and without.
const MODES: [&[&str]; 2] = [&[], &["--no-watch"]];

/// What a request for `path` gets: the content, or the status where that is no 200.
fn ask(client: &mut Client, path: &str) -> Result<String, u16> {
    client.send(get(path));
    let response = client.response();
    if response.status == 200 { Ok(response.text()) } else { Err(response.status) }
}

/// Waits until all files that were written count as at rest: their age decides, so that no event can be waited for.
fn let_settle() {
    std::thread::sleep(std::time::Duration::from_millis(150));
}

/// Asks until a file that is at rest is kept, and watched if it ever is.
fn let_keep(client: &mut Client, path: &str) {
    for _ in 0..4 {
        assert!(ask(client, path).is_ok(), "{path}");
    }
}

#[test]
fn thousands_of_changes_in_every_way_are_seen_by_the_next_request() {
    let elsewhere = Site::empty();
    each(MODES, |args| {
        let site = Site::empty();
        site.write("a/b/page.txt", "0");
        fs::hard_link(site.at("a/b/page.txt"), elsewhere.at(format!("link{}", args.len()))).expect("a link");
        symlink("b", site.at("a/c")).expect("a link");
        let server = Server::with(&site, args);
        let (mut one, mut two) = (server.connect(), server.connect());
        let page = site.at("a/b/page.txt");
        for i in 1..=2000 {
            let content = i.to_string();
            match i % 8 {
                0 => fs::write(&page, &content).expect("write"),
                1 => {
                    fs::write(site.at("new"), &content).expect("write");
                    fs::rename(site.at("new"), &page).expect("replace");
                }
                2 => File::options()
                    .write(true)
                    .open(&page)
                    .and_then(|f| f.write_all_at(content.as_bytes(), 0))
                    .expect("write"),
                3 => {
                    fs::remove_file(&page).expect("remove");
                    assert_eq!(ask(&mut one, "/a/b/page.txt"), Err(404), "in round {i}");
                    fs::write(&page, &content).expect("write");
                }
                4 => {
                    let link = elsewhere.at(format!("{i}-{}", args.len()));
                    fs::hard_link(&page, &link).expect("a link");
                    fs::write(&link, &content).expect("write by another path");
                    fs::remove_file(&link).expect("remove it");
                }
                5 => {
                    fs::rename(site.at("a/b"), site.at("a/old")).expect("move the folder");
                    assert_eq!(ask(&mut one, "/a/b/page.txt"), Err(404), "in round {i}");
                    fs::create_dir(site.at("a/b")).expect("another folder");
                    fs::write(&page, &content).expect("write");
                    fs::remove_dir_all(site.at("a/old")).expect("remove the old one");
                }
                6 => {
                    let mut file = File::create(&page).expect("truncate");
                    assert_eq!(ask(&mut one, "/a/b/page.txt"), Ok(String::new()), "in round {i}");
                    file.write_all(content.as_bytes()).expect("write");
                }
                _ => {
                    fs::rename(site.at("a"), site.at("z")).expect("move a folder above");
                    assert_eq!(ask(&mut two, "/a/b/page.txt"), Err(404), "in round {i}");
                    fs::rename(site.at("z"), site.at("a")).expect("and back");
                    fs::write(&page, &content).expect("write");
                }
            }
            for client in [&mut one, &mut two] {
                assert_eq!(ask(client, "/a/b/page.txt").as_ref(), Ok(&content), "in round {i}, {}", i % 8);
                assert_eq!(ask(client, "/a/c/page.txt").as_ref(), Ok(&content), "by the link, in round {i}");
            }
        }
    });
}

#[test]
fn what_becomes_of_a_file_that_was_at_rest_is_seen_by_the_next_request() {
    type Change = (&'static str, fn(&Site), Result<&'static str, u16>);
    let changes: [Change; 12] = [
        ("written", |site| site.write("d/e/f", "new"), Ok("new")),
        (
            "replaced",
            |site| {
                site.write("g", "new");
                fs::rename(site.at("g"), site.at("d/e/f")).expect("replace");
            },
            Ok("new"),
        ),
        ("removed", |site| fs::remove_file(site.at("d/e/f")).expect("remove"), Err(404)),
        ("moved away", |site| fs::rename(site.at("d/e/f"), site.at("g")).expect("move"), Err(404)),
        ("truncated", |site| drop(File::create(site.at("d/e/f")).expect("truncate")), Ok("")),
        (
            "as long as before, at the same time",
            |site| {
                let times = fs::metadata(site.at("d/e/f")).and_then(|m| m.modified()).expect("its time");
                site.write("d/e/f", "OLD");
                File::options()
                    .write(true)
                    .open(site.at("d/e/f"))
                    .and_then(|f| f.set_modified(times))
                    .expect("set it");
            },
            Ok("OLD"),
        ),
        ("its folder moved away", |site| fs::rename(site.at("d/e"), site.at("g")).expect("move"), Err(404)),
        ("a folder above moved away", |site| fs::rename(site.at("d"), site.at("g")).expect("move"), Err(404)),
        (
            "a folder above replaced",
            |site| {
                site.write("g/e/f", "new");
                fs::rename(site.at("d"), site.at("h")).expect("move");
                fs::rename(site.at("g"), site.at("d")).expect("move");
            },
            Ok("new"),
        ),
        (
            "its folder a link now",
            |site| {
                site.write("g/f", "new");
                fs::rename(site.at("d/e"), site.at("h")).expect("move");
                symlink("../g", site.at("d/e")).expect("a link");
            },
            Ok("new"),
        ),
        (
            "a directory now",
            |site| {
                fs::remove_file(site.at("d/e/f")).expect("remove");
                fs::create_dir(site.at("d/e/f")).expect("a directory");
            },
            Err(301),
        ),
        (
            "touched",
            |site| {
                fs::set_permissions(site.at("d/e/f"), Permissions::from_mode(0o600)).expect("chmod");
            },
            Ok("old"),
        ),
    ];
    let rows = MODES.into_iter().flat_map(|args| [(args, false), (args, true)]);
    each(rows, |(args, was_opened_again)| {
        let at_rest = changes.map(|change| {
            let site = Site::empty();
            site.write("d/e/f", "old");
            let server = Server::with(&site, args);
            (change, site, server)
        });
        let_settle();
        for (_, _, server) in &at_rest {
            let_keep(&mut server.connect(), "/d/e/f");
        }
        if *was_opened_again {
            std::thread::sleep(std::time::Duration::from_millis(1100)); // longer than a path is trusted
            for (_, _, server) in &at_rest {
                assert_eq!(ask(&mut server.connect(), "/d/e/f").as_deref(), Ok("old"));
            }
        }
        for ((name, change, expected), site, server) in &at_rest {
            change(site);
            assert_eq!(ask(&mut server.connect(), "/d/e/f"), expected.map(str::to_owned), "{name}");
        }
    });
}

#[test]
fn what_comes_to_be_where_nothing_was_is_seen_by_the_next_request() {
    type Change = (&'static str, fn(&Site));
    let changes: [Change; 7] = [
        ("written", |site| site.write("d/e/f", "new")),
        ("moved there", |site| fs::rename(site.at("d/e/g"), site.at("d/e/f")).expect("move")),
        ("linked there", |site| fs::hard_link(site.at("d/e/g"), site.at("d/e/f")).expect("a link")),
        ("a link", |site| symlink("g", site.at("d/e/f")).expect("a link")),
        ("its folder replaced", |site| {
            fs::rename(site.at("d"), site.at("old")).expect("move");
            fs::rename(site.at("new"), site.at("d")).expect("move");
        }),
        ("its folder a link", |site| {
            fs::rename(site.at("d/e"), site.at("old")).expect("move");
            symlink("../new/e", site.at("d/e")).expect("a link");
        }),
        ("written by a link that led nowhere", |site| {
            fs::rename(site.at("d/e/g"), site.at("nowhere")).expect("move");
        }),
    ];
    each(MODES, |args| {
        each(changes.map(|(name, _)| name), |name| {
            let (_, change) = changes.iter().find(|(n, _)| n == name).expect("itself");
            let site = Site::empty();
            for file in ["d/e/g", "new/e/f"] {
                site.write(file, "new");
            }
            if name.contains("nowhere") {
                symlink("../../nowhere", site.at("d/e/f")).expect("a link");
            }
            let server = Server::with(&site, args);
            let mut client = server.connect();
            for _ in 0..4 {
                assert_eq!(ask(&mut client, "/d/e/f"), Err(404));
                assert_eq!(ask(&mut client, "/x/y/f"), Err(404));
            }
            change(&site);
            assert_eq!(ask(&mut client, "/d/e/f").as_deref(), Ok("new"), "{name}");
            site.write("x/y/f", "deep");
            assert_eq!(ask(&mut client, "/x/y/f").as_deref(), Ok("deep"), "{name}");
        });
    });
}

#[test]
fn a_link_that_leads_elsewhere_is_seen_although_nothing_tells_of_it() {
    each(MODES, |args| {
        let site = Site::empty();
        site.write("v1/page", "one");
        site.write("v2/page", "two");
        symlink("v1", site.at("current")).expect("a link");
        let server = Server::with(&site, args);
        let mut client = server.connect();
        let_settle();
        let_keep(&mut client, "/current/page");
        for (version, content) in [("v2", "two"), ("v1", "one"), ("v2", "two")] {
            symlink(version, site.at("next")).expect("a link");
            fs::rename(site.at("next"), site.at("current")).expect("switch");
            assert_eq!(ask(&mut client, "/current/page").as_deref(), Ok(content));
        }
    });
}

#[test]
fn more_changes_than_the_kernel_keeps_are_seen_all_the_same() {
    let site = Site::empty();
    for i in 0..20 {
        site.write(format!("{i}"), "old");
    }
    let server = Server::start(&site);
    let mut client = server.connect();
    let_settle();
    for i in 0..20 {
        let_keep(&mut client, &format!("/{i}"));
    }
    // Its queue holds some ten thousand events, and the same event twice in a row counts once.
    server.while_stopped(|| {
        for round in 0..2000 {
            for i in 0..20 {
                File::options()
                    .append(true)
                    .open(site.at(i.to_string()))
                    .and_then(|mut f| f.write_all(b"."))
                    .expect("write");
            }
            if round == 1999 {
                site.write("0", "new");
            }
        }
    });
    assert_eq!(ask(&mut client, "/0").as_deref(), Ok("new"));
    assert_eq!(ask(&mut client, "/7").map(|text| text.len()), Ok(2003));
    let_settle();
    let_keep(&mut client, "/7");
    site.write("7", "newer");
    assert_eq!(ask(&mut client, "/7").as_deref(), Ok("newer"), "it is told of changes again");
}
