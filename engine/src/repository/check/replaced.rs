//! Packs that are missing and not missed: everything that was in them is in other packs.

use super::StoredPack;
use crate::error::Result;
use crate::id::PackId;
use crate::index::table::Index;
use crate::store::Condemned;
use std::collections::HashMap;
use std::collections::HashSet;

/// The packs of the index that are not `there`, and of each of whose chunks a pack that is whole and not condemned has
/// another copy.
pub(super) fn replaced(
    index: &Index,
    there: &HashMap<PackId, StoredPack>,
    condemned: &Condemned,
) -> Result<HashSet<PackId>> {
    let (mut good, mut missing) = (HashSet::new(), HashSet::new());
    for pack in index.packs() {
        let pack = pack?;
        let Some(number) = index.pack_number(&pack.id) else { continue };
        match there.get(&pack.id) {
            None => _ = missing.insert(number),
            Some(there) if there.length == u64::from(pack.length) && !condemned.is_condemned(&pack.id) => {
                good.insert(number);
            }
            Some(_) => {}
        }
    }
    if missing.is_empty() {
        return Ok(HashSet::new());
    }
    let mut missed = HashSet::new();
    index.for_each_chunk(|copies| {
        for (_, copy) in copies.iter().filter(|(_, copy)| missing.contains(&copy.pack)) {
            if !copies.iter().any(|(_, other)| other.length == copy.length && good.contains(&other.pack)) {
                missed.insert(copy.pack);
            }
        }
        Ok(())
    })?;
    Ok(missing.difference(&missed).filter_map(|number| index.pack_id(*number)).collect())
}
