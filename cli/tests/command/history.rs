//! Snapshots carried into another repository, and written anew without some of their files.

use crate::harness::House;
use crate::harness::Outcome;
use std::path::Path;

/// Two snapshots, and a second repository with a password of its own.
fn house() -> House {
    let house = House::new();
    house.write("in/file", b"content");
    house.write("in/kept", b"always");
    house.write("in/secret/key", b"hidden");
    house.backup(&[&house.text("in"), "--tag", "first"]);
    house.write("in/file", b"other content");
    house.backup(&[&house.text("in")]);
    house.write("second.pass", b"open sesame\n");
    second(&house, &["init", "--no-recovery-code"]).done();
    house
}

/// The command on the second repository.
fn second(house: &House, words: &[&str]) -> Outcome {
    let mut command = house.bare();
    command.args(["-r", &house.text("second"), "--password-file", &house.text("second.pass")]).args(words);
    crate::harness::run(&mut command)
}

fn copy(house: &House, words: &[&str]) -> Outcome {
    let first =
        ["copy", "--from-repo", &house.text("repository"), "--from-key-file", &house.text("key")].map(str::to_owned);
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    second(house, &[first, words.to_vec()].concat())
}

#[test]
fn a_copy_restores_as_its_origin_does() {
    let house = house();
    copy(&house, &["--dry-run", "--all"]).done().says("to be copied: 2");
    copy(&house, &["--tag", "first"]).done().says("copied: 1");
    let told = copy(&house, &["--all"]).done();
    told.says("there already, as").says("copied: 1, there already: 1");
    let there = second(&house, &["--json", "snapshots"]).done().json();
    let here = house.snapshots();
    for (one, other) in here.iter().zip(there.as_array().expect("snapshots")) {
        for field in ["time", "paths", "hostname", "tags"] {
            assert_eq!(one[field], other[field]);
        }
        assert_ne!(one["id"], other["id"]);
    }
    let target = house.path("out");
    second(&house, &["restore", "latest", "--target", target.to_str().expect("UTF-8")]).done();
    let file = |root: &Path| std::fs::read(root.join(house.path("in/file").strip_prefix("/").expect("absolute")));
    assert_eq!(file(&target).expect("restored"), b"other content");
    second(&house, &["check", "--read-data"]).done();
}

#[test]
fn a_copy_says_what_is_missing_or_wrong() {
    let house = house();
    copy(&house, &[]).refused(2, &[]);
    let wrong =
        ["copy", "--all", "--from-repo", &house.text("repository"), "--from-password-file", &house.text("second.pass")];
    second(&house, &wrong).refused(12, &[]);
    second(&house, &["copy", "--all", "--from-repo", &house.text("nowhere")]).refused(10, &["nowhere"]);
    second(&house, &["copy", "--all", "--from-repo", &house.text("second")])
        .refused(2, &["the same repository", "hint: "]);
}

#[test]
fn a_rewrite_leaves_out_what_it_was_told_to() {
    let house = house();
    house.run(["rewrite", "--exclude", "secret", "--dry-run", "--all"]).done().says("to be rewritten: 2");
    house.run(["rewrite", "--exclude", "secret"]).refused(2, &[]);
    house.run(["rewrite", "--exclude", "secret", "--all"]).done().says("is rewritten as").says("rewritten: 2");
    house.run(["rewrite", "--exclude", "secret", "--all"]).done().says("was rewritten before, as").says("rewritten: 0");
    for snapshot in house.snapshots().iter().filter(|one| one["tags"].to_string().contains("rewrite")) {
        house.run(["forget", snapshot["id"].as_str().expect("an ID")]).done();
    }
    house
        .run(["rewrite", "--exclude", "secret", "--forget", "--all"])
        .done()
        .says("is now")
        .says("entries left out: 2");
    assert_eq!(house.snapshots().len(), 2);
    assert!(!house.run(["ls", "latest"]).done().out.contains("secret"));
    assert!(!house.run(["find", "key"]).done().out.contains("secret"));
    house.run(["rewrite", "--exclude", "secret", "--all"]).done().says("without a match: 2");
    house.run(["protect", "latest"]).done();
    let refused = house.run(["rewrite", "--exclude", "file", "--forget", "latest"]).ended(3);
    assert!(
        refused.err.contains("is protected and was left as it is") && refused.err.contains("unprotect"),
        "{refused}"
    );
    house.run(["rewrite", "--exclude", "nothing", "--forget", "latest"]).done().says("without a match: 1");
    house.run(["rewrite", "--exclude", "file", "latest"]).done();
    assert_eq!(house.snapshots().len(), 3);
    assert!(house.run(["snapshots", "--tag", "rewrite"]).done().out.contains("rewrite"));
    house.assert_sound();
}

#[test]
fn a_rewrite_names_what_it_leaves_out() {
    let house = house();
    house.write("in/other/key/deep", b"deep");
    house.backup(&[&house.text("in")]);
    let (secret, key) = (house.text("in/secret/key"), house.text("in/other/key"));
    for words in
        [["rewrite", "--exclude", "key", "--dry-run", "latest"], ["-v", "rewrite", "--exclude", "key", "latest"]]
    {
        let told = house.run(words).done();
        for path in [&secret, &key] {
            assert!(told.out.contains(&format!("excluded   {path} (from snapshot ")), "{path}: {told}");
        }
        assert!(!told.out.contains("deep") && !told.out.contains("unchanged"), "{told}");
    }
    let json = house.run(["--json", "rewrite", "--exclude", "key/", "-n", "latest"]).done().message("verbose_status");
    assert_eq!((json["action"].as_str(), json["item"].as_str()), (Some("excluded"), Some(key.as_str())));
}

#[test]
fn no_rewrite_empties_a_snapshot() {
    let house = house();
    let before = house.snapshots();
    for verb in [["rewrite", "--forget", "--all"], ["backup", "--dry-run", "."], ["restore", "latest", "--target=out"]]
    {
        house.run([&verb[..], &["--exclude", ""]].concat()).refused(2, &["--exclude", "is a variable not set?"]);
    }
    for pattern in ["/**", "*", "*/", "in"] {
        let refused = house.run(["rewrite", "--forget", "--all", "--exclude", pattern]);
        refused.refused(1, &["it would keep only the folders", "hint: nothing was changed"]);
    }
    assert_eq!(house.snapshots(), before);
}

#[test]
fn a_copy_goes_on_behind_a_damaged_snapshot() {
    let house = house();
    let newest = house.snapshots()[1]["id"].as_str().expect("an ID").to_owned();
    house.write("in/file", "a third content, in a pack of its own");
    let before: Vec<_> = house.area("packs");
    house.backup(&[&house.text("in")]);
    for (path, _) in house.area("packs").into_iter().filter(|pack| !before.contains(pack)) {
        std::fs::remove_file(path).expect("removed");
    }
    let lost = house.snapshots()[2]["id"].as_str().expect("an ID").to_owned();
    for dry_run in [true, false] {
        let words: &[&str] = if dry_run { &["--all", "--dry-run"] } else { &["--all"] };
        let told = copy(&house, words).ended(3).says("copied: 2, there already: 0, that cannot be copied: 1");
        assert!(told.err.contains(&format!("snapshot {} cannot be copied", &lost[..8])), "{told}");
        assert!(told.err.contains("copied already stays"), "{told}");
    }
    assert!(second(&house, &["snapshots"]).done().out.lines().count() > 2);
    copy(&house, &[&lost]).refused(13, &["the snapshot cannot be copied", "hint: "]);
    copy(&house, &[&newest]).done().says("there already: 1");
}
