//! Steps and assertions for the tests of observers.

use super::{
    glossary::VERBS,
    step::{Effect, Step},
    step_doc::{StepDoc, TraceLevel},
};

const RESPONSE: StepDoc =
    StepDoc { verb: "plan", form: "", gloss: "", meaning: "A test decided.", level: TraceLevel::Io };

/// Returns a service step that decides on a response with the given head.
pub fn response(head: Vec<u8>) -> Step {
    with_effect(Effect::Response { head })
}

/// Returns a service step with the given effect.
pub fn with_effect(effect: Effect) -> Step {
    Step::service(&RESPONSE, Vec::new(), effect)
}

/// Asserts that `steps` has one step for each of `docs`, in the same order, and that each step is
/// formatted as the text next to it.
pub fn assert_described<const N: usize>(docs: &[&StepDoc], steps: [(Step, &str); N]) {
    assert_eq!(docs.len(), N, "one step of each kind");
    for (doc, (step, text)) in docs.iter().zip(steps) {
        let Step::Service(step) = &step else { panic!("{step:?} is not a service's") };
        assert_eq!(&step.doc, doc);
        assert!(doc.has_fields(step.fields.iter().map(|field| field.name)), "{doc:?}: {step:?}");
        assert_eq!(doc.fill(&step.fields), text);
        assert!(VERBS.contains(&doc.verb), "the page has a section for {doc:?}");
        assert!(doc.form.is_ascii() && !doc.form.contains(" -- ") && !doc.meaning.is_empty(), "{doc:?}");
    }
}

/// A recording without its end: c1 gets a part of a response, and closes.
pub const RECORDING: &str = r#"[
{"name":"thread_name","ph":"M","pid":1,"tid":1,"args":{"name":"loop"}},
{"name":"L1","ph":"B","ts":0,"pid":1,"tid":1,"args":{}},
{"name":"bind","ph":"X","ts":0,"dur":1,"pid":1,"tid":1,"args":{"address":"127.0.0.1:8","fd":3}},
{"ph":"E","ts":1,"pid":1,"tid":1,"args":{}},
{"name":"wait","ph":"X","ts":1,"dur":9,"pid":1,"tid":1,"args":{"timeout_us":null,"carried":0}},
{"name":"turn 1","ph":"B","ts":10,"pid":1,"tid":1,"args":{"kernel":1,"carried":0,"sources":["L1[R]"],"slept_us":9}},
{"name":"L1 R","ph":"B","ts":11,"pid":1,"tid":1,"args":{}},
{"name":"accept","ph":"X","ts":11,"dur":1,"pid":1,"tid":1,"args":{"connection":"c1","address":"127.0.0.1:9","fd":4,"open":1}},
{"name":"accept","ph":"i","ts":12,"pid":1,"tid":1001,"args":{}},
{"name":"accept","ph":"X","ts":12,"dur":1,"pid":1,"tid":1,"args":{"got":"WouldBlock"}},
{"ph":"E","ts":13,"pid":1,"tid":1,"args":{}},
{"ph":"E","ts":13,"pid":1,"tid":1,"args":{"recording_us":5}},
{"name":"recording","ph":"X","ts":13,"dur":1,"pid":1,"tid":1,"args":{}},
{"name":"wait","ph":"X","ts":14,"dur":9,"pid":1,"tid":1,"args":{"timeout_us":5000000,"carried":0}},
{"name":"turn 2","ph":"B","ts":23,"pid":1,"tid":1,"args":{"kernel":1,"carried":0,"sources":["c1[R]"],"slept_us":9}},
{"name":"c1 R","ph":"B","ts":24,"pid":1,"tid":1,"args":{}},
{"name":"read","ph":"X","ts":24,"dur":1,"pid":1,"tid":1,"args":{"offered":65536,"got":30,"buf":30}},
{"name":"parse","ph":"X","ts":25,"dur":1,"pid":1,"tid":1,"args":{"message":"GET / HTTP/1.1","len":30,"leftover":0}},
{"name":"plan","ph":"X","ts":26,"dur":1,"pid":1,"tid":1,"args":{"status":200,"head":100,"body":null}},
{"name":"write","ph":"X","ts":27,"dur":1,"pid":1,"tid":1,"args":{"offered":300,"got":200,"by":"write","sent":200,"of":300}},
{"name":"write","ph":"X","ts":28,"dur":1,"pid":1,"tid":1,"args":{"offered":100,"got":"WouldBlock","by":"write"}},
{"name":"arm","ph":"X","ts":29,"dur":1,"pid":1,"tid":1,"args":{}},
{"ph":"E","ts":30,"pid":1,"tid":1,"args":{}},
{"ph":"E","ts":30,"pid":1,"tid":1,"args":{}},
{"name":"wait","ph":"X","ts":31,"dur":9,"pid":1,"tid":1,"args":{"timeout_us":60000000,"carried":0}},
{"name":"turn 3","ph":"B","ts":40,"pid":1,"tid":1,"args":{"kernel":1,"carried":0,"sources":["c1[R rc]"],"slept_us":9}},
{"name":"c1 R rc","ph":"B","ts":41,"pid":1,"tid":1,"args":{}},
{"name":"close","ph":"X","ts":41,"dur":1,"pid":1,"tid":1,"args":{"reason":"eof","unread":0,"life_us":30}},
{"ph":"E","ts":42,"pid":1,"tid":1,"args":{}},
{"ph":"E","ts":42,"pid"#;
