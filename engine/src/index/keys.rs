//! Data keys whose objects are lost: found again in the tables of the packs that were sealed with them.

use super::table::Index;
use crate::backend::Name;
use crate::class::Class;
use crate::crypto::seal::DataKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::PackInfo;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::store::KeyCopy;
use crate::store::Store;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Packs asked for their copy of a key whenever one of its segments is read; all of them are the check's affair.
const PACKS_ASKED: usize = 8;

/// A data key found in a pack.
pub(crate) struct FoundKey {
    pub(crate) copy: KeyCopy,
    /// The pack that has it.
    pub(crate) pack: PackId,
}

/// A data key whose object is missing or damaged.
pub(crate) struct LostKey {
    pub(crate) id: DataKeyId,
    /// What is wrong with its object.
    pub(crate) error: Error,
    /// There is no object of its name.
    pub(crate) is_missing: bool,
    /// What stands for it.
    pub(crate) found: Option<FoundKey>,
}

/// Where keys were looked for in vain: they need not be looked for again for each segment. Whoever reads the index again
/// looks again.
#[derive(Debug, Default)]
pub(super) struct Misses(Mutex<HashSet<(DataKeyId, Option<PackId>)>>);

impl Misses {
    /// Whether a key is not in this pack; with `None`, not in the others that are asked for it.
    fn has(&self, id: &DataKeyId, place: Option<PackId>) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&(*id, place))
    }

    fn add(&self, id: &DataKeyId, place: Option<PackId>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((*id, place));
    }
}

/// The key `id` for segments of `pack`: from its object, or else from a copy, that pack's first.
pub(crate) async fn data_key(store: &Store, index: &Index, pack: &PackInfo, id: &DataKeyId) -> Result<Arc<DataKey>> {
    let error = match store.data_key(id, pack.class).await {
        Err(error) if is_lost(&error) => error,
        other => return other,
    };
    for place in [Some(pack.id), None] {
        if index.key_misses().has(id, place) {
            continue;
        }
        let found = match place {
            Some(_) => find(store, std::iter::once_with(|| Ok(Arc::new(pack.clone()))), id, 1).await?,
            None => {
                let others = index.packs().filter(|other| other.as_ref().map_or(true, |other| other.id != pack.id));
                find(store, others, id, PACKS_ASKED - 1).await?
            }
        };
        if let Some(found) = found {
            store.rely_on(&found.copy);
            return Ok(found.copy.key);
        }
        index.key_misses().add(id, place);
    }
    Err(error)
}

/// Whether a pack is not there any more.
pub(crate) async fn is_gone(store: &Store, pack: &PackId) -> Result<bool> {
    match store.backend().stat(&Name::Pack(*pack)).await {
        Ok(found) => Ok(found.is_none()),
        // Something that is no object stands in its place.
        Err(error) if is_lost(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a pack is there that names the key. A prune takes keys together with the last packs that name them.
async fn is_needed(store: &Store, index: &Index, id: &DataKeyId) -> Result<bool> {
    for pack in index.packs() {
        let pack = pack?;
        if pack.data_keys.contains(id) && !is_gone(store, &pack.id).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every data key that the index names and whose object does not open, if a pack that names it is there.
pub(crate) async fn lost_keys(store: &Store, index: &Index) -> Result<Vec<LostKey>> {
    let mut lost: BTreeMap<DataKeyId, LostKey> = BTreeMap::new();
    let mut classes: BTreeMap<DataKeyId, Class> = BTreeMap::new();
    for pack in index.packs() {
        let pack = pack?;
        for id in &pack.data_keys {
            classes.entry(*id).or_insert(pack.class);
        }
    }
    for (id, class) in classes {
        match store.reread_data_key(&id, class).await {
            Ok(_) => {}
            Err(error) if is_lost(&error) => {
                let is_missing = match store.backend().stat(&Name::DataKey(id)).await {
                    Ok(there) => there.is_none(),
                    // Something that is no object stands in its place.
                    Err(other) if is_lost(&other) => false,
                    Err(other) => return Err(other),
                };
                if !is_missing || is_needed(store, index, &id).await? {
                    lost.insert(id, LostKey { id, error, is_missing, found: None });
                }
            }
            Err(error) => return Err(error),
        }
    }
    for (id, found) in find_each(store, index.packs(), lost.keys().copied().collect()).await? {
        lost.entry(id).and_modify(|key| key.found = Some(found));
    }
    Ok(lost.into_values().collect())
}

/// Keys without an object: found in one of the packs for which `is_whole` holds, or not.
pub(super) async fn find_missing(
    store: &Store,
    mut missing: BTreeSet<DataKeyId>,
    packs: impl Iterator<Item = Result<Arc<PackInfo>>>,
    is_whole: &impl Fn(&PackInfo) -> bool,
) -> Result<(Vec<FoundKey>, HashSet<DataKeyId>)> {
    let whole = packs.filter(|pack| pack.as_ref().map_or(true, |pack| is_whole(pack)));
    let found = find_each(store, whole, missing.clone()).await?;
    missing.retain(|id| !found.contains_key(id));
    Ok((found.into_values().collect(), missing.into_iter().collect()))
}

/// The first copy of each of these keys that opens, in one pass over the packs.
async fn find_each(
    store: &Store,
    packs: impl Iterator<Item = Result<Arc<PackInfo>>>,
    mut wanted: BTreeSet<DataKeyId>,
) -> Result<BTreeMap<DataKeyId, FoundKey>> {
    let mut found = BTreeMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    for pack in packs {
        let pack = pack?;
        for id in &pack.data_keys {
            if wanted.contains(id)
                && let Some(key) = find(store, std::iter::once(Ok(Arc::clone(&pack))), id, 1).await?
            {
                wanted.remove(id);
                found.insert(*id, key);
            }
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// The first copy of a key among `packs` that opens.
async fn find(
    store: &Store,
    packs: impl Iterator<Item = Result<Arc<PackInfo>>>,
    id: &DataKeyId,
    most: usize,
) -> Result<Option<FoundKey>> {
    for pack in packs.filter(|pack| pack.as_ref().map_or(true, |pack| pack.data_keys.contains(id))).take(most) {
        let pack = pack?;
        match copy_in(store, &pack, id).await {
            Ok(Some(copy)) => return Ok(Some(FoundKey { copy, pack: pack.id })),
            Ok(None) => {}
            Err(error) if is_lost(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn copy_in(store: &Store, pack: &PackInfo, id: &DataKeyId) -> Result<Option<KeyCopy>> {
    let Some(first) = pack.segments.first() else { return Ok(None) };
    let own = store.get_table(pack.id, first.offset, pack.length).await?;
    let held = own.table.data_keys.iter().zip(&own.wrapped_keys).find(|(held, _)| *held == id);
    held.map(|(_, wrapped)| store.open_key_copy(id, own.table.class, wrapped)).transpose()
}

/// The object, or the pack, is not what it was: another copy may be.
fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), Kind::Damaged | Kind::Unsupported | Kind::NotFound)
}
