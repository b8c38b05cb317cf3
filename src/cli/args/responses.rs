//! What responses say beside the file.

use clap::Args;
use oneloop::MediaTypeRule;

use crate::cli::values::{HeaderLines, RedirectLines, header_lines, media_type, redirect_lines};

/// The origin of `--cors`, if none is given.
pub const ANY_ORIGIN: &str = "*";

#[derive(Debug, Args)]
pub struct ResponseArgs {
    /// Send this Cache-Control with files; no-cache makes clients revalidate every time
    #[arg(long, value_name = "VALUE", default_value = "no-cache")]
    #[arg(env = "ONELOOP_CACHE_CONTROL", hide_env = true)]
    pub cache_control: String,

    /// Add 'NAME: VALUE' to every response, or '/assets/* NAME: VALUE' to responses for matching
    /// paths; repeatable
    #[arg(long, value_name = "LINE", value_parser = header_lines)]
    #[arg(env = "ONELOOP_HEADER", hide_env = true)]
    pub header: Vec<HeaderLines>,

    /// Redirect or rewrite requests, as in '/old/* /new/:splat 301' or '/app/* /app.html 200';
    /// repeatable
    #[arg(long, value_name = "RULE", value_parser = redirect_lines)]
    #[arg(env = "ONELOOP_REDIRECT", hide_env = true)]
    pub redirect: Vec<RedirectLines>,

    /// Send files whose names end with .EXT as TYPE, such as '.ts=text/plain'; repeatable
    #[arg(long = "type", value_name = ".EXT=TYPE", value_parser = media_type)]
    #[arg(value_delimiter = ',', env = "ONELOOP_TYPE", hide_env = true)]
    pub media_type: Vec<MediaTypeRule>,

    /// Let pages from ORIGIN, or from any origin if none is given, read responses (CORS);
    /// repeatable
    #[arg(long, value_name = "ORIGIN", num_args = 0..=1, require_equals = true, default_missing_value = ANY_ORIGIN)]
    #[arg(value_delimiter = ',', env = "ONELOOP_CORS", hide_env = true)]
    pub cors: Vec<String>,
}
