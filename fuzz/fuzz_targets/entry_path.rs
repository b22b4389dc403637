//! Any bytes as the path of an entry.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::entry_path(bytes));
