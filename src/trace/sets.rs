//! The sets of `select()`, in the words of the course: the lists that the poll waits for, and the
//! lists that it returns.
//!
//! oneloop never builds these lists, because epoll(7) keeps them in the kernel. They are derived
//! from the steps, so that the loop can be read beside `select_server.py`.

use std::time::Duration;

use super::{
    field::{Field, Value},
    model::Model,
    source_id::{EventFlags, SourceId},
    step_doc::{StepDoc, TraceLevel},
};

/// The maximum number of sources that a set names.
const MAX_NAMED: usize = 16;

pub(super) const WAIT_SETS: StepDoc = StepDoc {
    verb: "wait",
    form: "rlist={rlist:SET} wlist={wlist:SET} timeout={timeout_us:TIME|never}",
    gloss: "",
    meaning: "With `--trace=sets`, the line names the sources of the poll as the arguments of `select()`: \
              the sockets that the loop reads from, and those to which a write would block. A set names at \
              most 16 sources, then how many more it has. Sources that are no sockets (`files`, `signals`) \
              appear only when they are ready.",
    level: TraceLevel::Sets,
};

pub(super) const WAKE_SETS: StepDoc = StepDoc {
    verb: "wake",
    form: "rs={rs:SET} ws={ws:SET} carried={carried:SET} slept={slept_us:TIME} trace={trace_us:TIME}",
    gloss: "",
    meaning: "With `--trace=sets`, the line names the ready sources as the results of `select()`. A source \
              with an error, or whose peer has closed its side, counts as ready. The poller reports edges, so \
              `rs` names a source once for each arrival and not until it is drained. `carried` names the \
              sources with work carried over from the last turn, if there are any: our own work, which \
              `select()` does not know.",
    level: TraceLevel::Sets,
};

/// The lines that take the place of `wait` and `wake` at [`TraceLevel::Sets`].
pub(super) const SETS: [&StepDoc; 2] = [&WAIT_SETS, &WAKE_SETS];

/// Returns the fields of [`WAIT_SETS`].
pub fn wait_fields(model: &Model, timeout: Option<Duration>) -> Vec<Field> {
    let mut fields = list_fields(model).to_vec();
    fields.push(Field::new("timeout_us", Value::or(timeout, "never")));
    fields
}

/// Returns the fields of [`WAKE_SETS`].
pub fn wake_fields(model: &Model) -> Vec<Field> {
    let (mut fields, carried) = (ready_fields(model).to_vec(), &model.carried);
    if !carried.is_empty() {
        fields.push(Field::new("carried", set(carried.iter().copied(), carried.len())));
    }
    fields.push(Field::new("slept_us", model.slept));
    fields
}

/// Formats the sets of the last poll as `rlist={L1,c1,c3} wlist={c3} -> rs={c1} ws={}`. After a
/// source has had its turn, the lists may have changed, and are shown for the next poll.
pub fn describe(model: &Model) -> String {
    let lists = texts(&list_fields(model));
    let ready = texts(&ready_fields(model));
    if model.has_just_woken {
        format!("{lists} -> {ready}")
    } else {
        format!("last poll: {ready}\nnext poll: {lists}")
    }
}

fn texts(fields: &[Field]) -> String {
    let words: Vec<String> = fields.iter().map(|Field { name, value }| format!("{name}={value}")).collect();
    words.join(" ")
}

/// Returns the sets that the poll waits for: `rlist` and `wlist`.
pub fn list_fields(model: &Model) -> [Field; 2] {
    let (all, writers) = (&model.sources, &model.write_list);
    [
        Field::new("rlist", set(all.keys().copied(), all.len())),
        Field::new("wlist", set(writers.iter().copied(), writers.len())),
    ]
}

/// Returns the sets that the last poll returned: `rs` and `ws`.
pub fn ready_fields(model: &Model) -> [Field; 2] {
    let sources = |is_ready: &dyn Fn(SourceId, EventFlags) -> bool| {
        let ready = model.ready.iter().filter(|(source, flags)| is_ready(*source, *flags));
        let ready: Vec<SourceId> = ready.map(|(source, _)| *source).collect();
        set(ready.iter().copied(), ready.len())
    };
    let may_read = |_, flags: EventFlags| flags.readable || flags.read_closed || flags.error;
    let may_write = |source, flags: EventFlags| {
        (flags.writable || flags.write_closed || flags.error) && model.write_list.contains(&source)
    };
    [Field::new("rs", sources(&may_read)), Field::new("ws", sources(&may_write))]
}

/// Formats the first of `count` sources as `{L1,c1 +84 more}`.
fn set(sources: impl Iterator<Item = SourceId>, count: usize) -> String {
    let named: Vec<String> = sources.take(MAX_NAMED).map(|source| source.to_string()).collect();
    match count - named.len() {
        0 => format!("{{{}}}", named.join(",")),
        unnamed => format!("{{{} +{unnamed} more}}", named.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{address::Address, trace::Step};

    const READABLE: EventFlags =
        EventFlags { readable: true, writable: false, read_closed: false, write_closed: false, error: false };

    /// Returns a model with the listener L1 and `connections` connections, of which c3 is armed.
    fn model(connections: u64) -> Model {
        let mut model = Model::default();
        let address = || Address::Ip("127.0.0.1:80".parse().expect("an address"));
        let mut apply = |source, step| model.apply(source, &step, Duration::ZERO);
        apply(SourceId::Listener(1), Step::Bound { address: address(), fd: 3 });
        for connection in 1..=connections {
            let accepted = Step::Accepted { connection, peer: address(), fd: 4, open: 1 };
            apply(SourceId::Listener(1), accepted);
        }
        apply(SourceId::Connection(3), Step::Armed);
        apply(SourceId::Loop, Step::Waiting { turn: 1, timeout: None, carried: 0 });
        model
    }

    fn wake(model: &mut Model, ready: &[(SourceId, EventFlags)], carried: &[SourceId]) {
        let woke = Step::Woke { turn: 2, ready: ready.to_vec(), carried: carried.to_vec() };
        model.apply(SourceId::Loop, &woke, Duration::ZERO);
    }

    #[test]
    fn sets_follow_the_steps() {
        let (c1, c3) = (SourceId::Connection(1), SourceId::Connection(3));
        let mut model = model(3);
        wake(&mut model, &[(c1, READABLE)], &[]);
        assert_eq!(describe(&model), "rlist={L1,c1,c2,c3} wlist={c3} -> rs={c1} ws={}");
        let writable = EventFlags { writable: true, readable: false, ..READABLE };
        // c1 is not in wlist, so select() would not report that it is writable.
        wake(&mut model, &[(c1, writable), (c3, writable)], &[c1]);
        assert_eq!(describe(&model), "rlist={L1,c1,c2,c3} wlist={c3} -> rs={} ws={c3}");
        assert_eq!(WAKE_SETS.fill(&wake_fields(&model)), "rs={} ws={c3} carried={c1} slept=0");
        let failed = EventFlags { error: true, readable: false, ..READABLE };
        wake(&mut model, &[(c3, failed)], &[]);
        assert_eq!(describe(&model), "rlist={L1,c1,c2,c3} wlist={c3} -> rs={c3} ws={c3}");
        model.apply(c3, &Step::Disarmed, Duration::ZERO);
        model.forget(c1);
        let expected = "last poll: rs={c3} ws={}\nnext poll: rlist={L1,c2,c3} wlist={}";
        assert_eq!(describe(&model), expected);
    }

    #[test]
    fn closed_source_leaves_both_lists() {
        let mut model = model(3);
        model.forget(SourceId::Connection(3));
        assert_eq!(WAIT_SETS.fill(&wait_fields(&model, None)), "rlist={L1,c1,c2} wlist={} timeout=never");
    }

    #[test]
    fn set_names_the_first_sources_and_counts_the_rest() {
        let mut model = model(99);
        let all: Vec<_> = (1..=99).map(|number| (SourceId::Connection(number), READABLE)).collect();
        wake(&mut model, &all, &[]);
        let text = describe(&model);
        let lists = "rlist={L1,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14,c15 +84 more} wlist={c3}";
        assert!(text.starts_with(lists), "{text}");
        assert!(text.ends_with("c16 +83 more} ws={}"), "{text}");
    }
}
