//! Single chunks by name: located, fetched, opened, verified; with the segments that were used last at hand.

use super::live::LiveIndex;
use super::segments::Segments;
use super::table::ChunkPlace;
use super::table::Index;
use crate::class::Class;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Result;
use crate::id::ChunkId;
use crate::store::OpenSegment;
use crate::store::Store;
use bytes::Bytes;
use std::sync::Arc;

/// Reads chunks of one class through the index; clones share the segments at hand.
#[derive(Clone)]
pub(crate) struct ChunkReader {
    segments: Arc<Segments>,
}

impl ChunkReader {
    pub(crate) fn new(store: &Arc<Store>, index: &Arc<Index>, class: Class) -> Self {
        Self::live(&LiveIndex::new(store, Arc::clone(index)), class)
    }

    /// The same through an index that others read through as well.
    pub(crate) fn live(index: &Arc<LiveIndex>, class: Class) -> Self {
        Self { segments: Arc::new(Segments::new(index, class)) }
    }

    /// The chunk's bytes, from the first copy that verifies.
    pub(crate) async fn chunk(&self, id: &ChunkId) -> Result<Bytes> {
        let (mut last, mut tried) = (None, Vec::new());
        // Asked anew after every failure: a pack that is gone may have made the index be read again.
        while let Some(place) = self.index().find_all(id)?.into_iter().find(|place| !tried.contains(place)) {
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

    /// A hint that the chunk will be asked for soon: its segment is read and opened meanwhile.
    pub(crate) fn ahead(&self, id: &ChunkId) {
        if let Ok(Some(place)) = self.index().find_all(id).map(|places| places.first().copied()) {
            self.segments.open_ahead(&place);
        }
    }

    /// Reads the segment that a copy stands in and opens it; nothing of it is kept.
    pub(crate) async fn open_segment(&self, place: &ChunkPlace) -> Result<()> {
        self.segments.read(place).await.map(drop)
    }

    fn index(&self) -> &Arc<LiveIndex> {
        self.segments.index()
    }

    /// Nothing that this run commits may rely on the pack any more.
    fn distrust(&self, pack: u32, why: &Error) {
        if let Some((index, number)) = self.index().with_pack(pack)
            && let Some(id) = index.pack_id(number)
        {
            index.distrust().add(id, why);
        }
    }

    async fn copy(&self, id: &ChunkId, place: &ChunkPlace) -> Result<Bytes> {
        let segment = self.segments.get(place).await?;
        let open = OpenSegment::kept(self.index().store(), self.segments.class(), &segment);
        let bytes = open.chunk(place.offset, &ChunkRef { id: *id, length: place.length })?;
        Ok(segment.slice_ref(bytes))
    }
}
