//! The file of a recording: Chrome Trace Event JSON as a bare array, one event a line.
//!
//! The comma stands before the event that follows, so a file that was cut after an event lacks nothing but its `]`, and that
//! the viewers forgive. Whatever was written by a peer comes through [`text`].

use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, Write},
    time::Duration,
};

/// Where an event is shown: the number of a thread, to the viewers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackId(pub u64);

impl TrackId {
    pub const LOOP: TrackId = TrackId(1);

    /// That of the connection with this number.
    pub fn of_connection(number: u64) -> TrackId {
        TrackId(1000 + number)
    }
}

/// Events on their way to the file. Times are since the recording began; arguments are the members of a JSON object.
pub struct TraceWriter {
    /// `None`: the recording has ended.
    file: Option<BufWriter<File>>,
    is_empty: bool,
}

impl TraceWriter {
    /// An empty array in `file`.
    pub fn to(file: File) -> TraceWriter {
        let mut writer =
            TraceWriter { file: Some(BufWriter::with_capacity(64 * 1024, file)), is_empty: true };
        writer.write(|file| file.write_all(b"[\n"));
        writer
    }

    pub fn have_ended(&self) -> bool {
        self.file.is_none()
    }

    /// Names the process.
    pub fn name_process(&mut self, name: &str) {
        self.put(format_args!(
            r#"{{"name":"process_name","ph":"M","pid":1,"tid":0,"args":{{"name":"{name}"}}}}"#
        ));
    }

    /// Names a track, which stands at its number among the others.
    pub fn name(&mut self, TrackId(tid): TrackId, name: impl fmt::Display) {
        self.put(format_args!(
            r#"{{"name":"thread_name","ph":"M","pid":1,"tid":{tid},"args":{{"name":"{name}"}}}}"#
        ));
        self.put(format_args!(
            r#"{{"name":"thread_sort_index","ph":"M","pid":1,"tid":{tid},"args":{{"sort_index":{tid}}}}}"#
        ));
    }

    /// A slice begins, within those of its track that are open.
    pub fn begin(&mut self, TrackId(tid): TrackId, at: Duration, name: impl fmt::Display, args: &str) {
        let ts = Micros(at);
        self.put(format_args!(
            r#"{{"name":"{name}","ph":"B","ts":{ts},"pid":1,"tid":{tid},"args":{{{args}}}}}"#
        ));
    }

    /// The slice of a track that began last ends.
    pub fn end(&mut self, TrackId(tid): TrackId, at: Duration, args: &str) {
        let ts = Micros(at);
        self.put(format_args!(r#"{{"ph":"E","ts":{ts},"pid":1,"tid":{tid},"args":{{{args}}}}}"#));
    }

    /// A slice that is over.
    pub fn slice(&mut self, TrackId(tid): TrackId, from: Duration, to: Duration, name: &str, args: &str) {
        let (ts, dur) = (Micros(from), Micros(to.saturating_sub(from)));
        self.put(format_args!(
            r#"{{"name":"{name}","ph":"X","ts":{ts},"dur":{dur},"pid":1,"tid":{tid},"args":{{{args}}}}}"#
        ));
    }

    /// Something that takes no time.
    pub fn instant(&mut self, TrackId(tid): TrackId, at: Duration, name: &str, args: &str) {
        let ts = Micros(at);
        self.put(format_args!(
            r#"{{"name":"{name}","ph":"i","s":"t","ts":{ts},"pid":1,"tid":{tid},"args":{{{args}}}}}"#
        ));
    }

    /// From now on a number is `value`.
    pub fn counter(&mut self, at: Duration, name: &str, value: u64) {
        let ts = Micros(at);
        self.put(format_args!(
            r#"{{"name":"{name}","ph":"C","ts":{ts},"pid":1,"args":{{"{name}":{value}}}}}"#
        ));
    }

    /// Hands what was gathered to the system.
    pub fn write_out(&mut self) {
        self.write(|file| file.flush());
    }

    /// Ends the array, and the recording.
    pub fn finish(&mut self) {
        self.write(|file| file.write_all(b"\n]\n").and_then(|()| file.flush()));
        self.file = None;
    }

    fn put(&mut self, event: fmt::Arguments<'_>) {
        let separator: &[u8] = if self.is_empty { b"" } else { b",\n" };
        self.is_empty = false;
        self.write(|file| file.write_all(separator).and_then(|()| file.write_fmt(event)));
    }

    /// What cannot be written ends the recording; the server goes on.
    fn write(&mut self, act: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let Some(file) = &mut self.file else { return };
        if let Err(e) = act(file) {
            log::warn!("the recording ends, for it cannot be written: {e}");
            // Taken apart, it does not try once more.
            drop(self.file.take().map(BufWriter::into_parts));
        }
    }
}

/// Microseconds, to the nanosecond: the unit of the format.
struct Micros(Duration);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        write!(f, "{}.{:03}", nanos / 1000, nanos % 1000)
    }
}

/// `text` as a string of JSON.
pub fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    fn written(tell: impl FnOnce(&mut TraceWriter)) -> String {
        let mut file = tempfile::tempfile().expect("a file");
        let mut writer = TraceWriter::to(file.try_clone().expect("clone"));
        tell(&mut writer);
        drop(writer);
        let mut written = String::new();
        file.rewind().expect("rewind");
        file.read_to_string(&mut written).expect("read");
        written
    }

    #[test]
    fn each_kind_of_event_is_an_object_on_a_line() {
        let us = Duration::from_micros;
        let told = written(|writer| {
            writer.name_process("p");
            writer.name(TrackId::LOOP, "loop");
            writer.begin(TrackId::LOOP, us(1), "a", "");
            writer.slice(TrackId::LOOP, us(2), us(5), "b", r#""n":1"#);
            writer.instant(TrackId::of_connection(3), Duration::from_nanos(5_007), "c", "");
            writer.counter(us(6), "open", 2);
            writer.end(TrackId::LOOP, us(7), "");
            writer.finish();
        });
        let all: Vec<serde_json::Value> = serde_json::from_str(&told).expect("JSON");
        assert_eq!(all.len() + 2, told.lines().count(), "{told}");
        assert!(
            told.contains(r#""ph":"X","ts":2.000,"dur":3.000,"pid":1,"tid":1,"args":{"n":1}}"#),
            "{told}"
        );
        assert!(told.contains(r#""ts":5.007,"pid":1,"tid":1003"#), "{told}");
    }

    #[test]
    fn without_an_end_only_the_bracket_is_missing() {
        for writer in 0..3 {
            let told = written(|to| {
                (0..writer).for_each(|n| to.counter(Duration::ZERO, "open", n));
                to.write_out();
            });
            let all: Vec<serde_json::Value> = serde_json::from_str(&(told + "]")).expect("JSON");
            assert_eq!(all.len() as u64, writer);
        }
    }

    #[test]
    fn what_cannot_be_written_ends_it() {
        let full = File::options().write(true).open("/dev/full").expect("open");
        let mut writer = TraceWriter::to(full);
        writer.counter(Duration::ZERO, "open", 1);
        assert!(!writer.have_ended());
        writer.write_out();
        assert!(writer.have_ended());
        writer.counter(Duration::ZERO, "open", 2);
        writer.finish();
    }

    #[test]
    fn text_is_what_json_takes() {
        for written in ["", "a\"b\\c", "\u{1}\u{1b}[2J", "ü\u{2028}"] {
            assert_eq!(serde_json::from_str::<String>(&text(written)).expect("JSON"), written);
        }
    }
}
