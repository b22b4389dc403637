//! Damage made good: each form of repair against what it is for, with nothing that was there touched.

use crate::harness::House;
use crate::harness::Outcome;
use std::path::Path;
use std::path::PathBuf;

/// Files that do not squeeze, each large enough for a segment of its own; and two snapshots of them.
fn house() -> House {
    let house = House::new();
    for number in 0..4u8 {
        house.write(&format!("in/file{number}"), noise(number));
    }
    house.backup(&[&house.text("in"), "--tag", "first"]);
    house.write("in/small", b"one more");
    house.backup(&[&house.text("in")]);
    house
}

fn noise(number: u8) -> Vec<u8> {
    let mut state = u64::from(number) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    (0..40_000).flat_map(|_| next().to_le_bytes()).collect()
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("read")
}

/// Every object with its bytes.
fn evidence(house: &House) -> Vec<(PathBuf, Vec<u8>)> {
    house.objects().into_iter().map(|(path, _)| (path.clone(), bytes(&path))).collect()
}

#[track_caller]
fn untouched(before: &[(PathBuf, Vec<u8>)]) {
    for (path, old) in before {
        assert!(bytes(path) == *old, "{} is no more what it was", path.display());
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = bytes(path);
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("written");
}

/// The largest pack: it holds several files.
fn pack(house: &House) -> (PathBuf, usize) {
    let (path, length) = house.area("packs").into_iter().max_by_key(|(_, length)| *length).expect("a pack");
    (path, usize::try_from(length).expect("small"))
}

fn files(house: &House) -> usize {
    let listed = house.run(["ls", "latest"]).done();
    listed.out.lines().filter(|line| line.contains("file") || line.contains("small")).count()
}

#[track_caller]
fn hinted(outcome: Outcome, verb: &str) {
    let outcome = outcome.ended(13);
    assert!(outcome.err.lines().any(|line| line.starts_with("hint: ") && line.contains(verb)), "{outcome}");
}

#[test]
fn a_lost_or_damaged_index_is_made_again() {
    let house = house();
    for (number, (path, _)) in house.area("index").into_iter().enumerate() {
        if number == 0 { flip(&path, 150) } else { std::fs::remove_file(path).expect("removed") }
    }
    let key = house.area("keys/data").remove(0).0;
    std::fs::remove_file(&key).expect("removed");
    hinted(house.run(["check"]), "repair index");
    let before = evidence(&house);
    house.run(["repair", "index", "--dry-run"]).done().says("to be named in the index");
    assert_eq!(evidence(&house), before);
    house.run(["repair", "index"]).done().says("index/").says("put back: 1").says("left where it is");
    untouched(&before);
    assert!(key.exists());
    house.assert_sound();
    let json = house.run(["--json", "repair", "index"]).done().message("summary");
    assert_eq!((&json["chunks_named"], &json["dry_run"]), (&0.into(), &false.into()));
    house.run(["prune"]).done();
    house.assert_sound();
}

#[test]
fn a_damaged_pack_is_saved_in_part_and_a_backup_stores_the_rest_again() {
    let house = house();
    let (path, length) = pack(&house);
    flip(&path, length / 2);
    let checked = house.run(["check", "--read-data"]);
    let name = path.file_name().and_then(|name| name.to_str()).expect("an ID").to_owned();
    assert!(checked.out.contains(&name));
    hinted(checked, "repair packs");
    let before = evidence(&house);
    house.run(["repair", "packs", "--dry-run"]).ended(3).says(&name).says("chunks lost: 1");
    assert_eq!(evidence(&house), before);
    let told = house.run(["repair", "packs", &name[..12]]).ended(3).says("chunks lost: 1");
    assert!(told.err.contains("repair snapshots"), "{told}");
    untouched(&before);
    house.run(["repair", "packs", "ffffffff"]).refused(1, &["ffffffff"]);
    // What the source still has makes every snapshot whole again.
    house.run(["backup", &house.text("in")]).done();
    house.run(["repair", "snapshots", "--all"]).done().says("repaired: 0, whole: 3");
    house.run(["prune"]).done();
    assert!(!path.exists());
    house.assert_sound();
}

#[test]
fn snapshots_are_written_without_what_is_lost() {
    let house = house();
    std::fs::remove_file(pack(&house).0).expect("removed");
    hinted(house.run(["check"]), "repair snapshots");
    let (before, all) = (evidence(&house), files(&house));
    let tried = house.run(["repair", "snapshots", "--all", "--dry-run"]).ended(3).says("would be left out");
    assert!(tried.err.contains("in/file"), "{tried}");
    assert_eq!(evidence(&house), before);
    house.run(["repair", "snapshots"]).refused(2, &[]);
    let told = house.run(["repair", "snapshots", "--all"]).ended(3).says("is repaired as").says("repaired: 2");
    assert!(told.err.contains("in/file"), "{told}");
    untouched(&before);
    assert_eq!(house.snapshots().len(), 4);
    let repaired = house.run(["--json", "snapshots", "--tag", "repaired"]).done().json();
    assert_eq!(repaired.as_array().map(Vec::len), Some(2));
    house.run(["repair", "snapshots", "--all"]).ended(3).says("was repaired before");
    house.run(["forget", "--tag", "first", "--keep-last", "1", "--dry-run"]).done();
    let json = house.run(["--json", "repair", "snapshots", "--forget", "--all"]).ended(3).message("summary");
    assert_eq!(json["snapshots_repaired"], 2);
    assert_eq!(house.snapshots().len(), 2);
    assert!(files(&house) < all && files(&house) > 0);
    house.run(["repair", "snapshots", "--all"]).done().says("repaired: 0, whole: 2");
    let target = house.text("out");
    house.run(["restore", "latest", "--target", &target]).done();
    // The index still names the pack that is gone, until a prune.
    house.run(["prune"]).done();
    house.assert_sound();
}

#[test]
fn another_repository_gives_back_what_is_lost() {
    let house = house();
    house.write("second.pass", b"open sesame\n");
    let second = |words: &[&str]| {
        let mut command = house.bare();
        command.args(["-r", &house.text("second"), "--password-file", &house.text("second.pass")]).args(words);
        crate::harness::run(&mut command)
    };
    second(&["init", "--no-recovery-code"]).done();
    let from = ["--from-repo", &house.text("repository"), "--from-key-file", &house.text("key")];
    second(&[&["copy", "--all"], from.as_slice()].concat()).done();
    std::fs::remove_file(pack(&house).0).expect("removed");
    let before = evidence(&house);
    let from = ["--from-repo", &house.text("second"), "--from-password-file", &house.text("second.pass")];
    let fetch = |words: &[&str]| house.run([&["repair", "fetch"], from.as_slice(), words].concat());
    fetch(&[]).refused(2, &[]);
    fetch(&["--all", "--dry-run"]).ended(3).says("it lacks");
    assert_eq!(evidence(&house), before);
    fetch(&["--all"]).done().says("is whole again").says("that are whole: 2, that lack something: 0");
    untouched(&before);
    house.run(["repair", "snapshots", "--all"]).done().says("whole: 2");
    let wrong = ["repair", "fetch", "--all", "--from-repo", &house.text("nowhere")];
    house.run(wrong).refused(10, &["nowhere"]);
    house
        .run(["repair", "fetch", "--all", "--from-repo", &house.text("repository")])
        .refused(2, &["the same", "hint: "]);
}

#[test]
fn a_copy_of_the_repository_made_by_tools_for_files_gives_back_what_is_lost() {
    let house = house();
    let (clone, from) = (house.path("clone"), house.repository());
    for (path, _) in house.objects() {
        let to = clone.join(path.strip_prefix(&from).expect("in the repository"));
        std::fs::create_dir_all(to.parent().expect("a folder")).expect("created");
        std::fs::copy(&path, to).expect("copied");
    }
    std::fs::remove_file(pack(&house).0).expect("removed");
    let words =
        ["repair", "fetch", "--all", "--from-repo", &house.text("clone"), "--from-key-file", &house.text("key")];
    house.run(words).done().says("is whole again").says("that are whole: 2, that lack something: 0");
    house.run(["repair", "snapshots", "--all"]).done().says("whole: 2");
    std::os::unix::fs::symlink(&from, house.path("link")).expect("linked");
    let words = ["repair", "fetch", "--all", "--from-repo", &house.text("link"), "--from-key-file", &house.text("key")];
    house.run(words).refused(2, &["the same", "hint: "]);
}

#[test]
fn what_is_beyond_repair_says_how_it_is_given_up() {
    let house = house();
    for (path, length) in house.area("packs") {
        let mut bytes = bytes(&path);
        let end = usize::try_from(length).expect("small") - 16;
        bytes[64..end].iter_mut().for_each(|byte| *byte ^= 1);
        std::fs::write(&path, bytes).expect("written");
    }
    let told = house.run(["repair", "snapshots", "--all", "--read-data"]).ended(3).says("beyond repair: ");
    assert!(told.err.contains("forget ID"), "{told}");
    hinted(house.run(["prune"]), "says what helps");
    hinted(house.run(["check", "--read-data"]), "forget ID");
}
