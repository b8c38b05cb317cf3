//! The step that the site adds to a trace.

use crate::trace::{Effect, Step, StepDoc, TraceLevel};

/// The descriptions of the site's steps, for `--trace` and the documentation.
pub const STEP_DOCS: &[&StepDoc] = &[&CHANGED];

const CHANGED: StepDoc = StepDoc {
    verb: "file",
    form: "changed",
    gloss: "changed files leave the cache",
    meaning: "The kernel reported changes to files (inotify), before any connection is served in this turn. \
              The files are removed from the cache.",
    level: TraceLevel::Io,
};

/// Returns the step that reports the removal of changed files from the cache.
pub fn changed() -> Step {
    Step::service(&CHANGED, Vec::new(), Effect::None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::assert_described;

    #[test]
    fn each_step_has_the_fields_that_its_form_names() {
        assert_described(STEP_DOCS, [(changed(), "changed")]);
    }
}
