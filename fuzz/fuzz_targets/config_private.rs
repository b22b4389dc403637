//! Any bytes as the private part of the config.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::config_private(bytes));
