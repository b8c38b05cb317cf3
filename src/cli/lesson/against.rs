//! `oneloop lesson --against`: the clients of the lessons, against the user's own server.

use std::net::IpAddr;

use oneloop::{
    Address,
    clients::{HttpUrl, ScriptedRequest},
    lessons::{Bug, TRIALS, Trial, TrialLimits, TrialReport, TrialTarget, UnfitServer, Verdict},
    raise_open_file_limit,
};
use serde::Serialize;

use crate::cli::{
    address,
    args::TrialArgs,
    errors::{Failure, cannot_print},
    output::print,
};

/// The number of silent clients, if the open-file limit allows it.
const SILENT_CLIENTS: u64 = 1000;
/// The descriptors that a trial needs besides the silent clients.
const SPARE_DESCRIPTORS: u64 = 64;
/// The length of a request that is a line. Many of them fill the socket buffers, and servers of
/// lines accept as much.
const LINE: usize = 500;

/// Plays the trials of lesson `number`, or of all lessons, against the server at `server`.
///
/// # Errors
/// Fails if the address is not valid or not private, if the server does not answer, or if it fails
/// a trial.
pub fn run(number: Option<u8>, server: &str, args: &TrialArgs) -> Result<(), Failure> {
    let trials: Vec<&Trial> =
        TRIALS.iter().filter(|trial| number.is_none_or(|number| trial.lesson == number)).collect();
    if let (Some(number), true) = (number, trials.is_empty()) {
        let advice = "leave out the number to play all lessons";
        return Err(Failure::Usage(format!("lesson {number} has no clients for --against; {advice}")));
    }
    let server = server.strip_prefix("http://").unwrap_or(server).trim_end_matches('/');
    let open_files = raise_open_file_limit().saturating_sub(SPARE_DESCRIPTORS);
    let clients = open_files.min(SILENT_CLIENTS) as usize;
    let limits = TrialLimits { answer: args.timeout, deadline: args.deadline, clients };
    let target = match find(server, args, limits) {
        Err(failure) if args.json => {
            print_json(&serde_json::json!({ "server": server, "error": failure.to_string() }))?;
            return Err(failure);
        }
        target => target?,
    };
    let mut account = TrialAccount::new(server, &target, clients, args.json);
    let played = account.play(&trials, &target);
    account.end(played)
}

/// Finds the server, and checks that it answers a plain request. `server` is HOST:PORT, or a port
/// of this machine.
fn find(server: &str, args: &TrialArgs, limits: TrialLimits) -> Result<TrialTarget, Failure> {
    let host = if server.parse::<u16>().is_ok() { &format!("localhost:{server}") } else { server };
    let addresses = private_addresses(host)?;
    examine(server, addresses, &request(host, args)?, limits)
}

/// Resolves HOST:PORT.
fn private_addresses(host: &str) -> Result<Vec<Address>, Failure> {
    let advice = "use HOST:PORT, such as localhost:8000";
    let found = address::resolve(host, || {
        Failure::Usage(format!("'{}' is not a valid address for --against; {advice}", host.escape_debug()))
    })?;
    if let Some(public) = found.iter().find(|address| !is_private(address.ip())) {
        return Err(Failure::Usage(format!(
            "{} is a public address, and --against plays clients that misbehave; use an address of this \
             machine or of a private network (127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, \
             169.254.0.0/16, ::1, fc00::/7, fe80::/10)",
            public.ip()
        )));
    }
    Ok(found.into_iter().map(Address::from).collect())
}

/// Returns whether `ip` belongs to this machine or to a private network (RFC 1918, RFC 3927, RFC
/// 4193, RFC 4291).
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Returns the request of the trials to a server at HOST:PORT.
fn request(host: &str, args: &TrialArgs) -> Result<ScriptedRequest, Failure> {
    if args.lines {
        return Ok(ScriptedRequest::Line([b"x".repeat(LINE - 1), b"\n".to_vec()].concat()));
    }
    let path = args.path.strip_prefix('/').unwrap_or(&args.path);
    let url = HttpUrl::parse(&format!("http://{host}/{path}"));
    let url = url.map_err(|_| Failure::Usage(format!("'{host}' is not a valid host for --against")))?;
    Ok(ScriptedRequest::get(&url))
}

/// Returns the first of the addresses at which a server answers.
fn examine(
    server: &str,
    addresses: Vec<Address>,
    request: &ScriptedRequest,
    limits: TrialLimits,
) -> Result<TrialTarget, Failure> {
    let mut failure = None;
    for address in addresses {
        match TrialTarget::examine(address, request.clone(), limits) {
            Ok(target) => return Ok(target),
            Err(UnfitServer::System(e)) => return Err(Failure::system("cannot play the lesson", &e)),
            Err(e @ UnfitServer::NoAnswer(_)) => failure = Some(e.to_string()),
        }
    }
    let how = failure.unwrap_or_else(|| "there is no address to connect to".into());
    Err(Failure::System(format!(
        "the server at {server} does not answer a plain request: {how}; start the server, or repair this first"
    )))
}

/// The account of all trials, as text or as JSON.
struct TrialAccount {
    is_json: bool,
    results: Results,
}

#[derive(Serialize)]
struct Results {
    server: String,
    /// The answer to a single request.
    usual: String,
    silent_clients: usize,
    passed: usize,
    failed: usize,
    not_shown: usize,
    trials: Vec<TrialResult>,
    /// Why the other trials could not be played.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct TrialResult {
    lesson: u8,
    trial: &'static str,
    result: &'static str,
    expected: &'static str,
    came: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    look_for: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bug: Option<&'static str>,
    events: Vec<EventRow>,
}

#[derive(Serialize)]
struct EventRow {
    seconds: f64,
    text: String,
}

impl TrialAccount {
    fn new(server: &str, target: &TrialTarget, silent_clients: usize, is_json: bool) -> TrialAccount {
        let results = Results {
            server: server.into(),
            usual: target.usual_answer(),
            silent_clients,
            passed: 0,
            failed: 0,
            not_shown: 0,
            trials: Vec::new(),
            error: None,
        };
        TrialAccount { is_json, results }
    }

    /// Prints `text`, unless the account is printed as JSON in the end.
    fn show(&self, text: &str) -> Result<(), Failure> {
        if self.is_json { Ok(()) } else { print(text).map_err(|e| cannot_print(&e)) }
    }

    fn begin(&self) -> Result<(), Failure> {
        let Results { server, usual, silent_clients, .. } = &self.results;
        let fewer = match *silent_clients as u64 {
            SILENT_CLIENTS => String::new(),
            _ => {
                format!("The open-file limit allows {silent_clients} silent clients, not {SILENT_CLIENTS}.\n")
            }
        };
        self.show(&format!("{server} answers a plain request: {usual}.\n{fewer}\n"))
    }

    /// Plays the trials, until the server has ended.
    fn play(&mut self, trials: &[&Trial], target: &TrialTarget) -> Result<(), Failure> {
        self.begin()?;
        for trial in trials {
            let report = trial.run(target).map_err(|e| Failure::system("cannot play the lesson", &e))?;
            let is_over = !report.is_alive;
            self.add(trial, report)?;
            if is_over {
                break;
            }
        }
        Ok(())
    }

    /// Counts and prints the result of a trial.
    fn add(&mut self, trial: &Trial, report: TrialReport) -> Result<(), Failure> {
        let TrialReport { verdict, events, .. } = report;
        let (count, result, word, came) = match verdict {
            Verdict::Passed(came) => (&mut self.results.passed, "passed", "ok    ", came),
            Verdict::Failed(came) => (&mut self.results.failed, "failed", "FAILED", came),
            Verdict::NotShown(came) => (&mut self.results.not_shown, "not_shown", "-     ", came),
        };
        *count += 1;
        let has_failed = result == "failed";
        let mut text = format!("{word}  {}  {:13}  {came}\n", trial.lesson, trial.name);
        let events: Vec<EventRow> = events
            .into_iter()
            .map(|event| EventRow { seconds: event.at.as_secs_f64(), text: event.text })
            .collect();
        if has_failed {
            text.push_str(&format!("        expected: {}\n", trial.expected));
            for EventRow { seconds, text: line } in &events {
                text.push_str(&format!("        {seconds:8.3} s  {line}\n"));
            }
            let broken = trial.bug.map(|bug| format!(" --break {}", bug.name())).unwrap_or_default();
            text.push_str(&format!(
                "        look for: {}\n        explained in: oneloop lesson {}{broken} ({})\n",
                trial.look_for,
                trial.lesson,
                trial.title()
            ));
        }
        self.results.trials.push(TrialResult {
            lesson: trial.lesson,
            trial: trial.name,
            result,
            expected: trial.expected,
            came,
            look_for: has_failed.then_some(trial.look_for),
            bug: trial.bug.filter(|_| has_failed).map(Bug::name),
            events,
        });
        self.show(&text)
    }

    /// Prints the summary, or the results so far if `played` is a failure.
    fn end(mut self, played: Result<(), Failure>) -> Result<(), Failure> {
        if let Err(failure) = played {
            if self.is_json {
                self.results.error = Some(failure.to_string());
                print_json(&self.results)?;
            }
            return Err(failure);
        }
        let Results { passed, failed, not_shown, .. } = self.results;
        self.show(&format!(
            "\n{passed} passed, {failed} failed, {not_shown} showed nothing about this server.\n"
        ))?;
        if self.is_json {
            print_json(&self.results)?;
        }
        match failed {
            0 => Ok(()),
            count => Err(Failure::System(format!(
                "the server failed {count} of {} trials",
                passed + count + not_shown
            ))),
        }
    }
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value);
    let json = json.map_err(|e| Failure::System(format!("cannot write JSON: {e}")))?;
    print(&format!("{json}\n")).map_err(|e| cannot_print(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_must_be_private() {
        let private = "127.0.0.1 127.9.9.9 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.1.1 ::1 \
                       fd00::1 fe80::1 ::ffff:10.0.0.1";
        let public = "8.8.8.8 172.32.0.1 192.169.0.1 0.0.0.0 255.255.255.255 224.0.0.1 2001:db8::1 :: \
                      ::ffff:8.8.8.8";
        for (texts, expected) in [(private, true), (public, false)] {
            for text in texts.split_whitespace() {
                assert_eq!(is_private(text.parse().expect("an address")), expected, "{text}");
            }
        }
    }
}
