//! All index objects of a repository into one table: the union of what they name, less what is gone.

use super::keys;
use super::keys::FoundKey;
use super::table::Index;
use crate::backend::Area;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::IndexRecords;
use crate::format::index::PackInfo;
use crate::id::IndexId;
use crate::id::PackId;
use crate::store::Condemned;
use crate::store::Store;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Index objects fetched at once.
const FETCHES_MAX: usize = 8;
/// How often the index is read anew when objects of it go away meanwhile: every time a merge must have ended.
const ROUNDS_MAX: usize = 8;

/// An index object that is damaged, and how.
pub(crate) type DamagedObject = (IndexId, Error);

/// Loads every index object that can be read; damaged ones are listed. Who ignores them must know that a short
/// index looks like lost data. A damaged mark or tomb is no reason to read nothing: what it would have said is missing,
/// and packs that are gone are found to be so when they are asked for.
pub(crate) async fn load_what_opens(store: &Arc<Store>) -> Result<(Index, Vec<DamagedObject>)> {
    let (condemned, _) = Condemned::read_what_opens(store).await?;
    let (all, damaged) = readable(store).await?;
    let gone = packs(&all).map(|pack| pack.id).filter(|pack| condemned.is_deleted(pack)).collect();
    Ok((table(all, &gone, &condemned), damaged))
}

/// What a backup finds and may lean on.
pub(crate) struct Stored {
    pub(crate) index: Index,
    /// Index objects that cannot be read.
    pub(crate) damaged: Vec<DamagedObject>,
    /// Packs that are missing, cut short, or without a key: not in the index.
    pub(crate) lost: Vec<PackId>,
    /// Data keys that have no object any more, from packs that hold them. Their packs are in the index.
    pub(crate) found: Vec<FoundKey>,
}

/// The same for a backup, which leans on what it finds: packs that are not there at their full length, or whose keys
/// are nowhere, are left out and named, so that what they held is stored again where the source still has it. Packs that
/// a prune has condemned are there to be read.
pub(crate) async fn load_what_is_stored(store: &Arc<Store>) -> Result<Stored> {
    let condemned = Condemned::read(store).await?;
    let (all, damaged) = readable(store).await?;
    // Packs and keys are stored before the index object that names them: what is missing from the lists is lost.
    let mut lengths = HashMap::new();
    for listed in store.list(Area::Packs).await? {
        lengths.insert(listed.name, listed.length);
    }
    let is_whole = |pack: &PackInfo| lengths.get(&Name::Pack(pack.id)) == Some(&u64::from(pack.length));
    let (found, keyless) = keys::missing_keys(store, packs(&all).filter(|pack| is_whole(pack))).await?;
    let is_keyless = |pack: &PackInfo| pack.data_keys.iter().any(|key| keyless.contains(key));
    let unfit = packs(&all).filter(|pack| !is_whole(pack) || is_keyless(pack));
    let mut lost: BTreeSet<PackId> = unfit.map(|pack| pack.id).collect();
    let gone = lost.iter().copied().collect();
    if !lost.is_empty() {
        // What a prune has deleted since the index was read is no loss.
        let now = Condemned::read(store).await?;
        lost.retain(|pack| !condemned.is_condemned(pack) && !now.is_condemned(pack));
    }
    let index = table(all, &gone, &condemned);
    Ok(Stored { index, damaged, lost: lost.into_iter().collect(), found })
}

/// Whether the index objects in `known` are all there still, and no other one supersedes any of them.
pub(crate) async fn still_hold(store: &Arc<Store>, known: &HashSet<IndexId>) -> Result<bool> {
    let listed = listed(store).await?;
    let (old, new): (Vec<IndexId>, Vec<IndexId>) = listed.into_iter().partition(|id| known.contains(id));
    if old.len() < known.len() {
        return Ok(false);
    }
    for (_, outcome) in fetch_all(store, &new).await? {
        match outcome {
            Ok(records) if records.supersedes.iter().any(|id| known.contains(id)) => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == Kind::NotFound => return Ok(false),
            // To every reader it is as if it were not there.
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// The index objects that count now, and every pack that they name.
pub(crate) async fn named_packs(store: &Arc<Store>) -> Result<(HashSet<IndexId>, HashSet<PackId>)> {
    let (all, _) = readable(store).await?;
    let named = packs(&all).map(|pack| pack.id).collect();
    Ok((all.into_iter().map(|(id, _)| id).collect(), named))
}

/// An index object that can be read, and its name.
type Readable = (IndexId, IndexRecords);

fn packs(all: &[Readable]) -> impl Iterator<Item = &PackInfo> {
    all.iter().flat_map(|(_, records)| &records.packs)
}

fn table(all: Vec<Readable>, gone: &HashSet<PackId>, condemned: &Condemned) -> Index {
    let mut index = Index::empty();
    index.made_from(all.iter().map(|(id, _)| *id).collect());
    for (_, records) in all {
        index.add_records(records, gone);
    }
    index.judge(condemned);
    index
}

/// All index objects that open and are not superseded, in the order of their names, and those that do not open. One
/// that goes away between listing and reading was merged into another one, which the first listing may not have had:
/// then all is read again.
async fn readable(store: &Arc<Store>) -> Result<(Vec<Readable>, Vec<DamagedObject>)> {
    for round in 0..ROUNDS_MAX {
        let (opened, mut damaged, missing) = readable_once(store).await?;
        let hidden = store.still_listed(Area::Index, &missing).await?;
        // A store that hides an object once may show it when asked again.
        if hidden.len() == missing.len() && (round > 0 || hidden.is_empty()) {
            damaged.extend(hidden.into_iter().filter_map(|(name, error)| match name {
                Name::Index(id) => Some((id, error)),
                _ => None,
            }));
            return Ok((opened, damaged));
        }
    }
    Err(Error::new(Kind::BackendBusy, "cannot read the index")
        .because(format!("index objects went away while they were read, {ROUNDS_MAX} times")))
}

async fn listed(store: &Store) -> Result<Vec<IndexId>> {
    let mut objects = Vec::new();
    for listed in store.list(Area::Index).await? {
        if let Name::Index(id) = listed.name {
            objects.push(id);
        }
    }
    Ok(objects)
}

/// The same from one listing; what went away since is named.
async fn readable_once(store: &Arc<Store>) -> Result<(Vec<Readable>, Vec<DamagedObject>, Vec<Name>)> {
    let mut all = fetch_all(store, &listed(store).await?).await?;
    // The order of a listing is the store's affair; the table must not depend on it.
    all.sort_by_key(|(id, _)| *id);
    let superseded: HashSet<IndexId> = all
        .iter()
        .filter_map(|(_, outcome)| outcome.as_ref().ok())
        .flat_map(|records| records.supersedes.clone())
        .collect();
    let (mut opened, mut damaged, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (id, outcome) in all {
        match outcome {
            Ok(_) if superseded.contains(&id) => {}
            Ok(records) => opened.push((id, records)),
            // Nothing is lost where its successor is here already, and lists that it stands for this one.
            Err(error) if error.kind() == Kind::NotFound && superseded.contains(&id) => {}
            Err(error) if error.kind() == Kind::NotFound => missing.push(Name::Index(id)),
            // A repair has named again what this one can have named.
            Err(error) if error.kind() == Kind::Damaged && superseded.contains(&id) => {}
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => damaged.push((id, error)),
            Err(error) => return Err(error),
        }
    }
    Ok((opened, damaged, missing))
}

async fn fetch_all(store: &Arc<Store>, objects: &[IndexId]) -> Result<Vec<(IndexId, Result<IndexRecords>)>> {
    let mut running: JoinSet<(IndexId, Result<IndexRecords>)> = JoinSet::new();
    let mut all = Vec::with_capacity(objects.len());
    let mut left = objects.iter().copied();
    loop {
        while running.len() < FETCHES_MAX
            && let Some(id) = left.next()
        {
            let store = Arc::clone(store);
            running.spawn(async move { (id, store.get_index(id).await) });
        }
        match running.join_next().await {
            None => return Ok(all),
            Some(Err(lost)) => {
                return Err(Error::new(Kind::Bug, "a task that loads the index was lost").because(lost.to_string()));
            }
            Some(Ok(done)) => all.push(done),
        }
    }
}
