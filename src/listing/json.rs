//! Renders a listing as a JSON array, with one object per row.

use percent_encoding::percent_encode;
use serde::Serialize;

use super::Row;
use crate::site_path::PATH;

pub const BEGIN: &str = "[";
pub const END: &str = "\n]\n";

/// One entry of the directory.
#[derive(Serialize)]
struct JsonRow<'a> {
    name: &'a str,
    r#type: &'static str,
    href: String,
    /// The length in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
}

/// Returns a row as a JSON object. A comma precedes the object, unless it is the first one.
pub fn row(row: &Row<'_>, is_first: bool) -> String {
    let slash = if row.is_directory { "/" } else { "" };
    let object = JsonRow {
        name: &String::from_utf8_lossy(row.name),
        r#type: if row.is_directory { "directory" } else { "file" },
        href: format!("{}{slash}", percent_encode(row.name, PATH)),
        size: (!row.is_directory).then_some(row.len),
        modified: row.modified.map(|time| humantime::format_rfc3339_seconds(time).to_string()),
    };
    // Serializing strings and numbers to a string cannot fail.
    let object = serde_json::to_string(&object).unwrap_or_default();
    format!("{}{object}", if is_first { "\n" } else { ",\n" })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn json_rows_are_objects_of_one_array() {
        let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
        let sub = Row { name: b"sub", is_directory: true, len: 0, modified: None };
        let file = Row { name: b"\"\n\xff\\", is_directory: false, len: 5, modified };
        let text = [BEGIN, &row(&sub, true), &row(&file, false), END].concat();
        assert_eq!(
            text,
            "[\n{\"name\":\"sub\",\"type\":\"directory\",\"href\":\"sub/\"},\n\
             {\"name\":\"\\\"\\n\u{fffd}\\\\\",\"type\":\"file\",\"href\":\"%22%0A%FF%5C\",\"size\":5,\
             \"modified\":\"1994-11-06T08:49:37Z\"}\n]\n"
        );
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value[1]["size"], 5);
    }
}
