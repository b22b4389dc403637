//! A repository to be hurt: made, backed up to, read back and compared, each in one call.

use super::given::Given;
use super::given::Tree;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use strongroom::Backend;
use strongroom::BackupBuilder;
use strongroom::BackupReport;
use strongroom::CheckReport;
use strongroom::Clock;
use strongroom::CreateOptions;
use strongroom::Error;
use strongroom::KdfChoice;
use strongroom::Key;
use strongroom::MemoryBackend;
use strongroom::ReadData;
use strongroom::Repository;
use strongroom::Result;
use strongroom::Secret;
use strongroom::SeededRng;
use strongroom::Snapshot;
use strongroom::Timestamp;

/// Seconds after which a flow counts as hanging; far more than any takes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// One second later at every look.
pub struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: self.0.fetch_add(1, Ordering::SeqCst), nanoseconds: 0 }
    }
}

/// Time and randomness of one case: every opening goes on where the last one ended.
pub struct Scene {
    seed: AtomicU64,
    clock: Arc<Ticks>,
}

impl Scene {
    /// The same seed plays the same.
    pub fn new(seed: u64) -> Self {
        Self { seed: AtomicU64::new(seed << 16), clock: Arc::new(Ticks(AtomicI64::new(1_800_000_000))) }
    }

    fn rng(&self) -> Arc<SeededRng> {
        Arc::new(SeededRng::new(self.seed.fetch_add(1, Ordering::SeqCst)))
    }

    /// A clock's share in it.
    pub fn clock(&self) -> Arc<Ticks> {
        Arc::clone(&self.clock)
    }

    /// Creates a repository with the passphrase; gives the recovery code as well.
    pub async fn create(&self, backend: Arc<dyn Backend>, recovery: bool) -> Result<(Repository, Option<String>)> {
        let mut options = CreateOptions::default();
        options.kdf = KdfChoice::Minimal;
        options.recovery = recovery;
        let created = Repository::create_with(backend, passphrase(), options, self.rng(), self.clock()).await?;
        Ok((created.repository, created.recovery_code))
    }

    /// Opens it with the passphrase.
    pub async fn open(&self, backend: Arc<dyn Backend>) -> Result<Repository> {
        self.open_by(backend, passphrase()).await
    }

    /// Opens it with another key.
    pub async fn open_by(&self, backend: Arc<dyn Backend>, key: Key) -> Result<Repository> {
        Repository::open_with(backend, key, self.rng(), self.clock()).await
    }
}

/// The passphrase of every scene.
pub fn passphrase() -> Key {
    Key::Passphrase(Secret::new("correct horse"))
}

/// A backend as the engine takes it.
pub fn shared(backend: impl Backend) -> Arc<dyn Backend> {
    Arc::new(backend)
}

/// A backup of `given`, named after its tree.
pub fn backup(repository: &Repository, given: Given) -> BackupBuilder {
    let label = given.tree.name.to_owned();
    repository.backup(given).label(label).host("host".into()).threads(1)
}

/// The same, whole and done.
pub async fn store(repository: &Repository, tree: &Tree) -> Result<BackupReport> {
    backup(repository, Given::new(tree)).start().await
}

/// A check that reads everything.
pub async fn check(repository: &Repository) -> Result<CheckReport> {
    repository.check().read_data(ReadData::All).threads(1).start().await
}

/// Fails the test when `work` hangs.
pub async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("nothing hangs")
}

/// The trees a case knows, by the labels of their snapshots.
#[derive(Clone)]
pub struct Trees(pub Vec<Tree>);

impl Trees {
    fn of(&self, snapshot: &Snapshot) -> &Tree {
        let name = snapshot.label.as_deref().unwrap_or_default();
        self.0.iter().find(|tree| tree.name == name).expect("only known trees are backed up")
    }

    /// Reads a snapshot and compares it with its tree: `Ok(Some(..))` tells what is wrong with what was read.
    pub async fn compare(&self, repository: &Repository, snapshot: &Snapshot) -> Result<Option<String>> {
        let mut expected = self.of(snapshot).items.iter();
        let mut entries = repository.view(snapshot).await?.walk(None);
        while let Some(entry) = entries.next().await? {
            let Some(item) = expected.next() else { return Ok(Some(format!("{} is too much", entry.path))) };
            if entry.path != item.path || entry.metadata != item.metadata {
                return Ok(Some(format!("{:?} instead of {:?}", entry.metadata, item.metadata)));
            }
            let filled = item.filled();
            let mut left = filled.as_slice();
            let mut content = entries.open(&entry);
            while let Some(bytes) = content.next().await? {
                match left.strip_prefix(bytes.as_ref()) {
                    Some(rest) => left = rest,
                    None => return Ok(Some(format!("{} has other bytes", entry.path))),
                }
            }
            if !left.is_empty() {
                return Ok(Some(format!("{} lacks {} bytes at its end", entry.path, left.len())));
            }
        }
        Ok(expected.next().map(|item| format!("{} is missing", item.path)))
    }

    /// Reads all snapshots; their labels, or the first difference as text.
    pub async fn all_right(&self, repository: &Repository) -> std::result::Result<Vec<String>, String> {
        let mut labels = Vec::new();
        for snapshot in repository.snapshots().await.map_err(|error| told(&error))? {
            match self.compare(repository, &snapshot).await {
                Ok(None) => labels.push(snapshot.label.unwrap_or_default()),
                Ok(Some(difference)) => return Err(format!("{:?}: {difference}", snapshot.label)),
                Err(error) => return Err(format!("{:?}: {}", snapshot.label, told(&error))),
            }
        }
        Ok(labels)
    }

    /// What every case must come to in the end: it opens, the check is clean, all snapshots read back byte for byte,
    /// and a further backup works. Gives the labels there were before that one.
    pub async fn sound(&self, scene: &Scene, backend: &MemoryBackend) -> std::result::Result<Vec<String>, String> {
        let open = scene.open(shared(backend.clone())).await.map_err(|error| format!("open: {}", told(&error)))?;
        let report = check(&open).await.map_err(|error| format!("check: {}", told(&error)))?;
        if report.problems_total > 0 {
            return Err(format!("check: {:?}", report.problems));
        }
        let labels = self.all_right(&open).await?;
        let next = self.0.last().expect("a scene has trees");
        let report = store(&open, next).await.map_err(|error| format!("next backup: {}", told(&error)))?;
        let snapshot = report.snapshot.ok_or("the next backup made no snapshot")?;
        match self.compare(&open, &snapshot).await {
            Ok(None) => Ok(labels),
            Ok(Some(difference)) => Err(format!("next backup: {difference}")),
            Err(error) => Err(format!("next backup: {}", told(&error))),
        }
    }
}

/// An error with its causes.
pub fn told(error: &Error) -> String {
    let mut text = format!("[{:?}] {error}", error.kind());
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(", because {inner}"));
        cause = inner.source();
    }
    text
}
