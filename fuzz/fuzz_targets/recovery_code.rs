//! Any bytes as a recovery code as typed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::recovery_code(bytes));
