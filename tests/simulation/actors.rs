//! What actors do: each run is a process of its own, which opens the repository, does one thing and ends.

use super::desk::Desk;
use super::desk::Operation;
use super::desk::View;
use super::options::Options;
use super::options::dice;
use super::rewrites::Rewrites;
use super::tally::Deeds;
use super::time::Draws;
use super::time::Hands;
use super::time::Time;
use crate::support::given::Given;
use crate::support::given::Item;
use crate::support::given::Tree;
use crate::support::scene;
use crate::support::trees::Dice;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use strongroom::Backend;
use strongroom::Cipher;
use strongroom::Clock;
use strongroom::CreateOptions;
use strongroom::Error;
use strongroom::Key;
use strongroom::MemoryBackend;
use strongroom::PruneReport;
use strongroom::Repository;
use strongroom::Rng;
use strongroom::Secret;
use strongroom::SeededRng;
use strongroom::Sink;
use strongroom::Snapshot;
use strongroom::SnapshotId;
use strongroom::Source;
use strongroom::SourceError;
use strongroom::Verdict;
use strongroom::testing;
use strongroom::testing::Sizes;

/// Where chunks are small, packs are closed at this, and segments at a quarter: above what one backup may store.
const PACK_BYTES: u32 = 96 << 10;

/// Who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Writer,
    Pruner,
    Keeper,
    Reader,
}

/// What came of a run.
#[derive(Debug)]
pub enum Outcome {
    /// A backup says that this snapshot is stored.
    Stored(SnapshotId),
    Pruned(Box<PruneReport>),
    /// All that was to be done is done, if there was anything.
    Done,
    Failed(Error),
    /// A repair says that this snapshot has lost something.
    Repaired(SnapshotId, String),
    /// Bytes came back otherwise.
    Wrong(String),
}

/// A seat at the desk: all that an actor is made of.
#[derive(Clone)]
pub struct Seat {
    pub actor: usize,
    pub role: Role,
    pub life: u64,
    pub seed: u64,
    pub options: Arc<Options>,
    pub desk: Desk,
    pub time: Time,
    pub step: Time,
    pub hands: Arc<Hands>,
    /// Runs that are left, in this life or the next.
    pub runs: Arc<Mutex<u64>>,
    pub outcomes: Arc<Mutex<Vec<(usize, Outcome)>>>,
    /// Threads of a backup are at work, or wait for what it reads of its parent.
    pub reads_source: Arc<AtomicBool>,
    pub rewrites: Rewrites,
    pub deeds: Deeds,
    /// A folder of this machine for files of its own.
    pub folder: Option<PathBuf>,
}

/// The key of every simulated repository.
pub fn key() -> Key {
    Key::KeyFile(Secret::new(strongroom::generate_key_file(&SeededRng::new(1)).expect("a seeded generator has no end")))
}

/// Creates one, with chunks of this nominal size if it is not 0. What one backup of a simulated source stores must fit
/// into one pack of data and one of the catalog: two are stored at a time, and of three it would be chance which.
pub async fn create(backend: &MemoryBackend, seed: u64, chunk: u64) -> strongroom::Result<Repository> {
    let mut options = CreateOptions::default();
    options.recovery = false;
    let (rng, clock) = (Arc::new(SeededRng::new(seed)), Arc::new(Time::default()));
    let backend = scene::shared(backend.clone());
    let created = match u32::try_from(chunk).expect("a small number") {
        0 => Repository::create_with(backend, key(), options, rng, clock).await,
        chunk => testing::create(backend, key(), options, (rng, clock), Sizes { chunk, pack: PACK_BYTES }).await,
    };
    Ok(created?.repository)
}

pub async fn open(backend: impl Backend, rng: impl Rng, clock: Arc<dyn Clock>) -> strongroom::Result<Repository> {
    Repository::open_with(Arc::new(backend), key(), Arc::new(rng), clock).await
}

/// A snapshot's label tells what it holds.
fn label(files: &[(u64, usize)]) -> String {
    files.iter().map(|(seed, size)| format!("{seed}:{size}")).collect::<Vec<_>>().join(" ")
}

fn tree(label: &str) -> Tree {
    let parse = |part: &str| {
        let (seed, size) = part.split_once(':').expect("labels are made here");
        (seed.parse().expect("a number"), size.parse().expect("a number"))
    };
    Tree::of_files("simulated", &label.split(' ').map(parse).collect::<Vec<(u64, usize)>>())
}

/// A source that tells when it is about to be read, and when it has been.
struct Watched {
    inner: Given,
    is_read: Arc<AtomicBool>,
}

impl Source for Watched {
    fn kind(&self) -> &str {
        self.inner.kind()
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        self.is_read.store(true, SeqCst);
        self.inner.paths()
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        let Self { inner, is_read } = *self;
        let outcome = Box::new(inner).run(sink);
        is_read.store(false, SeqCst);
        outcome
    }
}

/// Stores these files under a label that names them.
pub async fn store(
    repository: &Repository,
    host: &str,
    files: &[(u64, usize)],
    is_read: &Arc<AtomicBool>,
) -> strongroom::Result<SnapshotId> {
    let label = label(files);
    let source = Watched { inner: Given::new(&tree(&label)), is_read: Arc::clone(is_read) };
    let backup = repository.backup(source).label(label).host(host.to_owned()).threads(1);
    let report = backup.cipher(Cipher::Aes256Gcm).start().await?;
    Ok(report.snapshot.expect("a backup that succeeds makes a snapshot").id)
}

/// Reads a snapshot and compares it with what it may hold: `Some` tells what is wrong with it.
pub async fn compare(
    repository: &Repository,
    snapshot: &Snapshot,
    rewrites: &Rewrites,
) -> strongroom::Result<Option<String>> {
    let mut found = Vec::new();
    let mut entries = repository.view(snapshot).await?.walk(None);
    while let Some(entry) = entries.next().await? {
        let mut content = entries.open(&entry);
        let mut bytes = Vec::new();
        while let Some(piece) = content.next().await? {
            bytes.extend_from_slice(&piece);
        }
        found.push(Item { path: entry.path, metadata: entry.metadata, bytes });
    }
    let is_partial = snapshot.verdict != Verdict::Whole;
    let labels = rewrites.labels(snapshot);
    let mut differences = labels.iter().map(|label| difference(&tree(label), &found, is_partial));
    let first = differences.next().flatten();
    Ok(if differences.any(|difference| difference.is_none()) { None } else { first })
}

/// The first item that is not as it should be; a partial snapshot may lack some.
fn difference(tree: &Tree, found: &[Item], is_partial: bool) -> Option<String> {
    let mut expected = tree.items.iter();
    for item in found {
        let mut as_expected = expected.by_ref().skip_while(|other| is_partial && other.path != item.path);
        let Some(other) = as_expected.next() else { return Some(format!("{} is too much", item.path)) };
        if (&item.path, &item.metadata, &item.bytes) != (&other.path, &other.metadata, &other.bytes) {
            return Some(format!("{} came back otherwise", item.path));
        }
    }
    expected.next().filter(|_| !is_partial).map(|item| format!("{} is missing", item.path))
}

/// A few files out of those there are.
pub fn some_files(dice: &mut Dice, files: u64) -> Vec<(u64, usize)> {
    let wanted = 2 + dice.below(4);
    let mut some: Vec<(u64, usize)> = (0..wanted)
        .map(|_| dice.below(files))
        .map(|seed| (seed, 200 + usize::try_from(seed * 731 % 4000).expect("below 4000")))
        .collect();
    some.sort_unstable();
    some.dedup();
    some
}

impl Seat {
    /// All runs, one after another.
    pub async fn run(self) {
        loop {
            let run = {
                let mut runs = self.runs.lock().expect("no holder panics");
                let Some(left) = runs.checked_sub(1) else { return };
                *runs = left;
                left
            };
            self.reads_source.store(false, SeqCst);
            let mut dice = dice(self.seed, 2 + self.actor as u64 + 1000 * run + 1_000_000 * self.life);
            let until = self.time.now() + dice.below(self.options.interval);
            if self.desk.ask(self.actor, self.life, Operation::Rest(until)).await.is_err() {
                return;
            }
            let outcome = match self.role {
                Role::Writer if dice.below(self.options.copies.max(1)) + 1 == self.options.copies => {
                    self.copy(&mut dice).await
                }
                Role::Writer => self.back_up(&mut dice).await,
                Role::Pruner => self.maintain(&mut dice).await,
                Role::Keeper => self.keep(&mut dice).await,
                Role::Reader => self.read(&mut dice).await,
            };
            let outcome = outcome.unwrap_or_else(Outcome::Failed);
            self.outcomes.lock().expect("no holder panics").push((self.actor, outcome));
        }
    }

    pub(super) async fn open(&self, dice: &mut Dice) -> strongroom::Result<Repository> {
        self.open_as(dice, None).await
    }

    /// For a run that stores a snapshot once more, and so reads while its threads wait.
    pub(super) async fn open_to_reread(&self, dice: &mut Dice) -> strongroom::Result<Repository> {
        self.open_as(dice, Some(Arc::clone(&self.reads_source))).await
    }

    async fn open_as(&self, dice: &mut Dice, rereads: Option<Arc<AtomicBool>>) -> strongroom::Result<Repository> {
        let view = View {
            desk: self.desk.clone(),
            actor: self.actor,
            life: self.life,
            lists_at_once: self.options.stale == 0,
            rereads,
        };
        let rng = Draws::new(dice.next(), &self.step);
        let repository = open(view, rng, Arc::clone(&self.hands) as Arc<dyn Clock>).await?;
        if let Some(folder) = &self.folder {
            repository.use_folders(Some(folder.clone()), None);
            testing::shard_from(&repository, usize::try_from(self.options.shard).expect("a small number"));
        }
        Ok(repository)
    }

    async fn back_up(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let files = some_files(dice, self.options.files);
        let repository = self.open(dice).await?;
        store(&repository, &format!("host {}", self.actor), &files, &self.reads_source).await.map(Outcome::Stored)
    }

    async fn read(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let repository = self.open(dice).await?;
        let snapshots = repository.list_snapshots().await?.snapshots;
        let at = usize::try_from(dice.below(snapshots.len().max(1) as u64)).expect("a small number");
        let Some(snapshot) = snapshots.get(at) else { return Ok(Outcome::Done) };
        match compare(&repository, snapshot, &self.rewrites).await {
            Ok(None) => Ok(Outcome::Done),
            Ok(Some(difference)) => Ok(Outcome::Wrong(difference)),
            Err(error) => {
                // What was forgotten meanwhile may be gone.
                let is_there = repository.snapshot(&snapshot.id).await.is_ok();
                if is_there { Err(error) } else { Ok(Outcome::Done) }
            }
        }
    }
}
