//! How much of every pack is needed: each live chunk is counted in one of its copies, the others are duplicates.

use super::bits::Bits;
use super::plan::PackUse;
use super::plan::Standing;
use super::trace::Trace;
use super::view::View;
use crate::error::Error;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::format::wire::size;
use crate::id::PackId;
use crate::id::SnapshotId;
use std::collections::HashSet;

/// Which packs must be left alone because they are too young.
pub(super) struct Youth<'a> {
    pub(super) min_age_seconds: u64,
    /// Sessions that are known to have ended.
    pub(super) ended: &'a HashSet<SnapshotId>,
}

/// The use of every pack that is current and not condemned, in the order of their numbers.
pub(super) fn uses(view: &View, trace: &Trace, youth: &Youth<'_>) -> Vec<PackUse> {
    let mut uses: Vec<PackUse> = (0u32..)
        .zip(view.index.packs())
        .map(|(number, pack)| {
            let state = view.state(number);
            let old = view.rough_age_seconds(state.stored) >= youth.min_age_seconds;
            let standing = match state {
                state if state.marked || state.tombed || !state.current => Standing::Condemned,
                state if !state.whole => Standing::Lost,
                _ if old || youth.ended.contains(&pack.session) => Standing::Free,
                _ => Standing::Young,
            };
            PackUse::new(pack, standing)
        })
        .collect();
    let kept = keepers(view, trace, &mut uses);
    for (position, record) in records(view) {
        let Some(stored) = stored_share(view, record) else { continue };
        let Some(pack) = uses.get_mut(size(record.pack)) else { continue };
        if kept.has(position) {
            pack.kept += stored;
            pack.chunks_kept += 1;
        } else if trace.is_live(position) {
            pack.duplicate += stored;
        } else {
            pack.dead += stored;
        }
    }
    uses
}

/// One copy of every live chunk: in the pack that is needed most anyway, where there is a choice.
fn keepers(view: &View, trace: &Trace, uses: &mut [PackUse]) -> Bits {
    let mut kept = Bits::new(view.index.len());
    for (position, record) in records(view).filter(|(position, _)| trace.is_live(*position)) {
        if rivals(view, record).count() == 1
            && let Some(pack) = uses.get_mut(size(record.pack))
        {
            pack.only_here += u64::from(record.length);
            kept.set(position);
        }
    }
    for (position, record) in records(view).filter(|(position, _)| trace.is_live(*position)) {
        let rank = |other: &u32| {
            let pack = view.index.record(*other).map(|other| other.pack).unwrap_or_default();
            let state = view.state(pack);
            let only_here = uses.get(size(pack)).map_or(0, |pack| pack.only_here);
            (state.usable(), state.whole, only_here, std::cmp::Reverse(pack), std::cmp::Reverse(*other))
        };
        if rivals(view, record).max_by_key(rank) == Some(position) {
            kept.set(position);
        }
    }
    kept
}

/// Positions of all copies of the record's chunk, its own among them.
fn rivals<'a>(view: &'a View, record: &'a ChunkRecord) -> impl Iterator<Item = u32> + 'a {
    let same = |other: &u32| view.index.record(*other).is_some_and(|other| other.length == record.length);
    view.index.positions(&record.id).filter(same)
}

/// All records with their positions.
pub(super) fn records(view: &View) -> impl Iterator<Item = (u32, &ChunkRecord)> {
    let count = u32::try_from(view.index.len()).unwrap_or(u32::MAX);
    (0..count).filter_map(|position| view.index.record(position).map(|record| (position, record)))
}

/// The chunk's share of its stored segment.
fn stored_share(view: &View, record: &ChunkRecord) -> Option<u64> {
    let segment = view.index.pack(record.pack)?.segments.get(usize::from(record.segment))?;
    Some(u64::from(segment.stored_length) * u64::from(record.length) / u64::from(segment.plain_length).max(1))
}

/// Copies in victims of live chunks that have no copy in a usable pack that is no victim.
fn homeless<'a>(
    view: &'a View,
    trace: &'a Trace,
    is_victim: &'a impl Fn(u32) -> bool,
) -> impl Iterator<Item = (u32, &'a ChunkRecord)> {
    let has_home = move |record: &ChunkRecord| {
        let packs = rivals(view, record).filter_map(|other| view.index.record(other)).map(|other| other.pack);
        packs.filter(|pack| !is_victim(*pack)).any(|pack| view.state(pack).usable())
    };
    records(view)
        .filter(move |(position, record)| is_victim(record.pack) && trace.is_live(*position) && !has_home(record))
}

/// Packs that must stay until what is needed of them has a copy elsewhere, whichever of them that is copied from: of
/// several copies in victims each may be the one that others, who have condemned the rest, rely on.
pub(super) fn at_stake(view: &View, trace: &Trace, is_victim: impl Fn(u32) -> bool) -> HashSet<PackId> {
    let numbers: HashSet<u32> = homeless(view, trace, &is_victim).map(|(_, record)| record.pack).collect();
    numbers.into_iter().filter_map(|number| view.index.pack(number)).map(|pack| pack.id).collect()
}

/// Which needed copies stand in victims only, so that they must be copied before the victims go. A live chunk of a
/// victim that is nowhere to be found is an error: nothing may be deleted on the word of a list that lacks packs.
pub(super) fn needed(view: &View, trace: &Trace, is_victim: impl Fn(u32) -> bool) -> Result<Bits> {
    let mut needed = Bits::new(view.index.len());
    for (position, record) in homeless(view, trace, &is_victim) {
        let pack_of = |other: u32| view.index.record(other).map(|other| other.pack);
        let mut states = rivals(view, record).filter_map(pack_of).map(|pack| view.state(pack));
        // Of several copies in victims the first one that is there is copied.
        let there = |other: &u32| pack_of(*other).is_some_and(|pack| is_victim(pack) && view.state(pack).whole);
        match rivals(view, record).filter(there).min() {
            Some(first) if first == position => drop(needed.set(position)),
            Some(_) => {}
            // Another run has condemned that copy and answers for it.
            None if states.any(|state| state.whole) => {}
            None => return Err(Error::damaged(format!("chunk {}", record.id), "no pack that is there holds it")),
        }
    }
    Ok(needed)
}
