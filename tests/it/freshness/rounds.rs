//! A file that changes in every way, repeatedly, with requests in between.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{FileExt, symlink},
};

use super::*;

/// Creates a site with a page in nested folders, a symbolic link that gives it a second path, and a
/// hard link to it in `elsewhere`.
fn site_of_a_page(elsewhere: &Site) -> Site {
    let site = Site::empty();
    site.write("a/b/page.txt", "0");
    fs::hard_link(site.at("a/b/page.txt"), elsewhere.at("link")).expect("a link");
    symlink("b", site.at("a/c")).expect("a link");
    site
}

/// Changes the page to `i` in one of eight ways. `ask(client, path)` requests a path on one of two
/// connections.
fn change(site: &Site, elsewhere: &Site, i: u32, ask: &mut dyn FnMut(usize, &str) -> Answer) {
    let content = i.to_string();
    let page = site.at("a/b/page.txt");
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
            assert_eq!(ask(0, "/a/b/page.txt"), Err(404), "in round {i}");
            fs::write(&page, &content).expect("write");
        }
        4 => {
            let link = elsewhere.at(i.to_string());
            fs::hard_link(&page, &link).expect("a link");
            fs::write(&link, &content).expect("write through another path");
            fs::remove_file(&link).expect("remove it");
        }
        5 => {
            fs::rename(site.at("a/b"), site.at("a/old")).expect("move the directory");
            assert_eq!(ask(0, "/a/b/page.txt"), Err(404), "in round {i}");
            fs::create_dir(site.at("a/b")).expect("create another directory");
            fs::write(&page, &content).expect("write");
            fs::remove_dir_all(site.at("a/old")).expect("remove the old one");
        }
        6 => {
            let mut file = File::create(&page).expect("truncate");
            assert_eq!(ask(0, "/a/b/page.txt"), Ok(String::new()), "in round {i}");
            file.write_all(content.as_bytes()).expect("write");
        }
        _ => {
            fs::rename(site.at("a"), site.at("z")).expect("move an ancestor");
            assert_eq!(ask(1, "/a/b/page.txt"), Err(404), "in round {i}");
            fs::rename(site.at("z"), site.at("a")).expect("move it back");
            fs::write(&page, &content).expect("write");
        }
    }
}

/// Changes the page `rounds` times and asserts that both paths show each change on both
/// connections.
fn assert_sees_all(site: &Site, elsewhere: &Site, rounds: u32, mut ask: impl FnMut(usize, &str) -> Answer) {
    for i in 1..=rounds {
        change(site, elsewhere, i, &mut ask);
        let content = i.to_string();
        for client in [0, 1] {
            assert_eq!(ask(client, "/a/b/page.txt").as_ref(), Ok(&content), "in round {i}, {}", i % 8);
            assert_eq!(ask(client, "/a/c/page.txt").as_ref(), Ok(&content), "through the link, in round {i}");
        }
    }
}

#[test]
fn freshness_sees_thousands_of_changes() {
    each(MODES, |&inotify| {
        let elsewhere = Site::empty();
        let site = site_of_a_page(&elsewhere);
        let mut config = Rig::config(&site);
        config.inotify = inotify;
        let mut rig = Rig::at(SystemTime::now(), config);
        let mut peers = [rig.accepted(), rig.accepted()];
        assert_sees_all(&site, &elsewhere, 2000, |client, path| {
            rig.catch_up(); // files do not settle early
            answer(&rig.ask(&mut peers[client], get(path)))
        });
    });
}

#[test]
fn freshness_of_the_real_server() {
    each([&[][..], &["--no-watch"]], |args| {
        let elsewhere = Site::empty();
        let site = site_of_a_page(&elsewhere);
        let server = Server::with(&site, args);
        let mut clients = [server.connect(), server.connect()];
        assert_sees_all(&site, &elsewhere, 400, |client, path| {
            clients[client].send(get(path));
            answer(&clients[client].response())
        });
    });
}
