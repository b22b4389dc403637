//! What is needed of victims into new packs: stored, made durable, and only then indexed.

use super::bits::Bits;
use super::crew;
use super::extract::Copied;
use super::extract::Extractor;
use super::extract::Wanted;
use super::options::PruneOptions;
use super::scan::Scanner;
use super::view::View;
use crate::class::Class;
use crate::crypto::seal::Suite;
use crate::error::Result;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::pack::IndexWriter;
use crate::pack::OpenPacks;
use crate::pack::PackShape;
use crate::pack::SegmentBuffers;
use crate::pack::SegmentBuilder;
use crate::pack::SegmentShape;
use crate::squeeze::Compression;
use crate::store::NewPack;
use crate::store::OnFull;
use crate::store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How segments formed anew are squeezed: as in a backup that is told nothing else, without its samples.
const COMPRESSION: Compression = Compression::Level(3);

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
        index: IndexWriter::new(&view.store, OnFull::SpendReserve),
        buffers: SegmentBuffers::default(),
        tally: Tally::default(),
    };
    if let Err(error) = copy_classes(view, &mut out, (wanted, counts), session, options, control).await {
        // The next run finds what was copied so far.
        let _ = out.index.settle().await;
        return Err(error);
    }
    out.index.finish().await?;
    Ok(out.tally)
}

async fn copy_classes(
    view: &View,
    out: &mut Out,
    (wanted, counts): (Wanted, BTreeMap<u32, usize>),
    session: SnapshotId,
    options: &PruneOptions,
    control: &Control,
) -> Result<()> {
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
        // So that what is open and what is on its way stay small together.
        let open_bytes_max = goal.saturating_add(goal / 4);
        let packs = OpenPacks::new(&view.store, PackShape { open_bytes_max, ..PackShape::new(class, session, goal) });
        // Segments of another class have other lengths.
        out.buffers = SegmentBuffers::default();
        let key =
            OnFull::SpendReserve.put(&view.store, || view.store.new_data_key(class, Suite::fastest(), true)).await?;
        let extractor = || {
            let shape = SegmentShape::new(class, COMPRESSION, goal);
            let segments = SegmentBuilder::new(&view.store, shape, &key, Some(&out.buffers))?;
            Ok(Extractor::new(&view.store, class, segments, out.buffers.clone()))
        };
        let pair = (extractor()?, extractor()?);
        let store = Arc::clone(&view.store);
        let (options, buffers) = (options.clone(), SegmentBuffers::default());
        let scanner = Scanner { store, class, wanted: wanted.clone(), options, buffers };
        crew::copy_class(view, out, scanner, pair, packs, &victims, control).await?;
        out.index.settle().await?;
    }
    Ok(())
}

/// New packs on their way into the index.
pub(super) struct Out {
    store: Arc<Store>,
    index: IndexWriter,
    buffers: SegmentBuffers,
    pub(super) tally: Tally,
}

impl Out {
    /// Stores a pack; on a full store once more, in the room that was set aside.
    pub(super) async fn put(&mut self, pack: NewPack, control: &Control) -> Result<()> {
        let length = u64::from(pack.indexed.length);
        let (stored, parts) = self.store.put_pack(pack, OnFull::SpendReserve).await?;
        self.buffers.give_all(parts);
        control.count(|counters| &counters.bytes_stored, length);
        self.tally.packs += 1;
        self.tally.bytes += length;
        self.index.add(stored).await
    }
}
