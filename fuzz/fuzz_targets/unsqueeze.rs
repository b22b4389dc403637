//! Any bytes as a length and a frame that claims to be so long unsqueezed.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strongroom::fuzzing::unsqueeze(bytes));
