//! Index objects for stored packs: at checkpoints, so that an interrupted run loses little, and at the end.

use super::upload::StoredPack;
use crate::error::Result;
use crate::format::index::IndexBody;
use crate::format::index::IndexedPack;
use crate::id::IndexId;
use crate::id::PackId;
use crate::index::table::Index;
use crate::limits::CHECKPOINT_BYTES;
use crate::limits::CHECKPOINT_BYTES_FIRST;
use crate::limits::CHECKPOINT_CHUNKS;
use crate::limits::CHECKPOINT_SECONDS;
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Proof that every pack of a job is stored, durable, and named by a durable index object.
pub(crate) struct IndexedPacks {
    packs: Vec<PackId>,
    objects: Vec<IndexId>,
    bytes: u64,
    /// What is in them, for an index that is to know them; `None` when it is not wanted, or too much to keep.
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

    /// Adds them to the index that the job began with; `None` where it has to be read again.
    pub(super) fn add_to(self, mut index: Arc<Index>) -> Result<Option<Arc<Index>>> {
        let Some(packs) = self.contents else { return Ok(None) };
        // Whoever still looks ahead in the old one goes on with it.
        Arc::make_mut(&mut index).follow(self.objects, packs)?;
        Ok(Some(index))
    }
}

/// Collects stored packs and writes index objects for them.
pub(crate) struct Recorder {
    store: Arc<Store>,
    dry_run: bool,
    /// Chunks that may still be kept.
    room: usize,
    waiting: Vec<IndexedPack>,
    waiting_chunks: u64,
    waiting_bytes: u64,
    /// Grows with the run: losing a fixed share of a long run costs no more than losing all of a short one.
    next_bytes: u64,
    since: Instant,
    done: IndexedPacks,
}

impl Recorder {
    /// Keeps what the packs hold as well if somebody `follows`, unless that fills the memory.
    pub(crate) fn new(store: &Arc<Store>, dry_run: bool, follows: bool) -> Self {
        let contents = follows.then(Vec::new);
        Self {
            store: Arc::clone(store),
            dry_run,
            room: store.local().shard_chunks,
            waiting: Vec::new(),
            waiting_chunks: 0,
            waiting_bytes: 0,
            next_bytes: CHECKPOINT_BYTES_FIRST,
            since: Instant::now(),
            done: IndexedPacks { packs: Vec::new(), objects: Vec::new(), bytes: 0, contents },
        }
    }

    /// Takes a stored pack; writes a checkpoint when enough has come together.
    pub(crate) async fn add(&mut self, stored: StoredPack) -> Result<()> {
        let pack = stored.into_indexed();
        let chunks: usize = pack.table.segments.iter().map(|segment| segment.chunks.len()).sum();
        self.waiting_chunks += u64::try_from(chunks).unwrap_or(u64::MAX);
        self.waiting_bytes += u64::from(pack.length);
        self.waiting.push(pack);
        let due = self.waiting_chunks >= CHECKPOINT_CHUNKS
            || self.waiting_bytes >= self.next_bytes
            || self.since.elapsed() >= Duration::from_secs(CHECKPOINT_SECONDS);
        if due { self.checkpoint().await } else { Ok(()) }
    }

    /// Indexes the rest.
    pub(crate) async fn finish(mut self) -> Result<IndexedPacks> {
        self.checkpoint().await?;
        Ok(self.done)
    }

    /// Packs become durable before the index object that names them (I-13).
    async fn checkpoint(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let packs = std::mem::take(&mut self.waiting);
        let body = IndexBody { supersedes: Vec::new(), packs };
        if !self.dry_run {
            self.store.backend().barrier().await?;
            self.done.objects.push(self.store.put_index(&body).await?);
        }
        self.done.packs.extend(body.packs.iter().map(|pack| pack.pack));
        match self.room.checked_sub(usize::try_from(self.waiting_chunks).unwrap_or(usize::MAX)) {
            Some(room) => self.room = room,
            None => self.done.contents = None,
        }
        if let Some(contents) = &mut self.done.contents {
            contents.extend(body.packs);
        }
        self.done.bytes += self.waiting_bytes;
        self.waiting_chunks = 0;
        self.waiting_bytes = 0;
        self.next_bytes = (self.next_bytes * 2).min(CHECKPOINT_BYTES);
        self.since = Instant::now();
        Ok(())
    }
}
