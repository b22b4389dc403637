//! A large index outside of memory: shards, files of sorted records, authenticated and disposable.
//!
//! A shard is made from some index objects, or from the ids that a backup has taken on; many become one. Kept ones are
//! found again by the next run, which reads only what it needs in memory of them.

mod contents;
mod draft;
mod file;
mod folder;
mod head;
mod joined;
mod merged;
mod ranks;
mod shard;
#[cfg(test)]
mod tests;

pub(crate) use draft::Covered;
pub(crate) use draft::Draft;
pub(crate) use draft::ReadObject;
pub(crate) use folder::ShardFolder;
pub(crate) use joined::Joined;
pub(crate) use joined::crowded;
pub(crate) use merged::Merged;
pub(crate) use shard::PackShelf;
pub(crate) use shard::Shard;
