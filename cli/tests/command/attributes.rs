//! Extended attributes, access lists and inode flags: what is kept of them, what comes back, and what is told otherwise.

use crate::full_disk::Mounted;
use crate::harness::House;
use crate::harness::NOBODY;
use crate::harness::is_root;
use crate::support::walker::xattrs;
use rustix::fs::XattrFlags;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// Runs a program of the system; false when it fails or is not there.
fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// A small file system in a file, mounted; unmounted with this value.
struct Disk(PathBuf);

impl Disk {
    /// `None` where nobody may mount one.
    fn new(house: &House, name: &str, program: &str) -> Option<Self> {
        let (image, at) = (house.text(&format!("{name}.img")), house.path(name));
        std::fs::File::create(&image).and_then(|file| file.set_len(128 << 20)).expect("a file");
        std::fs::create_dir(&at).expect("a folder");
        let made = is_root()
            && succeeds(program, &["-q", &image])
            && succeeds("mount", &["-o", "loop", &image, &house.text(name)]);
        if !made {
            eprintln!("NOT TESTED: only root can mount what {program} makes");
        }
        made.then_some(Self(at))
    }

    fn ext4(house: &House, name: &str) -> Option<Self> {
        Self::new(house, name, "mkfs.ext4")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        succeeds("umount", &["-l", self.0.to_str().expect("UTF-8")]);
    }
}

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty()).expect("an attribute");
}

fn chattr(change: &str, path: &Path) {
    assert!(succeeds("chattr", &[change, path.to_str().expect("UTF-8")]), "chattr {change} {}", path.display());
}

/// The flags that `chattr` sets, as letters.
fn flags(path: &Path) -> String {
    let output = Command::new("lsattr").arg("-d").arg(path).output().expect("lsattr runs");
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    let letters = line.split(' ').next().unwrap_or_default();
    letters.chars().filter(|letter| "iadAcmjtDTCsSu".contains(*letter)).collect()
}

#[test]
fn attributes_that_cannot_be_kept_make_each_backup_partial_also_an_unchanged_one() {
    let house = House::new();
    if !is_root() {
        return eprintln!("NOT TESTED: only root can mount a file system that takes so many attributes");
    }
    let disk = Mounted::new(&house.path("in"), "32m");
    house.write("in/crowded", "x");
    house.write("in/heavy", "y");
    std::fs::create_dir(house.path("in/folder")).expect("a folder");
    // More names than the kernel lists; and more bytes than an entry has room for.
    for place in ["in/crowded", "in/folder"] {
        (0..400).for_each(|number| set(&house.path(place), &format!("trusted.{}{number}", "n".repeat(200)), b"v"));
    }
    (0..17).for_each(|number| set(&house.path("in/heavy"), &format!("trusted.{number}"), &[7; 65_000]));
    let first = house.run(["backup", &house.text("in")]).ended(3);
    // What rests since before the first backup is taken over by the third, whatever the clock's ticks.
    let mut told = vec![first];
    for _ in 0..2 {
        told.push(house.run(["backup", &house.text("in")]).ended(3));
    }
    for outcome in &told {
        for text in ["/in/crowded: extended attributes cannot be listed", "/in/folder: extended attributes"] {
            assert!(outcome.err.contains(text), "{text}: {outcome}");
        }
        assert!(outcome.err.contains("/in/heavy: extended attribute trusted."), "{outcome}");
    }
    assert!(house.snapshots().iter().all(|snapshot| snapshot["partial"] == true));
    drop(disk);
}

#[test]
fn an_attribute_that_the_target_has_no_room_for_is_told_and_the_file_restored() {
    let house = House::new();
    let Some(_target) = Disk::ext4(&house, "out") else { return };
    let _source = Mounted::new(&house.path("in"), "8m");
    set(&house.write("in/file", "content"), "trusted.big", &[7; 60_000]);
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    let outcome = house.run(["restore", &selector, "--target", "out"]).ended(3);
    let text = "cannot set its attribute trusted.big: it is larger than the file system has room for";
    assert!(outcome.err.contains(text), "{outcome}");
    assert_eq!(std::fs::read(house.path("out/file")).expect("the file"), b"content");
}

#[test]
fn an_ordinary_user_is_told_of_attributes_that_only_root_sets_and_has_everything_else() {
    let house = House::of_nobody();
    let file = house.write("in/file", "content");
    if !is_root() {
        return eprintln!("NOT TESTED: only root can give a file such an attribute");
    }
    set(&file, "security.strongroom", b"label");
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    let outcome = house.run(["restore", &selector, "--target", "out"]).done();
    assert!(outcome.err.contains("1 attribute could not be set: that takes root"), "{outcome}");
    let outcome = house.run(["--json", "restore", &selector, "--target", "out"]).done();
    assert_eq!(outcome.message("summary")["attributes_refused"], 1);
}

#[test]
fn flags_of_large_files_come_back_and_those_of_the_file_system_stay_its_own() {
    let house = House::new();
    let (Some(_source), Some(_target)) = (Disk::ext4(&house, "in"), Disk::ext4(&house, "out")) else { return };
    // From 48 KiB on ext4 refuses to give up the extents that a file has.
    for (name, length) in [("small", 10), ("large", 200 << 10)] {
        let path = house.write(&format!("in/{name}"), crate::kill::noise(3, length));
        chattr("+dAS", &path);
    }
    std::fs::create_dir(house.path("in/folder")).expect("a folder");
    chattr("+DT", &house.path("in/folder"));
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    for _ in 0..2 {
        house.run(["restore", &selector, "--target", "out"]).done();
        for (name, wanted) in [("small", "SdA"), ("large", "SdA"), ("folder", "DT")] {
            assert_eq!(flags(&house.path("out").join(name)), wanted, "{name}");
        }
    }
}

#[test]
fn a_flag_that_takes_an_empty_file_is_set_on_one_or_told_to_be_missing() {
    let house = House::new();
    let (source, target) = (Disk::new(&house, "in", "mkfs.btrfs"), Disk::new(&house, "out", "mkfs.btrfs"));
    let (Some(_source), Some(_target)) = (source, target) else { return };
    for name in ["in/one", "in/many"] {
        house.write(name, "");
        chattr("+C", &house.path(name));
    }
    house.write("in/one", "small");
    house.write("in/many", crate::kill::noise(3, 5 << 20));
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    house.run(["restore", &selector, "--target", "out"]).done();
    assert_eq!(["out/one", "out/many"].map(|name| flags(&house.path(name))), ["C", "C"]);
    std::fs::remove_file(house.path("out/one")).expect("removed");
    std::fs::copy(house.path("in/one"), house.path("out/one")).expect("copied");
    let outcome = house.run(["restore", &selector, "--target", "out"]).ended(3);
    assert!(outcome.err.contains("/one: cannot set its flags C: that takes an empty file"), "{outcome}");
}

#[test]
fn immutable_and_append_only_files_are_restored_again_whatever_has_changed_in_the_target() {
    let house = House::new();
    let (Some(_source), Some(_target)) = (Disk::ext4(&house, "in"), Disk::ext4(&house, "out")) else { return };
    let held = [("in/shut/fixed", "+i"), ("in/log", "+a"), ("in/shut", "+i")];
    for name in ["in/shut/fixed", "in/log", "in/free"] {
        house.write(name, crate::kill::noise(3, 100_000));
    }
    std::fs::hard_link(house.path("in/log"), house.path("in/name")).expect("a link");
    held.iter().for_each(|(name, change)| chattr(change, &house.path(name)));
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    let restore = |options: &[&str]| house.run([&["restore", &selector, "--target", "out"], options].concat());
    let as_it_was = || {
        assert_eq!(crate::support::walker::differences(&house.path("in"), &house.path("out")), Vec::<String>::new());
        let now = ["shut/fixed", "log", "name", "shut", "free"].map(|name| flags(&house.path("out").join(name)));
        assert_eq!(now, ["i", "a", "a", "i", ""]);
    };
    restore(&[]).done();
    as_it_was();
    let again = restore(&[]).done();
    assert!(again.out.contains("restored 0 entries"), "{again}");
    as_it_was();
    // Other content, another mode, a name that is missing, and strangers, each behind a flag.
    for name in ["shut", "shut/fixed", "log"] {
        chattr("-ia", &house.path("out").join(name));
    }
    std::fs::write(house.path("out/shut/fixed"), "other").expect("written");
    std::fs::set_permissions(house.path("out/log"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::remove_file(house.path("out/name")).expect("removed");
    let stranger = house.write("out/shut/stranger", "x");
    for (path, change) in [("out/shut/fixed", "+i"), ("out/log", "+a"), ("out/free", "+i"), ("out/shut", "+i")] {
        chattr(change, &house.path(path));
    }
    chattr("+i", &stranger);
    restore(&["--delete"]).done();
    as_it_was();
    held.iter().for_each(|(name, _)| chattr("-ia", &house.path(name)));
}

#[test]
fn an_ordinary_user_is_told_which_flag_stands_in_the_way() {
    let house = House::of_nobody();
    let Some(_target) = Disk::ext4(&house, "out") else { return };
    std::os::unix::fs::chown(house.path("out"), Some(NOBODY), Some(NOBODY)).expect("an owner");
    ["in/mode", "in/content", "in/folder/new"].iter().for_each(|name| _ = house.write(name, "as it is"));
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    house.run(["restore", &selector, "--target", "out", "--no-owner"]).done();
    std::fs::set_permissions(house.path("out/mode"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::write(house.path("out/content"), "other").expect("written");
    std::fs::remove_file(house.path("out/folder/new")).expect("removed");
    ["out/mode", "out/content", "out/folder"].iter().for_each(|name| chattr("+i", &house.path(name)));
    let outcome = house.run(["restore", &selector, "--target", "out", "--no-owner"]).ended(3);
    let why = "is immutable or append-only (chattr -i, -a), which takes root to change";
    for text in
        ["/mode: cannot set its mode: it", "/content: cannot finish: it", "/folder/new: cannot write: its directory"]
    {
        assert!(outcome.err.contains(&format!("{text} {why}")), "{text}: {outcome}");
    }
    assert_eq!(std::fs::read(house.path("out/content")).expect("a file"), b"other");
}

/// The access list of a path as text, by number; without the name and empty lines.
fn list(path: &Path) -> String {
    let output = Command::new("getfacl").args(["-ncp"]).arg(path).output().expect("getfacl runs");
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.is_empty()).collect::<Vec<_>>().join(",")
}

#[test]
fn people_in_access_lists_are_mapped_like_owners_and_none_is_left_without_owners() {
    let house = House::new();
    let file = house.write("in/folder/file", "x");
    let folder = house.path("in/folder");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    let texts = [&folder, &file].map(|path| path.to_str().expect("UTF-8").to_owned());
    assert!(succeeds("setfacl", &["-m", "u:12345:rwx,g:23456:r,d:u:12345:rw,d:g::r", &texts[0]]), "setfacl runs");
    assert!(succeeds("setfacl", &["-m", "u:12345:rw,g:23456:r", &texts[1]]));
    house.backup(&[&house.text("in")]);
    let selector = format!("latest:{}", house.text("in"));
    let restore = |target: &str, options: &[&str]| {
        house.run([&["restore", &selector, "--target", target], options].concat()).done();
        [house.path(target).join("folder"), house.path(target).join("folder/file")]
    };
    let mapped = restore("mapped", &["--map-owner", "12345=54321", "--map-owner", ":23456=:65432"]);
    for (before, after) in [&folder, &file].into_iter().zip(&mapped) {
        let wanted = list(before).replace("12345", "54321").replace("23456", "65432");
        assert_eq!(list(after), wanted);
    }
    let [folder, file] = restore("bare", &["--no-owner"]);
    assert_eq!(list(&file), "user::rw-,group::---,other::---", "the mask was no right of the group");
    assert!(!list(&folder).contains("12345") && !list(&folder).contains("23456"), "{}", list(&folder));
    assert!(list(&folder).contains("default:group::r--"), "{}", list(&folder));
    assert_eq!(file.metadata().expect("a file").mode() & 0o777, 0o600);
    assert!(!xattrs(&file).contains("posix_acl"));
}

#[test]
fn mappings_that_nobody_can_carry_out_are_usage_errors() {
    let house = House::new();
    house.write("in/file", "x");
    house.backup(&[&house.text("in")]);
    let mut maps: Vec<Vec<&str>> = vec![vec!["0=4294967295"], vec!["0=99999999999"], vec!["4294967296=0"]];
    maps.extend([vec!["root=no-such-user"], vec![":0=:no-such-group"], vec!["0=1", "0=2"], vec!["root=-1"]]);
    for map in maps {
        let options: Vec<&str> = map.iter().flat_map(|one| ["--map-owner", one]).collect();
        let outcome = house.run([&["restore", "latest", "--target", "out"], &options[..]].concat());
        outcome.refused(2, &["cannot map "]);
        assert!(!house.path("out").exists(), "{map:?}");
    }
}
