//! Any bytes as a catalog page of any kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::page(bytes));
