//! Standard output that cannot be written: what was done stays done, and is said to be.

use crate::harness::House;
use crate::harness::Outcome;
use crate::harness::run;
use std::fs::File;
use std::process::Stdio;

/// Runs with a full disk behind standard output.
fn full(house: &House, arguments: &[&str]) -> Outcome {
    let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
    run(house.command(arguments).stdout(full))
}

/// Runs with nobody at the other end of standard output.
fn closed(house: &House, arguments: &[&str]) -> Outcome {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    run(house.command(arguments).stdout(Stdio::from(writer)))
}

#[test]
fn a_snapshot_is_stored_although_nobody_can_be_told() {
    let house = House::new();
    house.write("in/file", "x");
    let top = house.text("in");
    for arguments in [vec!["backup", &top], vec!["backup", "-v", &top], vec!["--json", "backup", "-v", &top]] {
        let before = house.snapshots().len();
        let outcome = full(&house, &arguments).ended(3);
        let snapshots = house.snapshots();
        assert_eq!(snapshots.len(), before + 1, "{outcome}");
        let id = snapshots.last().and_then(|last| last["short_id"].as_str()).expect("an ID");
        let said = format!("snapshot {id} is stored, but the result could not be written");
        assert!(outcome.err.contains(&said) && outcome.err.contains("No space left"), "{outcome}");

        let outcome = closed(&house, &arguments).done();
        assert_eq!(house.snapshots().len(), before + 2);
        assert_eq!(outcome.err, "");
    }
    house.assert_sound();
}

#[test]
fn what_was_done_is_told_apart_from_what_was_not() {
    let house = House::new();
    house.write("in/file", "x");
    house.backup(&[&house.text("in")]);
    let told = |arguments: &[&str], done: &str| {
        let outcome = full(&house, arguments).refused(3, &["but the result could not be written", "No space left"]);
        assert!(outcome.err.contains(done), "{outcome}");
    };
    told(&["restore", "latest", "--target", "out", "--no-owner"], "everything was restored");
    assert!(house.path("out").join(house.text("in/file").trim_start_matches('/')).exists());
    told(&["check"], "the repository is sound");
    told(&["tag", "--add", "x", "latest"], "the tags are changed");
    assert_eq!(house.snapshots()[0]["tags"][0], "x");
    told(&["key", "add", "--new-key-file", "more"], "the key is added");
    told(&["key", "add", "--new-recovery-code"], "a recovery code is added that nobody has seen");
    told(&["forget", "latest"], "the snapshots are removed");
    assert!(house.snapshots().is_empty());
    // Where the output is all there is, nothing was done.
    full(&house, &["snapshots"]).refused(1, &["cannot write the result"]);
    full(&house, &["man"]).refused(1, &["cannot write the result"]);
    full(&house, &["completions", "bash"]).refused(1, &["cannot write the result"]);
}

#[test]
fn a_reader_that_has_seen_enough_ends_a_list_quietly() {
    let house = House::new();
    for number in 0..50 {
        house.write(&format!("in/{number}"), "x");
    }
    house.backup(&[&house.text("in")]);
    for arguments in [
        vec!["ls", "latest"],
        vec!["-q", "ls", "-l", "latest"],
        vec!["find", "*"],
        vec!["--json", "find", "*"],
        vec!["snapshots"],
        vec!["stats"],
        vec!["cat", "config"],
        vec!["key", "list"],
        vec!["dump", "latest"],
        vec!["man"],
        vec!["completions", "bash"],
        vec!["--help"],
    ] {
        let outcome = closed(&house, &arguments).done();
        assert!(!outcome.err.contains("error") && !outcome.err.contains("panic"), "{arguments:?}: {outcome}");
    }
}

#[test]
fn verbs_that_store_say_what_is_done_when_it_cannot_be_told() {
    let house = House::empty();
    full(&house, &["init"]).refused(3, &["new-recovery-code"]);
    house.write("in/file", "one");
    house.write("in/more", "two");
    house.backup(&[&house.text("in")]);
    let (other, from, key) = (house.text("other"), house.text("repository"), house.text("key"));
    house.run(["-r", &other, "init", "--no-recovery-code"]).done();
    let copy = ["-r", &other, "copy", "--from-repo", &from, "--from-key-file", &key, "--all"];
    full(&house, &copy).refused(3, &["the snapshots are copied, but the result could not be written"]);
    full(&house, &["protect", "latest"]).refused(3, &["the protection is changed, but"]);
    full(&house, &["rewrite", "--exclude", "file", "latest"]).refused(3, &["the snapshots are rewritten, but"]);
    assert_eq!(house.snapshots().len(), 2);
}

#[test]
fn a_first_backup_that_cannot_say_where_the_recovery_code_is_has_failed_and_the_next_one_works() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("every Linux has it"));
    let closed = || Stdio::from(std::io::pipe().expect("a pipe").1);
    for (output, said) in [(full(), "No space left"), (closed(), "Broken pipe")] {
        let house = House::empty();
        house.write("in/file", "x");
        let top = house.text("in");
        // Exit code 3 would be a snapshot that lacks something: here there is none.
        let outcome = run(house.bare().args(["backup", &top]).stdout(output));
        outcome.refused(1, &[said, "the repository is made", "key add --new-recovery-code"]);
        let snapshots = || run(house.bare().args(["--json", "snapshots"])).done().json().as_array().map(Vec::len);
        assert_eq!(snapshots(), Some(0));
        run(house.bare().args(["backup", &top])).done();
        assert_eq!(snapshots(), Some(1));
    }
}
