//! Any bytes as TLV fields of any object.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::wire(bytes));
