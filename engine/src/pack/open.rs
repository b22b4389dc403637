//! Sealed segments side by side in packs, several of which are filled at a time, so that neighbours part.

use super::packer::Room;
use super::parcel::Parcel;
use crate::class::Class;
use crate::crypto::seal::Place;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::pack::NO_SALT;
use crate::format::pack::OwnTable;
use crate::format::pack::PackTable;
use crate::format::pack::SegmentRecord;
use crate::format::wire::length_u32;
use crate::id::SnapshotId;
use crate::limits::PACK_CHUNKS_GOAL;
use crate::limits::PACK_SEGMENTS_MAX;
use crate::limits::PACKS_OPEN;
use crate::random;
use crate::store::NewPack;
use crate::store::Store;
use bytes::Bytes;
use std::sync::Arc;

/// Data keys of one pack at most: each stands in its table whole.
const KEYS_MAX: usize = 1024;

/// What packs are to be like, and how many are filled at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackShape {
    pub(crate) class: Class,
    pub(crate) session: SnapshotId,
    /// Bytes at which a pack is closed.
    pub(crate) goal_bytes: usize,
    pub(crate) open: usize,
    /// Bytes of all open packs together at which the largest is closed before it is full.
    pub(crate) open_bytes_max: usize,
}

impl PackShape {
    /// Two packs of data are filled at a time, so that neighbours in a source part.
    pub(crate) const fn open(class: Class) -> usize {
        match class {
            Class::Data => PACKS_OPEN,
            Class::Metadata => 1,
        }
    }

    /// Packs that are closed when they are full and not before.
    pub(crate) fn new(class: Class, session: SnapshotId, goal_bytes: usize) -> Self {
        Self { class, session, goal_bytes, open: Self::open(class), open_bytes_max: usize::MAX }
    }
}

/// A pack that is being filled, or is full: its table so far, and the stored segments.
pub(crate) struct FullPack {
    own: OwnTable,
    segments: Vec<Bytes>,
    bytes: usize,
    chunks: usize,
    /// The right to be in memory, where that is counted.
    pub(super) room: Option<Room>,
}

/// The packs of one class that are being filled.
pub(crate) struct OpenPacks {
    store: Arc<Store>,
    shape: PackShape,
    open: Vec<Option<FullPack>>,
}

impl OpenPacks {
    pub(crate) fn new(store: &Arc<Store>, shape: PackShape) -> Self {
        let open = (0..shape.open.max(1)).map(|_| None).collect();
        Self { store: Arc::clone(store), shape, open }
    }

    /// For whoever lays out what is full.
    pub(crate) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Whether so much is open that what is on its way should leave first.
    pub(crate) fn is_ahead(&self) -> bool {
        self.bytes() >= self.shape.goal_bytes / 4 * 3
    }

    fn bytes(&self) -> usize {
        self.open.iter().flatten().map(|pack| pack.bytes).sum()
    }

    /// Puts a segment into one of the packs, drawn at random; gives a pack when one is full by that.
    pub(crate) fn add(&mut self, parcel: Parcel) -> Result<Option<FullPack>> {
        self.add_within(parcel, || Ok(None))
    }

    /// The same, where every pack needs a room before it is opened.
    pub(super) fn add_within(
        &mut self,
        parcel: Parcel,
        room: impl FnOnce() -> Result<Option<Room>>,
    ) -> Result<Option<FullPack>> {
        let [draw] = random::array(self.store.rng())?;
        let count = self.open.len().max(1);
        let PackShape { class, session, goal_bytes, open_bytes_max, .. } = self.shape;
        let Some(slot) = self.open.get_mut(usize::from(draw) % count) else {
            return Err(Error::new(Kind::Bug, "no pack is open"));
        };
        let pack = match slot {
            Some(pack) => pack,
            None => slot.insert(FullPack { room: room()?, ..FullPack::new(class, session) }),
        };
        pack.add(parcel)?;
        if pack.is_full(goal_bytes) {
            return Ok(slot.take());
        }
        // Two that are drawn equally often would be full together: so one is always ahead by half of what it gets.
        let is_much = self.bytes() >= open_bytes_max;
        let largest = self.open.iter_mut().filter(|_| is_much).max_by_key(|slot| slot.as_ref().map(|pack| pack.bytes));
        Ok(largest.and_then(Option::take))
    }

    /// Every pack that holds anything.
    pub(crate) fn finish(&mut self) -> Vec<FullPack> {
        self.open.iter_mut().filter_map(Option::take).collect()
    }
}

impl FullPack {
    /// An empty one.
    pub(crate) fn new(class: Class, session: SnapshotId) -> Self {
        let table = PackTable { class, session, data_keys: Vec::new(), salts: Vec::new(), segments: Vec::new() };
        let own = OwnTable { table, wrapped_keys: Vec::new() };
        Self { own, segments: Vec::new(), bytes: 0, chunks: 0, room: None }
    }

    fn is_full(&self, goal_bytes: usize) -> bool {
        self.bytes >= goal_bytes
            || self.chunks >= PACK_CHUNKS_GOAL
            // Every segment may bring a salt of its own, and one number means that there is none.
            || self.segments.len() >= PACK_SEGMENTS_MAX - 1
            || self.own.wrapped_keys.len() >= KEYS_MAX
    }

    /// Whether it holds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Its bytes, sealed table and all.
    pub(crate) fn lay_out(self, store: &Store) -> Result<NewPack> {
        store.lay_out_pack(self.own, self.segments)
    }

    /// Puts a segment behind those that are there.
    pub(crate) fn add(&mut self, parcel: Parcel) -> Result<()> {
        let Parcel { stored, plain_length, compression, key, place, chunks } = parcel;
        let OwnTable { table, wrapped_keys } = &mut self.own;
        let (salt, number) = match place {
            Place::Nonce => (NO_SALT, 0),
            Place::Counter { salt, number } => (position(&mut table.salts, salt)?, number),
        };
        let data_key = position(&mut table.data_keys, key.id)?;
        if wrapped_keys.len() < table.data_keys.len() {
            wrapped_keys.push(key.wrapped.to_vec());
        }
        self.bytes += stored.len();
        self.chunks += chunks.len();
        table.segments.push(SegmentRecord {
            offset: 0,
            stored_length: length_u32(stored.len()),
            plain_length,
            data_key,
            salt,
            number,
            compression,
            chunks,
        });
        self.segments.push(stored);
        Ok(())
    }
}

/// Where `item` stands in `list`, at its end if it is new.
fn position<T: PartialEq>(list: &mut Vec<T>, item: T) -> Result<u16> {
    let at = list.iter().position(|known| *known == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    });
    u16::try_from(at).ok().filter(|at| *at != NO_SALT).ok_or_else(|| Error::new(Kind::Bug, "a pack has too many keys"))
}
