//! Single damaged objects: what the command still does, what it says, and how one gets rid of them.

use crate::harness::House;
use crate::harness::Outcome;
use crate::harness::run;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// Three snapshots of a file that grows; their ids, oldest first.
fn three(house: &House) -> Vec<String> {
    let back_up = |bytes: &str| {
        house.write("in/file", bytes);
        house.backup(&[&house.text("in")])["snapshot_id"].as_str().expect("an ID").to_owned()
    };
    ["one", "two, longer", "three, longer still"].map(back_up).to_vec()
}

fn record(house: &House, id: &str) -> PathBuf {
    house.repository().join("snapshots").join(id)
}

/// Flips a bit in the middle of a snapshot's record.
fn damage(house: &House, id: &str) {
    let path = record(house, id);
    let mut bytes = std::fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("written");
}

/// Makes a snapshot's record one that a newer program wrote.
fn renew(house: &House, id: &str) {
    let path = record(house, id);
    let mut bytes = std::fs::read(&path).expect("read");
    // Magic, type, then the version of the envelope.
    bytes[4] = 9;
    std::fs::write(&path, bytes).expect("written");
}

/// Ended with 3, and standard error names the snapshot that could not be read.
#[track_caller]
fn warned(outcome: Outcome, id: &str) -> Outcome {
    let outcome = outcome.ended(3);
    assert!(outcome.err.contains("warning: ") && outcome.err.contains(id), "{outcome}");
    outcome
}

#[test]
fn a_damaged_record_is_named_and_the_other_snapshots_are_listed() {
    let house = House::new();
    let ids = three(&house);
    damage(&house, &ids[1]);
    let listed = warned(house.run(["snapshots"]), &ids[1]);
    assert!(listed.err.contains("hint: ") && listed.err.contains("strongroom forget"), "{listed}");
    assert!(listed.out.contains(&ids[0][..8]) && listed.out.contains(&ids[2][..8]), "{listed}");
    let json = house.run(["--json", "snapshots"]).ended(3);
    assert_eq!(json.json().as_array().map(Vec::len), Some(2));
    assert!(json.err.contains("\"message_type\":\"warning\"") && json.err.contains(&ids[1]), "{json}");
    let found = warned(house.run(["find", "file"]), &ids[1]);
    assert_eq!(found.out.matches("in/file").count(), 2, "{found}");
    warned(house.run(["stats"]), &ids[1]).says("snapshots");
    house.run(["check"]).ended(13).says(&ids[1]);
    // What is named beyond doubt needs no warning.
    let clear = house.run(["ls", &ids[0][..12]]).done();
    assert!(!clear.err.contains("warning"), "{clear}");
    house.run(["diff", &ids[0], &ids[2]]).done();
}

#[test]
fn the_hint_for_one_damaged_object_is_what_helps() {
    let house = House::new();
    let ids = three(&house);
    let hint = |outcome: &Outcome| outcome.err.lines().find(|line| line.starts_with("hint: ")).unwrap_or("").to_owned();
    damage(&house, &ids[1]);
    let checked = house.run(["check"]).ended(13);
    assert!(hint(&checked).contains("'strongroom forget ID'"), "{checked}");
    let rotated = house.run(["key", "rotate", "--no-recovery-code", "--reencrypt"]).ended(13);
    assert!(hint(&rotated).ends_with("then run 'strongroom prune --reencrypt'"), "{rotated}");
    house.run(["forget", &ids[1]]).done();
    house.run(["prune", "--reencrypt"]).done();
    house.assert_sound();
    // Another one: here keys of earlier root keys are left that nothing needs.
    let house = House::new();
    three(&house);
    let key = house.area("keys/data").remove(0).0;
    let mut bytes = std::fs::read(&key).expect("read");
    bytes[80] ^= 1;
    std::fs::write(&key, bytes).expect("written");
    let checked = house.run(["check"]).ended(13);
    assert!(hint(&checked).contains("moving away by hand what is damaged under keys/data/"), "{checked}");
    std::fs::rename(&key, house.path("evidence")).expect("moved");
    house.run(["repair", "index"]).done();
    house.assert_sound();
    let pending = house.repository().join("pending").join("00112233445566778899aabbccddeeff");
    std::fs::write(pending, [7; 100]).expect("written");
    let checked = house.run(["check"]).ended(13);
    assert!(!format!("{}{}", checked.out, checked.err).contains("1 pending record"), "{checked}");
}

#[test]
fn latest_tells_loudly_when_the_newest_snapshot_may_be_the_damaged_one() {
    let house = House::new();
    let ids = three(&house);
    damage(&house, &ids[2]);
    let path = house.text("in/file");
    let dumped = warned(house.run(["dump", "latest", &path]), &ids[2]);
    assert_eq!(dumped.out, "two, longer");
    assert!(dumped.err.contains("a newer one may be among those"), "{dumped}");
    let target = house.text("out");
    warned(house.run(["restore", "latest", "--target", &target]), &ids[2]);
    warned(house.run(["ls", "latest"]), &ids[2]);
    warned(house.run(["diff", "latest~1", "latest"]), &ids[2]);
    warned(house.run(["stats", "latest"]), &ids[2]);
    // A backup needs no parent to be whole.
    let outcome = house.run(["backup", "--parent", "latest", &house.text("in")]).done();
    assert!(outcome.err.contains(&ids[2]), "{outcome}");
}

#[test]
fn what_changes_snapshots_does_not_guess_which_is_the_latest() {
    let house = House::new();
    let ids = three(&house);
    damage(&house, &ids[2]);
    for arguments in
        [["forget", "latest", "--dry-run"].as_slice(), &["forget", "latest"], &["tag", "--add", "a", "latest"]]
    {
        house.run(arguments).refused(13, &["latest", &ids[2], "hint: "]);
    }
    let left = house.run(["--json", "snapshots"]).ended(3).json();
    assert_eq!(left.as_array().map(Vec::len), Some(2));
    assert_eq!(left[1]["tags"], serde_json::json!([]));
    warned(house.run(["tag", "--add", "a"]), &ids[2]).says("changed the tags of 2");
}

#[test]
fn a_damaged_record_is_forgotten_when_it_is_named() {
    let house = House::new();
    let ids = three(&house);
    damage(&house, &ids[0]);
    damage(&house, &ids[1]);
    house.run(["ls", &ids[1]]).refused(13, &[&ids[1]]);
    house.run(["forget", &ids[1], "ffffffff"]).refused(1, &["ffffffff"]);
    house.run(["forget", "--dry-run", &ids[1]]).done().says("would remove").says("could not be read");
    assert!(record(&house, &ids[1]).exists());
    house.run(["forget", &ids[1]]).done().says(&ids[1][..8]).says("could not be read");
    assert!(!record(&house, &ids[1]).exists());
    let json = house.run(["--json", "forget", &ids[0][..10], &ids[2]]).done().message("forgotten");
    assert_eq!(json["removed_ids"], serde_json::json!([ids[2]]));
    assert_eq!(json["unreadable_ids"], serde_json::json!([ids[0]]));
    house.run(["snapshots"]).done().says("no snapshots");
    house.assert_sound();
}

#[test]
fn a_record_of_a_newer_program_is_not_taken_for_a_damaged_one() {
    let house = House::new();
    let ids = three(&house);
    let path = record(&house, &ids[1]);
    renew(&house, &ids[1]);
    warned(house.run(["snapshots"]), &ids[1]);
    house.run(["forget", &ids[1]]).refused(14, &[&ids[1]]);
    assert!(path.exists());
}

#[test]
fn something_else_in_an_objects_place_is_named_and_stops_nothing_else() {
    let ways: [fn(&PathBuf); 3] = [
        |path| std::fs::create_dir(path).expect("a folder"),
        |path| symlink("/dev/null", path).expect("a link"),
        |path| {
            let made = std::process::Command::new("mkfifo").arg(path).status();
            assert!(made.expect("mkfifo runs").success());
        },
    ];
    for (number, put) in ways.into_iter().enumerate() {
        // One kind of thing everywhere, the others where objects are read in part and whole.
        let areas = ["packs", "snapshots", "index", "keys/data", "keys/slot", "pending"];
        for area in &areas[..if number == 0 { 6 } else { 2 }] {
            let house = House::new();
            house.write("password", "a second way in");
            house.run(["key", "add", "--new-password-file", "password"]).done();
            let ids = three(&house);
            let path = match house.area(area).first() {
                Some((path, _)) => path.clone(),
                None => house.repository().join(area).join("0".repeat(32)),
            };
            // The first slot is not always the key file's: the way in that is used must stay.
            let _ = std::fs::rename(&path, house.path("aside"));
            put(&path);
            let name = path.file_name().and_then(|name| name.to_str()).expect("an ID");
            let mut command = house.command(["check"]);
            let mut checked = run(&mut command);
            if !checked.out.contains("checked") {
                checked = run(house.command(["-p", "password", "check"]).env_remove("STRONGROOM_KEY_FILE"));
            }
            let checked = checked.ended(13);
            let line = checked.out.lines().find(|line| line.contains(name)).unwrap_or_default();
            assert!(line.contains("something that is no file stands in its place"), "{area}: {checked}");
            assert!(checked.out.contains("checked"), "{area}: {checked}");
            if *area == "keys/slot" {
                continue;
            }
            // The other verbs go on with what is left.
            let listed = house.run(["snapshots"]).ended(if *area == "snapshots" { 3 } else { 0 });
            assert!(listed.out.contains(&ids[2][..8]) || *area == "snapshots", "{area}: {listed}");
            house.run(["backup", &house.text("in")]).done();
            assert_eq!(house.run(["dump", "latest", &house.text("in/file")]).out, "three, longer still", "{area}");
        }
    }
}

#[test]
fn a_damaged_mark_or_tomb_names_the_way_out() {
    for area in ["gc/mark", "gc/tomb"] {
        let house = House::new();
        let ids = three(&house);
        let path = house.repository().join(area).join("a".repeat(32));
        std::fs::write(&path, "torn").expect("written");
        for arguments in [["backup", &house.text("in")].as_slice(), &["prune"], &["tag", "--add", "a", &ids[0]]] {
            let way_out = ["aaaaaaaa", "no prune runs on any host", "by hand", "repair packs' before the next prune"];
            house.run(arguments).refused(13, &way_out);
        }
        let advised = house.run(["check"]).refused(13, &["no prune runs on any host", "by hand"]);
        let at = |words: &str| advised.err.find(words).expect("it is in the advice");
        assert!(at("by hand") < at("repair packs"), "{advised}");
        std::fs::remove_file(&path).expect("removed");
        house.run(["tag", "--add", "a", &ids[0]]).done();
        house.run(["prune"]).done();
        house.assert_sound();
    }
}

#[test]
fn a_damaged_pending_record_stops_prunes_only_and_names_the_way_out() {
    let house = House::new();
    three(&house);
    let path = house.repository().join("pending").join("a".repeat(32));
    std::fs::write(&path, "torn").expect("written");
    house.run(["prune"]).refused(13, &["aaaaaaaa", "no backup runs on any host", "by hand"]);
    house.run(["check"]).refused(13, &["no backup runs on any host", "by hand"]);
    house.backup(&[&house.text("in")]);
    std::fs::remove_file(&path).expect("removed");
    house.run(["prune"]).done();
}

#[test]
fn verbs_that_need_every_snapshot_say_how_a_damaged_record_goes() {
    let house = House::new();
    let ids = three(&house);
    damage(&house, &ids[1]);
    for arguments in [["forget", "--keep-last", "1"].as_slice(), &["prune"]] {
        house.run(arguments).refused(13, &[&ids[1], "hint: 'strongroom forget ID'"]);
    }
    for arguments in
        [["unprotect", "latest"].as_slice(), &["protect", "latest"], &["rewrite", "--exclude", "file", "latest"]]
    {
        house.run(arguments).refused(13, &["latest", &ids[1], "hint: "]);
    }
}

#[test]
fn objects_of_a_newer_program_are_called_newer() {
    let house = House::new();
    let ids = three(&house);
    renew(&house, &ids[1]);
    house.run(["check"]).refused(14, &["a newer program"]);
    damage(&house, &ids[2]);
    house.run(["check"]).refused(13, &["is damaged"]);
}

#[test]
fn a_copy_that_leaves_an_unreadable_snapshot_out_says_so() {
    let house = House::new();
    let ids = three(&house);
    let (other, from, key) = (house.text("other"), house.text("repository"), house.text("key"));
    house.run(["-r", &other, "init", "--no-recovery-code"]).done();
    let copy = |which: &str| house.run(["-r", &other, "copy", "--from-repo", &from, "--from-key-file", &key, which]);
    damage(&house, &ids[1]);
    warned(copy("--all"), &ids[1]);
    let there = crate::harness::files(&house.path("other/snapshots")).remove(0).0;
    std::fs::write(&there, "torn").expect("written");
    copy(&ids[0]).refused(13, &["which is copied to", "hint: 'strongroom forget ID'"]);
}

#[test]
fn of_two_with_one_time_the_original_is_the_latest() {
    let house = House::new();
    three(&house);
    house.write("in/secret", "s");
    let mut newest = house.backup(&[&house.text("in")])["snapshot_id"].as_str().expect("an ID").to_owned();
    for round in 0..4 {
        house.run(["rewrite", "--exclude", "secret", &newest]).done();
        let shown = house.snapshots();
        assert_eq!(shown.last().expect("some")["id"], newest.as_str(), "{round}");
        house.write("in/file", format!("round {round}"));
        let backup = house.backup(&[&house.text("in")]);
        assert_eq!(backup["parent"], newest.as_str(), "{round}");
        newest = backup["snapshot_id"].as_str().expect("an ID").to_owned();
    }
}

/// Flips a bit in the middle of a file.
fn flip(path: &std::path::Path) {
    let mut bytes = std::fs::read(path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("written");
}

/// The packs, the smallest of which holds the only page of the catalog.
fn packs(house: &House) -> Vec<PathBuf> {
    let mut packs = house.area("packs");
    packs.sort_by_key(|(_, length)| *length);
    packs.into_iter().map(|(path, _)| path).collect()
}

#[test]
fn a_backup_over_a_damaged_catalog_can_be_restored() {
    let house = House::new();
    house.write("in/file", "content ".repeat(100_000));
    house.write("in/other", (0..60_000u32).flat_map(|number| (number * number).to_le_bytes()).collect::<Vec<u8>>());
    house.backup(&[&house.text("in")]);
    // All but its frame: where in it the segment lies nobody knows.
    let pages = packs(&house).remove(0);
    let mut bytes = std::fs::read(&pages).expect("read");
    let end = bytes.len() - 16;
    bytes[64..end].iter_mut().for_each(|byte| *byte ^= 1);
    std::fs::write(&pages, bytes).expect("written");
    // Who follows the advice of a check that has read no data marks the pack before anything relies on it.
    let advised = house.run(["check"]).ended(13);
    let at = |words: &str| advised.err.find(words).expect("it is in the advice");
    assert!(at("repair packs") < at("a backup of"), "{advised}");
    house.run(["backup", &house.text("in")]).done();
    house.run(["restore", "latest", "--target", &house.text("out")]).done();
    let again = house.run(["backup", &house.text("in")]).done();
    assert!(!again.err.contains("cannot be read"), "{again}");
}

#[test]
fn a_damaged_config_or_slot_names_a_way_in() {
    let house = House::new();
    house.write("in/file", "content");
    house.backup(&[&house.text("in")]);
    let config = house.repository().join("config");
    flip(&config);
    house.run(["check"]).refused(13, &["hint: bring the file 'config' back"]);
    flip(&config);
    for slot in house.area("keys/slot") {
        flip(&slot.0);
    }
    house.run(["check"]).refused(13, &["hint: bring that file back", "--use-recovery-code"]);
}
