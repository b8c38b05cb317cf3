//! The server of a trial: where it is, what it speaks, and how it answers one request.

use std::{fmt, io, rc::Rc, time::Duration};

use super::{TrialLimits, play::Play};
use crate::{address::Address, clients::ScriptedRequest};

/// The number of requests whose fastest answer is the server's usual time.
const SAMPLES: usize = 30;

/// A server that answers, and what it answered.
#[derive(Debug, Clone)]
pub struct TrialTarget {
    /// Where the server listens.
    pub(super) address: Address,
    /// The request to which the server has answered.
    pub(super) request: Rc<ScriptedRequest>,
    pub(super) limits: TrialLimits,
    /// The length of the answer in bytes.
    pub(super) answer_len: u64,
    pub(super) status: Option<u16>,
    /// Whether the server answers a second request on a connection.
    pub(super) keeps_alive: bool,
    /// The time of the fastest of some answers.
    pub(super) usual_time: Duration,
}

/// The reason why a server cannot be tried.
#[derive(Debug)]
pub enum UnfitServer {
    /// A system call of this process failed.
    System(io::Error),
    /// The server does not answer a single request. The sentence says what happened.
    NoAnswer(String),
}

impl TrialTarget {
    /// Asks the server at `address` once or twice, and returns what a trial must know about it.
    ///
    /// # Errors
    /// Fails if the server does not answer a single request, or if a system call fails.
    pub fn examine(
        address: Address,
        request: ScriptedRequest,
        limits: TrialLimits,
    ) -> Result<TrialTarget, UnfitServer> {
        let mut target = TrialTarget {
            address,
            request: Rc::new(request),
            limits,
            answer_len: 0,
            status: None,
            keeps_alive: false,
            usual_time: Duration::MAX,
        };
        let probe = target.clone();
        let mut play = Play::new(&probe)?;
        let client = play.connect(false)?;
        play.ask(client);
        if !play.await_answers(client, 1)? {
            return Err(UnfitServer::NoAnswer(play.state_of(client)));
        }
        (target.answer_len, target.status) =
            play.client(client).answers.first().map_or((0, None), |answer| (answer.len, answer.status));
        if !play.is_closed(client) {
            play.ask(client);
            target.keeps_alive = play.await_answers(client, 2)?;
        }
        drop(play);
        target.usual_time = Play::new(&target)?.fastest_answer(SAMPLES)?.unwrap_or(Duration::MAX);
        Ok(target)
    }

    /// Returns whether the server answers a request of a new client. Gives it time to recover.
    ///
    /// # Errors
    /// Fails if a socket or a poller of this process cannot be created, or if polling fails.
    pub(super) fn answers(&self) -> io::Result<bool> {
        let mut play = Play::new(self)?;
        let client = play.connect(false)?;
        play.ask(client);
        play.await_answers(client, 1)
    }

    /// Returns the status or the length of the answer to a single request, for people.
    pub fn usual_answer(&self) -> String {
        let how = if self.keeps_alive { "keeps the connection" } else { "closes the connection" };
        match self.status {
            Some(status) => format!("status {status}, {} bytes, {how}", self.answer_len),
            None => format!("a line of {} bytes, {how}", self.answer_len),
        }
    }
}

impl Play<'_> {
    /// Lets a client ask `count` times, and returns the time of the fastest answer. Returns `None`
    /// if an answer does not come.
    ///
    /// # Errors
    /// Fails if a socket cannot be created, or if polling fails.
    pub fn fastest_answer(&mut self, count: usize) -> io::Result<Option<Duration>> {
        let mut fastest = None;
        let mut client = self.connect(false)?;
        let mut asked = 0;
        for number in 0..count {
            if number > 0 && !self.target.keeps_alive {
                client = self.connect(false)?;
                asked = 0;
            }
            self.ask(client);
            asked += 1;
            if !self.await_answers(client, asked)? {
                return Ok(None);
            }
            fastest = fastest.into_iter().chain(self.answer_time(client)).min();
        }
        Ok(fastest)
    }
}

impl From<io::Error> for UnfitServer {
    fn from(error: io::Error) -> UnfitServer {
        UnfitServer::System(error)
    }
}

impl fmt::Display for UnfitServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnfitServer::System(e) => e.fmt(f),
            UnfitServer::NoAnswer(how) => write!(f, "a client that sent one request {how}"),
        }
    }
}

impl std::error::Error for UnfitServer {}
