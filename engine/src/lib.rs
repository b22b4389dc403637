//! Strongroom: a backup engine to embed.

mod class;
mod entry;
mod error;
mod event;
mod id;
mod job;
mod limits;
mod random;
mod source;
mod time;
mod verdict;
