//! A snapshot goes only when another one holds all that is left of it.

use super::DATA;
use super::House;
use crate::support::given::Tree;
use bytes::Bytes;
use strongroom::Name;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom::SnapshotId;

const FILES: [(u64, usize); 3] = [(1, 300_000), (2, 310_000), (3, 290_000)];

/// One snapshot of three files, each of which is in a pack of its own.
async fn scene(seed: u64) -> (House, Snapshot, Vec<(Name, Bytes)>) {
    let trees = [Tree::of_files("one", &FILES[..1]), Tree::of_files("two", &FILES[..2])];
    let house = House::of(seed, trees).await;
    let repository = house.open(400).await;
    let whole = super::stored(&repository, &Tree::of_files("all", &FILES)).await;
    let mut packs = Vec::new();
    for id in [house.ids[0], house.ids[1], whole] {
        let session = repository.snapshot(&id).await.expect("a snapshot").session;
        for (pack, bytes) in house.packs(DATA) {
            if repository.inspect_pack(pack).await.expect("a pack").session == session {
                packs.push((Name::Pack(pack), bytes));
            }
        }
    }
    assert_eq!(packs.len(), 3);
    repository.forget(&house.ids).await.expect("forgotten");
    let whole = repository.snapshot(&whole).await.expect("a snapshot");
    (house, whole, packs)
}

/// The files of a snapshot, all of which are read.
async fn files(repository: &Repository, id: SnapshotId) -> Vec<String> {
    let snapshot = repository.snapshot(&id).await.expect("a snapshot");
    let mut entries = repository.view(&snapshot).await.expect("a view").walk(None);
    let mut files = Vec::new();
    while let Some(entry) = entries.next().await.expect("an entry") {
        let mut content = entries.open(&entry);
        while content.next().await.expect("its bytes").is_some() {}
        files.push(entry.path.to_string());
    }
    files
}

/// Repaired without the first file, which comes back; then the second one is lost.
async fn repaired_for_another_loss(house: &House, whole: &Snapshot, packs: &[(Name, Bytes)]) -> Snapshot {
    house.delete(packs[0].0).await;
    let repository = house.open(401).await;
    let report = repository.repair_snapshots(vec![whole.clone()]).start().await.expect("repaired");
    let stand_in = report.repaired[0].new.expect("stored");
    assert_eq!(files(&repository, stand_in).await, ["file 000002", "file 000003"]);
    house.memory.replace(packs[0].0, packs[0].1.to_vec());
    house.delete(packs[1].0).await;
    repository.snapshot(&stand_in).await.expect("a snapshot")
}

#[tokio::test]
async fn one_that_lacks_other_files_does_not_stand_for_a_snapshot() {
    let (house, whole, packs) = scene(1).await;
    repaired_for_another_loss(&house, &whole, &packs).await;
    let repository = house.open(402).await;
    let tried = repository.repair_snapshots(vec![whole.clone()]).dry_run(true).start().await.expect("tried");
    assert!(!tried.repaired[0].was_there);
    let report = repository.repair_snapshots(vec![whole.clone()]).forget(true).start().await.expect("repaired");
    assert!(!report.repaired[0].was_there, "{report:?}");
    let new = report.repaired[0].new.expect("stored");
    assert_eq!(files(&repository, new).await, ["file 000001", "file 000003"]);
}

#[tokio::test]
async fn one_that_is_replaced_in_the_same_run_does_not_stand_for_a_snapshot() {
    for is_old_first in [false, true] {
        let (house, whole, packs) = scene(2).await;
        let stand_in = repaired_for_another_loss(&house, &whole, &packs).await;
        let repository = house.open(403).await;
        let mut all = vec![stand_in.clone(), whole.clone()];
        if is_old_first {
            all.reverse();
        }
        let report = repository.repair_snapshots(all).forget(true).start().await.expect("repaired");
        assert_eq!(report.repaired.len(), 2);
        for one in report.repaired {
            let expected: &[_] = if one.old == whole.id { &["file 000001", "file 000003"] } else { &["file 000003"] };
            assert_eq!(files(&repository, one.new.expect("stored")).await, expected);
        }
    }
}

#[tokio::test]
async fn one_whose_own_catalog_is_lost_does_not_stand_for_a_snapshot() {
    let (house, whole, packs) = scene(3).await;
    house.delete(packs[0].0).await;
    let before = house.packs(super::METADATA);
    let repository = house.open(404).await;
    let first = repository.repair_snapshots(vec![whole.clone()]).start().await.expect("repaired").repaired;
    for (pack, bytes) in house.packs(super::METADATA) {
        if !before.contains(&(pack, bytes)) {
            house.delete(Name::Pack(pack)).await;
        }
    }
    let repository = house.open(405).await;
    let again = repository.repair_snapshots(vec![whole]).forget(true).start().await.expect("repaired").repaired;
    assert_ne!(again[0].new, first[0].new);
    assert_eq!(files(&repository, again[0].new.expect("stored")).await, ["file 000002", "file 000003"]);
}
