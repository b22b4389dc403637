//! Any bytes as a location as typed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::location(bytes));
