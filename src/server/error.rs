//! The errors that keep a server from starting.

use std::{fmt, io, path::PathBuf};

use crate::{address::Address, http::RuleError};

/// An error that keeps a server from starting.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The directory, or the file to serve in its place, cannot be opened.
    Directory {
        /// The configured directory.
        dir: PathBuf,
        /// The error from the system call (openat(2)).
        source: io::Error,
    },
    /// A mount has no valid URL path below the root.
    MountPath(String),
    /// Two mounts have this path.
    MountTwice(String),
    /// A mounted directory or file cannot be opened.
    MountDirectory {
        /// The configured directory.
        dir: PathBuf,
        /// The error from the system call (openat(2)).
        source: io::Error,
    },
    /// The path of a resource for monitoring is not a valid URL path.
    MonitoringPath(String),
    /// The base path is not a valid URL path.
    BasePath(String),
    /// The path of the load target is not a valid URL path.
    TargetPath(String),
    /// The SPA fallback is not a path in the site, or is hidden.
    SpaFallback(String),
    /// The `Cache-Control` value is not a valid field value.
    CacheControl {
        /// The configured value.
        value: String,
        /// Why the value is not valid.
        source: RuleError,
    },
    /// An allowed host is not a valid host, or has a port.
    AllowedHost(String),
    /// A host to listen on cannot be resolved.
    Host {
        /// The configured host.
        host: String,
        /// The error from the resolver (getaddrinfo(3)).
        source: io::Error,
    },
    /// The server cannot listen on an address.
    Listen {
        /// The address to listen on.
        address: Address,
        /// The error from the system call (bind(2), listen(2)).
        source: io::Error,
    },
    /// The poller cannot be created (epoll_create1(2)), or a descriptor cannot be registered with
    /// the poller (epoll_ctl(2)).
    Poller(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Directory { dir, .. } | StartError::MountDirectory { dir, .. } => {
                write!(f, "cannot serve '{}'", dir.display())
            }
            StartError::MountPath(path) => write!(f, "'{path}' is not a valid path of a mount"),
            StartError::MountTwice(path) => write!(f, "two mounts have the path '{path}'"),
            StartError::MonitoringPath(path) => {
                write!(f, "'{path}' is not a valid path for monitoring, or is given twice")
            }
            StartError::BasePath(path) => write!(f, "'{path}' is not a valid base path"),
            StartError::TargetPath(path) => write!(f, "'{path}' is not a valid path for the load target"),
            StartError::SpaFallback(path) => write!(f, "'{path}' is not a valid file for the SPA fallback"),
            StartError::CacheControl { value, .. } => write!(f, "'{value}' is not a valid Cache-Control"),
            StartError::AllowedHost(host) => write!(f, "'{host}' is not a valid host"),
            StartError::Host { host, .. } => write!(f, "'{host}' has no address"),
            StartError::Listen { address, .. } => write!(f, "cannot listen on {address}"),
            StartError::Poller(_) => f.write_str("cannot create a poller"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Directory { source, .. }
            | StartError::MountDirectory { source, .. }
            | StartError::Host { source, .. }
            | StartError::Listen { source, .. }
            | StartError::Poller(source) => Some(source),
            StartError::CacheControl { source, .. } => Some(source),
            StartError::MountPath(_)
            | StartError::MountTwice(_)
            | StartError::MonitoringPath(_)
            | StartError::BasePath(_)
            | StartError::TargetPath(_)
            | StartError::SpaFallback(_)
            | StartError::AllowedHost(_) => None,
        }
    }
}
