//! Prune: what nothing needs goes, what anything needs stays, and what is not understood stops it before it begins.

mod full;
mod keys;
mod stopped;
mod time;
mod together;

use crate::support::given::Given;
use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::backup;
use crate::support::scene::check;
use crate::support::scene::shared;
use crate::support::scene::store;
use std::time::Duration;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Kind;
use strongroom::MaxUnused;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::PruneBuilder;
use strongroom::PruneReport;
use strongroom::Repository;
use strongroom::Result;
use strongroom::SnapshotId;

/// A prune that spares nothing because of its age.
fn eager(repository: &Repository) -> PruneBuilder {
    repository.prune().min_age(Duration::ZERO).grace(Duration::ZERO).max_unused(MaxUnused::Bytes(0))
}

async fn prune(repository: &Repository) -> Result<PruneReport> {
    eager(repository).plan().await?.apply().await
}

/// A tree of these files, and its name.
fn tree(name: &'static str, files: &[(u64, usize)]) -> Tree {
    Tree::of_files(name, files)
}

async fn made(seed: u64) -> (Scene, MemoryBackend, Repository) {
    let scene = Scene::new(seed);
    let memory = MemoryBackend::with_clock(scene.clock());
    let (repository, _) = scene.create(shared(memory.clone()), false).await.expect("created");
    (scene, memory, repository)
}

async fn stored(repository: &Repository, tree: &Tree) -> SnapshotId {
    store(repository, tree).await.expect("stored").snapshot.expect("a snapshot").id
}

async fn names(memory: &MemoryBackend, area: Area) -> Vec<Name> {
    memory.list(area).await.expect("listed").into_iter().map(|listed| listed.name).collect()
}

async fn bytes_in_packs(memory: &MemoryBackend) -> u64 {
    memory.list(Area::Packs).await.expect("listed").iter().map(|listed| listed.length).sum()
}

/// Clean check, all snapshots right, and so many of them.
async fn is_sound(repository: &Repository, trees: &Trees, snapshots: usize) {
    let report = check(repository).await.expect("checked");
    assert_eq!(report.problems_total, 0, "{:?}", report.problems);
    assert_eq!(trees.all_right(repository).await.expect("all right").len(), snapshots);
}

#[tokio::test]
async fn what_only_a_forgotten_snapshot_needed_is_given_back() {
    let (_, memory, repository) = made(1).await;
    let one = tree("one", &[(1, 400_000), (2, 300_000)]);
    let two = tree("two", &[(2, 300_000), (3, 100_000)]);
    let first = stored(&repository, &one).await;
    stored(&repository, &two).await;
    let before = bytes_in_packs(&memory).await;
    repository.forget(&[first]).await.expect("forgotten");
    let plan = eager(&repository).plan().await.expect("planned");
    let summary = plan.summary();
    assert!((390_000..420_000).contains(&summary.bytes_unused), "{summary:?}");
    assert!(summary.packs_repacked + summary.packs_removed >= 2 && summary.snapshots == 1, "{summary:?}");
    let report = plan.apply().await.expect("pruned");
    let after = bytes_in_packs(&memory).await;
    assert!(before - after > 390_000, "{before} {after} {report:?}");
    assert_eq!((report.bytes_left, report.packs_waiting), (after, 0));
    assert!(names(&memory, Area::Marks).await.is_empty());
    assert!(!names(&memory, Area::Tombs).await.is_empty());
    let trees = Trees(vec![one, two.clone()]);
    is_sound(&repository, &trees, 1).await;
    // Nothing is left to do, and a backup finds all that is there.
    let again = prune(&repository).await.expect("pruned again");
    assert_eq!((again.packs_condemned, again.packs_deleted, again.packs_written), (0, 0, 0), "{again:?}");
    assert_eq!(store(&repository, &two).await.expect("stored").bytes_new, 0);
}

#[tokio::test]
async fn a_plan_that_is_not_applied_changes_nothing() {
    let (_, memory, repository) = made(2).await;
    let first = stored(&repository, &tree("one", &[(1, 400_000)])).await;
    stored(&repository, &tree("two", &[(2, 300_000)])).await;
    repository.forget(&[first]).await.expect("forgotten");
    let before = memory.contents();
    let summary = eager(&repository).plan().await.expect("planned").summary();
    assert!(summary.packs_removed > 0 && summary.bytes_freed() > 390_000, "{summary:?}");
    assert!(memory.contents() == before);
}

#[tokio::test]
async fn a_pruned_repository_is_no_larger_than_a_fresh_one() {
    let (_, memory, repository) = made(3).await;
    let (_, fresh_memory, fresh) = made(4).await;
    let (mut forget, mut kept) = (Vec::new(), Vec::new());
    let labels = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut files: Vec<(u64, usize)> = (0..40).map(|seed| (seed, 90_000)).collect();
    for (round, label) in (0u64..).zip(labels) {
        // A fifth of all files is replaced.
        for at in 0..8 {
            files[(at * 5 + round as usize) % 40] = (1000 + round * 10 + at as u64, 90_000);
        }
        files.sort_unstable();
        let tree = tree(label, &files);
        let id = stored(&repository, &tree).await;
        if round % 2 == 0 { forget.push(id) } else { kept.push(tree) }
    }
    for tree in &kept {
        stored(&fresh, tree).await;
    }
    repository.forget(&forget).await.expect("forgotten");
    let report = eager(&repository).repack_small(true).plan().await.expect("planned").apply().await.expect("pruned");
    assert!(report.segments_formed > 0, "{report:?}");
    let (pruned, fresh) = (bytes_in_packs(&memory).await, bytes_in_packs(&fresh_memory).await);
    assert!(pruned * 100 <= fresh * 103, "{pruned} after the prune, {fresh} in a fresh one: {report:?}");
    is_sound(&repository, &Trees(kept), 4).await;
}

#[tokio::test]
async fn segments_that_are_mostly_needed_are_copied_without_being_opened() {
    let (_, memory, repository) = made(5).await;
    // One pack of several segments: of the last one a little goes, of the others nothing.
    let all: Vec<(u64, usize)> = (1..30).map(|seed| (seed, 300_000)).chain([(99, 200_000)]).collect();
    let one = tree("one", &all);
    let two = tree("two", &all[..29]);
    let first = stored(&repository, &one).await;
    stored(&repository, &two).await;
    repository.forget(&[first]).await.expect("forgotten");
    let plan =
        repository.prune().min_age(Duration::ZERO).max_unused(MaxUnused::Bytes(1)).plan().await.expect("planned");
    let report = plan.apply().await.expect("pruned");
    assert!(report.segments_copied > 0, "{report:?}");
    is_sound(&repository, &Trees(vec![one, two]), 1).await;
    assert!(names(&memory, Area::Marks).await.is_empty());
}

#[tokio::test]
async fn what_a_running_backup_has_stored_is_left_alone_while_it_is_young() {
    let (_, memory, repository) = made(6).await;
    let one = tree("one", &[(1, 100_000)]);
    stored(&repository, &one).await;
    let half = tree("half", &[(2, 200_000), (3, 100)]);
    let ending = Given::ending(&half, crate::support::given::End::FailAt(1));
    backup(&repository, ending).start().await.expect_err("the source failed");
    let before = names(&memory, Area::Packs).await;
    let plan = repository.prune().max_unused(MaxUnused::Bytes(0)).plan().await.expect("planned");
    let summary = plan.summary();
    assert!(summary.packs_young >= 1 && summary.packs_removed == 0, "{summary:?}");
    plan.apply().await.expect("pruned");
    assert_eq!(names(&memory, Area::Packs).await, before);
    let report = prune(&repository).await.expect("pruned");
    assert!(report.packs_deleted >= 1, "{report:?}");
    is_sound(&repository, &Trees(vec![one]), 1).await;
}

#[tokio::test]
async fn a_forgotten_snapshot_may_be_young() {
    let (_, memory, repository) = made(7).await;
    let (one, two) = (tree("one", &[(1, 100_000)]), tree("two", &[(2, 100_000)]));
    stored(&repository, &one).await;
    let second = stored(&repository, &two).await;
    repository.forget(&[second]).await.expect("forgotten");
    let before = names(&memory, Area::Packs).await.len();
    let plan = repository.prune().forgotten(&[second]).plan().await.expect("planned");
    assert!(plan.apply().await.expect("pruned").packs_deleted >= 1);
    assert!(names(&memory, Area::Packs).await.len() < before);
    is_sound(&repository, &Trees(vec![one]), 1).await;
}

#[tokio::test]
async fn a_repository_without_snapshots_is_emptied_only_on_demand() {
    let (_, memory, repository) = made(8).await;
    let id = stored(&repository, &tree("one", &[(1, 100_000)])).await;
    repository.forget(&[id]).await.expect("forgotten");
    let before = memory.contents();
    // Whoever has forgotten the last one knows that no backup is writing what is left.
    let refused = eager(&repository).forgotten(&[id]).plan().await.expect_err("refused");
    assert_eq!(refused.kind(), Kind::Invalid);
    assert!(memory.contents() == before);
    // To anybody else it looks like a first backup that runs.
    let plan = eager(&repository).plan().await.expect("planned");
    assert!(plan.summary().is_beginning && plan.summary().packs_removed == 0, "{plan:?}");
    assert_eq!(plan.apply().await.expect("nothing is done").packs_deleted, 0);
    assert!(memory.contents() == before);
    let plan = eager(&repository).allow_no_snapshots(true).plan().await.expect("planned");
    plan.apply().await.expect("pruned");
    assert!(names(&memory, Area::Packs).await.is_empty() && names(&memory, Area::Index).await.is_empty());
    assert!(repository.check().start().await.expect("checked").problems_total == 0);
}

#[tokio::test]
async fn anything_that_cannot_be_read_stops_it_before_it_deletes() {
    let (scene, memory, repository) = made(9).await;
    let one = stored(&repository, &tree("one", &[(1, 400_000)])).await;
    stored(&repository, &tree("two", &[(2, 300_000)])).await;
    stored(&repository, &tree("three", &[(2, 300_000), (3, 1000)])).await;
    repository.forget(&[one]).await.expect("forgotten");
    let mut stopped = 0;
    for (name, bytes) in memory.contents() {
        let Some(area) = name.area() else { continue };
        if matches!(area, Area::Slots | Area::KeyLists | Area::DataKeys) {
            continue;
        }
        for damage in [bytes.slice(..bytes.len() / 2), bytes::Bytes::new()] {
            let hurt = memory.fork();
            hurt.replace(name, damage);
            let before = names(&hurt, Area::Packs).await;
            let open = scene.open(shared(hurt.clone())).await.expect("opened");
            if let Err(error) = prune(&open).await {
                assert_eq!(error.kind(), Kind::Damaged, "{name}: {error}");
                assert_eq!(names(&hurt, Area::Packs).await, before, "{name}");
                assert_eq!(names(&hurt, Area::Snapshots).await.len(), 2, "{name}");
                stopped += 1;
            } else {
                // Only what nothing needs may be damaged without stopping it.
                assert_eq!(area, Area::Packs, "{name}");
                let trees = Trees(vec![tree("two", &[(2, 300_000)]), tree("three", &[(2, 300_000), (3, 1000)])]);
                assert_eq!(trees.all_right(&open).await.expect("all right").len(), 2, "{name}");
            }
        }
    }
    assert!(stopped >= 10, "{stopped} cases");
}

#[tokio::test]
async fn many_index_objects_become_few_and_name_the_same() {
    let (_, memory, repository) = made(10).await;
    let mut files = Vec::new();
    let labels = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let mut trees = Vec::new();
    for (seed, label) in (1..).zip(labels) {
        files.push((seed, 20_000));
        trees.push(tree(label, &files));
        stored(&repository, trees.last().expect("pushed")).await;
    }
    let chunks = repository.stats().await.expect("counted").chunks;
    assert!(names(&memory, Area::Index).await.len() >= 9);
    let plan = repository.prune().max_unused(MaxUnused::Unlimited).plan().await.expect("planned");
    let report = plan.apply().await.expect("pruned");
    assert_eq!((names(&memory, Area::Index).await.len(), report.packs_deleted), (1, 0), "{report:?}");
    assert_eq!(repository.stats().await.expect("counted").chunks, chunks);
    is_sound(&repository, &Trees(trees), 9).await;
}
