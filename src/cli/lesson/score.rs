//! The score over all lessons, which is kept in a file of the user.
//!
//! Only the first guess at a question counts, and only the last run of a lesson.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use oneloop::lessons::LESSONS;
use serde::{Deserialize, Serialize};

/// The right guesses and all guesses of each lesson.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scores(BTreeMap<u8, (u32, u32)>);

impl Scores {
    /// Reads the scores. A file that is missing or cannot be read counts as empty.
    pub fn read() -> Scores {
        file().map(|path| Scores::read_from(&path)).unwrap_or_default()
    }

    fn read_from(path: &Path) -> Scores {
        let text = fs::read(path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Returns the scores with a new one for lesson `number`.
    pub fn with(mut self, number: u8, right: u32, guesses: u32) -> Scores {
        self.0.insert(number, (right, guesses));
        self
    }

    /// Writes the scores. Does nothing if the user has no home directory.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn save(&self) -> io::Result<()> {
        file().map_or(Ok(()), |path| self.save_to(&path))
    }

    fn save_to(&self, path: &Path) -> io::Result<()> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(path, serde_json::to_vec(self)?)
    }

    /// Returns the score of a lesson in words; empty if there is none.
    pub fn of(&self, number: u8) -> String {
        self.0
            .get(&number)
            .map(|(right, guesses)| format!("   {right} of {guesses} right"))
            .unwrap_or_default()
    }

    /// Returns the score over all lessons in words.
    pub fn summary(&self) -> String {
        let (right, guesses) =
            self.0.values().fold((0, 0), |(right, guesses), of| (right + of.0, guesses + of.1));
        format!("{right} of {guesses} in {} of {} lessons", self.0.len(), LESSONS.len())
    }

    /// Returns whether no lesson has a score.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns the path of the file, `lessons.json` in the user's directory for state (XDG Base
/// Directory Specification).
fn file() -> Option<PathBuf> {
    let of_user = |variable| env::var_os(variable).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let state = of_user("XDG_STATE_HOME").or_else(|| Some(of_user("HOME")?.join(".local/state")));
    Some(state?.join("oneloop").join("lessons.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_kept_and_the_last_run_counts() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("oneloop/lessons.json");
        assert!(Scores::read_from(&path).is_empty());
        Scores::default().with(3, 0, 2).save_to(&path).expect("save");
        let scores = Scores::read_from(&path).with(1, 2, 2).with(3, 1, 2);
        scores.save_to(&path).expect("save");
        assert_eq!(Scores::read_from(&path), scores);
        assert_eq!(scores.summary(), format!("3 of 4 in 2 of {} lessons", LESSONS.len()));
        assert_eq!((&*scores.of(3), &*scores.of(4)), ("   1 of 2 right", ""));
        fs::write(&path, "{\"1\":").expect("cut it");
        assert!(Scores::read_from(&path).is_empty(), "a file that is cut off counts as empty");
    }
}
