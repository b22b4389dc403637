//! What a shard is made of: some index objects, their packs back to back, their chunks sorted together.

use super::contents::Contents;
use super::merged::Merged;
use super::shard::encoded;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::format::index::IndexRecords;
use crate::format::index::PackInfo;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::id::IndexId;
use crate::id::PackId;

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
    covered: Vec<Covered>,
    /// With the chunks of each.
    packs: Vec<(u32, PackInfo)>,
    /// The rows of one object after another, those of each sorted.
    runs: Vec<Vec<ChunkRecord>>,
}

impl Draft {
    /// All that some index objects say. Their rows stay where they are: large ones must not be in memory twice.
    pub(crate) fn of_objects(objects: Vec<ReadObject>) -> Self {
        let mut draft = Self { covered: Vec::new(), packs: Vec::new(), runs: Vec::new() };
        for ReadObject { id, length, records } in objects {
            let first = length_u32(draft.packs.len());
            let IndexRecords { supersedes, packs, mut chunks } = records;
            draft.covered.push(Covered {
                id,
                length,
                packs: length_u32(packs.len()),
                chunks: length_u32(chunks.len()),
                supersedes,
            });
            draft.packs.extend(packs.into_iter().map(|pack| (0, pack)));
            for record in &mut chunks {
                record.pack = first.saturating_add(record.pack);
                if let Some((count, _)) = draft.packs.get_mut(size(record.pack)) {
                    *count += 1;
                }
            }
            draft.runs.push(chunks);
        }
        draft
    }

    /// The objects that it was made of.
    pub(crate) fn into_objects(self) -> Vec<ReadObject> {
        let Self { covered, packs, runs } = self;
        let mut packs = packs.into_iter().map(|(_, pack)| pack);
        let mut first = 0u32;
        let back = |(object, mut chunks): (Covered, Vec<ChunkRecord>)| {
            let Covered { id, length, packs: count, supersedes, .. } = object;
            chunks.iter_mut().for_each(|record| record.pack = record.pack.saturating_sub(first));
            first = first.saturating_add(count);
            let packs = packs.by_ref().take(size(count)).collect();
            ReadObject { id, length, records: IndexRecords { supersedes, packs, chunks } }
        };
        covered.into_iter().zip(runs).map(back).collect()
    }

    /// Ids with the lengths of their chunks, of which nothing else is known.
    pub(crate) fn of_ids(ids: impl Iterator<Item = (ChunkId, u32)>) -> Self {
        let row = |(id, length)| ChunkRecord { id, pack: 0, segment: 0, offset: 0, length };
        let mut rows: Vec<ChunkRecord> = ids.map(row).collect();
        rows.sort_unstable();
        Self { covered: Vec::new(), packs: Vec::new(), runs: vec![rows] }
    }
}

impl Contents for Draft {
    fn covered(&self) -> &[Covered] {
        &self.covered
    }

    fn count(&self) -> usize {
        self.runs.iter().map(Vec::len).sum()
    }

    fn rows(&self) -> Result<impl Iterator<Item = Result<ChunkRecord>>> {
        Merged::of(self.runs.iter().map(|run| run.iter().copied().map(Ok)).collect())
    }

    fn packs(&self) -> impl Iterator<Item = Result<(PackId, Vec<u8>)>> {
        let encoded = |(chunks, pack): &(u32, PackInfo)| Ok((pack.id, encoded(*chunks, pack)?));
        self.packs.iter().map(encoded)
    }
}
