//! Edits a line as it is typed, and keeps earlier lines. It gets bytes, and draws nothing.

use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};
use tui_input::{Input, InputRequest};
use unicode_width::UnicodeWidthChar;

/// The length of a line, in characters. Further characters are not accepted.
const MAX_LINE: usize = 1000;
/// The number of lines that are kept.
const MAX_HISTORY: usize = 200;

/// What a typed byte has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyEffect {
    /// Nothing that can be seen: the byte is a part of a sequence, or means nothing.
    None,
    /// This character has been added to the end of the line.
    Appended(char),
    /// The line or the place of the cursor is another one.
    Changed,
    /// The line is complete.
    Entered,
    /// Ctrl-D on an empty line: the input has ended.
    Ended,
    /// The key of a signal: Ctrl-C, Ctrl-\ or Ctrl-Z.
    Signal(u8),
}

/// A line that is being typed, and the lines that were entered before it.
pub struct LineEditor {
    parser: Parser,
    keys: Keys,
}

/// The part of the editor that the parser calls.
struct Keys {
    input: Input,
    history: Vec<String>,
    /// The shown line of `history`, or its length for the line that is being typed.
    shown: usize,
    /// The line that was being typed when a line of `history` took its place.
    unfinished: String,
    /// Whether the next character ends `ESC O`, which some terminals send for the arrow keys.
    is_after_esc_o: bool,
    effect: KeyEffect,
}

impl LineEditor {
    pub fn new() -> LineEditor {
        LineEditor {
            parser: Parser::<DefaultCharAccumulator>::new(),
            keys: Keys {
                input: Input::default(),
                history: Vec::new(),
                shown: 0,
                unfinished: String::new(),
                is_after_esc_o: false,
                effect: KeyEffect::None,
            },
        }
    }

    /// Handles a typed byte.
    pub fn take_byte(&mut self, byte: u8) -> KeyEffect {
        self.keys.effect = KeyEffect::None;
        self.parser.advance(&mut self.keys, byte);
        self.keys.effect
    }

    /// Returns the line, and begins the next one.
    pub fn take_line(&mut self) -> String {
        let line = self.keys.input.value_and_reset();
        self.keys.shown = self.keys.history.len();
        line
    }

    /// Keeps a line, so that the arrow keys return to it. An empty line is not kept, and neither is
    /// one that repeats the line before it.
    pub fn remember(&mut self, line: &str) {
        let Keys { history, shown, .. } = &mut self.keys;
        if !line.is_empty() && history.last().is_none_or(|last| last != line) {
            if history.len() == MAX_HISTORY {
                history.remove(0);
            }
            history.push(line.to_owned());
        }
        *shown = history.len();
    }

    /// Returns the part of the line that fits into `room` columns, and the column of the cursor in
    /// it.
    pub fn view(&self, room: usize) -> (String, usize) {
        let input = &self.keys.input;
        let scroll = input.visual_scroll(room);
        let (mut column, mut text) = (0, String::new());
        for c in input.value().chars() {
            let end = column + c.width().unwrap_or(0);
            if column >= scroll && end <= scroll + room {
                text.push(c);
            }
            column = end;
        }
        (text, input.visual_cursor() - scroll)
    }
}

impl Keys {
    fn edit(&mut self, request: InputRequest) {
        if self.input.handle(request).is_some() {
            self.effect = KeyEffect::Changed;
        }
    }

    fn insert(&mut self, c: char) {
        let len = self.input.value().chars().count();
        if len < MAX_LINE {
            let is_at_end = self.input.cursor() == len;
            self.edit(InputRequest::InsertChar(c));
            if is_at_end {
                self.effect = KeyEffect::Appended(c);
            }
        }
    }

    /// Shows the line before the shown one.
    fn show_earlier(&mut self) {
        let Some(earlier) = self.shown.checked_sub(1) else { return };
        if self.shown == self.history.len() {
            self.unfinished = self.input.value().to_owned();
        }
        self.show(earlier);
    }

    /// Shows the line after the shown one.
    fn show_later(&mut self) {
        if self.shown < self.history.len() {
            self.show(self.shown + 1);
        }
    }

    fn show(&mut self, index: usize) {
        self.shown = index;
        let line = self.history.get(index).unwrap_or(&self.unfinished).clone();
        self.input = std::mem::take(&mut self.input).with_value(line);
        self.effect = KeyEffect::Changed;
    }

    /// Handles the letter at the end of the sequence of an arrow key, Home or End.
    fn take_key(&mut self, letter: u8) {
        match letter {
            b'A' => self.show_earlier(),
            b'B' => self.show_later(),
            b'C' => self.edit(InputRequest::GoToNextChar),
            b'D' => self.edit(InputRequest::GoToPrevChar),
            b'F' => self.edit(InputRequest::GoToEnd),
            b'H' => self.edit(InputRequest::GoToStart),
            _ => {}
        }
    }
}

const fn ctrl(letter: u8) -> u8 {
    letter & 0x1f
}

const CTRL_A: u8 = ctrl(b'a');
const CTRL_B: u8 = ctrl(b'b');
const CTRL_C: u8 = ctrl(b'c');
const CTRL_D: u8 = ctrl(b'd');
const CTRL_E: u8 = ctrl(b'e');
const CTRL_F: u8 = ctrl(b'f');
const CTRL_K: u8 = ctrl(b'k');
const CTRL_L: u8 = ctrl(b'l');
const CTRL_N: u8 = ctrl(b'n');
const CTRL_P: u8 = ctrl(b'p');
const CTRL_U: u8 = ctrl(b'u');
const CTRL_W: u8 = ctrl(b'w');
const CTRL_Y: u8 = ctrl(b'y');
const CTRL_Z: u8 = ctrl(b'z');
const CTRL_BACKSLASH: u8 = ctrl(b'\\');
const BACKSPACE: u8 = 0x08;
const DELETE: char = '\x7f';

/// Handles the keys as readline(3) does.
impl Perform for Keys {
    fn print(&mut self, c: char) {
        match c {
            _ if std::mem::take(&mut self.is_after_esc_o) => self.take_key(u8::try_from(c).unwrap_or(0)),
            // The key that deletes backwards sends this byte.
            DELETE => self.edit(InputRequest::DeletePrevChar),
            c if c.is_control() => {}
            c => self.insert(c),
        }
    }

    fn execute(&mut self, byte: u8) {
        self.is_after_esc_o = false;
        match byte {
            b'\n' | b'\r' => self.effect = KeyEffect::Entered,
            CTRL_D if self.input.value().is_empty() => self.effect = KeyEffect::Ended,
            CTRL_C | CTRL_BACKSLASH | CTRL_Z => self.effect = KeyEffect::Signal(byte),
            CTRL_A => self.edit(InputRequest::GoToStart),
            CTRL_B => self.edit(InputRequest::GoToPrevChar),
            CTRL_D => self.edit(InputRequest::DeleteNextChar),
            CTRL_E => self.edit(InputRequest::GoToEnd),
            CTRL_F => self.edit(InputRequest::GoToNextChar),
            BACKSPACE => self.edit(InputRequest::DeletePrevChar),
            CTRL_K => self.edit(InputRequest::DeleteTillEnd),
            CTRL_L => self.effect = KeyEffect::Changed,
            CTRL_N => self.show_later(),
            CTRL_P => self.show_earlier(),
            CTRL_U => self.edit(InputRequest::DeleteFromStart),
            CTRL_W => self.edit(InputRequest::DeletePrevWord),
            CTRL_Y => self.edit(InputRequest::Yank),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _: bool, action: u8) {
        let mut values = params.iter().map(|param| param[0]);
        let (first, modifier) = (values.next(), values.next());
        match (action, first, modifier) {
            _ if !intermediates.is_empty() => {}
            (b'~', Some(1 | 7), _) => self.edit(InputRequest::GoToStart),
            (b'~', Some(3), _) => self.edit(InputRequest::DeleteNextChar),
            (b'~', Some(4 | 8), _) => self.edit(InputRequest::GoToEnd),
            // With Ctrl or Alt.
            (b'C', _, Some(3 | 5)) => self.edit(InputRequest::GoToNextWord),
            (b'D', _, Some(3 | 5)) => self.edit(InputRequest::GoToPrevWord),
            _ => self.take_key(action),
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _: bool, byte: u8) {
        match byte {
            _ if !intermediates.is_empty() => {}
            b'O' => self.is_after_esc_o = true,
            b'b' => self.edit(InputRequest::GoToPrevWord),
            b'f' => self.edit(InputRequest::GoToNextWord),
            b'd' => self.edit(InputRequest::DeleteNextWord),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: &str = "\x1b[A";
    const DOWN: &str = "\x1b[B";

    fn type_keys(editor: &mut LineEditor, keys: &str) -> KeyEffect {
        keys.bytes().map(|byte| editor.take_byte(byte)).last().unwrap_or(KeyEffect::None)
    }

    #[test]
    fn editor_knows_the_keys_of_readline() {
        let table = [
            ("p c1", "p c1"),
            ("b eof\x1b[D\x1b[D\x1b[Dx", "b xeof"),
            ("b eof\x1bOD\x1bODx\x1bOCy", "b exoyf"),
            ("1\x01b \x05!", "b 1!"),
            ("1\x1b[Hb \x1b[F!\x1b[1~>\x1b[4~<", ">b 1!<"),
            ("p c1\x7f2", "p c2"),
            ("p c1\x082", "p c2"),
            ("p c1\x15t", "t"),
            ("p c1\x02\x15", "1"),
            ("p c1\x17c2", "p c2"),
            ("p c1\x01\x04\x1b[3~", "c1"),
            ("p c1\x01\x06\x0bx", "px"),
            ("p c1\x15b \x19", "b p c1"),
            ("one two\x1bbx\x1b[1;5Dy\x1b[1;5C!", "one yxtwo!"),
            ("p \u{e9}\u{65e5}x\x7f\x7f", "p \u{e9}"),
            ("p\x1b[200~\x1b]0;title\x07\x1bP1$q\x1b\\ c1\x00", "p c1"),
        ];
        for (keys, expected) in table {
            let mut editor = LineEditor::new();
            type_keys(&mut editor, keys);
            assert_eq!(editor.take_line(), expected, "{keys:?}");
            assert_eq!(editor.take_line(), "", "the next line is empty");
        }
    }

    #[test]
    fn editor_reports_the_end_of_a_line_and_signals() {
        let table = [
            ("p", KeyEffect::Appended('p')),
            ("p\x01x", KeyEffect::Changed),
            ("p\n", KeyEffect::Entered),
            ("p\r", KeyEffect::Entered),
            ("\x04", KeyEffect::Ended),
            ("p\x04", KeyEffect::None),
            ("p\x03", KeyEffect::Signal(3)),
            ("\x1a", KeyEffect::Signal(26)),
            ("\x1c", KeyEffect::Signal(28)),
            ("\x7f", KeyEffect::None),
            ("\x1b[", KeyEffect::None),
        ];
        for (keys, expected) in table {
            assert_eq!(type_keys(&mut LineEditor::new(), keys), expected, "{keys:?}");
        }
    }

    #[test]
    fn editor_returns_to_earlier_lines() {
        let mut editor = LineEditor::new();
        for line in ["t", "p c1", "p c1", "", "b eof"] {
            type_keys(&mut editor, line);
            let line = editor.take_line();
            editor.remember(&line);
        }
        let table = [
            ([UP, "", ""], "b eof"),
            ([UP, UP, ""], "p c1"),
            ([UP, UP, UP], "t"),
            (["x", UP, DOWN], "x"),
            (["", "\x10", "\x10"], "p c1"),
            (["x", DOWN, ""], "x"),
            ([UP, "!", ""], "b eof!"),
        ];
        for (keys, expected) in table {
            type_keys(&mut editor, &keys.concat());
            assert_eq!(editor.take_line(), expected, "{keys:?}");
        }
        type_keys(&mut editor, &UP.repeat(10));
        assert_eq!(editor.take_line(), "t", "the oldest line stays");
    }

    #[test]
    fn editor_keeps_a_bounded_line_and_history() {
        let mut editor = LineEditor::new();
        type_keys(&mut editor, &"x".repeat(2 * MAX_LINE));
        assert_eq!(editor.take_line().len(), MAX_LINE);
        (0..2 * MAX_HISTORY).for_each(|n| editor.remember(&n.to_string()));
        assert_eq!(editor.keys.history.len(), MAX_HISTORY);
        type_keys(&mut editor, UP);
        assert_eq!(editor.take_line(), (2 * MAX_HISTORY - 1).to_string());
    }

    #[test]
    fn view_shows_the_part_around_the_cursor() {
        let mut editor = LineEditor::new();
        type_keys(&mut editor, "abcdefgh");
        assert_eq!(editor.view(20), ("abcdefgh".into(), 8));
        assert_eq!(editor.view(5), ("defgh".into(), 5));
        type_keys(&mut editor, "\x01");
        assert_eq!(editor.view(5), ("abcde".into(), 0));
        type_keys(&mut editor, "\x0b\u{65e5}\u{65e5}\u{65e5}");
        assert_eq!(editor.view(20), ("\u{65e5}\u{65e5}\u{65e5}".into(), 6), "two columns for each");
    }
}
