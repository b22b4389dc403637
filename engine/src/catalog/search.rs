//! Entries that somebody looks for in many snapshots. What a page has is remembered, so that pages which snapshots share
//! are looked at once.

use crate::catalog::boundary::Shape;
use crate::catalog::expected::Expected;
use crate::catalog::gap::Gap;
use crate::catalog::read::PageSource;
use crate::entry::Content;
use crate::entry::Entry;
use crate::error::Error;
use crate::error::Result;
use crate::format::page::Child;
use crate::format::page::Page;
use crate::format::page::PageRef;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::index::recent::Recent;
use crate::limits::PAGES_AHEAD;
use crate::limits::SEARCH_KEPT_BYTES;
use std::collections::VecDeque;
use std::sync::Arc;

/// A search through snapshots, one after the other.
pub struct Search {
    source: Arc<dyn PageSource>,
    wanted: Box<dyn Fn(&Entry) -> bool + Send + Sync>,
    /// The wanted entries of leaves, and inner pages below which there are none.
    known: Recent<Key, Arc<[Entry]>>,
}

/// A page, and under what expectation it was found to be right.
type Key = (ChunkId, u64);

/// What one snapshot has of what is looked for, in path order.
pub struct Found<'a> {
    search: &'a mut Search,
    /// What is left to do, the next thing last.
    left: Vec<Step>,
    ready: VecDeque<Entry>,
    /// Entries found and gaps passed so far.
    met: u64,
    /// The page that comes next could not be read, which tells nothing about others.
    is_stuck: bool,
}

enum Step {
    /// To look at a page and what is below it; whether the source was told.
    Page(Expected, bool),
    /// All below a page was looked at, and so much had been met before it.
    Left(Key, u64),
}

impl Search {
    /// For entries that are `wanted`.
    pub(crate) fn new(source: Arc<dyn PageSource>, wanted: impl Fn(&Entry) -> bool + Send + Sync + 'static) -> Self {
        Self { source, wanted: Box::new(wanted), known: Recent::new(SEARCH_KEPT_BYTES) }
    }

    /// Looks through one more snapshot of the same repository.
    pub fn through(&mut self, snapshot: &Snapshot) -> Found<'_> {
        self.below(snapshot.root)
    }

    /// The same by the root of its catalog.
    pub(crate) fn below(&mut self, root: Option<PageRef>) -> Found<'_> {
        let left = root.map(|root| Step::Page(Expected::entries_root(root), false)).into_iter().collect();
        Found { search: self, left, ready: VecDeque::new(), met: 0, is_stuck: false }
    }
}

impl Found<'_> {
    /// The next entry; `None` at the end. After an error the same is tried again, unless [`Found::pass_gap`] passes it.
    pub async fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            match self.left.last() {
                None => return Ok(None),
                Some(Step::Left(key, before)) => {
                    if *before == self.met {
                        self.search.known.put(*key, Arc::default(), cost(&[]));
                    }
                    self.left.pop();
                }
                Some(Step::Page(expected, _)) => {
                    let expected = expected.clone();
                    let outcome = self.look(&expected).await;
                    self.is_stuck = outcome.as_ref().is_err_and(Error::is_local);
                    outcome?;
                }
            }
        }
    }

    /// Goes on behind what the last call of [`Found::next`] could not read, and tells what is lost with it. `None` when it
    /// cannot go on: the backend does not answer, or nothing of the snapshot can be read.
    pub fn pass_gap(&mut self) -> Option<Gap> {
        let Some(Step::Page(expected, _)) = self.left.last().filter(|_| self.is_stuck) else { return None };
        let gap = expected.gap()?;
        self.left.pop();
        self.is_stuck = false;
        // What is above it has more than was found.
        self.met += 1;
        Some(gap)
    }

    /// Looks at the page that comes next, and passes it once it is read.
    async fn look(&mut self, expected: &Expected) -> Result<()> {
        let key = (expected.page.id, expected.fingerprint());
        if let Some(entries) = self.search.known.get(&key) {
            self.left.pop();
            self.give(entries.iter().cloned());
            return Ok(());
        }
        self.announce();
        let page = expected.read(&*self.search.source).await?;
        self.left.pop();
        match &page.page {
            Page::Entries(entries) => {
                let wanted: Arc<[Entry]> =
                    entries.iter().filter(|entry| (self.search.wanted)(entry)).cloned().collect();
                self.search.known.put(key, Arc::clone(&wanted), cost(&wanted));
                self.give(wanted.iter().cloned());
            }
            Page::EntriesInner(children) => {
                self.left.push(Step::Left(key, self.met));
                self.descend(page.level, children, expected);
            }
            // No page of entries is one of these, or it would not have been as expected.
            Page::Chunks(_) | Page::ChunksInner(_) => {}
        }
        Ok(())
    }

    /// Has the pages fetched that come next, but for those of which it is known what they have.
    fn announce(&mut self) {
        let mut pages = Vec::new();
        for step in self.left.iter_mut().rev().skip(1).take(PAGES_AHEAD) {
            let Step::Page(expected, is_announced @ false) = step else { continue };
            *is_announced = true;
            if !self.search.known.has(&(expected.page.id, expected.fingerprint())) {
                pages.push(expected.page);
            }
        }
        if !pages.is_empty() {
            self.search.source.prefetch(&pages);
        }
    }

    fn give(&mut self, entries: impl ExactSizeIterator<Item = Entry>) {
        self.met = self.met.saturating_add(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        self.ready.extend(entries);
    }

    /// The children come next, the first one first.
    fn descend(&mut self, level: u8, children: &[Child], parent: &Expected) {
        let mut after = parent.after.clone();
        let first = self.left.len();
        for child in children {
            self.left.push(Step::Page(Expected::child(Shape::Entries, level, child, after), false));
            after = child.last_path.clone();
        }
        if let Some(added) = self.left.get_mut(first..) {
            added.reverse();
        }
    }
}

/// About the bytes in memory of what is remembered of one page.
fn cost(entries: &[Entry]) -> usize {
    let content = |content: &Content| match content {
        Content::Inline(chunks) => size_of_val(chunks.as_slice()),
        _ => 0,
    };
    let of = |entry: &Entry| {
        let metadata = &entry.metadata;
        let xattrs: usize = metadata.xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len() + 64).sum();
        let extents = metadata.extents.as_ref().map_or(0, |extents| size_of_val(extents.as_slice()));
        size_of::<Entry>() + entry.path.as_bytes().len() + content(&entry.content) + xattrs + extents + 64
    };
    // A place in the table and in the order.
    160 + entries.iter().map(of).sum::<usize>()
}
