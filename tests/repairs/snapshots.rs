//! Snapshots that have lost data, written once more without it.

use super::DATA;
use super::House;
use super::METADATA;
use super::is_repaired;
use super::prune;
use super::repair_packs;
use super::stored;
use super::untouched;
use crate::support::given::Tree;
use strongroom::Area;
use strongroom::Kind;
use strongroom::Name;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom::SnapshotsRepaired;
use strongroom::TagChange;
use strongroom::Verdict;

async fn repair(repository: &Repository) -> SnapshotsRepaired {
    let snapshots = repository.list_snapshots().await.expect("listed").snapshots;
    repository.repair_snapshots(snapshots).start().await.expect("repaired")
}

async fn paths(repository: &Repository, snapshot: &Snapshot) -> Vec<String> {
    let mut entries = repository.view(snapshot).await.expect("a view").walk(None);
    let mut paths = Vec::new();
    while let Some(entry) = entries.next().await.expect("an entry") {
        let mut content = entries.open(&entry);
        while content.next().await.expect("its bytes").is_some() {}
        paths.push(entry.path.to_string());
    }
    paths
}

#[tokio::test]
async fn a_repaired_snapshot_has_all_that_is_left_and_names_the_rest() {
    let house = House::new(1).await;
    house.delete(Name::Pack(house.packs(DATA)[0].0)).await;
    let repository = house.open(300).await;
    let before = house.memory.contents();
    let all = repository.snapshots().await.expect("listed");
    let tried = repository.repair_snapshots(all.clone()).dry_run(true).start().await.expect("tried");
    assert!(house.memory.contents() == before);
    let report = repair(&repository).await;
    assert!(!report.repaired.is_empty());
    untouched(&before, &house.memory);
    for (one, tried) in report.repaired.iter().zip(&tried.repaired) {
        assert_eq!((&one.left_out, tried.new), (&tried.left_out, None));
        let old = all.iter().find(|snapshot| snapshot.id == one.old).expect("it was there");
        let new = repository.snapshot(&one.new.expect("stored")).await.expect("a snapshot");
        assert_eq!((new.started, &new.host, &new.paths, &new.label), (old.started, &old.host, &old.paths, &old.label));
        assert!(is_repaired(&new) && new.parent == Some(old.id));
        let lost: Vec<String> =
            one.left_out.iter().filter_map(|lost| lost.path.as_ref()).map(ToString::to_string).collect();
        assert!(!lost.is_empty() && lost.len() as u64 == one.entries_left_out);
        let Verdict::Partial(reasons) = &new.verdict else { panic!("it is partial") };
        assert!(lost.iter().all(|path| reasons.iter().any(|reason| reason.contains(path))), "{reasons:?}");
        let tree = house.trees.0.iter().find(|tree| Some(tree.name) == old.label.as_deref()).expect("its tree");
        let left = tree.items.iter().map(|item| item.path.to_string()).filter(|path| !lost.contains(path));
        assert_eq!(paths(&repository, &new).await, left.collect::<Vec<_>>());
        assert_eq!((new.counts.bytes_new, new.counts.bytes_stored > 1 << 20), (0, false), "nothing was stored again");
    }
    // Done once is done.
    let objects = house.memory.contents().len();
    let again = repository.repair_snapshots(all).start().await.expect("repaired");
    assert!(again.repaired.iter().all(|one| one.was_there), "{again:?}");
    assert_eq!(house.memory.contents().len(), objects);
}

#[tokio::test]
async fn after_repair_and_forget_the_repository_is_sound_and_can_be_pruned() {
    let house = House::new(2).await;
    let (pack, bytes) = house.packs(DATA).into_iter().max_by_key(|(_, bytes)| bytes.len()).expect("a pack");
    house.flip(Name::Pack(pack), bytes.len() / 2);
    let repository = house.open(301).await;
    // Nothing shows without reading the data.
    assert!(repair(&repository).await.repaired.is_empty());
    let lost = repair_packs(&repository).await.chunks_lost;
    assert!(lost > 0);
    assert_eq!(prune(&repository).await.expect_err("something needs what is lost").kind(), Kind::Damaged);
    let all = repository.snapshots().await.expect("listed");
    let report = repository.repair_snapshots(all).forget(true).start().await.expect("repaired");
    assert!(!report.repaired.is_empty());
    prune(&repository).await.expect("pruned");
    assert_eq!(house.problems().await, Vec::<String>::new());
    let left = repository.snapshots().await.expect("listed");
    assert_eq!(left.len(), 2);
    assert_eq!(left.iter().filter(|snapshot| is_repaired(snapshot)).count(), report.repaired.len());
}

#[tokio::test]
async fn damage_that_only_reading_shows_is_left_out_when_data_is_read() {
    let house = House::new(3).await;
    let (pack, bytes) = house.packs(DATA).into_iter().max_by_key(|(_, bytes)| bytes.len()).expect("a pack");
    house.flip(Name::Pack(pack), bytes.len() / 2);
    let repository = house.open(302).await;
    let all = repository.snapshots().await.expect("listed");
    let report = repository.repair_snapshots(all).read_data(true).start().await.expect("repaired");
    assert!(!report.repaired.is_empty());
    for one in &report.repaired {
        let new = repository.snapshot(&one.new.expect("stored")).await.expect("a snapshot");
        assert_eq!(paths(&repository, &new).await.len() as u64, 5 - one.entries_left_out);
    }
}

#[tokio::test]
async fn a_lost_page_of_the_catalog_costs_what_is_below_it() {
    let many = Tree::of_many("many", 5, 6000);
    let mut more = many.clone();
    more.name = "more";
    let mut items = more.items.to_vec();
    items.remove(3000);
    more.items = items.into();
    let house = House::of(4, [many, more]).await;
    let session = house.open(303).await.snapshot(&house.ids[0]).await.expect("a snapshot").session;
    for (id, _) in house.packs(METADATA) {
        if house.open(303).await.inspect_pack(id).await.expect("a pack").session == session {
            house.delete(Name::Pack(id)).await;
        }
    }
    let repository = house.open(304).await;
    let before = house.memory.contents();
    let report = repair(&repository).await;
    // The first one has lost its root; the second has some pages of its own.
    assert_eq!(report.hopeless.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [house.ids[0]]);
    let [one] = report.repaired.as_slice() else { panic!("{report:?}") };
    assert!(one.left_out.iter().all(|gap| gap.path.is_none() && gap.message.contains("cannot be read")));
    untouched(&before, &house.memory);
    let new = repository.snapshot(&one.new.expect("stored")).await.expect("a snapshot");
    assert_eq!(paths(&repository, &new).await.len() as u64, 5999 - one.entries_left_out);
    assert_eq!(new.counts.entries, 5999 - one.entries_left_out);
    // A further backup of what the source still has leans on nothing that is lost.
    stored(&repository, &house.trees.0[1]).await;
    repository.forget(&house.ids).await.expect("forgotten");
    assert_eq!(house.problems().await.iter().filter(|problem| !problem.contains("it is missing")).count(), 0);
}

#[tokio::test]
async fn a_protected_snapshot_is_not_replaced() {
    let house = House::new(5).await;
    let repository = house.open(305).await;
    let kept = repository.protect(&[house.ids[0]], true).await.expect("protected")[0].1;
    house.delete(Name::Pack(house.packs(DATA)[0].0)).await;
    let all = repository.snapshots().await.expect("listed");
    let refused = repository.repair_snapshots(all).forget(true).start().await.expect_err("protected");
    assert_eq!(refused.kind(), Kind::Protected);
    assert!(repository.snapshot(&kept).await.is_ok());
}

#[tokio::test]
async fn whole_snapshots_are_left_alone() {
    let house = House::new(6).await;
    // Their keys are lost, but packs hold them too.
    for name in house.names(Area::DataKeys).await {
        house.delete(name).await;
    }
    let repository = house.open(306).await;
    let before = house.memory.contents();
    let report = repair(&repository).await;
    assert_eq!((report.whole.len(), report.repaired.len(), report.hopeless.len()), (2, 0, 0));
    assert!(house.memory.contents() == before);
}

#[tokio::test]
async fn a_snapshot_that_has_lost_data_can_still_be_tagged_unprotected_and_forgotten() {
    let house = House::new(7).await;
    let repository = house.open(307).await;
    let kept = repository.protect(&[house.ids[0]], true).await.expect("protected")[0].1;
    let (pack, bytes) = house.packs(DATA).into_iter().max_by_key(|(_, bytes)| bytes.len()).expect("a pack");
    house.flip(Name::Pack(pack), bytes.len() / 2);
    assert!(repair_packs(&repository).await.chunks_lost > 0);
    let change = TagChange { add: vec!["hurt".into()], ..TagChange::default() };
    let tagged = repository.tag(&[kept, house.ids[1]], &change).await.expect("tagged");
    let free = repository.protect(&[tagged[0].1], false).await.expect("unprotected")[0].1;
    // What is left of it is left.
    let all = repository.snapshots().await.expect("listed");
    let report = repository.repair_snapshots(all).start().await.expect("repaired");
    assert!(report.repaired.iter().all(|one| one.entries_left_out == 1), "{report:?}");
    repository.forget(&[free, tagged[1].1]).await.expect("forgotten");
    prune(&repository).await.expect("pruned");
    assert_eq!(house.problems().await, Vec::<String>::new());
}
