//! `--qr`: the QR code of the URL for another device, which a reader decodes here.

use std::{
    io::Read,
    process::{Command, Stdio},
};

use super::on_terminal;
use crate::{
    common::*,
    configuration::{assert_usage_error, run},
};

/// Returns what the reader `zbarimg` decodes from a QR code of half blocks, or `None` without one.
/// `is_inverted` stands for a terminal with a light background.
fn decode(drawn: &str, is_inverted: bool) -> Option<String> {
    const SCALE: usize = 6;
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for line in drawn.lines() {
        for upper in [true, false] {
            let is_light = |char| match char {
                '\u{2588}' => true,
                '\u{2580}' => upper,
                '\u{2584}' => !upper,
                _ => false,
            };
            let shade = |char| if is_light(char) == is_inverted { 0 } else { 255 };
            let row: Vec<u8> = line.chars().flat_map(|char| [shade(char); SCALE]).collect();
            rows.extend(std::iter::repeat_n(row, SCALE));
        }
    }
    let site = Site::empty();
    let head = format!("P5\n{} {}\n255\n", rows[0].len(), rows.len());
    site.write("code.pgm", [head.into_bytes(), rows.concat()].concat());
    let output = Command::new("zbarimg").args(["--raw", "--quiet"]).arg(site.at("code.pgm")).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Takes the lines of a QR code from `text`, and without colours.
fn code_in(text: &str) -> String {
    let text = text.replace("\x1b[38;5;231;48;5;16m", "").replace("\x1b[0m", "");
    let is_code = |line: &&str| line.contains(['\u{2588}', '\u{2580}', '\u{2584}']);
    text.lines().filter(is_code).map(|line| format!("{line}\n")).collect()
}

/// The first URL in `text` that another machine can open.
fn url_for_others(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with("http://") && !line.contains("127.0.0.1"))
}

#[test]
fn qr_code_on_a_terminal_is_the_url_for_others() {
    let site = Site::new();
    let mut terminal = on_terminal(&site, &["--bind", "0.0.0.0", "--qr"], &[]);
    let shown = terminal.until("Ctrl-C stops it");
    let Some(url) = url_for_others(&shown) else {
        return skip_for_kernel("it needs an address in a network");
    };
    let code = code_in(&shown);
    let is_colored = |line: &str| line.starts_with("\x1b[38;5;231;48;5;16m") && line.ends_with("\x1b[0m");
    let lines = shown.lines().filter(|line| line.contains('\u{2588}'));
    assert!(lines.clone().count() > 10 && lines.clone().all(is_colored), "{shown}");
    match decode(&code, false) {
        Some(decoded) => assert_eq!(decoded, url),
        None => skip("it needs zbarimg"),
    }
    let mut plain = on_terminal(&site, &["--bind", "0.0.0.0", "--qr"], &[("NO_COLOR", "1")]);
    assert!(!plain.until("Ctrl-C stops it").contains('\x1b'));
}

#[test]
fn qr_code_beside_a_pipe_goes_to_standard_error() {
    let site = Site::new();
    let mut command =
        Server::command(site.path(), &["--bind", "0.0.0.0", "--qr", "--tcp-echo", "127.0.0.1:0"]);
    command.stdin(Stdio::null());
    let mut server = Server::spawn(command);
    let lines = server.lines.join("\n");
    let is_url = |line: &str| line.starts_with("http://") || line.starts_with("tcp://");
    assert!(server.lines.iter().all(|line| is_url(line)), "only URLs, for scripts: {lines}");
    let mut stderr = server.stderr();
    server.signal(rustix::process::Signal::TERM);
    let mut text = String::new();
    stderr.read_to_string(&mut text).expect("read its log");
    let Some(url) = url_for_others(&lines) else {
        assert!(text.contains("this machine has no address in a network"), "{text}");
        return;
    };
    assert!(!text.contains('\x1b'), "{text}");
    match decode(&code_in(&text), false) {
        Some(decoded) => assert_eq!(decoded, url),
        None => skip("it needs zbarimg"),
    }
}

#[test]
fn qr_code_needs_an_address_that_others_can_reach() {
    let site = Site::new();
    let refused = |args: &[&str], vars: &[(&str, &str)]| {
        let output = run(site.path(), &[args, &["-p", "0", "."]].concat(), vars);
        let name = vars.first().map_or("--qr", |(name, _)| name);
        assert_usage_error(&output, &[name, "--bind 0.0.0.0"]);
        assert!(output.stdout.is_empty(), "it says so before it prints a URL");
    };
    refused(&["--qr"], &[]);
    refused(&["--qr", "--bind", "127.0.0.1"], &[]);
    refused(&[], &[("ONELOOP_QR", "yes")]);
}
