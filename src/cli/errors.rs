//! The program's error messages and their exit codes.

use std::{fmt, io, net::SocketAddr, process::ExitCode};

use oneloop::{Address, StartError};
use rustix::io::Errno;

use super::port_holder::in_use;

/// The reason why the program exits with an error: one sentence, with advice where possible.
#[derive(Debug)]
pub enum Failure {
    /// An invalid argument, which gives exit code 2.
    Usage(String),
    /// A failed system call, which gives exit code 1.
    System(String),
}

impl Failure {
    /// Creates a failure from the action that failed and the system's error.
    pub fn system(what: &str, e: &io::Error) -> Failure {
        Failure::System(format!("{what}: {}", io_message(e)))
    }

    /// Returns the program's exit code for this failure.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Usage(_) => ExitCode::from(2),
            Failure::System(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::System(text) => f.write_str(text),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        match error {
            StartError::Directory { dir, source } if !is_out_of_descriptors(&source) => {
                let (dir, why) = (dir.display(), io_message(&source));
                Failure::Usage(format!(
                    "cannot serve '{dir}': {why}; DIR must be a directory or a file that can be read"
                ))
            }
            StartError::MountDirectory { dir, source } if !is_out_of_descriptors(&source) => {
                let (dir, why) = (dir.display(), io_message(&source));
                Failure::Usage(format!(
                    "cannot serve '{dir}' for --mount: {why}; name a directory or a file that can be read"
                ))
            }
            StartError::MountPath(path) => Failure::Usage(format!(
                "'{path}' is not a valid path for --mount; use one below the root, such as /docs"
            )),
            StartError::MountTwice(path) => Failure::Usage(format!(
                "--mount has the path '{path}' twice; choose another path for one of the directories"
            )),
            StartError::MonitoringPath(path) => Failure::Usage(format!(
                "'{path}' is not a valid path for --health or --metrics, or it is given for both; use a path such as /health"
            )),
            StartError::BasePath(path) => {
                Failure::Usage(format!("'{path}' is not a valid --base-path; use a path such as /app"))
            }
            StartError::TargetPath(path) => {
                Failure::Usage(format!("'{path}' is not a valid path for --target; use a path such as /_"))
            }
            StartError::SpaFallback(name) => {
                let advice = "use a file in the directory, such as index.html";
                Failure::Usage(format!("'{name}' is not a valid file for --spa; {advice}"))
            }
            StartError::CacheControl { source, .. } => {
                let advice = "use a value such as no-cache or max-age=600";
                Failure::Usage(format!("--cache-control: {source}; {advice}"))
            }
            StartError::AllowedHost(name) => {
                let advice = "use a host without scheme or port, such as dev.example, or *";
                Failure::Usage(format!("'{name}' is not a valid host for --allow-host; {advice}"))
            }
            StartError::Host { host, .. } => Failure::Usage(format!(
                "'{host}' for --bind is not an address of this machine; try 127.0.0.1"
            )),
            StartError::Listen { address, source } => cannot_listen(&address, &source),
            StartError::Directory { dir, source } | StartError::MountDirectory { dir, source } => {
                Failure::system(&format!("cannot serve '{}'", dir.display()), &source)
            }
            StartError::Poller(source) => Failure::system("cannot create a poller", &source),
            error => Failure::System(error.to_string()),
        }
    }
}

/// Returns the error for a failed bind or listen of a stream socket on `address`, with advice.
pub fn cannot_listen(address: &Address, e: &io::Error) -> Failure {
    match address.ip() {
        Some(ip) if Errno::from_io_error(e) == Some(Errno::ADDRINUSE) => {
            let advice = "choose another port, or 0 for any free one";
            Failure::System(format!(
                "cannot listen on {address}: {}; {advice}",
                in_use(&[ip.ip()], ip.port())
            ))
        }
        Some(ip) => cannot_bind(ip, e),
        None => cannot_listen_on_path(address, e),
    }
}

/// Returns the error for a failed bind on `address`, with advice.
pub fn cannot_bind(address: SocketAddr, e: &io::Error) -> Failure {
    let advice = match Errno::from_io_error(e) {
        Some(Errno::ADDRINUSE) => "; choose another port, or 0 for any free one",
        Some(Errno::ACCESS) => "; ports below 1024 need privileges; choose a higher port",
        Some(Errno::ADDRNOTAVAIL) => "; choose an address of this machine",
        _ => "",
    };
    Failure::System(format!("cannot listen on {address}: {}{advice}", io_message(e)))
}

/// Returns the error for a Unix socket on which the server cannot listen, with advice.
fn cannot_listen_on_path(address: &Address, e: &io::Error) -> Failure {
    let why = match e.kind() {
        io::ErrorKind::AlreadyExists => "the file exists and is not a socket; choose another path".into(),
        io::ErrorKind::AddrInUse => "another process listens on it; choose another path".into(),
        io::ErrorKind::NotFound => "its directory does not exist; create it first".into(),
        io::ErrorKind::InvalidInput => "the path is too long; choose one of at most 107 bytes".into(),
        _ => io_message(e),
    };
    Failure::System(format!("cannot listen on {address}: {why}"))
}

/// Returns the error for signal handlers that cannot be installed.
pub fn no_signals(e: &io::Error) -> Failure {
    Failure::system("cannot wait for signals", e)
}

/// Returns the error for `what`, which this program was built without.
#[cfg(not(all(feature = "compress", feature = "tls")))]
pub fn not_built(what: &str, feature: &str) -> Failure {
    let advice = format!("install it with: cargo install oneloop --features {feature}");
    Failure::Usage(format!("this oneloop was built without {what}; {advice}"))
}

/// Returns the failure of a write to standard output.
pub fn cannot_print(e: &io::Error) -> Failure {
    Failure::system("cannot write to standard output", e)
}

/// Returns whether `e` means that the process has as many descriptors as it may have.
fn is_out_of_descriptors(e: &io::Error) -> bool {
    Errno::from_io_error(e) == Some(Errno::MFILE)
}

/// Returns the system's error message, starting with a lowercase letter and without the error
/// number. If the open-file limit is the cause, the message says what to do.
pub fn io_message(e: &io::Error) -> String {
    if is_out_of_descriptors(e) {
        return "too many open files; raise the open-file limit (ulimit -n)".into();
    }
    let text = e.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
