//! Damaged packs: what still opens is saved, what does not is counted, and the next backup makes up for it.

use super::DATA;
use super::House;
use super::METADATA;
use super::prune;
use super::repair_packs;
use super::untouched;
use crate::support::scene::store;
use strongroom::Area;
use strongroom::Kind;
use strongroom::Name;
use strongroom::PackId;

/// The data pack that has most segments, and where each begins and ends.
async fn fullest(house: &House) -> (PackId, Vec<(usize, usize)>) {
    let repository = house.open(200).await;
    let mut best: (PackId, Vec<(usize, usize)>) = (house.packs(DATA)[0].0, Vec::new());
    for (id, _) in house.packs(DATA) {
        let view = repository.inspect_pack(id).await.expect("a pack");
        let places = view.segments.iter().map(|segment| {
            let start = segment.offset as usize;
            (start, start + segment.stored_length as usize)
        });
        let places: Vec<_> = places.collect();
        if places.len() > best.1.len() {
            best = (id, places);
        }
    }
    assert!(best.1.len() > 1, "a pack of one segment proves nothing");
    best
}

/// Afterwards a backup of what the source still has makes every snapshot whole, and a prune takes the damaged pack away.
async fn heals(house: &House, damaged: PackId) {
    let repository = house.open(201).await;
    for tree in &house.trees.0 {
        store(&repository, tree).await.expect("stored");
    }
    assert_eq!(house.right().await.len(), 4);
    prune(&repository).await.expect("pruned");
    assert!(!house.names(Area::Packs).await.contains(&Name::Pack(damaged)));
    assert_eq!(house.problems().await, Vec::<String>::new());
    assert_eq!(house.right().await.len(), 4);
}

#[tokio::test]
async fn the_good_segments_of_a_damaged_pack_are_saved_and_the_next_backup_stores_the_rest_again() {
    let house = House::new(1).await;
    let (pack, places) = fullest(&house).await;
    house.flip(Name::Pack(pack), places[0].0 + 5);
    let before = house.memory.contents();
    let tried = house.open(202).await.repair_packs().dry_run(true).start().await.expect("tried");
    assert!(house.memory.contents() == before);
    let report = repair_packs(&house.open(203).await).await;
    assert_eq!((tried.damaged.clone(), tried.chunks_lost), (report.damaged.clone(), report.chunks_lost));
    let [damaged] = report.damaged.as_slice() else { panic!("{report:?}") };
    assert_eq!((damaged.id, damaged.segments, damaged.segments_lost), (pack, places.len() as u64, 1));
    assert!(report.chunks_saved > 0 && report.packs_written == 1 && report.chunks_lost == 1, "{report:?}");
    untouched(&before, &house.memory);
    // Done once is done.
    let again = repair_packs(&house.open(204).await).await;
    assert_eq!((again.packs_written, again.chunks_lost), (0, 1), "{again:?}");
    heals(&house, pack).await;
}

#[tokio::test]
async fn a_pack_that_has_rotted_outside_its_segments_loses_nothing() {
    for at_end in [false, true] {
        let house = House::new(2).await;
        let (pack, places) = fullest(&house).await;
        // The table in front, or the trailer behind.
        let length = house.packs(DATA).iter().find(|(id, _)| *id == pack).expect("there").1.len();
        house.flip(Name::Pack(pack), if at_end { length - 15 } else { 70 });
        let before = house.memory.contents();
        let report = repair_packs(&house.open(205).await).await;
        assert_eq!((report.damaged[0].segments, report.damaged[0].segments_lost), (places.len() as u64, 0));
        assert_eq!((report.chunks_lost, report.packs_written), (0, 1));
        untouched(&before, &house.memory);
        assert_eq!(house.right().await.len(), 2);
        prune(&house.open(206).await).await.expect("pruned");
        assert_eq!(house.problems().await, Vec::<String>::new());
        assert_eq!(house.right().await.len(), 2);
    }
}

#[tokio::test]
async fn a_pack_that_was_cut_short_gives_what_is_left_of_it() {
    let house = House::new(3).await;
    let (pack, places) = fullest(&house).await;
    let bytes = house.packs(DATA).into_iter().find(|(id, _)| *id == pack).expect("there").1;
    house.memory.replace(Name::Pack(pack), bytes.slice(..places[1].0 + 10));
    let before = house.memory.contents();
    let report = repair_packs(&house.open(207).await).await;
    assert_eq!(report.damaged[0].segments_lost, places.len() as u64 - 1, "{report:?}");
    assert!(report.packs_written == 1 && report.chunks_saved > 0 && report.chunks_lost > 0, "{report:?}");
    untouched(&before, &house.memory);
    heals(&house, pack).await;
}

#[tokio::test]
async fn a_pack_that_is_gone_or_nothing_of_which_is_left_is_named() {
    let house = House::new(4).await;
    let [(gone, _), (junk, _), ..] = house.packs(DATA)[..] else { panic!("two packs at least") };
    house.delete(Name::Pack(gone)).await;
    house.memory.replace(Name::Pack(junk), &b"something else"[..]);
    let before = house.memory.contents();
    let report = repair_packs(&house.open(208).await).await;
    assert_eq!((report.missing.as_slice(), report.damaged[0].id), ([gone].as_slice(), junk));
    assert!(report.chunks_lost > 0 && report.chunks_saved == 0, "{report:?}");
    untouched(&before, &house.memory);
    heals(&house, junk).await;
}

#[tokio::test]
async fn damaged_packs_of_the_catalog_are_saved_as_well() {
    let house = House::new(5).await;
    let (pack, bytes) = house.packs(METADATA).into_iter().next().expect("a pack");
    house.flip(Name::Pack(pack), bytes.len() - 15);
    let report = repair_packs(&house.open(209).await).await;
    assert_eq!((report.damaged.len(), report.chunks_lost), (1, 0));
    prune(&house.open(210).await).await.expect("pruned");
    assert_eq!((house.right().await.len(), house.problems().await), (2, Vec::new()));
}

#[tokio::test]
async fn two_damaged_packs_are_not_taken_for_each_others_copies() {
    let house = House::new(6).await;
    let (pack, places) = fullest(&house).await;
    house.flip(Name::Pack(pack), places[0].0 + 5);
    repair_packs(&house.open(211).await).await;
    // The pack with what was saved is damaged too, where the first one is good.
    let saved = house.packs(DATA).into_iter().filter(|(id, _)| *id != pack).max_by_key(|(_, bytes)| bytes.len());
    let (saved, bytes) = saved.expect("a pack");
    house.flip(Name::Pack(saved), bytes.len() - 15);
    let before = house.memory.contents();
    let report = repair_packs(&house.open(212).await).await;
    assert_eq!((report.damaged.len(), report.chunks_lost), (2, 1), "{report:?}");
    untouched(&before, &house.memory);
    heals(&house, saved).await;
}

#[tokio::test]
async fn only_the_packs_that_were_named_are_read() {
    let house = House::new(7).await;
    let [(one, _), (other, _), ..] = house.packs(DATA)[..] else { panic!("two packs at least") };
    house.flip(Name::Pack(one), 3000);
    house.flip(Name::Pack(other), 3000);
    let repository = house.open(213).await;
    let report = repository.repair_packs().only(vec![one]).read_data(true).start().await.expect("repaired");
    assert_eq!((report.packs_read, report.damaged.len()), (1, 1));
    let Name::Pack(nowhere) = strongroom_testkit::names::pack(9) else { unreachable!("it is a pack") };
    let nowhere = repository.repair_packs().only(vec![nowhere]).start().await;
    assert_eq!(nowhere.expect_err("there is none").kind(), Kind::NotFound);
}

#[tokio::test]
async fn good_packs_are_left_alone_even_when_every_segment_is_opened() {
    let house = House::new(8).await;
    let before = house.memory.contents();
    let report = house.open(214).await.repair_packs().read_data(true).start().await.expect("repaired");
    assert_eq!((report.damaged.len(), report.missing.len(), report.chunks_lost), (0, 0, 0));
    assert!(report.packs_read > 2 && house.memory.contents() == before);
}
