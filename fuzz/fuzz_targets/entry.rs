//! Any bytes as one entry of a catalog page.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::entry(bytes));
