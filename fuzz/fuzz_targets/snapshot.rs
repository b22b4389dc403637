//! Any bytes as the body of a snapshot record.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::snapshot(bytes));
