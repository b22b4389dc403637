//! Opened segments at hand, for all who read through one index; those that will be wanted soon are opened ahead.

use super::live::LiveIndex;
use super::recent::Recent;
use super::table::ChunkPlace;
use crate::class::Class;
use crate::crypto::seal::DataKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::PackInfo;
use crate::format::segment::SegmentInfo;
use crate::format::wire::size;
use crate::limits::DATA_SEGMENTS_KEPT_BYTES;
use crate::limits::METADATA_SEGMENTS_KEPT_BYTES;
use crate::store::SegmentDecoder;
use crate::store::StoredSegment;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use tokio::sync::OnceCell;

/// Decoders that wait for their next use: each holds the buffers of a segment.
const DECODERS_IDLE: usize = 4;
/// A segment of fewer bytes is opened in less time than it takes to hand it to another thread.
const HANDED_OVER_BYTES_MIN: u32 = 64 << 10;

/// A pack's number and the segment's place in it.
type Key = (u32, u16);
/// Opened once, however many wait for it. After a failure the next one tries again.
type Slot = Arc<OnceCell<Bytes>>;

/// The segments of one class.
pub(super) struct Segments {
    index: Arc<LiveIndex>,
    class: Class,
    kept: Mutex<Recent<Key, Slot>>,
    decoders: Mutex<Vec<SegmentDecoder>>,
}

/// What is known of a segment before it is read.
struct Found {
    index: Arc<super::table::Index>,
    pack: Arc<PackInfo>,
    segment: SegmentInfo,
}

impl Segments {
    pub(super) fn new(index: &Arc<LiveIndex>, class: Class) -> Self {
        let room = match class {
            Class::Data => DATA_SEGMENTS_KEPT_BYTES,
            Class::Metadata => METADATA_SEGMENTS_KEPT_BYTES,
        };
        Self { index: Arc::clone(index), class, kept: Mutex::new(Recent::new(room)), decoders: Mutex::default() }
    }

    pub(super) fn index(&self) -> &Arc<LiveIndex> {
        &self.index
    }

    pub(super) fn class(&self) -> Class {
        self.class
    }

    /// The plaintext of the segment that a copy stands in.
    pub(super) async fn get(&self, place: &ChunkPlace) -> Result<Bytes> {
        let slot = match self.kept(place) {
            Some(slot) => slot,
            None => {
                let found = self.find(place)?;
                self.keep(place, &found.segment).0
            }
        };
        let bytes = slot.get_or_try_init(|| async { self.read(place).await }).await?;
        Ok(bytes.clone())
    }

    /// Begins to read and open the segment, unless it is at hand or on its way. A failure shows when it is asked for.
    pub(super) fn open_ahead(self: &Arc<Self>, place: &ChunkPlace) {
        if self.kept(place).is_some() {
            return;
        }
        let Ok(found) = self.find(place) else { return };
        let (slot, is_new) = self.keep(place, &found.segment);
        if !is_new {
            return;
        }
        let (this, place) = (Arc::clone(self), *place);
        tokio::spawn(async move {
            // Whoever asks for it meets the same failure, and can do something about it.
            let _ = slot.get_or_try_init(|| async { this.read_elsewhere(&place).await }).await;
        });
    }

    fn kept(&self, place: &ChunkPlace) -> Option<Slot> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&(place.pack, place.segment))
    }

    /// The slot of a segment, and whether it is a new one.
    fn keep(&self, place: &ChunkPlace, segment: &SegmentInfo) -> (Slot, bool) {
        let key = (place.pack, place.segment);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = kept.get(&key) {
            return (slot, false);
        }
        let slot = Slot::default();
        kept.put(key, Arc::clone(&slot), size(segment.plain_length));
        (slot, true)
    }

    fn find(&self, place: &ChunkPlace) -> Result<Found> {
        let (index, number) = self.index.with_pack(place.pack).ok_or_else(missing)?;
        let pack = index.pack(number)?.ok_or_else(missing)?;
        let segment = *pack.segments.get(usize::from(place.segment)).ok_or_else(missing)?;
        if pack.class != self.class {
            return Err(Error::damaged(format!("pack {}", pack.id), "it is of another class than the chunk"));
        }
        Ok(Found { index, pack, segment })
    }

    /// Reads and opens it, whatever is at hand.
    pub(super) async fn read(&self, place: &ChunkPlace) -> Result<Bytes> {
        let (found, stored, key) = self.fetch(place).await?;
        self.open(place, &found, &stored, &key)
    }

    /// The same without holding up those who wait for other things.
    async fn read_elsewhere(self: &Arc<Self>, place: &ChunkPlace) -> Result<Bytes> {
        let (found, stored, key) = self.fetch(place).await?;
        if found.segment.plain_length < HANDED_OVER_BYTES_MIN {
            return self.open(place, &found, &stored, &key);
        }
        let (this, place) = (Arc::clone(self), *place);
        let opened = tokio::task::spawn_blocking(move || this.open(&place, &found, &stored, &key)).await;
        opened.map_err(|cause| Error::new(Kind::Bug, "a thread that opens segments ended early").because(cause))?
    }

    async fn fetch(&self, place: &ChunkPlace) -> Result<(Found, Bytes, Arc<DataKey>)> {
        let found = self.find(place)?;
        let Found { index, pack, segment } = &found;
        let (offset, length) = (u64::from(segment.offset), u64::from(segment.stored_length));
        let stored = self.index.fetch(place.pack, offset, length).await?;
        let key_id = pack.data_keys.get(usize::from(segment.data_key)).ok_or_else(missing)?;
        let key = self.index.data_key(index, pack, key_id).await?;
        Ok((found, stored, key))
    }

    fn open(&self, place: &ChunkPlace, found: &Found, stored: &Bytes, key: &DataKey) -> Result<Bytes> {
        let Found { pack, segment, .. } = found;
        let located = StoredSegment::new(pack.id, pack.class, &pack.salts, place.segment, segment, stored)?;
        let idle = self.decoders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut decoder = idle.unwrap_or_else(|| SegmentDecoder::new(self.index.store()));
        let plain = decoder.decode(&located, key).map(Bytes::copy_from_slice);
        let mut decoders = self.decoders.lock().unwrap_or_else(PoisonError::into_inner);
        if decoders.len() < DECODERS_IDLE {
            decoders.push(decoder);
        }
        plain
    }
}

fn missing() -> Error {
    Error::damaged("the index", "a chunk names a pack or segment that is not there")
}
