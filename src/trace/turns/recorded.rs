//! The turns of a recording, as JSON for the page that also shows live turns.
//!
//! All records are made at the start, and pages change nothing. This module must never observe a
//! loop.

use std::{borrow::Cow, collections::BTreeMap, mem, time::Duration};

use super::{
    details::Details,
    json,
    record::{LoopSnapshot, OpenTurn, PollArguments, RecordingInfo, TurnRecord, micros, text},
    ring::{Ring, RingLimits},
};
use crate::{
    address::Address,
    trace::{
        Observer, SourceId, Step, StepDoc, TurnFeed,
        model::Model,
        replay::recording::{self, RecordedDetail, RecordedStep},
        sets,
    },
};

/// How many turns are kept for a page. A browser holds as many.
const KEPT: RingLimits = RingLimits { turns: 20_000, bytes: 64 * 1024 * 1024 };

/// The turns of a recording that [`ChromeTrace`](crate::trace::ChromeTrace) has made. If there are
/// very many, only the last ones are kept.
pub struct RecordedTurns {
    info: RecordingInfo,
    ring: Ring,
}

impl RecordedTurns {
    /// Reads the text of a recording, which may lack its end. Pages show it as `name`.
    /// `service_docs` describe the steps that services add.
    ///
    /// # Errors
    /// Fails if the text is not a recording. The message says what to do.
    pub fn new(name: &str, text: &str, service_docs: &[&'static StepDoc]) -> Result<RecordedTurns, String> {
        let mut builder = Builder::new(KEPT);
        recording::read(text, service_docs)?.iter().for_each(|step| builder.add(step));
        let (turns, ring) = builder.finish();
        let info = RecordingInfo { name: name.to_owned(), turns, kept: ring.len() };
        Ok(RecordedTurns { info, ring })
    }
}

impl TurnFeed for RecordedTurns {
    fn open_page(&self) {}

    fn close_page(&self) {}

    fn hide(&self, _source: SourceId) {}

    fn show(&self, _source: SourceId, _peer: &Address, _user_agent: &[u8]) {}

    fn close(&self, _source: SourceId) {}

    fn mark_of(&self, _user_agent: &[u8]) -> String {
        // A recording has no bytes, and so no `User-Agent` with which to compare.
        String::new()
    }

    fn begin_period(&self) -> Option<Box<dyn Observer>> {
        None
    }

    fn state(&self) -> (String, u64) {
        let state = LoopSnapshot { recording: Some(self.info.clone()), ..LoopSnapshot::default() };
        (json(&state), self.ring.first())
    }

    fn turns(&self, from: u64, max: usize) -> Option<(String, u64)> {
        self.ring.turns(from, max)
    }
}

/// Makes records of the steps.
struct Builder {
    model: Model,
    details: BTreeMap<SourceId, Details>,
    /// The sources that have closed in this turn, whose record still shows them.
    closed: Vec<SourceId>,
    poll: PollArguments,
    turn: Option<OpenTurn>,
    /// The number of ready sources that the recording does not name.
    unnamed: usize,
    last_at: Duration,
    turns: u64,
    ring: Ring,
}

impl Builder {
    fn new(limits: RingLimits) -> Builder {
        Builder {
            model: Model::default(),
            details: BTreeMap::new(),
            closed: Vec::new(),
            poll: PollArguments::default(),
            turn: None,
            unnamed: 0,
            last_at: Duration::ZERO,
            turns: 0,
            ring: Ring::new(limits),
        }
    }

    fn add(&mut self, recorded: &RecordedStep) {
        let at = recorded.at;
        match &recorded.step {
            Some(step @ Step::Woke { turn, .. }) => {
                self.model.apply(SourceId::Loop, step, at);
                let mut open = OpenTurn::new(*turn, at);
                open.push_line(at, || line(recorded, *turn));
                (self.turn, self.turns) = (Some(open), self.turns + 1);
                if let RecordedDetail::Unnamed(count) = recorded.detail {
                    self.unnamed = count;
                }
            }
            Some(step @ Step::Waiting { turn, timeout, .. }) => {
                let record = self.end_turn(recorded.began);
                self.model.apply(SourceId::Loop, step, at);
                self.poll =
                    PollArguments { lists: sets::list_fields(&self.model).map(text), timeout: *timeout };
                if let Some(mut record) = record {
                    record.lines.extend(line(recorded, *turn).map(|line| (micros(at), line)));
                    self.ring.push(json(&record));
                }
            }
            _ => self.add_source_step(recorded),
        }
        self.last_at = at;
    }

    fn add_source_step(&mut self, recorded: &RecordedStep) {
        let RecordedStep { source, began, at, step, detail, .. } = recorded;
        if let Some(step) = step {
            self.model.apply(*source, step, *at);
        }
        if matches!(source, SourceId::Connection(_)) {
            self.details.entry(*source).or_default().apply_recorded(detail);
        }
        if matches!(step, Some(Step::Closed { .. })) {
            self.closed.push(*source);
        }
        let Some(turn) = &mut self.turn else { return };
        if !recorded.line.is_empty() {
            turn.push_line(*at, || line(recorded, self.model.turn));
        }
        turn.add_to_phases(*source, step.as_ref(), verb(recorded), *began, *at);
    }

    /// Ends the turn, if there is one, whose work ended at `at`.
    fn end_turn(&mut self, at: Duration) -> Option<TurnRecord> {
        let (poll, unnamed) = (mem::take(&mut self.poll), mem::take(&mut self.unnamed));
        let record = self.turn.take().map(|turn| {
            let mut record = turn.end(poll, 0, &self.model, &self.details, at);
            if unnamed > 0 {
                record.rs = format!("{} +{unnamed} more}}", record.rs.trim_end_matches('}'));
            }
            record
        });
        for source in mem::take(&mut self.closed) {
            self.model.forget(source);
            self.details.remove(&source);
        }
        record
    }

    /// Ends the last turn, and returns the number of turns and the records.
    fn finish(mut self) -> (u64, Ring) {
        if let Some(record) = self.end_turn(self.last_at) {
            self.ring.push(json(&record));
        }
        (self.turns, self.ring)
    }
}

/// Returns the line of the step as a live page has it, if it has one.
fn line(recorded: &RecordedStep, turn: u64) -> Option<String> {
    let gloss = recorded.doc.map_or("", |doc| doc.gloss);
    let separator = if gloss.is_empty() { "" } else { " -- " };
    (!recorded.line.is_empty()).then(|| format!("#{turn} {}{separator}{gloss}", recorded.line))
}

/// Returns the verb of the step, if it has a line.
fn verb(recorded: &RecordedStep) -> Option<Cow<'static, str>> {
    let unknown = || recorded.line.split(' ').nth(1).map(|verb| Cow::Owned(verb.to_owned()));
    recorded.doc.map(|doc| Cow::Borrowed(doc.verb)).or_else(unknown)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::trace::testing::RECORDING;

    fn records(turns: &RecordedTurns) -> Vec<Value> {
        let text = turns.turns(0, usize::MAX).map_or("[]".into(), |(text, _)| text);
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn recording_becomes_turns_as_a_live_page_has_them() {
        let turns = RecordedTurns::new("run.json", RECORDING, &[]).expect("a recording");
        let state: Value = serde_json::from_str(&turns.state().0).expect("JSON");
        assert_eq!(state["recording"], json!({ "name": "run.json", "turns": 3, "kept": 3 }));
        let records = records(&turns);
        let numbers: Vec<_> = records.iter().map(|record| record["turn"].as_u64()).collect();
        assert_eq!(numbers, [Some(1), Some(2), Some(3)], "also the one that does not end");
        let first = &records[0];
        assert_eq!(
            (&first["rlist"], &first["rs"], &first["open"]),
            (&"{L1}".into(), &"{L1}".into(), &1.into())
        );
        assert_eq!(first["timeout_us"], Value::Null);
        let second = &records[1];
        assert_eq!((&second["slept_us"], &second["timeout_us"]), (&9.into(), &5_000_000.into()));
        assert_eq!(second["work_us"], 7, "without the time that the recorder took");
        let phase = json!({ "source": "c1", "kind": "handle", "at_us": 1, "took_us": 6,
            "does": ["read", "parse", "plan", "write", "arm"] });
        assert_eq!(second["phases"], json!([phase]));
        let row = &second["rows"][0];
        assert_eq!((&row["received"], &row["request"]), (&30.into(), &"GET / HTTP/1.1".into()));
        assert_eq!((&row["state"], &row["peer"]), (&"BLOCKED".into(), &"127.0.0.1:9".into()));
        assert_eq!(second["lines"][1], json!([25, "#2 c1 read 65536 -> 30 buf=30"]));
        assert_eq!(
            second["lines"].as_array().and_then(|lines| lines.last()?[1].as_str()),
            Some("#2 loop wait timeout=60.000s carried=0")
        );
        let third = &records[2];
        assert_eq!((&third["wlist"], &third["open"]), (&"{c1}".into(), &0.into()));
        assert_eq!(third["rows"][0]["closed"], "eof");
    }

    #[test]
    fn sources_that_a_recording_does_not_name_are_counted() {
        let many = RECORDING.replace(
            "\"kernel\":1,\"carried\":0,\"sources\":[\"L1[R]\"]",
            "\"kernel\":85,\"carried\":0,\"sources\":[\"L1[R]\"]",
        );
        let records = records(&RecordedTurns::new("run.json", &many, &[]).expect("a recording"));
        assert_eq!((&records[0]["rs"], &records[1]["rs"]), (&"{L1 +84 more}".into(), &"{c1}".into()));
    }

    #[test]
    fn source_that_another_one_has_woken_has_no_turn_yet() {
        let woken = "{\"name\":\"c1\",\"ph\":\"B\",\"ts\":12,\"pid\":1,\"tid\":1,\"args\":{}},\n\
                     {\"name\":\"woken\",\"ph\":\"X\",\"ts\":12,\"dur\":1,\"pid\":1,\"tid\":1,\"args\":{}},\n\
                     {\"ph\":\"E\",\"ts\":13,\"pid\":1,\"tid\":1,\"args\":{}},\n";
        let end = "{\"ph\":\"E\",\"ts\":13,\"pid\":1,\"tid\":1,\"args\":{\"recording_us\":5}},\n";
        let text = RECORDING.replace(end, &format!("{woken}{end}"));
        assert!(text != RECORDING, "the place is found");
        let records = records(&RecordedTurns::new("run.json", &text, &[]).expect("a recording"));
        assert_eq!(records[0]["phases"].as_array().map(Vec::len), Some(1), "{}", records[0]);
        assert_eq!(records[0]["rows"][0]["turns"], 0);
    }

    #[test]
    fn only_the_last_turns_of_a_long_recording_are_kept() {
        let mut builder = Builder::new(RingLimits { turns: 2, bytes: usize::MAX });
        recording::read(RECORDING, &[]).expect("a recording").iter().for_each(|step| builder.add(step));
        let (turns, ring) = builder.finish();
        assert_eq!((turns, ring.len(), ring.first()), (3, 2, 1));
    }
}
