//! The loop, one turn at a time, on a clock that the test controls and with every step recorded.

mod accept;
mod calls;
mod deferred;
mod drain;
mod memory;
mod requests;
mod slow_network;
mod target;
mod timers;
mod transfers;
mod work;

use std::{io::Write, net::TcpStream, time::Duration};

use crate::common::*;
use oneloop::{
    protocol::CloseReason,
    trace::{SourceId, Step},
};

/// Returns a duration of `seconds`.
pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Returns a loop whose first connection has requested a large file and reads none of it; the loop
/// waits until it can write.
pub fn stalled() -> (Rig, TcpStream) {
    stalled_at(0)
}

/// Returns a loop like [`stalled`], with a minimum rate.
pub fn stalled_at(min_rate: u32) -> (Rig, TcpStream) {
    let site = Site::empty();
    site.write("big.bin", pattern(32 << 20));
    let mut config = Rig::config(&site);
    config.min_rate = min_rate;
    let mut rig = Rig::recorded(config);
    let mut peer = rig.accepted();
    peer.write_all(get("/big.bin").as_bytes()).expect("send");
    rig.turn_until_seen(c(1), &Step::Armed);
    (rig, peer) // the file is open, so the site may be removed
}

/// Returns the ID of a connection.
pub fn c(number: u64) -> SourceId {
    SourceId::Connection(number)
}

/// Returns the steps of `who` without turn starts, deadlines and file lookups.
pub fn of(who: SourceId, steps: &[(SourceId, Step)]) -> Vec<Step> {
    let is_act =
        |step: &Step| !matches!(step, Step::TurnBegan | Step::DeadlineSet { .. }) && !is_file_lookup(step);
    steps.iter().filter(|(w, step)| *w == who && is_act(step)).map(|(_, step)| step.clone()).collect()
}

/// Returns whether the step is the plan of a response.
pub fn is_plan(step: &Step) -> bool {
    matches!(step, Step::Service(service) if service.doc.verb == "plan")
}

/// Returns whether the step is a file lookup.
fn is_file_lookup(step: &Step) -> bool {
    matches!(step, Step::Service(service) if service.doc.verb == "file" && service.fields[0].name == "path")
}

/// Returns the step that closes a connection with no unread data.
pub fn closed(reason: CloseReason) -> Step {
    Step::Closed { reason, unread: 0 }
}

/// Returns whether a step is a read.
pub fn is_read(step: &Step) -> bool {
    matches!(step, Step::Read { .. })
}
