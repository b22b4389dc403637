//! Getting a snapshot off condemned packs: other copies of its chunks, or their sealed segments in new packs.

use super::needs::Needs;
use crate::catalog::Gap;
use crate::catalog::PageSource;
use crate::catalog::Survey;
use crate::catalog::Surveyor;
use crate::class::Class;
use crate::crypto::name;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::IndexedPack;
use crate::format::pack::OwnTable;
use crate::format::page::PageRef;
use crate::id::ChunkId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::index::chunks::ChunkReader;
use crate::index::distrust::Distrust;
use crate::index::load;
use crate::index::table::Index;
use crate::job::Control;
use crate::pack::FullPack;
use crate::pack::IndexWriter;
use crate::pack::IndexedPacks;
use crate::pack::Parcel;
use crate::store::OnFull;
use crate::store::Store;
use crate::store::StoredSegment;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

/// The outcome of a rescue.
pub(super) enum Rescued {
    /// Everything is in usable packs, as far as was known when the index was read: to be validated again.
    All(Needs),
    /// These chunks and pages are gone; everything else is as above.
    Lost(HashSet<ChunkId>, Needs),
}

/// Finds or makes a usable copy of every chunk and page below `root`. `needed` are the packs that the snapshot has
/// relied on; those which the index has forgotten meanwhile are read for as long as they are there.
pub(super) async fn rescue(
    store: &Arc<Store>,
    control: &Control,
    session: SnapshotId,
    root: Option<PageRef>,
    needed: &HashSet<PackId>,
    distrust: &Arc<Distrust>,
) -> Result<Rescued> {
    let mut index = load::load_what_is_stored(store).await?.index;
    index.share(distrust);
    // In the order of names here and below, so that one seed replays a failure.
    for pack in needed.iter().collect::<BTreeSet<_>>() {
        if !index.has_pack(pack)
            && let Some((own, bytes)) = whole_pack(store, *pack).await?
        {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            index.add_unnamed(IndexedPack { pack: *pack, length, table: own.table })?;
        }
    }
    let index = Arc::new(index);
    let pages: Arc<dyn PageSource> = Arc::new(ChunkReader::new(store, &index, Class::Metadata));
    let mut traced = Traced::new(&index);
    Survey::new(pages).visit(root, &mut traced).await;
    let Traced { packs, homeless, lost, failed, .. } = traced;
    if let Some(error) = failed {
        return Err(error);
    }
    let mut copier = Copier { store, control, session, index: &index, homeless, lost, tried: HashSet::new() };
    let copied = copier.run().await?;
    let lost = copier.lost;
    // The walk may have found more damage behind what it has counted as usable: the next validation sees that.
    let objects = index.objects().clone();
    let mut needs = Needs::of(packs, objects, distrust);
    needs.packs.extend(copied.packs());
    needs.objects.extend(copied.objects());
    Ok(if lost.is_empty() { Rescued::All(needs) } else { Rescued::Lost(lost, needs) })
}

/// A pack's table and bytes, if it is there and exactly what was stored.
async fn whole_pack(store: &Store, id: PackId) -> Result<Option<(OwnTable, Bytes)>> {
    let read = store.get_pack(id).await.and_then(|bytes| Ok((store.open_pack(id, &bytes)?.own, bytes)));
    match read {
        Ok((_, bytes)) if name::object_hash([bytes.as_ref()]) != *id.as_bytes() => Ok(None),
        Ok(whole) => Ok(Some(whole)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), Kind::NotFound | Kind::Damaged | Kind::Unsupported)
}

/// What a walk through the snapshot's own catalog has found.
struct Traced<'a> {
    index: &'a Index,
    /// One usable pack for each chunk that has any.
    packs: HashSet<PackId>,
    /// Chunks without a usable copy, and their lengths.
    homeless: BTreeMap<ChunkId, u32>,
    /// Pages that cannot be read.
    lost: HashSet<ChunkId>,
    /// The store could not be asked.
    failed: Option<Error>,
}

impl<'a> Traced<'a> {
    fn new(index: &'a Index) -> Self {
        Self { index, packs: HashSet::new(), homeless: BTreeMap::new(), lost: HashSet::new(), failed: None }
    }
}

impl Surveyor for Traced<'_> {
    fn chunk(&mut self, chunk: &ChunkRef) {
        match self.index.usable(&chunk.id, chunk.length) {
            Ok(place) => match place.and_then(|place| self.index.pack_id(place.pack)) {
                Some(pack) => drop(self.packs.insert(pack)),
                None => drop(self.homeless.insert(chunk.id, chunk.length)),
            },
            Err(error) => drop(self.failed.get_or_insert(error)),
        }
    }

    fn page(&mut self, page: &PageRef) {
        self.chunk(&ChunkRef { id: page.id, length: page.length });
    }

    fn unreadable(&mut self, page: &PageRef, _: Option<Gap>, error: Error) {
        if is_gone(&error) {
            self.lost.insert(page.id);
        } else {
            self.failed.get_or_insert(error);
        }
    }
}

/// Copies sealed segments, one pack at a time.
struct Copier<'a> {
    store: &'a Arc<Store>,
    control: &'a Control,
    session: SnapshotId,
    index: &'a Index,
    homeless: BTreeMap<ChunkId, u32>,
    lost: HashSet<ChunkId>,
    /// Packs that were copied from, or are gone.
    tried: HashSet<u32>,
}

impl Copier<'_> {
    /// New packs with everything that is homeless and not lost.
    async fn run(&mut self) -> Result<IndexedPacks> {
        let mut index = IndexWriter::new(self.store, OnFull::Fail);
        while let Some((id, length)) = self.homeless.first_key_value().map(|(id, length)| (*id, *length)) {
            self.control.check()?;
            let Some(pack) = self.next_source(&id, length)? else {
                self.homeless.remove(&id);
                self.lost.insert(id);
                continue;
            };
            if let Some(whole) = whole_pack(self.store, pack).await? {
                self.copy(pack, whole, &mut index).await?;
            }
        }
        index.finish().await
    }

    /// A pack with a copy of the chunk that was not tried yet.
    fn next_source(&mut self, id: &ChunkId, length: u32) -> Result<Option<PackId>> {
        let mut places = self.index.find_all(id)?.into_iter();
        let place = places.find(|place| place.length == length && !self.tried.contains(&place.pack));
        Ok(place.and_then(|place| {
            self.tried.insert(place.pack);
            self.index.pack_id(place.pack)
        }))
    }

    /// The segments of one pack that are needed, as a pack of their own; without opening them.
    async fn copy(&mut self, from: PackId, (own, bytes): (OwnTable, Bytes), index: &mut IndexWriter) -> Result<()> {
        let wrapped_keys = self.store.keys_to_copy(&own).await?;
        let table = own.table;
        let mut pack = FullPack::new(table.class, self.session);
        for (number, segment) in (0u16..).zip(&table.segments) {
            if !segment.chunks.iter().any(|chunk| self.homeless.get(&chunk.id) == Some(&chunk.length)) {
                continue;
            }
            let located = StoredSegment::of_table(from, &table, number)?;
            let wrapped_key = wrapped_keys.get(usize::from(segment.data_key)).cloned();
            let wrapped_key = wrapped_key.ok_or_else(|| Error::new(Kind::Bug, "a segment names no key"))?;
            let stored = bytes.slice_ref(located.within(&bytes, 0)?);
            pack.add(Parcel::copied(&located, segment, wrapped_key, stored))?;
            for chunk in &segment.chunks {
                if self.homeless.get(&chunk.id) == Some(&chunk.length) {
                    self.homeless.remove(&chunk.id);
                }
            }
        }
        if pack.is_empty() {
            return Ok(());
        }
        let new = pack.lay_out(self.store)?;
        // What the new name was computed from is the same memory: if it still hashes to the old name, the copy is true.
        if name::object_hash([bytes.as_ref()]) != *from.as_bytes() {
            return Err(Error::new(Kind::Bug, format!("pack {from} has changed in memory while it was copied")));
        }
        let (stored, _) = self.store.put_pack(new, OnFull::Fail).await?;
        index.add(stored).await
    }
}
