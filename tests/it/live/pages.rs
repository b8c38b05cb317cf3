//! What people see: pages in Chromium while files change.

use std::fs;

use super::{browser::Browser, events};
use crate::common::*;

/// A page without `<head>` and `<body>`, and with tags that are never closed.
const PAGE: &str = "<link rel=stylesheet href=style.css><p id=text>one<p><img id=image src=dot.svg>";

fn site() -> Site {
    let site = Site::empty();
    site.write("index.html", PAGE);
    site.write("style.css", "p { color: rgb(1, 0, 0) }");
    site.write("dot.svg", svg(10));
    site.write("used.json", "1");
    site
}

fn svg(width: u32) -> String {
    format!("<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='10'/>")
}

/// An expression: whether the page shows `text`.
fn shows(text: &str) -> String {
    format!("document.querySelector('#text')?.textContent === '{text}'")
}

fn has_color(red: u32) -> String {
    format!("getComputedStyle(document.querySelector('#text')).color === 'rgb({red}, 0, 0)'")
}

/// A mark that a reload removes.
const MARK: &str = "window.mark = true";
const IS_SAME_PAGE: &str = "window.mark === true";
const IS_RELOADED: &str = "window.mark !== true && document.readyState === 'complete'";

#[test]
fn page_follows_its_files() {
    let site = site();
    let server = Server::with(&site, &["--live"]);
    let Some(mut browser) = Browser::start() else { return };
    let url = format!("http://{}/", server.addr());
    let tab = browser.open(&url);
    browser.wait(&tab, &shows("one"));
    browser.wait(&tab, &has_color(1));
    // The page listens as soon as another stream has been greeted.
    events::Events::open(&server, "").next();

    // A stylesheet and an image are replaced in the same page, also when a rename saves them.
    browser.value(&tab, MARK);
    site.write("style.css", "p { color: rgb(2, 0, 0) }");
    browser.wait(&tab, &has_color(2));
    site.write("style.css.tmp", "p { color: rgb(3, 0, 0) }");
    fs::rename(site.at("style.css.tmp"), site.at("style.css")).expect("rename");
    browser.wait(&tab, &has_color(3));
    browser.wait(&tab, "document.querySelectorAll('link').length === 1");
    site.write("dot.svg", svg(20));
    browser.wait(&tab, "document.querySelector('#image').naturalWidth === 20");
    browser.wait(&tab, IS_SAME_PAGE);

    // As vim saves: it tests the directory, moves the file away, writes it and removes the backup.
    site.write("4913", "");
    fs::remove_file(site.at("4913")).expect("remove");
    fs::rename(site.at("style.css"), site.at("style.css~")).expect("rename");
    site.write("style.css", "p { color: rgb(4, 0, 0) }");
    fs::remove_file(site.at("style.css~")).expect("remove");
    browser.wait(&tab, &has_color(4));
    browser.wait(&tab, IS_SAME_PAGE);

    // Everything else reloads the page. A burst does so once, or a few times on a slow machine.
    browser.value(&tab, "sessionStorage.loads = 0");
    browser.run_first(&tab, "sessionStorage.loads = Number(sessionStorage.loads) + 1");
    for number in 0..30 {
        site.write("used.json", number.to_string());
        site.write("index.html", PAGE.replace("one", &number.to_string()));
        site.write("style.css", "p { color: rgb(5, 0, 0) }");
    }
    browser.wait(&tab, &shows("29"));
    browser.wait(&tab, &has_color(5));
    let loads = browser.value(&tab, "sessionStorage.loads");
    assert!(["1", "2", "3"].iter().any(|few| loads == *few), "{loads} loads");

    // A page that is deleted comes back with its file.
    fs::remove_file(site.at("index.html")).expect("remove");
    browser.wait(&tab, "document.title.startsWith('404')");
    site.write("new.html", PAGE.replace("one", "again"));
    fs::rename(site.at("new.html"), site.at("index.html")).expect("rename");
    browser.wait(&tab, &shows("again"));
}

#[test]
fn page_of_a_directory_that_is_built_again_follows_the_new_one() {
    let site = site();
    let dist = site.at("dist");
    site.write("dist/index.html", PAGE);
    let server = Server::on(&dist, &["--live"]);
    let Some(mut browser) = Browser::start() else { return };
    let tab = browser.open(&format!("http://{}/", server.addr()));
    browser.wait(&tab, &shows("one"));
    events::Events::open(&server, "").next();
    fs::remove_dir_all(&dist).expect("remove");
    site.write("dist/index.html", PAGE.replace("one", "rebuilt"));
    browser.wait(&tab, &shows("rebuilt"));
    site.write("dist/index.html", PAGE.replace("one", "edited"));
    browser.wait(&tab, &shows("edited"));
}

#[test]
fn page_of_a_mount_follows_its_files() {
    let (home, site) = (Site::new(), site());
    let option = format!("--mount=/docs={}", site.path().display());
    let server = Server::with(&home, &["--live", &option]);
    let Some(mut browser) = Browser::start() else { return };
    let tab = browser.open(&format!("http://{}/docs/", server.addr()));
    browser.wait(&tab, &shows("one"));
    events::Events::open(&server, "").next();
    browser.value(&tab, MARK);
    site.write("style.css", "p { color: rgb(2, 0, 0) }");
    browser.wait(&tab, &has_color(2));
    browser.wait(&tab, IS_SAME_PAGE);
    site.write("index.html", PAGE.replace("one", "edited"));
    browser.wait(&tab, &shows("edited"));
}

#[test]
fn six_tabs_share_one_stream_and_survive_a_restart() {
    let site = site();
    let mut server = Server::with(&site, &["--live"]);
    let Some(mut browser) = Browser::start() else { return };
    let port = server.addr().port().to_string();
    let url = format!("http://{}/", server.addr());
    let tabs: Vec<_> = (0..7).map(|_| browser.open(&url)).collect();
    for tab in &tabs {
        browser.wait(tab, &shows("one"));
    }
    // Behind six streams, this request would wait forever.
    browser.wait(&tabs[6], "fetch('used.json').then((response) => response.ok)");
    site.write("index.html", PAGE.replace("one", "two"));
    for tab in &tabs {
        browser.wait(tab, &shows("two"));
    }
    assert!(server.sockets() < 1 + 2 + 7, "{} sockets", server.sockets());

    for tab in &tabs {
        browser.value(tab, MARK);
    }
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.exit().code(), Some(0));
    let _server = Server::at(&site, &port, &["--live"]);
    for tab in &tabs {
        browser.wait(tab, IS_RELOADED);
    }
}

#[test]
fn page_without_shared_workers_has_a_stream_of_its_own() {
    let site = site();
    // The page forbids inline scripts.
    let server = Server::with(&site, &["--live", "--header", "Content-Security-Policy: default-src 'self'"]);
    let Some(mut browser) = Browser::start() else { return };
    let tab = browser.open("about:blank");
    browser.run_first(&tab, "delete window.SharedWorker");
    browser.go(&tab, &format!("http://{}/", server.addr()));
    browser.wait(&tab, &shows("one"));
    browser.wait(&tab, "typeof SharedWorker === 'undefined'");
    site.write("index.html", PAGE.replace("one", "two"));
    browser.wait(&tab, &shows("two"));
}

#[test]
fn page_with_another_base_reloads() {
    let site = site();
    site.write("base.html", "<base href=/no/such/directory/><p id=text>one</p>");
    let server = Server::with(&site, &["--live"]);
    let Some(mut browser) = Browser::start() else { return };
    let tab = browser.open(&format!("http://{}/base.html", server.addr()));
    browser.wait(&tab, &shows("one"));
    site.write("base.html", "<p id=text>two</p>");
    browser.wait(&tab, &shows("two"));
}
