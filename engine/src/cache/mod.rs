//! What this machine remembers to save work: disposable, distrusted, never needed.
//!
//! Every row is authenticated with a key of the repository; what is read before there is a key (`opened`) is a hint at most. What was read of files is checked against the loaded index
//! before it is used; what index objects say counts only while they are there. Deleted, truncated, swapped or stale, a
//! cache costs work and never correctness (I-12).

mod file;
mod opened;
mod place;
mod shards;
mod unfinished;
mod verified;

pub(crate) use opened::last_slot;
pub(crate) use opened::remember_slot;
pub use place::check_cache_folder;
pub(crate) use shards::Covered;
pub(crate) use shards::Draft;
pub(crate) use shards::Joined;
pub(crate) use shards::Merged;
pub(crate) use shards::PackShelf;
pub(crate) use shards::ReadObject;
pub(crate) use shards::Shard;
pub(crate) use shards::ShardFolder;
pub(crate) use shards::crowded;
pub(crate) use unfinished::Unfinished;
pub(crate) use verified::Account;
pub(crate) use verified::Seen;
pub(crate) use verified::Verified;
