//! Writes a recording to a file: a JSON array in the Chrome Trace Event format, one event per line.
//!
//! The comma between two events is written with the second one. A file that was cut off after any
//! event therefore lacks only the closing `]`, and viewers accept such a file. A write error must
//! never stop the server.

use std::{
    fmt::Display,
    fs::File,
    io::{self, BufWriter, Write},
    time::Duration,
};

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use crate::trace::{Field, field::serialize_fields};

/// The process ID in every event. A recording has only one process.
const PROCESS: u32 = 1;

/// The identifier of a track. The format calls it a thread ID (`tid`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TrackId(u64);

impl TrackId {
    /// The track for the process itself, which has only metadata.
    const PROCESS: TrackId = TrackId(0);
    /// The track of the loop.
    pub const LOOP: TrackId = TrackId(1);

    /// Returns the track of connection `number`.
    pub fn of_connection(number: u64) -> TrackId {
        TrackId(1000 + number)
    }
}

/// One event, with the members that the format defines.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_name")]
    name: Option<&'a dyn Display>,
    #[serde(rename = "ph")]
    phase: EventPhase,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<Micros>,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<TrackId>,
    #[serde(serialize_with = "serialize_args")]
    args: &'a [Field],
}

/// The kind of an event.
#[derive(Serialize)]
enum EventPhase {
    #[serde(rename = "M")]
    Metadata,
    #[serde(rename = "B")]
    Begin,
    #[serde(rename = "E")]
    End,
    #[serde(rename = "X")]
    Complete,
    #[serde(rename = "i")]
    Instant,
    #[serde(rename = "C")]
    Counter,
}

impl<'a> Event<'a> {
    fn new(phase: EventPhase, args: &'a [Field]) -> Event<'a> {
        Event { name: None, phase, scope: None, ts: None, dur: None, pid: PROCESS, tid: None, args }
    }
}

fn serialize_name<S: Serializer>(name: &Option<&dyn Display>, serializer: S) -> Result<S::Ok, S::Error> {
    match name {
        Some(name) => serializer.collect_str(name),
        None => serializer.serialize_none(),
    }
}

fn serialize_args<S: Serializer>(args: &&[Field], serializer: S) -> Result<S::Ok, S::Error> {
    serialize_fields(args, serializer)
}

/// A time that serializes as microseconds, the unit of the format, with three decimal places.
struct Micros(Duration);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = self.0.as_nanos();
        let number = format!("{}.{:03}", nanos / 1000, nanos % 1000);
        RawValue::from_string(number).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// A writer of events. All times are relative to the start of the recording.
pub struct TraceWriter {
    /// The file; `None` once the recording has ended.
    file: Option<BufWriter<File>>,
    is_empty: bool,
}

impl TraceWriter {
    /// Creates a writer, and starts the array in `file`.
    pub fn new(file: File) -> TraceWriter {
        let mut writer =
            TraceWriter { file: Some(BufWriter::with_capacity(64 * 1024, file)), is_empty: true };
        writer.write(|file| file.write_all(b"[\n"));
        writer
    }

    /// Returns whether the recording has ended.
    pub fn is_finished(&self) -> bool {
        self.file.is_none()
    }

    /// Names the process.
    pub fn name_process(&mut self, name: &'static str) {
        self.put_metadata(TrackId::PROCESS, "process_name", Field::new("name", name));
    }

    /// Names a track. Viewers sort tracks by number.
    pub fn name_track(&mut self, track: TrackId, name: impl Display) {
        self.put_metadata(track, "thread_name", Field::new("name", name.to_string()));
        self.put_metadata(track, "thread_sort_index", Field::new("sort_index", track.0));
    }

    /// Writes a metadata event, which names a process or a track.
    fn put_metadata(&mut self, track: TrackId, kind: &str, field: Field) {
        let args = [field];
        self.put(&Event { name: Some(&kind), tid: Some(track), ..Event::new(EventPhase::Metadata, &args) });
    }

    /// Starts a slice, nested in the open slices of its track.
    pub fn begin_slice(&mut self, track: TrackId, at: Duration, name: impl Display, args: &[Field]) {
        let (ts, tid) = (Some(Micros(at)), Some(track));
        self.put(&Event { name: Some(&name), ts, tid, ..Event::new(EventPhase::Begin, args) });
    }

    /// Ends the innermost open slice of a track.
    pub fn end_slice(&mut self, track: TrackId, at: Duration, args: &[Field]) {
        let (ts, tid) = (Some(Micros(at)), Some(track));
        self.put(&Event { ts, tid, ..Event::new(EventPhase::End, args) });
    }

    /// Writes a complete slice.
    pub fn slice(&mut self, track: TrackId, from: Duration, to: Duration, name: &str, args: &[Field]) {
        let (ts, dur) = (Some(Micros(from)), Some(Micros(to.saturating_sub(from))));
        self.put(&Event {
            name: Some(&name),
            ts,
            dur,
            tid: Some(track),
            ..Event::new(EventPhase::Complete, args)
        });
    }

    /// Writes an instant event, which has no duration.
    pub fn instant(&mut self, track: TrackId, at: Duration, name: &str, args: &[Field]) {
        let (ts, tid, scope) = (Some(Micros(at)), Some(track), Some("t"));
        self.put(&Event { name: Some(&name), scope, ts, tid, ..Event::new(EventPhase::Instant, args) });
    }

    /// Writes the value of a counter.
    pub fn counter(&mut self, at: Duration, name: &'static str, value: u64) {
        let args = [Field::new(name, value)];
        self.put(&Event {
            name: Some(&name),
            ts: Some(Micros(at)),
            ..Event::new(EventPhase::Counter, &args)
        });
    }

    /// Writes the buffered events to the file.
    pub fn flush(&mut self) {
        self.write(|file| file.flush());
    }

    /// Closes the array and ends the recording.
    pub fn finish(&mut self) {
        self.write(|file| file.write_all(b"\n]\n").and_then(|()| file.flush()));
        self.file = None;
    }

    /// Writes one event, preceded by a comma unless it is the first one.
    fn put(&mut self, event: &Event<'_>) {
        let separator: &[u8] = if self.is_empty { b"" } else { b",\n" };
        self.is_empty = false;
        self.write(|file| {
            file.write_all(separator)?;
            Ok(serde_json::to_writer(file, event)?)
        });
    }

    /// Calls `act` with the file, unless the recording has ended. An error ends the recording.
    fn write(&mut self, act: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let Some(file) = &mut self.file else { return };
        if let Err(e) = act(file) {
            log::warn!("cannot write the recording: {e}; it ends here");
            // Take the writer apart, because dropping it would try to write the buffer again.
            drop(self.file.take().map(BufWriter::into_parts));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    fn written(act: impl FnOnce(&mut TraceWriter)) -> String {
        let mut file = tempfile::tempfile().expect("a file");
        let mut writer = TraceWriter::new(file.try_clone().expect("clone"));
        act(&mut writer);
        drop(writer);
        let mut written = String::new();
        file.rewind().expect("rewind");
        file.read_to_string(&mut written).expect("read");
        written
    }

    #[test]
    fn each_kind_of_event_is_an_object_on_a_line() {
        let us = Duration::from_micros;
        let text = written(|writer| {
            writer.name_process("p");
            writer.name_track(TrackId::LOOP, "loop");
            writer.begin_slice(TrackId::LOOP, us(1), "a \"quote\"", &[]);
            writer.slice(TrackId::LOOP, us(2), us(5), "b", &[Field::new("n", 1)]);
            writer.instant(TrackId::of_connection(3), Duration::from_nanos(5_007), "c", &[]);
            writer.counter(us(6), "open", 2);
            writer.end_slice(TrackId::LOOP, us(7), &[]);
            writer.finish();
        });
        let expected = r#"[
{"name":"process_name","ph":"M","pid":1,"tid":0,"args":{"name":"p"}},
{"name":"thread_name","ph":"M","pid":1,"tid":1,"args":{"name":"loop"}},
{"name":"thread_sort_index","ph":"M","pid":1,"tid":1,"args":{"sort_index":1}},
{"name":"a \"quote\"","ph":"B","ts":1.000,"pid":1,"tid":1,"args":{}},
{"name":"b","ph":"X","ts":2.000,"dur":3.000,"pid":1,"tid":1,"args":{"n":1}},
{"name":"c","ph":"i","s":"t","ts":5.007,"pid":1,"tid":1003,"args":{}},
{"name":"open","ph":"C","ts":6.000,"pid":1,"args":{"open":2}},
{"ph":"E","ts":7.000,"pid":1,"tid":1,"args":{}}
]
"#;
        assert_eq!(text, expected);
        let events: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(events.len(), 8);
    }

    #[test]
    fn file_without_an_end_lacks_only_its_bracket() {
        for count in 0..3 {
            let text = written(|writer| {
                (0..count).for_each(|n| writer.counter(Duration::ZERO, "open", n));
                writer.flush();
            });
            let events: Vec<serde_json::Value> = serde_json::from_str(&(text + "]")).expect("JSON");
            assert_eq!(events.len() as u64, count);
        }
    }

    #[test]
    fn write_error_ends_the_recording() {
        let full = File::options().write(true).open("/dev/full").expect("open");
        let mut writer = TraceWriter::new(full);
        writer.counter(Duration::ZERO, "open", 1);
        assert!(!writer.is_finished());
        writer.flush();
        assert!(writer.is_finished());
        writer.counter(Duration::ZERO, "open", 2);
        writer.finish();
    }
}
