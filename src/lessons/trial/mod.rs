//! The lessons against a server of the reader's own: scripted clients over real sockets.
//!
//! A trial knows nothing about the server but its address, and judges only what its clients see.
//! Its clients run on a loop of their own, in this thread. A trial must end in a bounded time and
//! with a bounded amount of data, whatever the server does.

mod catalog;
mod crowds;
mod play;
mod scenes;
mod target;

use std::{io, time::Duration};

use self::play::Play;
pub use self::{
    catalog::{TRIALS, Trial},
    play::TrialEvent,
    target::{TrialTarget, UnfitServer},
};

/// How long a trial may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrialLimits {
    /// How long the server may take for an answer.
    pub answer: Duration,
    /// How long the server may keep a client that does not finish its request.
    pub deadline: Duration,
    /// The maximum number of silent clients.
    pub clients: usize,
}

/// What a trial has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The server did what the trial expects.
    Passed(String),
    /// The server did something else.
    Failed(String),
    /// The trial shows nothing about this server.
    NotShown(String),
}

/// The result of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialReport {
    /// What the trial has found.
    pub verdict: Verdict,
    /// What the clients did and saw.
    pub events: Vec<TrialEvent>,
    /// Whether the server answers after the trial.
    pub is_alive: bool,
}

impl Trial {
    /// Plays the trial against `target`.
    ///
    /// # Errors
    /// Fails if a socket or a poller of this process cannot be created, or if polling fails.
    pub fn run(&self, target: &TrialTarget) -> io::Result<TrialReport> {
        let mut play = Play::new(target)?;
        let mut verdict = (self.scene)(&mut play)?;
        let events = play.end();
        let is_alive = target.answers()?;
        if !is_alive {
            let (Verdict::Passed(came) | Verdict::Failed(came) | Verdict::NotShown(came)) = verdict;
            verdict = Verdict::Failed(format!("{came}; afterwards the server answers nobody"));
        }
        Ok(TrialReport { verdict, events, is_alive })
    }
}
