//! Claims: who packs a chunk is decided once, before it is packed, whatever number of workers ask.

use crate::entry::ChunkRef;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::id::PackId;
use crate::index::table::Index;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// Locks that share the ids between them; a power of two, many times the number of workers.
const SHARDS: usize = 64;

/// The chunks that this job packs, in front of those that the repository has.
#[derive(Debug)]
pub(crate) struct Claims {
    index: Arc<Index>,
    shards: Vec<Mutex<Shard>>,
    /// `None`: every chunk is wanted.
    wanted: Option<Arc<HashSet<ChunkId>>>,
    /// One flag a pack of the index: a snapshot of this job needs it.
    leaned_on: Vec<AtomicBool>,
}

/// Ids claimed in this job with their lengths.
type Shard = HashMap<ChunkId, u32, BuildHasherDefault<IdHasher>>;

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
        let leaned_on = index.packs().map(|_| AtomicBool::new(false)).collect();
        Self { index, shards: (0..SHARDS).map(|_| Mutex::default()).collect(), wanted: None, leaned_on }
    }

    /// Nothing claimed yet, and only these chunks ever will be: all others count as known, so nothing that names them may
    /// be committed.
    pub(crate) fn only(index: Arc<Index>, wanted: Arc<HashSet<ChunkId>>) -> Self {
        Self { wanted: Some(wanted), ..Self::new(index) }
    }

    /// Asks about a chunk of `length` bytes. Of all callers with one id, at most one ever gets `New`.
    pub(crate) fn claim(&self, id: &ChunkId, length: u32) -> Claim {
        // An entry of another length is no copy of this chunk, whatever its id says.
        if self.lean_on(&ChunkRef { id: *id, length }) {
            return Claim::Known;
        }
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.contains(id)) {
            return Claim::Known;
        }
        match self.shard(id).insert(*id, length) {
            None => Claim::New(Ticket(ChunkRef { id: *id, length })),
            Some(_) => Claim::Known,
        }
    }

    /// Whether a chunk is stored where a new snapshot may rely on it; if so, the snapshot depends on that pack.
    pub(crate) fn lean_on(&self, chunk: &ChunkRef) -> bool {
        let Some(place) = self.index.usable(&chunk.id, chunk.length) else { return false };
        if let Some(flag) = self.leaned_on.get(size(place.pack)) {
            flag.store(true, Ordering::Relaxed);
        }
        true
    }

    /// The older packs that this job's snapshot needs.
    pub(crate) fn leaned_on(&self) -> HashSet<PackId> {
        let needed = self.index.packs().zip(&self.leaned_on).filter(|(_, flag)| flag.load(Ordering::Relaxed));
        needed.map(|(pack, _)| pack.id).collect()
    }

    /// Chunks claimed so far: each is new in this job.
    #[cfg(test)]
    pub(crate) fn claimed(&self) -> usize {
        self.shards.iter().map(|shard| locked(shard).len()).sum()
    }

    /// The index behind.
    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    fn shard(&self, id: &ChunkId) -> MutexGuard<'_, Shard> {
        // The last bytes choose the shard, the first ones the place in its map: the two stay independent.
        let last = id.as_bytes().last().copied().unwrap_or_default();
        locked(self.shards.get(usize::from(last) % SHARDS).expect("a remainder is below its divisor"))
    }
}

/// A worker that panicked while it held the lock left the map whole: inserting is its last step.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
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
                            if let Claim::New(ticket) = claims.claim(&id(number), number + 1) {
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
        index.add_records(crate::format::vectors::records_with(&[(id(1), 10)]), &HashSet::new());
        let claims = Claims::new(Arc::new(index));
        assert!(matches!(claims.claim(&id(1), 10), Claim::Known));
        assert_eq!(claims.claimed(), 0);
        match claims.claim(&id(2), 20) {
            Claim::New(ticket) => assert_eq!(ticket.redeem(), ChunkRef { id: id(2), length: 20 }),
            Claim::Known => panic!("nobody has it"),
        }
    }

    #[test]
    fn where_only_some_chunks_are_wanted_no_other_is_ever_new() {
        let mut index = Index::empty();
        index.add_records(crate::format::vectors::records_with(&[(id(1), 10)]), &HashSet::new());
        let claims = Claims::only(Arc::new(index), Arc::new(HashSet::from([id(1), id(2)])));
        assert!(matches!(claims.claim(&id(1), 10), Claim::Known), "it is there already");
        assert!(matches!(claims.claim(&id(2), 20), Claim::New(_)));
        assert!(matches!(claims.claim(&id(3), 30), Claim::Known));
        assert_eq!(claims.claimed(), 1);
    }

    #[test]
    fn an_index_entry_of_another_length_is_no_copy() {
        let mut index = Index::empty();
        index.add_records(crate::format::vectors::records_with(&[(id(1), 10)]), &HashSet::new());
        let claims = Claims::new(Arc::new(index));
        assert!(matches!(claims.claim(&id(1), 11), Claim::New(_)));
        assert!(matches!(claims.claim(&id(1), 11), Claim::Known));
    }
}
