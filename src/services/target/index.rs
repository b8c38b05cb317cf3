//! The first page of the load target: what there is, each with an example.

use std::fmt::Write;

use crate::printable::Html;

/// The page, with a place for the tables.
const PAGE: &str = include_str!("index.html");

/// The groups of examples. Each example is a path, relative to the path of the target, and what
/// it does.
const GROUPS: [(&str, &[(&str, &str)]); 5] = [
    (
        "Responses",
        &[
            ("status/503", "this status, without a body"),
            ("delay/20ms", "a response after this time"),
            ("bytes/1k", "a body of this length"),
            ("stream-bytes/100k", "a body of this length in the chunked coding"),
            ("range/1k", "a file of this length, at most 100k, that has ranges and a validator"),
            ("drip?bytes=1k&over=2s", "a body that is sent evenly over this time"),
            ("?delay=2ms&status=503:1%&bytes=1k&close=5%&seed=7", "several parameters combined"),
        ],
    ),
    (
        "Parameters",
        &[
            ("?status=503:1%,429:5%", "these statuses for these shares of the requests, else 200"),
            ("?delay=1ms-5ms", "a delay between two times, at most 1h"),
            ("?delay=2ms,200ms:1%", "a delay with a tail"),
            ("?bytes=10M", "the length of the body (k, M, G), at most 1G"),
            ("?bytes=1k&over=2s", "the time that the body takes, at most 1h"),
            ("?bytes=1M&chunk=1k", "the chunked coding, with chunks of this length"),
            ("?close=5%", "close the connection after this share of the responses"),
            ("?status=503:10%&seed=7", "what is drawn repeats with the same seed; the default is 0"),
        ],
    ),
    (
        "Requests",
        &[
            ("echo", "the body of the request or, if it has none, its head"),
            ("get", "the query, the fields, the client and the URL, as JSON"),
            ("anything", "as get, with the method and the body; also post, put, patch and delete"),
            ("headers", "the header fields alone; also ip and user-agent"),
            (
                "redirect/3",
                "this number of redirects, then get; also relative-redirect and absolute-redirect",
            ),
            ("basic-auth/user/passwd", "a 401, unless the request has this user name and password"),
            ("bearer", "a 401, unless the request has a bearer token"),
        ],
    ),
    (
        "Faults",
        &[
            ("?reset=5%", "reset the connection in place of a response"),
            ("?bytes=10k&truncate=1k:5%", "end the connection after this part of the body"),
            ("?bytes=10k&truncate=1k&reset", "reset the connection after this part of the body"),
            ("?garbage=5%", "send something that is not HTTP, and close"),
            ("?silent=5%", "send nothing, and keep the connection"),
            ("?bytes=100&one-byte", "send each byte in a segment of its own"),
            ("?accept-stall=1s", "accept no connection for this time"),
            ("?pause=1s/10s", "stop the whole server for a second every ten seconds"),
        ],
    ),
    (
        "Measurements",
        &[
            ("stats", "what the server has counted, as JSON; POST resets it"),
            ("health", "200, or 503 once the server is to stop; not counted"),
        ],
    ),
];

/// Returns the page for a target at the URL path `path`, as HTML or as text.
pub fn page(path: &str, is_html: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (title, examples) in GROUPS {
        if is_html {
            let _ = writeln!(text, "<h2>{title}</h2>\n<table>");
            for (example, meaning) in examples {
                let href = Html(example.as_bytes());
                let _ = writeln!(text, "<tr><td><a href=\"./{href}\">{href}</a><td>{meaning}");
            }
            text.push_str("</table>\n");
            continue;
        }
        let _ = writeln!(text, "{}{title}:", if text.is_empty() { "" } else { "\n" });
        for (example, meaning) in examples {
            let _ = writeln!(text, "  {:<52} {meaning}", format!("{path}{example}"));
        }
    }
    if is_html { PAGE.replace("{{tables}}", &text) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::target::{Credentials, Inspection, TargetRedirect, behaviour::Behaviour};

    #[test]
    fn each_example_works() {
        for (example, _) in GROUPS.iter().flat_map(|(_, examples)| *examples) {
            let (path, query) = example.split_once('?').unwrap_or((example, ""));
            let is_response = Behaviour::parse(path.as_bytes(), query.as_bytes()).is_ok();
            let is_of_server = ["stats", "health"].contains(&path);
            let path = path.as_bytes();
            let is_other = Inspection::at(path).is_some()
                || TargetRedirect::at(path, b"").is_some()
                || Credentials::at(path).is_some()
                || path.starts_with(b"range/");
            assert!(is_response || is_of_server || is_other, "{example}");
        }
    }

    #[test]
    fn page_has_each_example() {
        let (html, text) = (page("/_/", true), page("/_/", false));
        for (example, meaning) in GROUPS.iter().flat_map(|(_, examples)| *examples) {
            let link = format!("<a href=\"./{0}\">{0}</a><td>{meaning}\n", example.replace('&', "&amp;"));
            assert!(html.contains(&link), "{link}: {html}");
            assert!(text.lines().any(|line| {
                line.starts_with(&format!("  /_/{example} ")) && line.ends_with(&format!(" {meaning}"))
            }));
        }
        assert!(!html.contains("{{") && html.starts_with("<!DOCTYPE html>"));
    }
}
