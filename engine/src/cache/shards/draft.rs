//! What a shard is made of: some index objects, their packs back to back, their chunks sorted together.

use crate::crypto::name::NameKey;
use crate::format::index::ChunkRecord;
use crate::format::index::IndexRecords;
use crate::format::index::PackInfo;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::id::IndexId;

/// The form of the files written here, and the only one read.
pub(super) const VERSION: u32 = 1;

/// An index object that was read.
#[derive(Clone, Debug)]
pub(crate) struct ReadObject {
    /// Its name.
    pub(crate) id: IndexId,
    /// Its stored length in bytes.
    pub(crate) length: u64,
    /// What it says.
    pub(crate) records: IndexRecords,
}

/// An index object whose records are in a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Covered {
    /// Its name.
    pub(crate) id: IndexId,
    /// Its stored length in bytes.
    pub(crate) length: u64,
    /// How many packs it names. They follow those of the objects before it.
    pub(crate) packs: u32,
    /// How many chunks it names.
    pub(crate) chunks: u32,
    /// Index objects that it replaces.
    pub(crate) supersedes: Vec<IndexId>,
}

/// A shard before it is written.
pub(crate) struct Draft {
    pub(super) covered: Vec<Covered>,
    /// With the chunks of each.
    pub(super) packs: Vec<(u32, PackInfo)>,
    pub(super) rows: Vec<ChunkRecord>,
}

impl Draft {
    /// All that some index objects say.
    pub(crate) fn of_objects(objects: &[ReadObject]) -> Self {
        let rows = objects.iter().map(|object| object.records.chunks.len()).sum();
        let mut draft = Self { covered: Vec::new(), packs: Vec::new(), rows: Vec::with_capacity(rows) };
        for ReadObject { id, length, records } in objects {
            let first = length_u32(draft.packs.len());
            let IndexRecords { supersedes, packs, chunks } = records;
            draft.covered.push(Covered {
                id: *id,
                length: *length,
                packs: length_u32(packs.len()),
                chunks: length_u32(chunks.len()),
                supersedes: supersedes.clone(),
            });
            draft.packs.extend(packs.iter().map(|pack| (0, pack.clone())));
            for record in chunks {
                let pack = first.saturating_add(record.pack);
                if let Some((count, _)) = draft.packs.get_mut(size(pack)) {
                    *count += 1;
                }
                draft.rows.push(ChunkRecord { pack, ..*record });
            }
        }
        draft.rows.sort_unstable();
        draft
    }

    /// Ids with the lengths of their chunks, of which nothing else is known.
    pub(crate) fn of_ids(ids: impl Iterator<Item = (ChunkId, u32)>) -> Self {
        let row = |(id, length)| ChunkRecord { id, pack: 0, segment: 0, offset: 0, length };
        let mut rows: Vec<ChunkRecord> = ids.map(row).collect();
        rows.sort_unstable();
        Self { covered: Vec::new(), packs: Vec::new(), rows }
    }

    /// The name that follows from what it covers: whoever reads the same index objects makes the same file.
    pub(super) fn name(&self, key: &NameKey) -> [u8; 32] {
        let mut ids: Vec<IndexId> = self.covered.iter().map(|object| object.id).collect();
        ids.sort_unstable();
        let mut bytes = b"name of a shard".to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        ids.iter().for_each(|id| bytes.extend_from_slice(id.as_bytes()));
        *key.name(&bytes).as_bytes()
    }
}
