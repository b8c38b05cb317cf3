//! The turns that a recorder keeps, step by step.

use serde_json::Value;

use super::*;
use crate::{close_reason::CloseReason, trace::EventFlags};

const OWN: &str = "127.0.0.1:9";
const LOOP: SourceId = SourceId::Loop;
const L1: SourceId = SourceId::Listener(1);
const L2: SourceId = SourceId::Listener(2);
const C1: SourceId = SourceId::Connection(1);
const C2: SourceId = SourceId::Connection(2);

fn ip(text: &str) -> Address {
    Address::Ip(text.parse().expect("an address"))
}

fn accepted(connection: u64) -> Step {
    Step::Accepted { connection, peer: ip("127.0.0.1:1"), fd: 9, open: 9 }
}

/// A recorder, and its observer as the loop has it. L1 listens for the site, L2 for pages.
struct Rig {
    recorder: TurnRecorder,
    observer: Option<Box<dyn Observer>>,
    turn: u64,
}

impl Rig {
    fn new() -> Rig {
        let recorder = TurnRecorder::new(OWN.parse().expect("an address"));
        recorder.open_page();
        let mut rig = Rig { recorder, observer: None, turn: 0 };
        rig.join();
        rig
    }

    fn join(&mut self) {
        self.recorder.recorder.borrow_mut().allowance = Allowance::new();
        self.observer = self.recorder.begin_period().or(self.observer.take());
        self.step(L1, Step::Bound { address: ip("127.0.0.1:8"), fd: 3 });
        self.step(L2, Step::Bound { address: ip(OWN), fd: 4 });
    }

    fn step(&mut self, source: SourceId, step: Step) {
        let Some(observer) = &mut self.observer else { return };
        observer.on_step(source, &step);
        if matches!(step, Step::Waiting { .. }) && observer.is_finished() {
            self.observer = None;
        }
    }

    fn wait(&mut self) {
        let turn = self.turn;
        self.step(LOOP, Step::Waiting { turn, timeout: Some(Duration::ZERO), carried: 0 });
    }

    /// Takes one turn in which `ready` is ready and takes these steps.
    fn turn(&mut self, ready: SourceId, steps: impl IntoIterator<Item = Step>) {
        self.turn += 1;
        let flags = EventFlags { readable: true, ..EventFlags::default() };
        let ready_set = vec![(ready, flags)];
        self.step(LOOP, Step::Woke { turn: self.turn, ready: ready_set, carried: Vec::new() });
        steps.into_iter().for_each(|step| self.step(ready, step));
        self.wait();
    }

    fn records(&self, from: u64) -> Vec<Value> {
        let text = self.recorder.turns(from, usize::MAX).map_or("[]".into(), |(text, _)| text);
        serde_json::from_str(&text).expect("JSON")
    }
}

#[test]
fn turns_of_pages_are_hidden_and_counted() {
    let mut rig = Rig::new();
    rig.wait();
    rig.turn(L2, [accepted(1)]);
    rig.turn(C1, [Step::TurnBegan, Step::Drained]);
    rig.turn(L1, [accepted(2)]);
    rig.turn(C2, [Step::TurnBegan, Step::CarriedOver, Step::Armed]);
    rig.turn(C2, [Step::TurnBegan, Step::Closed { reason: CloseReason::Eof, unread: 0 }]);
    let records = rig.records(0);
    let numbers: Vec<_> = records.iter().map(|record| record["turn"].as_u64()).collect();
    assert_eq!(numbers, [Some(3), Some(4), Some(5)]);
    assert_eq!((&records[0]["hidden"], &records[1]["hidden"]), (&2.into(), &0.into()));
    assert_eq!((&records[0]["open"], &records[2]["open"]), (&1.into(), &0.into()));
    assert_eq!((&records[0]["rlist"], &records[0]["rs"]), (&"{L1}".into(), &"{L1}".into()));
    assert_eq!(records[1]["carried_to_next"], serde_json::json!(["c2"]));
    assert_eq!((&records[2]["wlist"], &records[2]["timeout_us"]), (&"{c2}".into(), &0.into()));
    assert_eq!(records[2]["rows"][0]["closed"], "eof");
    assert!(!Value::from(records).to_string().contains("c1"));
}

#[test]
fn nothing_is_recorded_without_a_page() {
    let mut rig = Rig::new();
    assert!(rig.recorder.begin_period().is_none(), "it is attached");
    rig.wait();
    rig.turn(L1, [accepted(2)]);
    rig.recorder.close_page();
    assert!(rig.records(0).is_empty() && rig.recorder.begin_period().is_none());
    rig.wait();
    assert!(rig.observer.is_none(), "the loop has dropped it");
    rig.recorder.open_page();
    assert!(rig.recorder.begin_period().is_some());
}

#[test]
fn turns_are_limited_and_the_next_period_finds_what_has_changed() {
    let mut rig = Rig::new();
    rig.wait();
    rig.turn(L1, [accepted(1)]);
    while rig.observer.is_some() {
        rig.turn(C1, [Step::TurnBegan]);
    }
    let recorded = rig.records(0).len() as u64;
    assert!(recorded >= 100 && recorded == rig.turn, "{recorded}");
    // Meanwhile, c1 closes, and c2 sends.
    rig.join();
    let deadline = Step::DeadlineSet { reason: CloseReason::IdleTimeout, within: None };
    let open = OpenConnection {
        source: C2,
        fd: 9,
        peer: &|| ip("127.0.0.1:2"),
        is_armed: true,
        unread: 0,
        sent: 5,
        of: 7,
        deadline,
    };
    rig.observer.as_mut().expect("attached").on_open_connection(&open);
    rig.wait();
    rig.turn(L1, [Step::BacklogEmpty]);
    let records = rig.records(recorded);
    assert_eq!((&records[0]["gone"], &records[0]["turn"]), (&serde_json::json!(["c1"]), &Value::Null));
    let row = &records[0]["rows"][0];
    assert_eq!((&row["id"], &row["state"], &row["sent"]), (&"c2".into(), &"BLOCKED".into(), &5.into()));
    assert_eq!((&records[1]["rlist"], &records[1]["wlist"]), (&"{L1,c2}".into(), &"{c2}".into()));
}

#[test]
fn record_of_a_turn_is_bounded() {
    let mut rig = Rig::new();
    rig.wait();
    rig.turn += 1;
    rig.step(LOOP, Step::Woke { turn: 1, ready: Vec::new(), carried: Vec::new() });
    for number in 1..=10_000 {
        rig.step(L1, accepted(number));
        rig.step(SourceId::Connection(number), Step::TurnBegan);
        let start = vec![b'\x1b'; 5000];
        rig.step(SourceId::Connection(number), Step::Understood { start, len: 1, left: 0 });
    }
    rig.wait();
    let text = Value::from(rig.records(0)).to_string();
    assert!(text.len() < 64 * 1024, "{} bytes", text.len());
    assert!(rig.observer.is_none(), "the period has its steps");
}

#[test]
fn pages_get_turns_from_where_they_are() {
    let mut rig = Rig::new();
    rig.wait();
    (0..5).for_each(|_| rig.turn(L1, [Step::BacklogEmpty]));
    let (state, next) = rig.recorder.state();
    assert!(state.contains("L1 127.0.0.1:8") && !state.contains("L2"), "{state}");
    assert_eq!(next, 0, "a new page gets the turns that are kept");
    assert_eq!(rig.recorder.turns(0, 0).map(|(_, next)| next), Some(1), "at least one");
    assert_eq!(rig.recorder.turns(4, usize::MAX).map(|(_, next)| next), Some(5));
    assert_eq!(rig.recorder.turns(5, usize::MAX), None);
}
