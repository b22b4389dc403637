//! Any bytes as the table of a pack.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::pack_table(bytes));
