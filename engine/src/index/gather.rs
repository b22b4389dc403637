//! Index objects on their way into an index: read a few at a time, put aside in shards before they fill the memory.

use super::table::Index;
use crate::backend::Listed;
use crate::backend::Name;
use crate::cache::Covered;
use crate::cache::Draft;
use crate::cache::Joined;
use crate::cache::ReadObject;
use crate::cache::Shard;
use crate::cache::ShardFolder;
use crate::cache::crowded;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::IndexRecords;
use crate::format::index::PackInfo;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::IndexId;
use crate::id::PackId;
use crate::limits::INDEX_FETCH_BYTES;
use crate::store::LocalFiles;
use crate::store::Store;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Index objects fetched at once.
const FETCHES_MAX: usize = 8;

/// Index objects read so far.
pub(crate) struct Gatherer {
    store: Arc<Store>,
    folder: ShardFolder,
    /// Shards are kept for the next run.
    keep: bool,
    /// Chunks in memory at which they become a shard.
    most: usize,
    /// Chunks of an object that gets a shard of its own, and of the least shard.
    alone: usize,
    /// Shards that are never put together.
    few: usize,
    shards: Vec<Shard>,
    loose: Vec<ReadObject>,
    loose_chunks: usize,
    /// The objects in `shards` and `loose`.
    objects: HashSet<IndexId>,
    warning: Option<String>,
}

/// What came of it: objects in shards, and the others.
pub(crate) struct Gathered {
    shards: Vec<Shard>,
    loose: Vec<ReadObject>,
    /// Why some of it is in memory that should not be.
    pub(crate) warning: Option<String>,
}

impl Gatherer {
    /// Begins with shards that are kept of objects which are there.
    pub(crate) fn with_kept(store: &Arc<Store>, listed: &[Listed]) -> Self {
        let mut gatherer = Self::new(store, true);
        let there: HashMap<Name, u64> = listed.iter().map(|object| (object.name, object.length)).collect();
        let mut shards = gatherer.folder.open_all();
        // Of two that cover one object the larger one is used.
        shards.sort_by_key(|shard| std::cmp::Reverse(shard.rows()));
        let mut taken: HashSet<IndexId> = HashSet::new();
        for shard in shards {
            let counts = |object: &Covered| {
                there.get(&Name::Index(object.id)) == Some(&object.length) && !taken.contains(&object.id)
            };
            if let Some(shard) = gatherer.left_of(shard, counts) {
                taken.extend(shard.covered().iter().map(|object| object.id));
                gatherer.shards.push(shard);
            }
        }
        gatherer.objects = taken;
        gatherer.join();
        gatherer
    }

    /// Begins with nothing: everything is read from the repository, for those who must know that it can be.
    pub(crate) fn anew(store: &Arc<Store>) -> Self {
        Self::new(store, false)
    }

    fn new(store: &Arc<Store>, keep: bool) -> Self {
        let LocalFiles { shard_chunks, shard_alone_chunks, shards_few, .. } = store.local();
        Self {
            store: Arc::clone(store),
            folder: folder(store),
            keep,
            most: shard_chunks,
            alone: shard_alone_chunks.min(shard_chunks),
            few: shards_few,
            shards: Vec::new(),
            loose: Vec::new(),
            loose_chunks: 0,
            objects: HashSet::new(),
            warning: None,
        }
    }

    /// Whether it has an object.
    pub(crate) fn has(&self, id: &IndexId) -> bool {
        self.objects.contains(id)
    }

    /// Reads objects; gives those that cannot be read or found.
    pub(crate) async fn fetch(&mut self, objects: &[Listed]) -> Result<Vec<(IndexId, Error)>> {
        let mut failed = Vec::new();
        let store = Arc::clone(&self.store);
        fetch_each(&store, objects, |id, length, outcome| {
            match outcome {
                Ok(records) => self.add(ReadObject { id, length, records }),
                Err(error) if error.is_local() => failed.push((id, error)),
                Err(error) => return Err(error),
            }
            Ok(())
        })
        .await?;
        Ok(failed)
    }

    /// What the objects supersede.
    pub(crate) fn superseded(&self) -> HashSet<IndexId> {
        let loose = self.loose.iter().flat_map(|object| &object.records.supersedes);
        let covered = self.shards.iter().flat_map(Shard::covered).flat_map(|object| &object.supersedes);
        loose.chain(covered).copied().collect()
    }

    /// Leaves superseded objects out. `true` when others went with them, which must be read again.
    pub(crate) fn leave_out(&mut self, superseded: &HashSet<IndexId>) -> bool {
        self.loose.retain(|object| !superseded.contains(&object.id));
        self.loose_chunks = chunks(&self.loose);
        let before: Vec<Shard> = self.shards.drain(..).collect();
        self.shards = before
            .into_iter()
            .filter_map(|shard| self.left_of(shard, |object| !superseded.contains(&object.id)))
            .collect();
        let objects = objects(&self.shards, &self.loose);
        let went = self.objects.iter().any(|id| !superseded.contains(id) && !objects.contains(id));
        self.objects = objects;
        went
    }

    pub(crate) fn finish(mut self) -> Gathered {
        // In an order of their own, whatever that of their files or sizes is.
        self.shards.sort_by_key(|shard| shard.covered().first().map(|object| object.id));
        Gathered { shards: self.shards, loose: self.loose, warning: self.warning }
    }

    fn add(&mut self, object: ReadObject) {
        self.objects.insert(object.id);
        self.loose_chunks += object.records.chunks.len();
        self.loose.push(object);
        if self.loose_chunks >= self.most && self.can_write() {
            self.put_loose_aside();
        }
    }

    /// Makes shards of what is in memory. A large object has one of its own, which stays of use when small ones are
    /// merged; the small ones have one together, once it is as large.
    fn put_loose_aside(&mut self) {
        let is_large = |object: &ReadObject| object.records.chunks.len() >= self.alone;
        let (large, small): (Vec<ReadObject>, Vec<ReadObject>) = self.loose.drain(..).partition(is_large);
        let mut all: Vec<Vec<ReadObject>> = large.into_iter().map(|object| vec![object]).collect();
        if chunks(&small) >= self.alone {
            all.push(small);
        } else {
            self.loose = small;
        }
        for objects in all {
            let outcome = if self.can_write() { self.put_aside(objects) } else { Err(objects) };
            self.loose.extend(outcome.err().unwrap_or_default());
        }
        self.loose_chunks = chunks(&self.loose);
    }

    fn can_write(&self) -> bool {
        self.folder.exists() && self.warning.is_none()
    }

    /// Makes a shard of some objects; gives them back where that is not possible.
    fn put_aside(&mut self, objects: Vec<ReadObject>) -> Result<(), Vec<ReadObject>> {
        let draft = Draft::of_objects(objects);
        let why = match self.folder.make(&draft, self.keep, self.store.rng()) {
            Ok(Some(shard)) => {
                self.shards.push(shard);
                self.join();
                return Ok(());
            }
            Ok(None) => "its ids do not spread".to_owned(),
            Err(error) => error.to_string(),
        };
        self.warning = Some(format!("the index is kept in memory, because no local file can hold it: {why}"));
        Err(draft.into_objects())
    }

    /// Makes one of several shards where they are many. Where that is not possible they stay as they are.
    fn join(&mut self) {
        let mut shards = std::mem::take(&mut self.shards);
        let many = crowded(&mut shards, self.few);
        self.shards = shards;
        match self.rewritten(&many, |_| true) {
            Some(joined) => self.shards.push(joined),
            None => self.shards.extend(many),
        }
    }

    /// What of a shard covers objects that count: all of it, or one of those, where they are as many chunks as a shard
    /// has. The shard that they were in goes.
    fn left_of(&self, shard: Shard, counts: impl Fn(&Covered) -> bool) -> Option<Shard> {
        let left = shard.covered().iter().filter(|object| counts(object));
        let (objects, chunks) =
            left.fold((0, 0), |(objects, chunks), object| (objects + 1, chunks + size(object.chunks)));
        if objects == shard.covered().len() && objects > 0 {
            return Some(shard);
        }
        let shards = [shard];
        let left = if chunks >= self.alone { self.rewritten(&shards, counts) } else { None };
        if left.is_none() {
            shards.iter().for_each(|shard| self.folder.remove(shard));
        }
        left
    }

    /// One shard of all objects in some shards that count. They go once it is kept as long as they would have been.
    fn rewritten(&self, shards: &[Shard], counts: impl Fn(&Covered) -> bool) -> Option<Shard> {
        if shards.is_empty() || !self.can_write() {
            return None;
        }
        let made = self.folder.make(&Joined::of(shards, counts), self.keep, self.store.rng()).ok().flatten()?;
        if made.is_kept() {
            shards.iter().for_each(|shard| self.folder.remove(shard));
        }
        Some(made)
    }
}

impl Gathered {
    /// The objects that it has.
    pub(crate) fn objects(&self) -> HashSet<IndexId> {
        objects(&self.shards, &self.loose)
    }

    /// The packs that they name, and some twice.
    pub(crate) fn pack_ids(&self) -> impl Iterator<Item = &PackId> {
        let loose = self.loose.iter().flat_map(|object| &object.records.packs).map(|pack| &pack.id);
        self.shards.iter().flat_map(Shard::pack_ids).chain(loose)
    }

    /// The same packs in full; those of shards are read.
    pub(crate) fn packs(&self) -> impl Iterator<Item = Result<Arc<PackInfo>>> {
        let shelved = self.shards.iter().flat_map(|shard| {
            let shelf = shard.packs();
            (0..length_u32(shelf.len())).map(move |own| shelf.pack(own).map(|(_, pack)| Arc::new(pack)))
        });
        let loose = self.loose.iter().flat_map(|object| &object.records.packs);
        shelved.chain(loose.map(|pack| Ok(Arc::new(pack.clone()))))
    }

    /// Puts all of it into an index, without the packs that are `gone`. Gives each object with its packs' numbers.
    pub(crate) fn add_to(self, index: &mut Index, gone: &HashSet<PackId>) -> Result<Vec<(Covered, Vec<u32>)>> {
        let mut all = Vec::new();
        for shard in self.shards {
            all.extend(index.add_shard(shard, gone)?);
        }
        let mut loose = self.loose;
        loose.sort_by_key(|object| object.id);
        for ReadObject { id, length, records } in loose {
            let names: Vec<PackId> = records.packs.iter().map(|pack| pack.id).collect();
            let object = Covered {
                id,
                length,
                packs: length_u32(names.len()),
                chunks: length_u32(records.chunks.len()),
                supersedes: records.supersedes.clone(),
            };
            index.add_records(records, gone)?;
            all.push((object, names.iter().filter_map(|name| index.pack_number(name)).collect()));
        }
        Ok(all)
    }
}

fn objects(shards: &[Shard], loose: &[ReadObject]) -> HashSet<IndexId> {
    let covered = shards.iter().flat_map(Shard::covered).map(|object| object.id);
    covered.chain(loose.iter().map(|object| object.id)).collect()
}

fn chunks(objects: &[ReadObject]) -> usize {
    objects.iter().map(|object| object.records.chunks.len()).sum()
}

/// Where shards of a repository go on this machine.
pub(super) fn folder(store: &Store) -> ShardFolder {
    let LocalFiles { cache, temporary, .. } = store.local();
    let names = &store.keys().metadata_names;
    ShardFolder::new(cache.as_deref(), temporary.as_deref(), names, &store.repository())
}

/// Fetches and opens objects, several at once, and gives each to `each` in the order of the list.
pub(super) async fn fetch_each(
    store: &Arc<Store>,
    objects: &[Listed],
    mut each: impl FnMut(IndexId, u64, Result<IndexRecords>) -> Result<()>,
) -> Result<()> {
    let mut running: VecDeque<(IndexId, u64, Running)> = VecDeque::new();
    let mut bytes = 0u64;
    let mut left = objects.iter().peekable();
    loop {
        while let Some(Listed { name, length, .. }) = left.peek().copied()
            && (running.is_empty()
                || (running.len() < FETCHES_MAX && bytes.saturating_add(*length) <= INDEX_FETCH_BYTES))
        {
            left.next();
            let Name::Index(id) = *name else { continue };
            let store = Arc::clone(store);
            running.push_back((id, *length, Running(tokio::spawn(async move { store.get_index(id).await }))));
            bytes = bytes.saturating_add(*length);
        }
        let Some((id, length, mut task)) = running.pop_front() else { return Ok(()) };
        let outcome = (&mut task.0)
            .await
            .map_err(|lost| Error::new(Kind::Bug, "a task that loads the index was lost").because(lost.to_string()))?;
        bytes = bytes.saturating_sub(length);
        each(id, length, outcome)?;
    }
}

/// A task that ends with whoever waits for it.
struct Running(JoinHandle<Result<IndexRecords>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}
