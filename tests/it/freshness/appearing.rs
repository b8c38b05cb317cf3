//! Paths at which files appear.

use std::{fs, os::unix::fs::symlink};

use super::*;

/// A change that makes `d/e/f` appear with the content "new": its name, and a function that makes
/// it.
type Change = (&'static str, fn(&Site));
const CHANGES: [Change; 7] = [
    ("written", |site| site.write("d/e/f", "new")),
    ("moved there", |site| fs::rename(site.at("d/e/g"), site.at("d/e/f")).expect("move")),
    ("linked there", |site| fs::hard_link(site.at("d/e/g"), site.at("d/e/f")).expect("a link")),
    ("a link", |site| symlink("g", site.at("d/e/f")).expect("a link")),
    ("its directory replaced", |site| {
        fs::rename(site.at("d"), site.at("old")).expect("move");
        fs::rename(site.at("new"), site.at("d")).expect("move");
    }),
    ("its directory replaced by a link", |site| {
        fs::rename(site.at("d/e"), site.at("old")).expect("move");
        symlink("../new/e", site.at("d/e")).expect("a link");
    }),
    ("written through a dangling link", |site| {
        fs::rename(site.at("d/e/g"), site.at("nowhere")).expect("move");
    }),
];

#[test]
fn freshness_sees_files_that_appear() {
    each(MODES, |&inotify| {
        for (name, change) in CHANGES {
            let site = Site::empty();
            for file in ["d/e/g", "new/e/f"] {
                site.write(file, "new");
            }
            if name.contains("dangling") {
                symlink("../../nowhere", site.at("d/e/f")).expect("a link");
            }
            let mut serving = Serving::new(site, inotify);
            for _ in 0..4 {
                assert_eq!(serving.ask("/d/e/f"), Err(404));
                assert_eq!(serving.ask("/x/y/f"), Err(404));
            }
            change(&serving.site);
            assert_eq!(serving.ask("/d/e/f").as_deref(), Ok("new"), "{name}");
            serving.site.write("x/y/f", "deep");
            assert_eq!(serving.ask("/x/y/f").as_deref(), Ok("deep"), "{name}");
        }
    });
}
