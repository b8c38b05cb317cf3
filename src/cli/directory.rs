//! Decides what is served if the arguments name no directory.

use std::path::{Path, PathBuf};

/// The directories in which sites and the output of build tools usually are, the first choice
/// first.
const USUAL: [&str; 4] = ["static", "public", "dist", "build"];

/// Returns the first of the usual directories that has an index file called `index`, or the current
/// directory.
pub fn default_directory(index: &str) -> PathBuf {
    // In many projects, `static` has no page in it and is not a site.
    let has_index = |dir: &&str| Path::new(dir).join(index).is_file();
    USUAL.into_iter().find(has_index).unwrap_or(".").into()
}
