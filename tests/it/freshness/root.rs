//! The directory of the site is replaced: the next request sees the new one, also when the last
//! responses were kept.

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;

/// Replaces the directory `top/site`, where `late.txt` is missing, with one that has it. Calls
/// `ask` in between.
type Replace = fn(&Site, &mut dyn FnMut());

const WAYS: [(&str, Replace); 6] = [
    ("moved away", |top, ask| {
        fs::rename(top.at("top/site"), top.at("old")).expect("move it");
        ask();
        fs::rename(top.at("next/site"), top.at("top/site")).expect("replace it");
    }),
    ("a directory above moved away", |top, _| {
        fs::rename(top.at("top"), top.at("old")).expect("move it");
        fs::rename(top.at("next"), top.at("top")).expect("replace it");
    }),
    ("deleted when it was empty", |top, ask| {
        fs::remove_file(top.at("top/site/index.html")).expect("delete");
        ask();
        ask();
        fs::remove_dir(top.at("top/site")).expect("delete");
        fs::rename(top.at("next/site"), top.at("top/site")).expect("replace it");
    }),
    ("overwritten when it was empty", |top, ask| {
        fs::remove_file(top.at("top/site/index.html")).expect("delete");
        ask();
        ask();
        fs::rename(top.at("next/site"), top.at("top/site")).expect("replace it");
    }),
    ("deleted with its content", |top, _| {
        fs::remove_dir_all(top.at("top/site")).expect("delete");
        fs::create_dir(top.at("top/site")).expect("create it");
        top.write("top/site/late.txt", "late\n");
    }),
    ("exchanged", |top, _| {
        let [a, b] = ["top/site", "next/site"].map(|path| top.at(path));
        if renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).is_err() {
            skip("the file system cannot exchange two directories");
            fs::rename(&a, top.at("old")).expect("move it");
            fs::rename(&b, &a).expect("replace it");
        }
    }),
];

/// Serves `dir`, which leads to `top/site`, and replaces it. Nothing is stale meanwhile.
fn check(top: &Site, dir: &str, inotify: bool, way: &str, replace: Replace) {
    let mut config = Rig::config(top);
    (config.dir, config.inotify) = (top.at(dir), inotify);
    let mut rig = Rig::new(config);
    let mut peer = rig.accepted();
    for _ in 0..8 {
        assert_eq!(rig.ask(&mut peer, get("/late.txt")).status, 404);
        rig.ask(&mut peer, get("/index.html"));
        rig.advance(Duration::from_millis(5));
    }
    let mut ask = || assert_eq!(rig.ask(&mut peer, get("/late.txt")).status, 404, "{way}");
    replace(top, &mut ask);
    let response = rig.ask(&mut peer, get("/late.txt"));
    assert_eq!((response.status, response.text().as_str()), (200, "late\n"), "{way}, {dir}, {inotify}");
}

fn top() -> Site {
    let top = Site::empty();
    top.write("top/site/index.html", "old\n");
    top.write("next/site/late.txt", "late\n");
    top
}

#[test]
fn root_that_is_replaced_is_seen_by_the_next_request() {
    for inotify in MODES {
        for (way, replace) in WAYS {
            let top = top();
            check(&top, "top/site", inotify, way, replace);
            let top = self::top();
            fs::create_dir(top.at("beside")).expect("create it");
            check(&top, "beside/../top/site", inotify, way, replace);
        }
    }
}

#[test]
fn root_behind_a_link_that_changes_is_seen_by_the_next_request() {
    /// Makes `current` a link to `target`, as a deployment does.
    fn link(top: &Site, target: &str) {
        std::os::unix::fs::symlink(target, top.at("new")).expect("a link");
        fs::rename(top.at("new"), top.at("current")).expect("rename");
    }
    for inotify in MODES {
        let top = top();
        link(&top, "top");
        check(&top, "current/site", inotify, "another link above", |top, _| link(top, "next"));
        let top = self::top();
        link(&top, "top/site");
        check(&top, "current", inotify, "another link", |top, _| link(top, "next/site"));
    }
}
