//! Chunks side by side in segments, squeezed, sealed, and verified from their final bytes.

use super::buffers::SegmentBuffers;
use super::level::LevelChoice;
use super::parcel::Parcel;
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
use crate::squeeze::Compression;
use crate::squeeze::Squeezer;
use crate::store::SegmentReader;
use crate::store::Store;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// What segments are to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentShape {
    pub(crate) class: Class,
    pub(crate) compression: Compression,
    /// Plaintext at which a segment is closed.
    pub(crate) goal_bytes: usize,
}

impl SegmentShape {
    /// Plaintext at which a segment is closed, unless packs are small.
    pub(crate) const fn bytes(class: Class) -> usize {
        match class {
            Class::Data => SEGMENT_BYTES_GOAL,
            Class::Metadata => METADATA_SEGMENT_BYTES_GOAL,
        }
    }

    /// Segments for packs that are closed at `pack_bytes`.
    pub(crate) fn new(class: Class, compression: Compression, pack_bytes: usize) -> Self {
        Self { class, compression, goal_bytes: segment_goal(Self::bytes(class), pack_bytes) }
    }
}

/// How a chunk is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// With others in a segment that is squeezed, if that helps.
    Squeezed,
    /// With others in a segment that is not.
    Stored,
    /// As a segment of its own that is not squeezed, without a copy.
    Alone,
}

/// A segment being filled.
#[derive(Default)]
struct Open {
    plain: Vec<u8>,
    chunks: Vec<ChunkRef>,
}

impl Open {
    /// Whether so much more does not fit.
    fn is_full(&self, bytes: usize, goal_bytes: usize) -> bool {
        !self.chunks.is_empty() && (self.plain.len() + bytes > goal_bytes || self.chunks.len() >= SEGMENT_CHUNKS_MAX)
    }

    fn add(&mut self, chunk: ChunkRef, bytes: &[u8], goal_bytes: usize) {
        if self.plain.capacity() == 0 {
            // Grown step by step it would leave holes of half and a quarter its size behind.
            self.plain.reserve_exact(goal_bytes.max(bytes.len()));
        }
        self.plain.extend_from_slice(bytes);
        self.chunks.push(chunk);
    }
}

/// The open segments of one thread: one to squeeze, one for what does not squeeze.
pub(crate) struct SegmentBuilder {
    store: Arc<Store>,
    shape: SegmentShape,
    key: Arc<DataKey>,
    wrapped_key: Bytes,
    buffers: Option<SegmentBuffers>,
    sealer: Sealer,
    squeezer: Squeezer,
    /// Compares another level, where levels are chosen by samples.
    sampler: Option<Squeezer>,
    reader: SegmentReader,
    level: LevelChoice,
    squeezable: Open,
    stored: Open,
    squeezed: Vec<u8>,
    verifying: Duration,
}

impl SegmentBuilder {
    /// Seals with `key`, which this run has made or read. With `buffers` segments take the memory of those that have left.
    pub(crate) fn new(
        store: &Arc<Store>,
        shape: SegmentShape,
        key: &Arc<DataKey>,
        buffers: Option<&SegmentBuffers>,
    ) -> Result<Self> {
        Ok(Self {
            sealer: Sealer::new(Arc::clone(key), store.repository(), store.rng())?,
            squeezer: Squeezer::new(1)?,
            sampler: None,
            reader: SegmentReader::with_room(store, if buffers.is_some() { shape.goal_bytes } else { 0 }),
            wrapped_key: Bytes::from(store.wrapped_key(&key.id)?),
            store: Arc::clone(store),
            shape,
            key: Arc::clone(key),
            buffers: buffers.cloned(),
            level: LevelChoice::new(shape.compression),
            squeezable: Open::default(),
            stored: Open::default(),
            squeezed: Vec::new(),
            verifying: Duration::ZERO,
        })
    }

    /// Whether anything is squeezed, and what should be probed before.
    pub(crate) fn level(&self) -> &LevelChoice {
        &self.level
    }

    /// Time spent on opening again what was sealed.
    pub(crate) fn verifying(&self) -> Duration {
        self.verifying
    }

    /// Takes a chunk whose id was made from these bytes or compared with them; gives a segment when that closes one.
    pub(crate) fn add(&mut self, chunk: ChunkRef, bytes: &[u8], form: Form) -> Result<Option<Parcel>> {
        if form == Form::Alone {
            return self.seal(0, bytes, bytes, vec![chunk]).map(Some);
        }
        let goal = self.shape.goal_bytes;
        let closed = if self.open(form).is_full(bytes.len(), goal) { self.close(form)? } else { None };
        self.open(form).add(chunk, bytes, goal);
        Ok(closed)
    }

    /// Closes what is open.
    pub(crate) fn finish(&mut self) -> Result<Vec<Parcel>> {
        let both = [self.close(Form::Squeezed)?, self.close(Form::Stored)?];
        Ok(both.into_iter().flatten().collect())
    }

    fn open(&mut self, form: Form) -> &mut Open {
        if form == Form::Squeezed { &mut self.squeezable } else { &mut self.stored }
    }

    fn close(&mut self, form: Form) -> Result<Option<Parcel>> {
        let Open { mut plain, chunks } = std::mem::take(self.open(form));
        if chunks.is_empty() {
            self.open(form).plain = plain;
            return Ok(None);
        }
        let parcel = if form == Form::Squeezed && self.squeeze(&plain)? {
            let squeezed = std::mem::take(&mut self.squeezed);
            let parcel = self.seal(1, &plain, &squeezed, chunks)?;
            self.squeezed = squeezed;
            parcel
        } else {
            self.seal(0, &plain, &plain, chunks)?
        };
        // The next one of its kind grows in the same memory.
        plain.clear();
        self.open(form).plain = plain;
        Ok(Some(parcel))
    }

    /// Squeezes into `self.squeezed`; false when that does not help.
    fn squeeze(&mut self, plain: &[u8]) -> Result<bool> {
        let (level, compare) = self.level.next();
        self.squeezer.set_level(level)?;
        let mut helped = self.squeezer.squeeze(plain, &mut self.squeezed)?;
        if let Some(other) = compare {
            // Samples are rare: their buffer is not worth keeping.
            let mut sampled = Vec::new();
            if self.sampler.is_none() {
                self.sampler = Some(Squeezer::new(other)?);
            }
            let Some(sampler) = &mut self.sampler else { return Ok(helped) };
            sampler.set_level(other)?;
            let other_helped = sampler.squeeze(plain, &mut sampled)?;
            if helped && other_helped {
                self.level.learn(self.squeezed.len(), sampled.len());
            }
            if other_helped && (!helped || sampled.len() < self.squeezed.len()) {
                std::mem::swap(&mut self.squeezed, &mut sampled);
                helped = true;
            }
        }
        Ok(helped)
    }

    fn seal(&mut self, compression: u8, plain: &[u8], squeezed: &[u8], chunks: Vec<ChunkRef>) -> Result<Parcel> {
        let head = SegmentHead { class: self.shape.class, compression, plain_length: length_u32(plain.len()) };
        let memory = self.buffers.as_ref().map(|buffers| buffers.take(squeezed.len() + SEAL_BYTES_MAX));
        let sealed = self.sealer.seal(memory.unwrap_or_default(), self.store.rng(), head, squeezed)?;
        let started = Instant::now();
        self.reader.verify(&sealed, plain, &self.key)?;
        self.verifying += started.elapsed();
        Ok(Parcel::sealed(sealed, self.wrapped_key.clone(), chunks))
    }
}
