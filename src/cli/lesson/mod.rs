//! The `lesson` command, which prints a lesson or tries the user's own server. It asks the lesson's
//! question only on a terminal.

mod against;
mod score;
mod show;
mod text;

use std::io;

use oneloop::{
    lessons::{
        Bug, LESSONS, Lesson, LessonNeeds, TranscriptEntry, compared, prediction_sheet, prose_under,
        side_by_side, svg,
    },
    raise_open_file_limit,
};
use rustix::termios::tcgetwinsize;

use self::{score::Scores, show::Show, text::wrapped};
use super::{
    args::{LessonArgs, LessonName},
    errors::{Failure, cannot_print},
    output::print,
};

/// The width in columns to use if the terminal does not report one.
const WIDTH: usize = 160;
/// The minimum width in columns for two runs side by side. On a narrower terminal, the runs are
/// printed one below the other, because truncated lines could hide the point of the lesson.
const SIDE_BY_SIDE: usize = 120;
/// The note about the other differences between the broken loop and the real one.
const BROKEN_LOOP_NOTE: &str =
    "(It has no timers and no UDP, and reads until WouldBlock. The rest of the difference is the bug.)";
/// The note about a protocol with a bug.
const BROKEN_PROTOCOL_NOTE: &str = "(The loop is the real one. The bug is in the protocol that it runs.)";
/// A summary of the words of a trace, for one screen.
const WORDS: &str = include_str!("words.txt");

/// Does what the arguments ask for.
///
/// # Errors
/// Fails if the lesson or the bug does not exist, the open-file limit is too low, or a system call
/// fails. For `--against`, see [`against::run`].
pub fn run(args: &LessonArgs) -> Result<(), Failure> {
    let number = match (args.number, &args.against) {
        (Some(LessonName::Words), None) => return print(WORDS).map_err(|e| cannot_print(&e)),
        (Some(LessonName::Words), Some(_)) => {
            return Err(Failure::Usage("words is not a lesson; give a number, or no lesson for all".into()));
        }
        (Some(LessonName::Number(number)), _) => Some(number),
        (None, _) => None,
    };
    if args.sheet {
        return run_lessons(LESSONS, || print(&prediction_sheet()?));
    }
    if let Some(server) = &args.against {
        return against::run(number, server, &args.trial);
    }
    let Some(number) = number else {
        return print(&lesson_list(&Scores::read())).map_err(|e| cannot_print(&e));
    };
    let lesson = LESSONS.iter().find(|lesson| lesson.number == number).ok_or_else(|| {
        let last = LESSONS.last().map_or(0, |lesson| lesson.number);
        Failure::Usage(format!("there is no lesson {number}; use a number from 1 to {last}"))
    })?;
    let bug = match &args.broken {
        None if args.level => Some(level_bug(lesson)?),
        None => None,
        Some(Some(name)) => Some(bug_of(lesson, name)?),
        Some(None) => return print(&bug_list(lesson)?).map_err(|e| cannot_print(&e)),
    };
    let run_with = |bug: Option<Bug>| match bug {
        Some(bug) if args.level => lesson.play_level(bug),
        bug => lesson.play(bug),
    };
    if let Some(bug) = bug.filter(|bug| args.level && level_prose(lesson, *bug).is_empty()) {
        return Err(no_level(lesson, &format!("play of {}", bug.name())));
    }
    let width = tcgetwinsize(io::stdout()).map_or(WIDTH, |size| usize::from(size.ws_col)).max(80);
    run_lessons(std::slice::from_ref(lesson), || match bug {
        _ if args.svg => print(&svg(lesson, &run_with(bug)?)),
        None => Show::new(lesson, width).run(),
        Some(bug) if args.level => compare_triggers(lesson, bug, width),
        Some(bug) => compare(lesson, bug, width),
    })
}

/// Checks that the process may have the descriptors that the lessons need, and calls `show`.
fn run_lessons(lessons: &[Lesson], show: impl FnOnce() -> io::Result<()>) -> Result<(), Failure> {
    let limit = raise_open_file_limit();
    if let Some(Lesson { number, needs: LessonNeeds { descriptors: needed, .. }, .. }) =
        lessons.iter().find(|lesson| limit < lesson.needs.descriptors)
    {
        return Err(Failure::System(format!(
            "lesson {number} needs {needed} file descriptors: the limit is {limit}; raise it with ulimit -n {needed}"
        )));
    }
    // The transcript shows what the loop does. A warning would tell it before the reader guesses.
    log::set_max_level(log::LevelFilter::Off);
    show().map_err(|e| Failure::system("cannot run the lesson", &e))
}

/// Returns the bugs of the lesson, each with the first sentence about it.
fn bug_list(lesson: &Lesson) -> Result<String, Failure> {
    let mut text = String::new();
    for bug in lesson.bugs {
        let name = bug.name();
        let about = prose_under(lesson.page, &format!("Broken: {name}")).replace('\n', " ");
        let about = about.split_inclusive(". ").next().unwrap_or_default().trim_end();
        text.push_str(&wrapped(about, WIDTH));
        text.push_str(&format!("\n  oneloop lesson {} --break {name}\n", lesson.number));
    }
    if text.is_empty() { Err(no_bug(lesson)) } else { Ok(text) }
}

/// Returns the error for a lesson without a bug.
fn no_bug(lesson: &Lesson) -> Failure {
    Failure::Usage(format!("lesson {} has no bug to show; leave out --break", lesson.number))
}

/// Returns the bug with this name, if the lesson has it.
fn bug_of(lesson: &Lesson, name: &str) -> Result<Bug, Failure> {
    lesson.bugs.iter().copied().find(|bug| bug.name() == name).ok_or_else(|| {
        let number = lesson.number;
        match names(lesson) {
            names if names.is_empty() => no_bug(lesson),
            names => Failure::Usage(format!("'{name}' is not a bug of lesson {number}; use one of: {names}")),
        }
    })
}

/// Returns the names of the lesson's bugs, separated by commas.
fn names(lesson: &Lesson) -> String {
    lesson.bugs.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ")
}

/// Returns the list of all lessons.
fn lesson_list(scores: &Scores) -> String {
    let mut text =
        String::from("oneloop lesson N runs a lesson; --break NAME runs it with a classic bug as well\n\n");
    for lesson in LESSONS {
        let names = names(lesson);
        let broken = if names.is_empty() { names } else { format!("   --break {names}") };
        let score = scores.of(lesson.number);
        text.push_str(&format!("{:<2}  {}{broken}{score}\n", lesson.number, lesson.title));
    }
    text.push_str("\noneloop lesson words shows the words of the trace on one screen.\n");
    if !scores.is_empty() {
        text.push_str(&format!("Your guesses: {}.\n", scores.summary()));
    }
    text
}

/// Returns the section about the bug under a level-triggered poller, which may be empty.
fn level_prose(lesson: &Lesson, bug: Bug) -> &'static str {
    prose_under(lesson.page, &format!("Level: {}", bug.name()))
}

/// Returns the first bug of the lesson for which the trigger of the poller matters.
fn level_bug(lesson: &Lesson) -> Result<Bug, Failure> {
    let bug = lesson.bugs.iter().copied().find(|bug| !level_prose(lesson, *bug).is_empty());
    bug.ok_or_else(|| no_level(lesson, "bug"))
}

/// Returns the error for a lesson that has no such `part` for `--level`, with the ones that exist.
fn no_level(lesson: &Lesson, part: &str) -> Failure {
    let of = |lesson: &'static Lesson| lesson.bugs.iter().map(move |bug| (lesson, *bug));
    let known = LESSONS.iter().flat_map(of).filter(|(lesson, bug)| !level_prose(lesson, *bug).is_empty());
    let commands: Vec<String> = known
        .map(|(lesson, bug)| format!("lesson {} --break {} --level", lesson.number, bug.name()))
        .collect();
    let (number, commands) = (lesson.number, commands.join(", "));
    Failure::Usage(format!("lesson {number} has no {part} for --level; use one of: {commands}"))
}

/// Prints the run on the loop with the bug under edges beside the run under levels.
fn compare_triggers(lesson: &Lesson, bug: Bug, width: usize) -> io::Result<()> {
    let (edge, level) = (lesson.play(Some(bug))?, lesson.play_level(bug)?);
    let rows = beside((&edge, "under edges"), (&level, "under levels"), lesson, width);
    print(&format!(
        "Lesson {}: {}\nThe same loop, \"with {}\", twice. {BROKEN_LOOP_NOTE}\n\n{}\n\n{}\n",
        lesson.number,
        lesson.title,
        bug.name(),
        rows.join("\n"),
        wrapped(level_prose(lesson, bug), width)
    ))
}

/// Returns two runs side by side, or one below the other if that is too wide.
fn beside(
    (left, left_title): (&[TranscriptEntry], &str),
    (right, right_title): (&[TranscriptEntry], &str),
    lesson: &Lesson,
    width: usize,
) -> Vec<String> {
    let titled = |title: &str, entries| {
        [title.to_owned(), String::new()].into_iter().chain(compared(lesson, entries)).collect::<Vec<_>>()
    };
    let (left, right) = (titled(left_title, left), titled(right_title, right));
    match width < SIDE_BY_SIDE {
        true => [left, vec![String::new()], right].concat(),
        false => side_by_side(&left, &right, width),
    }
}

/// Prints the run on the real loop beside the run on the broken loop, and explains the bug.
fn compare(lesson: &Lesson, bug: Bug, width: usize) -> io::Result<()> {
    let name = bug.name();
    let (right, broken) = (lesson.play(None)?, lesson.play(Some(bug))?);
    let rows = beside((&right, "oneloop"), (&broken, &format!("with {name}")), lesson, width);
    let (what, note) = match bug.is_in_protocol() {
        true => ("PROTOCOL", BROKEN_PROTOCOL_NOTE),
        false => ("LOOP", BROKEN_LOOP_NOTE),
    };
    print(&format!(
        "Lesson {}: {}\nTHE {what} \"WITH {name}\" IS WRONG ON PURPOSE. It exists only in this lesson.\n{note}\n\n{}\n\n{}\n",
        lesson.number,
        lesson.title,
        rows.join("\n"),
        wrapped(prose_under(lesson.page, &format!("Broken: {name}")), width)
    ))
}
