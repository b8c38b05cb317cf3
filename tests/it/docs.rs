//! The documents agree with the program: files, types and their members, flags, link targets, and
//! quoted lines of code exist. `words` checks the glossary, `columns` the widths of lines.
//!
//! The checks look for names and know no Rust: a member exists if a file that defines or
//! implements its type has a line that declares such a name. Names of other projects are listed by
//! hand, below.

mod columns;
mod conversations;
mod load_testing;
mod words;

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Types of std, mio and other crates. Their members are not checked.
const FOREIGN_TYPES: &[&str] = &["Duration", "ErrorKind", "Interest", "Poll", "UdpSocket"];
/// Modules of std, and this crate itself.
const FOREIGN_MODULES: &[&str] = &["error", "io", "oneloop", "std", "usize"];
/// Identifiers of the kernel, of C, of Python, of nginx and of k6 that the pages explain and no
/// source names.
const FOREIGN_NAMES: &str = "ConnectionResetError EINTR EPOLL_CTL_ADD IPV6_V6ONLY KernelStack SEQUENTIAL TCP_DEFER_ACCEPT VmPTE WILLNEED \
     dropped_iterations fd_set http_req_duration inotify_add_watch ip_local_port_range open_file_cache \
     scaling_governor set_wakeup_fd tcp_migrate_req tcp_tw_reuse";
/// Flags of cargo, curl, load generators, the scripts in `benches` and `examples`, and
/// `tests/faults`.
const FOREIGN_FLAGS: &str = "--before --cacert --crlf --draw --example --features --first --h --head --json --latency --latency-correction \
     --limit-rate --lines --log-file --network --no-parser --no-tui --only --path --path-as-is --process --release \
     --rm --rounds --seed --seeds --silent --table --test --times --unix-socket --work";
/// Folders of the repository. What begins with one of them is a path.
const FOLDERS: &[&str] =
    &[".ci/", "benches/", "docs/", "examples/", "packaging/", "src/", "static/", "tests/"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the path of a file as it is from the root of the repository.
fn name(path: &Path) -> String {
    path.strip_prefix(root()).expect("a path in the repository").display().to_string()
}

/// Returns the files in `dir` that have one of `extensions`, and their texts.
fn files_in(dir: &str, extensions: &[&str], is_deep: bool) -> Vec<(PathBuf, String)> {
    let (mut found, mut dirs) = (Vec::new(), vec![root().join(dir)]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.extend(is_deep.then_some(path));
            } else if extensions.iter().any(|extension| path.extension().is_some_and(|e| e == *extension)) {
                let text = fs::read_to_string(&path).expect("a text");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

/// Returns the files below `dir` that have one of `extensions`, and their texts.
fn files(dir: &str, extensions: &[&str]) -> Vec<(PathBuf, String)> {
    files_in(dir, extensions, true)
}

/// Returns the pages that are Markdown: those at the root, and the documents.
fn markdown() -> impl Iterator<Item = (PathBuf, String)> {
    files_in("", &["md"], false).into_iter().chain(files("docs", &["md"]))
}

/// Fails with `faults`, each of which begins with a file and a line, and with what to do.
fn assert_none(faults: &[String], what_to_do: &str) {
    assert!(faults.is_empty(), "{what_to_do}:\n{}", faults.join("\n"));
}

/// Fails with what `check` finds wrong in the lines of the documents, and with what to do. `check`
/// takes a page's path, whether the line is in a block of Rust, and the line.
fn check_lines(what_to_do: &str, check: impl Fn(&Path, bool, &str) -> Vec<String>) {
    let mut found = Vec::new();
    for (path, text) in markdown().chain(files("static", &["html"])) {
        if path.ends_with("docs/TRACE.md") {
            continue; // generated, and compared with its source in the tests of the trace
        }
        let mut is_rust = false;
        for (i, line) in text.lines().enumerate() {
            is_rust = if line.starts_with("```") { line == "```rust" } else { is_rust };
            let what = check(&path, is_rust && !line.starts_with("```"), line);
            found.extend(what.iter().map(|what| format!("{}:{}: {what}", name(&path), i + 1)));
        }
    }
    assert_none(&found, what_to_do);
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

#[test]
fn docs_name_files_that_exist() {
    let what_to_do = "write the path from the root of the repository, from src/, or from the page";
    check_lines(what_to_do, |page, _, line| {
        let mut bases = vec![root().to_owned(), root().join("src"), root().join("examples")];
        bases.push(page.with_file_name(""));
        if page.ends_with("docs/HTTP.md") {
            bases.push(root().join("src/http")); // as the page says
        }
        let tokens =
            line.split(|c| !is_word(c) && !"./-*".contains(c)).map(|token| token.trim_end_matches('.'));
        let is_path = |token: &&str| {
            let is_in_folder = FOLDERS.iter().any(|folder| token.starts_with(folder));
            !token.contains('*') && (is_in_folder || token.len() > 3 && token.ends_with(".rs"))
        };
        let is_missing = |token: &&str| !bases.iter().any(|base| base.join(token).exists());
        tokens.filter(is_path).filter(is_missing).map(|token| format!("no file {token}")).collect()
    });
}

/// Returns whether one of the sources has a method, variant, constant or field `member` of the type
/// `of`.
fn has_member(sources: &[(PathBuf, String)], of: &str, member: &str) -> bool {
    let is_about = |line: &str| {
        let mut words = words(line).skip_while(|word| ["pub", "super", "crate"].contains(word));
        let is_item = words.next().is_some_and(|word| ["struct", "enum", "trait", "impl"].contains(&word));
        is_item && words.any(|word| word == of)
    };
    let declares = |line: &str| {
        let mut line = line.trim_start();
        for keyword in ["pub ", "pub(super) ", "pub(crate) ", "const ", "fn "] {
            line = line.strip_prefix(keyword).unwrap_or(line);
        }
        let rest = line.strip_prefix(member).unwrap_or("-");
        rest.is_empty() || rest.starts_with(['(', '<', ',', ':', ' ']) && !rest.starts_with("::")
    };
    let mut about = sources.iter().filter(|(_, text)| text.lines().any(is_about));
    about.any(|(_, text)| text.lines().any(declares))
}

/// Returns whether one of the sources in the module `of` has the name `member`.
fn has_item(sources: &[(PathBuf, String)], of: &str, member: &str) -> bool {
    let is_in = |path: &Path| path.iter().any(|part| part == of || part == format!("{of}.rs").as_str());
    sources.iter().any(|(path, text)| is_in(path) && words(text).any(|word| word == member))
}

#[test]
fn docs_name_types_and_members_that_exist() {
    let sources = files("src", &["rs"]);
    let what_to_do =
        "use the name that src/ has, or add a name of another project to FOREIGN_TYPES or FOREIGN_MODULES";
    check_lines(what_to_do, |_, _, line| {
        let mut found = Vec::new();
        for (at, _) in line.match_indices("::") {
            let of = line[..at].rsplit(|c| !is_word(c)).next().unwrap_or_default();
            let member = line[at + 2..].split(|c| !is_word(c)).next().unwrap_or_default();
            let is_type = of.starts_with(|c: char| c.is_ascii_uppercase());
            let foreign = if is_type { FOREIGN_TYPES } else { FOREIGN_MODULES };
            let has = if is_type { has_member } else { has_item };
            let is_name = !of.is_empty() && !member.is_empty() && !foreign.contains(&of);
            if is_name && !has(&sources, of, member) {
                found.push(format!("no {of}::{member}"));
            }
        }
        found
    });
}

#[test]
fn docs_name_identifiers_and_quote_code_that_exist() {
    let sources: Vec<_> = ["src", "examples", "benches", "tests"]
        .into_iter()
        .flat_map(|dir| files(dir, &["rs", "py"]))
        .collect();
    let here = root().join("tests/it/docs");
    let is_here = |path: &Path| path.starts_with(&here) || path == here.with_extension("rs");
    let others = || sources.iter().filter(|(path, _)| !is_here(path)).map(|(_, text)| text);
    let known: HashSet<&str> =
        others().flat_map(|text| words(text)).chain(FOREIGN_NAMES.split(' ')).collect();
    let code: HashSet<&str> = others().flat_map(|text| text.lines().map(str::trim)).collect();
    // What no prose has: snake_case, CONSTANTS, and CamelCase with two humps.
    let is_name = |word: &str, span: &str| {
        let humps = word.matches(|c: char| c.is_ascii_uppercase()).count();
        let is_camel = word == span && word.starts_with(|c: char| c.is_ascii_uppercase()) && humps > 1;
        word.len() > 3 && (is_camel || word.contains('_') && !word.starts_with(|c: char| c.is_ascii_digit()))
    };
    let what_to_do = "use the name that the code has, quote the line as it is, or add a name of another project to FOREIGN_NAMES";
    check_lines(what_to_do, |_, is_rust, line| {
        if is_rust {
            let is_quoted = line.trim().is_empty() || code.contains(line.trim());
            return if is_quoted { Vec::new() } else { vec![format!("no line {line}")] };
        }
        let html =
            line.split("<code>").skip(1).filter_map(|rest| rest.split_once("</code>")).map(|(span, _)| span);
        let spans = line.split('`').skip(1).step_by(2).chain(html);
        let names = spans.flat_map(|span| words(span).filter(move |word| is_name(word, span)));
        names.filter(|name| !known.contains(name)).map(|name| format!("no {name}")).collect()
    });
}

/// Returns the long options in a text.
fn flags(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("--").filter_map(move |(at, _)| {
        let begins = !text[..at].ends_with(|c: char| is_word(c) || c == '-');
        let name = text[at + 2..].split(|c: char| !c.is_ascii_lowercase() && c != '-').next()?;
        (begins && name.starts_with(|c: char| c.is_ascii_lowercase())).then(|| &text[at..at + 2 + name.len()])
    })
}

#[test]
fn docs_name_flags_that_exist() {
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_oneloop"))
            .args(arguments)
            .arg("--help")
            .output()
            .expect("oneloop");
        String::from_utf8(output.stdout).expect("text")
    };
    let clients =
        ["tcp", "udp", "discover", "chat", "smtp", "pop3", "http"].map(|name| help(&["talk", name]));
    let help: Vec<String> = [help(&[]), help(&["lesson"]), help(&["compress"]), help(&["healthcheck"])]
        .into_iter()
        .chain(clients)
        .collect();
    let known: HashSet<&str> =
        help.iter().flat_map(|help| flags(help)).chain(FOREIGN_FLAGS.split(' ')).collect();
    assert!(known.contains("--trace-only") && known.contains("--break"), "{help:?}");
    let what_to_do = "use a flag of `oneloop --help`, or add a flag of another program to FOREIGN_FLAGS";
    check_lines(what_to_do, |_, _, line| {
        flags(line).filter(|flag| !known.contains(flag)).map(|flag| format!("no {flag}")).collect()
    });
}

/// Returns the anchors of a page: the ids of HTML, and the headings of Markdown as GitHub makes ids
/// of them.
fn anchors(text: &str) -> HashSet<String> {
    let ids = text.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        title.chars().filter(|c| c.is_alphanumeric() || "_-".contains(*c)).collect()
    });
    ids.chain(headings).collect()
}

#[test]
fn docs_link_to_what_exists() {
    let what_to_do = "correct the path or the anchor";
    check_lines(what_to_do, |page, _, line| {
        let links = [("](", ')'), ("href=\"", '"'), ("src=\"", '"')].into_iter().flat_map(|(before, end)| {
            line.split(before).skip(1).filter_map(move |rest| rest.split(end).next())
        });
        let is_broken = |link: &&str| {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let mut target = match path.strip_prefix('/') {
                Some(path) => root().join("static").join(path),
                None if path.is_empty() => page.to_owned(),
                None => page.with_file_name("").join(path),
            };
            if target.is_dir() && page.extension().is_some_and(|extension| extension == "html") {
                target.push("index.html");
            }
            let has_anchor = || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor));
            !target.exists() || !anchor.is_empty() && !has_anchor()
        };
        let within = links.filter(|link| !link.contains(':')); // others lead to other hosts
        within.filter(is_broken).map(|link| format!("no target of {link}")).collect()
    });
}

#[test]
fn docs_home_page_traces_its_own_size() {
    let page = std::fs::read_to_string(root().join("static/index.html")).expect("the home page");
    let size = format!("body={}", page.len());
    assert!(page.contains(&size), "trace a request for / again and write {size} into static/index.html");
}
