//! Colours what the stepper and the replay print. Knows lines of text and no terminal.

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const MAGENTA: &str = "35";
const BOLD_CYAN: &str = "1;36";

/// What separates the facts of a line from its gloss.
const GLOSS: &str = " -- ";

/// The verbs that a reader must not miss, with their colours.
const VERBS: &[(&str, &str)] = &[
    ("deadline", MAGENTA),
    ("eof", MAGENTA),
    ("close", MAGENTA),
    ("carry", YELLOW),
    ("fault", RED),
    ("block", RED),
];

/// Colours the lines of `text` for a terminal, with the escape sequences of ECMA-48: wake-ups, what
/// would block, the ends of connections, answers of the quiz. Glosses and hints are dim.
pub fn highlight(text: &str) -> String {
    let mut is_hint = false;
    let lines = text.split('\n').map(|line| {
        is_hint |= line.starts_with('(');
        let colored = if is_hint { painted(DIM, line) } else { highlight_line(line) };
        is_hint &= !line.ends_with(')');
        colored
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Makes a prompt bold.
pub(super) fn highlight_prompt(text: &str) -> String {
    // The user's own text follows the space.
    match text.strip_suffix(' ') {
        Some(text) => painted(BOLD, text) + " ",
        None => painted(BOLD, text),
    }
}

fn highlight_line(line: &str) -> String {
    let mut words = line.split(' ');
    let (first, second, third) = (words.next().unwrap_or(""), words.next(), words.next());
    match (first.trim_end_matches([':', ',', ';', '.']), second) {
        ("breakpoint", _) => return painted(BOLD, line),
        ("right", _) => return painted(GREEN, line),
        ("wrong", _) => return painted(RED, line),
        // The line of a listing at which the loop stands, after its number.
        _ if line.get(4..8) == Some(" => ") && line.starts_with(' ') => return painted(BOLD, line),
        _ => {}
    }
    if !first.starts_with('#') {
        return line.to_owned();
    }
    match (second, third) {
        (Some("woke"), _) | (Some("loop"), Some("wake")) => return painted(BOLD_CYAN, line),
        (_, Some("has")) => return painted(BOLD, line),
        _ => {}
    }
    let (facts, gloss) = line.rsplit_once(GLOSS).map_or((line, None), |(facts, gloss)| (facts, Some(gloss)));
    let color = VERBS.iter().find(|(verb, _)| third == Some(verb)).map(|(_, color)| *color);
    let would_block = facts.contains(" -> WouldBlock").then_some(YELLOW);
    let mut colored = color.or(would_block).map_or_else(|| facts.to_owned(), |color| painted(color, facts));
    if let Some(gloss) = gloss {
        colored.push_str(&painted(DIM, &format!("{GLOSS}{gloss}")));
    }
    colored
}

fn painted(color: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\x1b[{color}m{text}\x1b[0m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highlight_marks_what_a_reader_looks_for() {
        let table = [
            ("#1 woke after 2ms: L1[R]", "\x1b[1;36m#1 woke after 2ms: L1[R]\x1b[0m"),
            ("#2 loop wake slept=9us kernel=1", "\x1b[1;36m#2 loop wake slept=9us kernel=1\x1b[0m"),
            ("#0 loop wait timeout=never carried=0", "#0 loop wait timeout=never carried=0"),
            ("#2 c1 has its turn", "\x1b[1m#2 c1 has its turn\x1b[0m"),
            ("#2 c1 read 65536 -> 87 buf=87", "#2 c1 read 65536 -> 87 buf=87"),
            (
                "#1 L1 accept -> WouldBlock -- queue empty",
                "\x1b[33m#1 L1 accept -> WouldBlock\x1b[0m\x1b[2m -- queue empty\x1b[0m",
            ),
            ("#3 c1 close reason=eof", "\x1b[35m#3 c1 close reason=eof\x1b[0m"),
            ("#3 c1 eof -- no more", "\x1b[35m#3 c1 eof\x1b[0m\x1b[2m -- no more\x1b[0m"),
            ("#9 c1 fault no-progress wakes=2", "\x1b[31m#9 c1 fault no-progress wakes=2\x1b[0m"),
            ("breakpoint 1: eof", "\x1b[1mbreakpoint 1: eof\x1b[0m"),
            (
                "#3 c1 write 9 -> WouldBlock by=write -- keep the offset",
                "\x1b[33m#3 c1 write 9 -> WouldBlock by=write\x1b[0m\x1b[2m -- keep the offset\x1b[0m",
            ),
            ("right", "\x1b[32mright\x1b[0m"),
            ("right: 87 bytes", "\x1b[32mright: 87 bytes\x1b[0m"),
            ("wrong: the call would block", "\x1b[31mwrong: the call would block\x1b[0m"),
            (" 123 =>     self.wait()?;", "\x1b[1m 123 =>     self.wait()?;\x1b[0m"),
            (" 124        SourceKind::Udp(_) => {", " 124        SourceKind::Udp(_) => {"),
            ("c1 HEAD in=30 out=0/0", "c1 HEAD in=30 out=0/0"),
            ("(one,\ntwo.)\nthree", "\x1b[2m(one,\x1b[0m\n\x1b[2mtwo.)\x1b[0m\nthree"),
            ("", ""),
        ];
        for (line, expected) in table {
            assert_eq!(highlight(line), expected, "{line}");
        }
        for (verb, _) in VERBS {
            assert!(crate::trace::glossary::VERBS.contains(verb), "no step has the verb {verb}");
        }
        assert_eq!(highlight_prompt("step> "), "\x1b[1mstep>\x1b[0m ");
    }
}
