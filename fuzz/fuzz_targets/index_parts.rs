//! Any bytes as the head and the parts of an index object.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::index_parts(bytes));
