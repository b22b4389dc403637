//! `prune` and `forget --prune`: the space of what nothing needs comes back, and only when asked for.

use crate::full_disk::Mounted;
use crate::harness::House;
use crate::support::trees::Dice;
use serde_json::Value;

fn stored(house: &House) -> u64 {
    house.area("packs").iter().map(|(_, length)| length).sum()
}

/// Two snapshots; the second lacks most of what the first has.
fn house() -> (House, String) {
    let house = House::new();
    house.write("in/large", Dice::new(1).bytes(900_000));
    house.write("in/small", Dice::new(2).bytes(300_000));
    let first = house.backup(&[&house.text("in")])["snapshot_id"].as_str().expect("an ID").to_owned();
    std::fs::remove_file(house.path("in/large")).expect("removed");
    house.backup(&[&house.text("in")]);
    (house, first)
}

fn number(message: &Value, name: &str) -> u64 {
    message[name].as_u64().unwrap_or_else(|| panic!("{name} in {message}"))
}

#[test]
fn a_forgotten_snapshot_and_its_space_go_in_one_command() {
    let (house, first) = house();
    let before = stored(&house);
    house.run(["forget", "--prune", &first]).done().says("removed snapshot").says("gives back");
    assert!(stored(&house) + 200_000 < before, "{before} {}", stored(&house));
    assert_eq!(house.snapshots().len(), 1);
    house.assert_sound();
    house.restore(&house.path("in"), "out");
    assert!(house.area("gc/mark").is_empty());
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let (house, first) = house();
    house.run(["forget", &first]).done();
    let before = house.objects();
    let plan = house.run(["--json", "prune", "--dry-run", "--min-age", "0"]).done().message("prune_plan");
    assert!(number(&plan, "bytes_freed") > 200_000, "{plan}");
    house.run(["prune", "-n", "--min-age", "0"]).done().says("nothing was changed");
    house.run(["forget", "--prune", "--dry-run", "latest"]).done();
    assert_eq!(house.objects(), before);
    let summary = house.run(["--json", "prune"]).done().message("summary");
    assert!(number(&summary, "bytes_deleted") > 200_000, "{summary}");
    assert_eq!(number(&summary, "bytes_left"), stored(&house));
    house.assert_sound();
}

#[test]
fn a_prune_that_finds_nothing_to_seal_anew_prunes_all_the_same() {
    let (house, first) = house();
    house.run(["forget", &first]).done();
    let before = stored(&house);
    let told = house.run(["prune", "--reencrypt", "--min-age", "0"]).done();
    let told = told.says("to remove").says("nothing is sealed under an earlier root key");
    assert!(stored(&house) + 200_000 < before, "{before} {}: {told}", stored(&house));
    house.assert_sound();
}

#[test]
fn condemned_packs_wait_when_they_are_told_to() {
    let (house, first) = house();
    house.run(["forget", &first]).done();
    let before = house.area("packs").len();
    house.run(["prune", "--min-age", "0", "--grace", "2d"]).done().says("wait for a prune");
    assert!(house.area("packs").len() >= before && !house.area("gc/mark").is_empty());
    house.run(["check", "--read-data"]).done().says("no problems were found");
    house.backup(&[&house.text("in")]);
    house.run(["prune", "--grace", "0"]).done();
    assert!(house.area("gc/mark").is_empty());
    house.assert_sound();
    house.restore(&house.path("in"), "out");
}

#[test]
fn a_repository_without_snapshots_is_not_emptied_by_mistake() {
    let (house, first) = house();
    house.run(["forget", &first, "latest"]).done();
    let before = stored(&house);
    // As young as this it may be of a backup that runs.
    house.run(["prune", "--min-age", "0"]).done().says("no snapshot yet").says("--unsafe-allow-no-snapshots");
    let plan = house.run(["--json", "prune", "--min-age", "0"]).done().message("prune_plan");
    assert_eq!(plan["no_snapshot_yet"], true);
    assert_eq!(stored(&house), before);
    // And older it is not, if only one pack is.
    let packs = house.area("packs");
    let file = std::fs::File::options().write(true).open(&packs[0].0).expect("a pack");
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(49 * 3600);
    file.set_modified(then).expect("a time");
    house.run(["prune", "--min-age", "0"]).refused(2, &["not one snapshot", "--unsafe-allow-no-snapshots"]);
    assert_eq!(stored(&house), before);
    house.run(["prune", "--min-age", "0", "--unsafe-allow-no-snapshots"]).done();
    assert_eq!(stored(&house), 0);
    house.run(["check"]).done();
}

#[test]
fn limits_that_make_no_sense_are_refused_before_anything_is_read() {
    let house = House::empty();
    for wrong in [["--max-unused", "120%"], ["--grace", "soon"], ["--max-repack-size", "many"]] {
        house.run([&["prune"], wrong.as_slice()].concat()).ended(2);
    }
}

#[test]
fn what_rules_forget_gives_its_space_back_in_the_same_command() {
    let (house, _) = house();
    let before = stored(&house);
    let keep = ["--group-by", "", "--keep-last", "1"];
    house.run([["forget", "--prune", "--dry-run"].as_slice(), &keep].concat()).done();
    assert_eq!((house.snapshots().len(), stored(&house)), (2, before));
    house.run([["forget", "--prune"].as_slice(), &keep].concat()).done().says("gives back");
    assert!(stored(&house) + 200_000 < before, "{before} {}", stored(&house));
    assert_eq!(house.snapshots().len(), 1);
    house.assert_sound();
    house.restore(&house.path("in"), "out");
}

#[test]
fn a_check_tells_what_prunes_have_left_without_calling_it_damage() {
    let (house, first) = house();
    house.run(["forget", &first]).done();
    house.run(["prune", "--min-age", "0", "--grace", "2d"]).done();
    house.run(["check"]).done().says("condemned by").says("no problems were found");
    house.run(["prune", "--grace", "0"]).done();
    house.run(["check"]).done().says("tomb");
}

/// A pending record that nobody will ever commit on, as a run leaves it that dies when it has declared its snapshot.
#[test]
fn a_pending_record_that_is_left_over_is_named_by_whoever_counts() {
    if !crate::harness::is_root() {
        eprintln!("NOT TESTED: only root can mount something over a folder of the repository");
        return;
    }
    let (house, _) = house();
    house.write("in/more", Dice::new(3).bytes(500_000));
    let mounted = Mounted::new(&house.repository().join("snapshots"), "1m");
    // The snapshot cannot be moved there, and whether it may appear later nobody knows.
    house.run(["backup", &house.text("in")]).refused(15, &["cannot store snapshots/"]);
    drop(mounted);
    assert_eq!(house.area("pending").len(), 1);
    let before = house.area("packs").len();
    for arguments in
        [&["check"][..], &["prune", "--dry-run", "--min-age", "0h"], &["prune", "--min-age", "0h"], &["stats"]]
    {
        let told = house.run(arguments).done();
        let told = told.says("no snapshot, but a run on house that began ").says(" packs; if that run is dead, ");
        told.says("the second of two prunes a day apart, both after ");
        let json = house.run([&["--json"], arguments].concat()).done();
        let kind = match arguments[0] {
            "prune" => "prune_plan",
            "check" => "summary",
            other => other,
        };
        let message = json.message(kind);
        let record = &message["pending_records"][0];
        assert_eq!(record["hostname"], "house", "{message}");
        // How many packs a run makes depends on how its threads took turns.
        assert!(
            number(record, "packs") >= 2 && number(record, "bytes") > 500_000 && record["goes_from"].is_string(),
            "{message}"
        );
        assert_eq!(number(&message, "snapshots_count"), 2, "{message}");
    }
    let check = house.run(["check"]).done();
    assert!(!check.out.contains("a prune removes them"), "{check}");
    assert_eq!(house.area("packs").len(), before);
}
