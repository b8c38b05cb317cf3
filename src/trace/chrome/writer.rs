//! The file of a recording: Chrome Trace Event JSON as a bare array, one event a line.
//!
//! The comma stands before the event that follows. So a file that was cut behind an event lacks
//! only its `]`, which viewers forgive.

use std::{
    fmt::Display,
    fs::File,
    io::{self, BufWriter, Write},
    time::Duration,
};

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use crate::trace::{Field, field::serialize_fields};

/// The number that every event gives for the process: there is only one.
const PROCESS: u32 = 1;

/// The track that shows an event: the number of a thread, to the viewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TrackId(u64);

impl TrackId {
    /// The track of the process, which has metadata only.
    const PROCESS: TrackId = TrackId(0);
    /// The track of the loop.
    pub const LOOP: TrackId = TrackId(1);

    /// Returns the track of the connection with this number.
    pub fn of_connection(number: u64) -> TrackId {
        TrackId(1000 + number)
    }
}

/// One event, with the members that the format names.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_name")]
    name: Option<&'a dyn Display>,
    #[serde(rename = "ph")]
    phase: Phase,
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
enum Phase {
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
    fn new(phase: Phase, args: &'a [Field]) -> Event<'a> {
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

/// A time in microseconds, the unit of the format, with three decimals.
struct Micros(Duration);

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = self.0.as_nanos();
        let number = format!("{}.{:03}", nanos / 1000, nanos % 1000);
        RawValue::from_string(number).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// Writes events to the file. Times are since the recording began.
pub struct TraceWriter {
    /// `None`: the recording has ended.
    file: Option<BufWriter<File>>,
    is_empty: bool,
}

impl TraceWriter {
    /// Begins an array in `file`.
    pub fn new(file: File) -> TraceWriter {
        let mut writer =
            TraceWriter { file: Some(BufWriter::with_capacity(64 * 1024, file)), is_empty: true };
        writer.write(|file| file.write_all(b"[\n"));
        writer
    }

    /// Returns whether the recording has ended.
    pub fn has_ended(&self) -> bool {
        self.file.is_none()
    }

    /// Names the process.
    pub fn name_process(&mut self, name: &'static str) {
        self.put_metadata(TrackId::PROCESS, "process_name", Field::new("name", name));
    }

    /// Names a track, which stands at its number among the others.
    pub fn name_track(&mut self, track: TrackId, name: impl Display) {
        self.put_metadata(track, "thread_name", Field::new("name", name.to_string()));
        self.put_metadata(track, "thread_sort_index", Field::new("sort_index", track.0));
    }

    fn put_metadata(&mut self, track: TrackId, kind: &str, field: Field) {
        let args = [field];
        self.put(&Event { name: Some(&kind), tid: Some(track), ..Event::new(Phase::Metadata, &args) });
    }

    /// Begins a slice within the open slices of its track.
    pub fn begin(&mut self, track: TrackId, at: Duration, name: impl Display, args: &[Field]) {
        let (ts, tid) = (Some(Micros(at)), Some(track));
        self.put(&Event { name: Some(&name), ts, tid, ..Event::new(Phase::Begin, args) });
    }

    /// Ends the slice of a track that began last.
    pub fn end(&mut self, track: TrackId, at: Duration, args: &[Field]) {
        let (ts, tid) = (Some(Micros(at)), Some(track));
        self.put(&Event { ts, tid, ..Event::new(Phase::End, args) });
    }

    /// Writes a whole slice.
    pub fn slice(&mut self, track: TrackId, from: Duration, to: Duration, name: &str, args: &[Field]) {
        let (ts, dur) = (Some(Micros(from)), Some(Micros(to.saturating_sub(from))));
        self.put(&Event {
            name: Some(&name),
            ts,
            dur,
            tid: Some(track),
            ..Event::new(Phase::Complete, args)
        });
    }

    /// Writes an event that takes no time.
    pub fn instant(&mut self, track: TrackId, at: Duration, name: &str, args: &[Field]) {
        let (ts, tid, scope) = (Some(Micros(at)), Some(track), Some("t"));
        self.put(&Event { name: Some(&name), scope, ts, tid, ..Event::new(Phase::Instant, args) });
    }

    /// Sets a counter.
    pub fn counter(&mut self, at: Duration, name: &'static str, value: u64) {
        let args = [Field::new(name, value)];
        self.put(&Event { name: Some(&name), ts: Some(Micros(at)), ..Event::new(Phase::Counter, &args) });
    }

    /// Writes the gathered events to the file.
    pub fn flush(&mut self) {
        self.write(|file| file.flush());
    }

    /// Ends the array and the recording.
    pub fn finish(&mut self) {
        self.write(|file| file.write_all(b"\n]\n").and_then(|()| file.flush()));
        self.file = None;
    }

    fn put(&mut self, event: &Event<'_>) {
        let separator: &[u8] = if self.is_empty { b"" } else { b",\n" };
        self.is_empty = false;
        self.write(|file| {
            file.write_all(separator)?;
            Ok(serde_json::to_writer(file, event)?)
        });
    }

    /// Runs `act` on the file. An error ends the recording; the server goes on.
    fn write(&mut self, act: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let Some(file) = &mut self.file else { return };
        if let Err(e) = act(file) {
            log::warn!("cannot write the recording: {e}; it ends here");
            // A writer that is dropped whole would try to write once more.
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
            writer.begin(TrackId::LOOP, us(1), "a \"quote\"", &[]);
            writer.slice(TrackId::LOOP, us(2), us(5), "b", &[Field::new("n", 1)]);
            writer.instant(TrackId::of_connection(3), Duration::from_nanos(5_007), "c", &[]);
            writer.counter(us(6), "open", 2);
            writer.end(TrackId::LOOP, us(7), &[]);
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
        assert!(!writer.has_ended());
        writer.flush();
        assert!(writer.has_ended());
        writer.counter(Duration::ZERO, "open", 2);
        writer.finish();
    }
}
