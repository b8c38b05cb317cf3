//! Command lines as users of other servers write them: `oneloop 3000`, `oneloop help`, and
//! `--cors '*' .` instead of `--cors='*' .`.
//!
//! They are rewritten before clap parses them, but only if they can have no second meaning.
//! Otherwise a sentence shows the right form.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use clap::{Arg, Command};

/// What a word of the command line is as a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    Missing,
    File,
    Directory,
}

/// Returns what `word` is as a path.
pub fn path_kind(word: &OsStr) -> PathKind {
    match Path::new(word) {
        path if path.is_dir() => PathKind::Directory,
        path if path.exists() => PathKind::File,
        _ => PathKind::Missing,
    }
}

/// A command line for clap.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    pub args: Vec<OsString>,
    /// Whether a word without an option is the port.
    pub has_bare_port: bool,
}

/// A word that belongs to no option, as far as clap knows.
struct Word<'a> {
    /// The position in the arguments.
    at: usize,
    /// The option in front of the word, if it takes an optional value after `=`.
    option: Option<&'a Arg>,
    /// Whether the word follows `--`, and so must be DIR.
    is_literal: bool,
}

/// The words and options of a command line.
#[derive(Default)]
struct Scan<'a> {
    words: Vec<Word<'a>>,
    has_port: bool,
    has_directory: bool,
}

/// Rewrites `args`, which begin with the name of the program.
///
/// # Errors
/// Returns a sentence with advice if the arguments can mean two things, or name too many
/// directories, or if a command gets an option of the server.
pub fn rewrite(
    mut args: Vec<OsString>,
    definitions: &Command,
    kind_of: impl Fn(&OsStr) -> PathKind,
) -> Result<CommandLine, String> {
    let first = args.get(1).cloned().unwrap_or_default();
    if first == "help" {
        args.remove(1);
        args.push("--help".into());
        return Ok(CommandLine { args, has_bare_port: false });
    }
    if let Some(command) = definitions.find_subcommand(&first) {
        refuse_option_of_server(&args[2..], command, definitions)?;
        return Ok(CommandLine { args: join_ports(args, command), has_bare_port: false });
    }
    let scan = scan(&args, 1, definitions);
    let Some(mut scan) = scan else { return Ok(CommandLine { args, has_bare_port: false }) };

    let mut port = None;
    if !scan.has_port {
        let is_port = |word: &Word<'_>| is_port(word, &args[word.at], &kind_of);
        port = scan.words.iter().position(is_port).map(|index| scan.words.remove(index).at);
    }
    let values = values(&args, &scan, &kind_of)?;
    let roots: Vec<&Word<'_>> = scan.words.iter().filter(|word| !values.contains(&word.at)).collect();
    match roots[..] {
        [one, two, ..] => {
            let (one, two) = (args[one.at].display(), args[two.at].display());
            return Err(format!("'{one}' and '{two}' cannot both be served; give one directory"));
        }
        [one] if scan.has_directory => {
            let one = args[one.at].display();
            return Err(format!("'{one}' cannot be served beside the directory of --directory; give one"));
        }
        _ => {}
    }
    Ok(CommandLine { args: join(args, &values, port), has_bare_port: port.is_some() })
}

/// Refuses an option that only the server has. clap would suggest another option with a similar
/// name.
fn refuse_option_of_server(args: &[OsString], command: &Command, server: &Command) -> Result<(), String> {
    for arg in args.iter().take_while(|arg| *arg != "--") {
        let text = arg.to_string_lossy();
        if text.starts_with("--") && find(&text, server).is_some() && !has_option(&text, command) {
            let (option, name) = (text.split('=').next().unwrap_or_default(), command.get_name());
            return Err(format!(
                "'{option}' is an option of the server; leave it out, or see 'oneloop {name} --help'"
            ));
        }
    }
    Ok(())
}

/// Returns whether `command` or a command of it has the option in `text`.
fn has_option(text: &str, command: &Command) -> bool {
    find(text, command).is_some() || command.get_subcommands().any(|command| has_option(text, command))
}

/// Joins each number to the option of `command` in front of it, if another word is the argument.
fn join_ports(args: Vec<OsString>, command: &Command) -> Vec<OsString> {
    let Some(scan) = scan(&args, 2, command) else { return args };
    let has_argument = scan.words.iter().any(|word| word.option.is_none());
    let is_port = |word: &&Word<'_>| word.option.is_some() && is_number(&args[word.at]);
    let ports: Vec<usize> = scan.words.iter().filter(is_port).map(|word| word.at).collect();
    if has_argument { join(args, &ports, None) } else { args }
}

/// Returns the words and options in `args` from `start` on, or `None` if clap will refuse them.
fn scan<'a>(args: &[OsString], start: usize, definitions: &'a Command) -> Option<Scan<'a>> {
    let mut scan = Scan::default();
    let mut at = start;
    while at < args.len() {
        let text = args[at].to_string_lossy();
        let mut option = None;
        let mut takes_next = false;
        if text == "--" {
            scan.words.extend((at + 1..args.len()).map(|at| Word { at, option: None, is_literal: true }));
            break;
        } else if text.len() < 2 || !text.starts_with('-') {
            scan.words.push(Word { at, option: None, is_literal: false });
        } else {
            let (arg, has_value) = find(&text, definitions)?;
            scan.has_port |= arg.get_id() == "port";
            scan.has_directory |= arg.get_id() == "directory";
            let takes_value = arg.get_action().takes_values() && !has_value;
            takes_next = takes_value && !arg.is_require_equals_set();
            option = (takes_value && arg.is_require_equals_set()).then_some(arg);
        }
        at += if takes_next { 2 } else { 1 };
        let is_word = |arg: &OsString| arg == "-" || !arg.as_encoded_bytes().starts_with(b"-");
        if option.is_some() && args.get(at).is_some_and(is_word) {
            scan.words.push(Word { at, option, is_literal: false });
            at += 1;
        }
    }
    Some(scan)
}

/// Returns the last option in `text`, such as `--port=80`, `-p` or `-vp80`, and whether `text` has
/// its value. Returns `None` if clap does not know the option.
fn find<'a>(text: &str, definitions: &'a Command) -> Option<(&'a Arg, bool)> {
    if let Some(long) = text.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or_default();
        let has_name =
            |arg: &&Arg| arg.get_long_and_visible_aliases().is_some_and(|names| names.contains(&name));
        return definitions.get_arguments().find(has_name).map(|arg| (arg, long.contains('=')));
    }
    let mut last = None;
    for (at, short) in text.char_indices().skip(1) {
        let arg = definitions.get_arguments().find(|arg| arg.get_short() == Some(short))?;
        if arg.get_action().takes_values() {
            return Some((arg, at + short.len_utf8() < text.len()));
        }
        last = Some((arg, true));
    }
    last
}

/// Returns whether `word`, whose text is `text`, can only be the port: a number that is neither the
/// name of a file nor a valid value of the option in front of it.
fn is_port(word: &Word<'_>, text: &OsStr, kind_of: impl Fn(&OsStr) -> PathKind) -> bool {
    let takes_any = word.option.is_some_and(takes_any_file);
    !word.is_literal && !takes_any && is_number(text) && kind_of(text) == PathKind::Missing
}

/// Returns whether `text` is a number that a port may have.
fn is_number(text: &OsStr) -> bool {
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok();
    text.to_str().is_some_and(is_number)
}

/// Returns whether the value of `option` may be the name of any file.
fn takes_any_file(option: &Arg) -> bool {
    option.get_id() != "cors" && option.get_possible_values().is_empty()
}

/// Returns the positions of the words that are values of the options in front of them.
fn values(
    args: &[OsString],
    scan: &Scan<'_>,
    kind_of: impl Fn(&OsStr) -> PathKind,
) -> Result<Vec<usize>, String> {
    // If another word is the directory, each word behind such an option can only be its value.
    let has_root = scan.has_directory || scan.words.iter().any(|word| word.option.is_none());
    let mut values = Vec::new();
    for Word { at, option, .. } in &scan.words {
        let (Some(option), word) = (option, &args[*at]) else { continue };
        let text = word.to_string_lossy();
        let kind = kind_of(word);
        let is_value = if has_root || text == "-" {
            true
        } else if kind == PathKind::Directory {
            false
        } else if takes_any_file(option) {
            let option = option.get_long().unwrap_or_default();
            return Err(format!(
                "'--{option} {text}' can mean two things; write '--{option}={text}' or, to serve \
                 '{text}', '{text} --{option}'"
            ));
        } else {
            let is_level = option.get_possible_values().iter().any(|value| value.matches(&text, false));
            kind == PathKind::Missing && (is_level || text == "*" || text.contains("://"))
        };
        values.extend(is_value.then_some(*at));
    }
    Ok(values)
}

/// Joins the words at `values` to the options in front of them, and turns the word at `port` into
/// an option.
fn join(args: Vec<OsString>, values: &[usize], port: Option<usize>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for (at, arg) in args.into_iter().enumerate() {
        match joined.last_mut() {
            Some(option) if values.contains(&at) => {
                option.push("=");
                option.push(arg);
            }
            _ if port == Some(at) => {
                let mut option = OsString::from("--port=");
                option.push(arg);
                joined.push(option);
            }
            _ => joined.push(arg),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Cli;

    /// Rewrites `line` where `.`, `dist` and `7` are directories and `page.html` is a file. Returns
    /// an error's first word.
    fn rewritten(line: &str) -> String {
        let kind_of = |word: &OsStr| match word.to_str() {
            Some("." | "dist" | "7") => PathKind::Directory,
            Some("page.html" | "4000") => PathKind::File,
            _ => PathKind::Missing,
        };
        let args = ["oneloop"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty()));
        match rewrite(args.map(OsString::from).collect(), &Cli::command(), kind_of) {
            Ok(line) => line.args[1..].join(OsStr::new(" ")).into_string().expect("UTF-8"),
            Err(sentence) => format!("error: {sentence}"),
        }
    }

    #[test]
    fn command_lines_with_one_meaning_are_rewritten() {
        let table = [
            ("3000", "--port=3000"),
            ("dist 3000", "dist --port=3000"),
            ("3000 dist", "--port=3000 dist"),
            ("--listing 0 .", "--listing --port=0 ."),
            ("--cors 3000", "--cors --port=3000"),
            ("--cors * 3000", "--cors=* --port=3000"),
            ("--cors * .", "--cors=* ."),
            ("--cors *", "--cors=*"),
            ("--cors http://localhost:3000", "--cors=http://localhost:3000"),
            ("--cors http://a --cors http://b .", "--cors=http://a --cors=http://b ."),
            (". --cors *", ". --cors=*"),
            ("--spa index.html .", "--spa=index.html ."),
            ("--spa page.html dist", "--spa=page.html dist"),
            ("-p 80 --spa app.html -vq dist", "-p 80 --spa=app.html -vq dist"),
            ("--access-log f .", "--access-log=f ."),
            ("--access-log - --trace", "--access-log=- --trace"),
            ("--trace bytes .", "--trace=bytes ."),
            ("--trace bytes", "--trace=bytes"),
            ("--trace io --access-log f --directory dist", "--trace=io --access-log=f --directory dist"),
            ("help", "--help"),
            ("help talk smtp", "talk smtp --help"),
            ("replay --observe 8001 run.json", "replay --observe=8001 run.json"),
            ("replay run.json --observe 8001", "replay run.json --observe=8001"),
        ];
        for (line, expected) in table {
            assert_eq!(rewritten(line), expected, "{line}");
        }
    }

    #[test]
    fn other_command_lines_stay() {
        let table = [
            "",
            "dist",
            "7",     // a directory
            "4000",  // a file
            "65536", // not a port
            "-- 3000",
            "./3000",
            "--port 80 3000",
            "-p80 3000",
            "--port=80 3000",
            "--cors dist",
            "--spa dist --trace",
            "--trace dist",
            "--trace page.html",
            "--trace everything",
            "--cors=* .",
            "--spa -v .",
            "--no-such-option * . ..",
            "-x 3000",
            "talk udp 3000",
            "lesson 3",
            "lesson 3 --break write-all",
            "replay --observe run.json",
            "replay --observe=8001 run.json",
            "replay --observe 8001",
            "talk http -- --health",
            "talk tcp --trace localhost:80",
            "replay --no-such-option 8001 run.json",
            "--help 3000",
            "--allow-host * .",
            "-vp 3000 dist",
            "--header help .",
        ];
        for line in table {
            assert_eq!(rewritten(line), line);
        }
    }

    #[test]
    fn command_lines_with_two_meanings_are_mistakes() {
        let table = [
            ("--spa page.html", &["'--spa=page.html'", "'page.html --spa'"][..]),
            ("--spa app.html 3000", &["'--spa=app.html'"]),
            ("--access-log f", &["'--access-log=f'"]),
            (". dist", &["'.' and 'dist'"]),
            ("3000 4000 dist", &["'4000' and 'dist'"]),
            ("--cors dist --trace .", &["'dist' and '.'"]),
            ("--directory dist .", &["'.'", "--directory"]),
            ("--root dist .", &["'.'", "--directory"]),
            ("replay --health=x run.json", &["'--health'", "'oneloop replay --help'"]),
            ("talk http --mount /a=b http://a/", &["'--mount'", "'oneloop talk --help'"]),
        ];
        for (line, parts) in table {
            let sentence = rewritten(line);
            assert!(sentence.starts_with("error: "), "{line}: {sentence}");
            assert!(parts.iter().all(|part| sentence.contains(part)), "{line}: {sentence}");
        }
    }
}
