//! Prepared batches back in order, and the catalog built from them.

use super::aside::Aside;
use super::batch::Ended;
use super::batch::Item;
use super::batch::Prepared;
use super::group::Group;
use super::group::Tally;
use super::halt::Halt;
use super::journal::Journal;
use super::turns::Finished;
use super::turns::Turns;
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
    /// Entries that are open beside others, and what has ended before its turn.
    turns: Turns,
}

impl Assembler {
    pub(crate) fn new(
        pages: Pages,
        hasher: PageHasher,
        (journal, aside): (Journal, Aside),
        comparison: Comparison,
    ) -> Self {
        Self {
            pages,
            catalog: CatalogBuilder::new(hasher.clone()),
            chunks: ChunkListBuilder::new(hasher.clone()),
            hasher,
            counts: EntryCounts::default(),
            journal,
            comparison,
            turns: Turns::new(aside),
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
        if halt.is_halted() || !early.is_empty() {
            self.remember_the_rest()?;
            return Ok(None);
        }
        self.journal.flush();
        if !self.turns.is_empty() {
            return Err(Error::new(Kind::Bug, "an entry was opened and never ended"));
        }
        let root = self.catalog.finish(&mut self.pages)?;
        let tally = self.pages.group.finish()?;
        let same = self.comparison.is_same();
        Ok(Some(Assembled { root, counts: self.counts, tally, batches: next, same }))
    }

    fn take(&mut self, batch: Prepared) -> Result<()> {
        if batch.stream > 0 {
            return self.take_of_stream(batch);
        }
        for item in batch.items {
            match item {
                Item::Chunk(chunk) => self.push(chunk)?,
                Item::Listed(chunks) => chunks.iter().try_for_each(|chunk| self.push(*chunk))?,
                Item::Retract => {
                    self.chunks = self.no_chunks();
                    self.journal.forget_chunks();
                }
                Item::Opened(stream) => self.turns.open(stream, self.no_chunks()),
                Item::End(mut ended) => {
                    let none = self.no_chunks();
                    ended.entry.content = std::mem::replace(&mut self.chunks, none).finish(&mut self.pages)?;
                    if self.turns.is_empty() {
                        self.journal.add(&ended.entry);
                        self.end(*ended)?;
                    } else {
                        self.journal.forget_chunks();
                        let entry = self.finished(*ended);
                        self.turns.push(Finished { entry, is_read: true });
                    }
                }
                Item::Ready(_) if self.chunks.has_chunks() => return Err(left_over()),
                Item::Ready(ended) if self.turns.is_empty() => self.end(*ended)?,
                Item::Ready(ended) => {
                    let entry = self.finished(*ended);
                    self.turns.push(Finished { entry, is_read: false });
                }
            }
        }
        Ok(())
    }

    /// Items of an entry that is open beside others. Its chunks go into a list of its own at once; only when it has ended it
    /// waits for its turn.
    fn take_of_stream(&mut self, batch: Prepared) -> Result<()> {
        for item in batch.items {
            let (mut ended, is_read) = match item {
                Item::Chunk(chunk) => {
                    self.turns.chunks(batch.stream)?.push(chunk, &mut self.pages)?;
                    continue;
                }
                Item::Listed(chunks) => {
                    let list = self.turns.chunks(batch.stream)?;
                    chunks.iter().try_for_each(|chunk| list.push(*chunk, &mut self.pages))?;
                    continue;
                }
                Item::Retract => {
                    let (_, place) = self.turns.close(batch.stream)?;
                    self.turns.settle(place, None)?;
                    continue;
                }
                Item::End(ended) => (ended, true),
                Item::Ready(ended) => (ended, false),
                Item::Opened(_) => return Err(Error::new(Kind::Bug, "an entry was opened inside another one")),
            };
            let (chunks, place) = self.turns.close(batch.stream)?;
            if is_read {
                ended.entry.content = chunks.finish(&mut self.pages)?;
            } else if chunks.has_chunks() {
                return Err(left_over());
            }
            let entry = self.finished(*ended);
            self.turns.settle(place, Some(Finished { entry, is_read }))?;
        }
        self.take_turns()
    }

    /// Puts into the catalog what waits for nothing any more.
    fn take_turns(&mut self) -> Result<()> {
        while self.turns.has_next() {
            for Finished { entry, is_read } in self.turns.next()? {
                if is_read {
                    self.journal.add_late(&entry);
                }
                self.catalog.push(entry, &mut self.pages)?;
            }
        }
        Ok(())
    }

    /// The source has failed: what waits behind an entry that never ended is remembered for the next run.
    fn remember_the_rest(&mut self) -> Result<()> {
        while !self.turns.is_empty() {
            let rest = self.turns.next()?;
            rest.iter().filter(|finished| finished.is_read).for_each(|finished| self.journal.add_late(&finished.entry));
        }
        self.journal.flush();
        Ok(())
    }

    fn no_chunks(&self) -> ChunkListBuilder {
        ChunkListBuilder::new(self.hasher.clone())
    }

    fn push(&mut self, chunk: ChunkRef) -> Result<()> {
        self.journal.chunk(chunk);
        self.chunks.push(chunk, &mut self.pages)
    }

    fn end(&mut self, ended: Ended) -> Result<()> {
        let entry = self.finished(ended);
        self.catalog.push(entry, &mut self.pages)
    }

    /// The entry as it goes into the catalog, counted and compared.
    fn finished(&mut self, mut ended: Ended) -> Entry {
        correct_length(&mut ended.entry);
        self.counts.add(&ended);
        self.comparison.look(&ended);
        ended.entry
    }
}

fn left_over() -> Error {
    Error::new(Kind::Bug, "chunks were left over before an entry that has none")
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
