//! `oneloop lesson N`: scripted clients of the real loop, or of a loop with a bug that students
//! often write.
//!
//! A lesson runs the same way every time. Its clients and its page are part of the program.

mod answers;
mod broken_loop;
pub(crate) mod broken_server;
mod bug;
mod catalog;
mod chat_rooms;
mod contents;
mod diagram;
mod harness;
mod level;
mod lossy_echo;
mod message_echo;
mod open_file_limit;
mod outgoing;
mod page;
mod scripts;
mod setup;
mod sheet;
mod slow_disk;
mod transcript;
mod trial;

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc, time::Duration};

pub use self::{
    bug::Bug,
    catalog::{LESSONS, Lesson, LessonNeeds},
    diagram::svg,
    harness::Harness,
    page::{Guess, compared, judge_guess, lines, prose_under, side_by_side, turns},
    sheet::prediction_sheet,
    transcript::{ClientAction, NotedEvent, TracedStep, TranscriptEntry, TranscriptNote},
    trial::{TRIALS, Trial, TrialEvent, TrialLimits, TrialReport, TrialTarget, UnfitServer, Verdict},
};
use self::{setup::Setup, transcript::Transcript};
use crate::{event_loop::EventLoop, protocol::Protocol};

/// The size in bytes of the largest file that a lesson serves, which is larger than any lesson's
/// send buffer.
const BIG: usize = 1024 * 1024;

impl Lesson {
    /// Runs the lesson on the real loop, or with `bug`, and returns the transcript. While it runs,
    /// it may [lower](LessonNeeds::lowers_open_file_limit) the open-file limit of the process.
    ///
    /// # Errors
    /// Fails if a socket, the temporary directory or one of its two files cannot be created, or if
    /// no descriptor is available.
    pub fn play(&self, bug: Option<Bug>) -> io::Result<Vec<TranscriptEntry>> {
        self.play_with(bug, false)
    }

    /// Runs the lesson like [`Lesson::play`], on a loop with `bug` whose poller is level-triggered.
    ///
    /// # Errors
    /// Fails as [`Lesson::play`] does.
    pub fn play_level(&self, bug: Bug) -> io::Result<Vec<TranscriptEntry>> {
        self.play_with(Some(bug), true)
    }

    fn play_with(&self, bug: Option<Bug>, is_level: bool) -> io::Result<Vec<TranscriptEntry>> {
        let site = tempfile::tempdir().map_err(|e| {
            let place = std::env::temp_dir();
            io::Error::other(format!("no directory can be made in {} (TMPDIR): {e}", place.display()))
        })?;
        std::fs::write(site.path().join("hello.txt"), "hello\n")?;
        std::fs::write(site.path().join("big.bin"), vec![b'x'; BIG])?;
        let transcript = Rc::<RefCell<Transcript>>::default();
        let mut harness = (self.setup)(&Setup {
            is_level,
            bug,
            dir: site.path(),
            send_buffer: self.needs.send_buffer,
            backlog: self.needs.backlog,
            transcript,
        })?;
        (self.script)(&mut harness)?;
        Ok(harness.into_entries())
    }
}

impl harness::LoopUnderTest for EventLoop {
    fn turn(&mut self) -> io::Result<()> {
        EventLoop::turn(self)
    }

    fn connect(&mut self, address: SocketAddr, protocol: Box<dyn Protocol>) -> io::Result<()> {
        EventLoop::connect(self, &address.into(), protocol).map(drop)
    }

    fn advance(&mut self, by: Duration) {
        self.clock().advance(by);
    }
}
