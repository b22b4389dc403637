//! The last arrow: intent, validation, and the one small object that makes a snapshot.

use super::record::IndexedPacks;
use crate::backend::Area;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::gc::Mark;
use crate::format::gc::Tomb;
use crate::format::snapshot::Snapshot;
use crate::id::PackId;
use crate::store::Store;
use crate::verdict::Verdict;
use std::collections::HashSet;

/// Stores the snapshot. It takes the proof that all packs are indexed, and the record carries the source's
/// verdict: neither can be forgotten. `leaned_on` are older packs whose chunks the snapshot takes over.
pub(crate) async fn commit(
    store: &Store,
    packs: IndexedPacks,
    leaned_on: &HashSet<PackId>,
    snapshot: &mut Snapshot,
    verdict: Verdict,
) -> Result<()> {
    snapshot.verdict = verdict;
    let body = snapshot.encode();
    let pending = Name::Pending(snapshot.id);
    store.put_small(&pending, &body).await?;
    if let Err(condemned) = validate(store, &packs, leaned_on).await {
        // Nothing was committed: the intent protects nothing any more.
        let _ = store.backend().delete(&pending).await;
        return Err(condemned);
    }
    store.put_small(&Name::Snapshot(snapshot.id), &body).await?;
    // If it cannot be removed it only keeps packs alive a while longer. After a failed put it stays: the
    // snapshot may yet become visible.
    let _ = store.backend().delete(&pending).await;
    Ok(())
}

/// No pack the snapshot needs may be condemned or gone (docs/FORMAT.md, order of writing, step 4).
async fn validate(store: &Store, packs: &IndexedPacks, leaned_on: &HashSet<PackId>) -> Result<()> {
    for area in [Area::Marks, Area::Tombs] {
        for listed in store.backend().list(area).await? {
            let body = store.get_small(&listed.name).await?;
            let condemned = match area {
                Area::Marks => Mark::decode(&body).map(|mark| mark.packs),
                _ => Tomb::decode(&body).map(|tomb| tomb.packs),
            };
            let condemned = condemned.map_err(|cause| cause.while_reading(listed.name))?;
            if let Some(pack) = condemned.iter().find(|pack| leaned_on.contains(pack) || packs.packs().contains(pack)) {
                return Err(Error::new(Kind::Conflict, "commit the snapshot")
                    .because(format!("pack {pack}, which it needs, is being removed by a prune; back up again")));
            }
        }
    }
    Ok(())
}
