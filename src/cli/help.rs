//! The sections that follow the options in `--help` and in the man page: environment, signals, exit
//! status and examples. Both outputs are made from these texts.

/// The variables of the environment.
const ENVIRONMENT: &str = "\
Environment:
  DIR and every option except --verbose and --quiet can also be set in the environment:
  for example ONELOOP_DIR, or ONELOOP_IDLE_TIMEOUT for --idle-timeout. Repeatable options
  take a comma-separated list; ONELOOP_HEADER takes one header per line, ONELOOP_REDIRECT
  one rule. A switch is on with 1, true, yes or on, and off with 0, false, no or off; so
  is an option with an optional value (ONELOOP_SPA=true).
  LISTEN_FDS and LISTEN_PID pass listening sockets that take the place of --port and --bind
  (sd_listen_fds(3)).";

/// What each signal does to a server.
pub const SIGNALS: &[(&str, &str)] = &[
    ("SIGINT, SIGTERM", "finish the responses in progress, then exit; a second one exits at once"),
    ("SIGUSR1", "turn the trace on standard error on or off"),
    ("SIGUSR2", "print statistics to standard error, with --stats"),
];

/// What each exit status means.
pub const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "the server stopped after a signal, or the command printed its output"),
    ("1", "a system error, such as a port that is already in use"),
    ("2", "an invalid argument, environment variable or directory"),
    ("130, 143", "a second SIGINT or SIGTERM killed the server"),
];

/// Command lines, and what each of them does.
pub const EXAMPLES: &[(&str, &str)] = &[
    ("oneloop", "serve ./static, ./public, ./dist, ./build or . on http://127.0.0.1:8000/"),
    ("oneloop dist --spa --port 3000", "serve a single-page application"),
    ("oneloop site --live", "reload pages in the browser when a file changes"),
    ("oneloop . --listing -b 0.0.0.0", "share the current directory on the network"),
    ("oneloop site --access-log=log", "log every response to a file"),
    ("oneloop --trace", "show what the loop does, step by step"),
    ("oneloop --observe", "show the loop live on a page of its own"),
    ("oneloop --step", "stop the loop at every wake-up, as a debugger does"),
    ("oneloop --tls -b 0.0.0.0", "serve HTTPS, for example to a phone"),
    ("oneloop compress dist", "write .br, .zst and .gz variants for the server to send"),
    ("oneloop lesson 1", "learn how an event loop works"),
    ("oneloop ./lesson", "serve the directory lesson instead of running the command"),
];

/// Returns the text that follows the options in `-h`.
pub fn after_help() -> String {
    table("Examples", EXAMPLES)
}

/// Returns what ends `--help`.
pub fn after_long_help() -> String {
    let (signals, status) = (table("Signals", SIGNALS), table("Exit status", EXIT_STATUS));
    [ENVIRONMENT, &signals, &status, &after_help()].join("\n\n")
}

/// Returns a heading, and below it each pair on a line, in two columns.
fn table(heading: &str, pairs: &[(&str, &str)]) -> String {
    let width = pairs.iter().map(|(left, _)| left.len()).max().unwrap_or_default();
    let lines = pairs.iter().map(|(left, right)| format!("\n  {left:width$}  {right}"));
    format!("{heading}:{}", lines.collect::<String>())
}
