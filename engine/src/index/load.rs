//! All index objects of a repository into one table: the union of what they name, less what is gone.

use super::table::Index;
use crate::backend::Area;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::gc::Tomb;
use crate::format::index::IndexRecords;
use crate::id::IndexId;
use crate::id::PackId;
use crate::store::Store;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Index objects fetched at once.
const FETCHES_MAX: usize = 8;

/// An index object that is damaged, and how.
pub(crate) type DamagedObject = (IndexId, Error);

/// Loads every index object that can be read; damaged ones are listed. Who ignores them must know that a short
/// index looks like lost data.
pub(crate) async fn load_what_opens(store: &Arc<Store>) -> Result<(Index, Vec<DamagedObject>)> {
    let gone = tombs(store).await?;
    let (all, damaged) = readable(store).await?;
    Ok((table(all, &gone), damaged))
}

/// The same for a backup, which leans on what it finds: packs that are not there at their full length, or whose keys
/// are not, are left out and named, so that what they held is stored again where the source still has it.
pub(crate) async fn load_what_is_stored(store: &Arc<Store>) -> Result<(Index, Vec<DamagedObject>, Vec<PackId>)> {
    let mut gone = tombs(store).await?;
    let (all, damaged) = readable(store).await?;
    // Packs and keys are stored before the index object that names them: what is missing from these lists is lost.
    let mut lengths = HashMap::new();
    for listed in store.list(Area::Packs).await? {
        lengths.insert(listed.name, listed.length);
    }
    let keys: HashSet<Name> = store.list(Area::DataKeys).await?.into_iter().map(|listed| listed.name).collect();
    let mut lost = Vec::new();
    for pack in all.iter().flat_map(|records| &records.packs) {
        let is_whole = lengths.get(&Name::Pack(pack.id)) == Some(&u64::from(pack.length));
        let opens = pack.data_keys.iter().all(|key| keys.contains(&Name::DataKey(*key)));
        if !(is_whole && opens) && gone.insert(pack.id) {
            lost.push(pack.id);
        }
    }
    Ok((table(all, &gone), damaged, lost))
}

fn table(all: Vec<IndexRecords>, gone: &HashSet<PackId>) -> Index {
    let mut index = Index::empty();
    for records in all {
        index.add_records(records, gone);
    }
    index
}

/// All index objects that open and are not superseded, in the order of their names, and those that do not open.
async fn readable(store: &Arc<Store>) -> Result<(Vec<IndexRecords>, Vec<DamagedObject>)> {
    let mut objects = Vec::new();
    for listed in store.list(Area::Index).await? {
        if let Name::Index(id) = listed.name {
            objects.push(id);
        }
    }
    let mut all = fetch_all(store, &objects).await?;
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
            Ok(records) => opened.push(records),
            // Merged into another one and removed since it was listed, or so it seems.
            Err(error) if error.kind() == Kind::NotFound => missing.push(Name::Index(id)),
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => damaged.push((id, error)),
            Err(error) => return Err(error),
        }
    }
    store.confirm_gone(Area::Index, &missing).await?;
    Ok((opened, damaged))
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

/// Packs that a prune has deleted.
async fn tombs(store: &Store) -> Result<HashSet<PackId>> {
    let mut gone = HashSet::new();
    for listed in store.list(Area::Tombs).await? {
        let body = store.get_small(&listed.name).await?;
        gone.extend(Tomb::decode(&body).map_err(|cause| cause.while_reading(listed.name))?.packs);
    }
    Ok(gone)
}
