//! All index objects of a repository into one index: the union of what they name, less what is gone.

use super::gather::Gathered;
use super::gather::Gatherer;
use super::gather::fetch_each;
use super::keys;
use super::keys::FoundKey;
use super::table::Index;
use crate::backend::Area;
use crate::backend::Listed;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::PackInfo;
use crate::id::IndexId;
use crate::id::PackId;
use crate::store::Condemned;
use crate::store::Store;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

/// How often the index is read anew when objects of it go away meanwhile: every time a merge must have ended.
const ROUNDS_MAX: usize = 8;

/// An index object that is damaged, and how.
pub(crate) type DamagedObject = (IndexId, Error);

/// Whether what is kept of index objects on this machine stands for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// It does: the objects are there, and what they said is known.
    New,
    /// All are read: somebody wants to know whether they can be.
    All,
}

/// Loads every index object that can be read; damaged ones are listed. Who ignores them must know that a short
/// index looks like lost data. A damaged mark or tomb is no reason to read nothing: what it would have said is missing,
/// and packs that are gone are found to be so when they are asked for.
pub(crate) async fn load_what_opens(store: &Arc<Store>, read: Read) -> Result<(Index, Vec<DamagedObject>)> {
    let (condemned, _) = Condemned::read_what_opens(store).await?;
    let (all, damaged) = readable(store, read).await?;
    let gone = all.pack_ids().filter(|pack| condemned.is_deleted(pack)).copied().collect();
    Ok((table(all, &gone, &condemned)?, damaged))
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
    /// Bytes of all packs that are there.
    pub(crate) bytes: u64,
    /// What is not as it should be on this machine.
    pub(crate) warning: Option<String>,
}

/// The same for a backup, which leans on what it finds: packs that are not there at their full length, or whose keys
/// are nowhere, are left out and named, so that what they held is stored again where the source still has it. Packs that
/// a prune has condemned are there to be read.
pub(crate) async fn load_what_is_stored(store: &Arc<Store>) -> Result<Stored> {
    let condemned = Condemned::read(store).await?;
    let (mut all, damaged) = readable(store, Read::New).await?;
    // Packs and keys are stored before the index object that names them: what is missing from the lists is lost.
    let listed = store.list(Area::Packs).await?;
    let is_whole = |pack: &PackInfo| {
        let found = listed.binary_search_by_key(&Name::Pack(pack.id), |listed| listed.name);
        found.ok().and_then(|at| listed.get(at)).is_some_and(|listed| listed.length == u64::from(pack.length))
    };
    let keys: HashSet<Name> = store.list(Area::DataKeys).await?.into_iter().map(|listed| listed.name).collect();
    let (mut lost, mut missing) = (BTreeSet::new(), BTreeSet::new());
    for pack in all.packs() {
        let pack = pack?;
        if is_whole(&pack) {
            missing.extend(pack.data_keys.iter().filter(|id| !keys.contains(&Name::DataKey(**id))));
        } else {
            lost.insert(pack.id);
        }
    }
    let (found, keyless) = keys::find_missing(store, missing, all.packs(), &is_whole).await?;
    if !keyless.is_empty() {
        for pack in all.packs() {
            let pack = pack?;
            if pack.data_keys.iter().any(|key| keyless.contains(key)) {
                lost.insert(pack.id);
            }
        }
    }
    let bytes = listed.iter().map(|pack| pack.length).fold(0, u64::saturating_add);
    drop(listed);
    let gone = lost.iter().copied().collect();
    if !lost.is_empty() {
        // What a prune has deleted since the index was read is no loss.
        let now = Condemned::read(store).await?;
        lost.retain(|pack| !condemned.is_condemned(pack) && !now.is_condemned(pack));
    }
    let warning = all.warning.take();
    let index = table(all, &gone, &condemned)?;
    Ok(Stored { index, damaged, lost: lost.into_iter().collect(), found, bytes, warning })
}

/// Whether the index objects in `known` are all there still, and no other one supersedes any of them. Those that were read
/// to know that are added to `passed`, and not read again: they were there before anything that is known later.
pub(crate) async fn still_hold(
    store: &Arc<Store>,
    known: &HashSet<IndexId>,
    passed: &mut HashSet<IndexId>,
) -> Result<bool> {
    let is_known = |object: &Listed| matches!(object.name, Name::Index(id) if known.contains(&id));
    let (old, mut new): (Vec<Listed>, Vec<Listed>) = store.list(Area::Index).await?.into_iter().partition(is_known);
    if old.len() < known.len() {
        return Ok(false);
    }
    new.retain(|object| !matches!(object.name, Name::Index(id) if passed.contains(&id)));
    let mut hold = true;
    fetch_each(store, &new, |id, _, outcome| {
        match outcome {
            Ok(records) if records.supersedes.iter().any(|id| known.contains(id)) => hold = false,
            Ok(_) => _ = passed.insert(id),
            Err(error) if error.kind() == Kind::NotFound => hold = false,
            // To every reader it is as if it were not there.
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    })
    .await?;
    Ok(hold)
}

/// The index objects that count now, and every pack that they name.
pub(crate) async fn named_packs(store: &Arc<Store>) -> Result<(HashSet<IndexId>, HashSet<PackId>)> {
    let (all, _) = readable(store, Read::New).await?;
    Ok((all.objects(), all.pack_ids().copied().collect()))
}

fn table(all: Gathered, gone: &HashSet<PackId>, condemned: &Condemned) -> Result<Index> {
    let mut index = Index::empty();
    index.made_from(all.objects());
    all.add_to(&mut index, gone)?;
    index.judge(condemned);
    Ok(index)
}

/// All index objects that open and are not superseded, and those that do not open. One that goes away between listing
/// and reading was merged into another one, which the first listing may not have had: then all is read again.
async fn readable(store: &Arc<Store>, read: Read) -> Result<(Gathered, Vec<DamagedObject>)> {
    for round in 0..ROUNDS_MAX {
        let (opened, mut damaged, missing) = readable_once(store, read).await?;
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

/// The same from one listing; what went away since is named.
async fn readable_once(store: &Arc<Store>, read: Read) -> Result<(Gathered, Vec<DamagedObject>, Vec<Name>)> {
    // Lists come sorted: the index must not depend on the store's order.
    let listed = store.list(Area::Index).await?;
    let mut gatherer = match read {
        Read::New => Gatherer::with_kept(store, &listed),
        Read::All => Gatherer::anew(store),
    };
    let (mut superseded, mut failed) = (gatherer.superseded(), BTreeMap::new());
    loop {
        let is_wanted = |object: &&Listed| match object.name {
            Name::Index(id) => !gatherer.has(&id) && !superseded.contains(&id) && !failed.contains_key(&id),
            _ => false,
        };
        let wanted: Vec<Listed> = listed.iter().filter(is_wanted).copied().collect();
        failed.extend(gatherer.fetch(&wanted).await?);
        superseded.extend(gatherer.superseded());
        if !gatherer.leave_out(&superseded) {
            break;
        }
    }
    let (mut damaged, mut missing) = (Vec::new(), Vec::new());
    for (id, error) in failed {
        match error.kind() {
            // Nothing is lost where its successor is here already, and lists that it stands for this one.
            Kind::NotFound if superseded.contains(&id) => {}
            Kind::NotFound => missing.push(Name::Index(id)),
            // A repair has named again what this one can have named.
            Kind::Damaged if superseded.contains(&id) => {}
            _ => damaged.push((id, error)),
        }
    }
    Ok((gatherer.finish(), damaged, missing))
}
