//! The rules of a site's own `_headers` file, in the format of Netlify and Cloudflare Pages.
//!
//! A path stands on a line of its own. The indented lines behind it set fields in the responses to
//! matching paths, and `! Name` removes a field. Lines that are not valid are skipped.

use super::{
    header_rules::{FieldLine, HeaderScope, RuleError, check_removable, remove_field},
    path_pattern::{PathPattern, PatternError},
    rule_file::{LineError, LineProblem, RuleLines},
};
use crate::site_path::SitePath;

/// The maximum number of fields in a file.
const MAX_FIELDS: usize = 1000;
/// The maximum number of bytes of the path that the fields of one response repeat together. The
/// client decides how long the path is, and so how much work many fields are.
const MAX_REPEATED: usize = 32 * 1024;

/// The rules of a site's `_headers` file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteHeaders {
    /// The URL path of the site's root. The paths in the file begin there.
    base: Vec<u8>,
    blocks: Vec<Block>,
}

/// A path and the changes to the responses to it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    pattern: PathPattern,
    changes: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Set(FieldLine),
    Remove(String),
}

impl SiteHeaders {
    /// Parses the content of a `_headers` file, whose paths are below the URL path `base`. Returns
    /// the rules and the errors in the file.
    pub fn parse(content: &[u8], base: &SitePath<'_>) -> (SiteHeaders, Vec<LineError>) {
        let mut headers = SiteHeaders { base: base.bytes().to_vec(), blocks: Vec::new() };
        let mut lines = RuleLines::new(content);
        let (mut is_in_block, mut fields) = (false, 0);
        // A line before the first path, and not one behind a path that is not valid.
        let mut is_stray = true;
        while let Some(line) = lines.next_line() {
            let line = match line {
                Ok(line) => line,
                Err(line) => {
                    // The headers behind a path that cannot be read are not for the path before it.
                    is_stray &= !line.starts_with(b"/");
                    is_in_block &= !line.starts_with(b"/");
                    continue;
                }
            };
            let result = if line.starts_with('/') || is_url(line) {
                is_stray = false;
                let block = parse_path(line).map(|pattern| Block { pattern, changes: Vec::new() });
                is_in_block = block.is_ok();
                block.map(|block| headers.blocks.push(block))
            } else if is_in_block {
                fields += 1;
                if fields > MAX_FIELDS {
                    lines.report(LineProblem::TooManyRules(MAX_FIELDS));
                    break;
                }
                let block = headers.blocks.last_mut();
                block.map_or(Ok(()), |block| {
                    parse_change(line, &block.pattern).map(|change| block.changes.push(change))
                })
            } else if is_stray {
                Err(LineProblem::NoPath)
            } else {
                Ok(())
            };
            if let Err(problem) = result {
                lines.report(problem);
            }
        }
        headers.blocks.retain(|block| !block.changes.is_empty());
        (headers, lines.errors)
    }

    /// Returns whether the file has no rules.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Returns whether a rule sets a field about the content of the file at the URL path `path`.
    pub fn describes_content(&self, path: &[u8]) -> bool {
        let is_about = |change: &Change| matches!(change, Change::Set(field) if field.describes_content());
        self.path_in_site(path).is_some_and(|path| {
            let mut matching = self.blocks.iter().filter(|block| block.pattern.matches(path).is_some());
            matching.any(|block| block.changes.iter().any(is_about))
        })
    }

    /// Applies the rules to the head that starts at offset `head` in `out`, in the response with
    /// this `scope` to a request for the URL path `path`. The first value for a field replaces the
    /// server's, and later ones are added to it.
    pub fn apply(&self, scope: HeaderScope, path: &[u8], head: usize, out: &mut Vec<u8>) {
        let Some(path) = self.path_in_site(path) else { return };
        let mut set: Vec<&str> = Vec::new();
        let mut repeated = 0;
        for block in &self.blocks {
            let Some(captures) = block.pattern.matches(path) else { continue };
            for change in &block.changes {
                let name = match change {
                    Change::Set(field) => field.name(),
                    Change::Remove(name) => name,
                };
                if !scope.includes(name) {
                    continue;
                }
                if matches!(change, Change::Set(field) if field.has_captures()) {
                    repeated += path.len();
                    if repeated > MAX_REPEATED {
                        continue;
                    }
                }
                match change {
                    Change::Set(field) if set.iter().any(|name| name.eq_ignore_ascii_case(field.name())) => {
                        field.add(&captures, head, out);
                    }
                    Change::Set(field) => {
                        field.set(&captures, head, out);
                        set.push(field.name());
                    }
                    Change::Remove(name) => remove_field(name, head..out.len(), out),
                }
            }
        }
    }

    /// Returns the part of a URL path that is below the base, with a leading slash.
    fn path_in_site<'p>(&self, path: &'p [u8]) -> Option<&'p [u8]> {
        // The base is empty, or ends in a slash.
        path.get(1..)?.starts_with(&self.base).then(|| &path[self.base.len()..])
    }
}

/// Returns whether a line is an absolute URL, as Cloudflare Pages allows in place of a path.
fn is_url(line: &str) -> bool {
    line.starts_with("https://") || line.starts_with("http://")
}

fn parse_path(line: &str) -> Result<PathPattern, LineProblem> {
    if is_url(line) {
        return Err(LineProblem::OtherHost);
    }
    let pattern = PathPattern::parse(line).map_err(|error| LineProblem::Rule(RuleError::Pattern(error)))?;
    if pattern.stars() > 1 {
        Err(LineProblem::Rule(RuleError::Pattern(PatternError::SecondStar)))
    } else {
        Ok(pattern)
    }
}

fn parse_change(line: &str, pattern: &PathPattern) -> Result<Change, LineProblem> {
    let change = match line.strip_prefix('!') {
        Some(name) => check_removable(name.trim()).map(|()| Change::Remove(name.trim().to_owned())),
        None => FieldLine::parse(line, Some(pattern)).map(Change::Set),
    };
    change.map_err(LineProblem::Rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_FILE: HeaderScope =
        HeaderScope { content: true, freshness: true, csp: true, no_store: false, private: false };

    /// Returns the head lines that remain of the server's own and those that the file adds.
    fn lines_for(content: &str, path: &str) -> Vec<String> {
        let (headers, errors) = SiteHeaders::parse(content.as_bytes(), &SitePath::ROOT);
        assert_eq!(errors, []);
        let mut out = b"HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\n".to_vec();
        headers.apply(OF_FILE, path.as_bytes(), 0, &mut out);
        let text = String::from_utf8(out).expect("text");
        text.lines().skip(1).map(str::to_owned).collect()
    }

    /// The examples in the documentation of Cloudflare Pages.
    #[test]
    fn rules_mean_what_they_mean_on_cloudflare_pages() {
        let content = "# This is a comment\n\
            /secure/page\n  X-Frame-Options: DENY\n  X-Content-Type-Options: nosniff\n  Referrer-Policy: no-referrer\n\
            \n/static/*\n  Access-Control-Allow-Origin: *\n  X-Robots-Tag: nosnippet\n\
            \n/*\n  Content-Security-Policy: default-src 'self';\n\
            /*.jpg\n  ! Content-Security-Policy\n\
            /movies/:title\n  x-movie-name: You are watching \":title\"\n\
            /static/styles.css\n  X-Robots-Tag: noindex\n";
        let (default, csp) = ("Cache-Control: no-cache", "Content-Security-Policy: default-src 'self';");
        let table: [(&str, &[&str]); 5] = [
            (
                "/secure/page",
                &[
                    "X-Frame-Options: DENY",
                    "X-Content-Type-Options: nosniff",
                    "Referrer-Policy: no-referrer",
                    csp,
                ],
            ),
            ("/static/image.jpg", &["Access-Control-Allow-Origin: *", "X-Robots-Tag: nosnippet"]),
            (
                "/static/styles.css",
                &["Access-Control-Allow-Origin: *", "X-Robots-Tag: nosnippet, noindex", csp],
            ),
            ("/movies/a b", &[csp, "x-movie-name: You are watching \"a%20b\""]),
            ("/secure/pages", &[csp]),
        ];
        for (path, expected) in table {
            assert_eq!(lines_for(content, path), [&[default], expected].concat(), "{path}");
        }
    }

    /// The examples in the documentation of Netlify.
    #[test]
    fn rules_mean_what_they_mean_on_netlify() {
        let content = "# a path:\n/templates/index.html\n# headers for that path:\n\tX-Frame-Options: DENY\n\
            # another path:\n/templates/index2.html\n\tX-Frame-Options: SAMEORIGIN\n\
            /multi\n  cache-control: max-age=0\n  cache-control: no-cache\n  Cache-Control: no-store\n\
            /link\nLink: <a>\nLink: <b>\nSet-Cookie: a=b\nSet-Cookie: c=d\n";
        let default = "Cache-Control: no-cache";
        let table: [(&str, &[&str]); 5] = [
            ("/templates/index.html", &[default, "X-Frame-Options: DENY"]),
            ("/templates/index2.html", &[default, "X-Frame-Options: SAMEORIGIN"]),
            ("/multi", &["cache-control: max-age=0, no-cache, no-store"]),
            ("/link", &[default, "Link: <a>", "Link: <b>", "Set-Cookie: a=b", "Set-Cookie: c=d"]),
            ("/templates/", &[default]),
        ];
        for (path, expected) in table {
            assert_eq!(lines_for(content, path), *expected, "{path}");
        }
    }

    #[test]
    fn headers_can_be_detached_and_set_again() {
        let content = "/*\r\n  X-A: 1\r\n  ! Cache-Control\r\n/b\r\n  ! x-a\r\n  X-A: 2\r\n  X-A: 3\r\n";
        assert_eq!(lines_for(content, "/a"), ["X-A: 1"]);
        assert_eq!(lines_for(content, "/b"), ["X-A: 2, 3"]);
    }

    #[test]
    fn header_that_is_not_sent_repeats_nothing() {
        let scope = HeaderScope { csp: false, ..OF_FILE };
        let content = format!("/*\n{}  X-A: :splat\n", "  Content-Security-Policy: :splat\n".repeat(40));
        let (headers, errors) = SiteHeaders::parse(content.as_bytes(), &SitePath::ROOT);
        assert_eq!(errors, []);
        let mut out = b"HTTP/1.1 200 OK\r\n".to_vec();
        headers.apply(scope, &[b"/", &[b'a'; MAX_REPEATED / 40][..]].concat(), 0, &mut out);
        let head = String::from_utf8(out).expect("text");
        assert!(head.contains("X-A: aaa") && !head.contains("Content-Security-Policy"), "{head}");
    }

    #[test]
    fn coding_of_a_variant_cannot_be_removed() {
        let (_, errors) = SiteHeaders::parse(b"/*\n  ! Content-Encoding\n", &SitePath::ROOT);
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].problem, LineProblem::Rule(RuleError::Reserved));
    }

    #[test]
    fn errors_have_lines_and_wrong_lines_are_skipped() {
        let content: Vec<u8> = [
            &b"\xef\xbb\xbfX-A: before a path\n/a\n  X-A\n  Content-Length: 5\n  transfer-encoding: chunked\n"[..],
            b"  Connection: close\n  Date: now\n  X B: 1\n  X-C: a\rb\n  ! ETag\n  ! Vary\n  !\n  X-D: 1\n",
            b"/:a/:a\n  X-E: 1\n/*/*\n  X-F: 1\nhttps://host/*\n  X-G: 1\n/\xff\n  X-H: 1\n/b\n  X-I: \xff\n  X-J: 1\n",
            &[b'x'; 3000],
        ]
        .concat();
        let (headers, errors) = SiteHeaders::parse(&content, &SitePath::ROOT);
        let reserved = LineProblem::Rule(RuleError::Reserved);
        let expected = [
            (1, LineProblem::NoPath),
            (3, LineProblem::Rule(RuleError::MissingColon)),
            (4, reserved),
            (5, reserved),
            (6, reserved),
            (7, reserved),
            (8, LineProblem::Rule(RuleError::InvalidName)),
            (9, LineProblem::Rule(RuleError::InvalidValue)),
            (10, reserved),
            (11, reserved),
            (12, LineProblem::Rule(RuleError::InvalidName)),
            (14, LineProblem::Rule(RuleError::Pattern(PatternError::RepeatedName))),
            (16, LineProblem::Rule(RuleError::Pattern(PatternError::SecondStar))),
            (18, LineProblem::OtherHost),
            (20, LineProblem::NotUtf8),
            (23, LineProblem::NotUtf8),
            (25, LineProblem::TooLong(2000)),
        ];
        assert_eq!(errors.iter().map(|error| (error.line, error.problem)).collect::<Vec<_>>(), expected);
        let names: Vec<&str> = headers
            .blocks
            .iter()
            .flat_map(|block| &block.changes)
            .filter_map(|change| match change {
                Change::Set(field) => Some(field.name()),
                Change::Remove(_) => None,
            })
            .collect();
        assert_eq!(names, ["X-D", "X-J"]);
    }

    #[test]
    fn errors_and_fields_are_bounded() {
        let content = format!("/*\n{}", "bad\n".repeat(100));
        let errors = SiteHeaders::parse(content.as_bytes(), &SitePath::ROOT).1;
        assert_eq!((errors.len(), errors[20].problem), (21, LineProblem::MoreErrors));
        let content = format!("/*\n{}", "X-A: 1\n".repeat(MAX_FIELDS + 5));
        let (headers, errors) = SiteHeaders::parse(content.as_bytes(), &SitePath::ROOT);
        assert_eq!((errors.len(), errors[0].problem), (1, LineProblem::TooManyRules(MAX_FIELDS)));
        assert_eq!(headers.blocks[0].changes.len(), MAX_FIELDS);
    }

    #[test]
    fn a_path_is_not_repeated_without_bound() {
        let content = format!("/*\n{}", "  X-A: :splat\n".repeat(900));
        let (headers, _) = SiteHeaders::parse(content.as_bytes(), &SitePath::ROOT);
        let len_for = |path_len: usize| {
            let mut out = Vec::new();
            headers.apply(OF_FILE, &[&b"/"[..], &vec![b'a'; path_len]].concat(), 0, &mut out);
            out.len()
        };
        assert!((900 * 10..900 * 13).contains(&len_for(10)), "a short path is repeated by all fields");
        assert!((2000..=MAX_REPEATED).contains(&len_for(1900)));
        assert_eq!(len_for(8000), 0);
    }

    #[test]
    fn paths_are_below_the_base() {
        let base = SitePath::parse(b"/app/".as_slice().into()).expect("a path");
        let (headers, _) = SiteHeaders::parse(b"/a\n  X-A: 1\n", &base);
        for (path, expected) in [("/app/a", 1), ("/a", 0), ("/app", 0), ("", 0), ("/application/a", 0)] {
            let mut out = Vec::new();
            headers.apply(OF_FILE, path.as_bytes(), 0, &mut out);
            assert_eq!(usize::from(!out.is_empty()), expected, "{path}");
        }
    }
}
