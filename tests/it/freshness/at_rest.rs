//! Changes to files that have settled and are cached.

use std::{
    fs::{self, File, Permissions},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
};

use super::*;
use oneloop::trace::Step;

/// A change to the settled file `d/e/f` with the content "old": its name, a function that makes it,
/// and what the next request gets.
type Change = (&'static str, fn(&Site), Result<&'static str, u16>);
const CHANGES: [Change; 12] = [
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
        "same length, same modification time",
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
    ("its directory moved away", |site| fs::rename(site.at("d/e"), site.at("g")).expect("move"), Err(404)),
    ("an ancestor moved away", |site| fs::rename(site.at("d"), site.at("g")).expect("move"), Err(404)),
    (
        "an ancestor replaced",
        |site| {
            site.write("g/e/f", "new");
            fs::rename(site.at("d"), site.at("h")).expect("move");
            fs::rename(site.at("g"), site.at("d")).expect("move");
        },
        Ok("new"),
    ),
    (
        "its directory replaced by a link",
        |site| {
            site.write("g/f", "new");
            fs::rename(site.at("d/e"), site.at("h")).expect("move");
            symlink("../g", site.at("d/e")).expect("a link");
        },
        Ok("new"),
    ),
    (
        "replaced by a directory",
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

#[test]
fn freshness_sees_every_change_of_a_file_at_rest() {
    let rows = MODES.into_iter().flat_map(|inotify| [(inotify, false), (inotify, true)]);
    each(rows, |&(inotify, was_opened_again)| {
        for (name, change, expected) in CHANGES {
            let site = Site::empty();
            site.write("d/e/f", "old");
            let mut serving = Serving::new(site, inotify);
            serving.settle();
            serving.cache("/d/e/f");
            if was_opened_again {
                serving.pass_recheck();
                assert_eq!(serving.ask("/d/e/f").as_deref(), Ok("old"));
            }
            change(&serving.site);
            assert_eq!(serving.ask("/d/e/f"), expected.map(str::to_owned), "{name}");
        }
    });
}

#[test]
fn freshness_sees_a_link_that_leads_elsewhere() {
    each(MODES, |&inotify| {
        let site = Site::empty();
        site.write("v1/page", "one");
        site.write("v2/page", "two");
        symlink("v1", site.at("current")).expect("a link");
        let mut serving = Serving::new(site, inotify);
        serving.settle();
        serving.cache("/current/page");
        for (version, content) in [("v2", "two"), ("v1", "one"), ("v2", "two")] {
            symlink(version, serving.site.at("next")).expect("a link");
            fs::rename(serving.site.at("next"), serving.site.at("current")).expect("switch");
            assert_eq!(serving.ask("/current/page").as_deref(), Ok(content));
        }
    });
}

#[test]
fn freshness_survives_more_changes_than_inotify_keeps() {
    let site = Site::empty();
    for i in 0..20 {
        site.write(format!("{i}"), "old");
    }
    let mut serving = Serving::new(site, true);
    serving.settle();
    for i in 0..20 {
        serving.cache(&format!("/{i}"));
    }
    // The inotify queue holds about ten thousand events, and it merges two successive identical
    // events.
    for round in 0..2000 {
        for i in 0..20 {
            File::options()
                .append(true)
                .open(serving.site.at(i.to_string()))
                .and_then(|mut f| f.write_all(b"."))
                .expect("write");
        }
        if round == 1999 {
            serving.site.write("0", "new");
        }
    }
    assert_eq!(serving.ask("/0").as_deref(), Ok("new"));
    assert_eq!(serving.ask("/7").map(|text| text.len()), Ok(2003));
    serving.settle();
    serving.cache("/7");
    serving.site.write("7", "newer");
    assert_eq!(serving.ask("/7").as_deref(), Ok("newer"), "changes are reported again");
}

#[test]
fn freshness_traces_one_change_once() {
    let mut serving = Serving::new(Site::new(), true);
    serving.settle();
    serving.cache("/hello.txt");
    serving.rig.record();
    serving.site.write("hello.txt", "changed\n");
    // Removing the watch of a changed file makes the kernel report one more event, in a later turn.
    let steps: Vec<_> = (0..10).flat_map(|_| serving.rig.turn()).collect();
    let is_change = |step: &Step| matches!(step, Step::Service(service) if service.doc.form == "changed");
    match steps.iter().filter(|(_, step)| is_change(step)).count() {
        0 if leaves_out("inotify") => {}
        0 => skip("inotify is not trusted on the file system of the site"),
        count => assert_eq!(count, 1, "{steps:?}"),
    }
}
