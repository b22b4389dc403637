//! What only the index has lost is not called lost.

use super::DATA;
use super::House;
use super::repair_packs;
use super::stored;
use crate::support::given::Tree;
use strongroom::Area;
use strongroom::Error;
use strongroom::Kind;
use strongroom::Name;
use strongroom::SnapshotsRepaired;

async fn repair(house: &House, dry_run: bool) -> Result<SnapshotsRepaired, Error> {
    let repository = house.open(500).await;
    let all = repository.snapshots().await.expect("listed");
    repository.repair_snapshots(all).forget(true).dry_run(dry_run).start().await
}

/// Nothing is repaired, and the hint says what to run instead.
#[track_caller]
fn refused(result: Result<SnapshotsRepaired, Error>, instead: &str) {
    let error = result.expect_err("it is refused");
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.advice().is_some_and(|advice| advice.contains(instead)), "{error:?}");
}

#[tokio::test]
async fn snapshots_whose_packs_are_only_unnamed_are_not_repaired() {
    for number in [0, 1] {
        for is_gone in [false, true] {
            let house = House::new(1).await;
            let object = house.names(Area::Index).await[number];
            if is_gone {
                house.delete(object).await;
            } else {
                house.flip(object, 200);
            }
            let before = house.memory.contents();
            refused(repair(&house, true).await, "repair index");
            refused(repair(&house, false).await, "repair index");
            assert!(house.memory.contents() == before);
            house.open(501).await.repair_index().start().await.expect("repaired");
            assert_eq!(repair(&house, false).await.expect("looked at").whole.len(), 2);
        }
    }
}

#[tokio::test]
async fn a_damaged_pack_that_nothing_names_is_looked_into_first() {
    for at in [70, 100_000] {
        let house = House::new(2).await;
        let session = house.open(502).await.snapshot(&house.ids[1]).await.expect("a snapshot").session;
        let mut pack = None;
        for (id, _) in house.packs(DATA) {
            if house.open(502).await.inspect_pack(id).await.expect("a pack").session == session {
                pack = Some(id);
            }
        }
        for object in house.names(Area::Index).await {
            house.delete(object).await;
        }
        house.flip(Name::Pack(pack.expect("a pack of its own")), at);
        house.open(503).await.repair_index().start().await.expect("repaired");
        if at != 70 {
            refused(repair(&house, false).await, "repair packs");
            repair_packs(&house.open(504).await).await;
        }
        let report = repair(&house, false).await.expect("repaired");
        // Without its table nothing of the pack can be had; else all but what was hit.
        assert_eq!((report.whole.len(), report.repaired.len()), (1, 1));
        assert_eq!(report.repaired[0].entries_left_out, if at == 70 { 2 } else { 1 });
    }
}

#[tokio::test]
async fn what_is_gone_is_left_out_beside_packs_that_hold_something_else() {
    let house = House::new(3).await;
    let (named, needed) = (house.names(Area::Index).await, house.packs(DATA)[0].0);
    // As a backup that has not come to its index object yet.
    stored(&house.open(505).await, &Tree::of_files("running", &[(9, 200_000)])).await;
    for object in house.names(Area::Index).await {
        if !named.contains(&object) {
            house.delete(object).await;
        }
    }
    let repository = house.open(506).await;
    let running = repository.snapshots().await.expect("listed");
    let running = running.into_iter().find(|snapshot| !house.ids.contains(&snapshot.id)).expect("one");
    repository.forget(&[running.id]).await.expect("forgotten");
    house.delete(Name::Pack(needed)).await;
    let report = repair(&house, false).await.expect("repaired");
    assert!(!report.repaired.is_empty() || !report.hopeless.is_empty(), "{report:?}");
}

#[tokio::test]
async fn a_damaged_index_object_is_in_nobodys_way_when_all_packs_are_named() {
    let house = House::new(4).await;
    for object in house.names(Area::Index).await {
        house.flip(object, 200);
    }
    house.open(507).await.repair_index().start().await.expect("repaired");
    house.delete(Name::Pack(house.packs(DATA)[0].0)).await;
    let report = repair(&house, false).await.expect("repaired");
    assert!(!report.repaired.is_empty(), "{report:?}");
}
