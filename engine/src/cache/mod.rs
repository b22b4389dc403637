//! What this machine remembers to save work: disposable, distrusted, never needed.
//!
//! Every row is authenticated with a key of the repository and checked against the loaded index before
//! it is used. Deleted, truncated, swapped or stale, a cache costs work and never correctness (I-12).

mod unfinished;

pub(crate) use unfinished::Unfinished;
