//! A store without room: a prune gives back what it can with the little there is.

use super::bytes_in_packs;
use super::eager;
use super::is_sound;
use super::made;
use super::names;
use super::prune;
use super::stored;
use super::tree;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::shared;
use crate::support::scene::told;
use std::time::Duration;
use strongroom::Area;
use strongroom::Error;
use strongroom::Kind;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::PruneReport;
use strongroom::Repository;
use strongroom::TagChange;
use strongroom_testkit::filling::Filling;

const FILE: usize = 100_000;
const PACKS: u64 = 8;

fn used(memory: &MemoryBackend) -> u64 {
    memory.contents().iter().map(|(_, bytes)| bytes.len() as u64).sum()
}

/// Eight packs of ten files each; a snapshot needs one file of the first, two of the second, and so on.
async fn partly_needed(seed: u64) -> (MemoryBackend, Repository, Trees) {
    let (_, memory, repository) = made(seed).await;
    let (mut forget, mut files) = (Vec::new(), Vec::new());
    let labels = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for (pack, label) in (0..PACKS).zip(labels) {
        let all: Vec<(u64, usize)> = (0..10).map(|file| (100 * (pack + 1) + file, FILE)).collect();
        files.extend_from_slice(&all[..pack as usize + 1]);
        forget.push(stored(&repository, &tree(label, &all)).await);
    }
    let kept = tree("kept", &files);
    stored(&repository, &kept).await;
    repository.forget(&forget).await.expect("forgotten");
    (memory, repository, Trees(vec![kept]))
}

#[tokio::test]
async fn a_full_store_is_pruned_with_room_for_what_is_needed_of_one_pack() {
    let (memory, repository, trees) = partly_needed(31).await;
    let before = bytes_in_packs(&memory).await;
    memory.limit(used(&memory) + 3 * FILE as u64 / 2);
    let report = prune(&repository).await.expect("pruned");
    let (after, needed) = (bytes_in_packs(&memory).await, FILE as u64 * PACKS * (PACKS + 1) / 2);
    assert!(before > 2 * needed && after < needed + needed / 50, "{before} {after}: {report:?}");
    assert!(report.packs_deleted >= PACKS && report.packs_left == names(&memory, Area::Packs).await.len() as u64);
    is_sound(&repository, &trees, 1).await;
}

#[tokio::test]
async fn a_prune_that_found_no_room_does_not_stand_in_the_way_of_the_next() {
    let (memory, repository, trees) = partly_needed(32).await;
    memory.limit(used(&memory) + FILE as u64 / 2);
    let error = prune(&repository).await.expect_err("no room for one file");
    assert_eq!(error.kind(), Kind::NoSpace, "{error}");
    is_sound(&repository, &trees, 1).await;
    // Whatever the next one is asked for, it finishes with what is condemned.
    memory.limit(used(&memory) + 3 * FILE as u64 / 2);
    let report = eager(&repository).max_repack_bytes(0).plan().await.expect("planned").apply().await.expect("pruned");
    assert!(report.packs_deleted >= PACKS && report.packs_waiting == 0, "{report:?}");
    is_sound(&repository, &trees, 1).await;
}

/// Full to the last byte, so that nothing at all can be stored.
fn fill(memory: &MemoryBackend, spare: u64) {
    memory.limit(used(memory) + spare);
}

#[tokio::test]
async fn a_store_without_room_finishes_what_is_condemned_before_it_condemns_more() {
    let (memory, _, trees) = partly_needed(34).await;
    // Stopped before its tomb: everything is condemned, and nothing is gone.
    let (outcome, _) = pruned_while_filling(&memory, (Area::Tombs, 1), 0, 0).await;
    assert_eq!(outcome.err().map(|error| error.kind()), Some(Kind::NoSpace));
    memory.limit(u64::MAX);
    let repository = Scene::new(46).open(shared(memory.clone())).await.expect("opened");
    let more = [stored(&repository, &tree("more", &[(901, 500_000)])).await];
    repository.forget(&more).await.expect("forgotten");
    let marks = names(&memory, Area::Marks).await;
    for _ in 0..12 {
        fill(&memory, 0);
        let error = eager(&repository).forgotten(&more).plan().await.expect("planned").apply().await;
        assert_eq!(error.expect_err("no room").kind(), Kind::NoSpace);
        assert_eq!(names(&memory, Area::Marks).await, marks, "what no room is left for is not condemned");
    }
    // Room for one tomb, and none for a mark beside it.
    fill(&memory, 600);
    let report = prune(&repository).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    assert!(report.packs_deleted > PACKS, "{report:?}");
    memory.limit(u64::MAX);
    is_sound(&repository, &trees, 1).await;
}

#[tokio::test]
async fn a_store_with_room_for_one_mark_condemns_no_more_beside_what_is_still_needed_in_part() {
    let (memory, repository, trees) = partly_needed(33).await;
    // All is condemned, and there is no room to copy what is needed of any.
    fill(&memory, FILE as u64 / 2);
    prune(&repository).await.expect_err("no room for one file");
    memory.limit(u64::MAX);
    let condemned = eager(&repository).plan().await.expect("planned").summary().packs_waiting;
    assert!(condemned >= PACKS, "{condemned}");
    let more = [stored(&repository, &tree("more", &[(901, 500_000)])).await];
    repository.forget(&more).await.expect("forgotten");
    let filling = Filling::new(&memory, Area::Marks, 2, 0);
    let full = Scene::new(47).open(shared(filling.clone())).await.expect("opened");
    let error = eager(&full).forgotten(&more).plan().await.expect("planned").apply().await.expect_err("no room");
    assert!(filling.is_full() && error.kind() == Kind::NoSpace, "{error}");
    let summary = eager(&repository).plan().await.expect("planned").summary();
    assert_eq!(summary.packs_waiting, condemned, "what no room is left for is not condemned");
    memory.limit(u64::MAX);
    prune(&repository).await.expect("pruned");
    is_sound(&repository, &trees, 1).await;
}

#[tokio::test]
async fn a_changed_record_without_room_for_its_snapshot_leaves_no_intent() {
    let (_, memory, repository) = made(35).await;
    let id = stored(&repository, &tree("one", &[(1, 1000)])).await;
    let record = memory.contents().iter().find(|(name, _)| *name == Name::Snapshot(id)).expect("there").1.len() as u64;
    // The intent has room, and the snapshot has none.
    fill(&memory, record + record / 2);
    let change = TagChange { add: vec!["new".into()], ..TagChange::default() };
    assert_eq!(repository.tag(&[id], &change).await.expect_err("no room").kind(), Kind::NoSpace);
    assert_eq!(repository.protect(&[id], true).await.expect_err("no room").kind(), Kind::NoSpace);
    assert!(names(&memory, Area::Pending).await.is_empty(), "it would keep its data for two weeks");
    assert_eq!(names(&memory, Area::Snapshots).await, [Name::Snapshot(id)]);
}

/// What a prune came to where the store was full from put `at` of `area` on, and how often the reserve was spent.
async fn pruned_while_filling(
    objects: &MemoryBackend,
    (area, at): (Area, u64),
    grace: u64,
    aside: u64,
) -> (Result<PruneReport, Error>, u64) {
    let filling = Filling::new(objects, area, at, aside);
    let repository = Scene::new(40 + aside).open(shared(filling.clone())).await.expect("opened");
    let plan = eager(&repository).grace(Duration::from_secs(grace)).plan().await.expect("planned");
    let outcome = plan.apply().await;
    assert!(filling.is_full(), "{area:?} {at}: so many were never stored");
    (outcome, filling.spent())
}

#[tokio::test]
async fn whatever_a_prune_has_no_room_for_it_stores_in_the_reserve() {
    let (memory, _, trees) = partly_needed(33).await;
    let day = 24 * 3600;
    let all = [
        ((Area::Marks, 1), 0),
        ((Area::DataKeys, 1), 0),
        ((Area::Packs, 1), 0),
        // The index object of the copies; and, where nothing is deleted yet that would give room, a merged one.
        ((Area::Index, 1), 0),
        ((Area::Index, 2), day),
        ((Area::Tombs, 1), 0),
    ];
    for (put, grace) in all {
        let objects = memory.fork();
        let (outcome, spent) = pruned_while_filling(&objects, put, grace, 8_000_000).await;
        let report = outcome.unwrap_or_else(|error| panic!("{put:?}: {error}"));
        assert_eq!((spent, report.packs_deleted > 0), (1, grace == 0), "{put:?}: {report:?}");
        objects.limit(u64::MAX);
        let repository = Scene::new(50).open(shared(objects)).await.expect("opened");
        is_sound(&repository, &trees, 1).await;
        // Without it the same prune has no room, and has harmed nothing.
        let objects = memory.fork();
        let (outcome, spent) = pruned_while_filling(&objects, put, grace, 0).await;
        let kind = outcome.err().map(|error| error.kind());
        assert_eq!((kind, spent), (Some(Kind::NoSpace), 0), "{put:?}");
        objects.limit(u64::MAX);
        let repository = Scene::new(51).open(shared(objects)).await.expect("opened");
        is_sound(&repository, &trees, 1).await;
        prune(&repository).await.expect("pruned");
        is_sound(&repository, &trees, 1).await;
    }
}
