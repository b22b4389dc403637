//! Lost data from another repository that has the same files.

use super::DATA;
use super::House;
use super::METADATA;
use super::stored;
use super::untouched;
use crate::support::given::Tree;
use crate::support::scene::Scene;
use crate::support::scene::shared;
use strongroom::FetchReport;
use strongroom::Kind;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Repository;

async fn second(seed: u64) -> Repository {
    let scene = Scene::new(seed);
    let memory = MemoryBackend::with_clock(scene.clock());
    scene.create(shared(memory), false).await.expect("created").0
}

/// A copy of everything in the house.
async fn copied(house: &House, seed: u64) -> Repository {
    let (from, to) = (house.open(seed).await, second(seed + 1).await);
    let all = from.snapshots().await.expect("listed");
    from.copy_to(&to, all).start().await.expect("copied");
    to
}

async fn fetch(house: &House, other: &Repository) -> FetchReport {
    let repository = house.open(400).await;
    let all = repository.snapshots().await.expect("listed");
    repository.fetch_from(other, all).start().await.expect("fetched")
}

#[tokio::test]
async fn what_is_lost_comes_back_from_a_copy_to_the_byte_and_nothing_else_does() {
    let house = House::new(1).await;
    let other = copied(&house, 410).await;
    let (gone, _) = house.packs(DATA)[0];
    let lost: u64 = {
        let view = house.open(411).await.inspect_pack(gone).await.expect("a pack");
        view.segments.iter().map(|segment| u64::from(segment.plain_length)).sum()
    };
    house.delete(Name::Pack(gone)).await;
    let before = house.memory.contents();
    let report = fetch(&house, &other).await;
    assert_eq!((report.lacking.len(), report.unmatched.len(), report.bytes_new), (0, 0, lost), "{report:?}");
    assert!(!report.mended.is_empty());
    untouched(&before, &house.memory);
    assert_eq!(house.right().await.len(), 2);
    let again = fetch(&house, &other).await;
    assert_eq!((again.whole.len(), again.bytes_new), (2, 0));
}

#[tokio::test]
async fn lost_pages_of_the_catalog_come_back_too() {
    let (one, mut two) = (Tree::of_many("one", 1, 3000), Tree::of_many("two", 1, 3000));
    two.items = two.items[..2000].to_vec().into();
    let house = House::of(2, [one, two]).await;
    let other = copied(&house, 420).await;
    for class in [DATA, METADATA] {
        house.delete(Name::Pack(house.packs(class)[0].0)).await;
    }
    assert!(house.right().await.len() < 2);
    let report = fetch(&house, &other).await;
    assert_eq!(report.lacking.len(), 0, "{report:?}");
    assert_eq!(house.right().await.len(), 2);
}

#[tokio::test]
async fn an_independent_backup_of_the_same_files_helps_where_they_are_the_same() {
    let house = House::new(3).await;
    let other = second(430).await;
    // Other times, other sessions, and one of the two trees only.
    stored(&other, &Tree::of_files("elsewhere", &[(1, 300_000), (3, 290_000), (40, 1_000_000)])).await;
    for (id, _) in house.packs(DATA) {
        house.delete(Name::Pack(id)).await;
    }
    let before = house.memory.contents();
    let report = fetch(&house, &other).await;
    untouched(&before, &house.memory);
    assert_eq!(report.bytes_new, 590_000, "only what is missing: {report:?}");
    assert!(report.lacking.len() == 2 && report.mended.is_empty());
}

#[tokio::test]
async fn a_repository_without_the_same_source_is_no_help_and_one_is_not_its_own() {
    let house = House::new(4).await;
    house.delete(Name::Pack(house.packs(DATA)[0].0)).await;
    let report = fetch(&house, &second(440).await).await;
    assert!(!report.unmatched.is_empty() && report.bytes_new == 0, "{report:?}");
    let repository = house.open(441).await;
    let refused = repository.fetch_from(&house.open(442).await, Vec::new()).start().await.expect_err("the same");
    assert_eq!(refused.kind(), Kind::Invalid);
}
