//! HTTPS: which certificate to use.

use std::path::PathBuf;

use clap::{Args, ValueHint, builder::BoolishValueParser};

#[cfg(not(feature = "tls"))]
use crate::cli::errors::{Failure, not_built};

#[derive(Debug, Clone, Args)]
pub struct TlsArgs {
    /// Serve HTTPS, with a certificate for localhost and the names of this machine, which is made
    /// and kept
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_TLS", hide_env = true)]
    pub tls: bool,

    /// Serve HTTPS with the certificate chain in FILE (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(env = "ONELOOP_TLS_CERT", hide_env = true)]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    #[arg(env = "ONELOOP_TLS_KEY", hide_env = true)]
    pub tls_key: Option<PathBuf>,

    /// Serve HTTPS, and keep the certificate that is made in DIR [default:
    /// $XDG_STATE_HOME/oneloop]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    #[arg(env = "ONELOOP_TLS_DIR", hide_env = true)]
    pub tls_dir: Option<PathBuf>,
}

impl TlsArgs {
    /// Returns the option that asks for TLS, if one does.
    pub fn chosen(&self) -> Option<&'static str> {
        let options = [
            (self.tls_cert.is_some(), "--tls-cert"),
            (self.tls_key.is_some(), "--tls-key"),
            (self.tls_dir.is_some(), "--tls-dir"),
            (self.tls, "--tls"),
        ];
        options.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
    }

    /// Checks that no option asks for TLS, which this program does not have.
    #[cfg(not(feature = "tls"))]
    pub fn check(&self) -> Result<(), Failure> {
        self.chosen().map_or(Ok(()), |option| Err(not_built(option, "tls")))
    }
}
