//! A full disk: a clear error, a repository that is still good, and a backup that works once there is room.

use crate::harness::House;
use crate::kill::noise;
use rustix::mount::MountFlags;
use rustix::mount::UnmountFlags;
use std::ffi::CString;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;

/// A small file system in memory, gone with this value.
pub struct Mounted(PathBuf);

impl Mounted {
    /// Mounts one at a folder that does not exist yet; only root can.
    pub fn new(at: &Path, size: &str) -> Self {
        std::fs::create_dir_all(at).expect("a folder");
        let options = CString::new(format!("size={size}")).expect("no NUL");
        rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::empty(), options.as_c_str()).expect("root may mount");
        Self(at.to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_is_told_and_harms_nothing() {
    let house = House::empty();
    if !crate::harness::is_root() {
        eprintln!("NOT TESTED: only root can mount a small file system; see the other test of this file");
        return a_full_standard_output(&house);
    }
    let disk = Mounted::new(&house.repository(), "64m");
    house.run(["init", "--no-recovery-code"]).done();
    house.write("in/small", "kept");
    house.backup(&[&house.text("in")]);
    let ballast = disk.path().join("tmp/ballast");
    std::fs::write(&ballast, vec![1; 40 << 20]).expect("there is room");
    house.write("in/large", noise(4, 30 << 20));
    for _ in 0..2 {
        let outcome = house.run(["backup", &house.text("in")]);
        outcome.refused(1, &["because: No space left on device", "hint: free some space"]);
        house.assert_sound();
        assert_eq!(house.snapshots().len(), 1);
        assert_eq!(house.run(["dump", "latest", &house.text("in/small")]).done().out, "kept");
    }
    std::fs::remove_file(&ballast).expect("it was there");
    house.backup(&[&house.text("in")]);
    house.assert_sound();
    let copy = house.restore(&house.path("in"), "out");
    assert_eq!(crate::support::walker::differences(&house.path("in"), &copy), Vec::<String>::new());
}

#[test]
fn a_target_that_fills_up_is_told() {
    if !crate::harness::is_root() {
        return a_full_standard_output(&House::empty());
    }
    let house = House::new();
    house.write("in/large", noise(4, 5 << 20));
    house.backup(&[&house.text("in")]);
    let disk = Mounted::new(&house.path("out"), "2m");
    // A link takes no room.
    std::os::unix::fs::symlink("large", house.path("in/a")).expect("a link");
    house.backup(&[&house.text("in")]);
    let target = disk.path().to_str().expect("UTF-8");
    let selector = format!("latest:{}", house.text("in"));
    let outcome = house.run(["restore", &selector, "--target", target]);
    let outcome = outcome.refused(1, &["No space left", "hint: fix that"]);
    assert!(outcome.err.contains("before that, 1 entry with "), "{outcome}");
    std::fs::remove_file(disk.path().join("a")).expect("it was restored");
    assert!(crate::harness::files(disk.path()).is_empty(), "no half file stays behind");
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure() {
    a_full_standard_output(&House::empty());
}

fn a_full_standard_output(house: &House) {
    let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
    let mut command = house.bare();
    let outcome = crate::harness::run(command.args(["version"]).stdout(Stdio::from(full)));
    outcome.refused(1, &["cannot write the result", "No space left"]);
}

/// Fills what room there is.
fn fill(disk: &Mounted) {
    use std::io::Write;
    let mut ballast = File::options().create(true).append(true).open(disk.path().join("ballast")).expect("a file");
    while ballast.write_all(&[1; 4096]).is_ok() {}
}

/// Four snapshots on a small disk, whose IDs are given.
fn four(house: &House) -> Vec<String> {
    house.run(["init", "--no-recovery-code"]).done();
    // All need some of the first pack.
    house.write("in/kept", noise(9, 64 << 10));
    let backed_up = |seed| {
        house.write("in/file", noise(seed, 2 << 20));
        house.backup(&[&house.text("in")])["snapshot_id"].as_str().expect("an ID").to_owned()
    };
    (1..=4).map(backed_up).collect()
}

#[test]
fn a_full_disk_lets_snapshots_be_forgotten_and_their_space_be_given_back_at_the_first_try() {
    if !crate::harness::is_root() {
        eprintln!("NOT TESTED: only root can mount a small file system; see the other test of this file");
        return a_full_standard_output(&House::empty());
    }
    let house = House::empty();
    let disk = Mounted::new(&house.repository(), "64m");
    let ids = four(&house);
    assert!(disk.path().join("reserve").exists(), "it is there from the beginning");
    for id in ids.iter().take(3) {
        fill(&disk);
        let packs = house.area("packs").len();
        house.run(["forget", "--prune", id]).done().says("gives back");
        assert!(house.area("packs").len() < packs);
        assert!(house.area("gc/mark").is_empty());
        house.assert_sound();
    }
    house.backup(&[&house.text("in")]);
    assert!(disk.path().join("reserve").exists(), "for the next time");
}

/// A repository from before there was a reserve, on a disk that is full to the last byte.
#[test]
fn a_full_disk_without_a_reserve_does_not_get_worse_with_every_attempt() {
    if !crate::harness::is_root() {
        eprintln!("NOT TESTED: only root can mount a small file system; see the other test of this file");
        return a_full_standard_output(&House::empty());
    }
    let house = House::empty();
    let disk = Mounted::new(&house.repository(), "64m");
    let ids = four(&house);
    std::fs::remove_file(disk.path().join("reserve")).expect("it was there");
    let page = disk.path().join("page");
    std::fs::write(&page, [1; 4096]).expect("there is room");
    fill(&disk);
    house.run(["forget", &ids[0]]).done();
    fill(&disk);
    // Room for a mark, and none for a tomb.
    std::fs::remove_file(page).expect("it was there");
    let full = &["No space left", "hint: a prune needs a little room"];
    house.run(["prune", "--min-age", "0h"]).refused(1, full);
    let marks = house.area("gc/mark");
    fill(&disk);
    for _ in 0..3 {
        house.run(["prune", "--min-age", "0h"]).refused(1, full);
        assert_eq!(house.area("gc/mark"), marks);
    }
    let packs = house.area("packs").len();
    // One more snapshot makes room for a tomb, or for a mark and the next one for its tomb; that makes room for all else.
    let is_done = |id: &String| house.run(["forget", "--prune", id]).code == 0;
    assert!(ids[1..3].iter().any(is_done), "a prune with room for a tomb finishes what is condemned");
    assert!(house.area("packs").len() + 2 <= packs, "the data of two snapshots is gone");
    house.assert_sound();
}

#[test]
fn a_tag_on_a_disk_with_one_free_page_leaves_nothing_that_keeps_data() {
    if !crate::harness::is_root() {
        eprintln!("NOT TESTED: only root can mount a small file system; see the other test of this file");
        return a_full_standard_output(&House::empty());
    }
    let house = House::empty();
    let disk = Mounted::new(&house.repository(), "64m");
    let ids = four(&house);
    std::fs::write(disk.path().join("page"), [1; 4096]).expect("there is room");
    fill(&disk);
    std::fs::remove_file(disk.path().join("page")).expect("it was there");
    house.run(["tag", "--add", "kept", &ids[0]]).refused(1, &["No space left"]);
    assert!(house.area("pending").is_empty());
    let packs = house.area("packs").len();
    house.run(["forget", "--prune", &ids[0]]).done();
    assert!(house.area("packs").len() < packs);
}

#[test]
fn forgetting_in_a_repository_that_is_read_only_is_refused_before_anything_goes() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::of_nobody();
    house.write("in/file", "one");
    house.backup(&[&house.text("in")]);
    house.backup(&[&house.text("in")]);
    let snapshots = house.repository().join("snapshots");
    let allow = |mode| std::fs::set_permissions(&snapshots, PermissionsExt::from_mode(mode)).expect("a mode");
    allow(0o500);
    house.run(["forget", "--keep-last", "1"]).refused(1, &["cannot write to", "Permission denied"]);
    assert_eq!(house.snapshots().len(), 2);
    allow(0o700);
    house.run(["forget", "--keep-last", "1"]).done();
}
