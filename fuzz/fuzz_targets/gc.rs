//! Any bytes as the body of a mark or a tomb.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::gc(bytes));
