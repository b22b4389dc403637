//! The command as its users meet it: the real program in throw-away folders, judged by what it prints and leaves.

#![cfg(target_os = "linux")]

mod backup_chooses;
mod backup_inputs;
mod bad_input;
mod dump;
mod faithful;
mod full_disk;
mod harness;
mod inspect;
mod keys;
mod kill;
mod looking;
mod memory;
mod restore;
mod scale;
mod support;
mod talk;
