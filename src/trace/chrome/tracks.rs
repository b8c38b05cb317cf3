//! The tracks of connections. Each track shows the activity of one connection as nested slices.

use std::{collections::BTreeMap, time::Duration};

use super::writer::{TraceWriter, TrackId};
use crate::{
    address::Address,
    trace::{Field, SourceId, model::Activity},
};

/// The maximum number of connections that get their own track. More tracks would be hard to read in
/// a viewer.
const MAX_TRACKS: usize = 200;

/// The tracks of the open connections.
#[derive(Default)]
pub struct Tracks {
    open: BTreeMap<SourceId, Track>,
    /// The number of connections accepted so far.
    made: usize,
}

impl Tracks {
    /// Creates a track for a new connection, unless `MAX_TRACKS` connections have already had one.
    pub fn add(&mut self, number: u64, peer: &Address, at: Duration, writer: &mut TraceWriter) {
        let connection = SourceId::Connection(number);
        self.made += 1;
        if self.made <= MAX_TRACKS {
            let id = TrackId::of_connection(number);
            writer.name_track(id, format_args!("{connection} {peer}"));
            self.open.insert(connection, Track { id, activity: None });
        } else if self.made == MAX_TRACKS + 1 {
            let without = format!("{connection} and later");
            let args = [Field::new("tracks", MAX_TRACKS), Field::new("without", without)];
            writer.instant(TrackId::LOOP, at, "no more tracks", &args);
        }
    }

    /// Returns the track of `source`, if it has one.
    pub fn track(&self, source: SourceId) -> Option<TrackId> {
        self.open.get(&source).map(|track| track.id)
    }

    /// Shows that `source` changes to `activity` at time `at`.
    pub fn enter(&mut self, source: SourceId, activity: Activity, at: Duration, writer: &mut TraceWriter) {
        if let Some(track) = self.open.get_mut(&source) {
            track.enter(activity, at, writer);
        }
    }

    /// Ends the track of `source`, which has been closed.
    pub fn end(&mut self, source: SourceId, at: Duration, writer: &mut TraceWriter) {
        if let Some(track) = self.open.remove(&source) {
            track.end(at, writer);
        }
    }

    /// Ends all tracks.
    pub fn end_all(&mut self, at: Duration, writer: &mut TraceWriter) {
        std::mem::take(&mut self.open).into_values().for_each(|track| track.end(at, writer));
    }
}

/// One track: a `request` slice around `HEAD`, `SEND` and `BLOCKED` slices, followed by an `IDLE`
/// or `LINGER` slice.
struct Track {
    id: TrackId,
    /// The activity whose slice is open.
    activity: Option<Activity>,
}

impl Track {
    fn enter(&mut self, activity: Activity, at: Duration, writer: &mut TraceWriter) {
        let was_request = self.activity.is_some_and(is_part_of_request);
        // A response has been sent, and more input is waiting. Only the next step shows whether
        // this input is a request or will never be parsed, so show `IDLE` until then.
        let is_answered = was_request && self.activity != Some(Activity::Head) && activity == Activity::Head;
        let activity = if is_answered { Activity::Idle } else { activity };
        if self.activity == Some(activity) {
            return;
        }
        let stays = was_request && is_part_of_request(activity);
        // End the slice of the last activity, and the `request` slice around it if the request is
        // over.
        let ended = usize::from(self.activity.is_some()) + usize::from(was_request && !stays);
        (0..ended).for_each(|_| writer.end_slice(self.id, at, &[]));
        if is_part_of_request(activity) && !stays {
            writer.begin_slice(self.id, at, "request", &[]);
        }
        writer.begin_slice(self.id, at, activity.name(), &[]);
        self.activity = Some(activity);
    }

    fn end(self, at: Duration, writer: &mut TraceWriter) {
        let open = self.activity.map_or(0, |activity| 1 + usize::from(is_part_of_request(activity)));
        (0..open).for_each(|_| writer.end_slice(self.id, at, &[]));
    }
}

/// Returns whether the activity is part of a request.
fn is_part_of_request(activity: Activity) -> bool {
    matches!(activity, Activity::Head | Activity::Send | Activity::Blocked)
}
