//! The index made again from the packs, and data keys put back.

use super::House;
use super::prune;
use super::stored;
use super::untouched;
use crate::support::given::Tree;
use std::time::Duration;
use strongroom::Area;
use strongroom::IndexRepaired;
use strongroom::MaxUnused;
use strongroom::Name;

async fn repair(house: &House, dry_run: bool) -> IndexRepaired {
    house.open(100).await.repair_index().dry_run(dry_run).start().await.expect("repaired")
}

#[tokio::test]
async fn a_lost_index_is_made_again_from_the_packs() {
    let house = House::new(1).await;
    for name in house.names(Area::Index).await {
        house.delete(name).await;
    }
    assert!(!house.problems().await.is_empty() && house.right().await.is_empty());
    let before = house.memory.contents();
    let told = repair(&house, true).await;
    assert!(house.memory.contents() == before, "a dry run stores nothing");
    let report = repair(&house, false).await;
    assert_eq!(told, report);
    assert_eq!(report.packs_named.len(), house.names(Area::Packs).await.len());
    assert!(report.chunks_named > 0 && report.is_complete());
    untouched(&before, &house.memory);
    assert_eq!(house.problems().await, Vec::<String>::new());
    assert_eq!(house.right().await.len(), 2);
    let objects = house.memory.contents();
    assert_eq!(repair(&house, false).await, IndexRepaired::default());
    assert!(house.memory.contents() == objects, "there is nothing left to do");
}

#[tokio::test]
async fn a_damaged_index_object_stays_and_is_missed_by_nobody() {
    let house = House::new(2).await;
    for (number, name) in house.names(Area::Index).await.into_iter().enumerate() {
        match number {
            0 => house.flip(name, 200),
            _ => house.memory.replace(name, &b"torn"[..]),
        }
    }
    let repository = house.open(101).await;
    assert!(prune(&repository).await.is_err(), "nobody knows what it named");
    let before = house.memory.contents();
    let report = repair(&house, false).await;
    assert_eq!((report.objects_damaged.len(), report.is_complete()), (2, true));
    assert_eq!(report.evidence().len(), 2);
    untouched(&before, &house.memory);
    assert_eq!(house.problems().await, Vec::<String>::new());
    assert_eq!(house.right().await.len(), 2);
    // A prune takes them away with what merges leave behind.
    prune(&repository).await.expect("pruned");
    assert!(
        before
            .iter()
            .filter(|(name, _)| matches!(name, Name::Index(_)))
            .all(|index| { house.memory.contents().iter().all(|(name, _)| *name != index.0) })
    );
    assert_eq!(house.problems().await, Vec::<String>::new());
    assert_eq!(house.right().await.len(), 2);
}

#[tokio::test]
async fn what_a_prune_has_condemned_does_not_come_back() {
    let house = House::new(4).await;
    let repository = house.open(102).await;
    let gone = stored(&repository, &Tree::of_files("gone", &[(50, 400_000)])).await;
    repository.forget(&[gone]).await.expect("forgotten");
    let patient = repository.prune().min_age(Duration::ZERO).max_unused(MaxUnused::Bytes(0));
    let plan = patient.grace(Duration::from_secs(24 * 3600)).plan().await.expect("planned");
    let condemned = plan.apply().await.expect("pruned").packs_condemned;
    assert!(condemned > 0);
    for name in house.names(Area::Index).await {
        house.delete(name).await;
    }
    let packs = house.names(Area::Packs).await.len();
    let report = repair(&house, false).await;
    assert_eq!(report.packs_named.len() + usize::try_from(condemned).expect("few"), packs);
    assert_eq!(house.right().await.len(), 2);
    prune(&repository).await.expect("the prune goes on");
    assert_eq!(house.problems().await, Vec::<String>::new());
    assert_eq!(house.right().await.len(), 2);
}

#[tokio::test]
async fn a_damaged_pack_is_not_named_and_lost_keys_come_back() {
    let house = House::new(5).await;
    for name in [house.names(Area::Index).await, house.names(Area::DataKeys).await].concat() {
        house.delete(name).await;
    }
    let (rotten, _) = house.packs(super::DATA)[0];
    house.flip(Name::Pack(rotten), 5000);
    let before = house.memory.contents();
    let report = repair(&house, false).await;
    assert_eq!(report.packs_unreadable.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [rotten]);
    assert!(!report.packs_named.contains(&rotten) && !report.is_complete());
    assert!(!report.keys.put_back.is_empty());
    untouched(&before, &house.memory);
}
