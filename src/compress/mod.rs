//! Writes compressed variants of a site's files: `app.js.br`, `app.js.zst` and `app.js.gz` beside
//! `app.js`. The server serves them ([`Coding`] says to whom), and never compresses itself.
//!
//! A [`CompressionPlan`] lists what has changed, and [`CompressionPlan::run`] writes it. A file is
//! read in blocks, once for each variant, so memory does not grow with its size. A variant appears
//! under its name only when it is complete, so a running server never sends a half. This module
//! must never change a file that the server would not send, or a file that is not a variant.

mod encode;
mod media;
mod progress;
mod variant;

use std::{collections::HashSet, io, os::fd::OwnedFd, path::PathBuf};

use rustix::fs::{OFlags, Stat, fstat};

pub use self::progress::{CompressionProgress, CompressionSummary};
use self::{
    media::is_compressible,
    variant::{VariantChange, needed_change, write_variant},
};
pub use crate::http::Coding;
use crate::{
    clock::Clock,
    http::{MediaTypes, content_coding},
    site::{Content, Describe, FileOrigin, Metadata, Site, SiteOptions},
    site_path::{DotfilePolicy, SitePath},
};

/// The length in bytes of the shortest file that gets variants. A shorter one and its head fit into
/// one packet as they are.
const MIN_LEN: u64 = 1024;

/// What to compress.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CompressionOptions {
    /// The directory.
    pub dir: PathBuf,
    /// The codings of the variants to write. Variants in other codings are left as they are.
    pub codings: Vec<Coding>,
    /// Whether to include hidden files, which a server serves only with the same option.
    pub hidden: bool,
    /// Whether to follow links that lead out of the directory.
    pub follow_links: bool,
}

impl CompressionOptions {
    /// Returns the options for the files that a server serves from `dir` by default, and for all
    /// codings.
    pub fn new(dir: impl Into<PathBuf>) -> CompressionOptions {
        let codings = Coding::ALL.to_vec();
        CompressionOptions { dir: dir.into(), codings, hidden: false, follow_links: false }
    }
}

/// The files whose variants are missing or out of date.
pub struct CompressionPlan {
    site: Site<Undescribed>,
    clock: Clock,
    files: Vec<PlannedFile>,
    up_to_date: usize,
}

/// A file, and what to do for each coding.
struct PlannedFile {
    /// The path of the directory in the site, with a trailing slash unless it is the root.
    dir: Vec<u8>,
    name: Vec<u8>,
    len: u64,
    changes: Vec<(Coding, VariantChange)>,
}

impl PlannedFile {
    fn path(&self) -> Vec<u8> {
        [&self.dir[..], &self.name].concat()
    }
}

/// The description of a file here: none.
struct Undescribed;

impl Describe for Undescribed {
    type Rules = ();

    fn describe(_: &(), _: FileOrigin<'_, Undescribed>, _: &Metadata, _: &Content) -> Undescribed {
        Undescribed
    }

    fn size(&self) -> usize {
        0
    }
}

impl CompressionPlan {
    /// Finds the files to compress, in all directories. Reports directories and files that cannot
    /// be read to `progress`, and leaves them out.
    ///
    /// # Errors
    /// Fails if the directory itself cannot be opened.
    pub fn new(
        options: &CompressionOptions,
        progress: &mut dyn CompressionProgress,
    ) -> io::Result<CompressionPlan> {
        let dotfiles = if options.hidden { DotfilePolicy::All } else { DotfilePolicy::Visible };
        let follow_links = options.follow_links;
        let site = SiteOptions { dotfiles, follow_links, inotify: false, ..SiteOptions::default() };
        let site = Site::open(&options.dir, site, ())?;
        let mut plan = CompressionPlan { site, clock: Clock::system(), files: Vec::new(), up_to_date: 0 };
        plan.walk(&options.codings, progress);
        plan.files.sort_by_cached_key(PlannedFile::path);
        Ok(plan)
    }

    /// Returns the number of bytes that [`CompressionPlan::run`] will read.
    pub fn total_bytes(&self) -> u64 {
        let reads = |file: &PlannedFile| {
            file.changes.iter().filter(|(_, change)| *change == VariantChange::Write).count()
        };
        self.files.iter().map(|file| file.len * reads(file) as u64).sum()
    }

    /// Writes the variants, and removes those whose file no longer shrinks. Stops early if
    /// `progress` says so.
    pub fn run(self, progress: &mut dyn CompressionProgress) -> CompressionSummary {
        let mut summary = CompressionSummary::default();
        summary.up_to_date = self.up_to_date;
        for file in &self.files {
            if progress.is_stopped() {
                break;
            }
            let path = file.path();
            progress.on_file(&String::from_utf8_lossy(&path));
            if let Err(error) = self.compress(file, &path, progress, &mut summary)
                && !progress.is_stopped()
            {
                progress.on_failure(&String::from_utf8_lossy(&path), &error);
            }
        }
        summary
    }

    /// Adds the files of all directories. Takes each directory once, although links may lead to it.
    fn walk(&mut self, codings: &[Coding], progress: &mut dyn CompressionProgress) {
        let mut seen = HashSet::new();
        let mut dirs = vec![Vec::new()];
        while let Some(dir) = dirs.pop() {
            if progress.is_stopped() {
                return;
            }
            if let Err(error) = self.read_directory(&dir, &mut seen, &mut dirs, codings, progress) {
                progress.on_failure(&String::from_utf8_lossy(&dir), &error);
            }
        }
    }

    /// Adds the files in the directory at `dir`, and its subdirectories to `dirs`, unless the
    /// directory has been `seen`.
    fn read_directory(
        &mut self,
        dir: &[u8],
        seen: &mut HashSet<(u64, u64)>,
        dirs: &mut Vec<Vec<u8>>,
        codings: &[Coding],
        progress: &mut dyn CompressionProgress,
    ) -> io::Result<()> {
        let fd = self.open_directory(dir)?;
        let stat = fstat(&fd)?;
        if !seen.insert((stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        let url = [b"/", dir].concat();
        let path = SitePath::parse(url.into()).ok_or(io::ErrorKind::InvalidFilename)?;
        let mut reader = self.site.read_directory(&path, &self.clock).map_err(io_error)?;
        let (mut names, mut has_more) = (Vec::new(), true);
        while has_more {
            has_more = reader
                .read(1024, &self.site, &self.clock, |entry| {
                    if entry.is_directory {
                        dirs.push([dir, entry.name, b"/"].concat());
                    } else if is_compressible(&MediaTypes::default().of(entry.name, None))
                        && content_coding(entry.name).is_none()
                    {
                        names.push(entry.name.to_vec());
                    }
                    Ok(())
                })
                .map_err(io_error)?;
        }
        for name in names {
            let path = [dir, &name].concat();
            match self.site.status_of_entry(&path) {
                Ok(stat) => self.add(dir, name, &stat, &fd, codings),
                Err(errno) => progress.on_failure(&String::from_utf8_lossy(&path), &errno.into()),
            }
        }
        Ok(())
    }

    /// Adds the file `name` with the status `stat`, unless its variants are up to date.
    fn add(&mut self, dir: &[u8], name: Vec<u8>, stat: &Stat, fd: &OwnedFd, codings: &[Coding]) {
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        let change =
            |coding: &Coding| Some((*coding, needed_change(fd, &name, *coding, stat, len >= MIN_LEN)?));
        let changes: Vec<_> = codings.iter().filter_map(change).collect();
        if !changes.is_empty() {
            self.files.push(PlannedFile { dir: dir.to_vec(), name, len, changes });
        } else if len >= MIN_LEN {
            self.up_to_date += 1;
        }
    }

    /// Writes and removes the variants of one file.
    fn compress(
        &self,
        file: &PlannedFile,
        path: &[u8],
        progress: &mut dyn CompressionProgress,
        summary: &mut CompressionSummary,
    ) -> io::Result<()> {
        let dir = self.open_directory(&file.dir)?;
        let original = self.site.open_entry(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let original = std::fs::File::from(original);
        let mut has_variant = false;
        for (coding, change) in &file.changes {
            let written = match change {
                VariantChange::Write => write_variant(&dir, &file.name, &original, *coding, progress)?,
                VariantChange::Remove => None,
            };
            match written {
                Some(len) => {
                    // At once, because the next variant may fail.
                    if !has_variant {
                        summary.files += 1;
                        summary.bytes += file.len;
                    }
                    has_variant = true;
                    summary.written += 1;
                    summary.add(*coding, len);
                }
                None => summary.removed += usize::from(variant::remove(&dir, &file.name, *coding)?),
            }
        }
        if !has_variant && file.len >= MIN_LEN {
            summary.not_smaller += 1;
        }
        Ok(())
    }

    /// Opens the directory at `dir` in the site.
    fn open_directory(&self, dir: &[u8]) -> io::Result<OwnedFd> {
        Ok(self.site.open_entry(dir, OFlags::RDONLY | OFlags::DIRECTORY)?)
    }
}

/// Converts an error of the site.
fn io_error(error: crate::site::Error) -> io::Error {
    use crate::site::Error;
    match error {
        Error::NotFound => io::ErrorKind::NotFound.into(),
        Error::Forbidden => io::ErrorKind::PermissionDenied.into(),
        Error::Io(errno) => errno.into(),
        Error::Busy | Error::TooLarge => io::Error::other(error.to_string()),
    }
}
