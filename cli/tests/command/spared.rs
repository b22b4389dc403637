//! A restore in place leaves alone what a backup never took: the repository, its key, and what is mounted there.

use crate::full_disk::Mounted;
use crate::harness::House;
use crate::harness::run;
use rustix::mount::UnmountFlags;
use std::path::Path;

/// A home folder that was backed up without a word about where the repository is: it is in there.
fn home() -> House {
    let house = House::empty();
    house.write("home/documents/letter", "dear");
    unset(&house, &["backup", "--exclude", ".config", &house.text("home")]).done();
    assert!(house.path("home/.local/share/strongroom/repository/config").exists());
    house
}

/// Runs the command where the home folder is all that tells where things are.
fn unset(house: &House, arguments: &[&str]) -> crate::harness::Outcome {
    let mut command = house.bare();
    for folder in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"] {
        command.env_remove(folder);
    }
    run(command.args(arguments))
}

#[test]
fn a_restore_that_deletes_leaves_the_repository_and_its_key() {
    let house = home();
    let home_folder = house.text("home");
    house.write("home/stray", "x");
    let selector = format!("latest:{home_folder}");
    let outcome = unset(&house, &["restore", &selector, "--target", &home_folder, "--delete"]).done();
    assert!(outcome.err.contains("repository was left alone: it is the repository"), "{outcome}");
    // The repository and the cache were left out as well, but not by anybody's wish.
    assert!(outcome.err.contains("made with 1 exclude rule:"), "{outcome}");
    assert!(house.path("home/.config/strongroom/key").exists() && !house.path("home/stray").exists());
    unset(&house, &["check", "--read-data"]).done();
    assert_eq!(unset(&house, &["dump", "latest", &house.text("home/documents/letter")]).done().out, "dear");
}

#[test]
fn the_repository_is_no_target() {
    let house = House::new();
    house.write("in/config", "not a repository's");
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    for target in ["repository", "repository/packs", "repository/new"] {
        for delete in [&[][..], &["--delete"]] {
            let outcome = house.run([&["restore", &selector, "--target", target], delete].concat());
            outcome.refused(2, &["it belongs to the repository"]);
        }
    }
    assert!(!house.path("repository/new").exists());
    house.assert_sound();
}

#[test]
fn what_is_mounted_where_the_snapshot_has_an_empty_folder_is_kept() {
    if !crate::harness::is_root() {
        eprintln!("NOT TESTED: only root can mount a file system");
        return;
    }
    let house = House::new();
    house.write("one/file", "1");
    let mounted = Mounted::new(&house.path("one/deep/m"), "1m");
    let live = |name: &str| mounted.path().join(name);
    std::fs::write(live("live"), "live").expect("a file");
    house.backup(&["--one-file-system", &house.text("one")]);
    house.write("one/stray", "x");
    let within = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let selector = format!("latest:{}", within(&house.path("one")));
    for more in [&["--dry-run"][..], &[]] {
        let arguments = ["restore", &selector, "--target", "one", "--delete"];
        let outcome = house.run([&arguments[..], more].concat()).done();
        assert!(outcome.err.contains("deep/m was left alone: another file system is mounted there"), "{outcome}");
    }
    assert_eq!(std::fs::read_to_string(live("live")).expect("it is there"), "live");
    assert!(!house.path("one/stray").exists());
}

#[test]
fn what_is_shown_by_a_bind_mount_is_not_deleted_through_it() {
    if !crate::harness::is_root() {
        eprintln!("NOT TESTED: only root can mount a folder elsewhere");
        return;
    }
    let house = House::new();
    house.write("one/file", "1");
    house.backup(&[&house.text("one")]);
    house.write("live/deep/precious", "live");
    house.write("one/stray/shown/placeholder", "x");
    let at = house.path("one/stray/shown");
    rustix::mount::mount_bind(house.path("live"), &at).expect("root may mount");
    let selector = format!("latest:{}", house.text("one"));
    let outcome = house.run(["restore", &selector, "--target", "one", "--delete"]);
    rustix::mount::unmount(&at, UnmountFlags::DETACH).expect("unmounted");
    assert!(house.path("live/deep/precious").exists(), "{outcome}");
    let outcome = outcome.done();
    assert!(outcome.err.contains("stray/shown was left alone: another file system is mounted there"), "{outcome}");
}
