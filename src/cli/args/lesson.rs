//! The arguments of `oneloop lesson`.

use std::{str::FromStr, time::Duration};

use clap::Args;

use crate::cli::values::duration;

/// What `oneloop lesson` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LessonName {
    Number(u8),
    /// The words of the lessons, on one screen.
    Words,
}

impl FromStr for LessonName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<LessonName, &'static str> {
        match text {
            "words" => Ok(LessonName::Words),
            text => text.parse().map(LessonName::Number).map_err(|_| "use the number of a lesson, or words"),
        }
    }
}

#[derive(Debug, Args)]
pub struct LessonArgs {
    /// Number of the lesson, or words for the words of the trace on one screen; without it, list
    /// the lessons
    pub number: Option<LessonName>,

    /// Inject a classic bug and show both runs side by side; without NAME, list the bugs
    #[arg(long = "break", value_name = "NAME", requires = "number", conflicts_with = "against")]
    pub broken: Option<Option<String>>,

    /// Show the loop with the bug under edges beside the same loop under a level-triggered poller;
    /// without --break, a bug for which that matters
    #[arg(long, requires = "number", conflicts_with = "against")]
    pub level: bool,

    /// Print the lesson as a sequence diagram in SVG; with --break, the run with the bug
    #[arg(long, requires = "number", conflicts_with = "against")]
    pub svg: bool,

    /// Print the questions of all lessons as an HTML page to print, and the answers on another page
    #[arg(long, conflicts_with_all = ["number", "against"])]
    pub sheet: bool,

    /// Let the clients of the lesson, or of all lessons, talk to your own server on loopback or on
    /// a private address, and exit with 1 if it fails
    #[arg(long, value_name = "HOST:PORT", help_heading = "Your own server")]
    pub against: Option<String>,

    #[command(flatten, next_help_heading = "Your own server")]
    pub trial: TrialArgs,
}

/// The options of `--against`.
#[derive(Debug, Args)]
pub struct TrialArgs {
    /// Path to request; a file of 8 MB or more shows more in lesson 3
    #[arg(long, value_name = "PATH", default_value = "/", requires = "against")]
    pub path: String,

    /// Speak lines instead of HTTP: the server answers each line with a line
    #[arg(long, requires = "against", conflicts_with = "path")]
    pub lines: bool,

    /// Print the result as JSON
    #[arg(long, requires = "against")]
    pub json: bool,

    /// How long the server may take for an answer
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration, requires = "against")]
    pub timeout: Duration,

    /// How long the server may keep a client that does not finish its request
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration, requires = "against")]
    pub deadline: Duration,
}
