//! Every page and chunk that a set of snapshots reaches, each page once however many snapshots share it.

use crate::catalog::boundary::Shape;
use crate::catalog::expected::Expected;
use crate::catalog::expected::Totals;
use crate::catalog::gap::Gap;
use crate::catalog::read::PageSource;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::error::Error;
use crate::format::page::Child;
use crate::format::page::Page;
use crate::format::page::PageRef;
use crate::id::ChunkId;
use crate::limits::PAGES_AHEAD;
use std::collections::HashSet;
use std::sync::Arc;

/// What a survey comes across.
pub(crate) trait Surveyor: Send {
    /// A content chunk, possibly seen before.
    fn chunk(&mut self, chunk: &ChunkRef);

    /// A page, for the first time.
    fn page(&mut self, page: &PageRef);

    /// A page that cannot be read; what is below it is unknown, but for the paths that a page of entries has.
    fn unreadable(&mut self, page: &PageRef, gap: Option<Gap>, error: Error);
}

/// Walks page trees and remembers the pages it has seen.
pub(crate) struct Survey {
    source: Arc<dyn PageSource>,
    seen: HashSet<ChunkId>,
}

/// A page that is to be visited.
struct Left {
    expected: Expected,
    is_announced: bool,
}

impl From<Expected> for Left {
    fn from(expected: Expected) -> Self {
        Self { expected, is_announced: false }
    }
}

impl Survey {
    pub(crate) fn new(source: Arc<dyn PageSource>) -> Self {
        Self { source, seen: HashSet::new() }
    }

    /// Goes on where an earlier survey ended, which gave `seen`.
    pub(crate) fn resume(source: Arc<dyn PageSource>, seen: HashSet<ChunkId>) -> Self {
        Self { source, seen }
    }

    /// The pages seen so far, those that could not be read among them.
    pub(crate) fn into_seen(self) -> HashSet<ChunkId> {
        self.seen
    }

    /// As if these pages had not been seen: the next visit that comes to one goes below it again.
    pub(crate) fn forget(&mut self, pages: &[ChunkId]) {
        pages.iter().for_each(|page| _ = self.seen.remove(page));
    }

    /// How many entries the catalog with this root says it has; `None` when its root cannot be read.
    pub(crate) async fn entries(&self, root: Option<PageRef>) -> Option<u64> {
        let Some(root) = root else { return Some(0) };
        let page = Expected::entries_root(root).read(self.source.as_ref()).await.ok()?;
        match &page.page {
            Page::Entries(entries) => u64::try_from(entries.len()).ok(),
            Page::EntriesInner(children) => Some(children.iter().map(|child| child.entries).sum()),
            Page::Chunks(_) | Page::ChunksInner(_) => None,
        }
    }

    /// Has the pages fetched that come next.
    fn announce(&self, left: &mut [Left]) {
        let mut pages = Vec::new();
        for next in left.iter_mut().rev().take(PAGES_AHEAD).filter(|next| !next.is_announced) {
            next.is_announced = true;
            if !self.seen.contains(&next.expected.page.id) {
                pages.push(next.expected.page);
            }
        }
        if !pages.is_empty() {
            self.source.prefetch(&pages);
        }
    }

    /// Visits everything below `root` that no earlier visit has seen.
    pub(crate) async fn visit(&mut self, root: Option<PageRef>, surveyor: &mut dyn Surveyor) {
        let mut left: Vec<Left> = root.map(Expected::entries_root).map(Left::from).into_iter().collect();
        while let Some(Left { expected, .. }) = left.pop() {
            if !self.seen.insert(expected.page.id) {
                continue;
            }
            self.announce(&mut left);
            surveyor.page(&expected.page);
            let page = match expected.read(self.source.as_ref()).await {
                Ok(page) => page,
                Err(error) => {
                    surveyor.unreadable(&expected.page, expected.gap(), error);
                    continue;
                }
            };
            match &page.page {
                Page::Entries(entries) => {
                    entries.iter().for_each(|entry| content(&entry.content, surveyor, &mut left));
                }
                Page::Chunks(chunks) => chunks.iter().for_each(|chunk| surveyor.chunk(chunk)),
                Page::EntriesInner(children) => {
                    let mut after = expected.after.clone();
                    let first = left.len();
                    for child in children {
                        left.push(Expected::child(Shape::Entries, page.level, child, after).into());
                        after = child.last_path.clone();
                    }
                    // The first child is to be read first: neighbours stand in one segment.
                    if let Some(added) = left.get_mut(first..) {
                        added.reverse();
                    }
                }
                Page::ChunksInner(children) => {
                    let child = |child: &Child| Expected::child(Shape::Chunks, page.level, child, None).into();
                    left.extend(children.iter().rev().map(child));
                }
            }
        }
    }
}

fn content(content: &Content, surveyor: &mut dyn Surveyor, left: &mut Vec<Left>) {
    match content {
        Content::Empty => {}
        Content::Inline(chunks) => chunks.iter().for_each(|chunk| surveyor.chunk(chunk)),
        Content::Tree { root, length, chunks, bytes } => {
            let page = PageRef { id: *root, length: *length };
            left.push(Expected::chunks_root(page, Totals { items: *chunks, bytes: *bytes }).into());
        }
    }
}
