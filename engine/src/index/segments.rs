//! Opened segments at hand, for all who read through one index; those that will be wanted soon are opened ahead.

use super::live::LiveIndex;
use super::recent::Recent;
use super::table::ChunkPlace;
use crate::class::Class;
use crate::crypto::seal::DataKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::wire::size;
use crate::limits::DATA_SEGMENTS_KEPT_BYTES;
use crate::limits::METADATA_SEGMENTS_KEPT_BYTES;
use crate::limits::READS_AHEAD_MAX;
use crate::store::SegmentReader;
use crate::store::StoredSegment;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use tokio::sync::OnceCell;
use tokio::sync::Semaphore;

/// Readers that wait for their next use: each holds a buffer of a stored segment.
const READERS_IDLE: usize = 2;
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
    /// Requests for what nobody waits for yet.
    ahead: Semaphore,
    readers: Mutex<Vec<SegmentReader>>,
}

impl Segments {
    pub(super) fn new(index: &Arc<LiveIndex>, class: Class) -> Self {
        let room = match class {
            Class::Data => DATA_SEGMENTS_KEPT_BYTES,
            Class::Metadata => METADATA_SEGMENTS_KEPT_BYTES,
        };
        Self {
            index: Arc::clone(index),
            class,
            kept: Mutex::new(Recent::new(room)),
            ahead: Semaphore::new(READS_AHEAD_MAX),
            readers: Mutex::default(),
        }
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
                let segment = self.find(place)?;
                self.keep(place, &segment).0
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
        let Ok(segment) = self.find(place) else { return };
        let (slot, is_new) = self.keep(place, &segment);
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
    fn keep(&self, place: &ChunkPlace, segment: &StoredSegment) -> (Slot, bool) {
        let key = (place.pack, place.segment);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = kept.get(&key) {
            return (slot, false);
        }
        let slot = Slot::default();
        kept.put(key, Arc::clone(&slot), size(segment.plain_length()));
        (slot, true)
    }

    fn find(&self, place: &ChunkPlace) -> Result<StoredSegment> {
        let segment = self.index.segment(place.pack, place.segment)?;
        if segment.class() != self.class {
            let id = self.index.pack(place.pack)?.id;
            return Err(Error::damaged(format!("pack {id}"), "it is of another class than the chunk"));
        }
        Ok(segment)
    }

    /// Reads and opens it, whatever is at hand.
    pub(super) async fn read(&self, place: &ChunkPlace) -> Result<Bytes> {
        let (segment, stored, key) = self.fetch(place).await?;
        self.open(&segment, &stored, &key)
    }

    /// The same without holding up those who wait for other things.
    async fn read_elsewhere(self: &Arc<Self>, place: &ChunkPlace) -> Result<Bytes> {
        let turn = self.ahead.acquire().await;
        let (segment, stored, key) = self.fetch(place).await?;
        drop(turn);
        if segment.plain_length() < HANDED_OVER_BYTES_MIN {
            return self.open(&segment, &stored, &key);
        }
        let this = Arc::clone(self);
        let opened = tokio::task::spawn_blocking(move || this.open(&segment, &stored, &key)).await;
        opened.map_err(|cause| Error::new(Kind::Bug, "a thread that opens segments ended early").because(cause))?
    }

    async fn fetch(&self, place: &ChunkPlace) -> Result<(StoredSegment, Bytes, Arc<DataKey>)> {
        let segment = self.find(place)?;
        let (offset, length) = (u64::from(segment.offset()), u64::from(segment.stored_length()));
        let stored = self.index.fetch(place.pack, offset, length).await?;
        let key = self.index.data_key(place.pack, segment.key()).await?;
        Ok((segment, stored, key))
    }

    fn open(&self, segment: &StoredSegment, stored: &Bytes, key: &DataKey) -> Result<Bytes> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = idle.unwrap_or_else(|| SegmentReader::new(self.index.store()));
        let plain = reader.open_to_keep(segment, stored, key);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_IDLE {
            readers.push(reader);
        }
        plain
    }
}
