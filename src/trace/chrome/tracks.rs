//! A track for each connection: what it is about, as slices that lie one in the other.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::writer::{TraceWriter, TrackId};
use crate::{trace::Activity, trace::SourceId};

/// So many connections have a track: more would help nobody to see.
const MAX_TRACKS: usize = 200;

/// The tracks of the connections that are open.
#[derive(Default)]
pub struct Tracks {
    open: BTreeMap<SourceId, Track>,
    /// How many there are or were.
    made: usize,
}

impl Tracks {
    /// Makes a track for a new connection, while there may be more.
    pub fn make(&mut self, number: u64, peer: SocketAddr, at: Duration, writer: &mut TraceWriter) {
        self.made += 1;
        if self.made <= MAX_TRACKS {
            let track = TrackId::of_connection(number);
            writer.name(track, format_args!("c{number} {peer}"));
            self.open.insert(SourceId::Connection(number), Track { track, state: None });
        } else if self.made == MAX_TRACKS + 1 {
            let args = format!(r#""tracks":{MAX_TRACKS},"without":"c{number} and later""#);
            writer.instant(TrackId::LOOP, at, "no more tracks", &args);
        }
    }

    /// That of `id`, if it has one.
    pub fn track(&self, id: SourceId) -> Option<TrackId> {
        self.open.get(&id).map(|track| track.track)
    }

    /// From `at` on `id` is in `state`.
    pub fn enter(&mut self, id: SourceId, state: Activity, at: Duration, writer: &mut TraceWriter) {
        if let Some(track) = self.open.get_mut(&id) {
            track.enter(state, at, writer);
        }
    }

    /// `id` is closed.
    pub fn end(&mut self, id: SourceId, at: Duration, writer: &mut TraceWriter) {
        if let Some(track) = self.open.remove(&id) {
            track.end(at, writer);
        }
    }

    pub fn end_all(&mut self, at: Duration, writer: &mut TraceWriter) {
        std::mem::take(&mut self.open).into_values().for_each(|track| track.end(at, writer));
    }
}

/// One track: `request` with `HEAD`, `SEND` and `BLOCKED` in it, then `IDLE` or `LINGER`.
struct Track {
    track: TrackId,
    /// Whose slice is open.
    state: Option<Activity>,
}

impl Track {
    fn enter(&mut self, state: Activity, at: Duration, writer: &mut TraceWriter) {
        let was_request = self.state.is_some_and(is_request);
        // An answer is sent, and more has come: the next step shows whether that is a request, or is never looked at.
        let is_answered = was_request && self.state != Some(Activity::Head) && state == Activity::Head;
        let state = if is_answered { Activity::Idle } else { state };
        if self.state == Some(state) {
            return;
        }
        let stays = was_request && is_request(state);
        let over = usize::from(self.state.is_some()) + usize::from(was_request && !stays);
        (0..over).for_each(|_| writer.end(self.track, at, ""));
        if is_request(state) && !stays {
            writer.begin(self.track, at, "request", "");
        }
        writer.begin(self.track, at, state.name(), "");
        self.state = Some(state);
    }

    fn end(self, at: Duration, writer: &mut TraceWriter) {
        let open = self.state.map_or(0, |state| 1 + usize::from(is_request(state)));
        (0..open).for_each(|_| writer.end(self.track, at, ""));
    }
}

fn is_request(state: Activity) -> bool {
    matches!(state, Activity::Head | Activity::Send | Activity::Blocked)
}
