//! A track for each connection: what it is about, as slices that lie one in the other.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::events::{Events, Track};
use crate::{observer::Who, watching::State};

/// So many connections have a track: more would help nobody to see.
const LANES: usize = 200;

/// The tracks of the connections that are open.
#[derive(Default)]
pub struct Lanes {
    open: BTreeMap<Who, Lane>,
    /// How many there are or were.
    made: usize,
}

impl Lanes {
    /// Makes a track for a new connection, while there may be more.
    pub fn make(&mut self, number: u64, peer: SocketAddr, at: Duration, events: &mut Events) {
        self.made += 1;
        if self.made <= LANES {
            let track = Track::of_connection(number);
            events.name(track, format_args!("c{number} {peer}"));
            self.open.insert(Who::Connection(number), Lane { track, state: None });
        } else if self.made == LANES + 1 {
            let facts = format!(r#""tracks":{LANES},"without":"c{number} and later""#);
            events.instant(Track::LOOP, at, "no more tracks", &facts);
        }
    }

    /// That of `who`, if it has one.
    pub fn track(&self, who: Who) -> Option<Track> {
        self.open.get(&who).map(|lane| lane.track)
    }

    /// From `at` on `who` is in `state`.
    pub fn enter(&mut self, who: Who, state: State, at: Duration, events: &mut Events) {
        if let Some(lane) = self.open.get_mut(&who) {
            lane.enter(state, at, events);
        }
    }

    /// `who` is closed.
    pub fn end(&mut self, who: Who, at: Duration, events: &mut Events) {
        if let Some(lane) = self.open.remove(&who) {
            lane.end(at, events);
        }
    }

    pub fn end_all(&mut self, at: Duration, events: &mut Events) {
        std::mem::take(&mut self.open).into_values().for_each(|lane| lane.end(at, events));
    }
}

/// One track: `request` with `HEAD`, `SEND` and `BLOCKED` in it, then `IDLE` or `LINGER`.
struct Lane {
    track: Track,
    /// Whose slice is open.
    state: Option<State>,
}

impl Lane {
    fn enter(&mut self, state: State, at: Duration, events: &mut Events) {
        let was_request = self.state.is_some_and(is_request);
        // An answer is sent, and more has come: the next step shows whether that is a request, or is never looked at.
        let is_answered = was_request && self.state != Some(State::Head) && state == State::Head;
        let state = if is_answered { State::Idle } else { state };
        if self.state == Some(state) {
            return;
        }
        let stays = was_request && is_request(state);
        let over = usize::from(self.state.is_some()) + usize::from(was_request && !stays);
        (0..over).for_each(|_| events.end(self.track, at, ""));
        if is_request(state) && !stays {
            events.begin(self.track, at, "request", "");
        }
        events.begin(self.track, at, state.name(), "");
        self.state = Some(state);
    }

    fn end(self, at: Duration, events: &mut Events) {
        let open = self.state.map_or(0, |state| 1 + usize::from(is_request(state)));
        (0..open).for_each(|_| events.end(self.track, at, ""));
    }
}

fn is_request(state: State) -> bool {
    matches!(state, State::Head | State::Send | State::Blocked)
}
