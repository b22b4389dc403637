//! The chunk index in memory: about 55 bytes for every copy of a chunk, all copies within reach.

use crate::format::index::ChunkRecord;
use crate::format::index::IndexBody;
use crate::format::index::IndexRecords;
use crate::format::index::IndexedPack;
use crate::format::index::PackInfo;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::id::IndexId;
use crate::id::PackId;
use crate::store::Condemned;
use hashbrown::HashTable;
use std::collections::HashMap;
use std::collections::HashSet;

/// Records stand in blocks of this many, so that growing copies nothing and leaves little unused.
const BLOCK_RECORDS: usize = 1 << 14;

/// Which chunk is where, over all index objects added.
#[derive(Debug, Default)]
pub(crate) struct Index {
    packs: Vec<PackInfo>,
    /// One for each pack that was judged; all others are usable.
    standings: Vec<Standing>,
    objects: HashSet<IndexId>,
    pack_numbers: HashMap<PackId, u32>,
    blocks: Vec<Vec<ChunkRecord>>,
    numbers: HashTable<u32>,
}

/// How far a pack may be relied on, by what prunes have said of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// No prune has named it.
    #[default]
    Usable,
    /// To be read while it is there; no new snapshot may rely on it.
    Condemned,
    /// Deleted, or about to be.
    Deleted,
}

impl Standing {
    const ALL: [Self; 3] = [Self::Usable, Self::Condemned, Self::Deleted];
}

/// Where one copy of a chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkPlace {
    /// For [`Index::pack`].
    pub(crate) pack: u32,
    /// Position of the segment in its pack.
    pub(crate) segment: u16,
    /// Where it begins in the segment's plaintext, in bytes.
    pub(crate) offset: u32,
    /// Its length in bytes.
    pub(crate) length: u32,
}

impl Index {
    /// Knows nothing.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// Takes in what an index object says, pack by pack. A pack that is known already adds nothing.
    pub(crate) fn add(&mut self, body: IndexBody) {
        for pack in body.packs {
            let Some(number) = self.new_pack_number(&pack.pack) else { continue };
            for (segment, record) in (0u16..).zip(&pack.table.segments) {
                let mut offset = 0u32;
                self.reserve(record.chunks.len());
                for chunk in &record.chunks {
                    self.push(ChunkRecord { id: chunk.id, pack: number, segment, offset, length: chunk.length });
                    offset = offset.saturating_add(chunk.length);
                }
            }
            self.packs.push(PackInfo::from(pack));
        }
    }

    /// The same from the stored form: faster, as nothing is sorted back into packs. Packs that are `gone` are left
    /// out with all their chunks.
    pub(crate) fn add_records(&mut self, records: IndexRecords, gone: &HashSet<PackId>) {
        let mut numbers = Vec::with_capacity(records.packs.len());
        for pack in records.packs {
            let number = if gone.contains(&pack.id) { None } else { self.new_pack_number(&pack.id) };
            numbers.push(number);
            if number.is_some() {
                self.packs.push(pack);
            }
        }
        self.reserve(records.chunks.len());
        for record in records.chunks {
            if let Some(Some(pack)) = numbers.get(size(record.pack)) {
                self.push(ChunkRecord { pack: *pack, ..record });
            }
        }
    }

    /// One copy of the chunk; which one is unspecified.
    pub(crate) fn find(&self, id: &ChunkId) -> Option<ChunkPlace> {
        self.find_all(id).next()
    }

    /// Every copy of the chunk, so that a damaged one can be bypassed; those come last that may be gone soonest.
    pub(crate) fn find_all<'a>(&'a self, id: &'a ChunkId) -> impl Iterator<Item = ChunkPlace> + 'a {
        let judged = if self.standings.is_empty() { 1 } else { Standing::ALL.len() };
        let by_standing = Standing::ALL.into_iter().take(judged);
        by_standing.flat_map(move |wanted| self.copies(id).filter(move |place| self.standing(place.pack) == wanted))
    }

    /// A copy of `length` bytes that a new snapshot may rely on.
    pub(crate) fn usable(&self, id: &ChunkId, length: u32) -> Option<ChunkPlace> {
        self.copies(id).find(|place| place.length == length && self.standing(place.pack) == Standing::Usable)
    }

    /// Notes what prunes say of the packs added so far.
    pub(crate) fn judge(&mut self, condemned: &Condemned) {
        let standing = |pack: &PackInfo| match () {
            () if condemned.is_deleted(&pack.id) => Standing::Deleted,
            () if condemned.is_condemned(&pack.id) => Standing::Condemned,
            () => Standing::Usable,
        };
        self.standings = self.packs.iter().map(standing).collect();
        if self.standings.iter().all(|standing| *standing == Standing::Usable) {
            self.standings.clear();
        }
    }

    /// Takes in a pack that no index object names: it may be read, and nothing may rely on it.
    pub(crate) fn add_unnamed(&mut self, pack: IndexedPack) {
        let before = self.packs.len();
        self.add(IndexBody { supersedes: Vec::new(), packs: vec![pack] });
        if self.packs.len() > before {
            self.standings.resize(before, Standing::Usable);
            self.standings.push(Standing::Condemned);
        }
    }

    /// The index objects it was made from.
    pub(crate) fn objects(&self) -> &HashSet<IndexId> {
        &self.objects
    }

    /// Notes that it was made from these index objects.
    pub(crate) fn made_from(&mut self, objects: HashSet<IndexId>) {
        self.objects = objects;
    }

    fn standing(&self, pack: u32) -> Standing {
        self.standings.get(size(pack)).copied().unwrap_or_default()
    }

    fn copies<'a>(&'a self, id: &'a ChunkId) -> impl Iterator<Item = ChunkPlace> + 'a {
        self.positions(id).filter_map(|position| self.record(position)).map(|record| ChunkPlace {
            pack: record.pack,
            segment: record.segment,
            offset: record.offset,
            length: record.length,
        })
    }

    /// Positions of all copies of the chunk. Positions are below [`Index::len`] and stay while the index grows, so
    /// that what is to be known about each copy can stand in tables beside this one.
    pub(crate) fn positions<'a>(&'a self, id: &'a ChunkId) -> impl Iterator<Item = u32> + 'a {
        let numbers = self.numbers.iter_hash(hash(id)).copied();
        numbers.filter(move |number| record(&self.blocks, *number).is_some_and(|record| record.id == *id))
    }

    /// The copy at a position.
    pub(crate) fn record(&self, position: u32) -> Option<&ChunkRecord> {
        record(&self.blocks, position)
    }

    /// The number of a pack that an index object names.
    pub(crate) fn pack_number(&self, id: &PackId) -> Option<u32> {
        self.pack_numbers.get(id).copied()
    }

    /// Copies of chunks known: a chunk in two packs counts twice.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// All packs, in the order of their numbers.
    pub(crate) fn packs(&self) -> impl Iterator<Item = &PackInfo> {
        self.packs.iter()
    }

    /// The pack a [`ChunkPlace`] names.
    pub(crate) fn pack(&self, number: u32) -> Option<&PackInfo> {
        self.packs.get(size(number))
    }

    /// Whether it names this pack.
    pub(crate) fn has_pack(&self, id: &PackId) -> bool {
        self.pack_numbers.contains_key(id)
    }

    /// The packs under their numbers, without the chunks.
    pub(crate) fn packs_only(&self) -> Self {
        Self { packs: self.packs.clone(), ..Self::empty() }
    }

    /// Bytes the chunk records and their table take in memory.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        let records: usize = self.blocks.iter().map(Vec::capacity).sum();
        records * size_of::<ChunkRecord>() + self.numbers.allocation_size()
    }

    fn new_pack_number(&mut self, id: &PackId) -> Option<u32> {
        let number = u32::try_from(self.packs.len()).ok()?;
        match self.pack_numbers.entry(*id) {
            std::collections::hash_map::Entry::Occupied(_) => None,
            std::collections::hash_map::Entry::Vacant(free) => Some(*free.insert(number)),
        }
    }

    fn reserve(&mut self, more: usize) {
        let Self { blocks, numbers, .. } = self;
        numbers.reserve(more, |number| rehash(blocks, *number));
    }

    fn push(&mut self, new: ChunkRecord) {
        let Ok(number) = u32::try_from(self.numbers.len()) else { return };
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
        let Self { blocks, numbers, .. } = self;
        numbers.insert_unique(hash(&new.id), number, |number| rehash(blocks, *number));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::entry::ChunkRef;
    use crate::format::index::body_encode;
    use crate::format::index::records_decode;
    use crate::format::pack::NO_SALT;
    use crate::format::pack::PackTable;
    use crate::format::pack::SegmentRecord;
    use crate::id::DataKeyId;
    use crate::id::SnapshotId;

    fn id(number: u64) -> ChunkId {
        ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn pack(name: u8, chunks: std::ops::Range<u64>) -> IndexedPack {
        let chunks: Vec<ChunkRef> = chunks.map(|number| ChunkRef { id: id(number), length: 10 }).collect();
        let mut offset = 100;
        let segments = chunks.chunks(1000).map(|chunks| {
            let plain_length = 10 * u32::try_from(chunks.len()).expect("small");
            let stored_length = plain_length + 40;
            offset += stored_length;
            SegmentRecord {
                offset: offset - stored_length,
                stored_length,
                plain_length,
                data_key: 0,
                salt: NO_SALT,
                number: 0,
                compression: 0,
                chunks: chunks.to_vec(),
            }
        });
        let segments = segments.collect();
        let data_keys = vec![DataKeyId::from_bytes([1; 16])];
        let session = SnapshotId::from_bytes([2; 16]);
        let table = PackTable { class: Class::Data, session, data_keys, salts: vec![], segments };
        IndexedPack { pack: PackId::from_bytes([name; 32]), length: offset + 20, table }
    }

    fn body(packs: Vec<IndexedPack>) -> IndexBody {
        IndexBody { supersedes: vec![], packs }
    }

    #[test]
    fn a_chunk_is_found_where_it_was_put() {
        let mut index = Index::empty();
        index.add(body(vec![pack(1, 0..2500)]));
        let place = index.find(&id(2004)).expect("known");
        assert_eq!(place, ChunkPlace { pack: 0, segment: 2, offset: 40, length: 10 });
        assert_eq!(index.pack(0).map(|pack| pack.segments.len()), Some(3));
        assert_eq!(index.find(&id(2500)), None);
        assert_eq!(index.len(), 2500);
    }

    #[test]
    fn every_copy_of_a_chunk_can_be_reached() {
        let mut index = Index::empty();
        for name in 0..5 {
            index.add(body(vec![
                pack(name, 7..8),
                pack(name + 100, u64::from(name) * 100 + 1000..1050 + u64::from(name) * 100),
            ]));
        }
        let mut packs: Vec<_> = index
            .find_all(&id(7))
            .filter_map(|place| index.pack(place.pack))
            .map(|pack| pack.id.as_bytes()[0])
            .collect();
        packs.sort_unstable();
        assert_eq!(packs, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_condemned_copy_is_read_last_and_never_relied_on() {
        let mut index = Index::empty();
        index.add(body((0..5).map(|name| pack(name, 7..8)).collect()));
        let packs = |numbers: &[u8]| numbers.iter().map(|number| PackId::from_bytes([*number; 32])).collect();
        let order = |index: &Index| {
            let chunk = id(7);
            let places = index.find_all(&chunk).filter_map(|place| index.pack(place.pack));
            places.map(|pack| pack.id.as_bytes()[0]).collect::<Vec<_>>()
        };
        index.judge(&Condemned::of(packs(&[0, 1, 2, 4]), packs(&[0, 2])));
        let order = order(&index);
        assert_eq!(order[0], 3);
        assert!(order[1..3].contains(&1) && order[1..3].contains(&4), "{order:?}");
        assert!(order[3..].contains(&0) && order[3..].contains(&2), "{order:?}");
        assert_eq!(index.usable(&id(7), 10).map(|place| place.pack), Some(3));
        assert_eq!(index.usable(&id(7), 11), None);
        index.judge(&Condemned::of(packs(&[0, 1, 2, 3, 4]), packs(&[])));
        assert_eq!((index.usable(&id(7), 10), index.find_all(&id(7)).count()), (None, 5));
        index.judge(&Condemned::default());
        assert!(index.usable(&id(7), 10).is_some());
    }

    #[test]
    fn a_pack_named_by_two_index_objects_counts_once() {
        let mut index = Index::empty();
        index.add(body(vec![pack(1, 0..10)]));
        index.add(body(vec![pack(1, 0..10), pack(2, 20..30)]));
        assert_eq!(index.len(), 20);
        assert_eq!(index.find_all(&id(3)).count(), 1);
        assert_eq!(index.pack(1).map(|pack| pack.id), Some(PackId::from_bytes([2; 32])));
        assert_eq!(index.packs().count(), 2);
    }

    #[test]
    fn the_stored_form_gives_the_same_index() {
        let both = body(vec![pack(1, 0..3000), pack(2, 2990..4000)]);
        let mut by_packs = Index::empty();
        by_packs.add(both.clone());
        let mut by_records = Index::empty();
        by_records.add_records(records_decode(&body_encode(&both).expect("valid")).expect("valid"), &HashSet::new());
        assert_eq!(by_packs.len(), by_records.len());
        for number in 0..4000 {
            let all = |index: &Index| {
                let mut all: Vec<_> =
                    index.find_all(&id(number)).map(|place| (place.pack, place.segment, place.offset)).collect();
                all.sort_unstable();
                all
            };
            assert_eq!(all(&by_packs), all(&by_records));
            assert_eq!(all(&by_packs).len(), if (2990..3000).contains(&number) { 2 } else { 1 });
        }
    }

    #[test]
    fn a_large_index_stays_within_sixty_bytes_a_chunk() {
        let mut index = Index::empty();
        for name in 0..20 {
            index.add(body(vec![pack(name, u64::from(name) * 10_000..(u64::from(name) + 1) * 10_000)]));
        }
        assert_eq!(index.len(), 200_000);
        assert!((0..200_000).step_by(997).all(|number| index.find(&id(number)).is_some()));
        assert!(index.memory_bytes() <= index.len() * 60, "{} bytes", index.memory_bytes());
    }
}
