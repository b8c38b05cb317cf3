//! Caching fields: `Cache-Control` and `Vary`.

use super::*;
use crate::common::*;

#[test]
fn cache_control_is_for_files_and_never_for_errors() {
    const LONG: &str = "public, max-age=60";
    let by_option = ["--cache-control", LONG];
    // The header rule overrides the option because it is more specific: it can apply to some paths
    // only.
    let by_field = ["--cache-control", "no-store", "--header", "Cache-Control: public, max-age=60"];
    for args in [&by_option[..], &by_field] {
        each_kind(args, |kind, response| match kind.carries {
            // A 304 has the Cache-Control that the 200 would have (RFC 9110 section 15.4.5).
            Carries::File | Carries::Copy => assert_eq!(response.header("cache-control"), Some(LONG)),
            Carries::Page => assert!(matches!(response.header("cache-control"), None | Some("no-cache"))),
        });
    }
}

#[test]
fn cache_control_is_no_cache_by_default() {
    each_kind(&[], |kind, response| {
        if kind.carries != Carries::Page {
            assert_eq!(response.header("cache-control"), Some("no-cache"));
        }
        let cors =
            response.headers.iter().find(|(n, _)| n.to_ascii_lowercase().starts_with("access-control"));
        assert_eq!(cors, None);
    });
}

/// Returns the request fields that a response of this kind depends on (RFC 9110 section 12.5.5),
/// without CORS and header rules.
fn expected_vary(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind { carries: Carries::File | Carries::Copy, .. } | Kind { status: 406 | 416, .. } => {
            &["accept-encoding"]
        }
        Kind { line: "GET /folder/" | "HEAD /folder/", .. } => &["accept"],
        _ => &[],
    }
}

#[test]
fn vary_names_each_deciding_field_once() {
    // A 412 may or may not vary with the variant; both are valid. The built-in 404 page varies
    // (directories.rs), and the site's own page does not.
    let is_precise = |kind: &Kind| kind.status != 412 && kind.status != 404;
    for (args, more) in [
        (&[][..], &[][..]),
        (&["--cors"], &[]),
        (&["--cors=http://a.example"], &["origin"]),
        (&["--cors=http://a.example", "--header", "Vary: X-Theme, Cookie"], &["origin", "x-theme", "cookie"]),
    ] {
        each_kind(args, |kind, response| {
            let expected = set(&[expected_vary(kind), more].concat());
            assert!(expected.is_subset(&vary(response)), "{response:?}");
            assert!(!is_precise(kind) || vary(response) == expected, "{response:?}");
        });
    }
}

#[test]
fn vary_names_the_navigation_fields() {
    let site = Site::new();
    let server = Server::with(&site, &["--spa"]);
    // Otherwise a cache would serve the page to a script that requests the same URL, and the 404 to
    // navigation.
    for (fields, status) in [
        ("Sec-Fetch-Mode: navigate\r\n", 200),
        ("Sec-Fetch-Mode: no-cors\r\n", 404),
        ("Accept: text/html\r\n", 200),
        ("Accept: text/css\r\n", 404),
        ("", 200),
    ] {
        let response = ask(&server, "GET /users/7", fields);
        assert_eq!(response.status, status);
        assert!(vary(&response).is_superset(&set(&["accept", "sec-fetch-mode"])), "{response:?}");
    }
}
