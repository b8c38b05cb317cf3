//! Why a server cannot start.

use std::{fmt, io, net::SocketAddr, path::PathBuf};

use crate::http::RuleError;

/// Why a server cannot start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The directory cannot be opened.
    Directory {
        /// The directory as it was configured.
        dir: PathBuf,
        /// What the system said: openat(2).
        source: io::Error,
    },
    /// The base path is not a URL path.
    BasePath(String),
    /// The SPA fallback is not a path in the site, or is a hidden one.
    SpaFallback(String),
    /// The value of `Cache-Control` is not a field value.
    CacheControl {
        /// The value as it was configured.
        value: String,
        /// What is wrong with it.
        source: RuleError,
    },
    /// A host to allow is not a valid host without a port.
    AllowedHost(String),
    /// A host to listen on has no address.
    Host {
        /// The host as it was configured.
        host: String,
        /// What the resolver said: getaddrinfo(3).
        source: io::Error,
    },
    /// The server cannot listen on an address.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said: bind(2), listen(2).
        source: io::Error,
    },
    /// The system gives no poller, or the poller does not take a descriptor: epoll_ctl(2).
    Poller(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Directory { dir, .. } => write!(f, "cannot serve '{}'", dir.display()),
            StartError::BasePath(path) => write!(f, "'{path}' is not a valid base path"),
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
            | StartError::Host { source, .. }
            | StartError::Listen { source, .. }
            | StartError::Poller(source) => Some(source),
            StartError::CacheControl { source, .. } => Some(source),
            StartError::BasePath(_) | StartError::SpaFallback(_) | StartError::AllowedHost(_) => None,
        }
    }
}
