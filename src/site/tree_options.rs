//! The options of a tree: which entries belong to it.

use super::SiteOptions;
use crate::site_path::DotfilePolicy;

/// The directories with files that tools write and no one edits.
const NOT_EDITED: [&[u8]; 2] = [b"node_modules", b".git"];

/// The options of a tree.
#[derive(Debug, Clone)]
pub struct TreeOptions {
    dotfiles: DotfilePolicy,
    /// Whether to also explore the targets of links to directories.
    pub follow_links: bool,
    /// The name of the only file, if there is one. It is then polled, because it may be a link.
    pub only: Option<Vec<u8>>,
}

impl TreeOptions {
    /// Returns the part of the options of a site that concerns its tree.
    pub fn of(options: &SiteOptions) -> TreeOptions {
        let SiteOptions { dotfiles, follow_links, ref file, .. } = *options;
        TreeOptions { dotfiles, follow_links, only: file.clone() }
    }

    /// Returns whether clients may request what is at `path`, and people edit it.
    pub fn is_visible(&self, path: &[u8]) -> bool {
        path.split(|b| *b == b'/').enumerate().all(|(depth, name)| self.is_name_visible(name, depth))
    }

    /// Returns the same for an entry called `name` of a directory at this depth.
    pub fn is_name_visible(&self, name: &[u8], depth: usize) -> bool {
        if let Some(only) = &self.only {
            return depth == 0 && name == only;
        }
        // Editors keep backups in names with a tilde at the end.
        self.dotfiles.allow(name, depth) && !name.ends_with(b"~") && !NOT_EDITED.contains(&name)
    }
}
