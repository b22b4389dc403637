//! Everything a program does with a repository, as flows that can be run against a backend that fails.

use super::given::Tree;
use super::scene::Scene;
use super::scene::Trees;
use super::scene::check;
use super::scene::passphrase;
use super::scene::shared;
use super::scene::store;
use std::sync::Arc;
use std::time::Duration;
use strongroom::Backend;
use strongroom::KdfChoice;
use strongroom::Key;
use strongroom::MaxUnused;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Result;
use strongroom::RotateOptions;
use strongroom::Secret;
use strongroom::SnapshotId;
use strongroom::TagChange;
use strongroom_testkit::crash::Crash;
use strongroom_testkit::crash::Event;
use strongroom_testkit::crash::Mode;

/// One verb from opening to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Init,
    /// A backup into an empty repository.
    First,
    /// A backup with a parent.
    Second,
    /// A backup after one that died just before its commit.
    Resume,
    /// A backup of what is there already.
    Again,
    Forget,
    /// What a forgotten snapshot needed is removed, and what others need of its packs is copied.
    Prune,
    /// What was stored under an earlier root key is sealed under the present one.
    Reencrypt,
    Tag,
    /// A second passphrase is added, and removed again.
    Keys,
    Read,
    Check,
}

impl Flow {
    pub const ALL: [Self; 12] = [
        Self::Init,
        Self::First,
        Self::Second,
        Self::Resume,
        Self::Again,
        Self::Forget,
        Self::Prune,
        Self::Reencrypt,
        Self::Tag,
        Self::Keys,
        Self::Read,
        Self::Check,
    ];
}

/// What a flow that succeeded says it did.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    Created,
    /// This snapshot was made.
    Stored(SnapshotId),
    /// This one was removed.
    Forgotten(SnapshotId),
    Pruned,
    /// And whether that is all.
    SealedAnew(bool),
    /// The first was replaced by the second.
    Tagged(SnapshotId, SnapshotId),
    /// So many ways in are left.
    Rekeyed(usize),
    /// So many snapshots were read and were right.
    Read(usize),
    /// So many problems were found.
    Checked(u64),
    /// Bytes that were read are wrong: never to be seen.
    Wrong(String),
}

/// Where each flow starts, and the trees in play.
pub struct Stage {
    pub trees: Trees,
    created: MemoryBackend,
    one: MemoryBackend,
    two: MemoryBackend,
    died: MemoryBackend,
    forgotten: MemoryBackend,
    rotated: MemoryBackend,
    /// The older snapshot of `two`.
    older: SnapshotId,
}

impl Stage {
    /// Prepares all of it; `large` is the size of the largest file.
    pub async fn new(seed: u64, large: usize) -> Self {
        let one = Tree::new("one", seed, large);
        let two = one.changed("two", seed + 1, 40_000);
        let three = two.changed("three", seed + 2, 20_000);
        let scene = Scene::new(seed);
        let created = MemoryBackend::with_clock(scene.clock());
        let (repository, _) = scene.create(shared(created.clone()), false).await.expect("created");
        drop(repository);
        let first = created.fork();
        let repository = scene.open(shared(first.clone())).await.expect("opened");
        let older = store(&repository, &one).await.expect("stored").snapshot.expect("a snapshot").id;
        let second = first.fork();
        let repository = scene.open(shared(second.clone())).await.expect("opened");
        store(&repository, &two).await.expect("stored");
        let died = Self::dead(&scene, &created, &one).await;
        let forgotten = second.fork();
        let repository = scene.open(shared(forgotten.clone())).await.expect("opened");
        repository.forget(&[older]).await.expect("forgotten");
        let rotated = second.fork();
        let repository = scene.open(shared(rotated.clone())).await.expect("opened");
        let mut options = RotateOptions::default();
        options.kdf = KdfChoice::Minimal;
        let rotation = repository.rotate_root_key(passphrase(), options).await.expect("a new root key");
        rotation.remove_old_slots().await.expect("removed");
        Self { trees: Trees(vec![one, two, three]), created, one: first, two: second, died, forgotten, rotated, older }
    }

    /// What a backup leaves that died just before its commit.
    async fn dead(scene: &Scene, created: &MemoryBackend, tree: &Tree) -> MemoryBackend {
        let crash = Crash::new(created);
        let repository = scene.open(shared(crash.clone())).await.expect("opened");
        store(&repository, tree).await.expect("stored");
        let is_commit = |event: &Event| matches!(event, Event::Put { name: Name::Snapshot(_), .. });
        let at = crash.trace().iter().position(is_commit).expect("a commit");
        crash.at(at, Mode::Kept)
    }

    /// The repository a flow starts from.
    pub fn before(&self, flow: Flow) -> MemoryBackend {
        match flow {
            Flow::Init => MemoryBackend::new(),
            Flow::First => self.created.fork(),
            Flow::Second => self.one.fork(),
            Flow::Resume => self.died.fork(),
            Flow::Prune => self.forgotten.fork(),
            Flow::Reencrypt => self.rotated.fork(),
            _ => self.two.fork(),
        }
    }

    /// Labels that must be readable whatever became of the flow.
    pub fn kept(&self, flow: Flow) -> &'static [&'static str] {
        match flow {
            Flow::Init | Flow::First | Flow::Resume => &[],
            Flow::Second => &["one"],
            Flow::Forget | Flow::Prune => &["two"],
            _ => &["one", "two"],
        }
    }

    /// Runs the flow from opening to its end.
    pub async fn run(&self, scene: &Scene, flow: Flow, backend: Arc<dyn Backend>) -> Result<Done> {
        if flow == Flow::Init {
            return scene.create(backend, false).await.map(|_| Done::Created);
        }
        let repository = scene.open(backend).await?;
        let [one, two, ..] = self.trees.0.as_slice() else { unreachable!("three trees were made") };
        match flow {
            Flow::Init => Ok(Done::Created),
            Flow::First | Flow::Resume | Flow::Second | Flow::Again => {
                let tree = if matches!(flow, Flow::Second | Flow::Again) { two } else { one };
                let report = store(&repository, tree).await?;
                Ok(Done::Stored(report.snapshot.expect("a backup that succeeds makes a snapshot").id))
            }
            Flow::Forget => repository.forget(&[self.older]).await.map(|_| Done::Forgotten(self.older)),
            Flow::Prune => {
                let builder = repository.prune().min_age(Duration::ZERO).grace(Duration::ZERO);
                let plan = builder.max_unused(MaxUnused::Bytes(0)).plan().await?;
                plan.apply().await.map(|_| Done::Pruned)
            }
            Flow::Reencrypt => {
                let builder = repository.prune().min_age(Duration::ZERO).grace(Duration::ZERO);
                let report = builder.reencrypt(true).plan().await?.apply().await?;
                Ok(Done::SealedAnew(report.sealed_before.is_some_and(|left| left.is_nothing())))
            }
            Flow::Tag => {
                let change = TagChange { add: vec!["kept".into()], ..TagChange::default() };
                let changed = repository.tag(&[self.older], &change).await?;
                let [(old, new)] = changed.as_slice() else { return Ok(Done::Wrong("nothing was tagged".into())) };
                Ok(Done::Tagged(*old, *new))
            }
            Flow::Keys => {
                let second = Key::Passphrase(Secret::new("a second one"));
                let id = repository.add_key(second, KdfChoice::Minimal, "second").await?;
                repository.remove_key(id).await?;
                Ok(Done::Rekeyed(repository.keys().await?.len()))
            }
            Flow::Read => {
                let snapshots = repository.snapshots().await?;
                for snapshot in &snapshots {
                    if let Some(difference) = self.trees.compare(&repository, snapshot).await? {
                        return Ok(Done::Wrong(difference));
                    }
                }
                Ok(Done::Read(snapshots.len()))
            }
            Flow::Check => Ok(Done::Checked(check(&repository).await?.problems_total)),
        }
    }

    /// Whether a flow that succeeded did what it said; `backend` is the repository without faults.
    pub async fn verify(&self, scene: &Scene, done: &Done, backend: &MemoryBackend) -> std::result::Result<(), String> {
        let repository = scene.open(shared(backend.clone())).await.map_err(|error| format!("{done:?}: {error}"))?;
        let snapshots = repository.snapshots().await.map_err(|error| format!("{done:?}: {error}"))?;
        let has = |id: &SnapshotId| snapshots.iter().any(|snapshot| snapshot.id == *id);
        let right = match done {
            Done::Created => snapshots.is_empty(),
            Done::Stored(id) => has(id),
            Done::Forgotten(id) => !has(id),
            Done::Tagged(old, new) => {
                let tagged = snapshots.iter().find(|snapshot| snapshot.id == *new);
                !has(old) && tagged.is_some_and(|snapshot| snapshot.tags == ["kept"])
            }
            Done::Pruned => snapshots.len() == 1,
            Done::SealedAnew(_) => snapshots.len() == 2,
            Done::Rekeyed(_) | Done::Read(_) | Done::Checked(_) => true,
            Done::Wrong(_) => false,
        };
        if right { Ok(()) } else { Err(format!("it is not as the flow said: {done:?}")) }
    }
}
