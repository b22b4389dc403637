//! Words that name nothing: empty variables, filters that let nothing through, zones and rules that are not there.

use crate::harness::House;
use crate::harness::run;

/// Two snapshots, one of them with a tag.
fn house() -> House {
    let house = House::new();
    house.write("in/file", b"content");
    house.backup(&[&house.text("in"), "--tag", "here"]);
    house.backup(&[&house.text("in")]);
    house
}

#[test]
fn an_empty_tag_stands_for_snapshots_without_tags() {
    let house = house();
    let listed = house.run(["--json", "snapshots", "--tag", ""]).done().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["tags"].as_array().map(Vec::len), Some(0));
    assert_eq!(
        house.run(["--json", "snapshots", "--tag", "", "--tag", "here"]).done().json().as_array().map(Vec::len),
        Some(2)
    );
    house.run(["tag", "--add", "x", "--tag", ""]).done().says("changed the tags of 1 snapshot");
    let forget = ["forget", "--dry-run", "--tag", "", "--keep-last", "1"];
    house.run(forget).done().says("kept: 0, would be removed: 0");
    house.run(["tag", "--remove", "x", "--tag", "x"]).done();
    house.run(forget).done().says("kept: 1, would be removed: 0");
    house.run(["forget", "--dry-run", "--keep-tag", ""]).done().says("kept: 1, would be removed: 1");
}

#[test]
fn an_empty_host_or_path_is_refused() {
    let house = house();
    for verb in [["forget", "--keep-last=1"], ["snapshots", "-q"], ["backup", "."], ["rewrite", "--exclude=x"]] {
        house.run([&verb[..], &["--host", ""]].concat()).ended(2);
    }
    for verb in [["forget", "--keep-last=1"], ["snapshots", "-q"], ["rewrite", "--exclude=x"]] {
        house.run([&verb[..], &["--path", ""]].concat()).ended(2);
    }
    assert_eq!(house.snapshots().len(), 2);
}

#[test]
fn a_filter_that_lets_nothing_through_is_pointed_at() {
    let house = house();
    let said = "no snapshot matches";
    for words in
        [["forget", "--keep-last=1", "--host=tpyo"], ["snapshots", "-q", "--tag=tpyo"], ["stats", "-q", "--path=/tpyo"]]
    {
        let outcome = house.run(words).done();
        assert!(outcome.err.contains(said), "{outcome}");
    }
    let path = format!("--path={}/", house.text("in"));
    let outcome = house.run(["forget", "-n", "--keep-last=1", &path]).done().says("kept: 1, would be removed: 1");
    assert!(!outcome.err.contains(said), "{outcome}");
    let none = House::new().run(["snapshots"]).done();
    assert!(!none.err.contains(said), "{none}");
}

#[test]
fn forget_without_rules_asks_for_them() {
    let house = house();
    for words in [["forget", "-q"].as_slice(), &["forget", "--host", "vm", "--unsafe-allow-remove-all"]] {
        house
            .run(words)
            .refused(2, &["neither rules nor IDs", "hint: give rules of what to keep, as in '--keep-daily 7'"]);
    }
    house.run(["forget", "--keep-within", "99999999y"]).refused(2, &["numbers from 1 to 9999"]);
    // Rules that are turned off are none.
    house.run(["forget", "--keep-within", "0d", "--keep-daily", "0"]).refused(2, &["neither rules nor IDs"]);
}

#[test]
fn an_unknown_time_zone_counts_no_days() {
    let house = house();
    let mut command = house.command(["forget", "--keep-daily", "1"]);
    run(command.env("TZ", "Europe/Berlinn")).refused(2, &["the time zone that TZ names", "hint: nothing was removed"]);
    assert_eq!(house.snapshots().len(), 2);
    let mut command = house.command(["forget", "--keep-daily", "1"]);
    run(command.env_remove("TZ")).done();
    assert_eq!(house.snapshots().len(), 1);
}

#[test]
fn a_new_password_that_is_not_given_is_asked_for_by_its_own_option() {
    let house = House::new();
    for words in [["key", "add"], ["key", "passwd"]] {
        house.run(words).refused(1, &["no password was given", "hint: use --new-password-file"]);
    }
    house
        .run(["key", "add", "--new-key-file", "not/there/key"])
        .refused(1, &["there is no folder not/there", "mounted"]);
    assert!(!house.path("not").exists());
}

#[test]
fn verbs_of_restic_are_answered_without_guessing() {
    let house = House::empty();
    for (verb, advice) in [
        ("unlock", "there are no locks"),
        ("recover", "strongroom repair"),
        ("verify", "check --read-data"),
        ("rebuild-index", "strongroom repair index"),
        ("migrate", "nothing to migrate"),
    ] {
        let outcome = run(house.bare().arg(verb)).ended(2);
        assert!(outcome.err.contains(advice) && !outcome.err.contains("tip:"), "{outcome}");
    }
}
