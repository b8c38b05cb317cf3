//! The lessons: each runs as its page says, with and without its bugs, and the program prints them.
//!
//! `UPDATE=1 cargo test --test it lessons` writes the output into the pages.
use std::{
    io::{Read, Write},
    process::{Command, Output, Stdio},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::common::*;
use oneloop::lessons::{LESSONS, Lesson, TranscriptEntry, compared, lines, prose_under, side_by_side};

/// Returns a line without the parts that differ between runs or kernels: ports, descriptors, how
/// much of a large file a buffer accepts, and the length of that file's head.
fn masked(lesson: &Lesson, line: &str) -> String {
    let is_cut_anywhere = lesson.needs.send_buffer.is_some() && line.contains(" by=send")
        // A line of the chat names a port, which may have four digits.
        || line.contains(" by=write") && lesson.title == "Two rooms";
    let is_of_large_file = is_cut_anywhere || line.contains("body=1048576");
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
fn play(
    lesson: &Lesson,
    bug: Option<oneloop::lessons::Bug>,
    lines_of: impl Fn(&[TranscriptEntry]) -> Vec<String>,
) -> Vec<String> {
    masked_lines(lesson, lines_of(&lesson.play(bug).expect("run the lesson")))
}

fn masked_lines(lesson: &Lesson, lines: Vec<String>) -> Vec<String> {
    let mut transcript: Vec<String> = lines.iter().map(|line| masked(lesson, line)).collect();
    transcript.dedup_by(|a, b| a == b && a.contains(" by="));
    transcript
}

/// Returns the byte range of the code block that follows `heading` in `page`.
fn block(page: &str, heading: &str) -> std::ops::Range<usize> {
    let section = page.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let from = section + page[section..].find("```text\n").expect("a block") + "```text\n".len();
    from..from + page[from..].find("```").expect("its end")
}

/// The variable that makes the tests play the lessons that must run alone, and no others.
const ALONE: &str = "ONELOOP_LESSONS_ALONE";

/// Returns the lessons that this process may play. A lesson that lowers the open-file limit would
/// make the tests in other threads fail.
fn playable() -> impl Iterator<Item = &'static Lesson> {
    let is_alone = std::env::var_os(ALONE).is_some();
    LESSONS.iter().filter(move |lesson| lesson.needs.lowers_open_file_limit == is_alone)
}

#[test]
fn lessons_that_lower_the_open_file_limit_pass_alone() {
    let tests = ["run_as_their_pages_say", "show_each_bug", "second_answers", "bugs_and_words_fit"];
    let mut command = Command::new(std::env::current_exe().expect("the path of the tests"));
    command.env(ALONE, "1").arg("--test-threads=1").args(tests);
    let output = command.output().expect("run the tests");
    let text = lossy(&output.stdout);
    assert!(output.status.success() && text.contains("4 passed"), "{text}{}", lossy(&output.stderr));
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
    for lesson in playable() {
        // The pages of these lessons show sendfile.
        if matches!(lesson.number, 3 | 9 | 15) && leaves_out("sendfile") {
            continue;
        }
        check(lesson, "Run", &play(lesson, None, lines));
        for bug in lesson.bugs {
            let [right, broken] =
                [None, Some(*bug)].map(|bug| play(lesson, bug, |entries| compared(lesson, entries)));
            let rows = side_by_side(&right, &broken, 139);
            check(lesson, &format!("Broken: {}", bug.name()), &rows);
            let heading = format!("Level: {}", bug.name());
            if !prose_under(lesson.page, &heading).is_empty() {
                let level = lesson.play_level(*bug).expect("run the lesson");
                let level = masked_lines(lesson, compared(lesson, &level));
                check(lesson, &heading, &side_by_side(&broken, &level, 139));
            }
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
        ("11 accept-once", "D takes 356 bytes: 1 answer", "D takes 0 bytes: no answer"),
        ("4 accept-once", "C takes 356 bytes: 1 answer", "C takes 0 bytes: no answer"),
        (
            "close-on-eof",
            "A takes 356 bytes: 1 answer, and the end",
            "A takes 0 bytes: no answer, and the end",
        ),
        ("no-deadline", "c2 close reason=idle-timeout", "B takes 0 bytes: no answer\n"),
        ("no-budget", "64 times in all", "150 times in all"),
        ("ignore-errors", "c1 close reason=reset", "open=2"),
        ("retry-accept", "L1 park descriptors", "(accept fails 1000 times in a row"),
        ("await-edge", "B takes 356 bytes: 1 answer", "(accept fails; the loop waits"),
        ("trust-length", "c2 parse refused", "(the server reserves 67108864 bytes, of which 0 have arrived)"),
        (
            "wait-for-disk",
            "c1 file sent=0 not in memory",
            "(the loop blocks here, and so B waits, until the disk",
        ),
        ("unbounded-queue", "c1 chat dropped B", "c1 chat line 12 -> members=1"),
        ("no-timeout", "(u2 has 2 answers to 4 datagrams)", "#1 loop wait timeout=never"),
        ("half-length", "c2 parse one\\ntwo len=11 leftover=0", "c2 parse message len=2 leftover=0"),
        ("trust-writable", "c2 close reason=connect-failed", "(the client on c2 begins to talk)"),
        ("scan-all", "#2 c1001 read 65536 -> 44 buf=44\n#2 c1001 parse", "1000 times in all"),
    ];
    let bugs: usize = LESSONS.iter().map(|lesson| lesson.bugs.len()).sum();
    assert_eq!(bugs, table.len(), "the table has a row for each");
    for (lesson, bug) in playable().flat_map(|lesson| lesson.bugs.iter().map(move |bug| (lesson, *bug))) {
        let names = [bug.name(), &format!("{} {}", lesson.number, bug.name())];
        let (_, in_right, in_broken) = table.iter().find(|(name, ..)| names.contains(name)).expect("a row");
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
        let parts = [known.title, "The answer is: ", "\nTry this:\n", "read `", " loop wake slept="];
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
    let table: [(&[&str], &str); 11] = [
        (&["--svg"], "<NUMBER>"),
        (&["3", "--sheet"], "--sheet"),
        (&["99"], "use a number from 1 to "),
        (&["first"], "use the number of a lesson, or words"),
        (&["1", "--break"], "lesson 1 has no bug to show"),
        (&["words", "--against", "127.0.0.1:80"], "words is not a lesson"),
        (&["1", "--break", "anything"], "lesson 1 has no bug to show"),
        (
            &["3", "--break", "write-all", "--level"],
            "use one of: lesson 4 --break no-drain --level, lesson 4",
        ),
        (&["5", "--level"], "lesson 5 has no bug for --level; use one of: lesson 4 --break no-drain --level"),
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

/// Runs `oneloop lesson` on a terminal on which `typed` has been typed, and returns the screen.
fn on_terminal(args: &[&str], state: &std::path::Path, typed: impl AsRef<[u8]>) -> String {
    let terminal = PseudoTerminal::open();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
    command.arg("lesson").args(args).env("XDG_STATE_HOME", state).env("NO_COLOR", "1");
    let mut child = command.stdin(terminal.side()).stdout(terminal.side()).spawn().expect("run the lesson");
    drop(command); // it holds the program's side open
    let mut screen = terminal.into_screen();
    screen.write_all(typed.as_ref()).expect("type");
    let mut shown = Vec::new();
    let mut buffer = [0; 4096];
    // A terminal without a process behind it fails with EIO.
    loop {
        let limit = Timespec { tv_sec: SOON.as_secs().cast_signed(), tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&screen, PollFlags::IN)], Some(&limit)).expect("poll it");
        assert!(ready > 0, "the lesson waits for more input: {}", String::from_utf8_lossy(&shown));
        let Ok(got @ 1..) = screen.read(&mut buffer) else { break };
        shown.extend_from_slice(&buffer[..got]);
    }
    assert!(child.wait().expect("its end").success());
    String::from_utf8_lossy(&shown).replace('\r', "")
}

#[test]
fn lesson_on_a_terminal_asks_twice_and_keeps_the_score() {
    let state = tempfile::tempdir().expect("a directory");
    // An unclear word, the right answer, one turn, all turns, and the second answer.
    let screen = on_terminal(&["1"], state.path(), "banana\nFive\n\na\n3\n");
    let parts = [
        "Answer with a number, such as 64 (Enter skips): ",
        "-- Enter: the next turn; a: all turns -- ",
        "Five pieces arrive, in five wake-ups.",
        "You said 3. The answer is: 4.",
        "leftover=0   <== the lesson is about this line",
        "You said Five. That is right.",
        &format!("1 of 2 right in this lesson; 1 of 2 in 1 of {} lessons.", LESSONS.len()),
        "Next: oneloop lesson 2 (A stream has no messages)",
    ];
    let mut rest = &*screen;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { panic!("no {part:?} in {screen}") };
        rest = after;
    }
    let screen = on_terminal(&["8"], state.path(), "y\ny\ny\na\n\n\n");
    assert!(!screen.contains("right in this lesson"), "no clear guess, no score: {screen}");
    let list = on_terminal(&[], state.path(), "");
    assert!(list.contains("   1 of 2 right\n") && list.contains("Your guesses: 1 of 2 in 1 of "), "{list}");
}

#[test]
fn lesson_goes_on_after_an_answer_that_is_not_text() {
    let state = tempfile::tempdir().expect("a directory");
    let screen = on_terminal(&["1"], state.path(), b"\xff\n5\n\xff\n4\n");
    assert!(screen.contains("Answer with a number") && screen.contains("2 of 2 right in this"), "{screen}");
}

#[test]
fn lesson_without_a_terminal_answers_both_questions_and_keeps_nothing() {
    let state = tempfile::tempdir().expect("a directory");
    for known in LESSONS {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["lesson", &known.number.to_string()]).env("XDG_STATE_HOME", state.path());
        let output = command.stdin(Stdio::null()).output().expect("run the lesson");
        let text = String::from_utf8(output.stdout).expect("text");
        assert_eq!(text.matches("The answer is: ").count(), 2, "{text}");
        assert_eq!(text.matches("   <== ").count(), 1, "{text}");
        assert!(!prose_under(known.page, "Predict again").is_empty());
        let rest = text.split(known.decisive).nth(1).expect("the line that decides");
        assert!(
            rest.lines().next().is_some_and(|rest| rest.ends_with("   <== the lesson is about this line"))
        );
    }
    assert_eq!(std::fs::read_dir(state.path()).expect("read it").count(), 0);
}

#[test]
fn second_answers_are_computed_from_the_run() {
    allow_many_descriptors();
    let expected =
        ["4", "44", "no", "3", "no", "yes", "2", "1", "yes", "yes", "no", "no", "no", "1", "no", "0"];
    assert_eq!(expected.len(), LESSONS.len());
    let expected = LESSONS.iter().map(|lesson| lesson.number).zip(expected);
    let expected = std::collections::BTreeMap::from_iter(expected);
    for lesson in playable() {
        let expected = expected[&lesson.number];
        let entries = lesson.play(None).expect("run the lesson");
        assert_eq!((lesson.second_answer)(&entries), expected, "lesson {}", lesson.number);
    }
}

#[test]
fn bugs_and_words_fit_on_a_screen() {
    let text = |args: &[&str]| String::from_utf8(lesson(args).stdout).expect("text");
    for known in LESSONS.iter().filter(|lesson| !lesson.bugs.is_empty()) {
        let list = text(&[&known.number.to_string(), "--break"]);
        for bug in known.bugs {
            assert!(list.contains(&format!("--break {}\n", bug.name())), "{list}");
        }
    }
    let words = text(&["words"]);
    assert!(words.lines().count() <= 24 && words.lines().all(|line| line.len() <= 80), "{words}");
    // Every verb that a lesson shows is explained.
    allow_many_descriptors();
    for lesson in playable() {
        for line in lines(&lesson.play(None).expect("run the lesson")) {
            let Some(verb) = line.strip_prefix('#').and_then(|line| line.split(' ').nth(2)) else { continue };
            assert!(words.contains(verb), "lesson {} shows {verb:?}", lesson.number);
        }
    }
}

/// Returns how often `text` occurs in `svg`.
fn occurrences(svg: &str, text: &str) -> usize {
    svg.matches(text).count()
}

#[test]
fn lesson_diagram_shows_each_line_and_each_arrow() {
    let text = |args: &[&str]| String::from_utf8(lesson(args).stdout).expect("text");
    let svg = text(&["2", "--svg"]);
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"), "{svg}");
    assert!(svg.contains("prefers-color-scheme:dark"), "{svg}");
    // A and D, and the loop.
    assert_eq!(occurrences(&svg, "class=\"name\""), 3, "{svg}");
    // A connects and sends, and D sends two datagrams. A gets one write, and D two answers.
    assert_eq!(
        [occurrences(&svg, "class=\"arrow\""), occurrences(&svg, "class=\"arrow back\"")],
        [4, 3],
        "{svg}"
    );
    assert_eq!(occurrences(&svg, "class=\"mark\""), 1, "{svg}");
    assert!(svg.contains("GET /hello.txt HTTP/1.1\\r\\nHos"), "{svg}");
    let rows = text(&["2"]).lines().filter(|line| line.starts_with('#') || line.starts_with("   ")).count();
    assert_eq!(occurrences(&svg, "xml:space"), rows, "{svg}");
    let broken = text(&["5", "--svg", "--break", "close-on-eof"]);
    assert!(broken.contains("class=\"arrow end\"") && !broken.contains("arrow back"), "no answer: {broken}");
    // The client in the loop sends four datagrams, and gets two answers.
    let lossy = text(&["14", "--svg"]);
    assert_eq!(
        [occurrences(&lossy, "class=\"arrow\""), occurrences(&lossy, "class=\"arrow back\"")],
        [4, 2],
        "{lossy}"
    );
    let edge = text(&["8", "--svg"]);
    assert!(edge.contains(">1000 clients connect") || edge.contains("   1000 clients connect"), "{edge}");
}

#[test]
fn prediction_sheet_has_each_question_and_the_answers_behind_them() {
    let output = lesson(&["--sheet"]);
    let sheet = String::from_utf8(output.stdout).expect("text");
    let (questions, answers) = sheet.split_once("<h1>Answers</h1>").expect("two pages");
    assert_eq!(occurrences(questions, "<div class=\"answer\">"), 2 * LESSONS.len());
    assert!(sheet.contains(".answers{break-before:page}"), "{sheet}");
    assert!(questions.contains("How many wake-ups will the loop need to accept all three?"), "{questions}");
    assert!(answers.contains("<td>3. A client that does not read</td><td>yes</td><td>no</td>"), "{answers}");
}
