//! What this machine remembers to save work: disposable, distrusted, never needed.
//!
//! Every row is authenticated with a key of the repository, and what a backup takes from it is checked against the
//! loaded index before it is used. Deleted, truncated, swapped or stale, a cache costs work and never correctness (I-12).

mod file;
mod unfinished;
mod verified;

pub(crate) use unfinished::Unfinished;
pub(crate) use verified::Account;
pub(crate) use verified::Seen;
pub(crate) use verified::Verified;
