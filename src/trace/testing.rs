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
