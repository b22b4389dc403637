//! The command as its users meet it: the real program in throw-away folders, judged by what it prints and leaves.

#![cfg(target_os = "linux")]

mod attributes;
mod backup_chooses;
mod backup_inputs;
mod bad_input;
mod deep;
mod dump;
mod faithful;
mod folding;
mod forget;
mod full_disk;
mod gaps;
mod habits;
mod harmless;
mod harness;
mod history;
mod hostile;
mod hosts;
mod hurt;
mod inspect;
mod json;
mod keys;
mod kill;
mod looking;
mod lost;
mod meant;
mod memory;
mod mute;
mod output;
mod patterns;
mod prune;
mod repair;
mod restore;
mod restore_deletes;
mod scale;
mod shared;
mod spared;
mod streams;
mod stuck;
mod support;
mod talk;
mod unset;
mod ways;
