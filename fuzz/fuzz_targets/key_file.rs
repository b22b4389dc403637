//! Any bytes as the content of a key file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::key_file(bytes));
