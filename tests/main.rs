//! The one test binary: promises that need more than one room.

#![allow(clippy::unwrap_used, reason = "an unwrap that fails is a test that fails")]

mod caches;
mod contract;
mod corruption;
mod crashes;
mod faults;
mod format_document;
mod fuzzed;
mod golden;
mod machine;
mod model;
mod prunes;
mod repairs;
mod series;
mod simulation;
mod support;
mod tidy;
mod views;
