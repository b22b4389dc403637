//! Any bytes as the head and the trailer of a pack.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::pack_head(bytes));
