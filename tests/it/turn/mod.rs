//! The loop, one turn at a time: on a clock of the test's own, every step recorded.

mod accept;
mod drain;
mod requests;
mod timers;
mod transfers;

use std::{io::Write, net::TcpStream, time::Duration};

use crate::common::*;
use oneloop::{
    protocol::CloseReason,
    trace::{SourceId, Step},
};

/// Returns a duration of so many seconds.
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A loop whose first connection has asked for a large file, reads nothing of it, and is waited
/// for.
pub fn stalled() -> (Rig, TcpStream) {
    let site = Site::empty();
    site.write("big.bin", pattern(32 << 20));
    let mut rig = Rig::recorded(Rig::config(&site));
    let mut peer = rig.accepted();
    peer.write_all(get("/big.bin").as_bytes()).expect("send");
    rig.turn_until_seen(c(1), &Step::Armed);
    (rig, peer) // the file is open, so that the site may go
}

/// Returns the ID of a connection.
pub fn c(number: u64) -> SourceId {
    SourceId::Connection(number)
}

/// Returns what `who` did and decided.
pub fn of(who: SourceId, steps: &[(SourceId, Step)]) -> Vec<Step> {
    let is_act =
        |step: &Step| !matches!(step, Step::TurnBegan | Step::DeadlineSet { .. }) && !is_file_lookup(step);
    steps.iter().filter(|(w, step)| *w == who && is_act(step)).map(|(_, step)| step.clone()).collect()
}

/// Returns whether the step decides on a response.
pub fn is_plan(step: &Step) -> bool {
    matches!(step, Step::Service(service) if service.doc.verb == "plan")
}

/// Returns whether the step looks up a file.
fn is_file_lookup(step: &Step) -> bool {
    matches!(step, Step::Service(service) if service.doc.verb == "file" && service.fields[0].name == "path")
}

/// Returns the step of a close with nothing unread.
pub fn closed(reason: CloseReason) -> Step {
    Step::Closed { reason, unread: 0 }
}

/// Returns whether a step is a read.
pub fn is_read(step: &Step) -> bool {
    matches!(step, Step::Read { .. })
}
