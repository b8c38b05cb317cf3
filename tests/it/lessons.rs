//! The lessons: each runs as its page says, with and without its bugs, and the program prints them.
//!
//! `UPDATE=1 cargo test --test it lessons` writes the output into the pages.
use std::process::{Command, Output, Stdio};

use crate::common::*;
use oneloop::lessons::{LESSONS, Lesson, lines, side_by_side};

/// Returns a line without the parts that differ between runs or kernels: ports, descriptors, how
/// much of a large file a buffer accepts, and the length of that file's head.
fn masked(line: &str) -> String {
    let is_of_large_file = line.contains(" by=send") || line.contains("body=1048576");
    let mask = |doc: &str| match doc.split_once('=') {
        Some((name @ ("fd" | "from" | "to"), _)) => format!("{name}=_"),
        Some((name @ ("sent" | "head"), _)) if is_of_large_file => format!("{name}=_"),
        None if doc.starts_with("127.0.0.1:") => "127.0.0.1:_".into(),
        None if is_of_large_file && doc.parse::<u64>().is_ok() && doc != "200" => "_".into(),
        None if line.contains(" takes ") && doc.len() > 3 && doc.parse::<u64>().is_ok() => "_".into(),
        _ => doc.to_owned(),
    };
    line.split(' ').map(mask).collect::<Vec<_>>().join(" ")
}

/// Runs the lesson and returns the lines for its page. Transfers that the kernel may split become
/// one line.
fn play(lesson: &Lesson, bug: Option<oneloop::lessons::Bug>) -> Vec<String> {
    let entries = lesson.play(bug).expect("run the lesson");
    let mut transcript: Vec<String> = lines(&entries).iter().map(|line| masked(line)).collect();
    transcript.dedup();
    transcript
}

/// Returns the byte range of the code block that follows `heading` in `page`.
fn block(page: &str, heading: &str) -> std::ops::Range<usize> {
    let section = page.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let from = section + page[section..].find("```text\n").expect("a block") + "```text\n".len();
    from..from + page[from..].find("```").expect("its end")
}

fn check(lesson: &Lesson, heading: &str, transcript: &[String]) {
    let path = format!("{}/docs/lessons/{}.md", env!("CARGO_MANIFEST_DIR"), lesson.number);
    let mut page = std::fs::read_to_string(&path).expect("read the page");
    let transcript: String = transcript.iter().map(|line| format!("{}\n", line.trim_end())).collect();
    let range = block(&page, heading);
    if std::env::var_os("UPDATE").is_some() {
        page.replace_range(range, &transcript);
        std::fs::write(&path, page).expect("write the page");
    } else {
        assert_eq!(&page[range], transcript, "docs/lessons/{}.md, {heading}", lesson.number);
    }
}

#[test]
fn lessons_run_as_their_pages_say() {
    allow_many_descriptors();
    for lesson in LESSONS {
        // The page of lesson 3 shows sendfile.
        if lesson.number == 3 && leaves_out("sendfile") {
            continue;
        }
        let right = play(lesson, None);
        check(lesson, "Run", &right);
        for bug in lesson.bugs {
            let rows = side_by_side(&right, &play(lesson, Some(*bug)), 139);
            check(lesson, &format!("Broken: {}", bug.name()), &rows);
        }
    }
}

#[test]
fn lessons_show_each_bug() {
    allow_many_descriptors();
    // Text that only the correct loop prints, and text that only the broken loop prints.
    let table = [
        ("one-read-one-message", "A takes 712 bytes: 2 answers", "A takes 356 bytes: 1 answer"),
        ("write-all", "c1 arm W", "the loop blocks here"),
        ("no-drain", "A takes 356 bytes: 1 answer", "c1 read 16 -> 16 buf=32"),
        ("accept-once", "C takes 356 bytes: 1 answer", "C takes 0 bytes: no answer"),
        (
            "close-on-eof",
            "A takes 356 bytes: 1 answer, and the end",
            "A takes 0 bytes: no answer, and the end",
        ),
        ("no-deadline", "c2 close reason=idle-timeout", "B takes 0 bytes: no answer\n"),
        ("no-budget", "64 times in all", "150 times in all"),
        ("scan-all", "#2 c1001 read 65536 -> 44 buf=44\n#2 c1001 parse", "1000 times in all"),
    ];
    let bugs: Vec<_> =
        LESSONS.iter().flat_map(|lesson| lesson.bugs.iter().map(move |bug| (lesson, *bug))).collect();
    assert_eq!(bugs.len(), table.len(), "the table has a row for each");
    for (lesson, bug) in bugs {
        let (_, in_right, in_broken) = table.iter().find(|(name, ..)| *name == bug.name()).expect("a row");
        let [right, broken] = [None, Some(bug)]
            .map(|bug| format!("{}\n", lines(&lesson.play(bug).expect("run the lesson")).join("\n")));
        assert!(right.contains(in_right) && !broken.contains(in_right), "{}: {in_right}", bug.name());
        assert!(broken.contains(in_broken) && !right.contains(in_broken), "{}: {in_broken}", bug.name());
    }
}

fn lesson(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("lesson").args(args).stdin(Stdio::null()).output().expect("run the lesson")
}

#[test]
fn lesson_command_prints_the_whole_page() {
    let text = |output: Output| String::from_utf8(output.stdout).expect("text");
    let list = text(lesson(&[]));
    for known in LESSONS {
        assert!(list.contains(known.title), "{list}");
        let number = known.number.to_string();
        let transcript = text(lesson(&[&number]));
        let parts = [known.title, "The answer is: ", "\nTry this:\n", "read `", "#1 loop wake"];
        assert!(parts.iter().all(|part| transcript.contains(part)), "{transcript}");
        for bug in known.bugs {
            assert!(list.contains(bug.name()), "{list}");
            let transcript = text(lesson(&[&number, "--break", bug.name()]));
            assert!(
                transcript.contains("WRONG ON PURPOSE")
                    && transcript.contains(&format!("with {}", bug.name())),
                "{transcript}"
            );
        }
    }
}

#[test]
fn lesson_command_reports_errors_in_one_sentence() {
    let table: [(&[&str], &str); 4] = [
        (&["9"], "from 1 to 8"),
        (&["1", "--break", "anything"], "lesson 1 has no bug to show"),
        (&["3", "--break", "no-drain"], "write-all"),
        (&["--break", "no-drain"], "<NUMBER>"),
    ];
    for (args, words) in table {
        let output = lesson(args);
        let stderr = lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?}: {stderr}");
    }
}
