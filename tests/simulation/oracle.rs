//! What must hold after every step (I-1), found out without asking those who act.

use super::actors::Role;
use super::actors::open;
use super::desk::Truth;
use super::rewrites::Rewrites;
use super::rewrites::is_made_of;
use super::shelf::Change;
use super::shelf::NOBODY;
use super::tally::Tally;
use super::time::DAY;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use strongroom::ChunkId;
use strongroom::Content;
use strongroom::IndexId;
use strongroom::Name;
use strongroom::PackId;
use strongroom::Repository;
use strongroom::SeededRng;
use strongroom::Snapshot;
use strongroom::SnapshotId;

/// So many index objects of one level are merged into one.
const LEVEL_OBJECTS: usize = 8;
/// A pending record of this age may be taken for left over.
const PENDING_AGE: u64 = 14 * DAY;

struct IndexObject {
    supersedes: Vec<IndexId>,
    packs: Vec<PackId>,
}

/// What is in the store, kept up to date change by change.
pub struct Oracle {
    truth: Truth,
    repository: Repository,
    rewrites: Rewrites,
    packs: BTreeMap<PackId, BTreeSet<ChunkId>>,
    index: BTreeMap<IndexId, IndexObject>,
    needs: BTreeMap<SnapshotId, BTreeSet<ChunkId>>,
    declared: BTreeMap<SnapshotId, u64>,
    /// Snapshots that came after their intent had been taken for left over, and who stored them: they may lack data, but
    /// not without being told so.
    late: BTreeMap<SnapshotId, usize>,
    /// The same, and those that are gone by now.
    late_once: BTreeMap<SnapshotId, usize>,
    /// Snapshots that were ever stored, and of them those that somebody has removed on purpose.
    pub committed: u64,
    pub forgotten: BTreeSet<SnapshotId>,
    pub late_ever: u64,
    /// Root keys made.
    pub root_keys: u64,
    /// What every snapshot said of itself, also of those that are gone, and the how manieth it was.
    records: BTreeMap<SnapshotId, (u64, Snapshot)>,
    pub tally: Tally,
}

async fn open_truth(truth: &Truth) -> strongroom::Result<Repository> {
    open(truth.clone(), SeededRng::new(truth.time.now()), Arc::new(truth.time.clone())).await
}

impl Oracle {
    pub async fn new(truth: Truth, rewrites: Rewrites) -> Self {
        Self {
            repository: open_truth(&truth).await.expect("it was made well"),
            truth,
            rewrites,
            packs: BTreeMap::new(),
            index: BTreeMap::new(),
            needs: BTreeMap::new(),
            declared: BTreeMap::new(),
            late: BTreeMap::new(),
            late_once: BTreeMap::new(),
            committed: 0,
            forgotten: BTreeSet::new(),
            late_ever: 0,
            root_keys: 0,
            records: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// Takes note of what has happened; `Err` tells what is lost by it.
    pub async fn absorb(
        &mut self,
        changes: &[Change],
        now: u64,
        role: impl Fn(usize) -> Option<Role>,
    ) -> Result<(), String> {
        for change in changes {
            match *change {
                Change::Stored(name, by) => self.stored(name, by, now).await?,
                Change::Deleted(name, by) => {
                    if let Name::Snapshot(id) = name {
                        if !matches!(role(by), None | Some(Role::Keeper)) {
                            return Err(format!("{name} was removed by somebody who must not do that"));
                        }
                        self.forgotten.insert(id);
                        if by != NOBODY {
                            self.may_go(&id, by)?;
                        }
                    }
                    self.gone(name);
                }
                Change::Lost(name) => self.gone(name),
                Change::Back(name) => self.back(name).await?,
            }
        }
        if changes.is_empty() { Ok(()) } else { self.whole() }
    }

    fn gone(&mut self, name: Name) {
        match name {
            Name::Pack(id) => drop(self.packs.remove(&id)),
            Name::Index(id) => drop(self.index.remove(&id)),
            Name::Snapshot(id) => {
                self.needs.remove(&id);
                self.late.remove(&id);
            }
            _ => {}
        }
    }

    /// Whether something was stored in the place of a snapshot that must not go without. It may have gone before: a
    /// deletion may come late.
    fn may_go(&self, id: &SnapshotId, by: usize) -> Result<(), String> {
        let is_replaced = self.rewrites.is_replaced(*id, by);
        let Some((order, old)) = self.records.get(id) else { return Ok(()) };
        let is_twin =
            |new: &Snapshot| new.id != *id && (new.root, new.started, &new.host) == (old.root, old.started, &old.host);
        let stands = |new: &Snapshot| is_twin(new) || is_replaced && is_made_of(new, old);
        let mut later = self.records.values().filter(|(other, _)| other > order).map(|(_, new)| new);
        if (is_replaced || old.is_protected) && !later.any(stands) {
            let why = if is_replaced { "is not written anew yet" } else { "is protected" };
            return Err(format!("snapshot {id} was removed, and {why}"));
        }
        Ok(())
    }

    /// An outage has undone a deletion.
    async fn back(&mut self, name: Name) -> Result<(), String> {
        match name {
            Name::Snapshot(id) => {
                self.forgotten.remove(&id);
                if let Some(by) = self.late_once.get(&id) {
                    self.late.insert(id, *by);
                }
                let needs = self.read_needs(&id).await;
                let needs = needs.map_err(|error| format!("{name} is there again and cannot be read: {error}"));
                match needs {
                    Ok(needs) => drop(self.needs.insert(id, needs)),
                    Err(_) if self.late.contains_key(&id) => {}
                    Err(why) => return Err(why),
                }
                Ok(())
            }
            Name::Pack(_) | Name::Index(_) => self.stored(name, NOBODY, 0).await,
            _ => Ok(()),
        }
    }

    async fn stored(&mut self, name: Name, by: usize, now: u64) -> Result<(), String> {
        if by == NOBODY && !self.truth.shelf.has(&name) {
            // Stored and deleted since the last look.
            return Ok(());
        }
        let unreadable = |error: strongroom::Error| format!("{name} was stored and cannot be read: {error}");
        match name {
            Name::Pack(id) => {
                let pack = self.repository.inspect_pack(id).await.map_err(unreadable)?;
                self.tally.count("packs of several segments", u64::from(pack.segments.len() > 1));
                let chunks = pack.segments.iter().flat_map(|segment| &segment.chunks).map(|chunk| chunk.id);
                self.packs.insert(id, chunks.collect());
            }
            Name::Index(id) => {
                let supersedes = self.repository.inspect_superseded(id).await.map_err(unreadable)?;
                let packs = self.repository.inspect_index(id).await.map_err(unreadable)?;
                let packs = packs.into_iter().map(|pack| pack.pack).collect();
                self.tally.count("levels of the index merged", u64::from(supersedes.len() >= LEVEL_OBJECTS));
                self.index.insert(id, IndexObject { supersedes, packs });
            }
            Name::Pending(id) => drop(self.declared.insert(id, now)),
            Name::Slot(_) => {
                self.root_keys += 1;
                self.repository = open_truth(&self.truth).await.map_err(unreadable)?;
            }
            Name::Snapshot(id) => {
                self.committed += 1;
                // Who is not watched has taken the pending record away by now.
                if by != NOBODY && !self.truth.shelf.has(&Name::Pending(id)) {
                    let declared = self.declared.get(&id).ok_or(format!("{name} was stored and never declared"))?;
                    if now - declared < PENDING_AGE {
                        return Err(format!("{name} was stored, and its pending record had gone before its time"));
                    }
                    self.late.insert(id, by);
                    self.late_once.insert(id, by);
                    self.late_ever += 1;
                }
                match self.read_needs(&id).await {
                    Ok(needs) => drop(self.needs.insert(id, needs)),
                    // Nobody knows what it needs; it surely lacks something.
                    Err(_) if self.late.contains_key(&id) => {}
                    Err(error) => return Err(format!("{name} was stored and cannot be read: {error}")),
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn read_needs(&mut self, id: &SnapshotId) -> strongroom::Result<BTreeSet<ChunkId>> {
        let snapshot = self.repository.snapshot(id).await?;
        self.records.entry(*id).or_insert_with(|| (self.committed, snapshot.clone()));
        let mut needs: BTreeSet<ChunkId> = snapshot.root.iter().map(|page| page.id).collect();
        let mut entries = self.repository.view(&snapshot).await?.walk(None);
        while let Some(entry) = entries.next().await? {
            match &entry.content {
                Content::Inline(chunks) => {
                    self.tally.count("files of several chunks", u64::from(chunks.len() > 1));
                    needs.extend(chunks.iter().map(|chunk| chunk.id));
                }
                Content::Empty => {}
                other => panic!("simulated files are small, and this is one: {other:?}"),
            }
        }
        let shares = self.needs.iter().any(|(other, theirs)| other != id && !needs.is_disjoint(theirs));
        self.tally.count("snapshots that share packs", u64::from(shares));
        Ok(needs)
    }

    /// Chunks in packs that exist and that the index names.
    fn there(&self) -> BTreeSet<ChunkId> {
        let superseded: BTreeSet<IndexId> =
            self.index.values().flat_map(|object| &object.supersedes).copied().collect();
        let current = self.index.iter().filter(|(id, _)| !superseded.contains(id));
        let named: BTreeSet<PackId> = current.flat_map(|(_, object)| &object.packs).copied().collect();
        named.iter().filter_map(|pack| self.packs.get(pack)).flatten().copied().collect()
    }

    fn whole(&self) -> Result<(), String> {
        let there = self.there();
        for (id, needs) in self.needs.iter().filter(|(id, _)| !self.late.contains_key(id)) {
            let lost: Vec<&ChunkId> = needs.difference(&there).collect();
            if let Some(first) = lost.first() {
                let homes: Vec<String> = self
                    .packs
                    .iter()
                    .filter(|(_, chunks)| chunks.contains(first))
                    .map(|(pack, _)| format!("{pack} of no current index object"))
                    .collect();
                let count = lost.len();
                return Err(format!(
                    "snapshot {id} has lost {count} of {} chunks, first {first}: {homes:?}",
                    needs.len()
                ));
            }
        }
        Ok(())
    }

    /// A backup says that it has stored this snapshot.
    pub fn promised(&mut self, id: SnapshotId) -> Result<(), String> {
        if !self.needs.contains_key(&id) && !self.forgotten.contains(&id) {
            return Err(format!("a backup has stored snapshot {id}, and it is not there"));
        }
        // Late, but mended: from here on it is one like all others.
        self.late.remove(&id);
        self.whole()
    }

    /// Snapshots of this actor that came too late and lack something. Their owner was told, or died before.
    pub fn broken(&self, by: usize) -> Vec<SnapshotId> {
        let there = self.there();
        let lacks = |id: &SnapshotId| self.needs.get(id).is_none_or(|needs| !needs.is_subset(&there));
        self.late.iter().filter(|(id, owner)| **owner == by && lacks(id)).map(|(id, _)| *id).collect()
    }

    /// Packs of which some chunk is needed by nobody.
    pub fn wasteful(&self) -> Vec<PackId> {
        let needed: BTreeSet<ChunkId> = self.needs.values().flatten().copied().collect();
        self.packs.iter().filter(|(_, chunks)| !chunks.is_subset(&needed)).map(|(pack, _)| *pack).collect()
    }

    pub fn rewrites(&self) -> &Rewrites {
        &self.rewrites
    }

    pub fn has(&self, id: &SnapshotId) -> bool {
        self.needs.contains_key(id)
    }

    pub fn snapshots(&self) -> usize {
        self.needs.len()
    }
}
