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
use crate::index::table::Copy;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashSet;

/// Which packs must be left alone because they are too young.
pub(super) struct Youth<'a> {
    pub(super) min_age_seconds: u64,
    /// Sessions that are known to have ended.
    pub(super) ended: &'a HashSet<SnapshotId>,
}

/// The use of every pack, in the order of their numbers.
pub(super) fn uses(view: &View, trace: &Trace, youth: &Youth<'_>) -> Result<Vec<PackUse>> {
    let mut uses = Vec::with_capacity(view.index.pack_ids().len());
    let mut segments = Segments { firsts: Vec::with_capacity(uses.capacity()), lengths: Vec::new() };
    for (number, pack) in (0u32..).zip(view.index.packs()) {
        let (pack, state) = (pack?, view.state(number));
        let old = view.rough_age_seconds(state.stored) >= youth.min_age_seconds;
        let standing = match state {
            state if state.marked || state.tombed || !state.current => Standing::Condemned,
            state if !state.whole => Standing::Lost,
            _ if old || youth.ended.contains(&pack.session) => Standing::Free,
            _ => Standing::Young,
        };
        uses.push(PackUse::new(&pack, standing));
        segments.firsts.push(segments.lengths.len());
        segments.lengths.extend(pack.segments.iter().map(|segment| (segment.stored_length, segment.plain_length)));
    }
    add_up(view, trace, &segments, &mut uses)?;
    Ok(uses)
}

/// Adds every copy of a chunk to what its pack keeps, or has twice, or wastes. A live chunk is kept in one place: in the
/// pack that is needed most anyway, where there is a choice.
fn add_up(view: &View, trace: &Trace, segments: &Segments, uses: &mut [PackUse]) -> Result<()> {
    view.index.for_each_chunk(|copies| {
        for (_, record) in copies.iter().filter(|(position, _)| trace.is_live(*position)) {
            if rivals(copies, record).count() == 1
                && let Some(pack) = uses.get_mut(size(record.pack))
            {
                pack.only_here += u64::from(record.length);
            }
        }
        Ok(())
    })?;
    view.index.for_each_chunk(|copies| {
        for (position, record) in copies {
            let rank = |(position, rival): &&Copy| {
                let state = view.state(rival.pack);
                let only_here = uses.get(size(rival.pack)).map_or(0, |pack| pack.only_here);
                (view.is_reliable(rival.pack), state.whole, only_here, Reverse(rival.pack), Reverse(*position))
            };
            let is_live = trace.is_live(*position);
            let is_kept = is_live && rivals(copies, record).max_by_key(rank).is_some_and(|(kept, _)| kept == position);
            let Some(stored) = segments.stored_share(record) else { continue };
            let Some(pack) = uses.get_mut(size(record.pack)) else { continue };
            if is_kept {
                pack.kept += stored;
                pack.chunks_kept += 1;
            } else if is_live {
                pack.duplicate += stored;
            } else {
                pack.dead += stored;
            }
        }
        Ok(())
    })
}

/// Stored and plain length of every segment, pack by pack.
struct Segments {
    firsts: Vec<usize>,
    lengths: Vec<(u32, u32)>,
}

impl Segments {
    /// The chunk's share of its stored segment.
    fn stored_share(&self, record: &ChunkRecord) -> Option<u64> {
        let first = self.firsts.get(size(record.pack))?;
        let (stored, plain) = self.lengths.get(first + usize::from(record.segment))?;
        Some(u64::from(*stored) * u64::from(record.length) / u64::from(*plain).max(1))
    }
}

/// Of all copies of a chunk those that can stand for this one, itself among them.
fn rivals<'a>(copies: &'a [Copy], record: &ChunkRecord) -> impl Iterator<Item = &'a Copy> + Clone + use<'a> {
    let length = record.length;
    copies.iter().filter(move |(_, other)| other.length == length)
}

/// Calls `visit` with each of some copies.
pub(super) fn for_each_of(view: &View, positions: &Bits, mut visit: impl FnMut(&ChunkRecord)) -> Result<()> {
    if positions.is_empty() {
        return Ok(());
    }
    view.index.for_each_chunk(|copies| {
        copies.iter().filter(|(position, _)| positions.has(*position)).for_each(|(_, record)| visit(record));
        Ok(())
    })
}

/// Calls `visit` with each copy in a victim of a live chunk, and with all copies of that chunk.
pub(super) fn for_each_live(
    view: &View,
    trace: &Trace,
    victims: &HashSet<u32>,
    mut visit: impl FnMut(&Copy, &[Copy]) -> Result<()>,
) -> Result<()> {
    if victims.is_empty() {
        return Ok(());
    }
    view.index.for_each_chunk(|copies| {
        let live = |(position, record): &&Copy| victims.contains(&record.pack) && trace.is_live(*position);
        copies.iter().filter(live).try_for_each(|copy| visit(copy, copies))
    })
}

/// The copies that stand for this one once the victims are gone.
pub(super) fn homes<'a>(
    view: &'a View,
    victims: &'a HashSet<u32>,
    copies: &'a [Copy],
    record: &ChunkRecord,
) -> impl Iterator<Item = &'a Copy> + use<'a> {
    rivals(copies, record).filter(|(_, rival)| !victims.contains(&rival.pack) && view.is_reliable(rival.pack))
}

/// The same for copies that nothing stands for.
fn for_each_homeless(
    view: &View,
    trace: &Trace,
    victims: &HashSet<u32>,
    mut visit: impl FnMut(&Copy, &[Copy]) -> Result<()>,
) -> Result<()> {
    for_each_live(view, trace, victims, |copy, copies| match homes(view, victims, copies, &copy.1).next() {
        Some(_) => Ok(()),
        None => visit(copy, copies),
    })
}

/// Packs that must stay until what is needed of them has a copy elsewhere, whichever of them that is copied from: of
/// several copies in victims each may be the one that others, who have condemned the rest, rely on.
pub(super) fn at_stake(view: &View, trace: &Trace, victims: &HashSet<u32>) -> Result<HashSet<PackId>> {
    let mut packs = HashSet::new();
    for_each_homeless(view, trace, victims, |(_, record), _| {
        packs.extend(view.index.pack_id(record.pack));
        Ok(())
    })?;
    Ok(packs)
}

/// Which needed copies stand in victims only, so that they must be copied before the victims go. A live chunk of a
/// victim that is nowhere to be found is an error: nothing may be deleted on the word of a list that lacks packs.
pub(super) fn needed(view: &View, trace: &Trace, victims: &HashSet<u32>) -> Result<Bits> {
    let mut needed = Bits::new(size(view.index.end()));
    for_each_homeless(view, trace, victims, |(position, record), copies| {
        let there = || rivals(copies, record).filter(|(_, rival)| view.state(rival.pack).whole);
        // Of several copies in victims the first one that is there is copied, of a sound pack if there is one.
        let there_too = there().filter(|(_, rival)| victims.contains(&rival.pack));
        match there_too.min_by_key(|(other, rival)| (view.is_damaged(rival.pack), *other)) {
            Some((first, _)) if first == position => drop(needed.set(*position)),
            Some(_) => {}
            // Another run has condemned that copy and answers for it.
            None if there().next().is_some() => {}
            None => return Err(Error::damaged(format!("chunk {}", record.id), "no pack holds it")),
        }
        Ok(())
    })?;
    Ok(needed)
}

/// Of the packs among `from` from which the fewest bytes must be copied, `packs` of them: all that must be.
pub(super) fn needed_least(
    view: &View,
    trace: &Trace,
    victims: &HashSet<u32>,
    from: &HashSet<u32>,
    packs: usize,
) -> Result<Bits> {
    let mut bytes: BTreeMap<u32, u64> = BTreeMap::new();
    for_each_homeless(view, trace, victims, |(_, record), _| {
        if from.contains(&record.pack) && view.state(record.pack).whole {
            *bytes.entry(record.pack).or_default() += u64::from(record.length);
        }
        Ok(())
    })?;
    let mut least: Vec<(u64, u32)> = bytes.into_iter().map(|(pack, bytes)| (bytes, pack)).collect();
    least.sort_unstable();
    let chosen: HashSet<u32> = least.into_iter().take(packs).map(|(_, pack)| pack).collect();
    let mut needed = Bits::new(size(view.index.end()));
    for_each_homeless(view, trace, victims, |(position, record), _| {
        if chosen.contains(&record.pack) {
            needed.set(*position);
        }
        Ok(())
    })?;
    Ok(needed)
}
