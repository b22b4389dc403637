//! Looking into snapshots: all of a repository through one index, with what was used last at hand.
//!
//! ```text
//! RepositoryView --> SnapshotView --> Entries, Differences --> ContentReader
//! one index,         one snapshot     in order                 one entry's bytes
//! pages, segments
//! ```
//! Everything that reads a snapshot reads it through this, and all clones share what is at hand.

mod content;
mod entries;
mod holes;
mod sequence;
mod streams;
#[cfg(test)]
mod tests;

pub use content::ContentReader;
pub use entries::Differences;
pub use entries::Entries;

use crate::catalog;
use crate::catalog::Differ;
use crate::catalog::KeptPages;
use crate::catalog::PageSource;
use crate::catalog::Search;
use crate::catalog::Walk;
use crate::class::Class;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::error::Result;
use crate::format::page::PageRef;
use crate::format::snapshot::Snapshot;
use crate::index::chunks::ChunkReader;
use crate::index::live::LiveIndex;
use crate::limits::PAGES_KEPT_BYTES;
use std::sync::Arc;

/// What it takes to look into the snapshots of a repository: the index, and the catalog pages and segments that were used
/// last, all in bounded memory. Cheap to clone; clones share all of it.
///
/// The index is that of when the view was made, and is read again when a pack that it names is gone. A snapshot that was
/// stored later needs a later view.
#[derive(Clone)]
pub struct RepositoryView {
    index: Arc<LiveIndex>,
    pages: Arc<dyn PageSource>,
    chunks: ChunkReader,
}

/// One snapshot, looked into. Cheap to clone; clones share the index and what was used last.
#[derive(Clone)]
pub struct SnapshotView {
    all: RepositoryView,
    root: Option<PageRef>,
}

impl RepositoryView {
    /// A view through an index that was read already.
    pub(crate) fn of(index: &Arc<LiveIndex>) -> Self {
        Self::keeping(index, PAGES_KEPT_BYTES)
    }

    /// The same for whoever goes through everything once: no page is kept when it was given.
    pub(crate) fn once(index: &Arc<LiveIndex>) -> Self {
        Self::keeping(index, 0)
    }

    fn keeping(index: &Arc<LiveIndex>, page_bytes: usize) -> Self {
        Self {
            index: Arc::clone(index),
            pages: Arc::new(KeptPages::new(ChunkReader::live(index, Class::Metadata), page_bytes)),
            chunks: ChunkReader::live(index, Class::Data),
        }
    }

    pub(crate) fn index(&self) -> &Arc<LiveIndex> {
        &self.index
    }

    pub(crate) fn pages(&self) -> &Arc<dyn PageSource> {
        &self.pages
    }

    pub(crate) fn chunks(&self) -> &ChunkReader {
        &self.chunks
    }

    /// One of the repository's snapshots.
    pub fn snapshot(&self, snapshot: &Snapshot) -> SnapshotView {
        SnapshotView { all: self.clone(), root: snapshot.root }
    }

    /// What differs between two snapshots. Parts that both share are not read.
    pub fn diff(&self, before: &Snapshot, after: &Snapshot) -> Differences {
        Differences { differ: Differ::new(Arc::clone(&self.pages), before.root, after.root) }
    }

    /// A search for entries in many snapshots: pages that several of them share are looked at once.
    pub fn search(&self, wanted: impl Fn(&Entry) -> bool + Send + Sync + 'static) -> Search {
        Search::new(Arc::clone(&self.pages), wanted)
    }
}

impl SnapshotView {
    /// One entry by its path.
    pub async fn entry(&self, path: &EntryPath) -> Result<Option<Entry>> {
        catalog::find(Arc::clone(&self.all.pages), self.root, path).await
    }

    /// The entries directly in `directory`, or at the top.
    pub async fn children(&self, directory: Option<&EntryPath>) -> Result<Vec<Entry>> {
        catalog::children(Arc::clone(&self.all.pages), self.root, directory).await
    }

    /// All entries in order; with `from`, that entry and what stands below it.
    pub fn walk(&self, from: Option<&EntryPath>) -> Entries {
        Entries::new(self.clone(), self.pages_from(from))
    }

    /// The bytes of one of its entries. Nothing is read yet.
    pub fn open(&self, entry: &Entry) -> ContentReader {
        ContentReader::new(&self.all, entry)
    }

    /// The same as [`SnapshotView::walk`], a page at a time.
    pub(crate) fn pages_from(&self, from: Option<&EntryPath>) -> Walk {
        let walk = Walk::new(Arc::clone(&self.all.pages), self.root);
        match from {
            Some(path) => walk.below(path.clone()),
            None => walk,
        }
    }

    /// All snapshots, with the same at hand.
    pub(crate) fn all(&self) -> &RepositoryView {
        &self.all
    }
}
