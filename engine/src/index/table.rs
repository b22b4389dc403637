//! The chunk index: which chunk is where. A small one is in memory, a large one in shards beside it.

use super::distrust::Distrust;
use super::keys::Misses;
use super::packs::Packs;
pub(crate) use super::parts::Copy;
use super::parts::Parts;
use crate::cache::Covered;
use crate::cache::Shard;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::format::index::IndexBody;
use crate::format::index::IndexRecords;
use crate::format::index::IndexedPack;
use crate::format::index::PackInfo;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::id::IndexId;
use crate::id::PackId;
use crate::store::Condemned;
use std::collections::HashSet;
use std::sync::Arc;

/// Which chunk is where, over all index objects added. Looking something up may fail: what is in a shard is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    packs: Packs,
    /// One for each pack that was judged; all others are usable.
    standings: Vec<Standing>,
    objects: HashSet<IndexId>,
    /// Objects of others that were seen since: what they name is not in it, and they supersede nothing of it.
    passed: HashSet<IndexId>,
    /// Chunks that came since.
    followed: usize,
    records: Parts,
    /// Packs that are not usable whatever their standing.
    distrust: Arc<Distrust>,
    key_misses: Arc<Misses>,
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

impl From<&ChunkRecord> for ChunkPlace {
    fn from(record: &ChunkRecord) -> Self {
        let ChunkRecord { pack, segment, offset, length, .. } = *record;
        Self { pack, segment, offset, length }
    }
}

impl Index {
    /// Knows nothing.
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    /// Takes in what an index object says, pack by pack. A pack that is known already adds nothing.
    pub(crate) fn add(&mut self, body: IndexBody) -> Result<()> {
        for IndexedPack { pack, length, table } in body.packs {
            let chunks: Vec<_> = table.segments.iter().map(|segment| segment.chunks.clone()).collect();
            let Some(number) = self.packs.add(PackInfo::from(IndexedPack { pack, length, table })) else { continue };
            for (segment, chunks) in (0u16..).zip(chunks) {
                let mut offset = 0u32;
                self.records.reserve(chunks.len());
                for chunk in chunks {
                    self.records.push(ChunkRecord {
                        id: chunk.id,
                        pack: number,
                        segment,
                        offset,
                        length: chunk.length,
                    })?;
                    offset = offset.saturating_add(chunk.length);
                }
            }
        }
        Ok(())
    }

    /// The same from the stored form: faster, as nothing is sorted back into packs. Packs that are `gone` are left
    /// out with all their chunks.
    pub(crate) fn add_records(&mut self, records: IndexRecords, gone: &HashSet<PackId>) -> Result<()> {
        let mut numbers = Vec::with_capacity(records.packs.len());
        for pack in records.packs {
            numbers.push(if gone.contains(&pack.id) { None } else { self.packs.add(pack) });
        }
        self.records.reserve(records.chunks.len());
        for record in records.chunks {
            if let Some(Some(pack)) = numbers.get(size(record.pack)) {
                self.records.push(ChunkRecord { pack: *pack, ..record })?;
            }
        }
        Ok(())
    }

    /// The same for what a shard covers. Gives each of its objects with the numbers of its packs.
    pub(crate) fn add_shard(&mut self, mut shard: Shard, gone: &HashSet<PackId>) -> Result<Vec<(Covered, Vec<u32>)>> {
        let ids = shard.take_pack_ids();
        let shown = self.packs.add_shelf(shard.packs(), &ids, |pack| gone.contains(pack));
        let mut hidden = 0u32;
        for own in shown.hidden() {
            hidden = hidden.saturating_add(shard.packs().pack(*own)?.0);
        }
        let mut rest = ids.as_slice();
        let mut covered = Vec::with_capacity(shard.covered().len());
        for object in shard.covered() {
            let (own, others) = rest.split_at_checked(size(object.packs)).unwrap_or((rest, &[]));
            rest = others;
            covered.push((object.clone(), own.iter().filter_map(|pack| self.packs.number(pack)).collect()));
        }
        self.records.add_shard(shard, shown, hidden)?;
        Ok(covered)
    }

    /// One copy of the chunk; which one is unspecified.
    pub(crate) fn find(&self, id: &ChunkId) -> Result<Option<ChunkPlace>> {
        Ok(self.find_all(id)?.into_iter().next())
    }

    /// Every copy of the chunk, so that a damaged one can be bypassed; those come last that may be gone soonest.
    pub(crate) fn find_all(&self, id: &ChunkId) -> Result<Vec<ChunkPlace>> {
        let mut places = Vec::new();
        self.records.find(id, |(_, record)| places.push(ChunkPlace::from(&record)))?;
        if !self.standings.is_empty() {
            places.sort_by_key(|place| self.standing(place.pack));
        }
        Ok(places)
    }

    /// A copy of `length` bytes that a new snapshot may rely on.
    pub(crate) fn usable(&self, id: &ChunkId, length: u32) -> Result<Option<ChunkPlace>> {
        let mut usable = None;
        self.records.find(id, |(_, record)| {
            if record.length == length && self.is_usable(record.pack) {
                usable.get_or_insert_with(|| ChunkPlace::from(&record));
            }
        })?;
        Ok(usable)
    }

    /// Notes what prunes say of the packs added so far, which are all for now.
    pub(crate) fn judge(&mut self, condemned: &Condemned) {
        self.packs.settle();
        let standing = |pack: &PackId| match () {
            () if condemned.is_deleted(pack) => Standing::Deleted,
            () if condemned.is_condemned(pack) => Standing::Condemned,
            () => Standing::Usable,
        };
        self.standings = self.packs.ids().iter().map(standing).collect();
        if self.standings.iter().all(|standing| *standing == Standing::Usable) {
            self.standings = Vec::new();
        }
    }

    /// Takes in a pack that no index object names: it may be read, and nothing may rely on it.
    pub(crate) fn add_unnamed(&mut self, pack: IndexedPack) -> Result<()> {
        let before = self.packs.len();
        self.add(IndexBody { supersedes: Vec::new(), packs: vec![pack] })?;
        if self.packs.len() > before {
            self.standings.resize(before, Standing::Usable);
            self.standings.push(Standing::Condemned);
        }
        Ok(())
    }

    /// The index objects it was made from.
    pub(crate) fn objects(&self) -> &HashSet<IndexId> {
        &self.objects
    }

    /// Notes that it was made from these index objects.
    pub(crate) fn made_from(&mut self, objects: HashSet<IndexId>) {
        self.objects = objects;
    }

    /// Takes in packs that this run has stored, and the index objects that name them.
    pub(crate) fn follow(&mut self, objects: Vec<IndexId>, packs: Vec<IndexedPack>) -> Result<()> {
        let before = self.len();
        self.objects.extend(objects);
        self.add(IndexBody { supersedes: Vec::new(), packs })?;
        self.followed += self.len() - before;
        Ok(())
    }

    /// Chunks taken in since it was read. They are in memory.
    pub(crate) fn followed(&self) -> usize {
        self.followed
    }

    /// Notes objects of others that were seen since it was read.
    pub(crate) fn pass(&mut self, objects: HashSet<IndexId>) {
        self.passed = objects;
    }

    /// These objects.
    pub(crate) fn passed(&self) -> &HashSet<IndexId> {
        &self.passed
    }

    /// What this run has found damaged.
    pub(crate) fn distrust(&self) -> &Arc<Distrust> {
        &self.distrust
    }

    /// Data keys that were looked for in vain among the packs of this index.
    pub(super) fn key_misses(&self) -> &Misses {
        &self.key_misses
    }

    /// Shares what an index read earlier in this run has found damaged, and is to find.
    pub(crate) fn share(&mut self, distrust: &Arc<Distrust>) {
        self.distrust = Arc::clone(distrust);
    }

    fn is_usable(&self, pack: u32) -> bool {
        let is_distrusted = || self.pack_id(pack).is_some_and(|pack| self.distrust.has(&pack));
        self.standing(pack) == Standing::Usable && !(self.distrust.has_any() && is_distrusted())
    }

    fn standing(&self, pack: u32) -> Standing {
        self.standings.get(size(pack)).copied().unwrap_or_default()
    }

    /// All copies of the chunk with their positions. Positions are below [`Index::end`] and stay while the index grows,
    /// so that what is to be known about each copy can stand in tables beside this one.
    pub(crate) fn copies(&self, id: &ChunkId) -> Result<Vec<Copy>> {
        let mut copies = Vec::new();
        self.records.find(id, |copy| copies.push(copy))?;
        Ok(copies)
    }

    /// Calls `visit` with all copies of one chunk after another, copies in the order of their positions.
    pub(crate) fn for_each_chunk(&self, visit: impl FnMut(&[Copy]) -> Result<()>) -> Result<()> {
        self.records.in_order(visit)
    }

    /// The position behind the last.
    pub(crate) fn end(&self) -> u32 {
        self.records.end()
    }

    /// Copies of chunks known: a chunk in two packs counts twice.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// All packs, in the order of their numbers; those of shards are read.
    pub(crate) fn packs(&self) -> impl Iterator<Item = Result<Arc<PackInfo>>> {
        (0..length_u32(self.packs.len())).filter_map(|number| self.pack(number).transpose())
    }

    /// Their names.
    pub(crate) fn pack_ids(&self) -> &[PackId] {
        self.packs.ids()
    }

    /// The number of a pack that an index object names.
    pub(crate) fn pack_number(&self, id: &PackId) -> Option<u32> {
        self.packs.number(id)
    }

    /// The pack a [`ChunkPlace`] names.
    pub(crate) fn pack(&self, number: u32) -> Result<Option<Arc<PackInfo>>> {
        self.packs.get(number)
    }

    /// Its name.
    pub(crate) fn pack_id(&self, number: u32) -> Option<PackId> {
        self.packs.ids().get(size(number)).copied()
    }

    /// Whether it names this pack.
    pub(crate) fn has_pack(&self, id: &PackId) -> bool {
        self.packs.number(id).is_some()
    }

    /// The packs under their numbers, without the chunks.
    pub(crate) fn packs_only(&self) -> Self {
        Self { packs: self.packs.clone(), distrust: Arc::clone(&self.distrust), ..Self::empty() }
    }

    /// Bytes that records and the names of packs take in memory.
    #[cfg(any(test, feature = "benching"))]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.records.memory_bytes() + self.packs.memory_bytes() + self.standings.capacity()
    }

    /// Shards among its parts.
    #[cfg(any(test, feature = "benching"))]
    pub(crate) fn shards(&self) -> usize {
        self.records.shards()
    }
}
