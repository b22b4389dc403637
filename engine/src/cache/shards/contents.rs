//! What a shard is written from, wherever it comes from.

use super::draft::Covered;
use crate::crypto::name::NameKey;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::id::PackId;

/// The form of the files written here, and the only one read.
pub(super) const VERSION: u32 = 1;

/// Index objects with their packs back to back and their chunks sorted together; or chunks alone.
pub(crate) trait Contents {
    /// The objects.
    fn covered(&self) -> &[Covered];

    /// How many rows there are.
    fn count(&self) -> usize;

    /// All of them in the order of their ids.
    fn rows(&self) -> Result<impl Iterator<Item = Result<ChunkRecord>>>;

    /// The packs as [`encoded`](super::shard::PackShelf::encoded) ones, in the order of their numbers.
    fn packs(&self) -> impl Iterator<Item = Result<(PackId, Vec<u8>)>>;

    /// The name that follows from what is covered, in its order: whoever reads the same index objects makes the same
    /// file.
    fn name(&self, key: &NameKey) -> [u8; 32] {
        let mut bytes = b"name of a shard".to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        self.covered().iter().for_each(|object| bytes.extend_from_slice(object.id.as_bytes()));
        *key.name(&bytes).as_bytes()
    }
}
