//! Index objects merged into fewer: the union of what they name, less the packs that are going.

use super::PruneReport;
use super::account::Account;
use super::view::View;
use crate::backend::Area;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::format::index::IndexRecords;
use crate::format::index::PackInfo;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::IndexId;
use crate::id::PackId;
use crate::limits::INDEX_MERGED_CHUNKS;
use crate::store::OnFull;
use crate::store::Store;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

/// Index objects of one level that are merged into one of the next.
const LEVEL_OBJECTS: usize = 8;
/// Most chunks of an index object of the lowest level; each further level has eight times as many.
const LEVEL_CHUNKS: usize = 1024;

/// Which index objects to write anew, in groups that become one each: those that name a pack that is going, and
/// those of levels that have too many. Pure.
pub(super) fn groups(sizes: &BTreeMap<IndexId, usize>, must: &BTreeSet<IndexId>) -> Vec<Vec<IndexId>> {
    let mut levels: BTreeMap<u32, Vec<IndexId>> = BTreeMap::new();
    for (id, chunks) in sizes {
        levels.entry(level(*chunks)).or_default().push(*id);
    }
    let mut chosen = must.clone();
    for (_, ids) in levels.into_iter().filter(|(level, ids)| *level < full_level() && ids.len() >= LEVEL_OBJECTS) {
        chosen.extend(ids);
    }
    // The smallest first, so that they come together.
    let mut chosen: Vec<(usize, IndexId)> =
        chosen.into_iter().filter_map(|id| sizes.get(&id).map(|chunks| (*chunks, id))).collect();
    chosen.sort_unstable();
    let mut groups: Vec<Vec<IndexId>> = Vec::new();
    let mut filled = usize::MAX;
    for (chunks, id) in chosen {
        match groups.last_mut().filter(|_| filled.saturating_add(chunks) <= INDEX_MERGED_CHUNKS) {
            Some(group) => {
                group.push(id);
                filled += chunks;
            }
            None => {
                groups.push(vec![id]);
                filled = chunks;
            }
        }
    }
    groups
}

fn level(chunks: usize) -> u32 {
    let mut level = 0;
    let mut most = LEVEL_CHUNKS;
    while chunks >= most && level < full_level() {
        level += 1;
        most *= LEVEL_OBJECTS;
    }
    level
}

/// Index objects of this level are large enough to be left alone.
const fn full_level() -> u32 {
    (INDEX_MERGED_CHUNKS / LEVEL_CHUNKS).ilog2().div_ceil(LEVEL_OBJECTS.ilog2())
}

/// Merges, and deletes exactly what the merged objects replace and what earlier merges have left behind. The objects
/// in `anew` are written anew in any case.
pub(super) async fn merge(
    view: &View,
    going: &HashSet<PackId>,
    anew: BTreeSet<IndexId>,
    report: &mut PruneReport,
) -> Result<()> {
    let superseded = view.superseded();
    // A merge that was interrupted: that its objects are taken over whole was seen when the index was read.
    if !superseded.is_empty() {
        view.store.barrier_for(Area::Index).await?;
    }
    report.index_deleted += view.store.delete_all(superseded.iter().copied().map(Name::Index)).await?;
    let current = view.objects.iter().filter(|(id, _)| !superseded.contains(id));
    let is_going = |number: &u32| view.index.pack_id(*number).is_some_and(|pack| going.contains(&pack));
    let (mut sizes, mut must) = (BTreeMap::new(), anew);
    for (id, object) in current {
        sizes.insert(*id, object.chunks);
        if object.packs.is_empty() || object.packs.iter().any(is_going) {
            must.insert(*id);
        }
    }
    for group in groups(&sizes, &must) {
        if group.len() == 1 && group.iter().all(|id| !must.contains(id)) {
            continue;
        }
        report.index_written += u64::from(merge_group(&view.store, &group, going).await?);
        report.index_deleted += view.store.delete_all(group.into_iter().map(Name::Index)).await?;
    }
    Ok(())
}

/// Stores the union of a group and reads it back; `false` when nothing is left of it to store. In memory is never more
/// than the union with one object of the group, or with its own stored form.
async fn merge_group(store: &Arc<Store>, group: &[IndexId], going: &HashSet<PackId>) -> Result<bool> {
    let mut union = Union { going, numbers: HashMap::new(), packs: Vec::new(), chunks: Vec::new() };
    let mut account = Account::new(going);
    for id in group {
        // Read again: nothing is taken over from memory that is not in the repository. One that is gone was merged
        // by somebody else meanwhile, and what became of its packs is not known here.
        let records = store.get_index(*id).await.map_err(beside_others)?;
        account.enter(&records)?;
        union.add(records);
    }
    let records = union.into_records(group);
    if records.packs.is_empty() && account.is_empty() {
        return Ok(false);
    }
    // Once it is stored, what it supersedes is as good as gone to every reader.
    account.settle(&records)?;
    let stored = store.put_merged_index(&records, OnFull::SpendReserve).await?;
    drop(records);
    // It may have been merged by somebody else already.
    let read = store.get_index(stored).await.map_err(beside_others)?;
    account.settle(&read)?;
    Ok(true)
}

/// An object that is gone is no damage here: everything has to be looked at again.
fn beside_others(error: Error) -> Error {
    match error.kind() {
        Kind::NotFound => Error::new(Kind::Conflict, "another prune merges the index at the same time").because(error),
        _ => error,
    }
}

/// Packs of several index objects with their chunks, each pack once, under numbers in the order in which they came.
struct Union<'a> {
    going: &'a HashSet<PackId>,
    numbers: HashMap<PackId, u32>,
    packs: Vec<PackInfo>,
    chunks: Vec<ChunkRecord>,
}

impl Union<'_> {
    fn add(&mut self, records: IndexRecords) {
        let IndexRecords { packs, mut chunks, .. } = records;
        let mut numbers = Vec::with_capacity(packs.len());
        for pack in packs {
            let is_new = !self.going.contains(&pack.id) && !self.numbers.contains_key(&pack.id);
            let number = length_u32(self.packs.len());
            numbers.push(is_new.then_some(number));
            if is_new {
                self.numbers.insert(pack.id, number);
                self.packs.push(pack);
            }
        }
        chunks.retain_mut(|record| {
            let Some(Some(number)) = numbers.get(size(record.pack)) else { return false };
            record.pack = *number;
            true
        });
        // The longer list grows by the shorter one.
        if chunks.len() > self.chunks.len() {
            std::mem::swap(&mut chunks, &mut self.chunks);
        }
        self.chunks.reserve_exact(chunks.len());
        self.chunks.extend(chunks);
    }

    /// All of it in the order in which it is stored.
    fn into_records(self, group: &[IndexId]) -> IndexRecords {
        let Self { packs, mut chunks, .. } = self;
        let mut packs: Vec<(u32, PackInfo)> = (0u32..).zip(packs).collect();
        packs.sort_unstable_by_key(|(_, pack)| pack.id);
        let mut numbers = vec![0; packs.len()];
        for (number, (came, _)) in (0u32..).zip(&packs) {
            numbers.get_mut(size(*came)).into_iter().for_each(|place| *place = number);
        }
        for record in &mut chunks {
            record.pack = numbers.get(size(record.pack)).copied().unwrap_or(record.pack);
        }
        chunks.sort_unstable();
        let mut supersedes = group.to_vec();
        supersedes.sort_unstable();
        IndexRecords { supersedes, packs: packs.into_iter().map(|(_, pack)| pack).collect(), chunks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::account::tests::object;
    use crate::prune::account::tests::pack;

    fn id(number: u8) -> IndexId {
        IndexId::from_bytes([number; 32])
    }

    fn sizes(sizes: &[usize]) -> BTreeMap<IndexId, usize> {
        (0u8..).map(id).zip(sizes.iter().copied()).collect()
    }

    #[test]
    fn eight_of_a_level_become_one_and_fewer_stay() {
        assert!(groups(&sizes(&[100; 7]), &BTreeSet::new()).is_empty());
        let eight = groups(&sizes(&[100, 100, 100, 100, 100, 100, 100, 100, 5000]), &BTreeSet::new());
        assert_eq!(eight, vec![(0..8).map(id).collect::<Vec<_>>()]);
        // Full ones are never merged for their number.
        assert!(groups(&sizes(&[INDEX_MERGED_CHUNKS; 20]), &BTreeSet::new()).is_empty());
    }

    #[test]
    fn what_names_a_pack_that_is_going_is_written_anew_in_any_case() {
        let must = BTreeSet::from([id(1), id(2)]);
        let two = groups(&sizes(&[10, INDEX_MERGED_CHUNKS, 20]), &must);
        assert_eq!(two, vec![vec![id(2)], vec![id(1)]]);
        assert_eq!(groups(&sizes(&[10, 30, 20]), &must), vec![vec![id(2), id(1)]]);
    }

    #[test]
    fn levels_grow_by_eight_until_an_object_is_full() {
        assert_eq!([0, 1023, 1024, 8191, 8192].map(level), [0, 0, 1, 1, 2]);
        assert_eq!(level(INDEX_MERGED_CHUNKS), full_level());
        assert_eq!(level(usize::MAX), full_level());
    }

    #[test]
    fn a_union_has_every_pack_once_and_none_that_is_going() {
        let going = HashSet::from([PackId::from_bytes([7; 32])]);
        let mut union = Union { going: &going, numbers: HashMap::new(), packs: Vec::new(), chunks: Vec::new() };
        union.add(object(&[5, 7], &[(1, 0), (2, 1), (3, 0)]));
        union.add(object(&[2, 5, 9], &[(1, 1), (3, 1), (4, 2), (6, 0), (8, 0), (8, 2)]));
        let records = union.into_records(&[id(4), id(1)]);
        assert_eq!(records.supersedes, [id(1), id(4)]);
        assert_eq!(records.packs, [2, 5, 9].map(pack));
        let chunks: Vec<(u8, u32)> =
            records.chunks.iter().map(|record| (record.id.as_bytes()[0], record.pack)).collect();
        assert_eq!(chunks, [(1, 1), (3, 1), (4, 2), (6, 0), (8, 0), (8, 2)]);
    }
}
