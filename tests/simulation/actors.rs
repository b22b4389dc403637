//! What actors do: each run is a process of its own, which opens the repository, does one thing and ends.

use super::desk::Desk;
use super::desk::Operation;
use super::desk::View;
use super::options::Options;
use super::options::dice;
use super::time::Draws;
use super::time::Hands;
use super::time::Time;
use crate::support::given::Given;
use crate::support::given::Tree;
use crate::support::trees::Dice;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use strongroom::Backend;
use strongroom::Cipher;
use strongroom::Clock;
use strongroom::Error;
use strongroom::Key;
use strongroom::Kind;
use strongroom::MaxUnused;
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
use strongroom::TagChange;
use strongroom::Verdict;

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
    /// Snapshots were forgotten, tagged or read, or there was nothing to do.
    Done,
    Failed(Error),
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
}

/// The key of every simulated repository.
pub fn key() -> Key {
    Key::KeyFile(Secret::new(strongroom::generate_key_file(&SeededRng::new(1)).expect("a seeded generator has no end")))
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

/// Reads a snapshot and compares it with what its label says: `Some` tells what is wrong with the bytes.
pub async fn compare(repository: &Repository, snapshot: &Snapshot) -> strongroom::Result<Option<String>> {
    let tree = tree(snapshot.label.as_deref().unwrap_or_default());
    let mut expected = tree.items.iter();
    let mut entries = repository.entries(snapshot, None).await?;
    while let Some(entry) = entries.next().await? {
        let Some(item) = expected.next() else { return Ok(Some(format!("{} is too much", entry.path))) };
        let mut content = entries.content(&entry);
        let mut bytes = Vec::new();
        while let Some(piece) = content.next().await? {
            bytes.extend_from_slice(&piece);
        }
        if entry.path != item.path || entry.metadata != item.metadata || bytes != item.bytes {
            return Ok(Some(format!("{} came back otherwise", entry.path)));
        }
    }
    Ok(expected.next().map(|item| format!("{} is missing", item.path)))
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
            let mut dice = dice(self.seed, 2 + self.actor as u64 + 1000 * run + 1_000_000 * self.life);
            let until = self.time.now() + dice.below(self.options.interval);
            if self.desk.ask(self.actor, self.life, Operation::Rest(until)).await.is_err() {
                return;
            }
            let outcome = match self.role {
                Role::Writer => self.back_up(&mut dice).await,
                Role::Pruner => self.prune(&mut dice).await,
                Role::Keeper => self.keep(&mut dice).await,
                Role::Reader => self.read(&mut dice).await,
            };
            let outcome = outcome.unwrap_or_else(Outcome::Failed);
            self.outcomes.lock().expect("no holder panics").push((self.actor, outcome));
        }
    }

    async fn open(&self, dice: &mut Dice) -> strongroom::Result<Repository> {
        let view = View {
            desk: self.desk.clone(),
            actor: self.actor,
            life: self.life,
            lists_at_once: self.options.stale == 0,
        };
        let rng = Draws::new(dice.next(), &self.step);
        open(view, rng, Arc::clone(&self.hands) as Arc<dyn Clock>).await
    }

    async fn back_up(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let files = some_files(dice, self.options.files);
        let repository = self.open(dice).await?;
        store(&repository, &format!("host {}", self.actor), &files, &self.reads_source).await.map(Outcome::Stored)
    }

    async fn prune(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let repository = self.open(dice).await?;
        let mut builder = repository.prune().repack_small(dice.below(3) == 0);
        if dice.below(4) > 0 {
            builder = builder.min_age(Duration::ZERO);
        }
        if dice.below(4) > 0 {
            builder = builder.max_unused(MaxUnused::Bytes(0));
        }
        if self.options.stale == 0 && dice.below(4) == 0 {
            builder = builder.grace(Duration::from_secs(24 * 3600));
        }
        if self.options.broken == Some(super::options::Broken::NoGrace) {
            builder = builder.grace(Duration::ZERO);
        }
        match builder.plan().await {
            Ok(plan) => plan.apply().await.map(|report| Outcome::Pruned(Box::new(report))),
            // Not one snapshot is there.
            Err(error) if error.kind() == Kind::Invalid => Ok(Outcome::Done),
            Err(error) => Err(error),
        }
    }

    /// Forgets or tags some snapshots, but never the only one.
    async fn keep(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let repository = self.open(dice).await?;
        let snapshots = repository.list_snapshots().await?.snapshots;
        for snapshot in snapshots.iter().skip(1) {
            match dice.below(4) {
                0 => drop(repository.forget(&[snapshot.id]).await?),
                1 => {
                    let add = vec![format!("tag {}", dice.below(1000))];
                    drop(repository.tag(&[snapshot.id], &TagChange { add, ..TagChange::default() }).await?);
                }
                _ => {}
            }
        }
        Ok(Outcome::Done)
    }

    async fn read(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let repository = self.open(dice).await?;
        let snapshots = repository.list_snapshots().await?.snapshots;
        let at = usize::try_from(dice.below(snapshots.len().max(1) as u64)).expect("a small number");
        let Some(snapshot) = snapshots.get(at) else { return Ok(Outcome::Done) };
        match compare(&repository, snapshot).await {
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
