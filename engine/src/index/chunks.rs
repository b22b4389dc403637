//! Single chunks by name: located, fetched, opened, verified; with the last few segments kept at hand.

use super::live::LiveIndex;
use super::table::ChunkPlace;
use super::table::Index;
use crate::class::Class;
use crate::error::Error;
use crate::error::Result;
use crate::format::wire;
use crate::id::ChunkId;
use crate::store::SegmentDecoder;
use crate::store::Store;
use crate::store::StoredSegment;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Decoded segments kept at hand.
const SEGMENTS_KEPT: usize = 6;

/// Reads chunks of one class through the index.
pub(crate) struct ChunkReader {
    index: Arc<LiveIndex>,
    class: Class,
    decoder: Mutex<SegmentDecoder>,
    kept: Mutex<VecDeque<((u32, u16), Bytes)>>,
}

impl ChunkReader {
    pub(crate) fn new(store: &Arc<Store>, index: &Arc<Index>, class: Class) -> Self {
        Self::live(&LiveIndex::new(store, Arc::clone(index)), class)
    }

    /// The same through an index that others read through as well.
    pub(crate) fn live(index: &Arc<LiveIndex>, class: Class) -> Self {
        let decoder = Mutex::new(SegmentDecoder::new(index.store()));
        Self { index: Arc::clone(index), class, decoder, kept: Mutex::default() }
    }

    /// The chunk's bytes, from the first copy that verifies.
    pub(crate) async fn chunk(&self, id: &ChunkId) -> Result<Bytes> {
        let (mut last, mut tried) = (None, Vec::new());
        // Asked anew after every failure: a pack that is gone may have made the index be read again.
        while let Some(place) = self.index.find_all(id)?.into_iter().find(|place| !tried.contains(place)) {
            match self.copy(id, &place).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => {
                    if error.is_local() {
                        self.distrust(place.pack, &error);
                    }
                    last = Some(error);
                }
            }
            tried.push(place);
        }
        Err(last.unwrap_or_else(|| Error::damaged(format!("chunk {id}"), "no index object names it")))
    }

    /// Reads the segment that a copy stands in and opens it; nothing of it is kept.
    pub(crate) async fn open_segment(&self, place: &ChunkPlace) -> Result<()> {
        self.read_segment(place).await.map(drop)
    }

    /// Nothing that this run commits may rely on the pack any more.
    fn distrust(&self, pack: u32, why: &Error) {
        if let Some((index, number)) = self.index.with_pack(pack)
            && let Some(id) = index.pack_id(number)
        {
            index.distrust().add(id, why);
        }
    }

    async fn copy(&self, id: &ChunkId, place: &ChunkPlace) -> Result<Bytes> {
        let segment = self.segment(place).await?;
        let start = wire::size(place.offset);
        let end = start.saturating_add(wire::size(place.length));
        if end > segment.len() {
            return Err(Error::damaged(format!("chunk {id}"), "its place lies outside its segment"));
        }
        let bytes = segment.slice(start..end);
        if self.index.store().names(self.class).name(&bytes) == *id {
            Ok(bytes)
        } else {
            Err(Error::damaged(format!("chunk {id}"), "its bytes do not hash to its name"))
        }
    }

    async fn segment(&self, place: &ChunkPlace) -> Result<Bytes> {
        let wanted = (place.pack, place.segment);
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = kept.iter().position(|(key, _)| *key == wanted)
                && let Some(found) = kept.remove(at)
            {
                let bytes = found.1.clone();
                kept.push_back(found);
                return Ok(bytes);
            }
        }
        let bytes = self.read_segment(place).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SEGMENTS_KEPT {
            kept.pop_front();
        }
        kept.push_back((wanted, bytes.clone()));
        Ok(bytes)
    }

    async fn read_segment(&self, place: &ChunkPlace) -> Result<Bytes> {
        let missing = || Error::damaged("the index", "a chunk names a pack or segment that is not there");
        let (index, number) = self.index.with_pack(place.pack).ok_or_else(missing)?;
        let pack = index.pack(number)?.ok_or_else(missing)?;
        let segment = pack.segments.get(usize::from(place.segment)).ok_or_else(missing)?;
        if pack.class != self.class {
            return Err(Error::damaged(format!("pack {}", pack.id), "it is of another class than the chunk"));
        }
        let (offset, length) = (u64::from(segment.offset), u64::from(segment.stored_length));
        let stored = self.index.fetch(place.pack, offset, length).await?;
        let key_id = pack.data_keys.get(usize::from(segment.data_key)).ok_or_else(missing)?;
        let key = self.index.data_key(&index, &pack, key_id).await?;
        let located = StoredSegment::new(pack.id, pack.class, &pack.salts, place.segment, segment, &stored)?;
        let mut decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Bytes::copy_from_slice(decoder.decode(&located, &key)?))
    }
}
