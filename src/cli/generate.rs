//! Generates shell completions and the man page from the definitions of the command line.

use std::io;

use clap::{Arg, CommandFactory, builder::PossibleValuesParser};
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};
use oneloop::lessons::LESSONS;

use super::{
    args::Cli,
    help::{EXAMPLES, EXIT_STATUS, SIGNALS},
};

/// The date of the man page, updated when more than the wording changes.
const MAN_PAGE_DATE: &str = "2026-11-27";

/// The text of the man page's DESCRIPTION section.
const DESCRIPTION: &str = "\
oneloop serves the files below the directory DIR over HTTP from one thread. An event loop waits in one \
poller for its listening sockets, its connections, signals and file changes, and handles each that is \
ready. oneloop prints the URL of each listening socket to standard output, one per line, and runs until \
a signal ends it. The option --trace shows what the loop does, --step stops it at every wake-up, and \
the command lesson explains it.";

/// The text of the man page's ENVIRONMENT section. The names of the variables follow it.
const ENVIRONMENT: &str = "\
DIR and every option except --verbose and --quiet can also be set by a variable. An argument on the \
command line replaces the value of its variable. An empty variable counts as not set. Repeatable options \
take a comma-separated list; ONELOOP_HEADER takes one header per line, ONELOOP_REDIRECT one rule. The variable of an option \
that needs no value may be 1, true, yes or on, or 0, false, no or off. The commands ignore the variables, but \
healthcheck reads ONELOOP_PORT. The variables are";

/// The bash code that finds the word before the one to complete. OPTIONS are those whose value, if
/// they have one, follows an "=".
const BASH_PREVIOUS: &str = "    prev=\"$3\"
    if [[ \"${prev}\" == \"=\" ]]; then
        prev=\"${COMP_WORDS[COMP_CWORD-2]}\"
    elif [[ \" OPTIONS \" == *\" ${prev} \"* ]]; then
        prev=\"\"
    fi\n";

/// The zsh code that completes the first argument: a directory, a file or a command.
const ZSH_FIRST: &str = "\
'::directory or command:{_alternative \"commands:command:_oneloop_commands\" \
\"directories:directory or file:_files\"}'";

/// Returns the completions for `shell`.
pub fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    let definitions = Cli::command();
    clap_complete::generate(shell, &mut with_lessons(definitions.clone()), "oneloop", &mut text);
    let text = String::from_utf8_lossy(&text);
    // A space after such an option ends it, so the shell must not offer its values there.
    let optional = definitions.get_arguments().filter(|arg| arg.is_require_equals_set());
    let optional: Vec<&str> = optional.filter_map(Arg::get_long).collect();
    match shell {
        // Bash treats "=" as a separate word.
        Shell::Bash => {
            let options: Vec<String> = optional.iter().map(|name| format!("--{name}")).collect();
            let previous = BASH_PREVIOUS.replace("OPTIONS", &options.join(" "));
            text.replace("    prev=\"$3\"\n", &previous)
        }
        // While the value of an option is missing, fish cannot parse the line and would offer files
        // instead.
        Shell::Fish => {
            let text = text.replace("2>/dev/null\n    or return\n", "2>/dev/null\n    or return 0\n");
            let lines = text.split_inclusive('\n').map(|line| fish_optional(line, &optional));
            lines.collect()
        }
        // The first argument is DIR or a command, but clap_complete offers only DIR.
        Shell::Zsh => {
            let is_dir = |line: &&str| line.starts_with("'::dir --");
            let lines: String = text.split_inclusive('\n').filter(|line| !is_dir(line)).collect();
            let lines = lines.replace("$line[2]", "$line[1]").replace("\":: :_oneloop_commands\"", ZSH_FIRST);
            optional
                .iter()
                .fold(lines, |lines, name| lines.replace(&format!("--{name}=["), &format!("--{name}=-[")))
        }
        _ => text.into_owned(),
    }
}

/// Makes the value of the options `names` optional in a line of the fish completions.
fn fish_optional(line: &str, names: &[&str]) -> String {
    // The options as argparse(1) knows them.
    if line.trim_start().starts_with("string join") {
        let words = line.split(' ').map(|word| match word.trim_end().strip_suffix('=') {
            // The question mark would be a wildcard.
            Some(name) if names.contains(&name) => word.replace('=', "'=?'"),
            _ => word.to_owned(),
        });
        return words.collect::<Vec<_>>().join(" ");
    }
    let is_optional = names.iter().any(|name| line.contains(&format!(" -l {name} ")));
    if is_optional { line.replacen(" -r", "", 1) } else { line.to_owned() }
}

/// Adds the lesson numbers and the names of the bugs, so that a shell can complete them.
fn with_lessons(definitions: clap::Command) -> clap::Command {
    let numbers: Vec<String> =
        LESSONS.iter().map(|lesson| lesson.number.to_string()).chain(["words".into()]).collect();
    let bugs: Vec<&str> = LESSONS.iter().flat_map(|lesson| lesson.bugs).map(|bug| bug.name()).collect();
    definitions.mut_subcommand("lesson", |lesson| {
        lesson
            .mut_arg("number", |arg| arg.value_parser(PossibleValuesParser::new(numbers)))
            .mut_arg("broken", |arg| arg.value_parser(PossibleValuesParser::new(bugs)))
    })
}

/// Returns the man page in roff.
pub fn man_page() -> io::Result<String> {
    let definitions = Cli::command();
    let mut own = Roff::new();
    commands(&mut own, &definitions);
    table(&mut own, "EXIT STATUS", EXIT_STATUS);
    table(&mut own, "SIGNALS", SIGNALS);
    environment(&mut own, &definitions);
    table(&mut own, "EXAMPLES", EXAMPLES);

    let mut generated = Vec::new();
    let definitions = definitions
        .about("serve a directory over HTTP from one thread and one poller")
        .long_about(DESCRIPTION)
        .override_usage(synopsis(&Cli::command()))
        .after_help(None::<&str>)
        .after_long_help(None::<&str>)
        // clap_mangen would refer to a separate page for each command. The COMMANDS section
        // describes the commands instead.
        .mut_subcommands(|command| command.hide(true));
    Man::new(definitions).date(MAN_PAGE_DATE).manual("User Commands").render(&mut generated)?;
    let generated = String::from_utf8_lossy(&generated)
        // These line breaks should be paragraph breaks, and mandoc warns about them.
        .replace(".br\n\n.br\n\\fIPossible values:", ".IP\n\\fIPossible values:");

    // Drop the VERSION section, which repeats the footer.
    let (options, _) = generated.split_once(".SH VERSION").unwrap_or((&generated, ""));
    let own = own.render();
    let sections = &own[own.find(".SH").unwrap_or_default()..];
    Ok(format!("{options}{sections}"))
}

/// Returns the synopsis: the forms of the command line, one per line.
fn synopsis(definitions: &clap::Command) -> String {
    let commands = definitions.get_subcommands().map(|command| {
        let arguments = command.get_arguments().map(|arg| format!(" {}", form(arg)));
        format!("\noneloop {}{}", command.get_name(), arguments.collect::<String>())
    });
    format!("oneloop [OPTION]... [DIR]{}", commands.collect::<String>())
}

/// Returns the notation for an argument of a command, such as `[NUMBER]`.
fn form(arg: &Arg) -> String {
    let value = arg.get_id().as_str().to_ascii_uppercase();
    match (arg.get_long(), arg.is_required_set()) {
        (Some(long), _) => {
            format!("[--{long} {}]", arg.get_value_names().map_or(value, |names| names.join(" ")))
        }
        (None, true) => value,
        (None, false) => format!("[{value}]"),
    }
}

/// Adds the COMMANDS section, with the arguments of each command.
fn commands(page: &mut Roff, definitions: &clap::Command) {
    page.control("SH", ["COMMANDS"]);
    for command in definitions.get_subcommands() {
        let about = |text: Option<&clap::builder::StyledStr>| {
            roman(text.map(ToString::to_string).unwrap_or_default())
        };
        entry(page, vec![bold(command.get_name())], about(command.get_about()));
        if command.get_arguments().next().is_none() {
            continue;
        }
        page.control("RS", []);
        for arg in command.get_arguments() {
            entry(page, vec![italic(form(arg))], about(arg.get_help()));
        }
        page.control("RE", []);
    }
}

/// Adds the ENVIRONMENT section: the rules and the name of each variable.
fn environment(page: &mut Roff, definitions: &clap::Command) {
    let names: Vec<_> =
        definitions.get_arguments().filter_map(Arg::get_env).map(|name| name.to_string_lossy()).collect();
    page.control("SH", ["ENVIRONMENT"]);
    page.text([roman(ENVIRONMENT)]);
    page.text([roman(format!("{}.", names.join(", ")))]);
}

/// Adds a section with an entry for each pair.
fn table(page: &mut Roff, heading: &str, pairs: &[(&str, &str)]) {
    page.control("SH", [heading]);
    for (left, right) in pairs {
        entry(page, vec![bold(*left)], roman(*right));
    }
}

/// Adds a paragraph with a hanging tag.
fn entry(page: &mut Roff, tag: Vec<Inline>, text: Inline) {
    page.control("TP", []);
    page.text(tag);
    page.text([text]);
}
