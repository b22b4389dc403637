//! For tests: repositories in which little data makes many chunks, segments, packs and shards, and a sink that records.
//!
//! Not part of the public API.

use crate::backend::Backend;
use crate::error::Result;
use crate::format::config::ChunkerConfig;
use crate::format::config::PrivateConfig;
use crate::random::Rng;
use crate::repository::CreateOptions;
use crate::repository::Created;
use crate::repository::Key;
use crate::repository::Repository;
use crate::time::Clock;
use std::sync::Arc;

pub use crate::source::recorder::Recorded;
pub use crate::source::recorder::Recorder;

/// Sizes in bytes, fixed for the life of a repository.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The nominal chunk; none is smaller than half or larger than twice that.
    pub chunk: u32,
    /// A pack, of data or of the catalog, is closed at this; a segment at a quarter.
    pub pack: u32,
}

/// Creates a repository of other sizes than the standard ones.
pub async fn create(
    backend: Arc<dyn Backend>,
    key: Key,
    options: CreateOptions,
    (rng, clock): (Arc<dyn Rng>, Arc<dyn Clock>),
    sizes: Sizes,
) -> Result<Created> {
    let Sizes { chunk, pack } = sizes;
    let standard = PrivateConfig::standard("a test".to_owned());
    let chunker = ChunkerConfig { min: chunk / 2, nominal: chunk, max: chunk * 2, ..standard.chunker };
    let private = PrivateConfig { chunker, pack_bytes: pack, metadata_pack_bytes: pack, ..standard };
    Repository::create_sized(backend, key, options, rng, clock, private).await
}

/// What index objects name goes to local files from so many chunks on, and of two of those one is made where it can be.
pub fn shard_from(repository: &Repository, chunks: usize) {
    repository.store().set_local(|local| (local.shard_chunks, local.shards_few) = (chunks, 1));
}
