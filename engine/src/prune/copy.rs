//! What is needed of victims into new packs: stored, made durable, and only then indexed.

use super::bits::Bits;
use super::extract::Copied;
use super::extract::Extractor;
use super::extract::Fetched;
use super::extract::Half;
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
use crate::format::wire::size;
use crate::id::SnapshotId;
use crate::index::keys;
use crate::job::Control;
use crate::limits::CHECKPOINT_BYTES_FIRST;
use crate::limits::CHECKPOINT_CHUNKS;
use crate::limits::PACK_BYTES_MAX;
use crate::store::NewPack;
use crate::store::Store;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

/// A pack is fetched in pieces of this many bytes into memory that is used again: large blocks that come and go are
/// kept by an allocator for each thread that ever had one.
const FETCH_BYTES: u64 = 4 << 20;

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
        let packs = OpenPacks::new(&view.store, class, session, goal);
        let key = view.store.new_data_key(class, Suite::fastest(), true).await?;
        let extractor = || {
            let regroup = Regroup::new(&view.store, class, Arc::clone(&key))?;
            Ok(Extractor::new(&view.store, class, wanted.clone(), options, regroup))
        };
        let crew = Crew { class, pair: (extractor()?, extractor()?), packs };
        if let Err(error) = copy_class(view, &mut out, crew, &victims, control).await {
            // The next run finds what was copied so far.
            let _ = out.flush().await;
            return Err(error);
        }
    }
    out.flush().await?;
    Ok(out.tally)
}

/// While one pack is gone through, the new ones that the pack before has filled are stored.
async fn copy_class(
    view: &View,
    out: &mut Out,
    mut crew: Crew,
    victims: &[(u32, usize)],
    control: &Control,
) -> Result<()> {
    let (mut full, mut buffer) = (Vec::new(), Vec::new());
    for victim in victims {
        control.check()?;
        let fetched = fetch(view, crew.class, *victim, std::mem::take(&mut buffer)).await;
        let victim = match fetched {
            Ok(victim) => Arc::new(victim),
            Err(error) => {
                out.put_all(full, control).await?;
                return Err(error);
            }
        };
        let (put, extracted) = tokio::join!(out.put_all(std::mem::take(&mut full), control), crew.extract(&victim));
        put?;
        (crew, full) = extracted?;
        buffer = Arc::into_inner(victim).map(|victim| victim.pack.bytes).unwrap_or_default();
        control.count(|counters| &counters.bytes_done, u64::try_from(buffer.len()).unwrap_or(u64::MAX));
    }
    out.put_all(full, control).await?;
    let (copied, full) = crew.finish().await?;
    out.put_all(full, control).await?;
    for Copied { segments_copied, segments_formed, chunks } in copied {
        out.tally.copied.segments_copied += segments_copied;
        out.tally.copied.segments_formed += segments_formed;
        out.tally.copied.chunks += chunks;
    }
    Ok(())
}

/// The whole pack, and those of its keys that can be read or stand in a pack: without them its segments are copied as
/// they are. `buffer` is memory to be used again.
async fn fetch(view: &View, class: Class, (number, needed): (u32, usize), mut buffer: Vec<u8>) -> Result<Victim> {
    let pack = view.index.pack(number)?.ok_or_else(|| Error::new(Kind::Bug, "a victim is not in the index"))?;
    let mut keys = HashMap::new();
    for id in &pack.data_keys {
        match keys::data_key(&view.store, &view.index, &pack, id).await {
            Ok(key) => drop(keys.insert(*id, key)),
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {}
            Err(error) => return Err(error),
        }
    }
    let length = u64::from(pack.length);
    if size(pack.length) > PACK_BYTES_MAX {
        return Err(Error::damaged(Name::Pack(pack.id), "it is larger than any pack"));
    }
    buffer.clear();
    buffer.reserve_exact(size(pack.length));
    let mut offset = 0;
    while offset < length {
        let piece = FETCH_BYTES.min(length - offset);
        let bytes = view.store.fetch(pack.id, offset, piece).await.map_err(|error| match error.kind() {
            Kind::NotFound => Error::damaged(Name::Pack(pack.id), "it is missing").because(error),
            _ => error,
        })?;
        buffer.extend_from_slice(&bytes);
        offset += piece;
    }
    let (store, pack) = (Arc::clone(&view.store), Fetched { id: pack.id, number, bytes: buffer, needed, keys });
    off_thread((), move |()| Victim::open(&store, class, pack)).await.map(|((), victim)| victim)
}

/// Hashing, opening and sealing take their time: not on a thread that serves others.
async fn off_thread<S: Send + 'static, T: Send + 'static>(
    mut state: S,
    work: impl FnOnce(&mut S) -> Result<T> + Send + 'static,
) -> Result<(S, T)> {
    tokio::task::spawn_blocking(move || {
        let done = work(&mut state)?;
        Ok((state, done))
    })
    .await
    .map_err(|lost| Error::new(Kind::Bug, "the copying of a pack was lost").because(lost.to_string()))?
}

/// Two who go through a pack of one class at the same time, and the packs that they fill.
struct Crew {
    class: Class,
    pair: (Extractor, Extractor),
    packs: OpenPacks,
}

impl Crew {
    /// Gives the new packs that are full by now.
    async fn extract(self, victim: &Arc<Victim>) -> Result<(Self, Vec<NewPack>)> {
        let Self { class, pair: (one, other), packs } = self;
        let half = |half: Half| {
            let victim = Arc::clone(victim);
            move |extractor: &mut Extractor| extractor.extract(&victim, half)
        };
        let (first, second) = tokio::join!(off_thread(one, half(Half::First)), off_thread(other, half(Half::Second)));
        let ((one, first), (other, second)) = (first?, second?);
        // Anything else would be lost with the pack.
        if first.found + second.found != victim.pack.needed {
            return Err(Error::damaged(Name::Pack(victim.pack.id), "it does not hold what the index says"));
        }
        let (packs, full) =
            off_thread(packs, move |packs| packs.add_all(first.parcels.into_iter().chain(second.parcels).collect()))
                .await?;
        Ok((Self { class, pair: (one, other), packs }, full))
    }

    /// Closes all segments and packs that are open; tells what each has copied.
    async fn finish(self) -> Result<([Copied; 2], Vec<NewPack>)> {
        let Self { pair, packs, .. } = self;
        let (_, done) = off_thread((pair, packs), |((one, other), packs)| {
            let mut full = packs.add_all(one.finish()?.into_iter().chain(other.finish()?).collect())?;
            full.extend(packs.finish()?);
            Ok(([one.copied, other.copied], full))
        })
        .await?;
        Ok(done)
    }
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
    async fn put_all(&mut self, packs: Vec<NewPack>, control: &Control) -> Result<()> {
        for pack in packs {
            self.put(pack, control).await?;
        }
        Ok(())
    }

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
