//! What caches are told: `Cache-Control` and `Vary`.

use super::*;
use crate::common::*;

#[test]
fn cache_control_is_for_files_and_never_for_errors() {
    const LONG: &str = "public, max-age=60";
    let by_option = ["--cache-control", LONG];
    // The field is stronger than the option, as it is more exact: it can be for some paths only.
    let by_field = ["--cache-control", "no-store", "--header", "Cache-Control: public, max-age=60"];
    for args in [&by_option[..], &by_field] {
        each_kind(args, |kind, response| match kind.carries {
            // RFC 9110 section 15.4.5: a 304 has the Cache-Control that the 200 would have.
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

/// What had a say in a response of this kind (RFC 9110 section 12.5.5), if it depends on nothing
/// else.
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
    // Whether a 412 depends on the variant is a matter of taste.
    let is_precise = |kind: &Kind| kind.status != 412;
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
fn vary_names_what_tells_navigation() {
    let site = Site::new();
    let server = Server::with(&site, &["--spa"]);
    // Else a cache would give the page to the script that asks for the same address, and the 404 to
    // the person.
    for (fields, status) in [("Sec-Fetch-Mode: navigate\r\n", 200), ("Accept: text/html\r\n", 200), ("", 404)]
    {
        let response = ask(&server, "GET /users/7", fields);
        assert_eq!(response.status, status);
        assert!(vary(&response).is_superset(&set(&["accept", "sec-fetch-mode"])), "{response:?}");
    }
}
