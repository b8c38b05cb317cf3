//! Why a parameter of the load target is not valid, as a sentence for its client.

use std::fmt;

use super::{behaviour::NAMES, faults};
use crate::printable::replace_unprintable;

/// The maximum length of a client's text in a message, in characters.
const MAX_SHOWN: usize = 60;

/// A parameter that is not valid.
#[derive(Debug, PartialEq, Eq)]
pub struct ParameterError {
    /// A sentence that names the parameter and says what is allowed.
    message: String,
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ParameterError {
    /// Describes a parameter that does not exist.
    pub fn unknown(name: &str) -> ParameterError {
        let names = [&NAMES.map(|(name, _)| name)[..], &faults::NAMES].concat().join(", ");
        ParameterError { message: format!("'{}' is not a parameter; use {names}", shown(name)) }
    }

    /// Describes a value that is not valid. `advice` says what is.
    pub fn invalid(name: &str, value: &str, advice: &str) -> ParameterError {
        ParameterError { message: format!("'{}' is not valid for {name}; {advice}", shown(value)) }
    }

    /// Describes a parameter that is given more than once.
    pub fn repeated(name: &str) -> ParameterError {
        ParameterError { message: format!("{name} is given twice; use it once") }
    }
}

/// Returns a client's text so that it can be shown, perhaps cut short.
fn shown(text: &str) -> String {
    let text = replace_unprintable(text.as_bytes());
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}\u{2026}", &text[..at]),
        None => text,
    }
}
