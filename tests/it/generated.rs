//! The man page and the completions, checked with real shells and formatters. The shells load the
//! completions without a message and offer the options. groff and mandoc accept the man page
//! without a warning.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::common::{lossy, skip};
use tempfile::TempDir;

/// Sections of the man page that do not come from the option definitions.
const SECTIONS: &[&str] = &[
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "OPTIONS",
    "COMMANDS",
    "EXIT STATUS",
    "SIGNALS",
    "ENVIRONMENT",
    "EXAMPLES",
];

/// Loads completions from the file $1 into an interactive zsh, types $2, completes it and prints
/// the line. Fails if that takes longer than 20 seconds.
const COMPLETE_IN_ZSH: &str = r#"
zmodload zsh/zpty
zpty shell "TERM=dumb zsh -f -i"
zpty -w shell "autoload -U compinit; compinit -u -D; source ${(q)1}"
zpty -w shell 'show() { zle complete-word; print -r -- "<$BUFFER>"; zle kill-buffer }; zle -N show; bindkey "^T" show'
zpty -w -n shell "$2"$'\x14'
repeat 200; do
    if zpty -r -t shell text; then
        all+=$text
        [[ $all == *"<oneloop"*">"* ]] && print -r -- "${all##*<}" && exit
    fi
    sleep 0.1
done
exit 1
"#;

/// Returns what the program prints.
fn printed(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_oneloop")).args(args).output().expect("run oneloop");
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a program that must succeed without a message and returns its output. Returns `None` if the
/// program is not installed.
fn run<T: AsRef<OsStr>>(program: &str, args: &[T], home: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).env("HOME", home).env("XDG_CONFIG_HOME", home).stdin(Stdio::null());
    let output = command.output().ok()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{program}: {}: {stderr}", output.status);
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Saves the output of `oneloop ARGS` to a file and returns its path.
fn saved(home: &TempDir, args: &[&str]) -> String {
    let path = home.path().join("saved");
    fs::write(&path, printed(args)).expect("write a file");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn completions_load_in_bash_and_offer_options() {
    let home = tempfile::tempdir().expect("a directory");
    let script = r#"
        source "$1"
        shift
        COMP_WORDS=(oneloop "$@") COMP_CWORD=$#
        _oneloop oneloop "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
        echo "${COMPREPLY[@]}"
    "#;
    let file = saved(&home, &["completions", "bash"]);
    let offers = |words: &[&str]| {
        let args = [&["--norc", "--noprofile", "-c", script, "bash", &file], words].concat();
        run("bash", &args, home.path())
    };
    let Some(port) = offers(&["--por"]) else {
        return skip("bash is not installed");
    };
    assert_eq!(port, "--port\n");
    let table = [
        (&["--access-log-format", ""][..], "common combined json brief\n"),
        (&["--trace", "=", "w"], "wakes\n"),
        // The shell then offers files.
        (&["--trace", "w"], "\n"),
        (&["--access-log", "/us"], "\n"),
        (&["--trace-o"], "--trace-only\n"),
        (&["lesson", "3"], "3\n"),
        (&["lesson", "3", "--break", "write"], "write-all\n"),
        (&["completions", "f"], "fish\n"),
    ];
    for (words, expected) in table {
        assert_eq!(offers(words).as_deref(), Some(expected), "{words:?}");
    }
}

#[test]
fn completions_load_in_zsh_and_offer_options() {
    let home = tempfile::tempdir().expect("a directory");
    let file = saved(&home, &["completions", "zsh"]);
    let load = "autoload -U compinit; compinit -u -D; source $1";
    let Some(text) = run("zsh", &["-f", "-c", load, "zsh", &file], home.path()) else {
        return skip("zsh is not installed");
    };
    assert_eq!(text, "");
    let table = [
        ("oneloop --por", "oneloop --port=>"),
        ("oneloop --access-log-format=j", "oneloop --access-log-format=json"),
        ("oneloop --access-log-format=l", "oneloop --access-log-format=l>"),
        ("oneloop --trace=b", "oneloop --trace=bytes"),
        ("oneloop --trace by", "oneloop --trace by>"),
        ("oneloop --trace /us", "oneloop --trace /usr/>"),
        ("oneloop --cors /us", "oneloop --cors /usr/>"),
        ("oneloop lesso", "oneloop lesson"),
        ("oneloop /us", "oneloop /usr/>"),
        ("oneloop lesson 3 --break=write", "oneloop lesson 3 --break=write-all"),
    ];
    for (typed, expected) in table {
        let line = run("zsh", &["-f", "-c", COMPLETE_IN_ZSH, "zsh", &file, typed], home.path());
        assert!(line.as_ref().is_some_and(|line| line.starts_with(expected)), "{typed}: {line:?}");
    }
}

#[test]
fn completions_load_in_fish_and_offer_options() {
    let home = tempfile::tempdir().expect("a directory");
    let file = saved(&home, &["completions", "fish"]);
    let offers =
        |line: &str| run("fish", &["-c", "source $argv[1]; complete -C $argv[2]", &file, line], home.path());
    let Some(port) = offers("oneloop --por") else {
        return skip("fish is not installed");
    };
    assert!(port.starts_with("--port\t") && port.lines().count() == 1, "{port}");
    let table = [
        ("oneloop --access-log-format ", &["brief", "combined", "common", "json"][..]),
        ("oneloop --trace=by", &["--trace=bytes"]),
        ("oneloop --trace byt", &[]),
        ("oneloop --trace /us", &["/usr/"]),
        ("oneloop --spa /us", &["/usr/"]),
        ("oneloop --trace --por", &["--port"]),
        ("oneloop lesson --break write", &["write-all"]),
    ];
    for (line, expected) in table {
        let text = offers(line).expect("it is installed");
        let mut values: Vec<_> = text.lines().filter_map(|line| line.split('\t').next()).collect();
        values.sort_unstable();
        assert_eq!(values, expected, "{line}: {text}");
    }
}

#[test]
fn man_page_has_every_section_and_names_every_flag() {
    let page = printed(&["man"]);
    for section in SECTIONS {
        let headings = [format!(".SH {section}\n"), format!(".SH \"{section}\"\n")];
        assert!(headings.iter().any(|heading| page.matches(heading).count() == 1), "{section}: {page}");
    }
    let help = printed(&["--help"]) + &printed(&["lesson", "--help"]);
    let flags: Vec<_> = help.lines().filter_map(|line| flag(line.trim_start())).collect();
    assert!(flags.contains(&"--port") && flags.contains(&"--break") && flags.len() > 30, "{flags:?}");
    let text = page.replace("\\-", "-");
    for flag in flags {
        assert!(text.contains(flag), "{flag}");
    }
    assert!(text.contains("ONELOOP_DIR") && text.contains("ONELOOP_TRACE_FILE"), "{text}");
    // The subcommands have no man pages of their own.
    assert!(!text.contains("(1)"), "{text}");
}

/// Returns the long name of the option that a line of `--help` introduces.
fn flag(line: &str) -> Option<&str> {
    let name = &line[line.starts_with('-').then(|| line.find("--")).flatten()?..];
    name.split(|c: char| c != '-' && !c.is_ascii_lowercase()).next()
}

#[test]
fn man_page_passes_groff_and_mandoc() {
    let home = tempfile::tempdir().expect("a directory");
    let file = saved(&home, &["man"]);
    let groff = run("groff", &["-man", "-ww", "-z", "-T", "utf8", &file], home.path());
    let mandoc = run("mandoc", &["-T", "lint", "-W", "warning", &file], home.path());
    if groff.is_none() && mandoc.is_none() {
        return skip("neither groff nor mandoc is installed");
    }
    for messages in [groff, mandoc].into_iter().flatten() {
        assert_eq!(messages, "");
    }
}

#[test]
fn printed_text_needs_no_reader_but_an_intact_output() {
    let command = |args: &[&str], stdout: Stdio| {
        Command::new(env!("CARGO_BIN_EXE_oneloop")).args(args).stdout(stdout).output().expect("run oneloop")
    };
    for args in [&["man"][..], &["completions", "bash"], &["lesson"]] {
        let (_, closed) = std::io::pipe().expect("a pipe");
        let output = command(args, closed.into());
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("open /dev/full");
        let output = command(args, full.into());
        let message = "oneloop: cannot write to standard output: no space left on device\n";
        assert_eq!((output.status.code(), lossy(&output.stderr)), (Some(1), message.into()), "{args:?}");
    }
}
