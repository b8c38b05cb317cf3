//! Commands that only print: help, completions, the man page, the version.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use super::*;
use crate::common::*;

/// Returns every word in `text` that begins with two dashes.
fn options_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c == '-' || c.is_ascii_lowercase() || c.is_ascii_digit();
    let words = text.split(|c| !is_part(c)).filter(|w| w.starts_with("--") && w.len() > 2);
    words.map(str::to_owned).collect()
}

#[test]
fn access_log_without_a_reader_does_not_delay_the_start() {
    let site = Site::empty();
    let fifo = site.at("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .expect("make a FIFO");
    assert_usage_error(&run(site.path(), &["--port", "0", "--access-log=fifo", "."], &[]), &["fifo"]);
}

#[test]
fn help_has_a_heading_for_each_option_and_fits_100_columns() {
    let expected = [
        "Options",
        "Listening",
        "Site",
        "Responses",
        "Conversations",
        "Limits",
        "Load tests",
        "Output",
        "Monitoring",
        "Tracing",
    ];
    let options = options();
    let mut headings: Vec<&str> = options.iter().map(|(heading, ..)| heading.as_str()).collect();
    headings.dedup();
    assert_eq!(headings, expected, "each heading occurs once");
    let without_heading: Vec<&str> = options
        .iter()
        .filter(|(heading, ..)| heading == "Options")
        .map(|(_, name, _)| name.as_str())
        .collect();
    assert_eq!(without_heading, ["--help", "--version"]);
    for (args, columns) in [("--help", None), ("-h", None), ("--help", Some("300")), ("-h", Some("300"))] {
        let help = printed(&[args], columns.map(|n| ("COLUMNS", n)).as_slice());
        assert!(options_in(&help).is_superset(&names()), "{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{line:?} for {args} in {columns:?} columns");
        }
    }
}

#[test]
fn completions_cover_every_option_and_load_in_bash() {
    let fish = |text: &str| -> BTreeSet<String> {
        let names = text.split(" -l ").skip(1).filter_map(|rest| rest.split_whitespace().next());
        names.map(|name| format!("--{name}")).collect()
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = printed(&["completions", shell], &[]);
        let known = if shell == "fish" { fish(&text) } else { options_in(&text) };
        assert!(known.is_superset(&names()), "{shell}: {:?}", names().difference(&known));
        // Shells that are not installed are skipped.
        let Ok(mut child) =
            Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()
        else {
            assert_ne!(shell, "bash", "this test needs it");
            continue;
        };
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("write");
        let output = child.wait_with_output().expect("wait for it");
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {}", lossy(&output.stderr));
    }
    let site = Site::new();
    assert_usage_error(&run(site.path(), &["completions"], &[]), &["SHELL"]);
    assert_usage_error(&run(site.path(), &["completions", "tcsh"], &[]), &["tcsh", "bash"]);
}

#[test]
fn man_page_covers_every_option_and_heading() {
    let page = printed(&["man"], &[]);
    assert!(page.contains(".TH oneloop 1 "), "{page}");
    let plain = page.replace("\\-", "-").replace("\\fB", " ").replace("\\fR", " ").replace("\\fI", " ");
    // An option that appears only in the synopsis is not explained.
    let explained = plain.split_once(".SH OPTIONS").expect("a section").1;
    assert!(options_in(explained).is_superset(&names()), "{page}");
    for (heading, ..) in options() {
        let heading = heading.to_ascii_uppercase();
        assert!(
            plain.contains(&format!(".SH {heading}\n")) || plain.contains(&format!(".SH \"{heading}\"\n")),
            "{heading}"
        );
    }
    assert!(plain.contains("ONELOOP_IDLE_TIMEOUT"));
    // No line of text begins with something that roff reads as a request (groff_man(7)).
    let requests = [".ie", ".el", ".TH", ".SH", ".TP", ".br", ".RS", ".RE", ".IP"];
    for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
        assert!(requests.iter().any(|request| line.starts_with(request)), "{line:?}");
    }
}

#[test]
fn version_is_the_package_version() {
    for flag in ["--version", "-V"] {
        assert_eq!(printed(&[flag], &[]), format!("oneloop {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn directory_named_like_a_command_is_served_with_dot_slash() {
    let site = Site::empty();
    for name in ["completions", "man", "help"] {
        site.write(format!("{name}/index.html"), name);
        let mut server = Started::with(site.path(), &[&format!("./{name}")], &[]);
        assert_eq!(server.ask(&get("/")).text(), name);
        // The environment variable does not have this ambiguity.
        let mut server = Started::with(site.path(), &[], &[("ONELOOP_DIR", name)]);
        assert_eq!(server.ask(&get("/")).text(), name);
    }
}
