//! Segments formed anew from the chunks that are still needed of old ones, verified from their final bytes.

use super::pack::Parcel;
use super::spare::Spares;
use crate::class::Class;
use crate::crypto::seal::DataKey;
use crate::crypto::seal::Sealer;
use crate::crypto::seal::SegmentHead;
use crate::entry::ChunkRef;
use crate::error::Result;
use crate::format::segment::SEAL_BYTES_MAX;
use crate::format::wire::length_u32;
use crate::limits::METADATA_SEGMENT_BYTES_GOAL;
use crate::limits::SEGMENT_BYTES_GOAL;
use crate::limits::SEGMENT_CHUNKS_MAX;
use crate::limits::segment_goal;
use crate::squeeze::Squeezer;
use crate::store::SegmentReader;
use crate::store::Store;
use bytes::Bytes;
use std::sync::Arc;

/// The zstd level of segments formed anew: what a backup uses unless it is told otherwise.
const LEVEL: i32 = 3;

/// Plaintext at which a segment is closed.
pub(super) const fn segment_bytes(class: Class) -> usize {
    match class {
        Class::Data => SEGMENT_BYTES_GOAL,
        Class::Metadata => METADATA_SEGMENT_BYTES_GOAL,
    }
}

/// A segment being filled.
#[derive(Default)]
struct Open {
    plain: Vec<u8>,
    chunks: Vec<ChunkRef>,
}

/// The open segments of one class: chunks of squeezed segments are squeezed again, those of stored ones are stored.
pub(super) struct Regroup {
    store: Arc<Store>,
    class: Class,
    key: Arc<DataKey>,
    spares: Spares,
    sealer: Sealer,
    squeezer: Squeezer,
    reader: SegmentReader,
    goal: usize,
    squeezed: Vec<u8>,
    squeezable: Open,
    stored: Open,
}

impl Regroup {
    /// Seals with `key`, which is stored already, for packs that are closed at `pack_bytes`.
    pub(super) fn new(
        store: &Arc<Store>,
        class: Class,
        key: Arc<DataKey>,
        pack_bytes: usize,
        spares: &Spares,
    ) -> Result<Self> {
        let goal = segment_goal(segment_bytes(class), pack_bytes);
        Ok(Self {
            sealer: Sealer::new(Arc::clone(&key), store.repository(), store.rng())?,
            squeezer: Squeezer::new(LEVEL)?,
            reader: SegmentReader::with_room(store, segment_bytes(class)),
            store: Arc::clone(store),
            class,
            key,
            spares: spares.clone(),
            goal,
            squeezed: Vec::new(),
            squeezable: Open { plain: Vec::with_capacity(goal), chunks: Vec::new() },
            stored: Open::default(),
        })
    }

    /// Takes a chunk whose id was compared with its bytes; gives a segment when that closes one.
    pub(super) fn add(&mut self, chunk: ChunkRef, bytes: &[u8], compression: u8) -> Result<Option<Parcel>> {
        let squeezable = compression != 0;
        let open = if squeezable { &self.squeezable } else { &self.stored };
        let is_full = !open.chunks.is_empty()
            && (open.plain.len() + bytes.len() > self.goal || open.chunks.len() >= SEGMENT_CHUNKS_MAX);
        let closed = if is_full { self.close(squeezable)? } else { None };
        let open = if squeezable { &mut self.squeezable } else { &mut self.stored };
        if open.plain.capacity() == 0 {
            open.plain.reserve_exact(self.goal.max(bytes.len()));
        }
        open.plain.extend_from_slice(bytes);
        open.chunks.push(chunk);
        Ok(closed)
    }

    /// Closes what is open.
    pub(super) fn finish(&mut self) -> Result<Vec<Parcel>> {
        let both = [self.close(true)?, self.close(false)?];
        Ok(both.into_iter().flatten().collect())
    }

    fn close(&mut self, squeezable: bool) -> Result<Option<Parcel>> {
        let Open { mut plain, chunks } =
            std::mem::take(if squeezable { &mut self.squeezable } else { &mut self.stored });
        if chunks.is_empty() {
            return Ok(None);
        }
        let mut squeezed = std::mem::take(&mut self.squeezed);
        let helped = squeezable && self.squeezer.squeeze(&plain, &mut squeezed)?;
        let plain_length = length_u32(plain.len());
        let head = SegmentHead { class: self.class, compression: u8::from(helped), plain_length };
        let bytes = if helped { &squeezed } else { &plain };
        let spare = self.spares.take(bytes.len() + SEAL_BYTES_MAX);
        let sealed = self.sealer.seal_into(spare, self.store.rng(), head, bytes)?;
        self.squeezed = squeezed;
        self.reader.verify(&sealed, &plain, &self.key)?;
        // The next one of its kind grows in the same memory.
        plain.clear();
        (if squeezable { &mut self.squeezable } else { &mut self.stored }).plain = plain;
        Ok(Some(Parcel {
            plain_length,
            compression: head.compression,
            data_key: sealed.data_key(),
            wrapped_key: self.store.wrapped_key(&sealed.data_key())?,
            place: sealed.place(),
            stored: Bytes::from(sealed.into_bytes()),
            chunks,
        }))
    }
}
