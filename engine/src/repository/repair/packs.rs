//! Damaged packs: what still opens goes into new packs, what does not is named, and nothing relies on them any more.

use super::look::Look;
use super::saving::Asked;
use super::saving::Saving;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index::ChunkRecord;
use crate::id::ChunkId;
use crate::id::PackId;
use crate::job::Control;
use crate::job::Job;
use crate::repository::Repository;
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

    /// Starts the job. Stopped anywhere it has harmed nothing, and what it had dealt with is saved and condemned; started
    /// again it reads everything once more, and saves the rest.
    pub fn start(mut self) -> Job<PacksRepaired> {
        Job::start(|control| {
            self.repository.heed(&control);
            self.run(control)
        })
    }

    async fn run(self, control: Control) -> Result<PacksRepaired> {
        if !self.dry_run {
            self.repository.check_writable().await?;
        }
        let store = self.repository.store();
        let look = Arc::new(Look::take(store).await?);
        let mut report = PacksRepaired { missing: self.missing(&look).await?, ..PacksRepaired::default() };
        let is_asked = |id: &PackId| self.only.is_empty() || self.only.contains(id);
        let wanted = look.there.iter().filter(|(id, _)| is_asked(id) && !look.condemned.is_deleted(id));
        let packs = wanted.map(|(id, length)| (*id, *length)).collect();
        let asked = Asked { packs, read_data: self.read_data, dry_run: self.dry_run };
        let saved = Saving::new(&control, &look, &asked)?.run(&mut report).await?;
        report.chunks_saved = u64::try_from(saved.len()).unwrap_or(u64::MAX);
        report.chunks_lost = count_lost(&look, &report, &saved)?;
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
