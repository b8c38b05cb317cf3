//! The text of a lesson: the sections of its page, and its transcripts, alone or side by side.

use super::harness::TranscriptEntry;

/// The maximum number of lines in a pattern whose repetitions are folded.
const MAX_PATTERN: usize = 3;

/// Returns the section of `page` under the heading `name`, from after the heading up to the first
/// code block.
pub fn prose_under<'a>(page: &'a str, name: &str) -> &'a str {
    let from = page.find(&format!("\n## {name}")).map_or("", |at| &page[at + 1..]);
    let body = from.split_once('\n').map_or("", |(_, body)| body);
    body.split("\n## ").next().unwrap_or_default().split("\n```").next().unwrap_or_default().trim()
}

/// Returns whether the answer `given` is the `right` one. `y` and `n` are accepted for `yes` and
/// `no`.
pub fn answer_is(given: &str, right: &str) -> bool {
    let given = given.trim().to_lowercase();
    given == right || (given.len() == 1 && matches!(right, "yes" | "no") && right.starts_with(&given))
}

/// Returns the lines of a transcript, one for each entry. Repetitions are folded into one line.
pub fn lines(entries: &[TranscriptEntry]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut at = 0;
    while at < entries.len() {
        let patterns = (1..=MAX_PATTERN).map(|pattern| (pattern, repetitions(&entries[at..], pattern)));
        let (pattern, times) = patterns.into_iter().find(|(_, times)| *times > 3).unwrap_or((1, 1));
        lines.extend(entries[at..at + pattern].iter().map(TranscriptEntry::to_string));
        if times > 1 {
            lines.push(format!("   \u{2026} and so on, {times} times in all"));
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
    fn prediction_is_compared() {
        let table = [
            ("5", "5", true),
            (" 5 \n", "5", true),
            ("4", "5", false),
            ("y", "yes", true),
            ("N", "no", true),
        ];
        for (given, right, expected) in table {
            assert_eq!(answer_is(given, right), expected, "{given:?}");
        }
        assert!(!answer_is("", "yes") && !answer_is("n", "yes"));
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
