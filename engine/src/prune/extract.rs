//! What is still needed of one pack: whole segments as they are, or single chunks for new segments.

use super::bits::Bits;
use super::options::PruneOptions;
use super::pack::Parcel;
use super::regroup::Regroup;
use crate::class::Class;
use crate::crypto::name;
use crate::crypto::seal::DataKey;
use crate::crypto::seal::Place;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::format::pack::OwnTable;
use crate::format::pack::SegmentRecord;
use crate::format::wire::size;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::index::table::Index;
use crate::store::SegmentDecoder;
use crate::store::Store;
use crate::store::StoredSegment;
use bytes::Bytes;
use std::collections::HashMap;
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

/// A pack as it was fetched.
pub(super) struct Fetched {
    pub(super) id: PackId,
    /// Its number in the index.
    pub(super) number: u32,
    pub(super) bytes: Vec<u8>,
    /// How many chunks are needed of it.
    pub(super) needed: usize,
    /// Keys at hand. A segment whose key is missing is copied whole.
    pub(super) keys: HashMap<DataKeyId, Arc<DataKey>>,
}

/// A victim in memory, whose bytes hash to its name.
pub(super) struct Victim {
    pub(super) pack: Fetched,
    own: OwnTable,
}

impl Victim {
    /// A pack that is not what its name says is damaged: nothing of it is copied, so that no damage is given a new name.
    pub(super) fn open(store: &Store, class: Class, pack: Fetched) -> Result<Self> {
        let damaged = |why: &str| Err(Error::damaged(format!("pack {}", pack.id), why));
        if name::object_hash([pack.bytes.as_slice()]) != *pack.id.as_bytes() {
            return damaged("its bytes do not hash to its name");
        }
        let own = store.open_pack(pack.id, &pack.bytes)?.own;
        if own.table.class != class {
            return damaged("it is of another class than the index says");
        }
        Ok(Self { pack, own })
    }
}

/// One of the two parts of a pack that are gone through at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    First,
    Second,
}

/// What was taken out of a part of a pack.
pub(super) struct Taken {
    pub(super) parcels: Vec<Parcel>,
    /// How many of the needed chunks were found there.
    pub(super) found: usize,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copied {
    pub(super) segments_copied: u64,
    pub(super) segments_formed: u64,
    pub(super) chunks: u64,
}

/// Takes what is needed out of parts of packs of one class, one after another.
pub(super) struct Extractor {
    store: Arc<Store>,
    class: Class,
    wanted: Wanted,
    options: PruneOptions,
    regroup: Regroup,
    decoder: SegmentDecoder,
    parcels: Vec<Parcel>,
    pub(super) copied: Copied,
}

impl Extractor {
    pub(super) fn new(
        store: &Arc<Store>,
        class: Class,
        wanted: Wanted,
        options: &PruneOptions,
        regroup: Regroup,
    ) -> Self {
        Self {
            store: Arc::clone(store),
            class,
            wanted,
            options: options.clone(),
            regroup,
            decoder: SegmentDecoder::new(store),
            parcels: Vec::new(),
            copied: Copied::default(),
        }
    }

    /// Goes through a part of a pack; gives what is for new packs by now.
    pub(super) fn extract(&mut self, victim: &Victim, half: Half) -> Result<Taken> {
        let segments = &victim.own.table.segments;
        let middle = segments.len() / 2;
        let is_mine = |number: usize| (number < middle) == matches!(half, Half::First);
        let mut found = 0;
        for (at, (number, segment)) in (0u16..).zip(segments).enumerate() {
            if is_mine(at) {
                found += self.segment(victim, number, segment)?;
            }
        }
        Ok(Taken { parcels: std::mem::take(&mut self.parcels), found })
    }

    /// Closes all segments that are open.
    pub(super) fn finish(&mut self) -> Result<Vec<Parcel>> {
        let parcels = self.regroup.finish()?;
        self.copied.segments_formed += u64::try_from(parcels.len()).unwrap_or(u64::MAX);
        Ok(parcels)
    }

    /// Takes over what is needed of one segment; gives how many chunks that are.
    fn segment(&mut self, victim: &Victim, number: u16, segment: &SegmentRecord) -> Result<usize> {
        let (mut offset, mut wanted, mut wanted_bytes) = (0u32, Vec::new(), 0u32);
        for chunk in &segment.chunks {
            if self.wanted.has(chunk, victim.pack.number, number, offset)? {
                wanted.push((offset, *chunk));
                wanted_bytes += chunk.length;
            }
            offset = offset.saturating_add(chunk.length);
        }
        if wanted.is_empty() {
            return Ok(0);
        }
        self.copied.chunks += u64::try_from(wanted.len()).unwrap_or(u64::MAX);
        let wasted = u64::from(segment.plain_length.saturating_sub(wanted_bytes)) * 100_000;
        let is_wasteful = wasted > u64::from(segment.plain_length) * u64::from(self.options.max_unused.of_a_segment());
        let key = victim.own.table.data_keys.get(usize::from(segment.data_key)).copied();
        let key = key.and_then(|key| victim.pack.keys.get(&key));
        let must_open = self.options.reencrypt && key.map_or(Ok(true), |key| self.store.is_wrapped_before(&key.id))?;
        match key.filter(|_| is_wasteful || must_open) {
            Some(key) => {
                let key = Arc::clone(key);
                self.form_anew(victim, number, segment, &key, &wanted)?;
            }
            None if must_open => {
                let what = format!("the key of segment {number} of pack {}", victim.pack.id);
                return Err(Error::damaged(what, "it does not open, so that the segment cannot be sealed anew"));
            }
            None => self.copy_whole(victim, number, segment)?,
        }
        Ok(wanted.len())
    }

    /// The sealed segment as it stands, without opening it: the pack's hash was compared with its name.
    fn copy_whole(&mut self, victim: &Victim, number: u16, segment: &SegmentRecord) -> Result<()> {
        let OwnTable { table, wrapped_keys } = &victim.own;
        let stored = stored(victim, segment)?;
        let located = StoredSegment::new(victim.pack.id, self.class, &table.salts, number, &segment.info(), stored)?;
        let at = usize::from(segment.data_key);
        let (data_key, copy) = table.data_keys.get(at).zip(wrapped_keys.get(at)).ok_or_else(|| {
            Error::damaged(format!("pack {}", victim.pack.id), "a segment names a data key that is not in the table")
        })?;
        // The object's bytes, or the old pack's copy of them where the object is lost.
        let wrapped_key =
            if victim.pack.keys.contains_key(data_key) { self.store.wrapped_key(data_key)? } else { copy.clone() };
        let place: Place = located.place;
        self.copied.segments_copied += 1;
        self.parcels.push(Parcel {
            // A copy: a slice would keep the whole old pack in memory.
            stored: Bytes::copy_from_slice(stored),
            plain_length: segment.plain_length,
            compression: segment.compression,
            data_key: *data_key,
            wrapped_key,
            place,
            chunks: segment.chunks.clone(),
        });
        Ok(())
    }

    fn form_anew(
        &mut self,
        victim: &Victim,
        number: u16,
        segment: &SegmentRecord,
        key: &DataKey,
        wanted: &[(u32, ChunkRef)],
    ) -> Result<()> {
        let stored = stored(victim, segment)?;
        let located =
            StoredSegment::new(victim.pack.id, self.class, &victim.own.table.salts, number, &segment.info(), stored)?;
        let plain = self.decoder.decode(&located, key)?;
        for (offset, chunk) in wanted {
            let damaged = || Error::damaged(format!("chunk {}", chunk.id), "its bytes do not hash to its name");
            let start = size(*offset);
            let bytes = plain.get(start..start.saturating_add(size(chunk.length))).ok_or_else(damaged)?;
            if self.store.names(self.class).name(bytes) != chunk.id {
                return Err(damaged());
            }
            if let Some(parcel) = self.regroup.add(*chunk, bytes, segment.compression)? {
                self.copied.segments_formed += 1;
                self.parcels.push(parcel);
            }
        }
        Ok(())
    }
}

fn stored<'a>(victim: &'a Victim, segment: &SegmentRecord) -> Result<&'a [u8]> {
    let start = size(segment.offset);
    victim
        .pack
        .bytes
        .get(start..start.saturating_add(size(segment.stored_length)))
        .ok_or_else(|| Error::damaged(format!("pack {}", victim.pack.id), "a segment lies outside it"))
}
