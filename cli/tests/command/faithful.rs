//! Nasty trees go through the command and come back equal, for root and for an ordinary user.

use crate::harness::House;
use crate::harness::NOBODY;
use crate::harness::is_root;
use crate::support::trees;
use crate::support::walker;
use crate::support::walker::Walker;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Options of `backup` and `restore` that must not change what comes back.
const WAYS: [(&[&str], &[&str]); 8] = [
    (&[], &[]),
    (&["--compression", "off"], &["--threads", "1"]),
    (&["--cipher", "xchacha20-poly1305"], &["--verify"]),
    (&["--compression", "max", "--threads", "1"], &["--sparse"]),
    (&["--cipher", "aes-256-gcm", "--threads", "7"], &["--overwrite", "if-changed"]),
    (&["--compression", "fast"], &["--delete", "--numeric-owner"]),
    (&["--force", "--no-cache"], &["--overwrite", "if-newer"]),
    (&["--one-file-system"], &["--overwrite", "never", "--threads", "3"]),
];

/// One tree through all ways; every second target already holds another seed's tree.
fn through_all_ways(seed: u64) {
    let house = House::new();
    let source = house.path("in");
    std::fs::create_dir(&source).expect("a folder");
    trees::build(seed, &source);
    let selector = format!("latest:{}", house.text("in"));
    for (number, (backup, restore)) in WAYS.iter().enumerate() {
        house.run([&["backup", &house.text("in")], *backup].concat()).done();
        let target = house.text(&format!("out{number}"));
        if number % 2 == 0 && !restore.contains(&"if-newer") {
            std::fs::create_dir(&target).expect("a folder");
            trees::build(seed + 1000, Path::new(&target));
        }
        house.run([&["restore", &selector, "--target", &target], *restore].concat()).done();
        let found = walker::differences(&source, Path::new(&target));
        assert!(found.is_empty(), "seed {seed}, {backup:?} {restore:?}: {found:#?}");
    }
    house.assert_sound();
}

/// Each seed in a test of its own, so that they run side by side.
macro_rules! seeds {
    ($($name:ident $seed:literal)*) => { $(
        #[test]
        fn $name() {
            through_all_ways($seed);
        }
    )* };
}

seeds! {
    what_is_restored_is_what_was_backed_up_1 1
    what_is_restored_is_what_was_backed_up_2 2
    what_is_restored_is_what_was_backed_up_3 3
    what_is_restored_is_what_was_backed_up_4 4
    what_is_restored_is_what_was_backed_up_5 5
    what_is_restored_is_what_was_backed_up_6 6
    what_is_restored_is_what_was_backed_up_7 7
    what_is_restored_is_what_was_backed_up_8 8
}

/// Gives a tree to the ordinary user, as far as one could have made it.
fn give_away(root: &Path) {
    if !is_root() {
        return;
    }
    for device in ["special/null", "special/loop"] {
        let _ = std::fs::remove_file(root.join(device));
    }
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let metadata = std::fs::symlink_metadata(&path).expect("it is there");
        if metadata.is_dir() {
            todo.extend(std::fs::read_dir(&path).expect("a folder").flatten().map(|entry| entry.path()));
        }
        std::os::unix::fs::lchown(&path, Some(NOBODY), Some(NOBODY)).expect("an owner");
    }
}

#[test]
fn an_ordinary_user_gets_all_back_but_what_could_not_be_read() {
    for seed in 20..24 {
        let house = House::of_nobody();
        let source = house.path("in");
        std::fs::create_dir(&source).expect("a folder");
        trees::build(seed, &source);
        give_away(&source);
        std::fs::set_permissions(source.join("modes/secret"), std::fs::Permissions::from_mode(0o0)).expect("a mode");
        let outcome = house.run(["--json", "backup", &house.text("in")]).ended(3);
        assert_eq!(outcome.message("summary")["partial"], true);
        let warning = outcome.message("error");
        assert!(warning["item"].as_str().is_some_and(|item| item.ends_with("/modes/secret")), "{outcome}");
        let snapshot = &house.snapshots()[0];
        assert_eq!(snapshot["partial"], true);
        assert!(!snapshot["partial_reasons"].as_array().expect("reasons").is_empty());
        house.run(["snapshots"]).done().says("PARTIAL");
        let spoken = house.run(["backup", &house.text("in")]).ended(3);
        assert!(spoken.err.contains("warning: ") && spoken.err.contains("the snapshot is partial"), "{spoken}");

        let target = house.path("out");
        let selector = format!("latest:{}", house.text("in"));
        house.run(["restore", &selector, "--target", &house.text("out")]).done();
        let found = Walker::default().differences(&source, &target);
        let expected = |line: &String| line.starts_with("modes/secret: only left");
        assert!(found.len() == 1 && found.iter().all(expected), "seed {seed}: {found:#?}");
        house.assert_sound();
    }
}

#[test]
fn a_folder_that_may_not_be_listed_makes_the_snapshot_partial() {
    let house = House::of_nobody();
    house.write("in/open/file", "x");
    house.write("in/shut/file", "y");
    give_away(&house.path("in"));
    std::fs::set_permissions(house.path("in/shut"), std::fs::Permissions::from_mode(0o0)).expect("a mode");
    let outcome = house.run(["backup", &house.text("in")]).ended(3);
    assert!(outcome.err.contains("/in/shut") && outcome.err.contains("Permission denied"), "{outcome}");
    let listed = house.run(["ls", "latest"]).done().out;
    assert!(
        listed.contains("/in/open/file") && listed.contains("/in/shut") && !listed.contains("shut/file"),
        "{listed}"
    );
    std::fs::set_permissions(house.path("in/shut"), std::fs::Permissions::from_mode(0o700)).expect("a mode");
    house.run(["backup", &house.text("in")]).done();
    assert_eq!(house.snapshots()[1]["partial"], false);
}
