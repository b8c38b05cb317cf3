//! Which files answer which URLs.

use clap::{Args, builder::BoolishValueParser};

use crate::cli::values::file_name;

#[derive(Debug, Args)]
pub struct SiteArgs {
    /// Serve this file when a URL names a directory
    #[arg(long, value_name = "NAME", default_value = "index.html", value_parser = file_name)]
    #[arg(env = "ONELOOP_INDEX", hide_env = true)]
    pub index: String,

    /// List directories that have no index file, as HTML or (if the client prefers it) JSON
    #[arg(long, value_parser = BoolishValueParser::new(), env = "ONELOOP_LISTING", hide_env = true)]
    pub listing: bool,

    /// Answer navigation to missing paths with FILE [index.html], for a single-page application;
    /// missing assets still get a 404
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "index.html")]
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
}
