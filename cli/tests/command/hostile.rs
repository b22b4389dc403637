//! What others have put into the folders that the command uses: nothing of it is followed, waited for or removed.

use crate::harness::House;
use crate::harness::run;
use rustix::fs::FileType;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::SystemTime;

/// A file of our own form in `tmp/`, from five days ago.
const STAGED: &str = "4711-0-00000000000000ff";

fn old_file(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, "precious").expect("written");
    let then = SystemTime::now() - Duration::from_secs(5 * 24 * 3600);
    std::fs::File::options().write(true).open(path).expect("open").set_modified(then).expect("a time");
}

#[test]
fn a_repository_is_made_in_no_folder_that_is_somebody_elses() {
    let house = House::empty();
    old_file(&house.path("repository/tmp/thesis"));
    house.run(["init", "--no-recovery-code"]).refused(2, &["it is not empty: there is tmp", "hint: "]);
    assert!(house.path("repository/tmp/thesis").exists() && !house.path("key").exists());
    // The first backup to the user's own repository makes one as well.
    old_file(&house.path("other/thesis"));
    std::fs::create_dir_all(house.path("data/strongroom/repository")).expect("a folder");
    symlink("../../../other", house.path("data/strongroom/repository/tmp")).expect("a link");
    run(house.bare().args(["backup", &house.text("other")])).refused(2, &["it is not empty: there is tmp"]);
    assert!(house.path("other/thesis").exists() && !house.path("config/strongroom/key").exists());
}

#[test]
fn what_killed_runs_left_is_named_by_check_and_removed_by_prune_and_by_backup() {
    let house = House::new();
    house.write("in/file", "content");
    house.backup(&[&house.text("in")]);
    let (left, notes) = (house.repository().join("tmp").join(STAGED), house.repository().join("tmp/notes"));
    old_file(&notes);
    for verb in [vec!["prune"], vec!["backup", "in"]] {
        old_file(&left);
        house.run(["check"]).done().says("1 file of 8 B in tmp/");
        assert_eq!(house.run(["--json", "check"]).done().message("summary")["files_left_over"], 1);
        house.run(["prune", "--dry-run"]).done();
        assert!(left.exists());
        house.run(&verb).done();
        assert!(!left.exists() && notes.exists(), "{verb:?}");
    }
    let outcome = house.run(["check"]).done();
    assert!(!outcome.out.contains("tmp/"), "{outcome}");
}

#[test]
fn a_prune_removes_nothing_through_a_link() {
    let house = House::new();
    house.write("in/file", crate::kill::noise(1, 200_000));
    house.backup(&[&house.text("in")]);
    std::fs::rename(house.repository().join("packs"), house.path("elsewhere")).expect("moved");
    symlink(house.path("elsewhere"), house.repository().join("packs")).expect("a link");
    let before = crate::harness::files(&house.path("elsewhere"));
    let words = ["packs is a symbolic link", "hint: ", "mount --bind"];
    house.run(["prune", "--min-age", "0h"]).refused(1, &words);
    house.run(["forget", "latest", "--prune"]).refused(1, &words);
    house.run(["backup", &house.text("in")]).refused(1, &words);
    house.run(["check"]).refused(1, &words);
    assert_eq!(crate::harness::files(&house.path("elsewhere")), before);
    std::fs::remove_file(house.repository().join("packs")).expect("removed");
    std::fs::rename(house.path("elsewhere"), house.repository().join("packs")).expect("moved back");
    house.assert_sound();
}

#[test]
fn what_stands_in_the_place_of_a_cache_file_is_neither_followed_nor_waited_for() {
    let house = House::new();
    house.write("in/file", "content");
    let victim = house.write("victim", "precious");
    std::fs::set_permissions(&victim, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let cache = house.path("cache/strongroom");
    for (verb, file) in
        [(vec!["backup", "in"], "unfinished.sqlite"), (vec!["check", "--budget", "100%/day"], "verified.sqlite")]
    {
        for way in 0..3 {
            let path = cache.join(file);
            let _ = std::fs::remove_dir_all(&cache);
            std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
                .create(&cache)
                .expect("made");
            match way {
                0 => symlink(&victim, &path).expect("a link"),
                1 => symlink(house.path("new"), &path).expect("a link"),
                _ => rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, 0o600.into(), 0).expect("a pipe"),
            }
            house.run(&verb).done();
            let mode = std::fs::metadata(&victim).expect("there").permissions().mode() & 0o777;
            assert_eq!((std::fs::read_to_string(&victim).expect("read").as_str(), mode), ("precious", 0o644));
            assert!(!house.path("new").exists());
        }
    }
}

#[test]
fn a_cache_is_private_under_every_umask_and_not_used_where_others_may_write() {
    let house = House::new();
    house.write("in/file", "content");
    let plain = house.command(["backup", "in"]);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(house.path("."));
    run(command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped())).done();
    let cache = house.path("cache/strongroom");
    assert_eq!(std::fs::metadata(&cache).expect("made").permissions().mode() & 0o777, 0o700);
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).expect("a mode");
    let before = crate::harness::files(&cache);
    let outcome = house.run(["backup", "in"]).done();
    assert!(outcome.err.contains("is not used: other users may write to it"), "{outcome}");
    assert_eq!(crate::harness::files(&cache), before);
}
