//! What the fuzz targets check. The properties belong to the tests, which replay the seeds.

#[path = "../../tests/it/fuzzing/mod.rs"]
pub mod fuzzing;
