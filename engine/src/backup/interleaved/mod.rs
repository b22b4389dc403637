//! Promises about backups that prunes cut across: a snapshot that restores byte for byte, or none.

mod clocks;
mod hooked;
mod pruner;
mod prunes;
mod scene;
