//! Every option of `restore`, by what is in the target afterwards.

use crate::full_disk::Mounted;
use crate::harness::House;
use crate::harness::NOBODY;
use crate::support::walker;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A repository with a snapshot of a small tree, and the selector of the tree in it.
fn house() -> (House, String) {
    let house = House::new();
    for (name, text) in [("a.txt", "aaa"), ("B.TXT", "bbb"), ("deep/c.txt", "ccc"), ("deep/d.bin", "ddd")] {
        house.write(&format!("in/{name}"), text);
    }
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    (house, selector)
}

/// Names of all files below a folder.
fn names(folder: &Path) -> Vec<String> {
    let all = crate::harness::files(folder).into_iter();
    all.map(|(path, _)| path.strip_prefix(folder).expect("below").to_str().expect("UTF-8").to_owned()).collect()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

fn read(house: &House, name: &str) -> String {
    std::fs::read_to_string(house.path(name)).expect("it can be read")
}

#[test]
fn all_or_a_part_lands_in_the_target() {
    let (house, selector) = house();
    house.run(["restore", &selector, "--target", "part", "--verify"]).done().says("restored 5 entries");
    assert_eq!(walker::differences(&house.path("in"), &house.path("part")), Vec::<String>::new());
    // The folders above belong to root, whoever runs this.
    house.run(["restore", "latest", "-t", "all", "--no-owner"]).done();
    let inside = house.path("all").join(house.text("in").trim_start_matches('/'));
    assert_eq!(walker::differences(&house.path("in"), &inside), Vec::<String>::new());
    house.run(["restore", &format!("{selector}/deep/c.txt"), "-t", "file"]).done();
    house.run(["restore", &format!("{selector}/missing"), "-t", "none"]).refused(1, &["there is no", "hint: "]);
    assert!(!house.path("none").exists());
    house.run(["restore", "latest"]).ended(2);
}

#[test]
fn only_what_is_wanted_is_restored() {
    let (house, selector) = house();
    house.write("list", "# these\n*.bin\n");
    let left = |options: &[&str]| {
        let target = house.path("out");
        let _ = std::fs::remove_dir_all(&target);
        house.run([&["restore", &selector, "--target", "out", "--threads", "1"], options].concat()).done();
        names(&target)
    };
    assert_eq!(left(&["--include", "*.txt"]), ["a.txt", "deep/c.txt"]);
    assert_eq!(left(&["--iinclude", "*.txt"]), ["B.TXT", "a.txt", "deep/c.txt"]);
    assert_eq!(left(&["--include-file", "list"]), ["deep/d.bin"]);
    assert_eq!(left(&["--exclude", "*.txt"]), ["B.TXT", "deep/d.bin"]);
    assert_eq!(left(&["--iexclude", "*.txt"]), ["deep/d.bin"]);
    assert_eq!(left(&["--exclude-file", "list"]), ["B.TXT", "a.txt", "deep/c.txt"]);
}

#[test]
fn what_is_there_is_written_over_as_asked() {
    let (house, selector) = house();
    let over = |when: &str, text: &str, seconds: u64| {
        house.run(["restore", &selector, "--target", "out"]).done();
        let file = house.write("out/a.txt", text);
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(file).and_then(|file| file.set_modified(time)).expect("a time");
        house.run(["restore", &selector, "--target", "out", "--overwrite", when]).done();
        read(&house, "out/a.txt")
    };
    let (old, new) = (1_000_000, 4_000_000_000);
    assert_eq!(over("always", "zzz", new), "aaa");
    assert_eq!(over("if-changed", "zzz", old), "aaa");
    assert_eq!(over("if-newer", "zzz", new), "zzz");
    assert_eq!(over("if-newer", "zzz", old), "aaa");
    assert_eq!(over("never", "zzz", old), "zzz");
    house.run(["restore", &selector, "-t", "out", "--overwrite", "maybe"]).ended(2);
    // What is equal keeps its inode: it is not written again.
    let inode = || std::fs::metadata(house.path("out/B.TXT")).expect("it is there").ino();
    let before = inode();
    let again = house.run(["--json", "restore", &selector, "--target", "out"]).done().message("summary");
    assert_eq!((inode(), &again["files_unchanged"].as_u64().is_some_and(|same| same >= 3)), (before, &true));
}

#[test]
fn deleting_is_asked_for_and_guarded() {
    let (house, selector) = house();
    house.run(["restore", &selector, "--target", "out"]).done();
    house.write("out/extra", "x");
    house.write("out/extras/in", "x");
    house.run(["restore", &selector, "--target", "out"]).done();
    assert!(house.path("out/extra").exists());
    house.run(["restore", &selector, "--target", "out", "--delete", "--dry-run"]).done().says("extra");
    assert!(house.path("out/extra").exists());
    let report = house.run(["restore", &selector, "--target", "out", "--delete"]).done();
    assert!(!house.path("out/extra").exists() && !house.path("out/extras").exists(), "{report}");
    assert_eq!(walker::differences(&house.path("in"), &house.path("out")), Vec::<String>::new());
    for target in ["/", house.text("home").as_str(), house.text(".").as_str()] {
        house.run(["restore", "latest", "--target", target, "--delete"]).refused(2, &["would delete everything else"]);
    }
    assert_eq!(names(&house.path("in")).len(), 4);
}

#[test]
fn deleting_what_the_backup_had_excluded_is_warned_about() {
    let (house, selector) = house();
    let deletes = ["restore", &selector, "--target", "out", "--delete"];
    let outcome = house.run(deletes).done();
    assert!(!outcome.err.contains("warning"), "{outcome}");
    house.backup(&[&house.text("in"), "--exclude", "*.bin", "--exclude", "*.tmp"]);
    let outcome = house.run(deletes).done();
    assert!(outcome.err.contains("made with 2 exclude rules"), "{outcome}");
    assert!(!house.path("out/deep/d.bin").exists());
    // What leaves things out without a pattern is warned of as well.
    let top = house.text("in");
    for filter in [
        &["--gitignore"][..],
        &["--exclude-caches"],
        &["--exclude-if-present", ".nobackup"],
        &["--exclude-larger-than", "10M"],
        &["--one-file-system"],
    ] {
        house.backup(&[&[top.as_str()], filter].concat());
        let outcome = house.run(["restore", &selector, "--target", "out", "--delete", "--dry-run"]).done();
        assert!(outcome.err.contains("made with 1 exclude rule:"), "{filter:?}: {outcome}");
    }
}

#[test]
fn a_file_is_no_target() {
    let (house, selector) = house();
    house.write("file", "mine");
    for more in [&["--dry-run"][..], &[]] {
        let outcome = house.run([&["restore", &selector, "--target", "file"], more].concat());
        outcome.refused(2, &["cannot restore into file: that is no folder", "hint: name the folder"]);
    }
    assert_eq!(read(&house, "file"), "mine");
}

#[test]
fn a_dry_run_lists_and_writes_nothing() {
    let (house, selector) = house();
    let outcome = house.run(["restore", &selector, "--target", "out", "--dry-run"]).done();
    outcome.says("a.txt").says("would restore 5 entries");
    assert!(!house.path("out").exists());
}

#[test]
fn zeros_may_become_holes() {
    let house = House::new();
    house.write("in/zeros", vec![0; 8 << 20]);
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    let blocks = |target: &str| {
        let metadata = std::fs::metadata(house.path(target).join("zeros")).expect("it is there");
        assert_eq!(metadata.len(), 8 << 20);
        metadata.blocks()
    };
    house.run(["restore", &selector, "--target", "plain"]).done();
    house.run(["restore", &selector, "--target", "sparse", "--sparse"]).done();
    assert!(blocks("sparse") < 1000 && blocks("sparse") <= blocks("plain"), "{}", blocks("sparse"));
}

#[test]
fn owners_are_kept_mapped_or_left_out() {
    let (house, selector) = house();
    if !crate::harness::is_root() {
        let outcome = house.run(["restore", &selector, "--target", "out", "--no-owner"]);
        assert_eq!((outcome.code, read(&house, "out/a.txt").as_str()), (0, "aaa"));
        return;
    }
    std::os::unix::fs::chown(house.path("in/a.txt"), Some(4321), Some(1234)).expect("an owner");
    house.backup(&[&house.text("in")]);
    let owner = |target: &str, options: &[&str]| {
        house.run([&["restore", &selector, "--target", target], options].concat()).done();
        let metadata = std::fs::metadata(house.path(target).join("a.txt")).expect("it is there");
        (metadata.uid(), metadata.gid())
    };
    assert_eq!(owner("kept", &[]), (4321, 1234));
    assert_eq!(owner("numeric", &["--numeric-owner"]), (4321, 1234));
    assert_eq!(owner("mapped", &["--map-owner", "4321=77", "--map-owner", ":1234=:78"]), (77, 78));
    assert_eq!(owner("mine", &["--no-owner"]), (0, 0));
    house.run(["restore", &selector, "-t", "x", "--map-owner", "ann"]).ended(2);
}

#[test]
fn a_restore_never_writes_outside_its_target() {
    let (house, selector) = house();
    house.write("outside/c.txt", "mine");
    house.write("outside/a.txt", "mine");
    std::fs::create_dir(house.path("out")).expect("a folder");
    // A link where the snapshot has a folder, and one where it has a file.
    symlink(house.path("outside"), house.path("out/deep")).expect("a link");
    symlink(house.path("outside/a.txt"), house.path("out/a.txt")).expect("a link");
    house.run(["restore", &selector, "--target", "out"]);
    house.run(["restore", &selector, "--target", "out", "--delete", "--overwrite", "if-changed"]);
    assert_eq!(names(&house.path("outside")), ["a.txt", "c.txt"]);
    assert_eq!((read(&house, "outside/c.txt"), read(&house, "outside/a.txt")), ("mine".into(), "mine".into()));
    assert_eq!(walker::differences(&house.path("in"), &house.path("out")), Vec::<String>::new());
    for path in ["latest:..", "latest:/in/../../x"] {
        house.run(["restore", path, "--target", "out"]).ended(2);
    }
}

#[test]
fn what_cannot_be_restored_is_listed_and_the_rest_goes_on() {
    let (house, selector) = house();
    // A full folder stands where the snapshot has a file.
    house.write("out/a.txt/in-the-way", "x");
    let outcome = house.run(["restore", &selector, "--target", "out"]).ended(3);
    assert!(outcome.err.contains("a.txt") && outcome.err.contains("could not be restored"), "{outcome}");
    assert_eq!((read(&house, "out/deep/c.txt"), read(&house, "out/a.txt/in-the-way")), ("ccc".into(), "x".into()));
    let json = house.run(["--json", "restore", &selector, "--target", "out"]).ended(3);
    assert_eq!(json.message("error")["during"], "restore");
    house.run(["restore", &selector, "--target", "in/a.txt"]).refused(2, &["in/a.txt"]);
}

#[test]
fn patterns_that_nothing_matches_are_an_error() {
    let (house, selector) = house();
    for option in ["--include", "--iinclude"] {
        let none = house.run(["restore", &selector, "--target", "out", option, "/no/such/*.txt"]);
        none.refused(1, &["nothing in snapshot", "matches", "hint: "]);
    }
    house.write("list", "*.nothing\n");
    house
        .run(["restore", &selector, "--target", "out", "--include-file", "list", "--dry-run"])
        .refused(1, &["matches"]);
    assert!(names(&house.path("out")).is_empty());
    // One that matches is enough.
    house.run(["restore", &selector, "--target", "out", "--include", "*.none", "--include", "a.txt"]).done();
    assert_eq!(names(&house.path("out")), ["a.txt"]);
    house.run(["restore", &selector, "--target", "empty", "--exclude", "*"]).done();
}

#[test]
fn deleting_is_refused_after_a_partial_snapshot() {
    let house = House::of_nobody();
    house.write("in/secret", "x");
    set_mode(&house.path("in/secret"), 0o000);
    house.write("in/a.txt", "aaa");
    house.run(["backup", &house.text("in")]).ended(3);
    let selector = format!("latest:{}", house.text("in"));
    house.run(["restore", &selector, "--target", "out"]).done();
    house.write("out/secret", "only here now");
    house.run(["restore", &selector, "--target", "out", "--delete"]).refused(2, &["refusing to delete", "partial"]);
    assert_eq!(read(&house, "out/secret"), "only here now");
}

#[test]
fn attributes_are_set_before_a_mode_that_would_refuse_them() {
    let house = House::of_nobody();
    let file = house.write("in/locked", "aaa");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&file, "user.note", b"kept", flags).expect("an attribute");
    set_mode(&file, 0o444);
    house.backup(&[&house.text("in")]);
    // New the first time, written beside the old one the second time.
    for is_there in [false, true] {
        if is_there {
            std::fs::remove_file(house.path("out/locked")).expect("removed");
            house.write("out/locked", "zzz");
        }
        house.restore(&house.path("in"), "out");
        let mut value = [0; 10];
        let length = rustix::fs::getxattr(house.path("out/locked"), "user.note", &mut value).expect("an attribute");
        assert_eq!(&value[..length], b"kept");
        let metadata = std::fs::metadata(house.path("out/locked")).expect("it is there");
        assert_eq!((metadata.mode() & 0o7777, read(&house, "out/locked").as_str()), (0o444, "aaa"));
    }
}

#[test]
fn a_shut_folder_beside_what_is_restored_is_shut_again() {
    let house = House::of_nobody();
    house.write("in/deep/a.txt", "aaa");
    house.write("in/deep/large", crate::kill::noise(3, 8 << 20));
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    let mode = |path: &str| std::fs::metadata(house.path(path)).expect("it is there").mode() & 0o7777;
    house.run(["restore", &selector, "--target", "out"]).done();
    std::fs::remove_file(house.path("out/deep/a.txt")).expect("removed");
    set_mode(&house.path("out/deep"), 0o500);
    house.run(["restore", &selector, "--target", "out", "--include", "a.txt"]).done();
    assert_eq!((read(&house, "out/deep/a.txt").as_str(), mode("out/deep")), ("aaa", 0o500));
    if !crate::harness::is_root() {
        eprintln!("NOT TESTED: only root can mount a small file system, on which a restore ends midway");
        return;
    }
    let small = Mounted::new(&house.path("small"), "4m");
    std::fs::create_dir(small.path().join("deep")).expect("a folder");
    std::os::unix::fs::chown(small.path().join("deep"), Some(NOBODY), Some(NOBODY)).expect("an owner");
    set_mode(&small.path().join("deep"), 0o500);
    for options in [&["--include", "large"][..], &[]] {
        let restore = ["restore", &selector, "--target", "small"];
        house.run([&restore, options].concat()).refused(1, &["No space left on device"]);
        assert_eq!(mode("small/deep"), 0o500, "{options:?}");
    }
}
