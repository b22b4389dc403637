//! What runs leave behind and time takes away: marks whose packs are gone, old tombs, pending records of the dead.

use super::roots::Roots;
use super::view::View;
use crate::backend::Name;
use crate::error::Kind;
use crate::error::Result;
use crate::format::gc::Mark;
use crate::id::PackId;
use crate::limits::ABANDONED_NOTE_SECONDS;
use crate::limits::ABANDONED_SECONDS;
use std::collections::HashSet;

/// Tombs stay for so many seconds: longer than any session that might still rely on what they name.
const TOMB_SECONDS: u64 = 30 * 24 * 3600;

/// P6. A mark goes once tombs name all its packs, and have done so for the grace period: whoever lists tombs as they
/// were that long ago still sees the mark.
pub(super) async fn marks(view: &View, roots: &Roots, grace_seconds: u64) -> Result<()> {
    let is_old = |name: &Name| {
        let stored = view.gc_stored.get(name).copied().flatten();
        grace_seconds == 0 || view.age_seconds(stored).is_some_and(|age| age >= grace_seconds)
    };
    let tombs = view.condemned.tombs().iter().filter(|(id, _)| is_old(&Name::Tomb(**id)));
    let buried: HashSet<&PackId> = tombs.flat_map(|(_, packs)| packs).collect();
    for (id, packs) in view.condemned.marks() {
        // The first word of the end of a pending record, see below.
        let is_note = packs.is_empty() && roots.pending.contains_key(id);
        if !is_note && packs.iter().all(|pack| buried.contains(pack)) {
            view.store.backend().delete(&Name::Mark(*id)).await?;
        }
    }
    Ok(())
}

/// Removes tombs that are old and whose packs are neither listed nor named by any index object or mark.
pub(super) async fn tombs(view: &View) -> Result<u64> {
    let numbers = view.objects.values().flat_map(|object| &object.packs);
    let named: HashSet<PackId> = numbers.filter_map(|number| view.index.pack_id(*number)).collect();
    let marked: HashSet<&PackId> = view.condemned.marks().values().flatten().collect();
    let is_settled = |pack: &PackId| !named.contains(pack) && !marked.contains(pack) && !view.is_listed(pack);
    let mut removed = 0;
    for (id, packs) in view.condemned.tombs() {
        let name = Name::Tomb(*id);
        let stored = view.gc_stored.get(&name).copied().flatten();
        let is_old = view.age_seconds(stored).is_some_and(|age| age >= TOMB_SECONDS);
        if is_old && packs.iter().all(is_settled) {
            view.store.backend().delete(&name).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes pending records whose snapshot is there, and in two runs those that nobody has touched for two weeks: the
/// first leaves a mark of the same id without packs, the second, a day later at least, takes both away.
pub(super) async fn pending(view: &View, roots: &Roots, grace_seconds: u64) -> Result<u64> {
    let mut removed = 0;
    for (id, root) in &roots.pending {
        let (name, note) = (Name::Pending(*id), Name::Mark(*id));
        if let Some(snapshot) = roots.snapshots.get(id) {
            // Whoever lists both as they were must not see the one gone and the other not yet there.
            if grace_seconds > 0 && view.age_seconds(snapshot.stored).is_none_or(|age| age < grace_seconds) {
                continue;
            }
            view.store.backend().delete(&name).await?;
            removed += 1;
            continue;
        }
        let is_old = view.age_seconds(root.stored).is_some_and(|age| age >= ABANDONED_SECONDS);
        match view.gc_stored.get(&note) {
            None if is_old => match view.store.put_small(&note, &Mark { packs: Vec::new() }.encode()).await {
                // Taken away before it was read back here: the record has gone meanwhile.
                Err(error) if error.kind() == Kind::NotFound => {}
                outcome => outcome?,
            },
            // Stored again since the note was left.
            Some(_) if !is_old => view.store.backend().delete(&note).await?,
            Some(noted) if view.age_seconds(*noted).is_some_and(|age| age >= ABANDONED_NOTE_SECONDS) => {
                view.store.backend().delete(&name).await?;
                view.store.backend().delete(&note).await?;
                removed += 1;
            }
            None | Some(_) => {}
        }
    }
    Ok(removed)
}
