//! The index of a reader, read again when a pack it names is gone: a prune may have moved what was in it.
//!
//! A prune stores the copy of what is needed and the index object that names it before it deletes a pack. So whoever
//! finds a pack gone finds its chunks in the index as it is now, or they are lost. Packs have numbers that stay valid
//! when the index is read again: those of the new index go on where the old ones end.

use super::keys;
use super::load;
use super::load::Read;
use super::table::ChunkPlace;
use super::table::Index;
use crate::backend::Area;
use crate::backend::Name;
use crate::crypto::seal::DataKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::PackInfo;
use crate::format::wire::length_u32;
use crate::id::ChunkId;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::store::Store;
use crate::store::StoredSegment;
use bytes::Bytes;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use tokio::sync::Mutex;

/// An index that follows what prunes do while a job reads.
pub(crate) struct LiveIndex {
    store: Arc<Store>,
    held: RwLock<Held>,
    /// The pack that was looked at last: neighbours stand in one, and it may have to be read from a file.
    last: std::sync::Mutex<Option<(u32, Arc<PackInfo>)>>,
    /// Held while the index is read again, so that all who miss a pack wait for one reading.
    renewals: Mutex<Renewals>,
}

struct Held {
    current: Numbered,
    /// Earlier ones, of which only the packs are kept: what is under way may still name them.
    earlier: Vec<Numbered>,
}

/// An index and the number of its first pack.
#[derive(Clone)]
struct Numbered {
    first: u32,
    index: Arc<Index>,
}

#[derive(Default)]
struct Renewals {
    /// Packs found missing while the index named them. Each is a reason to look once.
    missed: HashSet<PackId>,
    /// The index objects and tombs there were when the index was last read again.
    objects: Option<Vec<Name>>,
}

impl LiveIndex {
    /// The index as the backend holds it now. What an index object that cannot be read names is missing from it.
    pub(crate) async fn load(store: &Arc<Store>) -> Result<Arc<Self>> {
        Ok(Self::new(store, Arc::new(load::load_what_opens(store, Read::New).await?.0)))
    }

    /// Begins with an index that was read already.
    pub(crate) fn new(store: &Arc<Store>, index: Arc<Index>) -> Arc<Self> {
        let held = Held { current: Numbered { first: 0, index }, earlier: Vec::new() };
        Arc::new(Self {
            store: Arc::clone(store),
            held: RwLock::new(held),
            last: std::sync::Mutex::default(),
            renewals: Mutex::default(),
        })
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The newest index, with its own numbers of packs.
    pub(crate) fn current(&self) -> Arc<Index> {
        self.newest().index
    }

    /// Every copy of a chunk that the newest index knows.
    pub(crate) fn find_all(&self, id: &ChunkId) -> Result<Vec<ChunkPlace>> {
        let Numbered { first, index } = self.newest();
        let mut places = index.find_all(id)?;
        places.iter_mut().for_each(|place| place.pack = place.pack.saturating_add(first));
        Ok(places)
    }

    /// The copy to try after `failed` others. Once the index was read again nobody knows which of its copies were
    /// tried by another number, so they are gone through in turns.
    pub(crate) fn copy(&self, id: &ChunkId, failed: usize) -> Result<Option<ChunkPlace>> {
        let copies = self.find_all(id)?;
        let is_first = self.newest().first == 0;
        let at = if is_first { Some(failed) } else { failed.checked_rem(copies.len()) };
        Ok(at.and_then(|at| copies.get(at)).copied())
    }

    /// The index that has the pack of this number, and the number it has there.
    pub(crate) fn with_pack(&self, number: u32) -> Option<(Arc<Index>, u32)> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let all = std::iter::once(&held.current).chain(held.earlier.iter().rev());
        let found = all.into_iter().find(|numbered| numbered.first <= number)?;
        Some((Arc::clone(&found.index), number - found.first))
    }

    /// A pack by its number.
    pub(crate) fn pack(&self, number: u32) -> Result<Arc<PackInfo>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pack)) = last.as_ref().filter(|(known, _)| *known == number) {
            return Ok(Arc::clone(pack));
        }
        let (index, own) = self.with_pack(number).ok_or_else(missing)?;
        let pack = index.pack(own)?.ok_or_else(missing)?;
        *last = Some((number, Arc::clone(&pack)));
        Ok(pack)
    }

    /// The segment that a copy of a chunk stands in.
    pub(crate) fn segment(&self, pack: u32, number: u16) -> Result<StoredSegment> {
        StoredSegment::indexed(&*self.pack(pack)?, number)
    }

    /// Reads a part of a pack. When the pack is gone that is an error, and the newest index knows what became of it.
    pub(crate) async fn fetch(&self, number: u32, offset: u64, length: u64) -> Result<Bytes> {
        let found = self.with_pack(number).and_then(|(index, number)| index.pack_id(number));
        let id = found.ok_or_else(|| Error::new(Kind::Bug, "a pack was asked for that the index does not have"))?;
        match self.store.fetch(id, offset, length).await {
            Err(error) if error.kind() == Kind::NotFound => {
                self.renew(&id).await?;
                Err(Error::damaged(Name::Pack(id), "it is missing").because(error))
            }
            other => other,
        }
    }

    /// A key for segments of a pack. That it is gone together with the pack, as prunes do it, is for the newest index.
    pub(crate) async fn data_key(&self, number: u32, id: &DataKeyId) -> Result<Arc<DataKey>> {
        let (index, _) = self.with_pack(number).ok_or_else(missing)?;
        let pack = self.pack(number)?;
        match keys::data_key(&self.store, &index, &pack, id).await {
            Err(error) if error.is_local() && keys::is_gone(&self.store, &pack.id).await? => {
                self.renew(&pack.id).await?;
                let gone = Error::new(Kind::NotFound, "the pack is gone, and the key with it").because(error);
                Err(Error::damaged(Name::Pack(pack.id), "it is missing").because(gone))
            }
            other => other,
        }
    }

    /// Called when a pack was not there: reads the index again where that can help. Gives whether the index still
    /// names the pack; if so, it is lost.
    pub(crate) async fn renew(&self, pack: &PackId) -> Result<bool> {
        let mut renewals = self.renewals.lock().await;
        if self.current().has_pack(pack) && renewals.missed.insert(*pack) {
            let mut listed = self.store.list(Area::Index).await?;
            // A tomb takes packs out of the index as well, and may come before the merged index object.
            listed.extend(self.store.list(Area::Tombs).await?);
            let objects = listed.into_iter().map(|object| object.name).collect();
            // The same objects say the same.
            if renewals.objects.as_ref() != Some(&objects) {
                let (mut fresh, _) = load::load_what_opens(&self.store, Read::New).await?;
                fresh.share(self.current().distrust());
                self.replace(fresh);
                renewals.objects = Some(objects);
            }
        }
        Ok(self.current().has_pack(pack))
    }

    fn newest(&self) -> Numbered {
        self.held.read().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    fn replace(&self, fresh: Index) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let Numbered { first, index } = held.current.clone();
        let count = length_u32(index.pack_ids().len());
        held.earlier.push(Numbered { first, index: Arc::new(index.packs_only()) });
        held.current = Numbered { first: first.saturating_add(count), index: Arc::new(fresh) };
    }
}

fn missing() -> Error {
    Error::damaged("the index", "a chunk names a pack that is not there")
}
