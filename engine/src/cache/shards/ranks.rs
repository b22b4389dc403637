//! Which rows of a shard may hold an id: about ten bits in memory for each chunk.
//!
//! Ids are keyed hashes, so they spread evenly. The space of ids is divided into as many equal buckets as give four rows
//! to each; one byte says how many rows a bucket has, and one byte of every id stands there in the order of the rows.
//! From both follows the row of an id that is there, and that one is not there in all but about one case of sixty.

use crate::format::wire::size;
use crate::id::ChunkId;
use std::ops::Range;

/// Rows of a bucket on average.
const BUCKET_ROWS: usize = 4;
/// Buckets between two sums kept in memory.
const SUM_BUCKETS: usize = 64;

/// The rows of a shard as they are counted, one after another.
pub(super) struct Counting {
    counts: Vec<u8>,
    tags: Vec<u8>,
}

impl Counting {
    /// Of a shard of `rows` rows.
    pub(super) fn of(rows: usize) -> Self {
        Self { counts: vec![0; Ranks::buckets(rows)], tags: Vec::with_capacity(rows) }
    }

    /// Counts the next id; they come in ascending order. `None` when they do not spread like hashes.
    pub(super) fn add(&mut self, id: &ChunkId) -> Option<()> {
        let buckets = self.counts.len();
        let count = self.counts.get_mut(bucket(id, buckets))?;
        *count = count.checked_add(1)?;
        self.tags.push(tag(id));
        Some(())
    }

    /// All of them. `None` when there were not as many as was said.
    pub(super) fn finish(self) -> Option<Ranks> {
        Ranks::new(self.counts, self.tags)
    }
}

/// The rows of one shard by their ids.
#[derive(Debug)]
pub(super) struct Ranks {
    /// Rows of each bucket.
    counts: Vec<u8>,
    /// Rows before every `SUM_BUCKETS`th bucket.
    sums: Vec<u32>,
    /// One byte of each id that its bucket does not tell.
    tags: Vec<u8>,
}

impl Ranks {
    /// How many buckets `rows` rows have.
    pub(super) fn buckets(rows: usize) -> usize {
        rows.div_ceil(BUCKET_ROWS).max(1)
    }

    /// From what was kept. `None` when the two do not belong together.
    pub(super) fn new(counts: Vec<u8>, tags: Vec<u8>) -> Option<Self> {
        let mut sums = Vec::with_capacity(counts.len().div_ceil(SUM_BUCKETS));
        let mut before = 0u32;
        for some in counts.chunks(SUM_BUCKETS) {
            sums.push(before);
            before = before.checked_add(total(some))?;
        }
        (size(before) == tags.len() && counts.len() == Self::buckets(tags.len())).then_some(Self { counts, sums, tags })
    }

    /// How many rows.
    pub(super) fn len(&self) -> usize {
        self.tags.len()
    }

    /// What is to be kept: the rows of each bucket, then the byte of each id.
    pub(super) fn kept(&self) -> [&[u8]; 2] {
        [&self.counts, &self.tags]
    }

    /// Rows that may be of this id, ascending. All that are of it are among them.
    pub(super) fn rows<'a>(&'a self, id: &ChunkId) -> impl Iterator<Item = u32> + 'a {
        let range = self.range(bucket(id, self.counts.len()));
        let tags = self.tags.get(size(range.start)..size(range.end)).unwrap_or_default();
        let wanted = tag(id);
        range.zip(tags).filter(move |(_, tag)| **tag == wanted).map(|(row, _)| row)
    }

    /// Bytes in memory.
    #[cfg(any(test, feature = "benching"))]
    pub(super) fn memory_bytes(&self) -> usize {
        self.counts.capacity() + self.sums.capacity() * size_of::<u32>() + self.tags.capacity()
    }

    fn range(&self, bucket: usize) -> Range<u32> {
        let sum = bucket / SUM_BUCKETS;
        let before = self.counts.get(sum * SUM_BUCKETS..bucket).map(total);
        match (self.sums.get(sum), before, self.counts.get(bucket)) {
            (Some(sum), Some(before), Some(count)) => sum + before..sum + before + u32::from(*count),
            _ => 0..0,
        }
    }
}

fn total(counts: &[u8]) -> u32 {
    counts.iter().map(|count| u32::from(*count)).sum()
}

/// The bucket follows from the first eight bytes: buckets are in the order of ids.
fn bucket(id: &ChunkId, buckets: usize) -> usize {
    let leading = id.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let buckets = u128::try_from(buckets).unwrap_or(0);
    usize::try_from((u128::from(leading) * buckets) >> 64).unwrap_or(0)
}

/// A byte far from those that the bucket follows from.
fn tag(id: &ChunkId) -> u8 {
    let [.., tag, _] = *id.as_bytes();
    tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u64) -> ChunkId {
        ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn ids(numbers: std::ops::Range<u64>) -> Vec<ChunkId> {
        let mut ids: Vec<ChunkId> = numbers.map(id).collect();
        ids.sort_unstable();
        ids
    }

    fn ranks_of(ids: &[ChunkId]) -> Option<Ranks> {
        let mut counting = Counting::of(ids.len());
        ids.iter().try_for_each(|id| counting.add(id))?;
        counting.finish()
    }

    #[test]
    fn every_id_is_found_in_its_row_and_few_others_seem_to_be_there() {
        let there = ids(0..100_000);
        let ranks = ranks_of(&there).expect("hashes");
        for (row, id) in there.iter().enumerate() {
            assert!(ranks.rows(id).any(|found| size(found) == row));
        }
        let seem = (100_000..200_000).filter(|number| ranks.rows(&id(*number)).next().is_some()).count();
        assert!(seem < 2_500, "{seem} of 100,000");
        assert!(ranks.memory_bytes() <= 100_000 * 13 / 10, "{} bytes", ranks.memory_bytes());
    }

    #[test]
    fn what_was_kept_gives_the_same_rows() {
        let there = ids(0..1000);
        let ranks = ranks_of(&there).expect("hashes");
        let [counts, tags] = ranks.kept().map(<[u8]>::to_vec);
        let again = Ranks::new(counts.clone(), tags.clone()).expect("the same");
        assert!(there.iter().all(|id| again.rows(id).eq(ranks.rows(id))));
        assert!(Ranks::new(counts.clone(), tags[1..].to_vec()).is_none());
        assert!(Ranks::new(counts[1..].to_vec(), tags).is_none());
    }

    #[test]
    fn ids_that_do_not_spread_are_refused() {
        let same = vec![ChunkId::from_bytes([5; 32]); 256];
        assert!(ranks_of(&same).is_none());
        assert!(ranks_of(&same[..255]).is_some());
    }

    proptest! {
        #[test]
        fn any_ids_have_their_rows(mut all in proptest::collection::vec(any::<[u8; 32]>(), 0..200)) {
            all.sort_unstable();
            let all: Vec<ChunkId> = all.into_iter().map(ChunkId::from_bytes).collect();
            let ranks = ranks_of(&all).expect("fewer than a bucket can count");
            for (row, id) in all.iter().enumerate() {
                prop_assert!(ranks.rows(id).any(|found| size(found) == row));
            }
        }
    }
}
