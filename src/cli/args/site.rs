//! Which files answer which URLs.

use clap::{
    ArgMatches, Args,
    builder::{BoolishValueParser, OsStringValueParser, TypedValueParser},
    parser::ValueSource,
};

use crate::cli::values::{MountArg, file_name, mount};

/// The page of a single-page application, if none is given.
pub const DEFAULT_PAGE: &str = "index.html";

#[derive(Debug, Args)]
pub struct SiteArgs {
    /// Serve this file when a URL names a directory
    #[arg(long, value_name = "NAME", default_value = "index.html", value_parser = file_name)]
    #[arg(env = "ONELOOP_INDEX", hide_env = true)]
    pub index: String,

    /// List directories that have no index file, as HTML or (if the client prefers it) JSON
    /// [default: only on a terminal and when listening only on loopback]
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_LISTING", hide_env = true)]
    pub listing: bool,

    /// Do not list directories
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_NO_LISTING", hide_env = true)]
    pub no_listing: bool,

    /// What the two options above and their variables say together.
    #[arg(skip)]
    pub list: ListDirectories,

    /// Answer navigation to missing paths with FILE [index.html], for a single-page application;
    /// missing assets still get a 404
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = DEFAULT_PAGE)]
    #[arg(env = "ONELOOP_SPA", hide_env = true)]
    pub spa: Option<String>,

    /// Serve about.html at /about and redirect /about.html to it
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_CLEAN_URLS", hide_env = true)]
    pub clean_urls: bool,

    /// Serve the site below this URL path, such as /app
    #[arg(long, value_name = "PATH", default_value = "/", env = "ONELOOP_BASE_PATH", hide_env = true)]
    pub base_path: String,

    /// Serve and list hidden files (names that begin with a dot)
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_HIDDEN", hide_env = true)]
    pub hidden: bool,

    /// Follow symbolic links that lead out of the directory
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_FOLLOW_LINKS", hide_env = true)]
    pub follow_links: bool,

    /// Reload pages in the browser when a file changes, and replace changed stylesheets and images
    /// without a reload
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_LIVE", hide_env = true)]
    pub live: bool,

    /// Serve another directory, or a file, at a URL path of the site, such as /docs=../docs;
    /// repeatable
    #[arg(long, value_name = "PATH=DIR", value_parser = OsStringValueParser::new().try_map(mount))]
    #[arg(value_delimiter = ',', env = "ONELOOP_MOUNT", hide_env = true)]
    pub mount: Vec<MountArg>,
}

/// When directories that have no index file are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListDirectories {
    /// If standard output is a terminal and the server listens on loopback only.
    #[default]
    OnTerminal,
    Always,
    Never,
}

impl ListDirectories {
    /// Returns what the options say or, without them, their variables.
    pub fn from_matches(matches: &ArgMatches) -> ListDirectories {
        let is_from = |id, source| matches.value_source(id) == Some(source);
        let place = |id| matches.index_of(id).filter(|_| is_from(id, ValueSource::CommandLine));
        let variable = |id| is_from(id, ValueSource::EnvVariable).then(|| matches.get_flag(id));
        let (listing, no_listing) = (place("listing"), place("no_listing"));
        if listing.is_some() || no_listing.is_some() {
            // The later one wins.
            return if listing > no_listing { ListDirectories::Always } else { ListDirectories::Never };
        }
        match (variable("listing"), variable("no_listing")) {
            (_, Some(true)) | (Some(false), _) => ListDirectories::Never,
            (Some(true), _) => ListDirectories::Always,
            (None, _) => ListDirectories::OnTerminal,
        }
    }
}
