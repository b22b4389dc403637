//! A repository on a wrapped folder is as safe as on the folder itself, and layers change what they override.

use super::Wrapped;
use super::disk;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use strongroom::Area;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::CreateOptions;
use strongroom::Disk;
use strongroom::EntryPath;
use strongroom::Error;
use strongroom::KdfChoice;
use strongroom::Key;
use strongroom::Kind;
use strongroom::Layer;
use strongroom::Leftovers;
use strongroom::LocalBackend;
use strongroom::Name;
use strongroom::PruneReport;
use strongroom::ReaderSource;
use strongroom::Repository;
use strongroom::Secret;
use strongroom_testkit::names::pack;

async fn repository(backend: Arc<dyn Backend>) -> Repository {
    let mut options = CreateOptions::default();
    (options.kdf, options.recovery) = (KdfChoice::Minimal, false);
    Repository::create(backend, Key::Passphrase(Secret::new("only a test")), options).await.unwrap().repository
}

/// One snapshot of bytes that nothing else has.
async fn back_up(repository: &Repository, name: &str) -> strongroom::Snapshot {
    let bytes: Vec<u8> = noise(name).take(300_000).collect();
    let source = ReaderSource::new(EntryPath::parse(name.as_bytes()).unwrap(), std::io::Cursor::new(bytes));
    repository.backup(source).start().await.unwrap().snapshot.unwrap()
}

/// Bytes without end that do not squeeze.
fn noise(name: &str) -> impl Iterator<Item = u8> {
    let mut state = name.bytes().fold(1u64, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
}

/// Two snapshots, one forgotten, one prune.
async fn pruned(backend: Arc<dyn Backend>) -> PruneReport {
    let repository = repository(backend).await;
    let first = back_up(&repository, "first").await;
    back_up(&repository, "second").await;
    repository.forget(&[first.id]).await.unwrap();
    let plan = repository.prune().min_age(Duration::ZERO).plan().await.unwrap();
    plan.apply().await.unwrap()
}

fn wrapped(root: &Path) -> Arc<dyn Backend> {
    Arc::new(Wrapped(LocalBackend::new(root)))
}

#[tokio::test]
async fn nothing_is_restored_into_a_repository_behind_a_layer() {
    let holder = tempfile::tempdir().unwrap();
    let root = holder.path().join("repository");
    let repository = repository(wrapped(&root)).await;
    let snapshot = back_up(&repository, "file").await;
    for target in [root.clone(), root.join("packs")] {
        let error = repository.restore(&snapshot, &target).start().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{}", target.display());
    }
    assert!(!root.join("file").exists() && !root.join("packs/file").exists());
}

#[tokio::test]
async fn a_prune_behind_a_layer_gives_back_at_once_what_it_gives_back_without_one() {
    let holder = tempfile::tempdir().unwrap();
    let plain = pruned(Arc::new(LocalBackend::new(holder.path().join("plain")))).await;
    let wrapped = pruned(wrapped(&holder.path().join("wrapped"))).await;
    assert!(plain.packs_deleted > 0);
    assert_eq!((wrapped.packs_deleted, wrapped.packs_waiting), (plain.packs_deleted, plain.packs_waiting));
}

#[tokio::test]
async fn a_barrier_reaches_the_folder_through_a_layer() {
    let holder = tempfile::tempdir().unwrap();
    let (backend, unprepared) = (wrapped(&holder.path().join("one")), wrapped(&holder.path().join("two")));
    backend.prepare().await.unwrap();
    assert_eq!(backend.properties().folder, Some(holder.path().join("one")));
    assert!(backend.properties().lists_at_once);
    // What was adopted is synced where it lies: where there is no such folder, that shows.
    disk(&*backend).adopt(&pack(1)).await.unwrap();
    backend.barrier().await.unwrap_err();
    assert_eq!(disk(&*unprepared).barrier_for(Area::Index).await.unwrap_err().kind(), Kind::NoRepository);
    assert_eq!(unprepared.check_deletable().await.unwrap_err().kind(), Kind::NoRepository);
}

/// A folder on a disk so full that nobody can even ask what time it is there.
struct Full(LocalBackend);

impl Layer for Full {
    fn inner(&self) -> &dyn Backend {
        &self.0
    }

    fn disk(&self) -> Option<&dyn Disk> {
        Some(self)
    }
}

impl Disk for Full {
    fn adopt<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        self.0.adopt(name)
    }

    fn barrier_for(&self, area: Area) -> BackendFuture<'_, ()> {
        self.0.barrier_for(area)
    }

    fn reserve(&self, stored: u64) -> BackendFuture<'_, bool> {
        self.0.reserve(stored)
    }

    fn spend_reserve(&self) -> BackendFuture<'_, bool> {
        self.0.spend_reserve()
    }

    fn leftovers(&self) -> BackendFuture<'_, Leftovers> {
        self.0.leftovers()
    }

    fn sweep(&self) -> BackendFuture<'_, Leftovers> {
        Box::pin(async { Err(Error::new(Kind::NoSpace, "cannot sweep a full disk")) })
    }
}

#[tokio::test]
async fn a_store_too_full_to_be_swept_is_backed_up_to_and_pruned_all_the_same() {
    let holder = tempfile::tempdir().unwrap();
    let report = pruned(Arc::new(Full(LocalBackend::new(holder.path().join("full"))))).await;
    assert!(report.packs_deleted > 0);
    assert_eq!(report.leftovers, Leftovers::default());
}
