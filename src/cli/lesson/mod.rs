//! The `lesson` command, which prints a lesson or tries the user's own server. It asks the lesson's
//! question only on a terminal.

mod against;

use std::io::{self, BufRead, IsTerminal};

use oneloop::{
    lessons::{Bug, LESSONS, Lesson, answer_is, lines, prose_under, side_by_side},
    raise_open_file_limit,
};
use rustix::termios::tcgetwinsize;

use super::{
    args::LessonArgs,
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
/// The maximum length of a line of prose, in columns.
const LINE: usize = 100;

/// Does what the arguments ask for.
///
/// # Errors
/// See [`run_lesson`] and [`against::run`].
pub fn run(args: &LessonArgs) -> Result<(), Failure> {
    match &args.against {
        Some(server) => against::run(args.number, server, &args.trial),
        None => run_lesson(args.number, args.broken.as_deref()),
    }
}

/// Runs lesson `number`, or lists all lessons if `number` is `None`. `broken` is the name of a bug
/// to inject.
///
/// # Errors
/// Fails if there is no such lesson or bug, if the descriptor limit is too low, or if a system call
/// fails.
fn run_lesson(number: Option<u8>, broken: Option<&str>) -> Result<(), Failure> {
    let Some(number) = number else {
        return print(&lesson_list()).map_err(|e| cannot_print(&e));
    };
    let lesson = LESSONS.iter().find(|lesson| lesson.number == number).ok_or_else(|| {
        Failure::Usage(format!("there is no lesson {number}; use a number from 1 to {}", LESSONS.len()))
    })?;
    let bug = broken.map(|name| bug_of(lesson, name)).transpose()?;
    let limit = raise_open_file_limit();
    if limit < lesson.descriptors {
        let needed = lesson.descriptors;
        return Err(Failure::System(format!(
            "lesson {number} needs {needed} file descriptors: the limit is {limit}; raise it with ulimit -n {needed}"
        )));
    }
    print_lesson(lesson, bug)
}

/// Returns the bug with this name, if the lesson has it.
fn bug_of(lesson: &Lesson, name: &str) -> Result<Bug, Failure> {
    lesson.bugs.iter().copied().find(|bug| bug.name() == name).ok_or_else(|| {
        let number = lesson.number;
        Failure::Usage(match names(lesson) {
            names if names.is_empty() => format!("lesson {number} has no bug to show; leave out --break"),
            names => format!("'{name}' is not a bug of lesson {number}; use one of: {names}"),
        })
    })
}

/// Returns the names of the lesson's bugs, separated by commas.
fn names(lesson: &Lesson) -> String {
    lesson.bugs.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ")
}

/// Returns the list of all lessons.
fn lesson_list() -> String {
    let mut text =
        String::from("oneloop lesson N runs a lesson; --break NAME runs it with a classic bug as well\n\n");
    for lesson in LESSONS {
        let names = names(lesson);
        let broken = if names.is_empty() { names } else { format!("   --break {names}") };
        text.push_str(&format!("{}  {}{broken}\n", lesson.number, lesson.title));
    }
    text
}

/// Prints the lesson or, if `bug` is given, compares the real loop with the broken one.
fn print_lesson(lesson: &Lesson, bug: Option<Bug>) -> Result<(), Failure> {
    let width = tcgetwinsize(io::stdout()).map_or(WIDTH, |size| usize::from(size.ws_col)).max(80);
    let shown = match bug {
        None => show(lesson, width),
        Some(bug) => compare(lesson, bug, width),
    };
    shown.map_err(|e| Failure::system("cannot run the lesson", &e))
}

/// Prints a lesson: the scene, the question, the trace and the explanation.
fn show(lesson: &Lesson, width: usize) -> io::Result<()> {
    let part = |name| wrapped(prose_under(lesson.page, name), width);
    print(&format!(
        "Lesson {}: {}\n\n{}\n\n{}\n",
        lesson.number,
        lesson.title,
        part("The scene"),
        part("Predict")
    ))?;
    let entries = lesson.play(None)?;
    let verdict = ask(&(lesson.answer)(&entries))?;
    let mut text = String::new();
    for part in [part("How to read it"), lines(&entries).join("\n"), verdict, part("Explain")] {
        if !part.is_empty() {
            text.push_str(&format!("\n{part}\n"));
        }
    }
    text.push_str(&format!("\nTry this:\n{}\n", part("Try")));
    if !lesson.bugs.is_empty() {
        text.push_str("\nSee it broken:\n");
    }
    for bug in lesson.bugs {
        text.push_str(&format!("  oneloop lesson {} --break {}\n", lesson.number, bug.name()));
    }
    print(&text)
}

/// Prints the run on the real loop beside the run on the broken loop, and explains the bug.
fn compare(lesson: &Lesson, bug: Bug, width: usize) -> io::Result<()> {
    let name = bug.name();
    let play = |title: &str, bug| {
        let play = lines(&lesson.play(bug)?);
        Ok::<_, io::Error>([&[title.to_owned(), String::new()][..], &play].concat())
    };
    let (right, broken) = (play("oneloop", None)?, play(&format!("with {name}"), Some(bug))?);
    let rows = match width < SIDE_BY_SIDE {
        true => [right, vec![String::new()], broken].concat(),
        false => side_by_side(&right, &broken, width),
    };
    print(&format!(
        "Lesson {}: {}\nTHE LOOP \"WITH {name}\" IS WRONG ON PURPOSE. It exists only in this lesson.\n{BROKEN_LOOP_NOTE}\n\n{}\n\n{}\n",
        lesson.number,
        lesson.title,
        rows.join("\n"),
        wrapped(prose_under(lesson.page, &format!("Broken: {name}")), width)
    ))
}

/// Wraps the paragraphs of `text` at `width` columns, or at [`LINE`] columns if that is less.
fn wrapped(text: &str, width: usize) -> String {
    text.split("\n\n").map(|paragraph| wrap(paragraph, width.min(LINE))).collect::<Vec<_>>().join("\n\n")
}

/// Wraps one paragraph at `width` columns. A longer word is not split.
fn wrap(paragraph: &str, width: usize) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let len = word.chars().count();
        let fits = column + 1 + len <= width;
        if column > 0 {
            wrapped.push(if fits { ' ' } else { '\n' });
        }
        column = if column > 0 && fits { column + 1 + len } else { len };
        wrapped.push_str(word);
    }
    wrapped
}

/// Asks for a prediction, if standard input and output are terminals. Returns a sentence with the
/// answer.
fn ask(answer: &str) -> io::Result<String> {
    let is_asked = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !is_asked {
        return Ok(format!("The answer is: {answer}."));
    }
    print("\nYour guess (Enter skips): ")?;
    let mut given = String::new();
    io::stdin().lock().read_line(&mut given)?;
    Ok(match given.trim() {
        "" => format!("The answer is: {answer}."),
        given if answer_is(given, answer) => format!("You said {given}. That is right."),
        given => format!("You said {given}. The answer is: {answer}."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lesson_text_is_wrapped_between_words() {
        assert_eq!(wrapped("a bb\nccc dddd", 4), "a bb\nccc\ndddd");
        assert_eq!(wrapped("longer than that\n\nx y", 5), "longer\nthan\nthat\n\nx y");
        assert_eq!(wrapped("", 5), "");
    }
}
