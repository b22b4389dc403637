//! Bad sectors: bytes that a disk gives back no more are damage of one object, and everything else goes on.

use super::DATA;
use super::House;
use super::repair_packs;
use super::stored;
use super::untouched;
use crate::support::given::Tree;
use strongroom::Area;
use strongroom::Name;

/// The length of an object.
fn length(house: &House, name: Name) -> usize {
    house.memory.contents().into_iter().find(|(other, _)| *other == name).expect("it is there").1.len()
}

#[tokio::test]
async fn a_bad_sector_in_a_pack_costs_the_segment_it_is_in_and_no_other() {
    let house = House::new(31).await;
    let repository = house.open(310).await;
    let (mut pack, mut segments) = (house.packs(DATA)[0].0, Vec::new());
    for (id, _) in house.packs(DATA) {
        let view = repository.inspect_pack(id).await.expect("a pack");
        if view.segments.len() > segments.len() {
            (pack, segments) = (id, view.segments);
        }
    }
    assert!(segments.len() > 1, "a pack of one segment proves nothing");
    // As large as a sector can be, and nowhere near the neighbours.
    let largest = segments.iter().max_by_key(|segment| segment.stored_length).expect("more than one");
    let middle = largest.offset as usize + largest.stored_length as usize / 2;
    house.memory.spoil(&Name::Pack(pack), middle..middle + 4096);
    let problems = house.problems().await;
    assert!(problems.iter().any(|line| line.starts_with(&Name::Pack(pack).to_string())), "{problems:?}");
    assert_eq!(problems.len(), 1, "everything else was checked and is sound: {problems:?}");
    let before = house.memory.contents();
    let report = repair_packs(&house.open(311).await).await;
    let [damaged] = report.damaged.as_slice() else { panic!("{report:?}") };
    assert_eq!((damaged.id, damaged.segments, damaged.segments_lost), (pack, segments.len() as u64, 1));
    assert_eq!((report.packs_written, report.chunks_lost), (1, 1), "{report:?}");
    untouched(&before, &house.memory);
}

#[tokio::test]
async fn a_bad_sector_in_a_small_object_stops_no_check_and_no_backup() {
    let house = House::new(32).await;
    let [index, ..] = house.names(Area::Index).await[..] else { panic!("an index object") };
    let record = Name::Snapshot(house.ids[0]);
    for name in [index, record] {
        house.memory.spoil(&name, 0..length(&house, name));
    }
    let problems = house.problems().await;
    for name in [index, record] {
        assert!(problems.iter().any(|line| line.starts_with(&name.to_string())), "{name}: {problems:?}");
    }
    let tree = Tree::of_files("one", &[(1, 300_000), (9, 5000)]);
    let id = stored(&house.open(320).await, &tree).await;
    let repository = house.open(321).await;
    let list = repository.list_snapshots().await.expect("listed");
    let stored = list.snapshots.iter().find(|snapshot| snapshot.id == id).expect("there");
    let trees = crate::support::scene::Trees(vec![tree]);
    assert_eq!(trees.compare(&repository, stored).await.expect("read"), None);
}
