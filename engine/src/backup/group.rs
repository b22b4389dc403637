//! New chunks side by side in segments, squeezed, sealed, and verified from their final bytes.

use super::level::LevelChoice;
use super::pack::Packer;
use super::pack::Parcel;
use crate::class::Class;
use crate::crypto::seal::DataKey;
use crate::crypto::seal::SealedSegment;
use crate::crypto::seal::Sealer;
use crate::crypto::seal::SegmentHead;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::index::claim::Ticket;
use crate::limits::CHUNK_BYTES_MIN;
use crate::limits::KIB;
use crate::limits::SEGMENT_CHUNKS_MAX;
use crate::squeeze;
use crate::squeeze::Compression;
use crate::squeeze::Squeezer;
use crate::store::SegmentReader;
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// Chunks below this are not probed: they would not fill a segment of their own.
const PROBE_BYTES_MIN: usize = 16 * KIB;

/// What went through a group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) chunks: u64,
    pub(crate) bytes_plain: u64,
    pub(crate) bytes_stored: u64,
    pub(crate) verifying: Duration,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.bytes_plain += other.bytes_plain;
        self.bytes_stored += other.bytes_stored;
        self.verifying += other.verifying;
    }
}

/// A segment being filled.
#[derive(Default)]
struct Open {
    plain: Vec<u8>,
    chunks: Vec<ChunkRef>,
}

/// One worker's open segments: one to squeeze, one for what does not squeeze.
pub(crate) struct Group {
    store: Arc<Store>,
    class: Class,
    key: Arc<DataKey>,
    sealer: Sealer,
    squeezer: Squeezer,
    sampler: Squeezer,
    reader: SegmentReader,
    level: LevelChoice,
    packer: Arc<Packer>,
    goal_bytes: usize,
    squeezable: Open,
    stored: Open,
    squeezed: Vec<u8>,
    sampled: Vec<u8>,
    tally: Tally,
}

impl Group {
    pub(crate) fn new(
        store: &Arc<Store>,
        class: Class,
        key: &Arc<DataKey>,
        compression: Compression,
        goal_bytes: usize,
        packer: &Arc<Packer>,
    ) -> Result<Self> {
        let level = LevelChoice::new(compression);
        Ok(Self {
            sealer: Sealer::new(Arc::clone(key), store.repository(), store.rng())?,
            squeezer: Squeezer::new(1)?,
            sampler: Squeezer::new(1)?,
            reader: SegmentReader::new(store),
            store: Arc::clone(store),
            class,
            key: Arc::clone(key),
            level,
            packer: Arc::clone(packer),
            goal_bytes,
            squeezable: Open::default(),
            stored: Open::default(),
            squeezed: Vec::new(),
            sampled: Vec::new(),
            tally: Tally::default(),
        })
    }

    /// Takes a new chunk. The ticket proves that nobody else packs it.
    pub(crate) fn add(&mut self, ticket: Ticket, bytes: &[u8]) -> Result<()> {
        let chunk = ticket.redeem();
        self.tally.chunks += 1;
        self.tally.bytes_plain += u64::from(chunk.length);
        let incompressible = !self.level.squeezes()
            || (self.level.probes() && bytes.len() >= PROBE_BYTES_MIN && squeeze::is_incompressible(bytes));
        if incompressible && bytes.len() >= CHUNK_BYTES_MIN {
            // Large enough to be a segment alone, without a copy.
            return self.seal_stored(bytes, vec![chunk]);
        }
        let open = if incompressible { &self.stored } else { &self.squeezable };
        let full = open.plain.len() + bytes.len() > self.goal_bytes || open.chunks.len() >= SEGMENT_CHUNKS_MAX;
        if full {
            self.close(incompressible)?;
        }
        let open = if incompressible { &mut self.stored } else { &mut self.squeezable };
        if open.plain.capacity() == 0 {
            // Grown step by step it would leave holes of half and a quarter its size behind.
            open.plain.reserve_exact(self.goal_bytes.max(bytes.len()));
        }
        open.plain.extend_from_slice(bytes);
        open.chunks.push(chunk);
        Ok(())
    }

    /// What went through so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Seals what is open.
    pub(crate) fn finish(mut self) -> Result<Tally> {
        self.close(false)?;
        self.close(true)?;
        Ok(self.tally)
    }

    fn close(&mut self, incompressible: bool) -> Result<()> {
        let open = std::mem::take(if incompressible { &mut self.stored } else { &mut self.squeezable });
        if open.chunks.is_empty() {
            return Ok(());
        }
        let Open { mut plain, chunks } = open;
        if incompressible || !self.squeeze(&plain)? {
            self.seal_stored(&plain, chunks)?;
        } else {
            let squeezed = std::mem::take(&mut self.squeezed);
            let sealed = self.seal(1, &plain, &squeezed)?;
            self.squeezed = squeezed;
            self.hand_over(sealed, chunks)?;
        }
        // The buffer is used again.
        plain.clear();
        let place = if incompressible { &mut self.stored } else { &mut self.squeezable };
        place.plain = plain;
        Ok(())
    }

    /// Squeezes into `self.squeezed`; false when that does not help.
    fn squeeze(&mut self, plain: &[u8]) -> Result<bool> {
        let (level, compare) = self.level.next();
        self.squeezer.set_level(level)?;
        let mut helped = self.squeezer.squeeze(plain, &mut self.squeezed)?;
        if let Some(other) = compare {
            self.sampler.set_level(other)?;
            let other_helped = self.sampler.squeeze(plain, &mut self.sampled)?;
            if helped && other_helped {
                self.level.learn(self.squeezed.len(), self.sampled.len());
            }
            if other_helped && (!helped || self.sampled.len() < self.squeezed.len()) {
                std::mem::swap(&mut self.squeezed, &mut self.sampled);
                helped = true;
            }
            // Samples are rare: their buffer is not worth keeping.
            self.sampled = Vec::new();
        }
        Ok(helped)
    }

    fn seal_stored(&mut self, plain: &[u8], chunks: Vec<ChunkRef>) -> Result<()> {
        let sealed = self.seal(0, plain, plain)?;
        self.hand_over(sealed, chunks)
    }

    fn seal(&mut self, compression: u8, plain: &[u8], squeezed: &[u8]) -> Result<SealedSegment> {
        let plain_length =
            u32::try_from(plain.len()).map_err(|_| Error::new(Kind::Bug, "a segment is longer than 4 GiB"))?;
        let head = SegmentHead { class: self.class, compression, plain_length };
        let sealed = self.sealer.seal(self.store.rng(), head, squeezed)?;
        let started = Instant::now();
        self.reader.verify(&sealed, plain, &self.key)?;
        self.tally.verifying += started.elapsed();
        Ok(sealed)
    }

    fn hand_over(&mut self, sealed: SealedSegment, chunks: Vec<ChunkRef>) -> Result<()> {
        self.tally.bytes_stored += u64::try_from(sealed.bytes().len()).unwrap_or(u64::MAX);
        self.packer.add(Parcel { sealed, chunks })
    }
}
