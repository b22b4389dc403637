//! Parts of a repository that are gone as a whole: never taken for a repository that has nothing to lose.

use crate::harness::House;
use std::fs::create_dir;
use std::fs::remove_dir_all;
use std::fs::rename;

#[test]
fn a_lost_folder_of_snapshots_is_damage_and_no_backup_makes_it_again() {
    let house = House::new();
    house.write("in/file", "kept");
    house.backup(&[&house.text("in")]);
    let (folder, aside) = (house.repository().join("snapshots"), house.path("aside"));
    rename(&folder, &aside).expect("moved");
    let packs = house.area("packs");
    for arguments in [
        ["backup", &house.text("in")].as_slice(),
        &["prune", "--min-age", "0h"],
        &["prune", "--unsafe-allow-no-snapshots"],
        &["snapshots"],
        &["forget", "--keep-last", "1"],
    ] {
        house.run(arguments).refused(13, &["snapshots is missing", "a prune would remove everything", "empty folder"]);
    }
    house
        .run(["check", "--read-data"])
        .refused(13, &["hint: bring the folder snapshots back"])
        .says("snapshots is missing");
    assert!(!folder.exists(), "nothing makes it again");
    assert_eq!(house.area("packs"), packs);
    rename(&aside, &folder).expect("moved back");
    house.assert_sound();
    // Made by hand it is meant.
    remove_dir_all(&folder).expect("removed");
    create_dir(&folder).expect("a folder");
    house.run(["check"]).done().says("no snapshot needs 2 packs of ");
    house.backup(&[&house.text("in")]);
    // Its data is used again; its catalog differs in the times of the folders above.
    house.run(["check"]).done().says("no snapshot needs 1 pack of ");
}

#[test]
fn check_counts_what_no_snapshot_needs() {
    let house = House::new();
    house.write("in/file", "one");
    let first = house.backup(&[&house.text("in")]);
    house.write("in/file", "two, longer");
    house.backup(&[&house.text("in")]);
    let counted = || house.run(["--json", "check"]).done().message("summary");
    assert_eq!((&counted()["packs_unneeded"], &counted()["bytes_unneeded"]), (&0.into(), &0.into()));
    house.run(["forget", first["snapshot_id"].as_str().expect("an ID")]).done();
    assert_eq!(counted()["packs_unneeded"], 2);
    assert!(counted()["bytes_unneeded"].as_u64().is_some_and(|bytes| bytes > 0));
}

#[test]
fn lost_key_slots_and_a_lost_config_are_named_as_what_they_are() {
    let house = House::new();
    house.write("in/file", "kept");
    house.backup(&[&house.text("in")]);
    let slots = house.repository().join("keys/slot");
    rename(&slots, house.path("slots")).expect("moved");
    for emptied in [false, true] {
        if emptied {
            create_dir(&slots).expect("a folder");
        }
        let refused = house.run(["snapshots"]).refused(13, &["key slots", "hint: bring the folder keys/slot back"]);
        assert!(!refused.err.contains("recovery-code"), "{refused}");
    }
    std::fs::remove_dir(&slots).expect("removed");
    rename(house.path("slots"), &slots).expect("moved back");
    std::fs::remove_file(house.repository().join("config")).expect("removed");
    for verb in ["snapshots", "check"] {
        let refused = house.run([verb]).refused(13, &["config is missing", "hint: bring the file 'config' back"]);
        assert!(!refused.err.contains("init"), "{refused}");
    }
    house.run(["init"]).ended(1);
}

#[test]
fn a_missing_pack_whose_data_was_stored_again_is_a_warning() {
    let house = House::new();
    house.write("in/file", crate::kill::noise(1, 300_000));
    house.backup(&[&house.text("in")]);
    let (largest, _) = house.area("packs").into_iter().max_by_key(|(_, length)| *length).expect("a pack");
    std::fs::remove_file(&largest).expect("removed");
    house.run(["check"]).refused(13, &["is damaged"]).says("it is missing");
    house.backup(&[&house.text("in")]);
    let checked = house.run(["check", "--read-data"]).done();
    assert!(checked.err.contains("nothing is lost"), "{checked}");
    assert_eq!(house.run(["--json", "check"]).done().message("summary")["packs_replaced"], 1);
    house.run(["prune", "--min-age", "0h"]).done();
    let checked = house.run(["check"]).done();
    assert!(!checked.err.contains("nothing is lost"), "{checked}");
}
