//! Where this program may put files of its own beside a repository, and from what size of the index on it does.

use crate::limits::SHARD_CHUNKS;
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
}

impl Default for LocalFiles {
    fn default() -> Self {
        let default = Self { cache: None, temporary: None, shard_chunks: SHARD_CHUNKS };
        #[cfg(test)]
        let default = Self { temporary: Some(std::env::temp_dir()), shard_chunks: 12, ..default };
        default
    }
}
