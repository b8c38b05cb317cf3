//! What `oneloop compress` compresses.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

#[cfg(not(feature = "compress"))]
use crate::cli::errors::{Failure, not_built};

#[derive(Debug, Args)]
pub struct CompressArgs {
    /// Directory whose files to compress
    #[arg(value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,

    /// Write only variants in these formats; repeatable [default: all]
    #[arg(long, value_name = "FORMAT", value_enum, value_delimiter = ',')]
    pub format: Vec<FormatArg>,

    /// Include hidden files (names that begin with a dot)
    #[arg(long)]
    pub hidden: bool,

    /// Follow symbolic links that lead out of the directory, and write there as well
    #[arg(long)]
    pub follow_links: bool,
}

#[cfg(not(feature = "compress"))]
impl CompressArgs {
    /// Returns the error for a program that has no `compress`.
    pub fn into_failure(self) -> Failure {
        let CompressArgs { dir: _dir, format: _format, hidden: _hidden, follow_links: _follow_links } = self;
        not_built("compress", "compress")
    }
}

/// The format of a compressed variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Brotli
    Br,
    /// Zstandard
    Zst,
    /// gzip
    Gz,
}
