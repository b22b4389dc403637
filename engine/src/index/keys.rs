//! Data keys whose objects are lost: found again in the tables of the packs that were sealed with them.

use super::table::Index;
use crate::backend::Area;
use crate::backend::Name;
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
    let others = index.packs().filter(|other| other.id != pack.id);
    match find(store, std::iter::once(pack).chain(others), id, PACKS_ASKED).await? {
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
    for (id, packs) in by_key(index.packs()) {
        let Some(class) = packs.first().map(|pack| pack.class) else { continue };
        match store.reread_data_key(&id, class).await {
            Ok(_) => {}
            Err(error) if is_lost(&error) => {
                let is_missing = match store.backend().stat(&Name::DataKey(id)).await {
                    Ok(there) => there.is_none(),
                    // Something that is no object stands in its place.
                    Err(other) if is_lost(&other) => false,
                    Err(other) => return Err(other),
                };
                let found = find(store, packs.into_iter(), &id, usize::MAX).await?;
                lost.push(LostKey { id, error, is_missing, found });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(lost)
}

/// Of the keys that `packs` name, those without an object: found in one of the packs, or not.
pub(super) async fn missing_keys(
    store: &Store,
    packs: impl Iterator<Item = &PackInfo>,
) -> Result<(Vec<FoundKey>, HashSet<DataKeyId>)> {
    let listed = store.list(Area::DataKeys).await?;
    let there: HashSet<Name> = listed.into_iter().map(|listed| listed.name).collect();
    let (mut found, mut lost) = (Vec::new(), HashSet::new());
    for (id, packs) in by_key(packs) {
        if there.contains(&Name::DataKey(id)) {
            continue;
        }
        match find(store, packs.into_iter(), &id, usize::MAX).await? {
            Some(key) => found.push(key),
            None => _ = lost.insert(id),
        }
    }
    Ok((found, lost))
}

/// Which packs name which key.
fn by_key<'a>(packs: impl Iterator<Item = &'a PackInfo>) -> BTreeMap<DataKeyId, Vec<&'a PackInfo>> {
    let mut named: BTreeMap<DataKeyId, Vec<&PackInfo>> = BTreeMap::new();
    for pack in packs {
        for id in &pack.data_keys {
            named.entry(*id).or_default().push(pack);
        }
    }
    named
}

/// The first copy of a key among `packs` that opens.
async fn find<'a>(
    store: &Store,
    packs: impl Iterator<Item = &'a PackInfo>,
    id: &DataKeyId,
    most: usize,
) -> Result<Option<FoundKey>> {
    for pack in packs.filter(|pack| pack.data_keys.contains(id)).take(most) {
        match copy_in(store, pack, id).await {
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
