//! The description of a kind of step: its name, format and meaning. Every output is generated from
//! this description.

use std::fmt::Write as _;

use super::field::Field;

/// The level of detail of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceLevel {
    /// Shows wake-ups of the loop, and connections that open and close.
    Wakes,
    /// Also shows the sets of each poll, as arguments and results of `select()`.
    Sets,
    /// Also shows every call and decision, and ready sources with their flags instead of the sets.
    Io,
    /// Also shows the first bytes received and sent.
    Bytes,
}

/// The description of one kind of step.
#[derive(Debug, PartialEq, Eq)]
pub struct StepDoc {
    /// The verb: the word after the source in a text trace, and the name of the slice in a
    /// recording.
    pub verb: &'static str,
    /// A template for the words after the verb. `{name}` is replaced by the value of the field
    /// `name`. In `{name:TEXT}`, `TEXT` is what the documentation shows instead of a value. A word
    /// whose field is missing is omitted.
    pub form: &'static str,
    /// A short remark that a text trace shows after ` -- `, or an empty string.
    pub gloss: &'static str,
    /// The meaning of the step, for the documentation.
    pub meaning: &'static str,
    /// The lowest level that shows the step.
    pub level: TraceLevel,
}

/// A piece of a [form](StepDoc::form).
enum FormPart<'a> {
    Literal(&'a str),
    Placeholder { name: &'a str, shown: Option<&'a str> },
}

impl StepDoc {
    /// Returns the form with the placeholders replaced by the values of `fields`.
    pub(super) fn fill(&self, fields: &[Field]) -> String {
        let mut text = String::new();
        for word in words(self.form) {
            let end = text.len();
            text.push_str(if text.is_empty() { "" } else { " " });
            let is_filled = pieces(word).all(|piece| match piece {
                FormPart::Literal(literal) => {
                    text.push_str(literal);
                    true
                }
                FormPart::Placeholder { name, .. } => fields
                    .iter()
                    .find(|field| field.name == name)
                    .is_some_and(|field| write!(text, "{}", field.value).is_ok()),
            });
            if !is_filled {
                text.truncate(end);
            }
        }
        text
    }

    /// Returns the verb and the form as the documentation shows them, such as
    /// `read OFFERED -> GOT buf=N`.
    pub(super) fn usage(&self) -> String {
        let mut text = String::from(self.verb);
        for word in words(self.form).filter(|word| !word.is_empty()) {
            text.push(' ');
            for piece in pieces(word) {
                match piece {
                    FormPart::Literal(literal) => text.push_str(literal),
                    FormPart::Placeholder { shown: Some(shown), .. } => text.push_str(shown),
                    FormPart::Placeholder { name, .. } => text.push_str(&name.to_uppercase()),
                }
            }
        }
        text
    }

    /// Returns the names of the form's placeholders, each with what the documentation shows in its
    /// place.
    pub(super) fn placeholders(&self) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
        words(self.form).flat_map(pieces).filter_map(|piece| match piece {
            FormPart::Placeholder { name, shown } => Some((name, shown)),
            FormPart::Literal(_) => None,
        })
    }

    /// Returns whether `fields` are exactly the field names in the form, in any order.
    pub(super) fn has_fields<'f>(&self, fields: impl Iterator<Item = &'f str>) -> bool {
        let mut expected: Vec<&str> = self.placeholders().map(|(name, _)| name).collect();
        let mut actual: Vec<&str> = fields.collect();
        expected.sort_unstable();
        actual.sort_unstable();
        actual == expected
    }
}

/// Splits a form at the spaces outside placeholders.
fn words(form: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    form.split(move |c| {
        is_inside = c == '{' || is_inside && c != '}';
        c == ' ' && !is_inside
    })
}

/// Splits a word of a form into literals and placeholders.
fn pieces(word: &str) -> impl Iterator<Item = FormPart<'_>> {
    // Braces do not nest, so every second piece is a placeholder.
    word.split(['{', '}']).enumerate().map(|(index, text)| match text.split_once(':') {
        _ if index % 2 == 0 => FormPart::Literal(text),
        Some((name, shown)) => FormPart::Placeholder { name, shown: Some(shown) },
        None => FormPart::Placeholder { name: text, shown: None },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOC: StepDoc = StepDoc {
        verb: "do",
        form: "that {got} -> {sent:N}/{of:N} {names:A ... and N more} late={late_us:TIME|never}",
        gloss: "",
        meaning: "",
        level: TraceLevel::Io,
    };

    #[test]
    fn form_is_filled_and_words_without_their_field_are_left_out() {
        let fields = |names: &[&'static str]| -> Vec<Field> {
            names.iter().zip(1..).map(|(name, n)| Field::new(name, n)).collect()
        };
        let filled = |names: &[&'static str]| DOC.fill(&fields(names));
        assert_eq!(filled(&["got", "sent", "of", "names", "late_us"]), "that 1 -> 2/3 4 late=5");
        assert_eq!(filled(&["got", "sent", "late_us"]), "that 1 -> late=3");
        assert_eq!(filled(&[]), "that ->");
        assert_eq!(StepDoc { form: "", ..DOC }.fill(&[]), "");
        assert_eq!(StepDoc { form: "{got}", ..DOC }.fill(&[]), "");
    }

    #[test]
    fn usage_shows_a_placeholder_by_its_text_or_its_name() {
        assert_eq!(DOC.usage(), "do that GOT -> N/N A ... and N more late=TIME|never");
        assert_eq!(StepDoc { form: "", ..DOC }.usage(), "do");
    }

    #[test]
    fn form_names_its_fields() {
        assert!(DOC.has_fields(["of", "late_us", "got", "sent", "names"].into_iter()));
        assert!(!DOC.has_fields(["of", "late_us", "got", "sent"].into_iter()));
        assert!(!DOC.has_fields(["of", "late_us", "got", "sent", "names", "more"].into_iter()));
    }
}
