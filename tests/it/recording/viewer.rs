//! Parses a recording as a viewer does and checks its form.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

/// A slice and the names of its enclosing slices, outermost first.
#[derive(Debug)]
pub struct Slice {
    pub track: u64,
    pub within: Vec<String>,
    pub name: String,
    pub args: Value,
}

/// A recording, parsed as a viewer does.
pub struct Recorded {
    pub slices: Vec<Slice>,
    /// The track, name and arguments of each instant.
    pub instants: Vec<(u64, String, Value)>,
    pub counters: BTreeMap<String, Vec<u64>>,
    pub tracks: BTreeMap<u64, String>,
    /// The number of slices that have no end.
    pub open: usize,
}

/// Returns a timestamp from the file in nanoseconds.
fn nanos(time: &Value) -> u64 {
    (time.as_f64().expect("a time") * 1000.0).round() as u64
}

/// The open slices of a track and the time of its last event in nanoseconds.
#[derive(Default)]
struct Track {
    open: Vec<(String, Value)>,
    until: u64,
}

impl Recorded {
    pub fn read(path: &Path) -> Recorded {
        let text = std::fs::read_to_string(path).expect("read the recording");
        let recorded = Recorded::of(&text);
        assert_eq!(recorded.open, 0, "each slice has an end");
        recorded
    }

    /// Parses `text`. Asserts that time never goes backwards in a track and that slices are nested
    /// or in sequence.
    pub fn of(text: &str) -> Recorded {
        let events: Vec<Value> = serde_json::from_str(text).expect("an array");
        assert_eq!(events.len() + 1 + usize::from(text.ends_with("\n]\n")), text.lines().count(), "lines");
        let mut recorded = Recorded {
            slices: Vec::new(),
            instants: Vec::new(),
            counters: BTreeMap::new(),
            tracks: BTreeMap::new(),
            open: 0,
        };
        let mut tracks: BTreeMap<u64, Track> = BTreeMap::new();
        for event in &events {
            recorded.take(event, &mut tracks);
        }
        recorded.open = tracks.values().map(|track| track.open.len()).sum();
        let known = tracks.keys().all(|tid| recorded.tracks.contains_key(tid));
        assert!(known, "each track has a name: {:?}", recorded.tracks);
        recorded
    }

    fn take(&mut self, event: &Value, tracks: &mut BTreeMap<u64, Track>) {
        let name = event["name"].as_str().unwrap_or_default().to_owned();
        let args = event["args"].clone();
        assert!(args.is_object() && event["pid"] == 1, "{event}");
        let kind = event["ph"].as_str().expect("a phase");
        if kind == "C" {
            let value = args[&name].as_u64().expect("a number");
            return self.counters.entry(name).or_default().push(value);
        }
        let tid = event["tid"].as_u64().expect("a track");
        if kind == "M" {
            if name == "thread_name" {
                let name = args["name"].as_str().expect("a name").to_owned();
                assert_eq!(self.tracks.insert(tid, name), None, "{event}");
            }
            return;
        }
        let track = tracks.entry(tid).or_default();
        let at = nanos(&event["ts"]);
        assert!(at >= track.until, "time must not go back before {}: {event}", track.until);
        track.until = at;
        let within = |open: &[(String, Value)]| open.iter().map(|(name, _)| name.clone()).collect();
        match kind {
            "B" => track.open.push((name, args)),
            "E" => {
                let (name, args) = track.open.pop().expect("an end event has a begin event");
                self.slices.push(Slice { track: tid, within: within(&track.open), name, args });
            }
            "X" => {
                track.until += nanos(&event["dur"]);
                self.slices.push(Slice { track: tid, within: within(&track.open), name, args });
            }
            "i" => self.instants.push((tid, name, args)),
            _ => panic!("{event}"),
        }
    }

    /// Returns the slices named `name` on a track.
    pub fn on(&self, track: u64, name: &str) -> Vec<&Slice> {
        self.slices.iter().filter(|slice| slice.track == track && slice.name == name).collect()
    }

    /// Returns the arguments of each instant named `name` on a track.
    pub fn marks(&self, track: u64, name: &str) -> Vec<&Value> {
        let are = self.instants.iter().filter(|(on, of, _)| *on == track && of == name);
        are.map(|(_, _, args)| args).collect()
    }
}

/// Returns whether the innermost slice that encloses `slice` has a name that begins with `above`.
pub fn lies_in(slice: &Slice, above: &str) -> bool {
    slice.within.last().is_some_and(|name| name.starts_with(above))
}
