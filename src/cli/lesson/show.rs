//! One lesson: its scene, its questions, its turns and its explanation. On a terminal it waits for
//! the reader's guesses, and for Enter after each turn.

use std::io::{self, BufRead, IsTerminal};

use oneloop::lessons::{
    Guess, LESSONS, Lesson, TRIALS, TranscriptEntry, judge_guess, lines, prose_under, turns,
};

use super::{score::Scores, text::wrapped};
use crate::cli::{color, output::print};

/// How often the reader can answer with something unclear.
const ATTEMPTS: usize = 3;
/// The mark behind the line that a lesson is about.
const MARK: &str = "   <== the lesson is about this line";

/// A lesson on its way to the reader.
pub struct Show<'a> {
    lesson: &'a Lesson,
    width: usize,
    /// Whether somebody answers and presses Enter.
    is_interactive: bool,
    is_colored: bool,
    /// The number of guesses, and of those that were right.
    guesses: u32,
    right: u32,
}

impl<'a> Show<'a> {
    pub fn new(lesson: &'a Lesson, width: usize) -> Show<'a> {
        let is_interactive = io::stdin().is_terminal() && io::stdout().is_terminal();
        let is_colored = color::is_wanted(io::stdout().is_terminal());
        Show { lesson, width, is_interactive, is_colored, guesses: 0, right: 0 }
    }

    /// Prints the lesson.
    ///
    /// # Errors
    /// Fails if the lesson cannot be played, if the output cannot be written, or if the guesses
    /// cannot be read.
    pub fn run(mut self) -> io::Result<()> {
        let Lesson { number, title, .. } = self.lesson;
        let (scene, question) = (self.part("The scene"), self.part("Predict"));
        print(&format!("Lesson {number}: {title}\n\n{scene}\n\n{question}\n"))?;
        let entries = self.lesson.play(None)?;
        let guess = if self.is_interactive { self.ask(&(self.lesson.answer)(&entries))? } else { None };
        let advice = self.part("How to read it");
        if !advice.is_empty() {
            print(&format!("\n{advice}\n"))?;
        }
        print("\n")?;
        self.show_turns(&entries)?;
        print(&format!("\n{}\n", verdict(guess.as_deref(), &(self.lesson.answer)(&entries))))?;
        if !self.is_interactive {
            let answer = (self.lesson.second_answer)(&entries);
            print(&format!("\n{}\nThe answer is: {answer}.\n", self.part("Predict again")))?;
        }
        self.finish()
    }

    /// Prints the turns. Before the turn with the line that decides, asks the second question.
    fn show_turns(&mut self, entries: &[TranscriptEntry]) -> io::Result<()> {
        let turns: Vec<Vec<String>> = turns(entries).into_iter().map(lines).collect();
        let decides = |line: &String| line.contains(self.lesson.decisive);
        let decisive = turns.iter().position(|turn| turn.iter().any(decides));
        let mut is_paced = self.is_interactive;
        for (number, turn) in turns.iter().enumerate() {
            if self.is_interactive && Some(number) == decisive {
                print(&format!("\n{}\n", self.part("Predict again")))?;
                let answer = (self.lesson.second_answer)(entries);
                let guess = self.ask(&answer)?;
                print(&format!("{}\n\n", verdict(guess.as_deref(), &answer)))?;
            } else if is_paced && number > 0 {
                is_paced = self.wait_for_enter()?;
            }
            let mut is_marked = Some(number) != decisive;
            for line in turn {
                let marks = !is_marked && line.contains(self.lesson.decisive);
                is_marked |= marks;
                print(&if marks { self.marked(line) } else { format!("{line}\n") })?;
            }
        }
        Ok(())
    }

    fn marked(&self, line: &str) -> String {
        if self.is_colored { format!("\x1b[1;33m{line}{MARK}\x1b[0m\n") } else { format!("{line}{MARK}\n") }
    }

    /// Waits for Enter, and removes the prompt. Returns false if the reader wants all turns.
    fn wait_for_enter(&self) -> io::Result<bool> {
        print("-- Enter: the next turn; a: all turns -- ")?;
        let given = read_line()?;
        // The terminal has moved to the next line, unless the input has ended.
        print(if given.is_none() { "\r\x1b[K" } else { "\x1b[1A\r\x1b[K" })?;
        Ok(given.is_some_and(|given| given.is_empty()))
    }

    /// Asks for a guess until one is clear. Returns what the reader has said, or `None`.
    fn ask(&mut self, answer: &str) -> io::Result<Option<String>> {
        print("\nYour guess (Enter skips): ")?;
        for attempt in 1..=ATTEMPTS {
            let Some(given) = read_line()? else {
                print("\n")?;
                return Ok(None);
            };
            if given.is_empty() {
                return Ok(None);
            }
            match judge_guess(&given, answer) {
                Guess::Unclear if attempt < ATTEMPTS => {
                    let kind =
                        if matches!(answer, "yes" | "no") { "yes or no" } else { "a number, such as 64" };
                    print(&format!("Answer with {kind} (Enter skips): "))?;
                }
                Guess::Unclear => break,
                guess => {
                    self.guesses += 1;
                    self.right += u32::from(guess == Guess::Right);
                    return Ok(Some(given));
                }
            }
        }
        Ok(None)
    }

    /// Prints the explanation, the score and what to do next.
    fn finish(self) -> io::Result<()> {
        let number = self.lesson.number;
        let mut text = format!("\n{}\n\nTry this:\n{}\n", self.part("Explain"), self.part("Try"));
        if !self.lesson.bugs.is_empty() {
            text.push_str("\nSee it broken:\n");
        }
        for bug in self.lesson.bugs {
            text.push_str(&format!("  oneloop lesson {number} --break {}\n", bug.name()));
        }
        if TRIALS.iter().any(|trial| trial.lesson == number) {
            text.push_str(&format!(
                "\nTry your own server:\n  oneloop lesson {number} --against HOST:PORT\n"
            ));
        }
        if self.guesses > 0 {
            let scores = Scores::read().with(number, self.right, self.guesses);
            let saved = scores.save();
            text.push_str(&format!(
                "\n{} of {} right in this lesson; {}.\n",
                self.right,
                self.guesses,
                scores.summary()
            ));
            if let Err(e) = saved {
                text.push_str(&format!("(The score could not be kept: {e}.)\n"));
            }
        }
        text.push_str(&match LESSONS.iter().find(|lesson| lesson.number > number) {
            Some(next) => format!("\nNext: oneloop lesson {} ({})\n", next.number, next.title),
            None => "\nThis was the last lesson. Next: oneloop --trace, with your own requests\n".into(),
        });
        print(&text)
    }

    /// Returns a section of the lesson's page.
    fn part(&self, name: &str) -> String {
        wrapped(prose_under(self.lesson.page, name), self.width)
    }
}

/// Reads a line, without the blanks around it. Returns `None` at the end of the input. A typo may
/// leave bytes that are not text.
fn read_line() -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let got = io::stdin().lock().read_until(b'\n', &mut line)?;
    Ok((got > 0).then(|| String::from_utf8_lossy(&line).trim().to_owned()))
}

/// Returns a sentence about a guess.
fn verdict(guess: Option<&str>, answer: &str) -> String {
    match guess {
        None => format!("The answer is: {answer}."),
        Some(guess) if judge_guess(guess, answer) == Guess::Right => {
            format!("You said {guess}. That is right.")
        }
        Some(guess) => format!("You said {guess}. The answer is: {answer}."),
    }
}
