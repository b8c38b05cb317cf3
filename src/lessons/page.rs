//! The text of a lesson: the sections of its page, and its transcripts, alone or side by side.

use super::{catalog::Lesson, transcript::TranscriptEntry};
use crate::trace::Step;

/// The maximum number of lines in a pattern whose repetitions are folded.
const MAX_PATTERN: usize = 3;

/// Returns the section of `page` under the heading `name`, from after the heading up to the first
/// code block.
pub fn prose_under<'a>(page: &'a str, name: &str) -> &'a str {
    let from = page.find(&format!("\n## {name}")).map_or("", |at| &page[at + 1..]);
    let body = from.split_once('\n').map_or("", |(_, body)| body);
    body.split("\n## ").next().unwrap_or_default().split("\n```").next().unwrap_or_default().trim()
}

/// What a reader's guess is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guess {
    /// It is the answer.
    Right,
    /// It is another answer.
    Wrong,
    /// It is not an answer to such a question: a word where the answer is a number, for example.
    Unclear,
}

/// Judges the guess `given`, where `right` is `yes`, `no`, `never` or a number. A number may be
/// written as a word, and a unit may follow it.
pub fn judge_guess(given: &str, right: &str) -> Guess {
    let given = given.trim().trim_end_matches(['.', '!']).to_lowercase();
    let found = match right {
        "yes" | "no" => match &*given {
            "y" | "yes" | "yeah" | "yep" => Some("yes".to_owned()),
            "n" | "no" | "nope" => Some("no".to_owned()),
            _ => None,
        },
        _ if matches!(&*given, "never" | "forever" | "for ever") => Some("never".to_owned()),
        _ => number(&given).map(|number| number.to_string()),
    };
    match found {
        None => Guess::Unclear,
        Some(found) if found == right => Guess::Right,
        Some(_) => Guess::Wrong,
    }
}

/// The numbers that a reader may write in words.
const NUMBERS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
];

/// Returns the number at the beginning of `text`, in digits or in words. One more word may follow,
/// such as a unit.
fn number(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    if !digits.is_empty() {
        return digits.replace(',', "").parse().ok();
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let (number, rest) = match *words {
        ["a" | "one", "hundred", ref rest @ ..] => (100, rest),
        ["a" | "one", "thousand", ref rest @ ..] => (1000, rest),
        ["once", ref rest @ ..] => (1, rest),
        ["twice", ref rest @ ..] => (2, rest),
        [word, ref rest @ ..] => (NUMBERS.iter().position(|number| *number == word)? as u64, rest),
        [] => return None,
    };
    // Several words, or another number, may change the value.
    (rest.len() <= 1 && rest.iter().all(|word| !NUMBERS.contains(word))).then_some(number)
}

/// Splits a transcript into its turns: the actions of the clients, the wait, and all steps up to
/// the next action or wait.
pub fn turns(entries: &[TranscriptEntry]) -> Vec<&[TranscriptEntry]> {
    let begins = |at: usize| match &entries[at] {
        TranscriptEntry::Note(_) => at > 0 && !matches!(entries[at - 1], TranscriptEntry::Note(_)),
        TranscriptEntry::Step(traced) => {
            let is_wait = matches!(traced.step, Step::Waiting { .. });
            is_wait && at > 0 && !matches!(entries[at - 1], TranscriptEntry::Note(_))
        }
    };
    let mut starts: Vec<usize> = (0..entries.len()).filter(|at| begins(*at)).collect();
    starts.insert(0, 0);
    starts.push(entries.len());
    starts.windows(2).map(|ends| &entries[ends[0]..ends[1]]).collect()
}

/// Returns the lines of a transcript for a comparison with a bug. The last one says what the run
/// cost the other client, if there is another one.
pub fn compared(lesson: &Lesson, entries: &[TranscriptEntry]) -> Vec<String> {
    let cost = lesson.cost.map(|cost| format!("   {}", cost(entries)));
    lines(entries).into_iter().chain(cost).collect()
}

/// Returns the lines of a transcript, one for each entry. Repetitions are folded into one line.
pub fn lines(entries: &[TranscriptEntry]) -> Vec<String> {
    rows(entries).into_iter().map(|(line, _)| line).collect()
}

/// Returns the lines of a transcript, each with its entry. A line that stands for repetitions has
/// none.
pub fn rows(entries: &[TranscriptEntry]) -> Vec<(String, Option<&TranscriptEntry>)> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < entries.len() {
        let patterns = (1..=MAX_PATTERN).map(|pattern| (pattern, repetitions(&entries[at..], pattern)));
        let (pattern, times) = patterns.into_iter().find(|(_, times)| *times > 3).unwrap_or((1, 1));
        lines.extend(entries[at..at + pattern].iter().map(|entry| (entry.to_string(), Some(entry))));
        if times > 1 {
            lines.push((format!("   \u{2026} and so on, {times} times in all"), None));
        }
        at += pattern * times;
    }
    lines
}

/// Returns how many times the first `pattern` entries occur in a row at the start of `entries`. The
/// values of their fields are not compared.
fn repetitions(entries: &[TranscriptEntry], pattern: usize) -> usize {
    let Some(first) = entries.get(..pattern) else { return 0 };
    let is_alike = |entries: &[TranscriptEntry]| entries.iter().zip(first).all(|(a, b)| are_alike(a, b));
    entries.chunks_exact(pattern).take_while(|entries| is_alike(entries)).count()
}

/// Returns whether both entries are the same kind of step, by the same kind of source, in the same
/// turn.
fn are_alike(a: &TranscriptEntry, b: &TranscriptEntry) -> bool {
    match (a, b) {
        (TranscriptEntry::Step(a), TranscriptEntry::Step(b)) => {
            let (a, b) = (&a.line, &b.line);
            let are_same_kind = std::mem::discriminant(&a.source) == std::mem::discriminant(&b.source);
            a.doc == b.doc && a.turn == b.turn && are_same_kind
        }
        _ => false,
    }
}

/// Returns two transcripts of the same script side by side, in `width` columns. Each action of a
/// client is in the same row on both sides.
pub fn side_by_side(left: &[String], right: &[String], width: usize) -> Vec<String> {
    let column = width.saturating_sub(3) / 2;
    let mut rows = Vec::new();
    let (mut left, mut right) = (left, right);
    while !left.is_empty() || !right.is_empty() {
        let [a, b] = [&mut left, &mut right].map(take_action);
        for at in 0..a.len().max(b.len()) {
            let [a, b] = [a, b].map(|lines| cut(lines.get(at).map_or("", String::as_str), column));
            rows.push(format!("{a:column$} | {b}").trim_end().to_owned());
        }
    }
    rows
}

/// Removes and returns the first line of `lines` and the lines after it, up to the next action of a
/// client.
fn take_action<'a>(lines: &mut &'a [String]) -> &'a [String] {
    let is_action = |line: &String| {
        line.starts_with("   ") && !line.starts_with("   \u{2026}") && !line.starts_with("   (")
    };
    let len = lines.iter().skip(1).position(is_action).map_or(lines.len(), |at| at + 1);
    let (action, rest) = lines.split_at(len.min(lines.len()));
    *lines = rest;
    action
}

/// Returns `line` without its gloss, truncated to `width` columns.
fn cut(line: &str, width: usize) -> String {
    let line = line.split(" -- ").next().unwrap_or_default();
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width.saturating_sub(1)).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_of_a_page_is_found() {
        let page = "# Title\n\nBefore.\n\n## Predict\n\nHow many?\n\n## Run\n\nSo.\n\n```trace\na\n```\n\n## Explain\n\nBecause.\n";
        assert_eq!(prose_under(page, "Predict"), "How many?");
        assert_eq!(prose_under(page, "Run"), "So.");
        assert_eq!(prose_under(page, "Explain"), "Because.");
        assert_eq!(prose_under(page, "Nothing"), "");
    }

    #[test]
    fn guess_is_judged_by_what_it_means() {
        let right = "5 =5|five=5|Five times.=5|y=yes|NO=no|yeah=yes|a thousand=1000|1,001=1001|twice=2|never=never\
                     |one hundred=100|75 seconds=75|75s=75|zero=0|once=1";
        let wrong = "4=5|five=4|n=yes|never=10|10=never";
        let unclear = "banana=5|maybe=yes|=yes|=5|5=yes|yes=5|and=5|hundreds=5|times=5\
                       |sixty-four=64|one hundred and fifty=150|one thousand one=1001";
        for (table, expected) in [(right, Guess::Right), (wrong, Guess::Wrong), (unclear, Guess::Unclear)] {
            for pair in table.split('|') {
                let (given, answer) = pair.split_once('=').expect("a pair");
                assert_eq!(judge_guess(given, answer), expected, "{pair:?}");
            }
        }
        assert_eq!(judge_guess("99999999999999999999999", "5"), Guess::Unclear);
    }

    #[test]
    fn side_by_side_aligns_the_actions_of_clients() {
        let [left, right] = [["one -- gloss", "two"].as_slice(), &["a line that is long"]].map(owned);
        assert_eq!(side_by_side(&left, &right, 23), ["one        | a line th\u{2026}", "two        |"]);
        let left = owned(&["   A asks", "one", "two", "   A takes"]);
        let right = owned(&["   A asks", "one", "   A takes", "three"]);
        let rows = ["   A asks  |    A asks", "one        | one", "two        |", "   A takes |    A takes"];
        assert_eq!(side_by_side(&left, &right, 23)[..4], rows, "an action of a client stands in one row");
    }

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }
}
