//! What still opens of a damaged pack, as a new pack: sealed segments as they are, each opened and compared first.

use super::look::Look;
use super::look::lost;
use crate::crypto::seal::DataKey;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::format::index::IndexRecords;
use crate::format::index::PackInfo;
use crate::format::pack::OwnTable;
use crate::format::pack::PackTable;
use crate::format::wire::length_u32;
use crate::id::ChunkId;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::index::keys;
use crate::limits::PACK_BYTES_MAX;
use crate::pack::FullPack;
use crate::pack::Parcel;
use crate::store::NewPack;
use crate::store::SegmentReader;
use crate::store::Store;
use crate::store::StoredSegment;
use crate::store::WholePack;
use bytes::Bytes;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

/// What came of a damaged pack.
#[derive(Default)]
pub(super) struct Salvaged {
    /// With the good segments that hold a chunk which no usable pack has.
    pub(super) pack: Option<NewPack>,
    /// Segments the pack had, as far as anything tells.
    pub(super) segments: usize,
    /// Those of them that open no more.
    pub(super) segments_lost: usize,
    /// The chunks of those that still open.
    pub(super) good: Vec<ChunkId>,
    /// Numbers of the packs whose copies were taken for good instead.
    pub(super) leans_on: HashSet<u32>,
}

/// A table that can be relied on, and the keys of it that are at hand; without a table nothing can be opened.
#[derive(Default)]
pub(super) struct Known {
    table: Option<PackTable>,
    keys: HashMap<DataKeyId, Arc<DataKey>>,
}

impl Known {
    pub(super) fn table(&self) -> Option<&PackTable> {
        self.table.as_ref()
    }
}

/// Takes out of a pack what is still good, into a pack of `session`. `look` has no trust in the pack.
pub(super) async fn salvage(
    look: &Arc<Look>,
    id: PackId,
    bytes: Bytes,
    known: &Arc<Known>,
    session: SnapshotId,
) -> Result<Salvaged> {
    let (look, known) = (Arc::clone(look), Arc::clone(known));
    tokio::task::spawn_blocking(move || take_out(&look, id, &bytes, &known, session)).await.map_err(lost)?
}

/// How many segments of a pack do not open to what its table says; those without a key are not counted.
pub(super) async fn count_bad(store: &Arc<Store>, id: PackId, bytes: Bytes, own: OwnTable) -> Result<usize> {
    let judged = judge_segments(store, id, bytes, own).await?;
    Ok(judged.iter().filter(|good| **good == Some(false)).count())
}

/// Whether all segments of a pack open to what its table says.
pub(super) async fn opens_whole(store: &Arc<Store>, id: PackId, bytes: Bytes, own: OwnTable) -> Result<bool> {
    Ok(judge_segments(store, id, bytes, own).await?.iter().all(|good| *good == Some(true)))
}

/// Whether each segment of a pack opens; `None` when its key is lost.
async fn judge_segments(store: &Arc<Store>, id: PackId, bytes: Bytes, own: OwnTable) -> Result<Vec<Option<bool>>> {
    let keys = keys_of(store, &own).await?;
    let (store, table) = (Arc::clone(store), own.table);
    let judged = tokio::task::spawn_blocking(move || {
        let mut reader = SegmentReader::new(&store);
        let pack = WholePack { id, table: &table, bytes: &bytes };
        (0u16..).zip(&table.segments).map(|(number, _)| is_good(&mut reader, &pack, &keys, number)).collect()
    });
    judged.await.map_err(lost)
}

/// The pack's own table, if its seal holds.
pub(super) async fn by_own_table(look: &Look, id: PackId, bytes: &Bytes) -> Result<Option<Known>> {
    let store = &look.store;
    // A pack that was cut short is shorter than its table says: what it still reaches is for each segment to show.
    match store.open_table(id, bytes, length_u32(PACK_BYTES_MAX)) {
        Ok(own) => {
            let keys = keys_of(store, &own).await?;
            Ok(Some(Known { table: Some(own.table), keys }))
        }
        Err(error) if error.is_local() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the index says of packs, in one pass over all its chunks. Those that it does not name are left out.
pub(super) async fn by_index(look: &Look, packs: &[PackId]) -> Result<HashMap<PackId, Known>> {
    let (store, index) = (&look.store, &look.index);
    let numbers = packs.iter().filter_map(|id| index.pack_number(id));
    let mut chunks: HashMap<u32, Vec<ChunkRecord>> = numbers.map(|number| (number, Vec::new())).collect();
    index.for_each_chunk(|copies| {
        for (_, record) in copies {
            if let Some(own) = chunks.get_mut(&record.pack) {
                own.push(ChunkRecord { pack: 0, ..*record });
            }
        }
        Ok(())
    })?;
    let mut all = HashMap::new();
    for (number, chunks) in chunks {
        let Some(pack) = index.pack(number)? else { continue };
        let id = pack.id;
        let mut keys = HashMap::new();
        for key in &pack.data_keys {
            match keys::data_key(store, index, &pack, key).await {
                Ok(opened) => _ = keys.insert(*key, opened),
                Err(error) if error.is_local() => {}
                Err(error) => return Err(error),
            }
        }
        let records = IndexRecords { supersedes: Vec::new(), packs: vec![PackInfo::clone(&pack)], chunks };
        let body =
            records.into_body().map_err(|cause| cause.while_reading(format!("what the index says of pack {id}")));
        let table = body?.packs.into_iter().next().map(|indexed| indexed.table);
        all.insert(id, Known { table, keys });
    }
    Ok(all)
}

/// The keys of a table: their objects, or its own copies.
async fn keys_of(store: &Arc<Store>, own: &OwnTable) -> Result<HashMap<DataKeyId, Arc<DataKey>>> {
    let mut keys = HashMap::new();
    for (key, wrapped) in own.table.data_keys.iter().zip(&own.wrapped_keys) {
        let opened = match store.data_key(key, own.table.class).await {
            Ok(opened) => opened,
            Err(error) if error.is_local() => match store.open_key_copy(key, own.table.class, wrapped) {
                Ok(copy) => {
                    store.rely_on(&copy);
                    copy.key
                }
                Err(_) => continue,
            },
            Err(error) => return Err(error),
        };
        keys.insert(*key, opened);
    }
    Ok(keys)
}

/// Whether a segment opens and all its chunks hash to their ids; `None` when its key is lost.
fn is_good(
    reader: &mut SegmentReader,
    pack: &WholePack<'_>,
    keys: &HashMap<DataKeyId, Arc<DataKey>>,
    number: u16,
) -> Option<bool> {
    let segment = pack.table.segments.get(usize::from(number))?;
    let key = pack.table.data_keys.get(usize::from(segment.data_key)).and_then(|key| keys.get(key))?;
    Some(reader.check(pack, number, key).is_ok())
}

fn take_out(look: &Look, id: PackId, bytes: &Bytes, known: &Known, session: SnapshotId) -> Result<Salvaged> {
    let Known { table: Some(old), keys } = known else { return Ok(Salvaged::default()) };
    let store = &look.store;
    let mut reader = SegmentReader::new(store);
    let whole = WholePack { id, table: old, bytes };
    let mut salvaged = Salvaged { segments: old.segments.len(), ..Salvaged::default() };
    let mut pack = FullPack::new(old.class, session);
    for (number, segment) in (0u16..).zip(&old.segments) {
        if is_good(&mut reader, &whole, keys, number) != Some(true) {
            salvaged.segments_lost += 1;
            continue;
        }
        salvaged.good.extend(segment.chunks.iter().map(|chunk| chunk.id));
        let mut is_needed = false;
        for chunk in &segment.chunks {
            match look.copy(chunk)? {
                Some(pack) => _ = salvaged.leans_on.insert(pack),
                None => is_needed = true,
            }
        }
        if is_needed {
            let located = StoredSegment::of_table(id, old, number)?;
            let wrapped_key = store.wrapped_key(located.key())?;
            let stored = bytes.slice_ref(located.within(bytes, 0)?);
            pack.add(Parcel::copied(&located, segment, wrapped_key, stored))?;
        }
    }
    if !pack.is_empty() {
        salvaged.pack = Some(pack.lay_out(store)?);
    }
    Ok(salvaged)
}
