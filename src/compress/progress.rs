//! What a run reports: its progress while it works, and a summary at its end.

use std::io;

use super::Coding;

/// The caller of a run, which may stop it.
pub trait CompressionProgress {
    /// Reports that the run begins with the file at `path`.
    fn on_file(&mut self, path: &str);

    /// Reports that `n` more bytes have been read.
    fn on_bytes(&mut self, n: u64);

    /// Reports that the file or directory at `path` was left out because of `error`.
    fn on_failure(&mut self, path: &str, error: &io::Error);

    /// Returns whether to stop. A run asks this often, and then leaves no temporary file.
    fn is_stopped(&self) -> bool;
}

/// What a run has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompressionSummary {
    /// The number of files that got variants.
    pub files: usize,
    /// The number of bytes in these files.
    pub bytes: u64,
    /// The number of variants written.
    pub written: usize,
    /// The number of variants removed, because their files no longer shrink.
    pub removed: usize,
    /// The number of files that do not shrink.
    pub not_smaller: usize,
    /// The number of files whose variants were up to date.
    pub up_to_date: usize,
    /// The number of bytes in the variants, in the order of [`Coding::ALL`].
    variants: [u64; Coding::ALL.len()],
}

impl CompressionSummary {
    /// Returns the number of bytes in the variants with this `coding`.
    pub fn variant_bytes(&self, coding: Coding) -> u64 {
        let pairs = Coding::ALL.into_iter().zip(self.variants);
        pairs.filter(|(of, _)| *of == coding).map(|(_, bytes)| bytes).sum()
    }

    /// Counts a variant of `len` bytes.
    pub(super) fn add(&mut self, coding: Coding, len: u64) {
        let pairs = Coding::ALL.into_iter().zip(&mut self.variants);
        pairs.filter(|(of, _)| *of == coding).for_each(|(_, bytes)| *bytes += len);
    }
}
