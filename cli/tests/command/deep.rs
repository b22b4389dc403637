//! Trees as deep as they can be: what is stored comes back, and what is too deep is told.

use crate::harness::House;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;

/// Levels of the folder that a test is in, and of what is in it.
const LEVELS: usize = 3500;

fn enter(at: Option<&OwnedFd>, name: impl rustix::path::Arg) -> Option<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match at {
        Some(at) => rustix::fs::openat(at, name, flags, Mode::empty()),
        None => rustix::fs::openat(CWD, name, flags, Mode::empty()),
    };
    opened.ok()
}

/// Folders inside each other, and a file in the innermost.
fn dig(top: &Path, name: &str, levels: usize) {
    std::fs::create_dir(top).expect("a folder");
    let mut at = enter(None, top).expect("a folder");
    for _ in 0..levels {
        rustix::fs::mkdirat(&at, name, Mode::RWXU).expect("a folder");
        at = enter(Some(&at), name).expect("a folder");
    }
    rustix::fs::openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).expect("a file");
}

/// How many folders of that name are inside each other, and whether the file is in the innermost.
fn depth(top: &Path, name: &str) -> (usize, bool) {
    let mut at = enter(None, top).expect("a folder");
    let mut levels = 0;
    while let Some(below) = enter(Some(&at), name) {
        at = below;
        levels += 1;
    }
    (levels, rustix::fs::statat(&at, "file", AtFlags::SYMLINK_NOFOLLOW).is_ok())
}

/// What no recursion removes.
fn bury(house: &House, names: &[&str]) {
    for name in names {
        let removed = Command::new("rm").arg("-rf").arg(house.path(name)).status().expect("rm runs");
        assert!(removed.success());
    }
}

#[test]
fn trees_of_thousands_of_levels_come_back_whole_and_again_over_themselves() {
    let house = House::new();
    dig(&house.path("in"), "d", LEVELS);
    house.run(["backup", &house.text("in")]).done();
    let selector = format!("latest:{}", house.text("in"));
    for _ in 0..2 {
        house.run(["restore", &selector, "--target", "out", "--delete"]).done();
        assert_eq!(depth(&house.path("out"), "d"), (LEVELS, true));
    }
    bury(&house, &["in", "out"]);
}

#[test]
fn what_is_too_deep_to_be_stored_is_told_by_each_backup_and_all_that_is_stored_comes_back() {
    let house = House::new();
    let name = "n".repeat(200);
    dig(&house.path("in"), &name, 340);
    for _ in 0..2 {
        let outcome = house.run(["backup", &house.text("in")]).ended(3);
        assert!(outcome.err.contains("the path is longer than 65535 bytes"), "{outcome}");
    }
    let selector = format!("latest:{}", house.text("in"));
    house.run(["restore", &selector, "--target", "out"]).done();
    let above = house.text("in").len();
    assert_eq!(depth(&house.path("out"), &name), ((65_535 + 1 - above) / 201, false));
    bury(&house, &["in", "out"]);
}
