//! Where this program may put files of its own beside a repository, and from what size of the index on it does.

use crate::limits::SHARD_ALONE_CHUNKS;
use crate::limits::SHARD_CHUNKS;
use crate::limits::SHARDS_FEW;
use std::path::PathBuf;

/// Folders on this machine.
#[derive(Clone, Debug)]
pub(crate) struct LocalFiles {
    /// For what helps the next run.
    pub(crate) cache: Option<PathBuf>,
    /// For what goes with the run.
    pub(crate) temporary: Option<PathBuf>,
    /// Chunks that are kept in memory at most before they go to a file.
    pub(crate) shard_chunks: usize,
    /// Chunks of an index object from which on its file covers no other.
    pub(crate) shard_alone_chunks: usize,
    /// Such files that are never put together.
    pub(crate) shards_few: usize,
}

impl Default for LocalFiles {
    fn default() -> Self {
        let default = Self {
            cache: None,
            temporary: None,
            shard_chunks: SHARD_CHUNKS,
            shard_alone_chunks: SHARD_ALONE_CHUNKS,
            shards_few: SHARDS_FEW,
        };
        #[cfg(test)]
        let default =
            Self { temporary: Some(std::env::temp_dir()), shard_chunks: 12, shard_alone_chunks: 4, ..default };
        default
    }
}
