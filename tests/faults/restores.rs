//! Real restores, with and without faults: what is written is right, and what is not is told.

use crate::support::crowd;
use crate::support::flows::Flow;
use crate::support::flows::Stage;
use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::in_time;
use crate::support::scene::shared;
use crate::support::scene::store;
use crate::support::trees;
use crate::support::walker;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use strongroom::Backend;
use strongroom::FileKind;
use strongroom::FolderSource;
use strongroom::MemoryBackend;
use strongroom::OwnerMap;
use strongroom::OwnerMode;
use strongroom::RestoreReport;
use strongroom::Result;
use strongroom_testkit::faulty::Fault;
use strongroom_testkit::faulty::Faulty;
use strongroom_testkit::faulty::Plan;

/// Restores the newest snapshot of stage `two` from `backend` into `target`.
async fn restore(scene: &Scene, backend: Arc<dyn Backend>, target: &Path) -> Result<RestoreReport> {
    let repository = scene.open(backend).await?;
    let snapshot = repository.resolve("latest", &strongroom::SnapshotFilter::default()).await?;
    let mut owner = OwnerMap::default();
    owner.mode = OwnerMode::None;
    repository.restore(&snapshot, target).owner(owner).threads(2).start().await
}

/// Files below `target` that are not as in the tree; those in `told` are left out.
fn wrong(target: &Path, tree: &Tree, told: &BTreeSet<Vec<u8>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for item in tree.items.iter().filter(|item| !told.contains(item.path.as_bytes())) {
        let path = target.join(std::ffi::OsStr::from_bytes(item.path.as_bytes()));
        let right = match &item.metadata.kind {
            FileKind::Directory => path.is_dir(),
            FileKind::Symlink { target } => {
                std::fs::read_link(&path).is_ok_and(|found| found.as_os_str().as_bytes() == target.as_slice())
            }
            _ => std::fs::read(&path).is_ok_and(|bytes| bytes == item.filled()),
        };
        if !right {
            wrong.push(item.path.to_string());
        }
    }
    wrong
}

#[derive(Debug)]
struct Case {
    fault: Fault,
    at: u64,
    forever: bool,
}

async fn one(stage: &Stage, case: &Case) -> std::result::Result<(), String> {
    let folder = tempfile::tempdir().map_err(|cause| cause.to_string())?;
    let plan = Plan { at: case.at, fault: case.fault, forever: case.forever };
    let faulty = Faulty::new(shared(stage.before(Flow::Read)), plan);
    let tree = &stage.trees.0[1];
    let outcome = in_time(restore(&Scene::new(61), shared(faulty), folder.path())).await;
    // A run that was broken off may lack anything, but no file that is there may have wrong bytes under its name.
    let lacks = |item: &str| !folder.path().join(item).exists();
    let (told, broken_off) = match &outcome {
        Ok(report) => {
            let told: BTreeSet<Vec<u8>> = report
                .failures
                .iter()
                .filter_map(|one| one.path.as_ref())
                .map(|path| path.as_bytes().to_vec())
                .collect();
            if told.is_empty() && report.failures_total > 0 {
                return Ok(());
            }
            (told, false)
        }
        Err(_) => (BTreeSet::new(), true),
    };
    let mut wrong = wrong(folder.path(), tree, &told);
    wrong.retain(|item| !(broken_off && lacks(item)));
    if wrong.is_empty() || hides(case, &outcome) { Ok(()) } else { Err(format!("{wrong:?} after {outcome:?}")) }
}

/// A listing without the newest snapshot makes the one before it the latest.
fn hides(case: &Case, outcome: &Result<RestoreReport>) -> bool {
    outcome.is_ok() && matches!(case.fault, Fault::NotFound | Fault::ShortList)
}

#[test]
fn a_restore_from_a_failing_store_writes_right_files_or_tells() {
    let runtime = crowd::runtime();
    let stage = runtime.block_on(Stage::new(61, 700_000));
    let mut cases = Vec::new();
    for fault in [Fault::Busy, Fault::NotFound, Fault::ShortBody, Fault::CorruptBody, Fault::ShortList] {
        let folder = tempfile::tempdir().expect("a folder");
        let counting = Faulty::new(shared(stage.before(Flow::Read)), Plan::never(fault));
        let report = runtime.block_on(restore(&Scene::new(61), shared(counting.clone()), folder.path()));
        let report = report.expect("restored");
        assert_eq!((report.failures_total, wrong(folder.path(), &stage.trees.0[1], &BTreeSet::new())), (0, vec![]));
        for at in 1..=counting.seen() {
            cases.extend([false, true].map(|forever| Case { fault, at, forever }));
        }
    }
    crowd::all("restores with faults", &cases, async |case| one(&stage, case).await);
    assert!(cases.len() >= 100, "{}", cases.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nasty_tree_comes_back_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    for made in [&from, &to] {
        std::fs::create_dir(made).expect("a folder");
    }
    trees::build(62, &from);
    let scene = Scene::new(62);
    let (repository, _) = scene.create(shared(MemoryBackend::new()), false).await.expect("created");
    let source = FolderSource::new(vec![from.clone()]);
    let report = repository.backup(source).threads(2).start().await.expect("stored");
    let snapshot = report.snapshot.expect("a snapshot");
    let inner = strongroom::EntryPath::parse(from.as_os_str().as_bytes().strip_prefix(b"/").expect("absolute"))
        .expect("a path");
    let report = repository.restore(&snapshot, &to).path(inner).start().await.expect("restored");
    assert_eq!(report.failures_total, 0, "{:?}", report.failures);
    assert_eq!(walker::differences(&from, &to), Vec::<String>::new());
}

/// A link that stood in the target before; a link of the snapshot with a file below it is the engine's own test.
#[tokio::test]
async fn a_restore_never_writes_outside_its_target() {
    let folder = tempfile::tempdir().expect("a folder");
    let outside = folder.path().join("outside");
    std::fs::create_dir(&outside).expect("a folder");
    let scene = Scene::new(63);
    let memory = MemoryBackend::new();
    let (repository, _) = scene.create(shared(memory.clone()), false).await.expect("created");
    store(&repository, &Tree::new("plain", 63, 5000)).await.expect("stored");
    let target = folder.path().join("target");
    std::fs::create_dir(&target).expect("a folder");
    std::os::unix::fs::symlink(&outside, target.join("dir")).expect("a link");
    let outcome = in_time(restore(&scene, shared(memory), &target)).await;
    assert_eq!(std::fs::read_dir(&outside).expect("listed").count(), 0, "{outcome:?}");
    assert!(target.join("small").is_file() && target.join("dir/large").is_file(), "{outcome:?}");
}
