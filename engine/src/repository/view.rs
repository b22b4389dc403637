//! A view: all snapshots of a repository through one index, with what was used last at hand.

use super::ContentReader;
use super::Differences;
use super::Entries;
use super::Repository;
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
use crate::format::snapshot::Snapshot;
use crate::index::chunks::ChunkReader;
use crate::index::live::LiveIndex;
use std::sync::Arc;

/// What it takes to look into the snapshots of a repository: the index, and the catalog pages and segments that were used
/// last, all in bounded memory. Cheap to clone; clones share all of it.
///
/// The index is that of when the view was made, and is read again when a pack that it names is gone. A snapshot that was
/// stored later needs a later view.
#[derive(Clone)]
pub struct View {
    index: Arc<LiveIndex>,
    pages: Arc<dyn PageSource>,
    chunks: ChunkReader,
}

impl Repository {
    /// Reads the index, for looking into as many snapshots as there are to look into.
    pub async fn view(&self) -> Result<View> {
        Ok(View::of(&self.index().await?))
    }
}

impl View {
    /// A view through an index that was read already.
    pub(super) fn of(index: &Arc<LiveIndex>) -> Self {
        Self {
            index: Arc::clone(index),
            pages: Arc::new(KeptPages::new(ChunkReader::live(index, Class::Metadata))),
            chunks: ChunkReader::live(index, Class::Data),
        }
    }

    pub(super) fn index(&self) -> &Arc<LiveIndex> {
        &self.index
    }

    pub(super) fn pages(&self) -> &Arc<dyn PageSource> {
        &self.pages
    }

    pub(super) fn chunks(&self) -> &ChunkReader {
        &self.chunks
    }

    /// All entries of a snapshot in order; with `below`, that entry and what stands below it.
    pub fn entries(&self, snapshot: &Snapshot, below: Option<&EntryPath>) -> Entries {
        let walk = Walk::new(Arc::clone(&self.pages), snapshot.root);
        let walk = match below {
            Some(path) => walk.below(path.clone()),
            None => walk,
        };
        Entries::new(self.clone(), walk)
    }

    /// One entry by its path.
    pub async fn entry(&self, snapshot: &Snapshot, path: &EntryPath) -> Result<Option<Entry>> {
        catalog::find(Arc::clone(&self.pages), snapshot.root, path).await
    }

    /// The entries directly in `directory`, or at the top.
    pub async fn children(&self, snapshot: &Snapshot, directory: Option<&EntryPath>) -> Result<Vec<Entry>> {
        catalog::children(Arc::clone(&self.pages), snapshot.root, directory).await
    }

    /// The bytes of an entry of one of this repository's snapshots.
    pub fn content(&self, entry: &Entry) -> ContentReader {
        ContentReader::new(Arc::clone(&self.pages), self.chunks.clone(), entry)
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
