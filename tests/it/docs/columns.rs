//! Prose and comments keep to 100 columns, and code is ASCII, so that all of it can be read in any
//! terminal.

use std::path::Path;

use super::{assert_none, files, markdown, name, root};

const COLUMNS: usize = 100;
/// The README is a first screen and a tour. The rest belongs to `docs`.
const README_LINES: usize = 200;
/// Files and folders that are not wrapped yet, to be removed from here one by one.
const NOT_YET: &[&str] = &["docs/course/", "docs/lessons/"];

fn is_checked(path: &Path) -> bool {
    let name = name(path);
    name.starts_with("tests/it/docs") || !NOT_YET.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns a fault for each of the numbered lines that is too wide. A line with a link may be.
fn too_wide<'a>(path: &Path, lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<String> {
    let has_link = |line: &str| line.contains("](") || line.contains("://") || line.contains("<img");
    lines
        .map(|(i, line)| (i, line, line.chars().count()))
        .filter(|(_, line, width)| *width > COLUMNS && !has_link(line))
        .map(|(i, _, width)| format!("{}:{}: {width} columns", name(path), i + 1))
        .collect()
}

#[test]
fn prose_keeps_to_its_columns() {
    let mut faults = Vec::new();
    for (path, text) in markdown().filter(|(path, _)| is_checked(path)) {
        let mut is_code = false;
        let prose = text.lines().enumerate().filter(|(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence && !line.starts_with('|') && !line.starts_with("    ")
        });
        faults.extend(too_wide(&path, prose));
    }
    assert_none(
        &faults,
        "wrap the paragraph at 100 columns (tables, code and lines with links may be wider)",
    );
}

/// Returns the files with code that people wrote.
fn code(extensions: &[&str]) -> impl Iterator<Item = (std::path::PathBuf, String)> {
    let folders = ["benches", "examples", "src", "tests"];
    let all: Vec<_> = folders.into_iter().flat_map(|folder| files(folder, extensions)).collect();
    all.into_iter().filter(|(path, _)| is_checked(path))
}

#[test]
fn comments_keep_to_their_columns() {
    let is_comment = |line: &str| {
        let line = line.trim_start();
        let is_table = line.starts_with("/// |") || line.starts_with("//! |");
        !is_table && (line.starts_with("//") || line.contains(" // "))
    };
    let mut faults = Vec::new();
    for (path, text) in code(&["rs"]) {
        faults.extend(too_wide(&path, text.lines().enumerate().filter(|(_, line)| is_comment(line))));
    }
    assert_none(&faults, "wrap the comment at 100 columns; a comment behind code goes above it");
}

#[test]
fn code_is_ascii() {
    let mut faults = Vec::new();
    for (path, text) in code(&["c", "py", "rs", "sh"]) {
        let has_diagram = path == root().join("src/lib.rs");
        for (i, line) in text.lines().enumerate() {
            let odd =
                line.chars().find(|c| !c.is_ascii()).filter(|_| !has_diagram || !line.starts_with("//!"));
            faults.extend(odd.map(|c| format!("{}:{}: {c:?}", name(&path), i + 1)));
        }
    }
    assert_none(
        &faults,
        "use ASCII: `section` and `...` in comments, an escape such as \\u{e9} in test data",
    );
}

#[test]
fn readme_is_short() {
    let lines = std::fs::read_to_string(root().join("README.md")).expect("README.md").lines().count();
    assert!(
        lines <= README_LINES,
        "README.md has {lines} lines, at most {README_LINES} are allowed: move what is not for a first visit to docs/"
    );
}
