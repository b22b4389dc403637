//! A repository with two snapshots, a third backup that others act in the middle of, and what must hold in the end.

use super::hooked::Act;
use super::hooked::Hooked;
use super::hooked::When;
use super::pruner::Pruner;
use super::pruner::Step;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backup::BackupReport;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Kind;
use crate::error::Result;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::random::SystemRng;
use crate::repository::CreateOptions;
use crate::repository::Key;
use crate::repository::Repository;
use crate::source::EntryStart;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Want;
use crate::store::Store;
use crate::time::Clock;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Files of a source: name, seed and length.
pub(super) type Tree = Vec<(&'static str, u64, usize)>;

/// What the snapshot with this label holds. Every one shares most with the one before.
pub(super) fn tree(label: &str) -> Tree {
    match label {
        "first" => vec![("a", 1, 40_000), ("b", 2, 30_000), ("c", 3, 20_000)],
        "second" => vec![("a", 1, 40_000), ("b", 4, 30_000), ("c", 3, 20_000), ("d", 5, 50_000)],
        _ => vec![("a", 1, 40_000), ("b", 4, 30_000), ("c", 6, 20_000), ("d", 5, 50_000), ("e", 7, 10_000)],
    }
}

fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    SeededRng::new(seed).fill(&mut bytes).expect("seeded bytes");
    bytes
}

struct Files {
    tree: Tree,
    is_there_again: bool,
}

impl Source for Files {
    fn kind(&self) -> &str {
        "numbers"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/numbers".to_vec()]
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        self.is_there_again.then(|| Box::new(Self { tree: self.tree.clone(), ..*self }) as Box<dyn Source>)
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        for (name, seed, length) in self.tree {
            let mut metadata = Metadata::new(FileKind::File);
            metadata.size = length as u64;
            metadata.modified = Timestamp { seconds: i64::try_from(seed).expect("small"), nanoseconds: 1 };
            let path = EntryPath::parse(name.as_bytes()).expect("a path");
            if sink.begin(EntryStart::new(&path, &metadata))? == Want::Bytes {
                let bytes = content(seed, length);
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let room = sink.buffer()?;
                    let count = room.len().min(rest.len());
                    room[..count].copy_from_slice(&rest[..count]);
                    sink.filled(count)?;
                    rest = &rest[count..];
                }
            }
            sink.end(metadata, Vec::new())?;
        }
        Ok(Verdict::Whole)
    }
}

/// A clock that is set by hand, and one that goes on by itself.
pub(super) struct Hands {
    wall: AtomicI64,
    boot: AtomicU64,
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp { seconds: self.wall.load(SeqCst), nanoseconds: 0 }
    }

    fn since_boot(&self) -> Duration {
        Duration::from_secs(self.boot.load(SeqCst))
    }
}

impl Hands {
    fn new() -> Arc<Self> {
        Arc::new(Self { wall: AtomicI64::new(1_800_000_000), boot: AtomicU64::new(1000) })
    }
}

fn key() -> Key {
    Key::KeyFile(Secret::new(crate::repository::generate_key_file(&SeededRng::new(1)).expect("seeded")))
}

async fn open(backend: Arc<dyn Backend>, clock: Arc<Hands>) -> Repository {
    Repository::open_with(backend, key(), Arc::new(SystemRng), clock).await.expect("a repository")
}

async fn back_up(repository: &Repository, label: &str, is_there_again: bool) -> Result<BackupReport> {
    repository.backup(Files { tree: tree(label), is_there_again }).label(label.to_owned()).threads(1).start().await
}

/// The repository that every case begins with, made once.
async fn base() -> &'static MemoryBackend {
    static BASE: OnceCell<MemoryBackend> = OnceCell::const_new();
    BASE.get_or_init(|| async {
        let backend = MemoryBackend::with_clock(Hands::new());
        let options = CreateOptions { recovery: false, ..CreateOptions::default() };
        let (rng, clock) = (Arc::new(SystemRng), Hands::new());
        let made = Repository::create_with(Arc::new(backend.clone()), key(), options, rng, clock).await;
        let repository = made.expect("a repository").repository;
        for label in ["first", "second"] {
            back_up(&repository, label, false).await.expect("a backup");
        }
        backend
    })
    .await
}

/// Everybody but the backup, on the same objects.
#[derive(Clone)]
pub(super) struct Others {
    pub(super) backend: MemoryBackend,
    pub(super) store: Arc<Store>,
    host: Arc<Hands>,
    storage: Arc<Hands>,
}

impl Others {
    fn act<F: Future<Output = ()> + Send + 'static>(&self, act: impl FnOnce(Self) -> F + Send + 'static) -> Act {
        let others = self.clone();
        Box::new(move || Box::pin(act(others)))
    }

    /// These steps of a prune, one after the other.
    pub(super) fn prune(&self, pruner: &Pruner, steps: &'static [Step]) -> Act {
        let pruner = pruner.clone();
        self.act(async move |_| {
            for step in steps {
                pruner.step(*step).await;
            }
        })
    }

    /// Removes the snapshots that were there before.
    pub(super) fn forget(&self) -> Act {
        self.act(async |others| {
            for listed in base().await.list(Area::Snapshots).await.expect("a list") {
                others.backend.delete(&listed.name).await.expect("deleted");
            }
        })
    }

    /// Removes what is taken for left over: pending records, or tombs.
    pub(super) fn expire(&self, area: Area) -> Act {
        self.act(async move |others| {
            for listed in others.backend.list(area).await.expect("a list") {
                others.backend.delete(&listed.name).await.expect("deleted");
            }
        })
    }

    /// Lets time pass: for the host by its two clocks, and for the store.
    pub(super) fn pass(&self, boot: u64, wall: i64, storage: i64) -> Act {
        self.act(async move |others| {
            others.host.boot.fetch_add(boot, SeqCst);
            others.host.wall.fetch_add(wall, SeqCst);
            others.storage.wall.fetch_add(storage, SeqCst);
        })
    }
}

/// A third backup, and what came of it once all acts were done.
pub(super) struct Played {
    pub(super) others: Others,
    pub(super) hooked: Hooked,
    pub(super) outcome: Result<BackupReport>,
    /// Acts that came after the backup had ended.
    pub(super) acts_after: usize,
}

/// Backs up for the third time while `script` acts.
pub(super) async fn play(script: impl FnOnce(&Others) -> Vec<(When, Act)>) -> Played {
    play_from(false, script).await
}

/// The same with a source that can be read again.
pub(super) async fn play_again(script: impl FnOnce(&Others) -> Vec<(When, Act)>) -> Played {
    play_from(true, script).await
}

async fn play_from(is_there_again: bool, script: impl FnOnce(&Others) -> Vec<(When, Act)>) -> Played {
    let others = others().await;
    let hooked = Hooked::new(&others.backend, script(&others));
    let repository = open(Arc::new(hooked.clone()), Arc::clone(&others.host)).await;
    let outcome = back_up(&repository, "third", is_there_again).await;
    let acts_after = hooked.finish().await;
    Played { others, hooked, outcome, acts_after }
}

async fn others() -> Others {
    let (host, storage) = (Hands::new(), Hands::new());
    let backend = MemoryBackend::with_clock(storage.clone());
    for (name, bytes) in base().await.contents() {
        backend.replace(name, bytes);
    }
    let store = Arc::clone(open(Arc::new(backend.clone()), Arc::clone(&host)).await.store());
    Others { backend, store, host, storage }
}

impl Played {
    /// Restores every snapshot that is there, byte for byte; gives their labels, sorted. No intent may be left over.
    pub(super) async fn restored(&self) -> Vec<String> {
        let repository = open(Arc::new(self.others.backend.clone()), Arc::clone(&self.others.host)).await;
        let snapshots = repository.snapshots().await.expect("snapshots");
        for snapshot in &snapshots {
            let label = snapshot.label.as_deref().expect("a label");
            let view = repository.view(snapshot).await.expect("a view");
            for (name, seed, length) in tree(label) {
                let path = EntryPath::parse(name.as_bytes()).expect("a path");
                let entry = view.entry(&path).await.expect("read").expect("an entry");
                let bytes = view.open(&entry).read_to_end(64 << 20).await.expect("its bytes");
                assert!(bytes == content(seed, length), "{name} of {label} came back otherwise");
            }
        }
        assert_eq!(self.others.backend.list(Area::Pending).await.expect("a list"), [], "an intent is left over");
        let mut labels: Vec<String> = snapshots.into_iter().filter_map(|snapshot| snapshot.label).collect();
        labels.sort_unstable();
        labels
    }

    /// The same; a backup that failed left no snapshot and said that a prune was in its way. Gives whether it was
    /// committed.
    pub(super) async fn verified(self) -> bool {
        let committed = self.restored().await.iter().any(|label| label == "third");
        if let Err(error) = &self.outcome {
            assert_eq!(error.kind(), Kind::Conflict, "{error:?}");
        }
        assert_eq!(committed, self.outcome.is_ok());
        committed
    }
}
