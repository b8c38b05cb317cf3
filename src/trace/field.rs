//! The fields of a step: the names and values from which every output is generated.

use std::{borrow::Cow, fmt, net::SocketAddr, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    redact::escaped,
    source_id::{EventFlags, SourceId},
};
use crate::address::Address;

/// The maximum number of bytes from a peer that a field shows in a text trace.
const MAX_PEER_BYTES: usize = 128;
/// The maximum number of sources that a list names.
const MAX_NAMED_SOURCES: usize = 16;

/// One field of a step. A field whose name ends in `_us` is a time, which JSON shows in
/// microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name: the placeholder in the [form](super::StepDoc::form), and the key in JSON.
    pub name: &'static str,
    /// The value of the field.
    pub value: Value,
}

impl Field {
    /// Creates a field.
    pub fn new(name: &'static str, value: impl Into<Value>) -> Field {
        Field { name, value: value.into() }
    }
}

/// The value of a [`Field`]. `Display` formats the value for a text trace, and `Serialize` for
/// JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// An integer: a count, a length in bytes, or a number from the system, such as a descriptor.
    Number(i128),
    /// Text from this program.
    Text(Cow<'static, str>),
    /// Bytes from a peer. Every output shows them escaped, and a text trace truncates them.
    PeerBytes(Vec<u8>),
    /// A duration.
    Time(Duration),
    /// The address of a socket.
    Address(Address),
    /// Sources that are ready or have work carried over.
    Sources(SourceList),
    /// No value. A text trace shows this word instead, and JSON shows `null`.
    Absent(&'static str),
}

impl Value {
    /// Converts `value`, or returns [`Value::Absent`] with `word` if `value` is `None`.
    pub fn or(value: Option<impl Into<Value>>, word: &'static str) -> Value {
        value.map_or(Value::Absent(word), Into::into)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Value {
        Value::Number(number as i128)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Number(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Value {
        Value::Number(number.into())
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Value {
        Value::Number(number.into())
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Value {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into())
    }
}

impl From<Duration> for Value {
    fn from(time: Duration) -> Value {
        Value::Time(time)
    }
}

impl From<Address> for Value {
    fn from(address: Address) -> Value {
        Value::Address(address)
    }
}

impl From<SocketAddr> for Value {
    fn from(address: SocketAddr) -> Value {
        Value::Address(address.into())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => number.fmt(f),
            Value::Text(text) => f.write_str(text),
            Value::PeerBytes(bytes) => {
                let shown = &bytes[..bytes.len().min(MAX_PEER_BYTES)];
                f.write_str(&escaped(shown))?;
                f.write_str(if shown.len() < bytes.len() { "..." } else { "" })
            }
            Value::Time(time) => f.write_str(&format_time(*time)),
            Value::Address(address) => address.fmt(f),
            Value::Sources(list) => list.fmt(f),
            Value::Absent(word) => f.write_str(word),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Number(number) => serializer.serialize_i128(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::PeerBytes(bytes) => serializer.serialize_str(&escaped(bytes)),
            Value::Time(time) => serializer.serialize_u128(time.as_micros()),
            Value::Address(address) => serializer.collect_str(address),
            Value::Sources(list) => list.named.serialize(serializer),
            Value::Absent(_) => serializer.serialize_none(),
        }
    }
}

/// The names of the first sources in a list, and the number of remaining sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceList {
    named: Vec<String>,
    unnamed: usize,
}

impl SourceList {
    /// Lists the sources of a wake-up: `c3[R]` for a source that the kernel reported, `+c5` for a
    /// source with work carried over.
    pub fn new(ready: &[(SourceId, EventFlags)], carried: &[SourceId]) -> SourceList {
        let ready_names = ready.iter().map(|(source, flags)| format!("{source}[{flags}]"));
        let carried_names = carried.iter().map(|source| format!("+{source}"));
        let named: Vec<String> = ready_names.chain(carried_names).take(MAX_NAMED_SOURCES).collect();
        let unnamed = ready.len() + carried.len() - named.len();
        SourceList { named, unnamed }
    }
}

/// Formats the list as `c3[R] +c5 and 84 more`.
impl fmt::Display for SourceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named.join(" "))?;
        if self.unnamed > 0 { write!(f, " and {} more", self.unnamed) } else { Ok(()) }
    }
}

/// Serializes fields as one JSON object.
pub(super) fn serialize_fields<S: Serializer>(fields: &[Field], serializer: S) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_map(Some(fields.len()))?;
    for field in fields {
        object.serialize_entry(field.name, &field.value)?;
    }
    object.end()
}

/// Formats a time as `57us`, `12.3ms` or `2.114s`.
pub(crate) fn format_time(time: Duration) -> String {
    match time.as_micros() {
        0 => "0".into(),
        us @ 1..1000 => format!("{us}us"),
        us @ 1000..1_000_000 => format!("{:.1}ms", us as f64 / 1e3),
        _ => format!("{:.3}s", time.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_has_a_text_and_a_json_form() {
        let flags = EventFlags { readable: true, ..EventFlags::default() };
        let many = vec![SourceId::Connection(1); 100];
        let list = Value::Sources(SourceList::new(&[(SourceId::Listener(1), flags)], &many[..1]));
        let address: SocketAddr = "[::1]:80".parse().expect("an address");
        let table = [
            (Value::from(7), "7", "7"),
            (Value::from(u64::MAX), "18446744073709551615", "18446744073709551615"),
            (Value::from("a \"quote\""), "a \"quote\"", r#""a \"quote\"""#),
            (Value::from(String::from("\u{fc}")), "\u{fc}", "\"\u{fc}\""),
            (Value::PeerBytes(b"/\x1b\xff\"".to_vec()), r#"/\x1b\xff\""#, r#""/\\x1b\\xff\\\"""#),
            (Value::from(Duration::ZERO), "0", "0"),
            (Value::from(Duration::from_nanos(57_999)), "57us", "57"),
            (Value::from(Duration::from_micros(12_345)), "12.3ms", "12345"),
            (Value::from(Duration::from_micros(2_114_000)), "2.114s", "2114000"),
            (Value::from(address), "[::1]:80", r#""[::1]:80""#),
            (list, "L1[R] +c1", r#"["L1[R]","+c1"]"#),
            (Value::or(None::<u64>, "?"), "?", "null"),
            (Value::or(Some(1u64), "?"), "1", "1"),
        ];
        for (value, text, json) in table {
            assert_eq!(value.to_string(), text);
            assert_eq!(serde_json::to_string(&value).expect("JSON"), json);
        }
        let list = SourceList::new(&[], &many).to_string();
        assert!(list.starts_with("+c1 +c1 ") && list.ends_with("+c1 and 84 more"), "{list}");
    }

    #[test]
    fn peer_bytes_are_cut_in_the_text_only() {
        let value = Value::PeerBytes(vec![b'a'; MAX_PEER_BYTES + 1]);
        assert_eq!(value.to_string(), "a".repeat(MAX_PEER_BYTES) + "...");
        let json = serde_json::to_string(&value).expect("JSON");
        assert_eq!(json.len(), MAX_PEER_BYTES + 1 + 2);
    }
}
