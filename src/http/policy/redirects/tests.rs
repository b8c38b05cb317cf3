//! Rules of `_redirects` files, among them the examples in the documentation of Netlify and
//! Cloudflare Pages.

use std::borrow::Cow;

use super::*;

/// Returns what the rules say about a request for `target`, as `status location`, with `!` if the
/// rule is forced.
fn outcome(rules: &str, target: &str) -> Option<String> {
    let (redirects, errors) = Redirects::parse(rules.as_bytes());
    assert_eq!(errors, [], "{rules}");
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let path = locate(path.as_bytes()).expect("a path");
    let found = redirects.find(&path, query.map(str::as_bytes), &SitePath::ROOT)?;
    let forced = if found.is_forced { "!" } else { "" };
    Some(match found.target {
        RedirectTarget::Location(status, location) => format!("{}{forced} {location}", status.code()),
        RedirectTarget::File(path) => format!("200{forced} {path}"),
        RedirectTarget::NotFound(path) => format!("404{forced} {path}"),
    })
}

fn check(rules: &str, rows: &[(&str, Option<&str>)]) {
    for (target, expected) in rows {
        assert_eq!(outcome(rules, target).as_deref(), *expected, "{target}");
    }
}

#[test]
fn rules_mean_what_they_mean_on_netlify() {
    let rules = "# Redirects from what the browser requests to what we serve\n\
        /home              /\n\
        /blog/my-post.php  /blog/my-post\n\
        /news              /blog\n\
        /cuties            https://www.petsofnetlify.com\n\
        /temp              /now 302 # a comment\n\
        /ecommerce         /store-closed 404\n\
        /app/*             /app/index.html 200\n\
        /forced            /now 200!\n\
        /archive/*         /blog/:splat\n\
        /news/:month/:date/:year/:slug  /blog/:year/:month/:date/:slug\n\
        /articles id=:id tag=:tag /posts/:tag/:id 301\n\
        /articles id=:id   /posts/:id\n\
        /articles          /posts\n\
        /path/* param1=:value1 param2=:value2 /otherpath/:value1/:value2/:splat 301\n\
        /*                 /index.html 200\n";
    check(
        rules,
        &[
            ("/home", Some("301 /")),
            ("/home/", Some("301 /")),
            ("/blog/my-post.php", Some("301 /blog/my-post")),
            ("/news?a=b&c", Some("301 /blog?a=b&c")),
            ("/cuties", Some("301 https://www.petsofnetlify.com")),
            ("/temp", Some("302 /now")),
            ("/ecommerce", Some("404 /store-closed")),
            ("/app/a/b", Some("200 /app/index.html")),
            ("/app", Some("200 /app/index.html")),
            ("/forced", Some("200! /now")),
            ("/archive/2026/a%20b", Some("301 /blog/2026/a%20b")),
            ("/news/02/12/2004/my-story", Some("301 /blog/2004/02/12/my-story")),
            ("/articles?id=1&tag=a%2Fb", Some("301 /posts/a/b/1")),
            ("/articles?id=1", Some("301 /posts/1")),
            ("/articles?other=1", Some("301 /posts?other=1")),
            ("/path/x?param2=2&param1=a+b", Some("301 /otherpath/a%20b/2/x")),
            ("/missing", Some("200 /index.html")),
        ],
    );
}

#[test]
fn rules_mean_what_they_mean_on_cloudflare_pages() {
    let rules = "/home301 / 301\n/home302 / 302\n/querystrings /?query=string 301\n/twitch https://twitch.tv\n\
        /trailing /trailing/ 301\n/notrailing/ /nottrailing 301\n/page/ /page2/#fragment 301\n\
        /blog/* https://blog.my.domain/:splat\n/products/:code/:name /products?code=:code&name=:name\n";
    check(
        rules,
        &[
            ("/home301", Some("301 /")),
            ("/home302", Some("302 /")),
            ("/querystrings?x", Some("301 /?query=string")),
            ("/twitch", Some("301 https://twitch.tv")),
            ("/trailing", Some("301 /trailing/")),
            ("/trailing/", None),
            ("/notrailing/", Some("301 /nottrailing")),
            ("/page/?a", Some("301 /page2/?a#fragment")),
            ("/blog/a/b?c", Some("301 https://blog.my.domain/a/b?c")),
            ("/products/1/a&b", Some("301 /products?code=1&name=a%26b")),
        ],
    );
}

#[test]
fn rule_never_leads_to_the_url_that_was_requested() {
    let rules = "/a /a?x=1\n/b id=:id /b?id=:id\n/c id=:my-id /d/:my-id\n/c id=:my_id /d/:my_id\n";
    check(
        rules,
        &[
            ("/a", Some("301 /a?x=1")),
            ("/a?x=2", Some("301 /a?x=1")),
            ("/a?x=1", None),
            ("/b?id=7&y", Some("301 /b?id=7")),
            ("/b?id=7", None),
            ("/c?id=7", Some("301 /d/7")),
        ],
    );
}

#[test]
fn targets_never_leave_the_host_that_the_rule_names() {
    let rules =
        "/x* /:splat\n/to/* /:splat 302\n/q* /a?:splat\n/f /f%0d%0aX:%20y\n/e/* https://a.example:splat\n";
    let (redirects, errors) = Redirects::parse(rules.as_bytes());
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].problem, LineProblem::Redirect(RedirectError::InvalidTarget));
    let find = |path: &'static str| {
        let path = SitePath::parse(Cow::Borrowed(path.as_bytes())).expect("a path");
        match redirects.find(&path, None, &SitePath::ROOT).map(|found| found.target) {
            Some(RedirectTarget::Location(_, location)) => Some(location),
            _ => None,
        }
    };
    for (path, expected) in [
        ("/x/evil.example", Some("/evil.example")),
        ("/x\\evil.example", Some("/%5Cevil.example")),
        ("/to/http://evil.example", Some("/http%3A/evil.example")),
        ("/q\r\nX-Evil: 1", Some("/a?%0D%0AX-Evil%3A%201")),
        ("/f", Some("/f%0D%0AX%3A%20y")),
    ] {
        assert_eq!(find(path).as_deref(), expected, "{path:?}");
    }
    let wide = SitePath::parse(Cow::Borrowed(b"/app/")).expect("a path");
    let path = SitePath::parse(Cow::Borrowed(b"/to/a")).expect("a path");
    let found = redirects.find(&path, None, &wide).expect("a rule");
    assert_eq!(found.target, RedirectTarget::Location(Status::Found, "/app/a".into()));
}

#[test]
fn rules_that_are_not_valid_are_refused() {
    for (text, error) in [
        ("", RedirectError::InvalidSource),
        ("old /new", RedirectError::InvalidSource),
        ("https://a.example/* /new", RedirectError::InvalidSource),
        ("/old", RedirectError::MissingTarget),
        ("/old # /new", RedirectError::MissingTarget),
        ("/old new", RedirectError::InvalidTarget),
        ("/old //evil.example", RedirectError::InvalidTarget),
        ("/old /\\evil.example", RedirectError::InvalidTarget),
        ("/old javascript://x", RedirectError::InvalidTarget),
        ("/old ftp://a.example/", RedirectError::InvalidTarget),
        ("/old https://", RedirectError::InvalidTarget),
        ("/old https://user@a.example/", RedirectError::InvalidTarget),
        ("/old /../secret 200", RedirectError::InvalidTarget),
        ("/old/* https://:splat/", RedirectError::InvalidTarget),
        ("/:host https://a.example:host/", RedirectError::InvalidTarget),
        ("/old /new 410", RedirectError::InvalidStatus),
        ("/old /new 301!!", RedirectError::InvalidStatus),
        ("/old /new moved", RedirectError::InvalidStatus),
        ("/old https://a.example/ 200", RedirectError::Proxy),
        ("/old https://a.example/ 404", RedirectError::Proxy),
        ("/old /new 302 Country=de", RedirectError::Condition),
        ("/old /new Language=de", RedirectError::Condition),
        ("/*/* /new", RedirectError::Pattern(PatternError::SecondStar)),
        ("/:a/:a /new", RedirectError::Pattern(PatternError::RepeatedName)),
    ] {
        assert_eq!(RedirectRule::parse(text), Err(error), "{text}");
    }
}

#[test]
fn rewrites_stay_in_the_site() {
    check("/* /files/:splat 200", &[("/a", Some("200 /files/a")), ("/", Some("200 /files/"))]);
    // A client could not request these paths either.
    check("/nul id=:id /a:id 200", &[("/nul?id=%00", None), ("/nul?id=b", Some("200 /ab"))]);
    check(
        "/a id=:id /:id 200",
        &[("/a?id=..", None), ("/a?id=../b", None), ("/a?id=.git", Some("200 /.git"))],
    );
}

#[test]
fn rules_are_bounded() {
    let (redirects, errors) = Redirects::parse("/a /b\n".repeat(MAX_RULES + 1).as_bytes());
    assert_eq!((redirects.rules.len(), errors.len()), (MAX_RULES, 1));
    assert_eq!(errors[0].problem, LineProblem::TooManyRules(MAX_RULES));
}
