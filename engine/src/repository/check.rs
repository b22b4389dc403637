//! Checking: the structure always, the stored data as much as asked for.

use super::Repository;
use super::key_lists::KeyTrouble;
use super::snapshots::UnreadableSnapshot;
use crate::backend::Area;
use crate::backend::Leftovers;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Event;
use crate::event::Warning;
use crate::format::snapshot::Snapshot;
use crate::id::PackId;
use crate::index::keys;
use crate::index::live::LiveIndex;
use crate::index::load;
use crate::index::load::Read;
use crate::index::table::Index;
use crate::job::Control;
use crate::job::Job;
use crate::limits::CHECK_THREADS_MAX;
use crate::store::Condemned;
use crate::store::Pending;
use crate::store::PendingRecord;
use crate::store::pending_records;
use crate::time::Timestamp;
use budget::Ledger;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;

mod budget;
#[cfg(test)]
mod budget_tests;
mod catalogs;
mod data;
mod replaced;

pub use budget::AtThisPace;
pub use budget::BudgetReport;
pub use budget::BudgetShare;
pub use budget::ReadBudget;

/// Problems kept in the report; more are only counted.
const PROBLEMS_KEPT: usize = 10_000;

/// How much of the stored data to read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum ReadData {
    /// None: structure only.
    #[default]
    Nothing,
    /// All of it.
    All,
    /// The `part`-th of `of` equal parts, from 1; together the parts are everything.
    Part {
        /// Which part, from 1.
        part: u64,
        /// Of how many.
        of: u64,
    },
    /// A random share of the packs, in percent.
    Percent(f64),
    /// Random packs of about this many bytes together.
    Bytes(u64),
    /// The packs that were verified longest ago, within what the budget allows since the last run with one. Needs
    /// cache folder of [`Repository::use_folders`].
    Budget(ReadBudget),
}

/// A pack that is named by the index and there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StoredPack {
    id: PackId,
    length: u64,
    /// When it was stored, as far as the store tells.
    stored: Option<Timestamp>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which object.
    pub object: String,
    /// What is wrong with it.
    pub message: String,
}

/// What a check found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// The first ten thousand problems.
    pub problems: Vec<Problem>,
    /// How many there are.
    pub problems_total: u64,
    /// How many of them are objects of a newer program, which is no damage.
    pub problems_newer: u64,
    /// Keys that are there and should not be: nothing is lost, and somebody may have put them there.
    pub strange_keys: Vec<Problem>,
    /// The root key was changed after the key in use was made: only a newer key tells which keys should not be there.
    pub root_key_changed: bool,
    /// Snapshots seen.
    pub snapshots: u64,
    /// Packs named by the index.
    pub packs: u64,
    /// Chunks named by the index.
    pub chunks: u64,
    /// Segments opened.
    pub segments: u64,
    /// Stored bytes read.
    pub bytes_read: u64,
    /// Packs that no index object names: left by interrupted runs, harmless.
    pub packs_unreferenced: u64,
    /// Packs that are missing, and all of whose chunks are in other packs: nothing is lost, and a prune forgets them.
    pub packs_replaced: u64,
    /// Packs that no snapshot and no pending record needs, in the index or not: they go with a prune. `None` where that cannot be told, because
    /// a snapshot cannot be read to its end.
    pub packs_unneeded: Option<u64>,
    /// Bytes of these.
    pub bytes_unneeded: Option<u64>,
    /// Declared intents of backups that run, or that were interrupted: the next prune but one removes what is left over.
    pub pending: u64,
    /// Those that can be read, and what only they keep, as far as that can be told.
    pub pending_records: Vec<PendingRecord>,
    /// Marks of prunes that run, wait for their grace to be over, or were interrupted: the next prune goes on.
    pub marks: u64,
    /// Tombs: what prunes have deleted in the last weeks.
    pub tombs: u64,
    /// Packs that the index names and a mark condemns: they go when the next prune finds their grace over.
    pub packs_condemned: u64,
    /// What killed runs, and those that are storing right now, have in the store beside the objects.
    pub leftovers: Leftovers,
    /// How the reading budget was used; `None` without one.
    pub budget: Option<BudgetReport>,
    /// Wall seconds.
    pub seconds: f64,
}

impl CheckReport {
    fn problem(&mut self, control: &Control, object: impl fmt::Display, message: impl fmt::Display) {
        self.problems_total += 1;
        let (object, message) = (object.to_string(), message.to_string());
        let text = format!("{object}: {message}");
        control.tell(Event::Warning(Warning { path: None, message: text, partial: true }));
        if self.problems.len() < PROBLEMS_KEPT {
            self.problems.push(Problem { object, message });
        }
    }

    /// Says of damaged packs that a repair, or a prune, has dealt with them.
    fn remark(&mut self, condemned: &Condemned) {
        let packs = condemned.marks().values().flatten();
        let names: HashSet<String> = packs.map(|pack| Name::Pack(*pack).to_string()).collect();
        for problem in self.problems.iter_mut().filter(|_| !names.is_empty()) {
            if problem.object.split(' ').next().is_some_and(|object| names.contains(object)) {
                problem.message.push_str("; it is condemned: a prune removes it when nothing needs it");
            }
        }
    }

    /// Keeps damage as a finding; anything else (no access, a bug) ends the check.
    fn note(&mut self, control: &Control, object: impl fmt::Display, error: Error) -> Result<()> {
        let (message, is_newer) = told(error)?;
        self.problems_newer += u64::from(is_newer);
        self.problem(control, object, message);
        Ok(())
    }
}

/// What to say of damage, and whether it is none but an object of a newer program. Anything else stays an error.
fn told(error: Error) -> Result<(String, bool)> {
    match error.kind() {
        Kind::Damaged | Kind::NotFound | Kind::Unsupported => {
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Ok((why, error.kind() == Kind::Unsupported))
        }
        _ => Err(error),
    }
}

/// A check about to start.
#[must_use = "nothing happens before `start`"]
pub struct CheckBuilder {
    repository: Repository,
    read_data: ReadData,
    threads: usize,
}

impl Repository {
    /// Prepares a check.
    pub fn check(&self) -> CheckBuilder {
        CheckBuilder {
            repository: self.clone(),
            read_data: ReadData::Nothing,
            threads: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        }
    }
}

impl CheckBuilder {
    /// How much of the stored data to read.
    pub fn read_data(mut self, read_data: ReadData) -> Self {
        self.read_data = read_data;
        self
    }

    /// Packs verified at once: at least one, and no more than the memory budget allows (four).
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Starts the check. Damage is in the report; an error means that the check itself could not go on.
    pub fn start(mut self) -> Job<CheckReport> {
        Job::start(|control| {
            self.repository.heed(&control);
            self.run(control)
        })
    }

    async fn run(self, control: Control) -> Result<CheckReport> {
        let started = Instant::now();
        let mut report = CheckReport::default();
        let repository = &self.repository;
        // Read order (I-13): snapshots first, so that everything they need is already indexed.
        let snapshots = snapshots(repository, &control, &mut report).await?;
        let live = index(repository, &control, &mut report).await?;
        slots(repository, &control, &mut report).await?;
        let intents = intents(repository, &control, &mut report).await?;
        let condemned = prunes(repository, &control, &mut report).await?;
        let packs = packs(repository, &control, &live, &condemned, &mut report).await?;
        let index = live.current();
        report.packs = u64::try_from(index.pack_ids().len()).unwrap_or(u64::MAX);
        let packs_condemned = index.pack_ids().iter().filter(|pack| condemned.is_condemned(pack)).count();
        report.packs_condemned = u64::try_from(packs_condemned).unwrap_or(u64::MAX);
        report.chunks = u64::try_from(index.len()).unwrap_or(u64::MAX);
        data_keys(repository, &control, &index, &mut report).await?;
        report.leftovers = repository.store().leftovers().await?;
        let unneeded =
            catalogs::catalogs(repository, &control, &live, (snapshots, intents), &packs, &mut report).await?;
        report.packs_unneeded = report.packs_unneeded.zip(unneeded).map(|(others, (packs, _))| others + packs);
        report.bytes_unneeded = report.bytes_unneeded.zip(unneeded).map(|(others, (_, bytes))| others + bytes);
        let mut ledger = Ledger::open(repository, self.read_data, &packs)?;
        let chosen = data::choose(repository, packs.clone(), self.read_data, &ledger)?;
        if !chosen.is_empty() {
            let threads = self.threads.clamp(1, CHECK_THREADS_MAX);
            data::read(&control, &live, index, chosen, threads, &mut ledger, &mut report).await?;
        }
        report.remark(&condemned);
        control.check()?;
        ledger.close(&packs, &control, &mut report);
        report.seconds = started.elapsed().as_secs_f64();
        Ok(report)
    }
}

async fn snapshots(repository: &Repository, control: &Control, report: &mut CheckReport) -> Result<Vec<Snapshot>> {
    let list = match repository.list_snapshots().await {
        Err(error) if error.kind() == Kind::Damaged => {
            report.problem(control, Area::Snapshots, error.in_one_line());
            return Ok(Vec::new());
        }
        other => other?,
    };
    report.packs_unneeded = list.unreadable.is_empty().then_some(0);
    report.snapshots = u64::try_from(list.snapshots.len() + list.unreadable.len()).unwrap_or(u64::MAX);
    for UnreadableSnapshot { id, error } in list.unreadable {
        report.note(control, Name::Snapshot(id), error)?;
    }
    Ok(list.snapshots)
}

/// Every index object must open; what cannot be read is a problem, and the others are used.
async fn index(repository: &Repository, control: &Control, report: &mut CheckReport) -> Result<Arc<LiveIndex>> {
    let (index, damaged) = load::load_what_opens(repository.store(), Read::All).await?;
    for (id, error) in damaged {
        report.note(control, format!("index/{id}"), error)?;
    }
    Ok(LiveIndex::new(repository.store(), Arc::new(index)))
}

/// Key slots are ways in: one that is damaged or missing locks somebody out later, and one that nobody knows of lets
/// somebody in.
async fn slots(repository: &Repository, control: &Control, report: &mut CheckReport) -> Result<()> {
    for finding in repository.key_findings().await? {
        if finding.trouble.is_loss() {
            report.problems_newer += u64::from(finding.trouble == KeyTrouble::Newer);
            report.problem(control, finding.object, finding.message);
        } else {
            report.root_key_changed |= finding.trouble == KeyTrouble::RootKeyChanged;
            let text = format!("{}: {}", finding.object, finding.message);
            control.tell(Event::Warning(Warning { path: None, message: text, partial: true }));
            report.strange_keys.push(Problem { object: finding.object, message: finding.message });
        }
    }
    Ok(())
}

/// Intents keep packs from being pruned: one that cannot be read protects nothing.
async fn intents(repository: &Repository, control: &Control, report: &mut CheckReport) -> Result<Vec<Pending>> {
    let (records, unreadable) = pending_records(repository.store()).await?;
    report.pending = u64::try_from(records.len() + unreadable.len()).unwrap_or(u64::MAX);
    for (name, error) in unreadable {
        report.note(control, name, error)?;
    }
    Ok(records)
}

/// Marks and tombs are the ordinary state of a repository that is pruned; one that cannot be read stops every backup.
async fn prunes(repository: &Repository, control: &Control, report: &mut CheckReport) -> Result<Condemned> {
    let (condemned, damaged) = Condemned::read_what_opens(repository.store()).await?;
    report.marks = u64::try_from(condemned.marks().len()).unwrap_or(u64::MAX);
    report.tombs = u64::try_from(condemned.tombs().len()).unwrap_or(u64::MAX);
    for (name, error) in damaged {
        report.note(control, name, error)?;
    }
    Ok(condemned)
}

/// Packs that the index names must be there, as long as they should be.
async fn packs(
    repository: &Repository,
    control: &Control,
    live: &LiveIndex,
    condemned: &Condemned,
    report: &mut CheckReport,
) -> Result<Vec<StoredPack>> {
    let (index, mut there) = indexed_and_stored(repository, live).await?;
    let replaced = replaced::replaced(&index, &there, condemned)?;
    report.packs_replaced = u64::try_from(replaced.len()).unwrap_or(u64::MAX);
    let mut found = Vec::new();
    for pack in index.packs() {
        let pack = pack?;
        match there.remove(&pack.id) {
            None if replaced.contains(&pack.id) => {}
            None => report.problem(control, Name::Pack(pack.id), "it is missing"),
            Some(there) if there.length != u64::from(pack.length) => {
                let name = Name::Pack(pack.id);
                match repository.store().backend().stat(&name).await {
                    // It is no object at all.
                    Err(error) => report.note(control, name, error)?,
                    Ok(_) => {
                        let message = format!("it has {} bytes instead of {}", there.length, pack.length);
                        report.problem(control, name, message);
                        found.push(there);
                    }
                }
            }
            Some(there) => found.push(there),
        }
    }
    report.packs_unreferenced = u64::try_from(there.len()).unwrap_or(u64::MAX);
    report.bytes_unneeded =
        report.packs_unneeded.map(|_| there.values().map(|pack| pack.length).fold(0, u64::saturating_add));
    report.packs_unneeded = report.packs_unneeded.map(|_| report.packs_unreferenced);
    Ok(found)
}

/// An index, and the packs there are. A pack that is missing may have been pruned since the index was
/// read: then both are taken anew.
async fn indexed_and_stored(
    repository: &Repository,
    live: &LiveIndex,
) -> Result<(Arc<Index>, HashMap<PackId, StoredPack>)> {
    loop {
        let index = live.current();
        let mut there: HashMap<PackId, StoredPack> = HashMap::new();
        for listed in repository.store().list(Area::Packs).await? {
            if let Name::Pack(id) = listed.name {
                there.insert(id, StoredPack { id, length: listed.length, stored: listed.modified });
            }
        }
        if let Some(missing) = index.pack_ids().iter().find(|pack| !there.contains_key(pack)) {
            live.renew(missing).await?;
        }
        // The index is read again once for each missing pack at most: this comes to an end.
        if Arc::ptr_eq(&index, &live.current()) {
            return Ok((index, there));
        }
    }
}

/// Every data key that a pack names must open from its own object; a copy in a pack makes up for the loss, not for the
/// finding.
async fn data_keys(repository: &Repository, control: &Control, index: &Index, report: &mut CheckReport) -> Result<()> {
    for lost in keys::lost_keys(repository.store(), index).await? {
        report.problem(control, Name::DataKey(lost.id), super::data_keys::describe(&lost));
    }
    Ok(())
}
