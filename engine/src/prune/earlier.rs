//! What is sealed under root keys before the present one: what a prune takes that is to seal it anew, and what it leaves.

use super::count_of;
use super::view::View;
use crate::backend::Area;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::id::DataKeyId;
use crate::id::IndexId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::index::keys;
use crate::store::Store;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Heads of packs fetched at once.
const FETCHES_MAX: usize = 8;

/// What whoever kept an earlier root key can open. Bytes are stored bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealedBefore {
    /// Records of snapshots.
    pub snapshots: u64,
    /// Index objects.
    pub index_objects: u64,
    /// Packs with a segment or a table that opens so.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these packs, those that are condemned already, to be removed when their grace is over.
    pub packs_condemned: u64,
    /// Of these packs, those that stay for now: they are so young that a running backup may be about to use them, or
    /// more than the run was to write anew.
    pub packs_staying: u64,
}

impl SealedBefore {
    /// Nothing is left to seal anew.
    pub fn is_nothing(&self) -> bool {
        self.snapshots == 0 && self.index_objects == 0 && self.packs == 0
    }
}

/// Counts all of it. Of `packs` those stay that are neither condemned nor `chosen`.
pub(super) async fn count(view: &View, packs: &HashSet<PackId>, chosen: &HashSet<PackId>) -> Result<SealedBefore> {
    let mut before = SealedBefore {
        snapshots: count_of(snapshots(&view.store).await?.len()),
        index_objects: count_of(index_objects(view).await?.len()),
        packs: count_of(packs.len()),
        ..SealedBefore::default()
    };
    for pack in packs {
        before.bytes += view.listed_length(pack)?.unwrap_or_default();
        let is_condemned = view.condemned.is_condemned(pack);
        before.packs_condemned += u64::from(is_condemned);
        before.packs_staying += u64::from(!is_condemned && !chosen.contains(pack));
    }
    Ok(before)
}

/// Packs that are there and have a segment under an earlier data key, or a table under an earlier root key. What counts
/// is the keys of the segments: a prune copies them, as they are sealed, into packs of its own.
pub(super) async fn packs(view: &View) -> Result<HashSet<PackId>> {
    let mut found = HashSet::new();
    if !view.store.has_earlier_keys() {
        return Ok(found);
    }
    let (mut known, mut others): (HashMap<DataKeyId, bool>, Vec<PackId>) = (HashMap::new(), Vec::new());
    for (number, pack) in (0u32..).zip(view.index.packs()) {
        let pack = pack?;
        if !view.state(number).listed {
            continue;
        }
        let mut is_before = false;
        for id in &pack.data_keys {
            is_before |= match known.get(id) {
                Some(known) => *known,
                None => {
                    // A key that does not open is an error: under which root key it was wrapped nobody can tell.
                    match keys::data_key(&view.store, &view.index, &pack, id).await {
                        // Another prune has taken the pack, and its key as well.
                        Err(error) if error.is_local() && keys::is_gone(&view.store, &pack.id).await? => continue,
                        other => drop(other?),
                    }
                    *known.entry(*id).or_insert(view.store.is_wrapped_before(id)?)
                }
            };
        }
        if is_before {
            found.insert(pack.id);
        } else {
            others.push(pack.id);
        }
    }
    others.extend(view.unindexed.keys());
    let mut left = others.into_iter();
    let mut running: JoinSet<(PackId, Result<bool>)> = JoinSet::new();
    loop {
        while running.len() < FETCHES_MAX
            && let Some(pack) = left.next()
        {
            let store = Arc::clone(&view.store);
            running.spawn(async move { (pack, is_before(&store, &Name::Pack(pack)).await) });
        }
        match running.join_next().await {
            None => return Ok(found),
            Some(Err(lost)) => {
                return Err(Error::new(Kind::Bug, "a task that reads packs was lost").because(lost.to_string()));
            }
            Some(Ok((pack, is_before))) => {
                if is_before? {
                    found.insert(pack);
                }
            }
        }
    }
}

/// Index objects that no other one supersedes. Superseded ones go with the next merge anyway.
pub(super) async fn index_objects(view: &View) -> Result<BTreeSet<IndexId>> {
    let (mut found, superseded) = (BTreeSet::new(), view.superseded());
    if view.store.has_earlier_keys() {
        for id in view.objects.keys().filter(|id| !superseded.contains(id)) {
            if is_before(&view.store, &Name::Index(*id)).await? {
                found.insert(*id);
            }
        }
    }
    Ok(found)
}

/// Snapshots whose records are sealed under an earlier root key.
pub(crate) async fn snapshots(store: &Store) -> Result<Vec<SnapshotId>> {
    let mut found = Vec::new();
    if store.has_earlier_keys() {
        for listed in store.list(Area::Snapshots).await? {
            if let Name::Snapshot(id) = listed.name
                && is_before(store, &listed.name).await?
            {
                found.push(id);
            }
        }
    }
    Ok(found)
}

/// An object that is gone or has no head any more says nothing about keys: those who need it will say what is wrong.
async fn is_before(store: &Store, name: &Name) -> Result<bool> {
    match store.is_sealed_before(name).await {
        Err(error) if error.is_local() => Ok(false),
        other => other,
    }
}
