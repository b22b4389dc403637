//! Records in memory: about 55 bytes for every copy of a chunk, all copies within reach.

use crate::format::index::ChunkRecord;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::ChunkId;
use hashbrown::HashTable;

/// Records stand in blocks of this many, so that growing copies nothing and leaves little unused.
const BLOCK_RECORDS: usize = 1 << 14;

/// Records in the order in which they came, and where each id is among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    blocks: Vec<Vec<ChunkRecord>>,
    numbers: HashTable<u32>,
}

impl Memory {
    /// How many.
    pub(crate) fn len(&self) -> u32 {
        length_u32(self.numbers.len())
    }

    /// Makes room.
    pub(crate) fn reserve(&mut self, more: usize) {
        let Self { blocks, numbers } = self;
        numbers.reserve(more, |number| rehash(blocks, *number));
    }

    /// Adds one.
    pub(crate) fn push(&mut self, new: ChunkRecord) {
        let number = self.len();
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK_RECORDS => block.push(new),
            // The first block grows as it must: most repositories of tests and small machines need no second one.
            None => self.blocks.push(vec![new]),
            Some(_) => {
                let mut block = Vec::with_capacity(BLOCK_RECORDS);
                block.push(new);
                self.blocks.push(block);
            }
        }
        let Self { blocks, numbers } = self;
        numbers.insert_unique(hash(&new.id), number, |number| rehash(blocks, *number));
    }

    /// The one of a number.
    pub(crate) fn get(&self, number: u32) -> Option<&ChunkRecord> {
        record(&self.blocks, number)
    }

    /// Numbers of all with this id.
    pub(crate) fn find<'a>(&'a self, id: &'a ChunkId) -> impl Iterator<Item = (u32, &'a ChunkRecord)> + 'a {
        let numbers = self.numbers.iter_hash(hash(id)).copied();
        let found = numbers.filter_map(|number| self.get(number).map(|record| (number, record)));
        found.filter(move |(_, record)| record.id == *id)
    }

    /// Numbers of all in the order of their ids.
    pub(crate) fn sorted(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..self.len()).collect();
        numbers.sort_unstable_by_key(|number| self.get(*number).map(|record| (record.id, *number)));
        numbers
    }

    /// Bytes in memory.
    #[cfg(any(test, feature = "benching"))]
    pub(crate) fn memory_bytes(&self) -> usize {
        let records: usize = self.blocks.iter().map(Vec::capacity).sum();
        records * size_of::<ChunkRecord>() + self.numbers.allocation_size()
    }
}

fn record(blocks: &[Vec<ChunkRecord>], number: u32) -> Option<&ChunkRecord> {
    let number = size(number);
    blocks.get(number / BLOCK_RECORDS)?.get(number % BLOCK_RECORDS)
}

fn rehash(blocks: &[Vec<ChunkRecord>], number: u32) -> u64 {
    record(blocks, number).map_or(0, |record| hash(&record.id))
}

/// Ids are keyed BLAKE3: their first bytes are as good as any hash of them, and nobody outside can choose them.
fn hash(id: &ChunkId) -> u64 {
    id.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
