//! What a repair adds to the index: packs that are durable, and only then the index object that names them.

use crate::backend::Name;
use crate::error::Result;
use crate::format::index::IndexBody;
use crate::format::index::IndexedPack;
use crate::id::IndexId;
use crate::limits::CHECKPOINT_CHUNKS;
use crate::store::NewPack;
use crate::store::Store;
use std::sync::Arc;

/// Packs that wait for their index object.
pub(super) struct Additions {
    store: Arc<Store>,
    waiting: Vec<IndexedPack>,
    chunks: u64,
    /// New packs stored.
    pub(super) packs: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

impl Additions {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self { store: Arc::clone(store), waiting: Vec::new(), chunks: 0, packs: 0, bytes: 0 }
    }

    /// Stores a new pack.
    pub(super) async fn put(&mut self, pack: NewPack) -> Result<()> {
        let NewPack { parts, indexed } = pack;
        self.store.put_pack(indexed.pack, indexed.length, parts).await?;
        self.packs += 1;
        self.bytes += u64::from(indexed.length);
        self.add(indexed).await
    }

    /// Takes a pack that is there. Whoever stored it may have died before it was durable.
    pub(super) async fn name(&mut self, pack: IndexedPack) -> Result<()> {
        self.store.backend().adopt(&Name::Pack(pack.pack)).await?;
        self.add(pack).await
    }

    /// What came together is indexed from time to time, so that a repair that is stopped has not worked for nothing.
    async fn add(&mut self, pack: IndexedPack) -> Result<()> {
        let chunks: usize = pack.table.segments.iter().map(|segment| segment.chunks.len()).sum();
        self.chunks += u64::try_from(chunks).unwrap_or(u64::MAX);
        self.waiting.push(pack);
        if self.chunks >= CHECKPOINT_CHUNKS { self.flush(Vec::new()).await } else { Ok(()) }
    }

    /// Indexes what waits for it.
    pub(super) async fn settle(&mut self) -> Result<()> {
        if self.waiting.is_empty() { Ok(()) } else { self.flush(Vec::new()).await }
    }

    /// Indexes the rest. The last object stands for those in `supersedes` as well.
    pub(super) async fn finish(mut self, supersedes: Vec<IndexId>) -> Result<()> {
        if self.waiting.is_empty() && supersedes.is_empty() { Ok(()) } else { self.flush(supersedes).await }
    }

    async fn flush(&mut self, supersedes: Vec<IndexId>) -> Result<()> {
        self.chunks = 0;
        let packs = std::mem::take(&mut self.waiting);
        // Packs become durable before the index object that names them (I-13).
        self.store.backend().barrier().await?;
        self.store.put_index(&IndexBody { supersedes, packs }).await.map(|_| ())
    }
}
