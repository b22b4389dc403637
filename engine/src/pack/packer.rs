//! Packs that many threads fill at once, with room for so many in memory and no more.

use super::open::FullPack;
use super::open::OpenPacks;
use super::open::PackShape;
use super::parcel::Parcel;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::store::NewPack;
use crate::store::Store;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

/// A finished pack on its way to the backend.
pub(crate) struct SealedPack {
    pub(crate) pack: NewPack,
    /// Given back when the pack leaves memory.
    pub(crate) room: Option<Room>,
}

/// The right to hold one pack in memory; dropping it lets another pack be opened.
pub(crate) struct Room(Sender<()>);

impl Drop for Room {
    fn drop(&mut self) {
        // The channel has a place for every room there is; nobody listens any more once the packer is gone.
        let _ = self.0.try_send(());
    }
}

/// Fills several packs at once and sends full ones on; shared by all workers.
pub(crate) struct Packer {
    store: Arc<Store>,
    open: Mutex<OpenPacks>,
    rooms: (Sender<()>, Receiver<()>),
    full: mpsc::Sender<SealedPack>,
}

impl Packer {
    /// With room for the open packs and `waiting` more: being sealed, waiting, on their way.
    pub(crate) fn new(
        store: &Arc<Store>,
        shape: PackShape,
        waiting: usize,
        full: mpsc::Sender<SealedPack>,
    ) -> Arc<Self> {
        let all = shape.open.max(1) + waiting;
        let rooms = crossbeam_channel::bounded(all);
        for _ in 0..all {
            let _ = rooms.0.try_send(());
        }
        Arc::new(Self { store: Arc::clone(store), open: Mutex::new(OpenPacks::new(store, shape)), rooms, full })
    }

    /// Puts a segment into one of the open packs. Blocks while too many packs wait for upload, and with it everybody who
    /// has a segment.
    pub(crate) fn add(&self, parcel: Parcel) -> Result<()> {
        let full =
            self.open.lock().unwrap_or_else(PoisonError::into_inner).add_within(parcel, || self.room().map(Some))?;
        full.map_or(Ok(()), |pack| self.send(pack))
    }

    /// Sends every pack that holds anything.
    pub(crate) fn finish(&self) -> Result<()> {
        let left = self.open.lock().unwrap_or_else(PoisonError::into_inner).finish();
        left.into_iter().try_for_each(|pack| self.send(pack))
    }

    /// Waits until an earlier pack has left memory, where there are too many.
    fn room(&self) -> Result<Room> {
        self.rooms.1.recv().map_err(|_| Error::new(Kind::Bug, "the packer has lost its rooms"))?;
        Ok(Room(self.rooms.0.clone()))
    }

    fn send(&self, mut pack: FullPack) -> Result<()> {
        let room = pack.room.take();
        let sealed = SealedPack { pack: pack.lay_out(&self.store)?, room };
        self.full.blocking_send(sealed).map_err(|_| Error::new(Kind::Cancelled, "the upload stage has stopped"))
    }
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
    use crate::class::Class;
    use crate::crypto::keys::RootKey;
    use crate::crypto::seal::Sealer;
    use crate::crypto::seal::SegmentHead;
    use crate::crypto::seal::Suite;
    use crate::entry::ChunkRef;
    use crate::id::ChunkId;
    use crate::id::RepositoryId;
    use crate::id::SnapshotId;
    use crate::limits::PACK_CHUNKS_GOAL;
    use crate::limits::SEGMENT_CHUNKS_MAX;
    use crate::random::SeededRng;
    use crate::time::SystemClock;
    use bytes::Bytes;

    /// A store without a repository around it.
    fn store() -> Arc<Store> {
        let repository = RepositoryId::from_bytes([1; 16]);
        let keys = RootKey::from_bytes([1; 32]).derive(&repository);
        let rng = Arc::new(SeededRng::new(1));
        Arc::new(Store::new(Arc::new(MemoryBackend::new()), repository, keys, rng, Arc::new(SystemClock)))
    }

    fn packer(store: &Arc<Store>) -> (Arc<Packer>, mpsc::Receiver<SealedPack>) {
        let (full, packs) = mpsc::channel(4);
        let session = SnapshotId::from_bytes([2; 16]);
        let shape = PackShape { open: 1, ..PackShape::new(Class::Data, session, 1 << 20) };
        let packer = Packer::new(store, shape, 1, full);
        (packer, packs)
    }

    /// A segment of this many chunks of one byte each.
    fn parcel(sealer: &mut Sealer, store: &Store, number: usize, chunks: usize) -> Parcel {
        let plain_length = u32::try_from(chunks).expect("few chunks");
        let head = SegmentHead { class: Class::Data, compression: 0, plain_length };
        let sealed = sealer.seal(Vec::new(), store.rng(), head, &vec![7; chunks]).expect("sealed");
        let hash = |chunk: usize| blake3::hash(&[number, chunk].map(usize::to_le_bytes).concat());
        let id = |chunk| ChunkId::from_bytes(*hash(chunk).as_bytes());
        let key = Bytes::from_static(&[9; 119]);
        Parcel::sealed(sealed, key, (0..chunks).map(|chunk| ChunkRef { id: id(chunk), length: 1 }).collect())
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
        assert_eq!(pack.pack.indexed.table.segments.len(), parcels);
        drop(pack);
        packer.add(parcel(&mut sealer, &store, parcels, 1)).expect("added to the next one");
        assert!(packs.try_recv().is_err());
        packer.finish().expect("finished");
        assert_eq!(packs.try_recv().expect("the last pack").pack.indexed.table.segments.len(), 1);
    }
}
