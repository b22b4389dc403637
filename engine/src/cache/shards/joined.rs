//! Several shards as one, or one without objects that are gone: read row by row, so nothing of it stands in memory.
//!
//! Every look-up asks every shard. They are put together so that each has at least as many rows as all smaller ones
//! together: then there are few, and a row is written again only into a shard at least twice as large as the one it was
//! in. That is how a log-structured merge tree keeps its levels (O'Neil et al., 1996).

use super::contents::Contents;
use super::draft::Covered;
use super::merged::Merged;
use super::shard::Shard;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::format::wire::size;
use crate::id::PackId;
use std::borrow::Borrow;
use std::cmp::Reverse;
use std::ops::Range;

/// Takes those out of `shards` that are to be one, if any; the others are ordered by their size. As many as are `few` stay
/// as they are.
pub(crate) fn crowded<S: Borrow<Shard>>(shards: &mut Vec<S>, few: usize) -> Vec<S> {
    shards.sort_by_key(|shard| Reverse(shard.borrow().rows()));
    let rows: Vec<u32> = shards.iter().map(|shard| shard.borrow().rows()).collect();
    let large = if rows.len() > few { large(&rows) } else { rows.len() };
    shards.split_off(large)
}

/// How many of the largest shards stay as they are: none that has fewer rows than all smaller ones together.
fn large(rows: &[u32]) -> usize {
    let mut large = rows.len();
    let mut smaller = 0u64;
    for (at, rows) in rows.iter().enumerate().rev() {
        let all = smaller + u64::from(*rows);
        // Rows are counted in 32 bits.
        if u64::from(*rows) < smaller && all <= u64::from(u32::MAX) {
            large = at;
        }
        smaller = all;
    }
    large
}

/// Shards on their way into one.
pub(crate) struct Joined<'a> {
    covered: Vec<Covered>,
    count: usize,
    sources: Vec<Source<'a>>,
}

/// One of them.
struct Source<'a> {
    shard: &'a Shard,
    /// What becomes of the packs of its objects; none where it has ids alone.
    moves: Vec<Move>,
}

/// Packs of one object, which follow one another.
struct Move {
    packs: Range<u32>,
    /// The number that the first of them gets; none where the object is left out.
    to: Option<u32>,
}

impl<'a> Joined<'a> {
    /// What of some shards belongs to objects that count.
    pub(crate) fn of(shards: impl IntoIterator<Item = &'a Shard>, counts: impl Fn(&Covered) -> bool) -> Self {
        let mut joined = Self { covered: Vec::new(), count: 0, sources: Vec::new() };
        let mut packs = 0u32;
        for shard in shards {
            let mut moves = Vec::with_capacity(shard.covered().len());
            let mut first = 0u32;
            for object in shard.covered() {
                let end = first.saturating_add(object.packs);
                let counts = counts(object);
                moves.push(Move { packs: first..end, to: counts.then_some(packs) });
                first = end;
                if counts {
                    packs = packs.saturating_add(object.packs);
                    joined.count += size(object.chunks);
                    joined.covered.push(object.clone());
                }
            }
            if moves.is_empty() {
                joined.count += size(shard.rows());
            }
            joined.sources.push(Source { shard, moves });
        }
        joined
    }
}

impl Contents for Joined<'_> {
    fn covered(&self) -> &[Covered] {
        &self.covered
    }

    fn count(&self) -> usize {
        self.count
    }

    fn rows(&self) -> Result<impl Iterator<Item = Result<ChunkRecord>>> {
        Merged::of(self.sources.iter().map(Source::rows).collect())
    }

    fn packs(&self) -> impl Iterator<Item = Result<(PackId, Vec<u8>)>> {
        self.sources.iter().flat_map(Source::packs)
    }
}

impl Source<'_> {
    /// Its rows as they are in the new shard.
    fn rows(&self) -> impl Iterator<Item = Result<ChunkRecord>> {
        self.shard.each_row().filter_map(|row| row.map(|(_, record)| moved(&self.moves, record)).transpose())
    }

    /// Its packs that stay.
    fn packs(&self) -> impl Iterator<Item = Result<(PackId, Vec<u8>)>> {
        let stays = |(number, _): &(u32, &PackId)| placed(&self.moves, *number).is_some();
        let kept = (0u32..).zip(self.shard.pack_ids()).filter(stays);
        kept.map(|(number, id)| Ok((*id, self.shard.packs().encoded(number)?)))
    }
}

/// A row as it is in the new shard, if it is there.
fn moved(moves: &[Move], record: ChunkRecord) -> Option<ChunkRecord> {
    if moves.is_empty() {
        return Some(record);
    }
    placed(moves, record.pack).map(|pack| ChunkRecord { pack, ..record })
}

/// The new number of a pack, if it has one.
fn placed(moves: &[Move], pack: u32) -> Option<u32> {
    let Move { packs, to } = moves.get(moves.partition_point(|one| one.packs.end <= pack))?;
    to.map(|to| to.saturating_add(pack - packs.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_that_are_left_at_least_double_from_one_to_the_next() {
        assert_eq!(large(&[5, 5]), 2);
        assert_eq!(large(&[5, 5, 5]), 0);
        assert_eq!(large(&[512, 256, 128, 64, 32, 16, 8, 4, 2, 1]), 10);
        assert_eq!(large(&[512, 256, 128, 64, 5, 5, 5, 5, 5, 5]), 4);
        let mut kept: Vec<u32> = Vec::new();
        let mut written = 0u64;
        for _ in 0..1000 {
            kept.push(100);
            kept.sort_by_key(|rows| Reverse(*rows));
            let one = kept.split_off(large(&kept));
            if !one.is_empty() {
                kept.push(one.iter().sum());
                written += u64::from(one.iter().sum::<u32>());
            }
            assert!(kept.len() <= 12, "{kept:?}");
        }
        assert_eq!(kept.iter().sum::<u32>(), 100_000);
        assert!(written <= 100_000 * 10, "a row is written {} times", written / 100_000);
    }

    #[test]
    fn no_shard_gets_more_rows_than_can_be_counted() {
        let half = u32::MAX / 2;
        assert_eq!(large(&[half; 4]), 4);
        assert_eq!(large(&[half, half, half, 9, 9, 9]), 3);
    }
}
