//! The environment variables of options: which of them count, and mistakes in them, which are
//! reported by the names of the variables.

use std::ffi::{OsStr, OsString};

use clap::{
    Arg, ArgMatches, Command,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};

use super::args::DEFAULTS;

/// An argument whose value comes from its variable.
#[derive(Debug, Clone)]
pub struct FromVariable {
    /// The name of the argument in messages, such as `--port` or `DIR`.
    argument: String,
    variable: String,
}

/// Removes the variable from `arg` if it does not count: if it is empty, or another program's. A
/// boolean in the variable of an option with an optional value means the option without a value,
/// or no option.
pub fn apply(arg: Arg) -> Arg {
    let Some(value) = arg.get_env().and_then(std::env::var_os) else { return arg };
    // Kubernetes sets ONELOOP_PORT=tcp://IP:PORT in each pod beside a Service `oneloop`.
    let is_foreign = arg.get_id() == "port" && value.as_encoded_bytes().starts_with(b"tcp://");
    if value.is_empty() || is_foreign {
        return arg.env(None::<&str>);
    }
    let default = DEFAULTS.iter().find(|(id, _)| arg.get_id() == *id);
    match (default, boolean(&value)) {
        (Some((_, default)), Some(true)) => {
            arg.env(None::<&str>).default_value(*default).hide_default_value(true)
        }
        (Some(_), Some(false)) => arg.env(None::<&str>),
        _ => arg,
    }
}

/// Returns the meaning of the words that clap takes for booleans.
pub fn boolean(word: &OsStr) -> Option<bool> {
    match &*word.to_str()?.to_ascii_lowercase() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Some(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Parses `args`. An error in a variable names the variable.
///
/// # Errors
/// Returns the error for the user, or the help.
pub fn parse(definitions: &mut Command, args: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let mut error = match definitions.try_get_matches_from_mut(args) {
        Ok(matches) => return Ok(matches),
        Err(error) => error,
    };
    let Some(ContextValue::String(culprit)) = error.get(ContextKind::InvalidArg).cloned() else {
        return Err(error);
    };
    // `--port <PORT>` or `--trace[=<LEVEL>]`.
    let name = culprit.trim_start_matches('-').split([' ', '[']).next();
    let mut variable = None;
    let without = definitions.clone().mut_args(|arg| {
        if arg.get_env().and_then(std::env::var_os).is_none() || arg.get_long() != name {
            return arg;
        }
        variable = arg.get_env().map(OsStr::to_os_string);
        arg.env(None::<&str>)
    });
    // If the variable is wrong, the error goes away without it, or another one appears.
    let is_same = |other: clap::Error| {
        other.get(ContextKind::InvalidArg) == Some(&ContextValue::String(culprit.clone()))
    };
    if let Some(variable) = variable
        && !without.try_get_matches_from(args).is_err_and(is_same)
    {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable.display().to_string()));
    }
    Err(error)
}

/// Returns the arguments whose values come from variables.
pub fn used(definitions: &Command, matches: &ArgMatches) -> Vec<FromVariable> {
    let is_used = |arg: &&Arg| {
        matches!(matches.try_contains_id(arg.get_id().as_str()), Ok(true))
            && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::EnvVariable)
            // --directory takes the place of the variable.
            && !(arg.get_id() == "dir" && matches.contains_id("directory"))
    };
    let named = definitions.get_arguments().filter(is_used).filter_map(|arg| {
        let argument = arg.get_long().map_or("DIR".into(), |name| format!("--{name}"));
        Some(FromVariable { argument, variable: arg.get_env()?.to_str()?.to_owned() })
    });
    named.collect()
}

/// Returns the message `text` with the names of variables in place of the arguments whose values
/// come from them.
pub fn rename(text: &str, used: &[FromVariable]) -> String {
    let is_part = |c: char| c == '-' || c == '_' || c.is_ascii_alphanumeric();
    let mut renamed = String::with_capacity(text.len());
    for word in text.split_inclusive(|c| !is_part(c)) {
        let name = word.trim_end_matches(|c| !is_part(c));
        match used.iter().find(|FromVariable { argument, .. }| argument == name) {
            Some(FromVariable { variable, .. }) => {
                renamed.push_str(variable);
                renamed.push_str(&word[name.len()..]);
            }
            None => renamed.push_str(word),
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_are_replaced() {
        let used = [("--trace", "ONELOOP_TRACE"), ("DIR", "ONELOOP_DIR")].map(|(argument, variable)| {
            FromVariable { argument: argument.into(), variable: variable.into() }
        });
        let table = [
            (
                "'x' is wrong for --trace; use --trace-only",
                "'x' is wrong for ONELOOP_TRACE; use --trace-only",
            ),
            ("--trace: no; DIR must be", "ONELOOP_TRACE: no; ONELOOP_DIR must be"),
            ("MAILDIR, --no-trace, DIRS", "MAILDIR, --no-trace, DIRS"),
            ("", ""),
        ];
        for (text, expected) in table {
            assert_eq!(rename(text, &used), expected);
        }
    }
}
