//! Index objects for stored packs: at checkpoints, so that an interrupted run loses little, and at the end.

use crate::error::Result;
use crate::format::index::IndexedPack;
use crate::id::IndexId;
use crate::id::PackId;
use crate::limits::CHECKPOINT_BYTES;
use crate::limits::CHECKPOINT_BYTES_FIRST;
use crate::limits::CHECKPOINT_CHUNKS;
use crate::limits::CHECKPOINT_SECONDS;
use crate::store::OnFull;
use crate::store::Store;
use crate::store::StoredPack;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Proof that every pack of a job is stored, durable, and named by a durable index object.
#[derive(Default)]
pub(crate) struct IndexedPacks {
    packs: Vec<PackId>,
    objects: Vec<IndexId>,
    bytes: u64,
    /// What is in them; `None` when that is not wanted, or too much to keep in memory.
    contents: Option<Vec<IndexedPack>>,
}

impl IndexedPacks {
    /// The packs this job added.
    pub(crate) fn packs(&self) -> &[PackId] {
        &self.packs
    }

    /// The index objects that name them.
    pub(crate) fn objects(&self) -> &[IndexId] {
        &self.objects
    }

    /// Their stored bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The index objects and what is in the packs that they name, if that was kept.
    pub(crate) fn into_contents(self) -> Option<(Vec<IndexId>, Vec<IndexedPack>)> {
        Some((self.objects, self.contents?))
    }
}

/// Collects stored packs and writes index objects for them. Of the packs that one object names, and all before them, a
/// barrier has said that they are durable (I-13).
pub(crate) struct IndexWriter {
    store: Arc<Store>,
    on_full: OnFull,
    /// Chunks that may still be kept.
    room: usize,
    waiting: Vec<StoredPack>,
    waiting_chunks: u64,
    waiting_bytes: u64,
    /// Grows with the run: losing a fixed share of a long run costs no more than losing all of a short one.
    next_bytes: u64,
    since: Instant,
    done: IndexedPacks,
}

impl IndexWriter {
    pub(crate) fn new(store: &Arc<Store>, on_full: OnFull) -> Self {
        Self {
            store: Arc::clone(store),
            on_full,
            room: 0,
            waiting: Vec::new(),
            waiting_chunks: 0,
            waiting_bytes: 0,
            next_bytes: CHECKPOINT_BYTES_FIRST,
            since: Instant::now(),
            done: IndexedPacks::default(),
        }
    }

    /// Keeps what is in the packs as well, unless that fills the memory.
    pub(crate) fn keeping(mut self, wanted: bool) -> Self {
        self.room = self.store.local().shard_chunks;
        self.done.contents = wanted.then(Vec::new);
        self
    }

    fn keep(&mut self, packs: &[StoredPack]) {
        match self.room.checked_sub(usize::try_from(self.waiting_chunks).unwrap_or(usize::MAX)) {
            Some(room) => self.room = room,
            None => self.done.contents = None,
        }
        if let Some(contents) = &mut self.done.contents {
            contents.extend(packs.iter().map(|pack| pack.indexed().clone()));
        }
    }

    /// Takes a stored pack; writes a checkpoint when enough has come together.
    pub(crate) async fn add(&mut self, stored: StoredPack) -> Result<()> {
        let pack = stored.indexed();
        let chunks: usize = pack.table.segments.iter().map(|segment| segment.chunks.len()).sum();
        self.waiting_chunks += u64::try_from(chunks).unwrap_or(u64::MAX);
        self.waiting_bytes += u64::from(pack.length);
        self.waiting.push(stored);
        let due = self.waiting_chunks >= CHECKPOINT_CHUNKS
            || self.waiting_bytes >= self.next_bytes
            || self.since.elapsed() >= Duration::from_secs(CHECKPOINT_SECONDS);
        if due { self.settle().await } else { Ok(()) }
    }

    /// Counts a pack of a dry run, which nobody has stored.
    pub(crate) fn count(&mut self, pack: &IndexedPack) {
        self.done.packs.push(pack.pack);
        self.done.bytes += u64::from(pack.length);
    }

    /// Indexes what waits for it.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        if self.waiting.is_empty() { Ok(()) } else { self.write(Vec::new()).await }
    }

    /// Indexes the rest.
    pub(crate) async fn finish(self) -> Result<IndexedPacks> {
        self.finish_superseding(Vec::new()).await
    }

    /// Indexes the rest. The last object stands for those in `supersedes` as well.
    pub(crate) async fn finish_superseding(mut self, supersedes: Vec<IndexId>) -> Result<IndexedPacks> {
        if !self.waiting.is_empty() || !supersedes.is_empty() {
            self.write(supersedes).await?;
        }
        Ok(self.done)
    }

    async fn write(&mut self, supersedes: Vec<IndexId>) -> Result<()> {
        let packs = std::mem::take(&mut self.waiting);
        let names: Vec<PackId> = packs.iter().map(|pack| pack.indexed().pack).collect();
        self.keep(&packs);
        let durable = self.store.make_durable(packs).await?.superseding(supersedes);
        match self.store.put_index(&durable, self.on_full).await {
            Ok(object) => self.done.objects.push(object),
            Err(error) => {
                // Whoever makes room may try again.
                self.waiting = durable.into_stored();
                return Err(error);
            }
        }
        self.done.packs.extend(names);
        self.done.bytes += self.waiting_bytes;
        self.waiting_chunks = 0;
        self.waiting_bytes = 0;
        // On a disk that may be full, little is copied twice when the run is cut off.
        if self.on_full == OnFull::Fail {
            self.next_bytes = (self.next_bytes * 2).min(CHECKPOINT_BYTES);
        }
        self.since = Instant::now();
        Ok(())
    }
}
