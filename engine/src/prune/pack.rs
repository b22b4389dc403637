//! Segments copied as they are, or sealed anew, side by side in new packs.

use crate::class::Class;
use crate::crypto::seal::Place;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::pack::NO_SALT;
use crate::format::pack::OwnTable;
use crate::format::pack::PackTable;
use crate::format::pack::SegmentRecord;
use crate::format::wire::length_u32;
use crate::id::DataKeyId;
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

/// A sealed segment on its way into a pack.
pub(super) struct Parcel {
    pub(super) stored: Bytes,
    pub(super) plain_length: u32,
    pub(super) compression: u8,
    pub(super) data_key: DataKeyId,
    /// The key's stored form: a pack needs no other object.
    pub(super) wrapped_key: Vec<u8>,
    pub(super) place: Place,
    pub(super) chunks: Vec<ChunkRef>,
}

/// A pack that is being filled, or is full: its table so far, and the stored segments.
pub(super) struct Filled {
    own: OwnTable,
    segments: Vec<Bytes>,
    bytes: usize,
    chunks: usize,
}

/// How many packs of a class are filled at a time: two of data, so that neighbours part as they do in a backup.
pub(super) const fn open(class: Class) -> usize {
    match class {
        Class::Data => PACKS_OPEN,
        Class::Metadata => 1,
    }
}

/// The packs of one class that are being filled.
pub(super) struct OpenPacks {
    store: Arc<Store>,
    class: Class,
    session: SnapshotId,
    goal_bytes: usize,
    open: Vec<Option<Filled>>,
}

impl OpenPacks {
    pub(super) fn new(store: &Arc<Store>, class: Class, session: SnapshotId, goal_bytes: usize) -> Self {
        let open = (0..open(class)).map(|_| None).collect();
        Self { store: Arc::clone(store), class, session, goal_bytes, open }
    }

    /// For whoever lays out what is full.
    pub(super) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Whether so much is open that what is on its way should leave first.
    pub(super) fn is_ahead(&self) -> bool {
        self.bytes() >= self.goal_bytes / 4 * 3
    }

    fn bytes(&self) -> usize {
        self.open.iter().flatten().map(|pack| pack.bytes).sum()
    }

    /// Puts a segment into one of the packs, drawn at random; gives a pack when one is full by that.
    pub(super) fn add(&mut self, parcel: Parcel) -> Result<Option<Filled>> {
        let [draw] = random::array(self.store.rng())?;
        let count = self.open.len().max(1);
        let (class, session) = (self.class, self.session);
        let Some(slot) = self.open.get_mut(usize::from(draw) % count) else {
            return Err(Error::new(Kind::Bug, "no pack is open"));
        };
        let pack = slot.get_or_insert_with(|| Filled::new(class, session));
        pack.add(parcel)?;
        let is_full = pack.bytes >= self.goal_bytes
            || pack.chunks >= PACK_CHUNKS_GOAL
            // Every segment may bring a salt of its own, and one number means that there is none.
            || pack.segments.len() >= PACK_SEGMENTS_MAX - 1
            || pack.own.wrapped_keys.len() >= KEYS_MAX;
        if is_full {
            return Ok(slot.take());
        }
        // Two that are drawn equally often would be full together: so one is always ahead by half of what it gets.
        let all = self.bytes();
        let most = self.goal_bytes.saturating_add(self.goal_bytes / 4);
        let largest =
            self.open.iter_mut().filter(|_| all >= most).max_by_key(|slot| slot.as_ref().map(|pack| pack.bytes));
        Ok(largest.and_then(Option::take))
    }

    /// Every pack that holds anything.
    pub(super) fn finish(&mut self) -> Vec<Filled> {
        self.open.iter_mut().filter_map(Option::take).collect()
    }
}

impl Filled {
    fn new(class: Class, session: SnapshotId) -> Self {
        let table = PackTable { class, session, data_keys: Vec::new(), salts: Vec::new(), segments: Vec::new() };
        let own = OwnTable { table, wrapped_keys: Vec::new() };
        Self { own, segments: Vec::new(), bytes: 0, chunks: 0 }
    }

    /// Its bytes, sealed table and all.
    pub(super) fn lay_out(self, store: &Store) -> Result<NewPack> {
        store.lay_out_pack(self.own, self.segments)
    }

    fn add(&mut self, parcel: Parcel) -> Result<()> {
        let Parcel { stored, plain_length, compression, data_key, wrapped_key, place, chunks } = parcel;
        let OwnTable { table, wrapped_keys } = &mut self.own;
        let (salt, number) = match place {
            Place::Nonce => (NO_SALT, 0),
            Place::Counter { salt, number } => (position(&mut table.salts, salt)?, number),
        };
        let data_key = position(&mut table.data_keys, data_key)?;
        if wrapped_keys.len() < table.data_keys.len() {
            wrapped_keys.push(wrapped_key);
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
