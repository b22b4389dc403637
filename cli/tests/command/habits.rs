//! Habits people bring from other tools: what means something else here is said in one line.

use crate::harness::House;
use crate::harness::run;

#[test]
fn variables_of_restic_are_not_followed_without_a_word() {
    let house = House::empty();
    house.write("in/file", "x");
    let restic = |arguments: &[&str]| {
        let mut command = house.bare();
        run(command.args(arguments).env("RESTIC_REPOSITORY", "/srv/restic").env("RESTIC_PASSWORD", "secret"))
    };
    // Another repository than the user's own may have been meant.
    for arguments in [vec!["-q", "backup", &house.text("in")], vec!["snapshots"]] {
        let said = "RESTIC_REPOSITORY is set, but not read by strongroom";
        restic(&arguments).refused(2, &[said, &house.text("data")]);
    }

    let house = House::empty();
    house.write("password", "correct horse");
    house.run(["-p", "password", "init", "--no-recovery-code"]).done();
    let mut command = house.command(["snapshots"]);
    let outcome = run(command.env_remove("STRONGROOM_KEY_FILE").env("RESTIC_PASSWORD", "correct horse"));
    outcome.refused(1, &["no password was given", "hint: variables of restic are not read: set STRONGROOM_PASSWORD"]);
    // One that is configured here is what is meant.
    let mut command = house.command(["-p", "password", "snapshots"]);
    let outcome = run(command.env("RESTIC_REPOSITORY", "/srv/restic")).done();
    assert!(!outcome.err.contains("RESTIC"), "{outcome}");
}

#[test]
fn a_file_in_the_place_of_a_repository_is_called_a_file() {
    let house = House::empty();
    house.write("where", "/srv/backup\n");
    house.write("key", format!("strongroom-key-1 {}\n", "0f".repeat(32)));
    for verb in ["snapshots", "check"] {
        let outcome = house.run(["-r", "where", verb]);
        outcome.refused(
            10,
            &["there is no repository at where", "because: it is a file", "hint: --repository-file reads the location"],
        );
    }
}

#[test]
fn verbs_that_are_not_here_are_told_why() {
    let house = House::empty();
    let outcome = run(house.bare().args(["unlock"])).ended(2);
    assert!(outcome.err.contains("there are no locks"), "{outcome}");
}

#[test]
fn a_part_is_restored_by_its_absolute_path_as_in_restic() {
    let house = House::new();
    house.write("in/deep/file", "x");
    house.backup(&[&house.text("in")]);
    let part = format!("latest:{}", house.text("in/deep"));
    house.run(["restore", &part, "--target", "out", "--no-owner"]).done();
    assert!(house.path("out/file").exists(), "the content of the part lands directly in the target");
}

#[test]
fn a_snapshot_dated_in_the_future_is_pointed_at_wherever_it_counts_as_latest() {
    let house = House::new();
    house.write("in/file", "x");
    let top = house.text("in");
    let plain = house.run(["backup", &top]).done();
    assert!(!plain.err.contains("future"), "{plain}");
    let dated = house.run(["backup", "--time", "2999-01-01T00:00:00Z", &top]).done();
    assert!(dated.err.contains("is dated 2999-01-01 00:00:00, in the future"), "{dated}");
    for arguments in [vec!["-q", "ls", "latest"], vec!["restore", "latest", "--target", "out", "--no-owner"]] {
        let outcome = house.run(arguments).done();
        assert!(outcome.err.contains("is dated 2999-01-01 00:00:00, in the future"), "{outcome}");
        assert_eq!(outcome.err.matches("warning: ").count(), 1, "{outcome}");
    }
    let json = house.run(["--json", "ls", "latest"]).done();
    assert!(json.message("warning")["message"].as_str().is_some_and(|text| text.contains("in the future")));
    let older = house.run(["ls", "latest~1"]).done();
    assert!(older.err.contains("in the future"), "counting begins at the wrong end: {older}");
    let id = house.snapshots()[1]["id"].as_str().expect("an ID").to_owned();
    let named = house.run(["ls", &id]).done();
    assert!(!named.err.contains("future"), "whoever names it knows it: {named}");
    // A new backup is compared with it, and is not the latest itself.
    let next = house.run(["backup", &top]).done();
    assert!(next.err.contains("in the future"), "{next}");
}
