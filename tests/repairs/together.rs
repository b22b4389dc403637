//! A repair beside prunes and backups: something else happens, whole, just before each of its operations.

use super::DATA;
use super::House;
use super::prune;
use super::stored;
use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::in_time;
use crate::support::scene::shared;
use crate::support::scene::told;
use strongroom::Area;
use strongroom::Name;
use strongroom_testkit::between::Between;

/// What is damaged can be made good whole: a rotten trailer, a lost index object and a lost key; and one snapshot is
/// forgotten, so that a prune has something to do.
async fn given() -> House {
    let house = House::new(1).await;
    let repository = house.open(600).await;
    let gone = stored(&repository, &Tree::of_files("gone", &[(2, 310_000), (8, 280_000), (9, 300_000)])).await;
    repository.forget(&[gone]).await.expect("forgotten");
    let (pack, bytes) = house.packs(DATA).into_iter().max_by_key(|(_, bytes)| bytes.len()).expect("a pack");
    house.flip(Name::Pack(pack), bytes.len() - 15);
    house.delete(house.names(Area::DataKeys).await[0]).await;
    house
}

async fn repair(repository: &strongroom::Repository) -> strongroom::Result<()> {
    repository.repair_index().start().await?;
    repository.repair_packs().start().await?;
    let snapshots = repository.snapshots().await?;
    let report = repository.repair_snapshots(snapshots).start().await?;
    assert!(report.repaired.is_empty() && report.hopeless.is_empty(), "nothing is lost: {report:?}");
    Ok(())
}

async fn sound(house: &House, snapshots: usize, case: &str) {
    repair(&house.open(610).await).await.unwrap_or_else(|error| panic!("{case}: {}", told(&error)));
    assert_eq!(house.right().await.len(), snapshots, "{case}");
    prune(&house.open(611).await).await.unwrap_or_else(|error| panic!("{case}: the next prune: {}", told(&error)));
    assert_eq!(house.right().await.len(), snapshots, "{case}, pruned");
    assert_eq!(house.problems().await, Vec::<String>::new(), "{case}");
}

#[tokio::test]
async fn a_prune_may_come_between_any_two_operations_of_a_repair() {
    let mut at = 1;
    loop {
        let house = given().await;
        let other = house.memory.clone();
        let between = Between::new(&house.memory, at, async move {
            let repository = Scene::new(620).open(shared(other)).await.expect("opened");
            // It stops where it would have to copy from the pack that is damaged.
            let _ = prune(&repository).await;
        });
        let repository = Scene::new(621).open(shared(between.clone())).await.expect("opened");
        in_time(repair(&repository)).await.unwrap_or_else(|error| panic!("{at}: {}", told(&error)));
        let done = !between.happened();
        sound(&house, 2, &format!("prune before operation {at}")).await;
        if done {
            break;
        }
        at += 1;
    }
    assert!(at > 20, "{at} operations");
}

#[tokio::test]
async fn a_repair_may_come_between_any_two_operations_of_a_backup() {
    let mut at = 1;
    loop {
        let house = given().await;
        let other = house.memory.clone();
        let between = Between::new(&house.memory, at, async move {
            let repository = Scene::new(630).open(shared(other)).await.expect("opened");
            repair(&repository).await.expect("repaired");
        });
        let repository = Scene::new(631).open(shared(between.clone())).await.expect("opened");
        let outcome = in_time(crate::support::scene::store(&repository, &house.trees.0[1])).await;
        let done = !between.happened();
        assert!(outcome.is_ok(), "{at}: it gets off the pack that is condemned: {outcome:?}");
        sound(&house, 3, &format!("repair before operation {at}")).await;
        if done {
            break;
        }
        at += 1;
    }
    assert!(at > 20, "{at} operations");
}
