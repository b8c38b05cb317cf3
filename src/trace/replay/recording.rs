//! Reads a recording back. Each event of the loop's track becomes a step again, with the line that
//! a text trace has for it.
//!
//! A recording has no bytes and no deadlines, and names at most 16 sources of a wake-up. So a step
//! here has what the model needs, and its line has what the recording says.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::{
    address::Address,
    close_reason::CloseReason,
    trace::{
        Effect, EventFlags, Field, SendCall, SourceId, Step, StepDoc, TraceLevel, Value,
        loop_steps::LOOP_STEPS, text::OBSERVER_LINES,
    },
};

/// The track of the loop.
const LOOP_TRACK: u64 = 1;

/// One step of a recording.
pub struct RecordedStep {
    pub source: SourceId,
    /// When the step before had ended.
    pub began: Duration,
    /// When the step ended. A wait is a step that ends when the poll begins.
    pub at: Duration,
    /// The step, if the model or a breakpoint can use it.
    pub step: Option<Step>,
    /// Its line in a trace, without the turn and the gloss. Empty if a trace has none.
    pub line: String,
    /// The description of its line, if this program has such steps.
    pub doc: Option<&'static StepDoc>,
    pub detail: RecordedDetail,
}

/// What a page shows of a step beyond what the model takes from it.
pub enum RecordedDetail {
    None,
    /// The number of bytes received.
    Received(usize),
    /// The first line of a message, without secrets.
    Message(String),
    /// The name of the close reason.
    Closed(String),
    /// The number of ready sources that the recording does not name.
    Unnamed(usize),
}

/// One event of the file.
#[derive(Deserialize)]
struct RecordedEvent {
    name: Option<String>,
    ph: String,
    #[serde(default)]
    ts: f64,
    #[serde(default)]
    dur: f64,
    tid: Option<u64>,
    #[serde(default)]
    args: Map<String, Json>,
}

/// Returns the steps in the text of a recording, which may lack its end. `service_docs` describe
/// the steps that services add.
///
/// # Errors
/// Fails if the text is not a recording. The message names the line that is wrong.
pub fn read(text: &str, service_docs: &[&'static StepDoc]) -> Result<Vec<RecordedStep>, String> {
    let docs: Vec<&'static StepDoc> =
        service_docs.iter().chain(LOOP_STEPS).chain(OBSERVER_LINES).copied().collect();
    let mut reader = Reader {
        docs,
        turn: 0,
        current: SourceId::Loop,
        unbegun: None,
        is_woken: false,
        ended: Duration::ZERO,
        steps: Vec::new(),
    };
    let mut lines = (1..).zip(text.lines()).peekable();
    if lines.next().is_none_or(|(_, line)| line.trim() != "[") {
        return Err("this is not a recording; make one with --trace-file".into());
    }
    while let Some((number, line)) = lines.next() {
        let line = line.trim_end().trim_end_matches(',');
        if line == "]" {
            break;
        }
        match serde_json::from_str::<RecordedEvent>(line) {
            Ok(event) if event.tid == Some(LOOP_TRACK) => reader.read(&event),
            Ok(_) => {}
            // The server may have been killed while it wrote the last line.
            Err(_) if lines.peek().is_none() => break,
            Err(_) => return Err(format!("line {number} is not an event; make a new one with --trace-file")),
        }
    }
    if reader.steps.is_empty() { Err("the recording has no steps".into()) } else { Ok(reader.steps) }
}

struct Reader {
    docs: Vec<&'static StepDoc>,
    turn: u64,
    /// The source whose slice is open.
    current: SourceId,
    /// The source whose slice has begun, and whose turn has not, with the time.
    unbegun: Option<(SourceId, Duration)>,
    /// Whether another source has woken the current one in this slice.
    is_woken: bool,
    /// When the last slice of a source or turn ended.
    ended: Duration,
    steps: Vec<RecordedStep>,
}

impl Reader {
    fn read(&mut self, event: &RecordedEvent) {
        let name = event.name.as_deref().unwrap_or_default();
        let time = |us: f64| Duration::try_from_secs_f64(us / 1e6).unwrap_or_default();
        let at = time(event.ts);
        match event.ph.as_str() {
            "B" if name.starts_with("turn ") => self.begin_turn(name, event, at),
            "B" => self.begin_source(name, at),
            "E" => self.end_slice(at),
            "X" if name == "wait" => {
                let (turn, timeout) = (self.turn, duration(&event.args, "timeout_us"));
                let carried = number(&event.args, "carried").unwrap_or(0);
                let step = Some(Step::Waiting { turn, timeout, carried });
                // Between the turn and the wait, the recorder wrote to its file.
                self.push(SourceId::Loop, [self.ended, at], step, name, event);
            }
            "X" if name != "recording" => {
                let step = step(name, &event.args);
                match step {
                    Some(Step::Woken) => self.is_woken = true,
                    _ => self.begin_source_turn(),
                }
                self.push(self.current, [at, time(event.ts + event.dur)], step, name, event);
            }
            _ => {}
        }
    }

    fn begin_turn(&mut self, name: &str, event: &RecordedEvent, at: Duration) {
        let Some(turn) = name.strip_prefix("turn ").and_then(|number| number.parse().ok()) else { return };
        self.turn = turn;
        let names = event.args.get("sources").and_then(Json::as_array).into_iter().flatten();
        let (mut ready, mut carried) = (Vec::new(), Vec::new());
        for name in names.filter_map(Json::as_str) {
            match name.strip_prefix('+') {
                Some(name) => carried.extend(name.parse::<SourceId>()),
                None => ready.extend(ready_source(name)),
            }
        }
        self.push(SourceId::Loop, [at; 2], Some(Step::Woke { turn, ready, carried }), "wake", event);
    }

    fn begin_source(&mut self, name: &str, at: Duration) {
        let (id, cause) = name.split_once(' ').unwrap_or((name, ""));
        let Ok(source) = id.parse() else { return };
        (self.current, self.is_woken) = (source, false);
        // A listener, or a source whose deadline has passed, is called in another way.
        let has_turn = matches!(source, SourceId::Connection(_) | SourceId::Udp(_)) && cause != "late";
        self.unbegun = has_turn.then_some((source, at));
    }

    /// Begins the turn of the current source, unless it has begun. If another source has woken it,
    /// its slice may have nothing but that.
    fn begin_source_turn(&mut self) {
        let Some((source, at)) = self.unbegun.take() else { return };
        let (step, line, detail) = (Some(Step::TurnBegan), String::new(), RecordedDetail::None);
        self.steps.push(RecordedStep { source, began: at, at, step, line, doc: None, detail });
    }

    fn end_slice(&mut self, at: Duration) {
        if !self.is_woken {
            self.begin_source_turn();
        }
        (self.current, self.unbegun, self.ended) = (SourceId::Loop, None, at);
    }

    /// Adds a step that lasted from the first to the second time.
    fn push(
        &mut self,
        source: SourceId,
        [began, at]: [Duration; 2],
        step: Option<Step>,
        verb: &str,
        event: &RecordedEvent,
    ) {
        let detail = detail(verb, &event.args, step.as_ref());
        let (doc, text) = self.text(verb, &event.args);
        let line = format!("{source} {text}");
        self.steps.push(RecordedStep { source, began, at, step, line, doc, detail });
    }

    /// Returns the verb and the fields as a trace shows them, and the description of the line.
    fn text(&self, verb: &str, args: &Map<String, Json>) -> (Option<&'static StepDoc>, String) {
        let has_all = |doc: &&&'static StepDoc| {
            doc.verb == verb && args.keys().all(|key| doc.placeholders().any(|(name, _)| name == key))
        };
        // Several kinds of steps have the same verb. The one with the fewest missing fields is it.
        let missing = |doc: &&&'static StepDoc| {
            doc.placeholders().filter(|(name, _)| !args.contains_key(*name)).count()
        };
        let Some(doc) = self.docs.iter().filter(has_all).min_by_key(missing).copied() else {
            return (None, printable(verb));
        };
        let fields: Vec<Field> = doc
            .placeholders()
            .filter_map(|(name, shown)| Some(Field::new(name, value(name, args.get(name)?, shown))))
            .collect();
        (Some(doc), format!("{verb} {}", doc.fill(&fields)).trim_end().to_owned())
    }
}

/// Returns a value as a trace shows it. `shown` is what the documentation has in its place.
fn value(name: &str, json: &Json, shown: Option<&'static str>) -> Value {
    match json {
        Json::Number(number) if name.ends_with("_us") => {
            Value::Time(Duration::from_micros(number.as_u64().unwrap_or(0)))
        }
        Json::Number(number) => Value::Number(number.as_i64().unwrap_or(0).into()),
        Json::String(text) => Value::Text(printable(text).into()),
        Json::Array(names) => {
            let names: Vec<&str> = names.iter().filter_map(Json::as_str).collect();
            Value::Text(printable(&names.join(" ")).into())
        }
        _ => Value::Absent(shown.and_then(|shown| shown.rsplit('|').next()).unwrap_or("?")),
    }
}

/// Replaces what could act on a terminal. The recorder has escaped it already, but anybody can
/// write a file.
fn printable(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}

/// Parses a ready source, such as `c3[R W]`.
fn ready_source(name: &str) -> Option<(SourceId, EventFlags)> {
    let (id, flags) = name.strip_suffix(']')?.split_once('[')?;
    let has = |flag| flags.split(' ').any(|word| word == flag);
    let flags = EventFlags {
        readable: has("R"),
        writable: has("W"),
        read_closed: has("rc"),
        write_closed: has("wc"),
        error: has("e"),
    };
    Some((id.parse().ok()?, flags))
}

fn number(args: &Map<String, Json>, name: &str) -> Option<usize> {
    args.get(name)?.as_u64().and_then(|number| usize::try_from(number).ok())
}

fn parsed<T: FromStr>(args: &Map<String, Json>, name: &str) -> Option<T> {
    args.get(name)?.as_str()?.parse().ok()
}

fn duration(args: &Map<String, Json>, name: &str) -> Option<Duration> {
    number(args, name).map(|us| Duration::from_micros(us as u64))
}

/// Returns what a page shows of the event beyond what `step` has.
fn detail(verb: &str, args: &Map<String, Json>, step: Option<&Step>) -> RecordedDetail {
    let text = |name| args.get(name).and_then(Json::as_str).map(printable);
    match (step, verb) {
        (Some(Step::Woke { ready, .. }), _) => {
            RecordedDetail::Unnamed(number(args, "kernel").unwrap_or(0).saturating_sub(ready.len()))
        }
        (_, "read") => number(args, "got").map_or(RecordedDetail::None, RecordedDetail::Received),
        (_, "parse") => text("message").map_or(RecordedDetail::None, RecordedDetail::Message),
        (_, "close") => text("reason").map_or(RecordedDetail::None, RecordedDetail::Closed),
        _ => RecordedDetail::None,
    }
}

/// Returns the step with this verb, if the model or a breakpoint can use it.
fn step(verb: &str, args: &Map<String, Json>) -> Option<Step> {
    let number = |name| number(args, name);
    let address = || parsed::<SocketAddr>(args, "address").map_or(Address::Unix(None), Address::Ip);
    let has = |name| args.contains_key(name);
    let fd = number("fd").and_then(|fd| i32::try_from(fd).ok()).unwrap_or(-1);
    // Neither the model nor a breakpoint asks for the reason or the call.
    let (reason, by) = (CloseReason::Done, SendCall::Write);
    let offered = number("offered").unwrap_or(0);
    Some(match verb {
        "bind" => Step::Bound { address: address(), fd },
        "accept" if has("connection") => {
            let Some(SourceId::Connection(connection)) = parsed(args, "connection") else { return None };
            Step::Accepted { connection, peer: address(), fd, open: number("open")? }
        }
        "accept" => Step::BacklogEmpty,
        "read" | "recv" if number("got").is_none() => Step::Drained,
        "read" => {
            // Only the length of the input is known, and all that the model keeps.
            Step::Read { offered, bytes: Vec::new(), kept: number("buf")? }
        }
        "recv" => Step::Received { offered, bytes: Vec::new(), from: parsed(args, "from")? },
        "eof" => Step::EndOfInput,
        "parse" if has("len") => {
            Step::Understood { start: Vec::new(), len: number("len")?, left: number("leftover")? }
        }
        "plan" => Step::service(&PLANNED, Vec::new(), Effect::Response { head: Vec::new() }),
        "write" | "send" if number("got").is_none() => Step::Blocked { by, offered },
        "write" => {
            let (sent, of) = (number("sent")? as u64, number("of")? as u64);
            Step::Wrote { by, offered, got: number("got")?, sent, of }
        }
        "send" => Step::Sent { got: number("got")?, to: parsed(args, "to")? },
        "arm" => Step::Armed,
        "disarm" => Step::Disarmed,
        "woken" => Step::Woken,
        "carry" => Step::CarriedOver,
        "deadline" => Step::Deadline { reason, late: Duration::ZERO, got: number("got")? },
        "shutdown" => Step::ShutDown,
        "close" => Step::Closed { reason, unread: number("unread")? },
        _ => return None,
    })
}

/// A response that was decided, for the model alone.
const PLANNED: StepDoc = StepDoc { verb: "plan", form: "", gloss: "", meaning: "", level: TraceLevel::Io };
