//! What a snapshot needs to stay restorable: packs, and index objects that name them; and whether all of it still holds.

use crate::backend::Area;
use crate::backend::Name;
use crate::error::Result;
use crate::id::IndexId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::index::claim::Claims;
use crate::index::distrust::Distrust;
use crate::index::load;
use crate::index::table::Index;
use crate::pack::IndexedPacks;
use crate::store::Condemned;
use crate::store::Store;
use std::collections::HashSet;
use std::sync::Arc;

/// The packs that hold a snapshot's chunks, and index objects that name all of these packs.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    pub(super) packs: HashSet<PackId>,
    pub(super) objects: HashSet<IndexId>,
    /// A stored snapshot with the same catalog: all that it needs, whatever packs these are.
    pub(super) twin: Option<SnapshotId>,
    /// Packs that the job has found damaged.
    pub(super) distrust: Arc<Distrust>,
    /// Index objects that were read since, and change nothing of the others.
    passed: HashSet<IndexId>,
    /// The index that the job has relied on, for the next one of the run, as long as it holds.
    index: Option<Arc<Index>>,
}

/// What the store says of the packs that a snapshot needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Footing {
    /// All of them are usable.
    Usable,
    /// A mark or tomb names one of them.
    Condemned,
    /// One of them was found damaged.
    Damaged,
    /// One is not listed or not in the index, and no prune says why; or nothing vouches for them.
    Missing,
}

impl Needs {
    /// Older packs that were leaned on and the job's own ones, all of which are stored and indexed.
    pub(crate) fn new(claims: &Claims, own: &IndexedPacks) -> Self {
        let mut packs = claims.leaned_on();
        packs.extend(own.packs());
        let mut objects = claims.index().objects().clone();
        objects.extend(own.objects());
        Self { passed: claims.index().passed().clone(), ..Self::of(packs, objects, claims.index().distrust()) }
    }

    /// These packs, named by these index objects.
    pub(super) fn of(packs: HashSet<PackId>, objects: HashSet<IndexId>, distrust: &Arc<Distrust>) -> Self {
        Self { packs, objects, distrust: Arc::clone(distrust), ..Self::default() }
    }

    /// Keeps the index for the next job of the run, for as long as nothing speaks against it.
    pub(super) fn keep(&mut self, index: Arc<Index>) {
        self.index = Some(index);
    }

    /// What a look at the store has found is not what the index says: it has to be read again.
    pub(super) fn outdated(&mut self) {
        self.index = None;
    }

    /// The index that was kept, if it still holds, with what was read meanwhile and the job's `own` packs; `None` where it
    /// has to be read again.
    pub(super) fn into_index(self, own: IndexedPacks) -> Result<Option<Arc<Index>>> {
        let (Some(mut index), Some((objects, packs))) = (self.index, own.into_contents()) else { return Ok(None) };
        // Whoever still looks ahead in the old one goes on with it.
        let known = Arc::make_mut(&mut index);
        known.follow(objects, packs)?;
        known.pass(self.passed);
        Ok(Some(index))
    }

    /// What a stored snapshot with the same catalog needs.
    pub(crate) fn of_twin(twin: SnapshotId) -> Self {
        Self { twin: Some(twin), ..Self::default() }
    }

    /// Whether every pack is in no mark and no tomb, in the index, and there, as the store says now; read in this order
    /// (docs/FORMAT.md, order of writing, step 4).
    pub(super) async fn footing(&mut self, store: &Arc<Store>) -> Result<Footing> {
        let condemned = Condemned::read(store).await?;
        if let Some(twin) = self.twin {
            // A prune whose mark is not here yet will see the intent; all others spare what the twin needs, which is
            // still there after the marks were read. Anything else is for a trace to find out.
            if condemned.has_marked_any() {
                return Ok(Footing::Condemned);
            }
            let is_there = store.backend().stat(&Name::Snapshot(twin)).await?.is_some();
            return Ok(if is_there { Footing::Usable } else { Footing::Missing });
        }
        if self.packs.iter().any(|pack| condemned.is_condemned(pack)) {
            return Ok(Footing::Condemned);
        }
        if self.packs.iter().any(|pack| self.distrust.has(pack)) {
            return Ok(Footing::Damaged);
        }
        if !load::still_hold(store, &self.objects, &mut self.passed).await? {
            self.outdated();
            // Index objects were merged: what counts is whether the ones there now name the packs.
            let (objects, named) = load::named_packs(store).await?;
            self.objects = objects;
            if !self.packs.is_subset(&named) {
                return Ok(Footing::Missing);
            }
        }
        // Mark and tomb of a pack that was deleted long ago may be gone again; a late index object may still name it.
        let listed: HashSet<Name> = store.list(Area::Packs).await?.into_iter().map(|listed| listed.name).collect();
        if !self.packs.iter().all(|pack| listed.contains(&Name::Pack(*pack))) {
            return Ok(Footing::Missing);
        }
        // An index object of somebody else may have been seen before its name was durable.
        store.barrier_for(Area::Index).await?;
        Ok(Footing::Usable)
    }
}
