//! Claims: who packs a chunk is decided once, before it is packed, whatever number of workers ask.

use super::gather;
use crate::cache::Draft;
use crate::cache::Joined;
use crate::cache::Shard;
use crate::cache::ShardFolder;
use crate::cache::crowded;
use crate::entry::ChunkRef;
use crate::error::Result;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::id::PackId;
use crate::index::table::Index;
use crate::store::Store;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Locks that share the ids between them; a power of two, many times the number of workers.
const MAPS: usize = 64;

/// The chunks that this job packs, in front of those that the repository has.
pub(crate) struct Claims {
    index: Arc<Index>,
    maps: Vec<Mutex<Map>>,
    /// Ids in the maps that are not being put aside.
    fresh: AtomicUsize,
    /// Ids that were put aside.
    aside: RwLock<Vec<Arc<Shard>>>,
    place: Option<Aside>,
    /// `None`: every chunk is wanted.
    wanted: Option<Arc<HashSet<ChunkId>>>,
    /// One flag a pack of the index: a snapshot of this job needs it.
    leaned_on: Vec<AtomicBool>,
}

/// Ids claimed in this job with their lengths.
#[derive(Debug, Default)]
struct Map {
    fresh: Ids,
    /// On their way into a shard.
    leaving: Ids,
}

type Ids = HashMap<ChunkId, u32, BuildHasherDefault<IdHasher>>;

/// Where ids go that are too many to be kept in memory, and how many these are.
struct Aside {
    store: Arc<Store>,
    folder: ShardFolder,
    most: usize,
    /// Held by who puts ids aside; set when there turned out to be no room.
    failed: Mutex<bool>,
}

/// What to do with a chunk.
#[derive(Debug)]
#[must_use = "a new chunk that is not packed is missing from the repository"]
pub(crate) enum Claim {
    /// Nobody has it: the caller packs it.
    New(Ticket),
    /// It is stored and not condemned, or another worker of this job packs it.
    Known,
}

/// The right and the duty to pack one chunk; there is only one for each id in a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket(ChunkRef);

impl Ticket {
    /// The chunk to pack; the ticket is used up.
    pub(crate) fn redeem(self) -> ChunkRef {
        self.0
    }
}

impl Claims {
    /// Nothing claimed yet.
    pub(crate) fn new(index: Arc<Index>) -> Self {
        let leaned_on = index.pack_ids().iter().map(|_| AtomicBool::new(false)).collect();
        let maps = (0..MAPS).map(|_| Mutex::default()).collect();
        Self { index, maps, fresh: AtomicUsize::new(0), aside: RwLock::default(), place: None, wanted: None, leaned_on }
    }

    /// Only these chunks will ever be claimed: all others count as known, so nothing that names them may be committed.
    pub(crate) fn only(self, wanted: Arc<HashSet<ChunkId>>) -> Self {
        Self { wanted: Some(wanted), ..self }
    }

    /// The same with a place for what would fill the memory.
    pub(crate) fn beside(store: &Arc<Store>, index: Arc<Index>) -> Self {
        let (folder, most) = (gather::folder(store), store.local().shard_chunks);
        let place = folder.exists().then(|| Aside { store: Arc::clone(store), folder, most, failed: Mutex::default() });
        Self { place, ..Self::new(index) }
    }

    /// Asks about a chunk of `length` bytes. Of all callers with one id, at most one ever gets `New`.
    pub(crate) fn claim(&self, id: &ChunkId, length: u32) -> Result<Claim> {
        // An entry of another length is no copy of this chunk, whatever its id says.
        if self.lean_on(&ChunkRef { id: *id, length })? {
            return Ok(Claim::Known);
        }
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.contains(id)) {
            return Ok(Claim::Known);
        }
        {
            let mut map = self.map(id);
            if map.fresh.contains_key(id) || map.leaving.contains_key(id) {
                return Ok(Claim::Known);
            }
            // Ids leave a map only once their shard is here, and not while the map is held.
            for shard in self.aside.read().unwrap_or_else(PoisonError::into_inner).iter() {
                if shard.has(id)? {
                    return Ok(Claim::Known);
                }
            }
            // Counted before it can be taken away again.
            self.fresh.fetch_add(1, Ordering::Relaxed);
            map.fresh.insert(*id, length);
        }
        self.put_aside();
        Ok(Claim::New(Ticket(ChunkRef { id: *id, length })))
    }

    /// Whether a chunk is stored where a new snapshot may rely on it; if so, the snapshot depends on that pack.
    pub(crate) fn lean_on(&self, chunk: &ChunkRef) -> Result<bool> {
        let Some(place) = self.index.usable(&chunk.id, chunk.length)? else { return Ok(false) };
        if let Some(flag) = self.leaned_on.get(size(place.pack)) {
            flag.store(true, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// The same for several: whether all of them are.
    pub(crate) fn lean_on_all(&self, chunks: &[ChunkRef]) -> Result<bool> {
        for chunk in chunks {
            if !self.lean_on(chunk)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The older packs that this job's snapshot needs.
    pub(crate) fn leaned_on(&self) -> HashSet<PackId> {
        let needed = self.index.pack_ids().iter().zip(&self.leaned_on);
        needed.filter(|(_, flag)| flag.load(Ordering::Relaxed)).map(|(pack, _)| *pack).collect()
    }

    /// Chunks claimed so far: each is new in this job.
    #[cfg(test)]
    pub(crate) fn claimed(&self) -> usize {
        let aside: usize = self.aside.read().expect("no panic").iter().map(|shard| size(shard.rows())).sum();
        aside + self.maps.iter().map(|map| locked(map).fresh.len()).sum::<usize>()
    }

    /// Claimed ids that are not in files.
    #[cfg(test)]
    pub(crate) fn in_memory(&self) -> usize {
        let count = |map: MutexGuard<'_, Map>| map.fresh.len() + map.leaving.len();
        self.maps.iter().map(|map| count(locked(map))).sum()
    }

    /// Files that others of them are in.
    #[cfg(test)]
    pub(crate) fn files(&self) -> usize {
        self.aside.read().expect("no panic").len()
    }

    /// Whether a pack that this job's snapshot needs was found damaged meanwhile.
    pub(crate) fn leans_on_damage(&self) -> bool {
        let distrust = self.index.distrust();
        distrust.has_any() && self.leaned_on().iter().any(|pack| distrust.has(pack))
    }

    /// The index behind.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Puts what is in the maps into a shard once it is too much. Where that is not possible it stays in memory.
    fn put_aside(&self) {
        let is_due = |place: &&Aside| self.fresh.load(Ordering::Relaxed) >= place.most;
        let Some(place) = self.place.as_ref().filter(is_due) else { return };
        // Whoever comes while another is at it goes on: the maps grow a little longer.
        let Ok(mut failed) = place.failed.try_lock() else { return };
        if *failed || !is_due(&place) {
            return;
        }
        let mut ids = Vec::new();
        for map in &self.maps {
            let mut map = locked(map);
            map.leaving = std::mem::take(&mut map.fresh);
            self.fresh.fetch_sub(map.leaving.len(), Ordering::Relaxed);
            ids.extend(map.leaving.iter().map(|(id, length)| (*id, *length)));
        }
        match place.folder.make(&Draft::of_ids(ids.into_iter()), false, place.store.rng()) {
            Ok(Some(shard)) => {
                self.aside.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(shard));
                self.maps.iter().for_each(|map| locked(map).leaving = Ids::default());
                self.join_aside(place);
            }
            // They stay where they are, and are found there.
            _ => *failed = true,
        }
    }

    /// Makes one of several shards where they are many; others go on asking them meanwhile.
    fn join_aside(&self, place: &Aside) {
        let mut all = self.aside.read().unwrap_or_else(PoisonError::into_inner).clone();
        let many = crowded(&mut all, place.store.local().shards_few);
        if many.is_empty() {
            return;
        }
        let joined = Joined::of(many.iter().map(Arc::as_ref), |_| true);
        // Where there is no room they stay as they are.
        if let Ok(Some(shard)) = place.folder.make(&joined, false, place.store.rng()) {
            all.push(Arc::new(shard));
            *self.aside.write().unwrap_or_else(PoisonError::into_inner) = all;
        }
    }

    fn map(&self, id: &ChunkId) -> MutexGuard<'_, Map> {
        // The last bytes choose the map, the first ones the place in it: the two stay independent.
        let last = id.as_bytes().last().copied().unwrap_or_default();
        locked(self.maps.get(usize::from(last) % MAPS).expect("a remainder is below its divisor"))
    }
}

/// A worker that panicked while it held the lock left the map whole: inserting is its last step.
fn locked(map: &Mutex<Map>) -> MutexGuard<'_, Map> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the first eight bytes of an id as its hash: ids are keyed BLAKE3 already.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    // The length that arrays write before their bytes says nothing.
    fn write_usize(&mut self, _length: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn id(number: u32) -> ChunkId {
        ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    #[test]
    fn no_chunk_is_new_twice_whoever_asks_how_often() {
        const CHUNKS: u32 = 5000;
        let claims = Claims::new(Arc::new(Index::empty()));
        let tickets: Vec<Ticket> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8u32)
                .map(|worker| {
                    let claims = &claims;
                    scope.spawn(move || {
                        let mut tickets = Vec::new();
                        for step in 0..3 * CHUNKS {
                            // All workers run through the same ids, some of them backwards.
                            let number = if worker % 2 == 0 { step % CHUNKS } else { CHUNKS - 1 - step % CHUNKS };
                            if let Claim::New(ticket) = claims.claim(&id(number), number + 1).expect("asked") {
                                tickets.push(ticket);
                            }
                        }
                        tickets
                    })
                })
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
        });
        assert_eq!(tickets.len(), size(CHUNKS));
        assert_eq!(tickets.into_iter().map(|ticket| ticket.redeem().id).collect::<HashSet<_>>().len(), size(CHUNKS));
        assert_eq!(claims.claimed(), size(CHUNKS));
    }

    #[test]
    fn what_the_repository_has_is_known() {
        let mut index = Index::empty();
        index.add_records(crate::format::vectors::records_with(&[(id(1), 10)]), &HashSet::new()).expect("room");
        let claims = Claims::new(Arc::new(index));
        assert!(matches!(claims.claim(&id(1), 10), Ok(Claim::Known)));
        assert_eq!(claims.claimed(), 0);
        match claims.claim(&id(2), 20).expect("asked") {
            Claim::New(ticket) => assert_eq!(ticket.redeem(), ChunkRef { id: id(2), length: 20 }),
            Claim::Known => panic!("nobody has it"),
        }
    }

    #[test]
    fn where_only_some_chunks_are_wanted_no_other_is_ever_new() {
        let mut index = Index::empty();
        index.add_records(crate::format::vectors::records_with(&[(id(1), 10)]), &HashSet::new()).expect("room");
        let claims = Claims::new(Arc::new(index)).only(Arc::new(HashSet::from([id(1), id(2)])));
        assert!(matches!(claims.claim(&id(1), 10), Ok(Claim::Known)), "it is there already");
        assert!(matches!(claims.claim(&id(2), 20), Ok(Claim::New(_))));
        assert!(matches!(claims.claim(&id(3), 30), Ok(Claim::Known)));
        assert_eq!(claims.claimed(), 1);
    }

    #[test]
    fn an_index_entry_of_another_length_is_no_copy() {
        let mut index = Index::empty();
        index.add_records(crate::format::vectors::records_with(&[(id(1), 10)]), &HashSet::new()).expect("room");
        let claims = Claims::new(Arc::new(index));
        assert!(matches!(claims.claim(&id(1), 11), Ok(Claim::New(_))));
        assert!(matches!(claims.claim(&id(1), 11), Ok(Claim::Known)));
    }
}
