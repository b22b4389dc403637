//! Prepared batches back in order, and the catalog built from them.

use super::batch::Ended;
use super::batch::Item;
use super::batch::Prepared;
use super::group::Group;
use super::group::Tally;
use super::halt::Halt;
use super::journal::Journal;
use super::unchanged::Comparison;
use crate::catalog::CatalogBuilder;
use crate::catalog::ChunkListBuilder;
use crate::catalog::PageHasher;
use crate::catalog::PageSink;
use crate::class::Class;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::FileKind;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Action;
use crate::format::page::PageRef;
use crate::index::claim::Claim;
use crate::index::claim::Claims;
use crate::store::Store;
use crossbeam_channel::Receiver;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries by kind and fate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EntryCounts {
    /// New, changed, unchanged; files and streams.
    pub(crate) files: [u64; 3],
    pub(crate) directories: [u64; 3],
    /// Links, devices, pipes, sockets.
    pub(crate) others: [u64; 3],
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl EntryCounts {
    fn add(&mut self, ended: &Ended) {
        let fate = match ended.action {
            Action::New => 0,
            Action::Changed => 1,
            _ => 2,
        };
        let by_fate = match ended.entry.metadata.kind {
            FileKind::Directory => &mut self.directories,
            FileKind::File | FileKind::Stream => &mut self.files,
            _ => &mut self.others,
        };
        if let Some(count) = by_fate.get_mut(fate) {
            *count += 1;
        }
        self.entries += 1;
        self.bytes += ended.entry.metadata.size;
    }
}

/// The finished catalog.
pub(crate) struct Assembled {
    pub(crate) root: Option<PageRef>,
    pub(crate) counts: EntryCounts,
    pub(crate) tally: Tally,
    /// Batches taken, to be compared with those sent.
    pub(crate) batches: u64,
    /// Every entry was compared with the parent's and is as it was there.
    pub(crate) same: bool,
}

/// Stores pages as metadata chunks.
pub(crate) struct Pages {
    pub(crate) store: Arc<Store>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) group: Group,
}

impl PageSink for Pages {
    fn put_page(&mut self, bytes: Vec<u8>) -> Result<PageRef> {
        let id = self.store.names(Class::Metadata).name(&bytes);
        let length =
            u32::try_from(bytes.len()).map_err(|_| Error::new(Kind::Bug, "a catalog page is longer than 4 GiB"))?;
        if let Claim::New(ticket) = self.claims.claim(&id, length)? {
            self.group.add(ticket, &bytes)?;
        }
        Ok(PageRef { id, length })
    }
}

/// The catalog stage, on a thread of its own.
pub(crate) struct Assembler {
    pages: Pages,
    hasher: PageHasher,
    catalog: CatalogBuilder,
    chunks: ChunkListBuilder,
    counts: EntryCounts,
    journal: Journal,
    comparison: Comparison,
}

impl Assembler {
    pub(crate) fn new(pages: Pages, hasher: PageHasher, journal: Journal, comparison: Comparison) -> Self {
        Self {
            pages,
            catalog: CatalogBuilder::new(hasher.clone()),
            chunks: ChunkListBuilder::new(hasher.clone()),
            hasher,
            counts: EntryCounts::default(),
            journal,
            comparison,
        }
    }

    /// Takes batches until they end, puts them in order, and finishes the catalog. `None` when not all came: an
    /// earlier stage has failed.
    pub(crate) fn run(
        mut self,
        prepared: &Receiver<Prepared>,
        credits: &Receiver<()>,
        halt: &Halt,
    ) -> Result<Option<Assembled>> {
        let mut early: BTreeMap<u64, Prepared> = BTreeMap::new();
        let mut next = 0;
        for batch in prepared {
            early.insert(batch.sequence, batch);
            while let Some(batch) = early.remove(&next) {
                self.take(batch)?;
                next += 1;
                // There is one for every batch that was sent.
                let _ = credits.try_recv();
            }
        }
        self.journal.flush();
        if halt.is_halted() || !early.is_empty() {
            return Ok(None);
        }
        let root = self.catalog.finish(&mut self.pages)?;
        let tally = self.pages.group.finish()?;
        let same = self.comparison.is_same();
        Ok(Some(Assembled { root, counts: self.counts, tally, batches: next, same }))
    }

    fn take(&mut self, batch: Prepared) -> Result<()> {
        for item in batch.items {
            match item {
                Item::Chunk(chunk) => self.push(chunk)?,
                Item::Listed(chunks) => chunks.iter().try_for_each(|chunk| self.push(*chunk))?,
                Item::Retract => {
                    self.chunks = ChunkListBuilder::new(self.hasher.clone());
                    self.journal.forget_chunks();
                }
                Item::End(mut ended) => {
                    let chunks = std::mem::replace(&mut self.chunks, ChunkListBuilder::new(self.hasher.clone()));
                    ended.entry.content = chunks.finish(&mut self.pages)?;
                    self.journal.add(&ended.entry);
                    self.end(*ended)?;
                }
                Item::Ready(_) if self.chunks.has_chunks() => {
                    return Err(Error::new(Kind::Bug, "chunks were left over before an entry that has none"));
                }
                Item::Ready(ended) => self.end(*ended)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, chunk: ChunkRef) -> Result<()> {
        self.journal.chunk(chunk);
        self.chunks.push(chunk, &mut self.pages)
    }

    fn end(&mut self, mut ended: Ended) -> Result<()> {
        correct_length(&mut ended.entry);
        self.counts.add(&ended);
        self.comparison.look(&ended);
        self.catalog.push(ended.entry, &mut self.pages)
    }
}

/// An entry whose length was not known before (a stream) or changed while it was read is as long as its content.
fn correct_length(entry: &mut Entry) {
    if entry.metadata.has_content() && entry.metadata.extents.is_none() {
        entry.metadata.size = match &entry.content {
            Content::Empty => 0,
            content => content.bytes(),
        };
    }
}
