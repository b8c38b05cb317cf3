//! The transcripts in docs/CONVERSATIONS.md: each command runs, and prints what the page shows.
//!
//! A block of `console` lines holds commands, which begin with `$ `, and below each its output. The
//! commands of a block run in one shell after another, against one server for the whole page. The
//! addresses on the page stand for free ports. Times, ports of clients and other words that change
//! from run to run are not compared.
//!
//! `UPDATE=1 cargo test --test it docs::conversations` writes the output into the page.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use super::root;
use crate::common::*;

const PAGE: &str = "docs/CONVERSATIONS.md";
/// The flag of each conversation, the address on the page, the options behind it, and how the
/// server announces it.
const CONVERSATIONS: [(&str, &str, &str, &str); 6] = [
    ("--tcp-echo", "127.0.0.1:7000", "", "tcp://"),
    ("--chat", "127.0.0.1:7001", "", "chat://"),
    ("--udp-echo", "127.0.0.1:9000", ",loss=30%,seed=7", "udp://"),
    ("--beacon", "127.0.0.1:8880", "", "beacon://"),
    ("--smtp", "127.0.0.1:2525", "", "smtp://"),
    ("--pop3", "127.0.0.1:1110", "", "pop3://"),
];
/// The name of the machine on the page.
const MACHINE: &str = "lab";
/// The address of HTTP on the page.
const HTTP: &str = "127.0.0.1:8000";

/// The texts before values that change from run to run.
const CHANGING_FIELDS: [&str; 4] = ["Date: ", "Last-Modified: ", "ETag: ", "with ESMTP; "];

/// The server of the page, and the addresses that the page has for its sockets.
struct Rehearsal {
    _server: Server,
    /// The address on the page, and the real one.
    addresses: Vec<(String, String)>,
    site: Site,
}

impl Rehearsal {
    fn start() -> Rehearsal {
        let site = Site::empty();
        for entry in fs::read_dir(root().join("docs/conversations")).expect("the files of the page") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
            site.write(&name, fs::read(&path).expect("read"));
        }
        let args: Vec<String> = CONVERSATIONS
            .iter()
            .flat_map(|(flag, _, options, _)| [(*flag).to_owned(), format!("127.0.0.1:0{options}")])
            .collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        // A reader of the page starts the server without --allow-host.
        let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop"));
        command.args(["--port", "0"]).args(&args).arg(site.path()).stderr(Stdio::piped());
        let server = Server::spawn(command);
        let real = |scheme: &str| server.addr_of(scheme).to_string();
        let mut addresses = vec![(HTTP.to_owned(), real("http://"))];
        addresses.extend(CONVERSATIONS.map(|(_, shown, _, scheme)| (shown.to_owned(), real(scheme))));
        // The client of the beacon takes the port alone.
        addresses.push(("--port 8880".into(), format!("--port {}", server.addr_of("beacon://").port())));
        let machine = fs::read_to_string("/proc/sys/kernel/hostname").expect("the name of the machine");
        addresses.push((format!("{MACHINE}\n"), machine));
        Rehearsal { _server: server, addresses, site }
    }

    /// Runs a command of the page, and returns its output as the page shows it.
    fn run(&self, command: &str) -> String {
        let program = Path::new(env!("CARGO_BIN_EXE_oneloop")).parent().expect("its directory");
        let path = format!("{}:{}", program.display(), env::var("PATH").unwrap_or_default());
        let real =
            self.addresses.iter().fold(command.to_owned(), |text, (shown, real)| text.replace(shown, real));
        let output = Command::new("sh")
            .args(["-c", &format!("{{ {real}\n}} 2>&1")])
            .current_dir(self.site.path())
            .env("PATH", path)
            .stdin(Stdio::null())
            .output()
            .expect("run a shell");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        self.addresses.iter().fold(text, |text, (shown, real)| text.replace(real, shown))
    }
}

/// Masks the digits of the words that change from run to run: times, dates, ports of clients, and
/// identifiers.
fn masked(output: &str) -> String {
    let mask = |word: &str| -> String {
        let changes = word.contains([':', '.', '@']) || word.matches('-').count() > 1;
        word.chars().map(|c| if changes && c.is_ascii_digit() { '#' } else { c }).collect()
    };
    let line = |line: &str| match CHANGING_FIELDS.iter().find(|name| line.contains(**name)) {
        Some(name) => (*name).to_owned(),
        None => line.split(' ').map(mask).collect::<Vec<_>>().join(" "),
    };
    let mut masked: String = output.lines().map(|text| line(text) + "\n").collect();
    while masked.contains("##") {
        masked = masked.replace("##", "#");
    }
    masked
}

/// Returns the page with the output that its commands print now, and the commands whose output
/// differs from what the page shows.
fn rehearse(page: &str, run: impl Fn(&str) -> String) -> (String, Vec<String>) {
    let (mut new, mut differences) = (String::new(), Vec::new());
    for (index, block) in page.split("```").enumerate() {
        new.push_str(if index > 0 { "```" } else { "" });
        let Some(commands) = block.strip_prefix("console\n$ ").filter(|_| index % 2 == 1) else {
            new.push_str(block);
            continue;
        };
        new.push_str("console\n");
        for part in commands.split("\n$ ") {
            let (command, shown) = part.trim_end().split_once('\n').unwrap_or((part.trim_end(), ""));
            let output = run(command);
            if masked(&output) != masked(shown) {
                differences.push(format!("$ {command}\n{output}"));
            }
            new.push_str(&format!("$ {command}\n{output}"));
        }
    }
    (new, differences)
}

#[test]
fn transcripts_are_what_the_program_prints() {
    let page = fs::read_to_string(root().join(PAGE)).expect("the page");
    let rehearsal = Rehearsal::start();
    let (new, differences) = rehearse(&page, |command| rehearsal.run(command));
    if env::var_os("UPDATE").is_some() {
        // POP3 ends its lines with CR LF, and the page does not.
        fs::write(root().join(PAGE), new.replace('\r', "")).expect("write the page");
        return;
    }
    assert!(
        differences.is_empty(),
        "these print something else than {PAGE} shows; look at it, and run \
         UPDATE=1 cargo test --test it docs::conversations\n{}",
        differences.join("\n")
    );
}

#[test]
fn transcript_is_compared_without_what_changes() {
    let page =
        "text\n```console\n$ one\n[2026-11-27 08:00:01] a\n$ two\nb 7\n```\nmore\n```sh\n$ not run\n```\n";
    let run = |command: &str| match command {
        "one" => "[2027-01-02 10:11:12] a\n".to_owned(),
        _ => "b 8\n".to_owned(),
    };
    let (new, differences) = rehearse(page, run);
    assert_eq!(differences, ["$ two\nb 8\n"]);
    assert_eq!(new, page.replace("2026-11-27 08:00:01", "2027-01-02 10:11:12").replace("b 7", "b 8"));
}
