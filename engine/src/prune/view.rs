//! What the repository holds, as far as this run has seen it: the index, what is condemned, which packs are there.

use crate::backend::Area;
use crate::backend::Listed;
use crate::backend::Name;
use crate::cache::Covered;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::wire::size;
use crate::id::IndexId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::index::gather::Gatherer;
use crate::index::table::Index;
use crate::store::Condemned;
use crate::store::Store;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

/// Listings of the index at most, each of which found an object that vanished before it could be read.
const LISTINGS_MAX: usize = 20;

/// An index object, without its chunks.
#[derive(Debug)]
pub(super) struct IndexObject {
    /// Numbers of the packs it names.
    pub(super) packs: Vec<u32>,
    pub(super) supersedes: Vec<IndexId>,
    pub(super) chunks: usize,
}

/// What is known of a pack that an index object names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PackState {
    /// An index object names it that no other one supersedes.
    pub(super) current: bool,
    /// A mark names it.
    pub(super) marked: bool,
    /// A tomb names it.
    pub(super) tombed: bool,
    /// It is listed.
    pub(super) listed: bool,
    /// It is listed at its full length.
    pub(super) whole: bool,
    /// When it was stored, by the store's time.
    pub(super) stored: Option<Timestamp>,
}

/// A pack that no index object names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unindexed {
    pub(super) length: u64,
    pub(super) stored: Option<Timestamp>,
}

/// Everything seen so far. The index only grows, so that positions in it stay; what became of a pack is in its state.
pub(super) struct View {
    pub(super) store: Arc<Store>,
    pub(super) index: Arc<Index>,
    /// Index objects that are listed.
    pub(super) objects: BTreeMap<IndexId, IndexObject>,
    pub(super) condemned: Condemned,
    /// When each mark and each tomb was stored.
    pub(super) gc_stored: BTreeMap<Name, Option<Timestamp>>,
    pub(super) unindexed: BTreeMap<PackId, Unindexed>,
    /// When the store dated what this run itself has just put: its present is not before that.
    pub(super) present: Option<Timestamp>,
    states: Vec<PackState>,
}

impl View {
    /// Nothing seen yet.
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            index: Arc::new(Index::empty()),
            objects: BTreeMap::new(),
            condemned: Condemned::default(),
            gc_stored: BTreeMap::new(),
            unindexed: BTreeMap::new(),
            present: None,
            states: Vec::new(),
        }
    }

    /// Looks again: marks and tombs, then the index, then the packs. Damage of any of them is an error.
    pub(super) async fn refresh(&mut self) -> Result<()> {
        self.gc_stored.clear();
        for area in [Area::Marks, Area::Tombs] {
            for listed in self.store.list(area).await? {
                self.gc_stored.insert(listed.name, listed.modified);
            }
        }
        self.condemned = Condemned::read(&self.store).await?;
        self.read_index().await?;
        self.states = vec![PackState::default(); self.index.pack_ids().len()];
        self.list_packs().await?;
        self.judge()
    }

    /// What is known of a pack, by its number in the index.
    pub(super) fn state(&self, number: u32) -> PackState {
        self.states.get(size(number)).copied().unwrap_or_default()
    }

    /// Whether a snapshot may come to rely on a pack, as far as this run has seen it.
    pub(super) fn is_reliable(&self, number: u32) -> bool {
        let PackState { current, whole, marked, tombed, .. } = self.state(number);
        current && whole && !marked && !tombed && !self.is_damaged(number)
    }

    /// Whether this run has found a pack damaged.
    pub(super) fn is_damaged(&self, number: u32) -> bool {
        let distrust = self.index.distrust();
        distrust.has_any() && self.index.pack_id(number).is_some_and(|pack| distrust.has(&pack))
    }

    /// Whether a pack is listed.
    pub(super) fn is_listed(&self, pack: &PackId) -> bool {
        match self.index.pack_number(pack) {
            Some(number) => self.state(number).listed,
            None => self.unindexed.contains_key(pack),
        }
    }

    /// The length of a pack that is listed.
    pub(super) fn listed_length(&self, pack: &PackId) -> Result<Option<u64>> {
        Ok(match self.index.pack_number(pack) {
            Some(number) if self.state(number).listed => self.index.pack(number)?.map(|pack| u64::from(pack.length)),
            Some(_) => None,
            None => self.unindexed.get(pack).map(|pack| pack.length),
        })
    }

    /// Seconds since `then` by the store's time, at least; `None` where that is not known. What is dated later than
    /// what this run has just put is dated wrongly.
    pub(super) fn age_seconds(&self, then: Option<Timestamp>) -> Option<u64> {
        self.present.zip(then).and_then(|(now, then)| u64::try_from(now.seconds.saturating_sub(then.seconds)).ok())
    }

    /// Seconds since `then` by this host's clock: good enough to choose packs by, and for nothing else.
    pub(super) fn rough_age_seconds(&self, then: Option<Timestamp>) -> u64 {
        let age = then.map(|then| self.store.clock().now().seconds.saturating_sub(then.seconds));
        age.and_then(|age| u64::try_from(age).ok()).unwrap_or_default()
    }

    /// Index objects that another listed one supersedes: left behind by a merge that was interrupted.
    pub(super) fn superseded(&self) -> BTreeSet<IndexId> {
        let named = self.objects.values().flat_map(|object| object.supersedes.iter().copied());
        named.filter(|id| self.objects.contains_key(id)).collect()
    }

    /// What decides whether looking again may give another answer: the names of index objects, marks and tombs.
    pub(super) fn names(&self) -> (Vec<IndexId>, Vec<SnapshotId>) {
        let gc = self.condemned.marks().keys().chain(self.condemned.tombs().keys());
        (self.objects.keys().copied().collect(), gc.copied().collect())
    }

    async fn read_index(&mut self) -> Result<()> {
        for _ in 0..LISTINGS_MAX {
            let mut listed = Vec::new();
            for object in self.store.list(Area::Index).await? {
                if let Name::Index(id) = object.name {
                    listed.push((id, object));
                }
            }
            let there: BTreeSet<IndexId> = listed.iter().map(|(id, _)| *id).collect();
            self.objects.retain(|id, _| there.contains(id));
            let new = listed.into_iter().filter(|(id, _)| !self.objects.contains_key(id));
            let mut damaged = Vec::new();
            let missing = self.fetch(&new.map(|(_, object)| object).collect::<Vec<Listed>>(), &mut damaged).await?;
            self.pass_over(damaged)?;
            if missing.is_empty() {
                return Ok(());
            }
            // Merged into another one since it was listed, which the next listing shows.
            self.store.confirm_gone(Area::Index, &missing).await?;
        }
        Err(Error::new(Kind::BackendBusy, "cannot read the index").because("it changes faster than it can be read"))
    }

    /// A damaged index object is an error, unless another one supersedes it: then a repair has named again what it can
    /// have named, and it goes with what merges have left behind.
    fn pass_over(&mut self, damaged: Vec<(IndexId, Error)>) -> Result<()> {
        for (id, error) in damaged {
            if !self.objects.values().any(|object| object.supersedes.contains(&id)) {
                return Err(error);
            }
            self.objects.insert(id, IndexObject { packs: Vec::new(), supersedes: Vec::new(), chunks: 0 });
        }
        Ok(())
    }

    /// Takes in index objects; gives the names of those that are gone by now. All are read from the repository: what is
    /// deleted on the word of one must not be missed by those who find it damaged.
    async fn fetch(&mut self, objects: &[Listed], damaged: &mut Vec<(IndexId, Error)>) -> Result<Vec<Name>> {
        let mut gatherer = Gatherer::anew(&self.store);
        let mut missing = Vec::new();
        for (id, error) in gatherer.fetch(objects).await? {
            match error.kind() {
                Kind::NotFound => missing.push(Name::Index(id)),
                Kind::Damaged => damaged.push((id, error)),
                _ => return Err(error),
            }
        }
        let index = Arc::get_mut(&mut self.index)
            .ok_or_else(|| Error::new(Kind::Bug, "the index grows while it is being read"))?;
        for (object, packs) in gatherer.finish().add_to(index, &HashSet::new())? {
            let Covered { id, supersedes, chunks, .. } = object;
            self.objects.insert(id, IndexObject { packs, supersedes, chunks: size(chunks) });
        }
        Ok(missing)
    }

    /// How many packs the last look has found in the store.
    pub(super) fn packs_listed(&self) -> usize {
        self.unindexed.len() + self.states.iter().filter(|state| state.listed).count()
    }

    async fn list_packs(&mut self) -> Result<()> {
        self.unindexed.clear();
        for listed in self.store.list(Area::Packs).await? {
            let Name::Pack(id) = listed.name else { continue };
            let number = self.index.pack_number(&id);
            let pack = number.map(|number| self.index.pack(number)).transpose()?.flatten();
            let length = pack.map(|pack| u64::from(pack.length));
            match number.and_then(|number| self.states.get_mut(size(number))) {
                Some(state) => {
                    state.listed = true;
                    state.whole = length == Some(listed.length);
                    state.stored = listed.modified;
                }
                None => {
                    let (length, stored) = (listed.length, listed.modified);
                    self.unindexed.insert(id, Unindexed { length, stored });
                }
            }
        }
        Ok(())
    }

    /// Which packs are current, marked, tombed. An index object that replaced another one must have taken over all
    /// its packs but those that are condemned: the others would be lost with it.
    fn judge(&mut self) -> Result<()> {
        let superseded = self.superseded();
        let Self { states, objects, index, condemned, .. } = self;
        for (_, object) in objects.iter().filter(|(id, _)| !superseded.contains(id)) {
            for number in &object.packs {
                if let Some(state) = states.get_mut(size(*number)) {
                    state.current = true;
                }
            }
        }
        for (pack, marked) in condemned
            .marks()
            .values()
            .flatten()
            .map(|pack| (pack, true))
            .chain(condemned.tombs().values().flatten().map(|pack| (pack, false)))
        {
            let state = index.pack_number(pack).and_then(|number| states.get_mut(size(number)));
            if let Some(state) = state {
                if marked { state.marked = true } else { state.tombed = true }
            }
        }
        for number in superseded.iter().filter_map(|id| objects.get(id)).flat_map(|object| &object.packs) {
            let state = states.get(size(*number)).copied().unwrap_or_default();
            if !(state.current || state.marked || state.tombed) {
                let pack = index.pack_id(*number).map(|pack| pack.to_string()).unwrap_or_default();
                return Err(Error::damaged("the index", format!("a merge of it has dropped pack {pack}")));
            }
        }
        Ok(())
    }
}
