//! Sealed segments side by side in packs, spread over several open ones so that neighbours part.

use crate::class::Class;
use crate::crypto::name;
use crate::crypto::seal::Place;
use crate::crypto::seal::SealedSegment;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::pack;
use crate::format::pack::NO_SALT;
use crate::format::pack::PackTable;
use crate::format::pack::SegmentRecord;
use crate::format::wire::length_u32;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::limits::PACK_CHUNKS_GOAL;
use crate::limits::PACK_SEGMENTS_MAX;
use crate::limits::PACKS_WAITING_MAX;
use crate::random;
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
        packs_open: usize,
        full: mpsc::Sender<SealedPack>,
    ) -> Arc<Self> {
        let packs_open = packs_open.max(1);
        let open = Mutex::new((0..packs_open).map(|_| None).collect());
        let rooms = crossbeam_channel::bounded(packs_open + PACKS_WAITING_MAX);
        for _ in 0..packs_open + PACKS_WAITING_MAX {
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

    /// Lays out and seals one pack. Its name is the BLAKE3 hash of all its bytes.
    fn seal(&self, pack: OpenPack) -> Result<SealedPack> {
        let mut table = PackTable {
            class: self.class,
            session: self.session,
            data_keys: Vec::new(),
            salts: Vec::new(),
            segments: Vec::with_capacity(pack.parcels.len()),
        };
        let mut parts = Vec::with_capacity(pack.parcels.len() + 2);
        let mut stored_bytes = 0;
        for Parcel { sealed, chunks } in pack.parcels {
            table.segments.push(record(&mut table.data_keys, &mut table.salts, &sealed, chunks)?);
            let bytes = Bytes::from(sealed.into_bytes());
            stored_bytes += bytes.len();
            parts.push(bytes);
        }
        let front = self.store.seal_table(&table)?;
        let too_long = |cause| Error::new(Kind::Bug, "a pack is too long").because(cause);
        table.place_segments(length_u32(front.len())).map_err(too_long)?;
        let used = front.len() + stored_bytes + pack::TRAILER_BYTES;
        let length = pack::padded_length(used);
        let mut tail = vec![0; length - used];
        let before = std::iter::once(front.as_slice()).chain(parts.iter().map(Bytes::as_ref));
        let trailer = pack::trailer_encode(before.chain(std::iter::once(tail.as_slice())));
        tail.extend_from_slice(&trailer);
        let length = length_u32(length);
        parts.insert(0, Bytes::from(front));
        parts.push(Bytes::from(tail));
        let id = name::object_hash(parts.iter().map(AsRef::as_ref));
        Ok(SealedPack { id: PackId::from_bytes(id), parts, length, table, room: pack.room })
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
