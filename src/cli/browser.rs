//! Opens a page of the site in a browser (`--open`).
//!
//! The browser starts when the server already listens, and before the sandbox closes, which allows
//! no program. Its first request waits in the backlog until the loop runs. A shell starts the
//! program in the background and ends at once, so the loop waits for no child, none becomes a
//! zombie, and Ctrl-C does not reach the browser.

use std::{
    env, io,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{
    errors::{Failure, io_message},
    urls::Urls,
};

/// Bytes that a URL may not have (RFC 3986). A `%` stays, because the path may be encoded already.
const NOT_IN_URLS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Starts the command `"$@"` in the background, if its program exists. The exit code of a shell for
/// a missing program is 127 (POSIX).
const START: &str = "command -v \"$1\" >/dev/null || exit 127; \"$@\" &";

/// Programs that open a URL in the browser of the desktop.
const OPENERS: &[&[&str]] = if cfg!(target_os = "macos") {
    &[&["open"]]
} else {
    &[&["xdg-open"], &["gio", "open"], &["x-www-browser"], &["wslview"]]
};

/// Parses the value of --open: a path of the site, perhaps with a query and a fragment. Returns it
/// without the leading slash.
pub fn page(text: &str) -> Result<String, String> {
    let path = text.trim_start_matches('/');
    let scheme = path.split(['/', '?', '#']).next().unwrap_or_default();
    if scheme.contains(':') {
        return Err("use a path of the site, such as /docs/".into());
    }
    Ok(utf8_percent_encode(path, NOT_IN_URLS).to_string())
}

/// Opens `page` of the site in a browser. Only logs a warning if there is none.
///
/// # Errors
/// Fails if the server listens on Unix sockets only.
pub fn open(urls: &Urls, page: &str) -> Result<(), Failure> {
    let Some(site) = urls.for_browser() else {
        return Err(Failure::Usage(
            "no browser can open a Unix socket for --open; add --bind localhost".into(),
        ));
    };
    let url = format!("{site}{page}");
    let browser = env::var("BROWSER").unwrap_or_default();
    let chosen = commands(&browser, &url);
    if chosen.is_empty() && !has_display() {
        log::warn!("--open: this session has no display; open {url} yourself, or set BROWSER to a program");
        return Ok(());
    }
    let usual =
        OPENERS.iter().map(|opener| opener.iter().chain([&&*url]).map(|word| (*word).to_owned()).collect());
    for command in chosen.into_iter().chain(usual) {
        match start(&command) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(e) => {
                let why = io_message(&e);
                log::warn!("--open: cannot run sh: {why}; open {url} yourself");
                return Ok(());
            }
        }
    }
    log::warn!("--open: no program opens URLs here; open {url} yourself, or set BROWSER to a program");
    Ok(())
}

/// Returns the commands that the variable `BROWSER` names: separated by colons, each with the URL
/// in place of `%s` or as its last argument.
fn commands(browser: &str, url: &str) -> Vec<Vec<String>> {
    let command = |text: &str| {
        let mut words: Vec<String> = text.split_whitespace().map(|word| word.replace("%s", url)).collect();
        if !text.contains("%s") {
            words.push(url.to_owned());
        }
        words
    };
    browser.split(':').filter(|text| !text.trim().is_empty()).map(command).collect()
}

/// Returns whether a program can open a window. Without a display, the openers start a browser for
/// text, which has no terminal here.
fn has_display() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].into_iter().any(is_set)
}

/// Starts a command in the background. Returns whether its program exists.
fn start(command: &[String]) -> io::Result<bool> {
    let mut shell = Command::new("sh");
    shell.args(["-c", START, "sh"]).args(command);
    // Standard error is the log's pipe, which ends with this process.
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    shell.status().map(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_a_path_of_the_site() {
        let table = [
            ("/", Ok("")),
            ("", Ok("")),
            ("/docs/", Ok("docs/")),
            ("docs/a b.html", Ok("docs/a%20b.html")),
            ("/a%20b?to=http://b#c", Ok("a%20b?to=http://b#c")),
            ("//elsewhere.example", Ok("elsewhere.example")),
            ("/\u{e9}\"\n", Ok("%C3%A9%22%0A")),
            ("http://elsewhere.example/", Err(())),
            ("javascript:alert(1)", Err(())),
        ];
        for (text, expected) in table {
            assert_eq!(page(text).map_err(drop), expected.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn browser_variable_names_commands() {
        let table: [(&str, &[&[&str]]); 4] = [
            ("", &[]),
            ("firefox", &[&["firefox", "U"]]),
            ("firefox --new-tab %s:lynx", &[&["firefox", "--new-tab", "U"], &["lynx", "U"]]),
            (": /opt/b/run --url=%s ", &[&["/opt/b/run", "--url=U"]]),
        ];
        for (browser, expected) in table {
            assert_eq!(commands(browser, "U"), expected, "{browser:?}");
        }
    }

    #[test]
    fn missing_program_is_reported() {
        let start = |words: &[&str]| start(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert!(start(&["true", "a; b $(c)"]).expect("run sh"));
        assert!(!start(&["oneloop-no-such-program", "x"]).expect("run sh"));
    }
}
