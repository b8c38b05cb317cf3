//! Replays the seeds of the fuzz targets, and the inputs that once broke a property.

use std::path::Path;

use crate::{common::skip, fuzzing};

#[test]
fn fuzz_properties_hold_for_each_seed() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    if !seeds.is_dir() {
        // A published package has no fuzz targets.
        return skip("fuzz/seeds does not exist");
    }
    for (target, _) in fuzzing::TARGETS {
        let files = std::fs::read_dir(seeds.join(target)).expect("the seeds of each target");
        let mut count = 0;
        for file in files {
            let path = file.expect("a seed").path();
            fuzzing::check(target, &std::fs::read(&path).expect("read the seed"));
            count += 1;
        }
        assert!((1..=40).contains(&count), "{target} has {count} seeds");
    }
}
