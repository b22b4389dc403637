//! Data keys that no pack names any more. Nothing depends on their objects: whatever was sealed with a key is in packs that
//! hold it as well.
//!
//! A session stores its keys before its first pack, so one that no pack names may be that of a session that runs. Deleted
//! too early it would cost no data, as the packs that are yet to come hold it, but a check would miss it until the next
//! backup puts it back. So a key stays until it is old, unless the packs that named it have just been deleted
//! and were of sessions that have ended: where packs may go that are younger than a session lasts, their keys wait.

use super::options::PruneOptions;
use super::view::View;
use crate::backend::Area;
use crate::backend::Listed;
use crate::backend::Name;
use crate::error::Kind;
use crate::error::Result;
use crate::id::DataKeyId;
use crate::id::PackId;
use std::collections::BTreeMap;
use std::collections::HashSet;

/// How many times as long as a pack a key stays that nothing names: catalogs are stored last of all.
const AGES: u64 = 7;
/// And so long whatever is asked for: few sessions last longer.
const SECONDS_MIN: u64 = 24 * 3600;

/// How old a key must be, where packs must be so old.
pub(super) fn age_seconds(packs: u64) -> u64 {
    packs.saturating_mul(AGES).max(SECONDS_MIN)
}

/// All keys there are. To be listed before the packs: a key of a pack that is not there yet is younger than what is deleted.
pub(super) async fn listed(view: &View) -> Result<Vec<Listed>> {
    view.store.list(Area::DataKeys).await
}

/// Whether the keys of deleted packs go with them.
pub(super) fn go_with_packs(options: &PruneOptions) -> bool {
    options.min_age.as_secs() >= SECONDS_MIN
}

/// The keys that these packs name, as far as the index tells.
pub(super) fn named_by<'a>(view: &View, packs: impl Iterator<Item = &'a PackId>) -> Result<HashSet<DataKeyId>> {
    let mut named = HashSet::new();
    for number in packs.filter_map(|pack| view.index.pack_number(pack)) {
        named.extend(view.index.pack(number)?.iter().flat_map(|pack| &pack.data_keys));
    }
    Ok(named)
}

/// Of the listed keys those whose time has come and that no pack names, but the packs that are `going`.
pub(super) async fn unneeded(
    view: &View,
    listed: &[Listed],
    is_due: impl Fn(&DataKeyId, &Listed) -> bool,
    going: &HashSet<PackId>,
) -> Result<BTreeMap<DataKeyId, Listed>> {
    let key = |object: &Listed| match object.name {
        Name::DataKey(id) if is_due(&id, object) => Some((id, *object)),
        _ => None,
    };
    let mut due: BTreeMap<DataKeyId, Listed> = listed.iter().filter_map(key).collect();
    if due.is_empty() {
        return Ok(due);
    }
    for (number, pack) in (0u32..).zip(view.index.packs()) {
        let (pack, state) = (pack?, view.state(number));
        // One that is named and not listed may be back tomorrow, unless a prune has taken it.
        let stays = state.listed || (state.current && !state.tombed);
        if stays && !going.contains(&pack.id) {
            pack.data_keys.iter().for_each(|id| _ = due.remove(id));
        }
    }
    for (pack, there) in view.unindexed.iter().filter(|(pack, _)| !going.contains(pack)) {
        if due.is_empty() {
            break;
        }
        match view.store.find_table(*pack, there.length).await {
            Ok(own) => own.table.data_keys.iter().for_each(|id| _ = due.remove(id)),
            Err(error) if error.kind() == Kind::NotFound => {}
            // Which keys it names nobody can tell.
            Err(error) if error.is_local() => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        }
    }
    Ok(due)
}
