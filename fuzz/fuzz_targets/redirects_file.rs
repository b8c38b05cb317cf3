#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oneloop_fuzz::fuzzing::check("redirects_file", data));
