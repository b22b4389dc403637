//! Damaged packs: what still opens goes into new packs, what does not is named, and nothing relies on them any more.

use super::additions::Additions;
use super::look::Look;
use super::look::PackRead;
use super::look::read_pack;
use super::salvage;
use super::salvage::Salvaged;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Event;
use crate::event::Warning;
use crate::format::gc::Mark;
use crate::format::index::ChunkRecord;
use crate::id::ChunkId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::job::Job;
use crate::limits::MARK_PACKS_MAX;
use crate::random;
use crate::repository::Repository;
use crate::store::Condemned;
use crate::store::Store;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

/// A repair of packs about to start.
#[must_use = "nothing happens before `start`"]
pub struct RepairPacksBuilder {
    repository: Repository,
    only: Vec<PackId>,
    read_data: bool,
    dry_run: bool,
}

/// A damaged pack, and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedPack {
    /// Which.
    pub id: PackId,
    /// What is wrong with it.
    pub why: String,
    /// Segments it had, as far as its table or the index tells.
    pub segments: u64,
    /// Those that open no more.
    pub segments_lost: u64,
}

/// What a repair of packs found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacksRepaired {
    /// Packs read.
    pub packs_read: u64,
    /// Those that are not what was stored.
    pub damaged: Vec<DamagedPack>,
    /// Packs that the index names and that are not there.
    pub missing: Vec<PackId>,
    /// Packs of a newer program, left alone, each with the reason.
    pub unknown: Vec<(PackId, String)>,
    /// New packs with what was saved.
    pub packs_written: u64,
    /// Their bytes.
    pub bytes_written: u64,
    /// Chunks of damaged packs that still open.
    pub chunks_saved: u64,
    /// Chunks of damaged and missing packs that are in no other pack.
    pub chunks_lost: u64,
}

impl Repository {
    /// Prepares to save what is left of damaged packs. Every pack is read. What still opens is copied into new packs,
    /// as it is sealed; a damaged pack stays, and a mark tells everybody to rely on it no more: the next backup stores
    /// again what it lost and the source still has, and a prune removes the pack once nothing needs it.
    pub fn repair_packs(&self) -> RepairPacksBuilder {
        RepairPacksBuilder { repository: self.clone(), only: Vec::new(), read_data: false, dry_run: false }
    }
}

impl RepairPacksBuilder {
    /// Only these packs; with an empty list all.
    pub fn only(mut self, packs: Vec<PackId>) -> Self {
        self.only = packs;
        self
    }

    /// Opens every segment too: also of packs that are what was stored.
    pub fn read_data(mut self, read_data: bool) -> Self {
        self.read_data = read_data;
        self
    }

    /// Only finds out what would be done.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Starts the job. Stopped anywhere it has harmed nothing; started again it goes on.
    pub fn start(self) -> Job<PacksRepaired> {
        Job::start(|control| self.run(control))
    }

    async fn run(self, control: Control) -> Result<PacksRepaired> {
        if !self.dry_run {
            self.repository.check_writable().await?;
        }
        let store = self.repository.store();
        let mut look = Look::take(store).await?;
        let mut report = PacksRepaired { missing: self.missing(&look).await?, ..PacksRepaired::default() };
        let damaged = self.find(&look, &control, &mut report).await?;
        // Two damaged packs must not count as each other's copy.
        damaged.keys().for_each(|pack| look.distrust(pack));
        let look = Arc::new(look);
        let (mut additions, mut saved) = (Additions::new(store), HashSet::new());
        let session = SnapshotId::from_bytes(random::array(store.rng())?);
        for (id, why) in &damaged {
            control.check()?;
            let bytes = match read_pack(store, *id).await? {
                Some(PackRead::Damaged { bytes, .. } | PackRead::Whole { bytes, .. }) => bytes,
                Some(PackRead::Unknown(_)) | None => continue,
            };
            let Salvaged { pack, segments, segments_lost, good } = salvage::salvage(&look, *id, bytes, session).await?;
            let count = |segments: usize| u64::try_from(segments).unwrap_or(u64::MAX);
            let (segments, segments_lost) = (count(segments), count(segments_lost));
            report.damaged.push(DamagedPack { id: *id, why: why.clone(), segments, segments_lost });
            saved.extend(good);
            if let Some(pack) = pack.filter(|_| !self.dry_run) {
                additions.put(pack).await?;
            }
        }
        report.chunks_saved = u64::try_from(saved.len()).unwrap_or(u64::MAX);
        report.chunks_lost = count_lost(&look, &report, &saved)?;
        (report.packs_written, report.bytes_written) = (additions.packs, additions.bytes);
        if !self.dry_run {
            additions.finish(Vec::new()).await?;
            // What was saved is usable before the mark makes its old copy unusable.
            condemn(store, damaged.keys().filter(|pack| !look.condemned.is_condemned(pack))).await?;
        }
        Ok(report)
    }

    async fn missing(&self, look: &Look) -> Result<Vec<PackId>> {
        let mut missing = look.missing().await?;
        if !self.only.is_empty() {
            missing.retain(|pack| self.only.contains(pack));
            if let Some(unknown) = self.only.iter().find(|id| !look.there.contains_key(id) && !missing.contains(id)) {
                return Err(Error::new(Kind::NotFound, format!("there is no pack {unknown}")));
            }
        }
        Ok(missing)
    }

    /// Reads the packs; gives those that are damaged, with the reason.
    async fn find(
        &self,
        look: &Look,
        control: &Control,
        report: &mut PacksRepaired,
    ) -> Result<BTreeMap<PackId, String>> {
        let is_asked = |id: &PackId| self.only.is_empty() || self.only.contains(id);
        let wanted = look.there.iter().filter(|(id, _)| is_asked(id) && !look.condemned.is_deleted(id));
        let wanted: Vec<(PackId, u64)> = wanted.map(|(id, length)| (*id, *length)).collect();
        let total = wanted.iter().map(|(_, length)| length).sum();
        control.count(|counters| &counters.bytes_total, total);
        let mut damaged = BTreeMap::new();
        for (id, length) in wanted {
            control.check()?;
            let why = match read_pack(&look.store, id).await? {
                // A prune has taken it meanwhile.
                None => None,
                Some(PackRead::Damaged { why, .. }) => Some(why),
                Some(PackRead::Unknown(why)) => {
                    report.unknown.push((id, why));
                    None
                }
                Some(PackRead::Whole { bytes, own }) if self.read_data => {
                    let bad = salvage::count_bad(&look.store, id, bytes, own).await?;
                    (bad > 0).then(|| format!("{bad} of its segments do not open to what was stored"))
                }
                Some(PackRead::Whole { .. }) => None,
            };
            report.packs_read += 1;
            control.count(|counters| &counters.bytes_done, length);
            if let Some(why) = why {
                let message = format!("{}: {why}", Name::Pack(id));
                control.tell(Event::Warning(Warning { path: None, message, partial: true }));
                damaged.insert(id, why);
            }
        }
        Ok(damaged)
    }
}

/// Chunks that the index has in damaged and missing packs only, and that were not saved.
fn count_lost(look: &Look, report: &PacksRepaired, saved: &HashSet<ChunkId>) -> Result<u64> {
    let bad = report.damaged.iter().map(|pack| pack.id).chain(report.missing.iter().copied());
    let bad: HashSet<u32> = bad.filter_map(|pack| look.index.pack_number(&pack)).collect();
    if bad.is_empty() {
        return Ok(0);
    }
    // A copy in a pack that a prune has condemned is there as long as anything needs it.
    let mut fit = HashSet::new();
    for (number, pack) in (0u32..).zip(look.index.packs()) {
        let pack = pack?;
        if !bad.contains(&number) && look.there.get(&pack.id) == Some(&u64::from(pack.length)) {
            fit.insert(number);
        }
    }
    let mut lost = 0;
    look.index.for_each_chunk(|copies| {
        let has_copy = |length| copies.iter().any(|(_, other)| other.length == length && fit.contains(&other.pack));
        let is_lost = |record: &ChunkRecord| {
            bad.contains(&record.pack) && !saved.contains(&record.id) && !has_copy(record.length)
        };
        lost += u64::from(copies.iter().any(|(_, record)| is_lost(record)));
        Ok(())
    })?;
    Ok(lost)
}

/// Marks that name these packs: a prune that stopped after its first step.
async fn condemn(store: &Arc<Store>, packs: impl Iterator<Item = &PackId>) -> Result<()> {
    let all: Vec<PackId> = packs.copied().collect::<BTreeSet<_>>().into_iter().collect();
    for some in all.chunks(MARK_PACKS_MAX) {
        let id = SnapshotId::from_bytes(random::array(store.rng())?);
        match store.put_small(&Name::Mark(id), &Mark { packs: some.to_vec() }.encode()).await {
            // A prune has found it, finished it and taken it away before it was read back here.
            Err(error) if error.kind() == Kind::NotFound => {
                let now = Condemned::read(store).await?;
                if !some.iter().all(|pack| now.is_condemned(pack)) {
                    return Err(error);
                }
            }
            other => other?,
        }
    }
    Ok(())
}
