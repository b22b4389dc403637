//! Where pages end: a keyed hash of an item's key against a threshold, the same in every backup.

use crate::crypto::name::NameKey;
use crate::limits::PAGE_BYTES_GOAL;
use crate::limits::PAGE_BYTES_HARD;
use crate::limits::PAGE_LEVELS_MAX;
use std::sync::Arc;

/// No page but the last of its level ends below this many encoded bytes, unless the next item is a huge one.
const PAGE_BYTES_MIN: usize = 8 * 1024;
/// No inner page but the last of its level has fewer children, or the tree would not narrow.
pub(super) const PAGE_CHILDREN_MIN: u32 = 2;

/// Encoded bytes of an ordinary entry: a file of one chunk with owner names and three times, in a directory of others.
/// The chance of ending is the same for every entry, whatever it holds, so that a change of metadata moves no
/// boundary; this only sets how many entries a page has on average.
const ENTRY_BYTES_NOMINAL: usize = 128;
/// Encoded bytes of a chunk reference: id and length.
const CHUNK_BYTES_NOMINAL: usize = 36;
/// Encoded bytes of a child in the page tree of entries, with what its path does not share with the one before.
const ENTRY_CHILD_BYTES_NOMINAL: usize = 88;
/// Encoded bytes of a child in the page tree of a chunk list, which has no path.
const CHUNK_CHILD_BYTES_NOMINAL: usize = 52;

const _: () = assert!(PAGE_BYTES_MIN < PAGE_BYTES_GOAL && PAGE_BYTES_GOAL < PAGE_BYTES_HARD);

/// Which of the two uses of the page tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Entries by path.
    Entries,
    /// The chunks of one entry's content.
    Chunks,
}

/// How long pages are, in encoded bytes.
#[derive(Clone, Copy)]
pub(super) struct PageLengths {
    /// A page below this does not end by hash.
    pub(super) min: usize,
    goal: usize,
    /// An item that would push a page past this ends the page first.
    pub(super) hard: usize,
}

/// The secret that decides where pages end; cheap to clone. It is keyed so that nobody who only names files can
/// make all pages tiny or huge, or learn names from page sizes.
#[derive(Clone)]
pub(crate) struct PageHasher(Arc<Salted>);

/// One key per use and level: a boundary on one level says nothing about the level above it.
struct Salted {
    entries: Vec<NameKey>,
    chunks: Vec<NameKey>,
    lengths: PageLengths,
}

impl PageHasher {
    /// From a key that the caller derived from the metadata name key.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self::with_lengths(key, PageLengths { min: PAGE_BYTES_MIN, goal: PAGE_BYTES_GOAL, hard: PAGE_BYTES_HARD })
    }

    /// Makes pages of a few items, so that small tests have tall trees.
    #[cfg(test)]
    pub(super) fn tiny_pages(key: [u8; 32]) -> Self {
        Self::with_lengths(key, PageLengths { min: 64, goal: 512, hard: 2048 })
    }

    fn with_lengths(key: [u8; 32], lengths: PageLengths) -> Self {
        let key = NameKey::from_bytes(key);
        let salted = |shape: u8| {
            let salt = |level| NameKey::from_bytes(*key.name(&[shape, level]).as_bytes());
            (0..PAGE_LEVELS_MAX).map(salt).collect()
        };
        Self(Arc::new(Salted { entries: salted(0), chunks: salted(1), lengths }))
    }

    /// How long pages are to be.
    pub(super) fn lengths(&self) -> PageLengths {
        self.0.lengths
    }

    /// True when a page of this level may end after the item whose key (path or chunk id) this is: for one item in
    /// (goal - minimum) / nominal, so that pages have the goal's length on average.
    pub(super) fn ends(&self, shape: Shape, level: u8, key: &[u8]) -> bool {
        let (salted, nominal) = match (shape, level) {
            (Shape::Entries, 0) => (&self.0.entries, ENTRY_BYTES_NOMINAL),
            (Shape::Entries, _) => (&self.0.entries, ENTRY_CHILD_BYTES_NOMINAL),
            (Shape::Chunks, 0) => (&self.0.chunks, CHUNK_BYTES_NOMINAL),
            (Shape::Chunks, _) => (&self.0.chunks, CHUNK_CHILD_BYTES_NOMINAL),
        };
        let Some(salted) = salted.get(usize::from(level)) else { return false };
        let PageLengths { min, goal, .. } = self.0.lengths;
        let items = u64::try_from(goal.saturating_sub(min) / nominal).unwrap_or(u64::MAX).max(1);
        let hash = salted.name(key);
        hash.as_bytes().first_chunk::<8>().is_some_and(|first| u64::from_le_bytes(*first) < u64::MAX / items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_depends_on_key_level_use_and_item() {
        let ends = |hasher: &PageHasher, shape, level| -> Vec<u32> {
            (0..20_000u32).filter(|item| hasher.ends(shape, level, &item.to_le_bytes())).collect()
        };
        let hasher = PageHasher::new([7; 32]);
        let entries = ends(&hasher, Shape::Entries, 0);
        assert_eq!(entries, ends(&PageHasher::new([7; 32]), Shape::Entries, 0));
        assert_ne!(entries, ends(&PageHasher::new([8; 32]), Shape::Entries, 0));
        assert_ne!(ends(&hasher, Shape::Entries, 1), ends(&hasher, Shape::Entries, 2));
        assert_ne!(ends(&hasher, Shape::Chunks, 1), ends(&hasher, Shape::Chunks, 2));
        assert_ne!(entries, ends(&hasher, Shape::Chunks, 0));
    }

    #[test]
    fn pages_end_as_often_as_their_goal_wants() {
        let hasher = PageHasher::new([7; 32]);
        let ended = (0..100_000u32).filter(|item| hasher.ends(Shape::Entries, 0, &item.to_le_bytes())).count();
        let wanted = 100_000 * ENTRY_BYTES_NOMINAL / (PAGE_BYTES_GOAL - PAGE_BYTES_MIN);
        assert!(ended > wanted * 8 / 10 && ended < wanted * 12 / 10, "{ended} against {wanted}");
    }
}
