//! What is still needed of one pack: whole segments as they are, or single chunks for new segments.

use super::bits::Bits;
use super::options::PruneOptions;
use crate::class::Class;
use crate::crypto::name;
use crate::crypto::seal::DataKey;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::format::pack::OwnTable;
use crate::format::pack::SegmentRecord;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::index::table::Index;
use crate::pack::Form;
use crate::pack::Parcel;
use crate::pack::SegmentBuffers;
use crate::pack::SegmentBuilder;
use crate::pack::SegmentShape;
use crate::store::SegmentReader;
use crate::store::Store;
use crate::store::StoredSegment;
use bytes::Bytes;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Which copies of chunks are needed.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) index: Arc<Index>,
    pub(super) positions: Arc<Bits>,
}

impl Wanted {
    fn has(&self, chunk: &ChunkRef, pack: u32, segment: u16, offset: u32) -> Result<bool> {
        let here = |record: &ChunkRecord| {
            (record.pack, record.segment, record.offset, record.length) == (pack, segment, offset, chunk.length)
        };
        let copies = self.index.copies(&chunk.id)?;
        Ok(copies.iter().any(|(position, record)| self.positions.has(*position) && here(record)))
    }
}

/// A pack that is being left, whose bytes were seen to hash to its name.
pub(super) struct Victim {
    pub(super) id: PackId,
    /// Its number in the index.
    pub(super) number: u32,
    pub(super) own: OwnTable,
    /// Keys at hand. A segment whose key is missing is copied whole.
    pub(super) keys: HashMap<DataKeyId, Arc<DataKey>>,
}

/// What is needed of one segment.
pub(super) struct Take {
    pub(super) number: u16,
    /// Where its stored bytes stand in the pack.
    pub(super) place: Range<u32>,
    pub(super) way: Way,
}

/// How it comes into a new pack.
pub(super) enum Way {
    /// As it is sealed. Its bytes must hash to this, as they did when the whole pack hashed to its name.
    Whole([u8; 32]),
    /// These chunks of it, in new segments.
    Anew(Vec<(u32, ChunkRef)>),
}

impl Victim {
    /// What is needed of its segments, in their order, and how many chunks that are.
    pub(super) fn takes(&self, store: &Store, wanted: &Wanted, options: &PruneOptions) -> Result<(Vec<Take>, usize)> {
        let (mut takes, mut found) = (Vec::new(), 0);
        for (number, segment) in (0u16..).zip(&self.own.table.segments) {
            let (mut offset, mut chunks, mut wanted_bytes) = (0u32, Vec::new(), 0u32);
            for chunk in &segment.chunks {
                if wanted.has(chunk, self.number, number, offset)? {
                    chunks.push((offset, *chunk));
                    wanted_bytes += chunk.length;
                }
                offset = offset.saturating_add(chunk.length);
            }
            if chunks.is_empty() {
                continue;
            }
            found += chunks.len();
            let wasted = u64::from(segment.plain_length.saturating_sub(wanted_bytes)) * 100_000;
            let is_wasteful = wasted > u64::from(segment.plain_length) * u64::from(options.max_unused.of_a_segment());
            let key = self.key_of(segment);
            let must_open = options.reencrypt && key.map_or(Ok(true), |key| store.is_wrapped_before(&key.id))?;
            let way = match key {
                Some(_) if is_wasteful || must_open => Way::Anew(chunks),
                None if must_open => {
                    let what = format!("the key of segment {number} of pack {}", self.id);
                    return Err(Error::damaged(what, "it does not open, so that the segment cannot be sealed anew"));
                }
                _ => Way::Whole([0; 32]),
            };
            takes.push(Take {
                number,
                place: segment.offset..segment.offset.saturating_add(segment.stored_length),
                way,
            });
        }
        Ok((takes, found))
    }

    fn key_of(&self, segment: &SegmentRecord) -> Option<&Arc<DataKey>> {
        let key = self.own.table.data_keys.get(usize::from(segment.data_key))?;
        self.keys.get(key)
    }
}

/// Segments of one pack that stand near each other, fetched at once.
pub(super) struct Lot {
    pub(super) victim: Arc<Victim>,
    pub(super) takes: Vec<Take>,
    /// Where `bytes` begin in the pack.
    pub(super) start: u32,
    pub(super) bytes: Vec<u8>,
    /// Where their memory goes when they are done with.
    pub(super) buffers: SegmentBuffers,
}

impl Lot {
    /// A segment, and its bytes as stored.
    fn stored(&self, take: &Take) -> Result<(StoredSegment, &[u8])> {
        let located = StoredSegment::of_table(self.victim.id, &self.victim.own.table, take.number)?;
        let stored = located.within(&self.bytes, self.start)?;
        Ok((located, stored))
    }
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copied {
    pub(super) segments_copied: u64,
    pub(super) segments_formed: u64,
}

/// Takes what is needed out of packs of one class, one lot after another.
pub(super) struct Extractor {
    store: Arc<Store>,
    segments: SegmentBuilder,
    buffers: SegmentBuffers,
    reader: SegmentReader,
    parcels: Vec<Parcel>,
    pub(super) copied: Copied,
}

impl Extractor {
    pub(super) fn new(store: &Arc<Store>, class: Class, segments: SegmentBuilder, buffers: SegmentBuffers) -> Self {
        Self {
            store: Arc::clone(store),
            segments,
            buffers,
            reader: SegmentReader::with_room(store, SegmentShape::bytes(class)),
            parcels: Vec::new(),
            copied: Copied::default(),
        }
    }

    /// Goes through a lot; gives what is for new packs by now.
    pub(super) fn extract(&mut self, lot: Lot) -> Result<Vec<Parcel>> {
        for take in &lot.takes {
            let segment = lot.victim.own.table.segments.get(usize::from(take.number));
            let segment = segment.ok_or_else(|| Error::new(Kind::Bug, "a segment is taken that is not there"))?;
            match &take.way {
                Way::Whole(hash) => self.copy_whole(&lot, take, segment, hash)?,
                Way::Anew(wanted) => self.form_anew(&lot, take, segment, wanted)?,
            }
        }
        lot.buffers.give(lot.bytes);
        Ok(std::mem::take(&mut self.parcels))
    }

    /// Closes all segments that are open.
    pub(super) fn finish(&mut self) -> Result<Vec<Parcel>> {
        let parcels = self.segments.finish()?;
        self.copied.segments_formed += u64::try_from(parcels.len()).unwrap_or(u64::MAX);
        Ok(parcels)
    }

    /// The sealed segment as it stands, without opening it.
    fn copy_whole(&mut self, lot: &Lot, take: &Take, segment: &SegmentRecord, hash: &[u8; 32]) -> Result<()> {
        let Victim { id, own: OwnTable { wrapped_keys, .. }, keys, .. } = &*lot.victim;
        let (located, stored) = lot.stored(take)?;
        if name::object_hash([stored]) != *hash {
            return Err(Error::damaged(format!("pack {id}"), "it is not what it was a moment ago"));
        }
        // The object's bytes, or the old pack's copy of them where the object is lost.
        let wrapped_key = if keys.contains_key(located.key()) {
            self.store.wrapped_key(located.key())?
        } else {
            let copy = wrapped_keys.get(usize::from(segment.data_key));
            let missing = || Error::damaged(format!("pack {id}"), "it has no copy of a data key that it names");
            copy.ok_or_else(missing)?.clone()
        };
        self.copied.segments_copied += 1;
        // A slice would keep the whole lot in memory.
        let mut own = self.buffers.take(stored.len());
        own.extend_from_slice(stored);
        self.parcels.push(Parcel::copied(&located, segment, wrapped_key, Bytes::from(own)));
        Ok(())
    }

    fn form_anew(&mut self, lot: &Lot, take: &Take, segment: &SegmentRecord, wanted: &[(u32, ChunkRef)]) -> Result<()> {
        let (located, stored) = lot.stored(take)?;
        let key = lot.victim.key_of(segment);
        let key = key.ok_or_else(|| Error::new(Kind::Bug, "a segment is opened without its key"))?;
        let open = self.reader.open(&located, stored, key)?;
        for (offset, chunk) in wanted {
            let bytes = open.chunk(*offset, chunk)?;
            // What did not squeeze then is not tried again.
            let form = if segment.compression == 0 { Form::Stored } else { Form::Squeezed };
            if let Some(parcel) = self.segments.add(*chunk, bytes, form)? {
                self.copied.segments_formed += 1;
                self.parcels.push(parcel);
            }
        }
        Ok(())
    }
}
