//! Any bytes as the envelope of a small object.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::envelope(bytes));
