//! Any bytes as the public part of the config.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::config_public(bytes));
