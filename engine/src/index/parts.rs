//! All records of an index, in memory and in shards, under positions that stay while it grows.

use super::memory::Memory;
use super::packs::Shown;
use crate::cache::Merged;
use crate::cache::Shard;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::format::wire::size;
use crate::id::ChunkId;
use std::sync::Arc;

/// A copy of a chunk and its position.
pub(crate) type Copy = (u32, ChunkRecord);

/// The same so that it can be ordered.
type Ordered = (ChunkId, u32, ChunkRecord);

/// Every record, each at its position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    memory: Memory,
    shards: Vec<(Arc<Shard>, Shown)>,
    /// Positions that follow one another and stand together.
    stretches: Vec<Stretch>,
    /// The position behind the last.
    end: u32,
    /// Positions at which nothing shows.
    hidden: u32,
}

/// Positions from `first` up to the next stretch.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// From this number in memory on.
    Memory(u32),
    /// The rows of this shard.
    Shard(usize),
}

impl Parts {
    /// The position behind the last.
    pub(crate) fn end(&self) -> u32 {
        self.end
    }

    /// How many records show.
    pub(crate) fn len(&self) -> usize {
        size(self.end - self.hidden)
    }

    /// Makes room in memory.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.memory.reserve(more);
    }

    /// Adds a record in memory.
    pub(crate) fn push(&mut self, record: ChunkRecord) -> Result<()> {
        let end = self.end.checked_add(1).ok_or_else(too_many)?;
        if !matches!(self.stretches.last(), Some(Stretch { place: Place::Memory(_), .. })) {
            self.stretches.push(Stretch { first: self.end, place: Place::Memory(self.memory.len()) });
        }
        self.memory.push(record);
        self.end = end;
        Ok(())
    }

    /// Adds a shard, of which `hidden` rows belong to packs that are not shown.
    pub(crate) fn add_shard(&mut self, shard: Shard, shown: Shown, hidden: u32) -> Result<()> {
        let end = self.end.checked_add(shard.rows()).ok_or_else(too_many)?;
        self.stretches.push(Stretch { first: self.end, place: Place::Shard(self.shards.len()) });
        self.shards.push((Arc::new(shard), shown));
        self.end = end;
        self.hidden = self.hidden.saturating_add(hidden);
        Ok(())
    }

    /// Calls `found` with every copy of a chunk.
    pub(crate) fn find(&self, id: &ChunkId, mut found: impl FnMut(Copy)) -> Result<()> {
        for (number, record) in self.memory.find(id) {
            found((self.position_in_memory(number), *record));
        }
        for Stretch { first, place } in &self.stretches {
            let Place::Shard(at) = place else { continue };
            let Some((shard, shown)) = self.shards.get(*at) else { continue };
            shard.find(id, |row, record| {
                if let Some(pack) = shown.number(record.pack) {
                    found((first.saturating_add(row), ChunkRecord { pack, ..record }));
                }
            })?;
        }
        Ok(())
    }

    /// Calls `visit` with all copies of one chunk after another, in the order of ids; copies in that of positions.
    pub(crate) fn in_order(&self, mut visit: impl FnMut(&[Copy]) -> Result<()>) -> Result<()> {
        let in_memory = self.memory.sorted().into_iter().filter_map(|number| {
            self.memory.get(number).map(|record| Ok((record.id, self.position_in_memory(number), *record)))
        });
        let mut runs: Vec<Box<dyn Iterator<Item = Result<Ordered>> + '_>> = vec![Box::new(in_memory)];
        for Stretch { first, place } in &self.stretches {
            let Place::Shard(at) = place else { continue };
            let Some((shard, shown)) = self.shards.get(*at) else { continue };
            let show = move |row: Result<Copy>| {
                let (row, record) = match row {
                    Ok(row) => row,
                    Err(error) => return Some(Err(error)),
                };
                let pack = shown.number(record.pack)?;
                Some(Ok((record.id, first.saturating_add(row), ChunkRecord { pack, ..record })))
            };
            runs.push(Box::new(shard.each_row().filter_map(show)));
        }
        let mut copies: Vec<Copy> = Vec::new();
        for next in Merged::of(runs)? {
            let (id, position, record) = next?;
            if copies.last().is_some_and(|(_, last)| last.id != id) {
                visit(&copies)?;
                copies.clear();
            }
            copies.push((position, record));
        }
        if copies.is_empty() { Ok(()) } else { visit(&copies) }
    }

    fn position_in_memory(&self, number: u32) -> u32 {
        let mut found = 0;
        for Stretch { first, place } in &self.stretches {
            if let Place::Memory(from) = place
                && *from <= number
            {
                found = first.saturating_add(number - from);
            }
        }
        found
    }

    /// Bytes in memory.
    #[cfg(any(test, feature = "benching"))]
    pub(crate) fn memory_bytes(&self) -> usize {
        let shards: usize = self.shards.iter().map(|(shard, _)| shard.memory_bytes()).sum();
        shards + self.memory.memory_bytes()
    }

    /// How many shards.
    #[cfg(any(test, feature = "benching"))]
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }
}

/// Whatever is left out of an index looks lost.
fn too_many() -> Error {
    Error::new(Kind::Unsupported, "the repository has more chunks than this program can count")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_records_than_positions_are_an_error_and_none_is_left_out_silently() {
        let id = ChunkId::from_bytes([1; 32]);
        let record = ChunkRecord { id, pack: 0, segment: 0, offset: 0, length: 1 };
        let mut parts = Parts { end: u32::MAX - 1, ..Parts::default() };
        parts.push(record).expect("the last");
        assert_eq!(parts.push(record).expect_err("one too many").kind(), Kind::Unsupported);
        assert_eq!((parts.end(), parts.memory.len()), (u32::MAX, 1));
    }
}
