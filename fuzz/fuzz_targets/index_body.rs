//! Any bytes as the body of an index object.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::index_body(bytes));
