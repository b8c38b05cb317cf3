//! The lines of the rule files in a site, and what can be wrong with them.

use std::fmt;

use super::{header_rules::RuleError, redirects::RedirectError};

/// The maximum length of a rule file in bytes.
pub const MAX_RULE_FILE: usize = 64 * 1024;
/// The maximum length of a line in bytes.
const MAX_LINE: usize = 2000;
/// The maximum number of errors that are reported for one file.
const MAX_ERRORS: usize = 20;

/// What is wrong with a line of a rule file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineError {
    /// The number of the line, from 1.
    pub line: usize,
    /// The reason.
    pub problem: LineProblem,
}

/// The reason why a line is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineProblem {
    /// The field or its path is not valid.
    Rule(RuleError),
    /// The redirect is not valid.
    Redirect(RedirectError),
    /// There is no path before the field.
    NoPath,
    /// The rule is for another host.
    OtherHost,
    /// The line is not UTF-8.
    NotUtf8,
    /// The line has more than this many bytes.
    TooLong(usize),
    /// The file has more than this many rules.
    TooManyRules(usize),
    /// The file has more errors than are reported.
    MoreErrors,
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineProblem::Rule(error) => write!(f, "{error}; skipping the line"),
            LineProblem::NoPath => f.write_str("a header needs a line with a path such as /* before it"),
            LineProblem::Redirect(error) => write!(f, "{error}; skipping the rule"),
            LineProblem::OtherHost => {
                f.write_str("rules for a host have no effect here; skipping its headers")
            }
            LineProblem::NotUtf8 => f.write_str("the line is not UTF-8; skipping it"),
            LineProblem::TooLong(max) => write!(f, "the line is longer than {max} bytes; skipping it"),
            LineProblem::TooManyRules(max) => {
                write!(f, "the file has more than {max} rules; skipping the rest")
            }
            LineProblem::MoreErrors => f.write_str("too many errors; not reporting the rest"),
        }
    }
}

/// The lines of a rule file that have something to say: no comments, and no empty lines.
pub struct RuleLines<'a> {
    /// The lines that have not been returned. `None` after the last one.
    rest: Option<&'a [u8]>,
    /// The number of the last line.
    number: usize,
    /// The errors so far.
    pub errors: Vec<LineError>,
}

impl<'a> RuleLines<'a> {
    /// Begins with the first line of a file with this content.
    pub fn new(content: &'a [u8]) -> RuleLines<'a> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        RuleLines { rest: Some(content), number: 0, errors: Vec::new() }
    }

    /// Returns the next line, without the space around it, or its bytes if it was reported and must
    /// be skipped.
    pub fn next_line(&mut self) -> Option<Result<&'a str, &'a [u8]>> {
        let line = loop {
            let rest = self.rest?;
            let end = memchr::memchr(b'\n', rest);
            self.rest = end.map(|end| &rest[end + 1..]);
            self.number += 1;
            let line = rest[..end.unwrap_or(rest.len())].trim_ascii();
            if !line.is_empty() && !line.starts_with(b"#") {
                break line;
            }
        };
        let problem = match std::str::from_utf8(line) {
            Ok(_) if line.len() > MAX_LINE => LineProblem::TooLong(MAX_LINE),
            Ok(line) => return Some(Ok(line)),
            Err(_) => LineProblem::NotUtf8,
        };
        self.report(problem);
        Some(Err(line))
    }

    /// Reports what is wrong with the last line.
    pub fn report(&mut self, problem: LineProblem) {
        let error = LineError { line: self.number, problem };
        match self.errors.len() {
            0..MAX_ERRORS => self.errors.push(error),
            MAX_ERRORS => self.errors.push(LineError { problem: LineProblem::MoreErrors, ..error }),
            _ => {}
        }
    }
}
