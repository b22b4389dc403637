//! What keeps chunks alive: pending records, then snapshots, every one of them read.

use crate::backend::Area;
use crate::backend::Listed;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::page::PageRef;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::store::SNAPSHOT_BY_ID;
use crate::store::Store;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Records fetched at once.
const FETCHES_MAX: usize = 8;
/// Listings of one area at most, each of which found something that vanished before it could be read.
const LISTINGS_MAX: usize = 20;

/// The way out where a pending record cannot be read.
const INTENT_BY_HAND: &str = "when no backup runs on any host, it is safe to delete that file from the repository by hand: \
                              it only announces a snapshot; then run the same command again";

/// One record, as far as a prune needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pub(super) session: SnapshotId,
    pub(super) parent: Option<SnapshotId>,
    pub(super) page: Option<PageRef>,
    /// When its object was stored, by the store's time.
    pub(super) stored: Option<Timestamp>,
}

/// All roots at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    pub(super) pending: BTreeMap<SnapshotId, Root>,
    pub(super) snapshots: BTreeMap<SnapshotId, Root>,
}

impl Roots {
    /// Reads all of them; pending records first, because a writer takes its pending record away only after its
    /// snapshot is there. `before` is what an earlier look found: whatever is gone since then must really be gone.
    pub(super) async fn read(store: &Arc<Store>, before: &Self) -> Result<Self> {
        let pending = records(store, Area::Pending, &before.pending).await?;
        let snapshots = records(store, Area::Snapshots, &before.snapshots).await?;
        for id in before.snapshots.keys().filter(|id| !snapshots.contains_key(id)) {
            // A listing that forgets is no forgotten snapshot.
            if store.backend().stat(&Name::Snapshot(*id)).await?.is_some() {
                return Err(Error::damaged("the list of snapshots", format!("snapshot {id} is missing from it")));
            }
        }
        Ok(Self { pending, snapshots })
    }

    /// What decides whether looking again may give another answer.
    pub(super) fn names(&self) -> (Vec<SnapshotId>, Vec<SnapshotId>) {
        (self.pending.keys().copied().collect(), self.snapshots.keys().copied().collect())
    }
}

/// All records of an area, listed at least twice: a record that is replaced while a folder is being listed may be
/// seen in neither form, and whoever replaces one stores the new form first.
async fn records(
    store: &Arc<Store>,
    area: Area,
    known: &BTreeMap<SnapshotId, Root>,
) -> Result<BTreeMap<SnapshotId, Root>> {
    let mut found: BTreeMap<SnapshotId, Root> = BTreeMap::new();
    for listing in 0..LISTINGS_MAX {
        let mut unknown = Vec::new();
        for listed in store.list(area).await? {
            let (Name::Pending(id) | Name::Snapshot(id)) = listed.name else { continue };
            match known.get(&id) {
                // Names are never used again: a record of that name is the one read before.
                Some(root) => drop(found.insert(id, *root)),
                None if found.contains_key(&id) => {}
                None => unknown.push((id, listed)),
            }
        }
        let vanished = fetch(store, unknown, &mut found).await?;
        store.confirm_gone(area, &vanished).await?;
        if listing > 0 && vanished.is_empty() {
            return Ok(found);
        }
    }
    Err(Error::new(Kind::BackendBusy, format!("cannot read what is under {area}"))
        .because("it changes faster than it can be read"))
}

/// Reads records; gives the names of those that are gone by now.
async fn fetch(
    store: &Arc<Store>,
    wanted: Vec<(SnapshotId, Listed)>,
    found: &mut BTreeMap<SnapshotId, Root>,
) -> Result<Vec<Name>> {
    let mut left = wanted.into_iter();
    let mut running: JoinSet<(SnapshotId, Name, Result<Root>)> = JoinSet::new();
    let mut vanished = Vec::new();
    loop {
        while running.len() < FETCHES_MAX
            && let Some((id, listed)) = left.next()
        {
            let store = Arc::clone(store);
            running.spawn(async move { (id, listed.name, read(&store, id, listed).await) });
        }
        match running.join_next().await {
            None => return Ok(vanished),
            Some(Err(lost)) => {
                return Err(Error::new(Kind::Bug, "a task that reads snapshots was lost").because(lost.to_string()));
            }
            Some(Ok((id, _, Ok(root)))) => drop(found.insert(id, root)),
            Some(Ok((_, name, Err(error)))) if error.kind() == Kind::NotFound => vanished.push(name),
            Some(Ok((_, name, Err(error)))) if error.kind() == Kind::Damaged => {
                return Err(error.advise(match name {
                    Name::Pending(_) => INTENT_BY_HAND,
                    _ => SNAPSHOT_BY_ID,
                }));
            }
            Some(Ok((_, _, Err(error)))) => return Err(error),
        }
    }
}

async fn read(store: &Store, id: SnapshotId, listed: Listed) -> Result<Root> {
    let body = store.get_small(&listed.name).await?;
    let record = Snapshot::decode(&body).map_err(|cause| cause.while_reading(listed.name))?;
    if record.id != id {
        return Err(Error::damaged(listed.name, "it is another snapshot's record"));
    }
    Ok(Root { session: record.session, parent: record.parent, page: record.root, stored: listed.modified })
}
