//! What is needed of victims into new packs: stored, made durable, and only then indexed.

use super::bits::Bits;
use super::crew;
use super::extract::Copied;
use super::extract::Extractor;
use super::extract::Wanted;
use super::need;
use super::options::PruneOptions;
use super::pack::OpenPacks;
use super::regroup::Regroup;
use super::scan::Scanner;
use super::spare::Spares;
use super::view::View;
use crate::class::Class;
use crate::crypto::seal::Suite;
use crate::error::Result;
use crate::format::index::IndexBody;
use crate::format::index::IndexedPack;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::limits::CHECKPOINT_BYTES_FIRST;
use crate::limits::CHECKPOINT_CHUNKS;
use crate::store::NewPack;
use crate::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The outcome of copying.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) packs: u64,
    pub(super) bytes: u64,
    pub(super) chunks: u64,
    pub(super) copied: Copied,
}

/// Copies the needed positions out of the packs they stand in. What was stored before a failure stays indexed.
pub(super) async fn copy(
    view: &View,
    needed: Bits,
    session: SnapshotId,
    options: &PruneOptions,
    control: &Control,
) -> Result<Tally> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    super::count::for_each_of(view, &needed, |record| *counts.entry(record.pack).or_default() += 1)?;
    let wanted = Wanted { index: Arc::clone(&view.index), positions: Arc::new(needed) };
    let mut out = Out {
        store: Arc::clone(&view.store),
        waiting: Vec::new(),
        chunks: 0,
        bytes: 0,
        spares: Spares::default(),
        tally: Tally::default(),
    };
    for (class, goal) in [(Class::Data, options.pack_goals.0), (Class::Metadata, options.pack_goals.1)] {
        let mut victims: Vec<(u32, usize)> = Vec::new();
        for (number, count) in &counts {
            if view.index.pack(*number)?.is_some_and(|pack| pack.class == class) {
                victims.push((*number, *count));
            }
        }
        if victims.is_empty() {
            continue;
        }
        let packs = OpenPacks::new(&view.store, class, session, goal);
        // Segments of another class have other lengths.
        out.spares = Spares::default();
        let key = need::put(&view.store, || view.store.new_data_key(class, Suite::fastest(), true)).await?;
        let extractor = || {
            let regroup = Regroup::new(&view.store, class, Arc::clone(&key), goal, &out.spares)?;
            Ok(Extractor::new(&view.store, class, regroup, out.spares.clone()))
        };
        let pair = (extractor()?, extractor()?);
        let store = Arc::clone(&view.store);
        let (options, spares) = (options.clone(), Spares::default());
        let scanner = Scanner { store, class, wanted: wanted.clone(), options, spares };
        if let Err(error) = crew::copy_class(view, &mut out, scanner, pair, packs, &victims, control).await {
            // The next run finds what was copied so far.
            let _ = out.flush().await;
            return Err(error);
        }
    }
    out.flush().await?;
    Ok(out.tally)
}

/// New packs on their way, and those that wait for their index object.
pub(super) struct Out {
    store: Arc<Store>,
    waiting: Vec<IndexedPack>,
    chunks: usize,
    bytes: u64,
    spares: Spares,
    pub(super) tally: Tally,
}

impl Out {
    /// Stores a pack; on a full store once more, in the room that was set aside.
    pub(super) async fn put(&mut self, pack: NewPack, control: &Control) -> Result<()> {
        let NewPack { parts, indexed } = pack;
        let (id, length) = (indexed.pack, indexed.length);
        need::put(&self.store, || self.store.put_pack(id, length, parts.clone())).await?;
        self.spares.give_all(parts);
        control.count(|counters| &counters.bytes_stored, u64::from(length));
        self.tally.packs += 1;
        self.tally.bytes += u64::from(length);
        self.chunks += indexed.table.segments.iter().map(|segment| segment.chunks.len()).sum::<usize>();
        self.bytes += u64::from(length);
        self.waiting.push(indexed);
        let is_due = u64::try_from(self.chunks).unwrap_or(u64::MAX) >= CHECKPOINT_CHUNKS;
        if is_due || self.bytes >= CHECKPOINT_BYTES_FIRST { self.flush().await } else { Ok(()) }
    }

    /// Packs become durable before the index object that names them (I-13).
    async fn flush(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let packs = std::mem::take(&mut self.waiting);
        (self.chunks, self.bytes) = (0, 0);
        self.store.backend().barrier().await?;
        let body = IndexBody { supersedes: Vec::new(), packs };
        need::put(&self.store, || self.store.put_index(&body)).await.map(|_| ())
    }
}
