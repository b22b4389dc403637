//! A prune beside backups, other prunes and crashes: something else happens, whole, just before each of its operations.

use super::eager;
use super::is_sound;
use super::names;
use super::prune;
use super::stored;
use super::tree;
use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::check;
use crate::support::scene::in_time;
use crate::support::scene::shared;
use crate::support::scene::store;
use crate::support::scene::told;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Kind;
use strongroom::MaxUnused;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::SnapshotId;
use strongroom_testkit::between::Between;
use strongroom_testkit::crash::Crash;
use strongroom_testkit::crash::Event;
use strongroom_testkit::crash::Mode;

/// Three snapshots that share some files; the first is forgotten. The label says whose they are.
fn trees() -> Trees {
    let one = tree("one", &[(1, 300_000), (2, 200_000), (3, 90_000), (4, 50_000)]);
    let two = tree("two", &[(2, 200_000), (3, 90_000), (5, 40_000)]);
    let three = tree("three", &[(1, 300_000), (4, 50_000), (5, 40_000), (6, 30_000)]);
    Trees(vec![one, two, three])
}

/// A repository that has seen the first two trees and forgotten the first.
async fn half_forgotten(seed: u64) -> (MemoryBackend, Trees) {
    let (scene, trees) = (Scene::new(seed), trees());
    let memory = MemoryBackend::with_clock(scene.clock());
    let (repository, _) = scene.create(shared(memory.clone()), false).await.expect("created");
    let first = stored(&repository, &trees.0[0]).await;
    stored(&repository, &trees.0[1]).await;
    repository.forget(&[first]).await.expect("forgotten");
    (memory, trees)
}

/// What must hold whatever came between: clean check, all snapshots right, and a prune and a backup that work.
async fn sound(memory: &MemoryBackend, trees: &Trees, case: &str) -> usize {
    let scene = Scene::new(77);
    let repository = scene.open(shared(memory.clone())).await.expect("opened");
    let report = check(&repository).await.expect("checked");
    assert_eq!(report.problems_total, 0, "{case}: {:?}", report.problems);
    let labels = trees.all_right(&repository).await.unwrap_or_else(|why| panic!("{case}: {why}"));
    prune(&repository).await.unwrap_or_else(|error| panic!("{case}: the next prune: {}", told(&error)));
    assert!(names(memory, Area::Marks).await.is_empty(), "{case}");
    let again = trees.all_right(&repository).await.unwrap_or_else(|why| panic!("{case}, pruned again: {why}"));
    assert_eq!(labels, again, "{case}");
    store(&repository, &trees.0[2]).await.unwrap_or_else(|error| panic!("{case}: {}", told(&error)));
    is_sound(&repository, trees, labels.len() + 1).await;
    labels.len()
}

#[tokio::test]
async fn a_second_prune_may_come_between_any_two_operations_of_the_first() {
    let mut at = 1;
    loop {
        let (memory, trees) = half_forgotten(40).await;
        let other = memory.clone();
        let between = Between::new(&memory, at, async move {
            let repository = Scene::new(41).open(shared(other)).await.expect("opened");
            let report = prune(&repository).await.expect("the second one works");
            assert_eq!(report.packs_damaged, 0);
        });
        let repository = Scene::new(42).open(shared(between.clone())).await.expect("opened");
        let report = in_time(prune(&repository)).await.unwrap_or_else(|error| panic!("{at}: {}", told(&error)));
        assert_eq!(report.packs_damaged, 0, "{at}: what the second one has deleted is not damaged");
        let done = !between.happened();
        sound(&memory, &trees, &format!("second prune before operation {at}")).await;
        if done {
            break;
        }
        at += 1;
    }
    assert!(at > 40, "{at} operations");
}

#[tokio::test]
async fn a_backup_may_come_between_any_two_operations_of_a_prune() {
    let mut at = 1;
    loop {
        let (memory, trees) = half_forgotten(43).await;
        let (other, three) = (memory.clone(), trees.0[2].clone());
        let between = Between::new(&memory, at, async move {
            let repository = Scene::new(44).open(shared(other)).await.expect("opened");
            // It may find that what it needs is condemned.
            if let Err(error) = store(&repository, &three).await {
                assert_eq!(error.kind(), Kind::Conflict, "{}", told(&error));
            }
        });
        let repository = Scene::new(45).open(shared(between.clone())).await.expect("opened");
        in_time(prune(&repository)).await.unwrap_or_else(|error| panic!("{at}: {}", told(&error)));
        let done = !between.happened();
        sound(&memory, &trees, &format!("backup before operation {at} of the prune")).await;
        if done {
            break;
        }
        at += 1;
    }
    assert!(at > 40, "{at} operations");
}

#[tokio::test]
async fn a_prune_may_come_between_any_two_operations_of_a_backup() {
    let (mut at, mut stored) = (1, 0);
    loop {
        let (memory, trees) = half_forgotten(46).await;
        let other = memory.clone();
        let between = Between::new(&memory, at, async move {
            let repository = Scene::new(47).open(shared(other)).await.expect("opened");
            prune(&repository).await.unwrap_or_else(|error| panic!("the prune: {}", told(&error)));
        });
        let repository = Scene::new(48).open(shared(between.clone())).await.expect("opened");
        let outcome = in_time(store(&repository, &trees.0[2])).await;
        let done = !between.happened();
        let snapshots = sound(&memory, &trees, &format!("prune before operation {at} of the backup")).await;
        // One that says it is done is there; it is sound as all others are.
        assert_eq!(snapshots, 1 + usize::from(outcome.is_ok()), "{at}: {outcome:?}");
        stored += usize::from(outcome.is_ok());
        if done {
            break;
        }
        at += 1;
    }
    assert!(at > 20 && stored > 1, "{stored} backups of {at} operations");
}

#[tokio::test]
async fn changing_tags_never_lets_go_of_the_data() {
    let mut at = 1;
    loop {
        let (memory, trees) = half_forgotten(49).await;
        let other = memory.clone();
        let between = Between::new(&memory, at, async move {
            let repository = Scene::new(50).open(shared(other)).await.expect("opened");
            let ids: Vec<SnapshotId> =
                repository.snapshots().await.expect("listed").iter().map(|snapshot| snapshot.id).collect();
            let change = strongroom::TagChange { add: vec!["new".into()], ..strongroom::TagChange::default() };
            repository.tag(&ids, &change).await.expect("tagged");
        });
        let repository = Scene::new(51).open(shared(between.clone())).await.expect("opened");
        in_time(prune(&repository)).await.unwrap_or_else(|error| panic!("{at}: {}", told(&error)));
        let done = !between.happened();
        assert_eq!(sound(&memory, &trees, &format!("tags before operation {at}")).await, 1);
        if done {
            break;
        }
        at += 1;
    }
}

#[tokio::test]
async fn two_prunes_at_once_with_grace_finish_each_others_work() {
    let (memory, trees) = half_forgotten(52).await;
    let (one, other) = (Scene::new(53), Scene::new(54));
    let one = one.open(shared(memory.clone())).await.expect("opened");
    let other = other.open(shared(memory.clone())).await.expect("opened");
    let day = Duration::from_secs(24 * 3600);
    let patient = |repository: &strongroom::Repository| {
        repository.prune().min_age(Duration::ZERO).max_unused(MaxUnused::Bytes(0)).grace(day).plan()
    };
    let (first, second) = tokio::join!(patient(&one), patient(&other));
    let (first, second) = tokio::join!(first.expect("planned").apply(), second.expect("planned").apply());
    let (first, second) = (first.expect("pruned"), second.expect("pruned"));
    assert_eq!((first.packs_deleted, second.packs_deleted), (0, 0));
    let report = eager(&one).plan().await.expect("planned").apply().await.expect("pruned");
    assert!(report.packs_deleted > 0, "{report:?}");
    sound(&memory, &trees, "after both").await;
}

/// The cases above mean something only if the prune deletes and copies, and the backup leans on what is there.
#[tokio::test]
async fn trees_of_these_tests_share_what_a_prune_removes() {
    let (memory, trees) = half_forgotten(55).await;
    let repository = Scene::new(56).open(shared(memory.clone())).await.expect("opened");
    let report = prune(&repository).await.expect("pruned");
    assert!(report.packs_deleted > 0 && report.chunks_copied > 0, "{report:?}");
    let new = |tree: &Tree| tree.items.iter().map(|item| item.bytes.len() as u64).sum::<u64>();
    let report = store(&repository, &trees.0[2]).await.expect("stored");
    assert!(report.bytes_new > 0 && report.bytes_new < new(&trees.0[2]), "{}", report.bytes_new);
}

/// Two trees that two hosts stored without seeing each other's: what both have is in a pack of each.
async fn stored_twice(seed: u64) -> (MemoryBackend, Trees, SnapshotId) {
    let one = tree("one", &[(1, 300_000), (2, 200_000)]);
    let two = tree("two", &[(1, 300_000), (3, 90_000)]);
    let three = tree("three", &[(3, 90_000), (4, 50_000)]);
    let scene = Scene::new(seed);
    let memory = MemoryBackend::with_clock(scene.clock());
    scene.create(shared(memory.clone()), false).await.expect("created");
    let apart = memory.fork();
    let first = stored(&Scene::new(seed + 1).open(shared(memory.clone())).await.expect("opened"), &one).await;
    stored(&Scene::new(seed + 2).open(shared(apart.clone())).await.expect("opened"), &two).await;
    become_of(&memory, memory.contents().into_iter().chain(apart.contents())).await;
    (memory, Trees(vec![one, two, three]), first)
}

/// Makes a store hold these objects and no others.
async fn become_of(memory: &MemoryBackend, objects: impl Iterator<Item = (Name, Bytes)>) {
    let objects: BTreeMap<Name, Bytes> = objects.collect();
    for (name, _) in memory.contents() {
        if !objects.contains_key(&name) {
            memory.delete(&name).await.expect("deleted");
        }
    }
    for (name, bytes) in objects {
        memory.replace(name, bytes);
    }
}

#[tokio::test]
async fn a_prune_that_dies_takes_no_copy_that_another_relies_on() {
    for seed in [100, 110, 120, 130] {
        let (mut at, mut died) = (1, 0);
        loop {
            let (memory, trees, first) = stored_twice(seed).await;
            let other = memory.clone();
            let deletions = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&deletions);
            let between = Between::new(&memory, at, async move {
                let crash = Crash::new(&other);
                let repository = Scene::new(seed + 3).open(shared(crash.clone())).await.expect("opened");
                repository.forget(&[first]).await.expect("forgotten");
                prune(&repository).await.expect("pruned");
                let trace = crash.trace();
                let is_pack = |event: &&Event| matches!(event, Event::Delete { name } if name.is_pack());
                counted.store(trace.iter().filter(is_pack).count(), Ordering::SeqCst);
                if let Some(last) = trace.iter().position(|event| is_pack(&event)) {
                    become_of(&other, crash.at(last + 1, Mode::Kept).contents().into_iter()).await;
                }
            });
            let repository = Scene::new(seed + 4).open(shared(between.clone())).await.expect("opened");
            // It may find that everything has changed under its hands.
            let _ = in_time(prune(&repository)).await;
            if !between.happened() {
                break;
            }
            died += usize::from(deletions.load(Ordering::SeqCst) > 1);
            sound(&memory, &trees, &format!("seed {seed}, before operation {at}")).await;
            at += 1;
        }
        assert!(at > 40 && died > 20, "{at} operations, {died} times another died between two deletions");
    }
}
