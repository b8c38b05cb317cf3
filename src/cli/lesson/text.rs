//! Wraps the prose of a lesson.

/// The maximum length of a line of prose, in columns.
const LINE: usize = 100;

/// Wraps the paragraphs of `text` at `width` columns, or at [`LINE`] columns if that is less.
pub fn wrapped(text: &str, width: usize) -> String {
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
