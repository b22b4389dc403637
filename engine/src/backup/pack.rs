//! Sealed segments side by side in packs, spread over several open ones so that neighbours part.

use crate::class::Class;
use crate::crypto::seal::Place;
use crate::crypto::seal::SealedSegment;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::IndexedPack;
use crate::format::pack::NO_SALT;
use crate::format::pack::PackTable;
use crate::format::pack::SegmentRecord;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::limits::PACK_CHUNKS_GOAL;
use crate::limits::PACK_SEGMENTS_MAX;
use crate::random;
use crate::store::NewPack;
use crate::store::Store;
use bytes::Bytes;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

/// A sealed segment and what is in it. Plain bytes cannot get here: only `crypto::seal` makes a `SealedSegment`.
pub(crate) struct Parcel {
    pub(crate) sealed: SealedSegment,
    pub(crate) chunks: Vec<ChunkRef>,
}

/// A finished pack on its way to the backend.
pub(crate) struct SealedPack {
    pub(crate) id: PackId,
    pub(crate) parts: Vec<Bytes>,
    pub(crate) length: u32,
    pub(crate) table: PackTable,
    /// Given back when the pack leaves memory.
    pub(crate) room: Room,
}

/// The right to hold one pack in memory; dropping it lets another pack be opened.
pub(crate) struct Room(Sender<()>);

impl Drop for Room {
    fn drop(&mut self) {
        // The channel has a place for every room there is; nobody listens any more once the packer is gone.
        let _ = self.0.try_send(());
    }
}

struct OpenPack {
    room: Room,
    parcels: Vec<Parcel>,
    bytes: usize,
    chunks: usize,
}

/// Fills several packs at once and sends full ones on; shared by all workers.
pub(crate) struct Packer {
    store: Arc<Store>,
    class: Class,
    session: SnapshotId,
    goal_bytes: usize,
    /// `None`: to be opened with the next parcel.
    open: Mutex<Vec<Option<OpenPack>>>,
    rooms: (Sender<()>, Receiver<()>),
    full: mpsc::Sender<SealedPack>,
}

impl Packer {
    pub(crate) fn new(
        store: &Arc<Store>,
        class: Class,
        session: SnapshotId,
        goal_bytes: usize,
        (packs_open, packs_waiting): (usize, usize),
        full: mpsc::Sender<SealedPack>,
    ) -> Arc<Self> {
        let packs_open = packs_open.max(1);
        let open = Mutex::new((0..packs_open).map(|_| None).collect());
        let rooms = crossbeam_channel::bounded(packs_open + packs_waiting);
        for _ in 0..packs_open + packs_waiting {
            let _ = rooms.0.try_send(());
        }
        Arc::new(Self { store: Arc::clone(store), class, session, goal_bytes, open, rooms, full })
    }

    /// Puts a segment into one of the open packs, drawn at random. Blocks while too many packs wait for upload.
    pub(crate) fn add(&self, parcel: Parcel) -> Result<()> {
        let [draw] = random::array(self.store.rng())?;
        let full = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.len();
            let Some(slot) = open.get_mut(usize::from(draw) % count.max(1)) else {
                return Err(Error::new(Kind::Bug, "no pack is open"));
            };
            let pack = match slot {
                Some(pack) => pack,
                // Waits, and with it everybody who has a parcel, until an earlier pack has left memory.
                None => slot.insert(self.open_pack()?),
            };
            pack.bytes += parcel.sealed.bytes().len();
            pack.chunks += parcel.chunks.len();
            pack.parcels.push(parcel);
            let is_full = pack.bytes >= self.goal_bytes
                || pack.chunks >= PACK_CHUNKS_GOAL
                || pack.parcels.len() >= PACK_SEGMENTS_MAX;
            if is_full { slot.take() } else { None }
        };
        match full {
            Some(pack) => self.send(pack),
            None => Ok(()),
        }
    }

    /// Sends every pack that holds anything.
    pub(crate) fn finish(&self) -> Result<()> {
        let left = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        left.into_iter().flatten().try_for_each(|pack| self.send(pack))
    }

    fn open_pack(&self) -> Result<OpenPack> {
        self.rooms.1.recv().map_err(|_| Error::new(Kind::Bug, "the packer has lost its rooms"))?;
        Ok(OpenPack { room: Room(self.rooms.0.clone()), parcels: Vec::new(), bytes: 0, chunks: 0 })
    }

    fn send(&self, pack: OpenPack) -> Result<()> {
        let sealed = self.seal(pack)?;
        self.full.blocking_send(sealed).map_err(|_| Error::new(Kind::Cancelled, "the upload stage has stopped"))
    }

    /// Lays out and seals one pack.
    fn seal(&self, pack: OpenPack) -> Result<SealedPack> {
        let mut table = PackTable {
            class: self.class,
            session: self.session,
            data_keys: Vec::new(),
            salts: Vec::new(),
            segments: Vec::with_capacity(pack.parcels.len()),
        };
        let mut segments = Vec::with_capacity(pack.parcels.len() + 2);
        for Parcel { sealed, chunks } in pack.parcels {
            table.segments.push(record(&mut table.data_keys, &mut table.salts, &sealed, chunks)?);
            segments.push(Bytes::from(sealed.into_bytes()));
        }
        let NewPack { parts, indexed } = self.store.lay_out_pack(self.store.with_keys(table)?, segments)?;
        let IndexedPack { pack: id, length, table } = indexed;
        Ok(SealedPack { id, parts, length, table, room: pack.room })
    }
}

/// The table's line for one segment; keys and salts are listed once a pack.
fn record(
    data_keys: &mut Vec<DataKeyId>,
    salts: &mut Vec<[u8; 32]>,
    sealed: &SealedSegment,
    chunks: Vec<ChunkRef>,
) -> Result<SegmentRecord> {
    let (salt, number) = match sealed.place() {
        Place::Nonce => (NO_SALT, 0),
        Place::Counter { salt, number } => (position(salts, salt)?, number),
    };
    let too_long = |_| Error::new(Kind::Bug, "a segment is longer than 4 GiB");
    Ok(SegmentRecord {
        offset: 0,
        stored_length: u32::try_from(sealed.bytes().len()).map_err(too_long)?,
        plain_length: sealed.head().plain_length,
        data_key: position(data_keys, sealed.data_key())?,
        salt,
        number,
        compression: sealed.head().compression,
        chunks,
    })
}

/// Where `item` stands in `list`, at its end if it is new.
fn position<T: PartialEq>(list: &mut Vec<T>, item: T) -> Result<u16> {
    let at = list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    });
    u16::try_from(at).ok().filter(|at| *at != NO_SALT).ok_or_else(|| Error::new(Kind::Bug, "a pack has too many keys"))
}

/// Lets the last of several workers send the packs left open.
pub(crate) struct LastFinishes {
    packer: Arc<Packer>,
    left: AtomicUsize,
}

impl LastFinishes {
    pub(crate) fn new(packer: Arc<Packer>, workers: usize) -> Self {
        Self { packer, left: AtomicUsize::new(workers) }
    }

    /// Called by every worker after its last segment.
    pub(crate) fn done(&self) -> Result<()> {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 { self.packer.finish() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;
    use crate::crypto::keys::RootKey;
    use crate::crypto::seal::Sealer;
    use crate::crypto::seal::SegmentHead;
    use crate::crypto::seal::Suite;
    use crate::id::ChunkId;
    use crate::id::RepositoryId;
    use crate::limits::SEGMENT_CHUNKS_MAX;
    use crate::random::SeededRng;
    use crate::time::SystemClock;

    /// A store without a repository around it.
    fn store() -> Arc<Store> {
        let repository = RepositoryId::from_bytes([1; 16]);
        let keys = RootKey::from_bytes([1; 32]).derive(&repository);
        let rng = Arc::new(SeededRng::new(1));
        Arc::new(Store::new(Arc::new(MemoryBackend::new()), repository, keys, rng, Arc::new(SystemClock)))
    }

    fn packer(store: &Arc<Store>) -> (Arc<Packer>, mpsc::Receiver<SealedPack>) {
        let (full, packs) = mpsc::channel(4);
        let packer = Packer::new(store, Class::Data, SnapshotId::from_bytes([2; 16]), 1 << 20, (1, 1), full);
        (packer, packs)
    }

    /// A segment of this many chunks of one byte each.
    fn parcel(sealer: &mut Sealer, store: &Store, number: usize, chunks: usize) -> Parcel {
        let plain_length = u32::try_from(chunks).expect("few chunks");
        let head = SegmentHead { class: Class::Data, compression: 0, plain_length };
        let sealed = sealer.seal(store.rng(), head, &vec![7; chunks]).expect("sealed");
        let hash = |chunk: usize| blake3::hash(&[number, chunk].map(usize::to_le_bytes).concat());
        let id = |chunk| ChunkId::from_bytes(*hash(chunk).as_bytes());
        Parcel { sealed, chunks: (0..chunks).map(|chunk| ChunkRef { id: id(chunk), length: 1 }).collect() }
    }

    #[test]
    fn a_pack_of_very_many_chunks_is_closed_however_few_bytes_it_has() {
        let store = store();
        // A packer blocks, and so must not run where this is awaited.
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let key = runtime.block_on(store.new_data_key(Class::Data, Suite::Aes256Gcm, false)).expect("a key");
        let mut sealer = Sealer::new(key, store.repository(), store.rng()).expect("a sealer");
        let (packer, mut packs) = packer(&store);
        let parcels = PACK_CHUNKS_GOAL / SEGMENT_CHUNKS_MAX;
        for number in 0..parcels {
            assert!(packs.try_recv().is_err(), "closed after {number} parcels");
            packer.add(parcel(&mut sealer, &store, number, SEGMENT_CHUNKS_MAX)).expect("added");
        }
        let pack = packs.try_recv().expect("a closed pack");
        assert_eq!(pack.table.segments.len(), parcels);
        drop(pack);
        packer.add(parcel(&mut sealer, &store, parcels, 1)).expect("added to the next one");
        assert!(packs.try_recv().is_err());
        packer.finish().expect("finished");
        assert_eq!(packs.try_recv().expect("the last pack").table.segments.len(), 1);
    }
}
