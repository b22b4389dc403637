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

/// The key `id` for segments of `pack`: from its object, or else from a copy, that pack's first.
pub(crate) async fn data_key(store: &Store, index: &Index, pack: &PackInfo, id: &DataKeyId) -> Result<Arc<DataKey>> {
    let error = match store.data_key(id, pack.class).await {
        Err(error) if is_lost(&error) => error,
        other => return other,
    };
    let others = index.packs().filter(|other| other.as_ref().map_or(true, |other| other.id != pack.id));
    let first = std::iter::once_with(|| Ok(Arc::new(pack.clone())));
    match find(store, first.chain(others), id, PACKS_ASKED).await? {
        Some(found) => {
            store.rely_on(&found.copy);
            Ok(found.copy.key)
        }
        None => Err(error),
    }
}

/// Every data key that the index names and whose object does not open.
pub(crate) async fn lost_keys(store: &Store, index: &Index) -> Result<Vec<LostKey>> {
    let mut lost = Vec::new();
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
                let found = find(store, index.packs(), &id, usize::MAX).await?;
                lost.push(LostKey { id, error, is_missing, found });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(lost)
}

/// Keys without an object: found in one of the packs for which `is_whole` holds, or not.
pub(super) async fn find_missing<I: Iterator<Item = Result<Arc<PackInfo>>>>(
    store: &Store,
    missing: BTreeSet<DataKeyId>,
    packs: impl Fn() -> I,
    is_whole: &impl Fn(&PackInfo) -> bool,
) -> Result<(Vec<FoundKey>, HashSet<DataKeyId>)> {
    let (mut found, mut lost) = (Vec::new(), HashSet::new());
    for id in missing {
        let whole = packs().filter(|pack| pack.as_ref().map_or(true, |pack| is_whole(pack)));
        match find(store, whole, &id, usize::MAX).await? {
            Some(key) => found.push(key),
            None => _ = lost.insert(id),
        }
    }
    Ok((found, lost))
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
