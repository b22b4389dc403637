//! What is needed of victims into new packs: stored, made durable, and only then indexed.

use super::bits::Bits;
use super::extract::Copied;
use super::extract::Extractor;
use super::extract::Victim;
use super::extract::Wanted;
use super::options::PruneOptions;
use super::pack::OpenPacks;
use super::regroup::Regroup;
use super::view::View;
use crate::backend::Name;
use crate::class::Class;
use crate::crypto::seal::Suite;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::IndexBody;
use crate::format::index::IndexedPack;
use crate::id::SnapshotId;
use crate::index::keys;
use crate::job::Control;
use crate::limits::CHECKPOINT_BYTES_FIRST;
use crate::limits::CHECKPOINT_CHUNKS;
use crate::store::NewPack;
use crate::store::Store;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

/// What copying came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) packs: u64,
    pub(super) bytes: u64,
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
    let mut out =
        Out { store: Arc::clone(&view.store), waiting: Vec::new(), chunks: 0, bytes: 0, tally: Tally::default() };
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
        let key = view.store.new_data_key(class, Suite::fastest(), true).await?;
        let packs = OpenPacks::new(&view.store, class, session, goal);
        let regroup = Regroup::new(&view.store, class, key)?;
        let extractor = Extractor::new(&view.store, class, wanted.clone(), options.max_unused, (packs, regroup));
        if let Err(error) = copy_class(view, &mut out, extractor, &victims, control).await {
            // The next run finds what was copied so far.
            let _ = out.flush().await;
            return Err(error);
        }
    }
    out.flush().await?;
    Ok(out.tally)
}

async fn copy_class(
    view: &View,
    out: &mut Out,
    mut extractor: Extractor,
    victims: &[(u32, usize)],
    control: &Control,
) -> Result<()> {
    for (number, needed) in victims {
        control.check()?;
        let victim = fetch(view, *number, *needed).await?;
        control.count(|counters| &counters.bytes_done, u64::try_from(victim.bytes.len()).unwrap_or(u64::MAX));
        let full;
        (extractor, full) = off_thread(extractor, move |extractor| extractor.extract(&victim)).await?;
        for pack in full {
            out.put(pack, control).await?;
        }
    }
    let (extractor, full) = off_thread(extractor, Extractor::finish).await?;
    for pack in full {
        out.put(pack, control).await?;
    }
    let Copied { segments_copied, segments_formed, chunks } = extractor.copied;
    out.tally.copied.segments_copied += segments_copied;
    out.tally.copied.segments_formed += segments_formed;
    out.tally.copied.chunks += chunks;
    Ok(())
}

/// The whole pack, and those of its keys that can be read or stand in a pack: without them its segments are copied as
/// they are.
async fn fetch(view: &View, number: u32, needed: usize) -> Result<Victim> {
    let pack = view.index.pack(number)?.ok_or_else(|| Error::new(Kind::Bug, "a victim is not in the index"))?;
    let mut keys = HashMap::new();
    for id in &pack.data_keys {
        match keys::data_key(&view.store, &view.index, &pack, id).await {
            Ok(key) => drop(keys.insert(*id, key)),
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {}
            Err(error) => return Err(error),
        }
    }
    let bytes = view.store.get_pack(pack.id).await.map_err(|error| match error.kind() {
        Kind::NotFound => Error::damaged(Name::Pack(pack.id), "it is missing").because(error),
        _ => error,
    })?;
    Ok(Victim { id: pack.id, number, bytes, needed, keys })
}

/// Hashing, opening and sealing take their time: not on a thread that serves others.
async fn off_thread<T: Send + 'static>(
    mut extractor: Extractor,
    work: impl FnOnce(&mut Extractor) -> Result<T> + Send + 'static,
) -> Result<(Extractor, T)> {
    tokio::task::spawn_blocking(move || {
        let done = work(&mut extractor)?;
        Ok((extractor, done))
    })
    .await
    .map_err(|lost| Error::new(Kind::Bug, "the copying of a pack was lost").because(lost.to_string()))?
}

/// New packs on their way, and those that wait for their index object.
struct Out {
    store: Arc<Store>,
    waiting: Vec<IndexedPack>,
    chunks: usize,
    bytes: u64,
    tally: Tally,
}

impl Out {
    /// Stores a pack; on a full store once more, in the room that was set aside.
    async fn put(&mut self, pack: NewPack, control: &Control) -> Result<()> {
        let NewPack { parts, indexed } = pack;
        let (id, length) = (indexed.pack, indexed.length);
        let mut outcome = self.store.put_pack(id, length, parts.clone()).await;
        let is_full = outcome.as_ref().is_err_and(|error| error.kind() == Kind::NoSpace);
        if is_full && self.store.backend().spend_reserve().await? {
            outcome = self.store.put_pack(id, length, parts).await;
        }
        outcome?;
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
        self.store.put_index(&IndexBody { supersedes: Vec::new(), packs }).await.map(|_| ())
    }
}
