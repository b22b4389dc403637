//! Checking: the structure always, the stored data as much as asked for.

use super::Repository;
use crate::backend::Area;
use crate::backend::Name;
use crate::catalog::PageSource;
use crate::catalog::Survey;
use crate::catalog::Surveyor;
use crate::class::Class;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Event;
use crate::event::Warning;
use crate::format::page::PageRef;
use crate::format::snapshot::Snapshot;
use crate::id::PackId;
use crate::index::chunks::ChunkReader;
use crate::index::load;
use crate::index::table::Index;
use crate::job::Control;
use crate::job::Job;
use crate::limits::CHECK_THREADS_MAX;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;

mod data;

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

    /// Keeps damage as a finding; anything else (no access, a bug) ends the check.
    fn note(&mut self, control: &Control, object: impl fmt::Display, error: Error) -> Result<()> {
        match error.kind() {
            Kind::Damaged | Kind::NotFound | Kind::Unsupported => {
                let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                self.problem(control, object, why);
                Ok(())
            }
            _ => Err(error),
        }
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
    pub fn start(self) -> Job<CheckReport> {
        Job::start(|control| self.run(control))
    }

    async fn run(self, control: Control) -> Result<CheckReport> {
        let started = Instant::now();
        let mut report = CheckReport::default();
        let repository = &self.repository;
        // Read order (I-13): snapshots first, so that everything they need is already indexed.
        let snapshots = snapshots(repository, &control, &mut report).await?;
        let index = index(repository, &control, &mut report).await?;
        slots(repository, &control, &mut report).await?;
        intents(repository, &control, &mut report).await?;
        let packs = packs(repository, &control, &index, &mut report).await?;
        data_keys(repository, &control, &index, &mut report).await?;
        catalogs(repository, &control, &index, snapshots, &mut report).await?;
        let chosen = data::choose(repository, packs, self.read_data)?;
        if !chosen.is_empty() {
            data::read(repository, &control, &index, chosen, self.threads.clamp(1, CHECK_THREADS_MAX), &mut report)
                .await?;
        }
        control.check()?;
        report.seconds = started.elapsed().as_secs_f64();
        Ok(report)
    }
}

async fn snapshots(repository: &Repository, control: &Control, report: &mut CheckReport) -> Result<Vec<Snapshot>> {
    let mut readable = Vec::new();
    for listed in repository.store().list(Area::Snapshots).await? {
        let Name::Snapshot(id) = listed.name else { continue };
        report.snapshots += 1;
        match repository.read_snapshot(id).await {
            Ok(Some(snapshot)) => readable.push(snapshot),
            Ok(None) => {}
            Err(error) => report.note(control, listed.name, error)?,
        }
    }
    Ok(readable)
}

/// Every index object must open; what cannot be read is a problem, and the others are used.
async fn index(repository: &Repository, control: &Control, report: &mut CheckReport) -> Result<Arc<Index>> {
    let (index, damaged) = load::load_what_opens(repository.store()).await?;
    for (id, error) in damaged {
        report.note(control, format!("index/{id}"), error)?;
    }
    report.chunks = u64::try_from(index.len()).unwrap_or(u64::MAX);
    Ok(Arc::new(index))
}

/// Key slots are ways in: a damaged one locks somebody out later.
async fn slots(repository: &Repository, control: &Control, report: &mut CheckReport) -> Result<()> {
    for (name, error) in repository.damaged_slots().await? {
        report.note(control, name, error)?;
    }
    Ok(())
}

/// Intents keep packs from being pruned: one that cannot be read protects nothing.
async fn intents(repository: &Repository, control: &Control, report: &mut CheckReport) -> Result<()> {
    for listed in repository.store().list(Area::Pending).await? {
        let Name::Pending(id) = listed.name else { continue };
        match repository.store().get_small(&listed.name).await {
            Ok(body) => match Snapshot::decode(&body) {
                Ok(intent) if intent.id == id => {}
                Ok(_) => report.problem(control, listed.name, "it is another snapshot's record"),
                Err(cause) => report.note(control, listed.name, cause.while_reading(listed.name))?,
            },
            // Removed since it was listed: its snapshot is committed.
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => report.note(control, listed.name, error)?,
        }
    }
    Ok(())
}

/// Packs that the index names must be there, as long as they should be.
async fn packs(
    repository: &Repository,
    control: &Control,
    index: &Index,
    report: &mut CheckReport,
) -> Result<Vec<(PackId, u64)>> {
    let mut there: HashMap<PackId, u64> = HashMap::new();
    for listed in repository.store().list(Area::Packs).await? {
        if let Name::Pack(id) = listed.name {
            there.insert(id, listed.length);
        }
    }
    let mut found = Vec::new();
    for pack in index.packs() {
        report.packs += 1;
        match there.remove(&pack.id) {
            None => report.problem(control, Name::Pack(pack.id), "it is missing"),
            Some(length) if length != u64::from(pack.length) => {
                let message = format!("it has {length} bytes instead of {}", pack.length);
                report.problem(control, Name::Pack(pack.id), message);
                found.push((pack.id, length));
            }
            Some(length) => found.push((pack.id, length)),
        }
    }
    report.packs_unreferenced = u64::try_from(there.len()).unwrap_or(u64::MAX);
    Ok(found)
}

/// Every data key that a pack names must open.
async fn data_keys(repository: &Repository, control: &Control, index: &Index, report: &mut CheckReport) -> Result<()> {
    let mut needed: HashMap<crate::id::DataKeyId, Class> = HashMap::new();
    for pack in index.packs() {
        needed.extend(pack.data_keys.iter().map(|key| (*key, pack.class)));
    }
    for (id, class) in needed {
        if let Err(error) = repository.store().reread_data_key(&id, class).await {
            report.note(control, Name::DataKey(id), error)?;
        }
    }
    Ok(())
}

/// Every page must open and every chunk must be indexed.
async fn catalogs(
    repository: &Repository,
    control: &Control,
    index: &Arc<Index>,
    snapshots: Vec<Snapshot>,
    report: &mut CheckReport,
) -> Result<()> {
    let pages: Arc<dyn PageSource> = Arc::new(ChunkReader::new(repository.store(), index, Class::Metadata));
    let mut survey = Survey::new(pages);
    let mut findings = Findings { control, index, report, fatal: None };
    for snapshot in snapshots {
        control.check()?;
        survey.visit(snapshot.root, &mut findings).await;
        // A root that cannot be read is a finding already.
        let entries = survey.entries(snapshot.root).await;
        if entries.is_some_and(|entries| entries != snapshot.counts.entries) {
            let message = "its catalog does not have as many entries as were backed up";
            findings.report.problem(control, Name::Snapshot(snapshot.id), message);
        }
        if let Some(error) = findings.fatal.take() {
            return Err(error);
        }
    }
    Ok(())
}

struct Findings<'a> {
    control: &'a Control,
    index: &'a Index,
    report: &'a mut CheckReport,
    fatal: Option<Error>,
}

impl Surveyor for Findings<'_> {
    fn chunk(&mut self, chunk: &ChunkRef) {
        match self.index.find(&chunk.id) {
            Some(place) if place.length == chunk.length => {}
            Some(_) => {
                self.report.problem(
                    self.control,
                    format!("chunk {}", chunk.id),
                    "catalog and index disagree on its length",
                );
            }
            None => self.report.problem(self.control, format!("chunk {}", chunk.id), "no index object names it"),
        }
    }

    fn page(&mut self, _page: &PageRef) {}

    fn unreadable(&mut self, page: &PageRef, error: Error) {
        if let Err(fatal) = self.report.note(self.control, format!("catalog page {}", page.id), error) {
            self.fatal.get_or_insert(fatal);
        }
    }
}
