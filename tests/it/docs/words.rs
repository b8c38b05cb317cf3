//! `docs/WORDS.md` and the code agree: each name in the glossary is defined in `src`, and each
//! public type is in the glossary.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use super::{assert_none, files, has_member, name, root, words};

const PAGE: &str = "docs/WORDS.md";

/// A row of the glossary.
struct Row {
    line: usize,
    word: String,
    meaning: String,
    /// The names in its last column.
    code: Vec<String>,
}

/// Returns the rows of the glossary, without the heads of its tables.
fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join(PAGE)).expect(PAGE);
    let is_row = |line: &str| line.starts_with("| ") && !line.starts_with("| Word ");
    let lines = page.lines().enumerate().filter(|(_, line)| is_row(line));
    let rows: Vec<Row> = lines
        .map(|(i, line)| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [word, meaning, _, code] = cells[..] else { panic!("{PAGE}:{}: not four cells", i + 1) };
            let code = code.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            Row { line: i + 1, word: word.into(), meaning: meaning.into(), code }
        })
        .collect();
    assert!(rows.len() > 50, "{} rows", rows.len());
    rows
}

/// Returns whether a line of `text` defines `item`.
fn defines(text: &str, item: &str) -> bool {
    let keywords = ["struct", "enum", "trait", "type", "fn", "const", "mod"];
    text.lines().any(|line| {
        let mut words = words(line).skip_while(|word| ["pub", "super", "crate"].contains(word));
        words.next().is_some_and(|word| keywords.contains(&word)) && words.next() == Some(item)
    })
}

#[test]
fn words_are_defined_once_and_name_what_exists() {
    let sources = files("src", &["rs"]);
    let exists = |item: &str| match item.split_once("::") {
        _ if item.contains('/') => root().join("src").join(item).exists(),
        Some((of, member)) => has_member(&sources, of, member),
        None => sources.iter().any(|(_, text)| defines(text, item)),
    };
    let (mut faults, mut seen) = (Vec::new(), HashSet::new());
    for Row { line, word, meaning, code } in rows() {
        let mut fault = |what: &str| faults.push(format!("{PAGE}:{line}: {word}: {what}"));
        if !seen.insert(word.to_lowercase()) {
            fault("defined twice");
        }
        if !meaning.ends_with(['.', ')']) {
            fault("the meaning is not a sentence");
        }
        if code.is_empty() {
            fault("the last column names nothing");
        }
        code.iter().filter(|item| !exists(item)).for_each(|item| fault(&format!("src has no {item}")));
    }
    assert_none(&faults, "correct the row; the last column holds names and files of src in backquotes");
}

/// Adds the types that a user of the module in `file` can name, by `pub`, `pub use` and `pub mod`.
fn public_types(file: &Path, found: &mut Vec<(String, String)>) {
    let text = fs::read_to_string(file).expect("a module");
    for (i, line) in text.lines().enumerate() {
        let Some(item) = line.strip_prefix("pub ") else { continue };
        let place = || format!("{}:{}", name(file), i + 1);
        match words(item).collect::<Vec<_>>()[..] {
            // `internals` has a body, and is not part of the interface.
            ["mod", module] if item.ends_with(';') => public_types(&module_file(file, module), found),
            ["struct" | "enum" | "trait" | "type", of, ..] => found.push((place(), of.into())),
            ["use", ..] => {
                let rest = text.lines().skip(i).collect::<Vec<_>>().join(" ");
                let names = rest.split(';').next().unwrap_or_default();
                let is_type = |word: &&str| {
                    word.starts_with(|c: char| c.is_ascii_uppercase())
                        && word.contains(|c: char| c.is_ascii_lowercase())
                };
                found.extend(words(names).filter(is_type).map(|of| (place(), of.into())));
            }
            _ => {}
        }
    }
}

/// Returns the file of `module`, which `parent` declares.
fn module_file(parent: &Path, module: &str) -> PathBuf {
    let dir = parent.with_file_name("");
    let [file, folder] = [dir.join(format!("{module}.rs")), dir.join(module).join("mod.rs")];
    if file.exists() { file } else { folder }
}

#[test]
fn words_cover_the_public_types() {
    let mut types = Vec::new();
    public_types(&root().join("src/lib.rs"), &mut types);
    assert!(types.len() > 40 && types.iter().any(|(_, of)| of == "Outbox"), "{types:?}");
    let rows = rows();
    let known: HashSet<&str> =
        rows.iter().flat_map(|row| &row.code).filter_map(|item| item.split("::").next()).collect();
    let missing = types.iter().filter(|(_, of)| !known.contains(of.as_str()));
    let faults: Vec<String> = missing.map(|(place, of)| format!("{place}: {of}")).collect();
    assert_none(&faults, "add the type to the last column of a row in docs/WORDS.md, or add a row");
}
