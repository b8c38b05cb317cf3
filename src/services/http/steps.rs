//! The steps that the HTTP service adds to a trace.

use std::time::Duration;

use crate::trace::{Effect, Field, Step, StepDoc, TraceLevel, Value};

/// The descriptions of the HTTP service's steps, for `--trace` and the documentation.
pub const STEP_DOCS: &[&StepDoc] = &[&FILE_LOOKUP, &ENTRIES_READ, &PLANNED, &REPEATED];

const FILE_LOOKUP: StepDoc = StepDoc {
    verb: "file",
    form: "{path} took={took_us:TIME}",
    gloss: "",
    meaning: "The site looked up the path. No poller helps here: epoll rejects regular files, and \
              a disk that is slow to find one blocks the whole loop.",
    level: TraceLevel::Io,
};

const ENTRIES_READ: StepDoc = StepDoc {
    verb: "file",
    form: "names={names:N}",
    gloss: "part of a listing; the rest follows in later turns",
    meaning: "This many names of a directory have been read so far. The listing goes on in the next turns.",
    level: TraceLevel::Io,
};

const PLANNED: StepDoc = StepDoc {
    verb: "plan",
    form: "{status} head={head:N} body={body:N|?}",
    gloss: "",
    meaning: "The response was decided: its status, and the lengths of its head and its body (`?`: the body \
              is generated while it is sent).",
    level: TraceLevel::Io,
};

const REPEATED: StepDoc = StepDoc {
    verb: "plan",
    form: "{status} head={head:N} body={body:N} kept",
    gloss: "the same request came before, and nothing has changed",
    meaning: "The response to an equal request was kept, and the site would answer the same again. So \
              nothing was looked up, and only the date is new.",
    level: TraceLevel::Io,
};

/// Returns the step that reports the file lookup for `path` and its duration.
pub fn file_lookup(path: &[u8], took: Duration) -> Step {
    let path = Field::new("path", Value::PeerBytes(path.to_vec()));
    Step::service(&FILE_LOOKUP, vec![path, Field::new("took_us", took)], Effect::None)
}

/// Returns the step that reports how many names in a directory have been read so far.
pub fn entries_read(names: usize) -> Step {
    Step::service(&ENTRIES_READ, vec![Field::new("names", names)], Effect::Progress)
}

/// Returns the step that reports a decided response: its status, its head, and the length of its
/// body in bytes. `None` means that the body is generated while it is sent.
pub fn planned(status: u16, head: Vec<u8>, body: Option<u64>) -> Step {
    let fields = vec![
        Field::new("status", status),
        Field::new("head", head.len()),
        Field::new("body", Value::or(body, "?")),
    ];
    Step::service(&PLANNED, fields, Effect::Response { head })
}

/// Returns the step that reports a kept response: its status, its head, and the length of its body
/// in bytes.
pub fn repeated(status: u16, head: Vec<u8>, body: u64) -> Step {
    let fields = vec![Field::new("status", status), Field::new("head", head.len()), Field::new("body", body)];
    Step::service(&REPEATED, fields, Effect::Response { head })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::assert_described;

    #[test]
    fn each_step_has_the_fields_that_its_form_names() {
        assert_described(
            STEP_DOCS,
            [
                (file_lookup(b"/a\x1b", Duration::from_micros(57)), r"/a\x1b took=57us"),
                (entries_read(128), "names=128"),
                (planned(200, b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), Some(6)), "200 head=19 body=6"),
                (repeated(200, b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), 6), "200 head=19 body=6 kept"),
            ],
        );
        let generated = planned(200, Vec::new(), None);
        assert!(generated.response_head().is_some_and(<[u8]>::is_empty));
    }
}
