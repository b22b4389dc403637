//! Data keys that no pack names: they go, and whatever becomes of them costs nothing.

use super::bytes_in_packs;
use super::is_sound;
use super::names;
use super::prune;
use super::stored;
use super::time::DAY;
use super::time::made as made_in_time;
use super::tree;
use crate::support::given::End;
use crate::support::given::Given;
use crate::support::scene::Scene;
use crate::support::scene::Trees;
use crate::support::scene::backup;
use crate::support::scene::in_time;
use crate::support::scene::shared;
use crate::support::scene::store;
use crate::support::scene::told;
use std::collections::BTreeSet;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Error;
use strongroom::Kind;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Repository;
use strongroom_testkit::between::Between;

/// The keys that packs name.
async fn named(repository: &Repository, memory: &MemoryBackend) -> BTreeSet<Name> {
    let mut named = BTreeSet::new();
    for name in names(memory, Area::Packs).await {
        let Name::Pack(id) = name else { continue };
        let pack = repository.inspect_pack(id).await.expect("a pack");
        named.extend(pack.data_keys.into_iter().map(Name::DataKey));
    }
    named
}

async fn keys(memory: &MemoryBackend) -> BTreeSet<Name> {
    names(memory, Area::DataKeys).await.into_iter().collect()
}

#[tokio::test]
async fn many_small_backups_that_were_thinned_leave_no_more_keys_than_few() {
    let (_, memory, repository) = super::made(61).await;
    let (mut forget, mut kept) = (Vec::new(), Vec::new());
    for (fifty, name) in (0..).zip(["one", "two", "three", "four"]) {
        for round in 50 * fifty..50 * (fifty + 1) {
            let tree = tree(name, &[(round, 300)]);
            let id = stored(&repository, &tree).await;
            if round % 50 == 49 { kept.push(tree) } else { forget.push(id) }
        }
    }
    assert_eq!(keys(&memory).await.len(), 400);
    repository.forget(&forget).await.expect("forgotten");
    let plan = repository.prune().forgotten(&forget).plan().await.expect("planned");
    let planned = plan.summary().keys_removed;
    let report = plan.apply().await.expect("pruned");
    assert!(report.keys_deleted >= 390 && report.keys_deleted == planned, "{planned} {report:?}");
    assert_eq!(keys(&memory).await, named(&repository, &memory).await);
    let bytes: usize = memory.contents().iter().map(|(_, bytes)| bytes.len()).sum();
    assert!((bytes as u64) < bytes_in_packs(&memory).await + 40_000, "{bytes}");
    kept.push(tree("last", &[(7, 10)]));
    stored(&repository, &kept[4]).await;
    is_sound(&repository, &Trees(kept), 5).await;
}

#[tokio::test]
async fn a_key_that_nothing_names_may_be_that_of_a_running_backup_until_it_is_old() {
    let (_, hands, memory, repository) = made_in_time(62).await;
    let one = tree("one", &[(1, 1000)]);
    stored(&repository, &one).await;
    let before = keys(&memory).await;
    let ending = Given::ending(&tree("none", &[(2, 1000)]), End::FailAt(0));
    backup(&repository, ending).start().await.expect_err("the source failed");
    let both = keys(&memory).await;
    assert_eq!(both.len(), before.len() + 2);
    for (days, left) in [(0, &both), (13, &both), (2, &before)] {
        hands.pass(days * DAY);
        let plan = repository.prune().plan().await.expect("planned");
        plan.apply().await.expect("pruned");
        assert_eq!(&keys(&memory).await, left, "after {days} more days");
        assert!(names(&memory, Area::Marks).await.is_empty(), "a mark that only told the time");
    }
    is_sound(&repository, &Trees(vec![one]), 1).await;
}

#[tokio::test]
async fn where_young_packs_may_go_their_keys_stay_until_they_are_old() {
    let (_, hands, memory, repository) = made_in_time(67).await;
    let two = tree("two", &[(2, 1000)]);
    let doomed = stored(&repository, &tree("one", &[(1, 1000)])).await;
    stored(&repository, &two).await;
    repository.forget(&[doomed]).await.expect("forgotten");
    let all = keys(&memory).await;
    // The session that a key is of may go on, and store more packs that need it.
    prune(&repository).await.expect("pruned");
    assert_eq!(keys(&memory).await, all);
    hands.pass(2 * DAY);
    prune(&repository).await.expect("pruned");
    assert_eq!(keys(&memory).await, named(&repository, &memory).await);
    assert!(keys(&memory).await.len() < all.len());
    is_sound(&repository, &Trees(vec![two]), 1).await;
}

#[tokio::test]
async fn a_key_stays_while_a_pack_names_it_that_the_index_does_not_know() {
    let (_, hands, memory, repository) = made_in_time(63).await;
    let one = tree("one", &[(1, 1000)]);
    stored(&repository, &one).await;
    let known = names(&memory, Area::Index).await;
    for (at, half) in [(1, tree("half", &[(2, 200_000), (3, 100)])), (0, tree("none", &[(4, 100)]))] {
        backup(&repository, Given::ending(&half, End::FailAt(at))).start().await.expect_err("the source failed");
    }
    // A backup that runs has packs that no index object names yet. The store's clock goes on, and this host's does not.
    for name in names(&memory, Area::Index).await {
        if !known.contains(&name) {
            memory.delete(&name).await.expect("deleted");
        }
    }
    hands.pass(100 * DAY);
    let (named, all) = (named(&repository, &memory).await, keys(&memory).await);
    assert_eq!((named.len(), all.len()), (3, 6));
    let plan = repository.prune().plan().await.expect("planned");
    assert!(plan.summary().packs_unfinished >= 1 && plan.summary().bytes_unfinished > 200_000, "{plan:?}");
    let report = plan.apply().await.expect("pruned");
    assert_eq!((report.packs_deleted, report.keys_deleted), (0, 3), "{report:?}");
    assert_eq!(keys(&memory).await, named);
    is_sound(&repository, &Trees(vec![one]), 1).await;
}

/// Whatever a writer has stored it can store the rest, and everything is read: keys are in the packs too.
#[tokio::test]
async fn keys_may_go_between_any_two_operations_of_a_backup() {
    let (_, memory, repository) = super::made(64).await;
    let one = tree("one", &[(1, 1000), (2, 200_000)]);
    stored(&repository, &one).await;
    let two = tree("two", &[(2, 200_000), (3, 100_000), (4, 10)]);
    let mut at = 1;
    loop {
        let memory = memory.fork();
        let other = memory.clone();
        let between = Between::new(&memory, at, async move {
            for name in names(&other, Area::DataKeys).await {
                other.delete(&name).await.expect("deleted");
            }
        });
        let open = Scene::new(65).open(shared(between.clone())).await;
        if let Ok(repository) = open {
            let outcome = in_time(store(&repository, &two)).await;
            // Between being stored and being read back: no prune takes a key that is so young.
            let is_soon = |error: &Error| error.kind() == Kind::NotFound && error.to_string().contains("keys/data");
            let snapshots = match outcome {
                Ok(_) => 2,
                Err(error) if is_soon(&error) => 1,
                Err(error) => panic!("{at}: {}", told(&error)),
            };
            let fresh = Scene::new(66).open(shared(memory.clone())).await.expect("opened");
            let trees = Trees(vec![one.clone(), two.clone()]);
            assert_eq!(trees.all_right(&fresh).await.expect("all right").len(), snapshots, "{at}");
            // The next backup puts back what is missed, and the next prune finds nothing wrong.
            store(&fresh, &two).await.expect("stored");
            is_sound(&fresh, &trees, snapshots + 1).await;
            prune(&fresh).await.expect("pruned");
            is_sound(&fresh, &trees, snapshots + 1).await;
        }
        if !between.happened() {
            break;
        }
        at += 1;
    }
    assert!(at > 20, "{at} operations");
}
