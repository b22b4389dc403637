//! What cannot work is refused with its own exit code, in words, and before anything is written.

use crate::harness::House;
use crate::harness::is_root;
use crate::harness::run;
use std::os::unix::fs::PermissionsExt;

/// Fails unless `act` leaves the repository as it was.
fn writes_nothing(house: &House, act: impl FnOnce()) {
    let before: Vec<_> = house.objects().into_iter().map(|(path, _)| (std::fs::read(&path).ok(), path)).collect();
    act();
    let after: Vec<_> = house.objects().into_iter().map(|(path, _)| (std::fs::read(&path).ok(), path)).collect();
    assert!(before == after, "something was written: {:?}", house.objects());
}

#[test]
fn a_wrong_password_or_key_writes_nothing() {
    let house = House::new();
    house.write("in/file", "x");
    house.write("password", "right");
    house.write("wrong", "Right");
    house.run(["key", "add", "--new-password-file", "password"]).done();
    house.write("wrong-key", format!("strongroom-key-1 {}\n", "0f".repeat(32)));
    house.write("no-key", "strongroom-key-9 zz");
    let top = house.text("in");
    writes_nothing(&house, || {
        let mut command = house.command(["-p", "wrong", "backup", &top]);
        let outcome = run(command.env_remove("STRONGROOM_KEY_FILE"));
        outcome.refused(12, &["error: the password does not open the repository at", "hint: '--use-recovery-code'"]);
        house.run(["--key-file", "wrong-key", "backup", &top]).refused(12, &["the key file does not open"]);
        house.run(["--key-file", "no-key", "backup", &top]).refused(12, &["key file"]);
        house.run(["--key-file", "missing", "backup", &top]).refused(1, &["cannot read the key file from missing"]);
    });
}

#[test]
fn a_place_without_a_repository_is_told_apart() {
    let house = House::empty();
    house.write("in/file", "x");
    house.write("key", format!("strongroom-key-1 {}\n", "0f".repeat(32)));
    std::fs::create_dir(house.path("hollow")).expect("a folder");
    house.write("full/letter.txt", "dear");
    for (place, code) in [("nowhere", 10), ("hollow", 10), ("full", 10), ("in/file", 10)] {
        let outcome = house.run(["-r", place, "backup", &house.text("in")]);
        outcome.refused(code, &["there is no repository at", place, "hint: "]);
    }
    assert!(!house.path("nowhere").exists());
    assert_eq!(crate::harness::files(&house.path("full")).len(), 1);
    house.run(["-r", "full", "init"]).refused(2, &["cannot create a repository in full", "it is not empty"]);
    house.run(["-r", "in/file", "init"]).refused(2, &["in/file", "a file in the place of a folder"]);
    assert_eq!(crate::harness::files(&house.path("full")).len(), 1);
}

#[test]
fn a_newer_repository_is_called_newer() {
    let house = House::new();
    house.write("in/file", "x");
    let config = house.repository().join("config");
    let good = std::fs::read(&config).expect("read");
    let magic = good.windows(2).position(|pair| pair == [1, 0]).expect("the version follows the magic");
    let mut newer = good.clone();
    newer[magic] = 2;
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    std::fs::write(&config, &newer).expect("written");
    writes_nothing(&house, || {
        house.run(["snapshots"]).refused(14, &["config", "newer"]);
        house.run(["backup", &house.text("in")]).refused(14, &["newer"]);
    });
    std::fs::write(&config, &good).expect("written");
    house.run(["snapshots"]).done();
}

#[test]
fn a_damaged_object_is_named() {
    for area in ["config", "snapshots", "index", "packs", "keys/slot", "keys/data"] {
        let house = House::new();
        let bytes = crate::support::trees::Dice::new(3).bytes(100_000);
        house.write("in/file", &bytes);
        house.backup(&[&house.text("in")]);
        let whole = house.repository().join(area);
        let objects = if whole.is_file() { vec![(whole, 0)] } else { house.area(area) };
        let mut names = Vec::new();
        for (path, _) in objects {
            let mut bytes = std::fs::read(&path).expect("read");
            for at in (100..bytes.len()).step_by(50) {
                bytes[at] ^= 1;
            }
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
            std::fs::write(&path, bytes).expect("written");
            names.push(path.file_name().and_then(|name| name.to_str()).expect("UTF-8")[..6].to_owned());
        }
        let check = house.run(["check", "--read-data"]).refused(13, &[]);
        assert!(names.iter().any(|name| check.out.contains(name) || check.err.contains(name)), "{area}: {check}");
        let restore = house.run(["restore", "latest", "--target", "out"]);
        let restored = std::fs::read(house.path("out").join(house.text("in/file").trim_start_matches('/')));
        if area == "keys/data" {
            // Packs hold the data keys too.
            let says_what_helps = [&check.out, &check.err].iter().any(|text| text.contains("nothing is lost"));
            assert!(says_what_helps && restore.code == 0 && restored.is_ok_and(|found| found == bytes), "{restore}");
            continue;
        }
        assert!([3, 13].contains(&restore.code) && !restore.err.is_empty(), "{area}: {restore}");
        assert!(restored.is_err(), "{area}: nothing wrong is restored");
    }
}

#[test]
fn repositories_of_other_programs_are_refused_by_name() {
    let house = House::empty();
    house.write("key", format!("strongroom-key-1 {}\n", "0f".repeat(32)));
    for folder in ["data", "index", "keys", "locks", "snapshots"] {
        std::fs::create_dir_all(house.path("restic").join(folder)).expect("a folder");
    }
    house.write("restic/config", [7; 155]);
    house.write("borg/config", "[repository]\nversion = 1\nsegments_per_dir = 1000\nid = 00\n");
    house.write("borg/README", "This is a Borg Backup repository.\nSee https://borgbackup.readthedocs.io/\n");
    std::fs::create_dir(house.path("borg/data")).expect("a folder");
    house.write("in/file", "x");
    for (place, name) in [("restic", "restic"), ("borg", "borg")] {
        let before = crate::harness::files(&house.path(place));
        let outcome =
            house.run(["-r", place, "backup", &house.text("in")]).refused(14, &["not a strongroom repository"]);
        assert!(outcome.err.to_lowercase().contains(name), "{outcome}");
        let outcome = house.run(["-r", place, "init"]);
        assert!(outcome.code != 0 && outcome.err.to_lowercase().contains(name), "{outcome}");
        assert_eq!(crate::harness::files(&house.path(place)), before);
    }
}

#[test]
fn a_repository_that_cannot_be_written_is_refused_before_the_source_is_read() {
    let house = House::of_nobody();
    let mode = |bits: u32| {
        let mut all = vec![house.repository()];
        while let Some(folder) = all.pop() {
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(bits)).expect("a mode");
            let below = std::fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path());
            all.extend(below.filter(|path| path.is_dir()));
        }
    };
    mode(0o555);
    let touch = format!("echo read | tee {}", house.text("home/was-read"));
    let outcome = house.run(["backup", "--stdin-from-command", "--", "sh", "-c", &touch]);
    let outcome = outcome.refused(1, &["cannot write to", "because: Permission denied", "hint: check the permissions"]);
    assert!(!house.path("home/was-read").exists(), "{outcome}");
    house.run(["snapshots"]).done().says("no snapshots");
    house.assert_sound();
    mode(0o700);
    house.run(["backup", "--stdin-from-command", "--", "sh", "-c", &touch]).done();
    assert!(house.path("home/was-read").exists());
    assert!(!is_root() || std::fs::metadata(house.path("home/was-read")).is_ok());
}

#[test]
fn an_empty_password_is_refused() {
    let house = House::empty();
    house.write("empty", "\n");
    house.write("word", "word");
    for (variables, options) in [
        (vec![("STRONGROOM_PASSWORD", "")], vec![]),
        (vec![], vec!["-p", "empty"]),
        (vec![], vec!["--password-command", "true"]),
    ] {
        let mut command = house.command([options.as_slice(), &["init"]].concat());
        let outcome = run(command.env_remove("STRONGROOM_KEY_FILE").envs(variables));
        outcome.refused(1, &["the password is empty", "hint: an empty password protects nothing"]);
        assert!(!house.repository().exists());
    }
    house.run(["init"]).done();
    house.run(["key", "add", "--new-password-file", "empty"]).refused(1, &["the password is empty"]);
    assert_eq!(house.run(["--json", "key", "list"]).done().json().as_array().map(Vec::len), Some(2));
}

#[test]
fn a_path_that_does_not_exist_is_told_before_anything_is_made() {
    let house = House::empty();
    house.write("in/file", "x");
    // Not even the user's own repository is made for it.
    let (there, gone) = (house.text("in"), house.text("gone"));
    for arguments in [vec!["backup", &gone], vec!["backup", "--require-all-sources", &there, &gone]] {
        run(house.bare().args(arguments)).refused(1, &["cannot back up", "gone", "No such file"]);
    }
    assert!(crate::harness::files(&house.path("data")).is_empty());
    assert!(crate::harness::files(&house.path("config")).is_empty());
    let house = House::new();
    house.write("in/file", "x");
    house.backup(&[&house.text("in")]);
    // A source that was there at the last backup and has vanished since.
    std::fs::remove_dir_all(house.path("in")).expect("removed");
    writes_nothing(&house, || {
        house.run(["backup", &house.text("in")]).refused(1, &["cannot back up", "No such file"]);
    });
    assert_eq!(house.snapshots().len(), 1);
}

#[test]
fn names_in_errors_do_not_speak_to_the_terminal() {
    let house = House::new();
    house.write("in/file", "x");
    let name = "no\x1b[31msuch\u{202e}thing\n";
    let outcome = house.run(["backup", name]).refused(1, &["no\\u{1b}[31msuch\\u{202e}thing\\n"]);
    assert!(!outcome.err.contains(['\x1b', '\u{202e}']), "{outcome}");
    house.backup(&[&house.text("in")]);
    let outcome = house.run(["dump", "latest", name]);
    assert!(outcome.err.contains("no\\u{1b}[31msuch"), "{outcome}");
    assert!(!outcome.err.contains(['\x1b', '\u{202e}']), "{outcome}");
    // A command's last words are told as the reason.
    let words = "printf 'clear\\033[2Jed' >&2; exit 1";
    house.run(["backup", "--stdin-from-command", "--", "sh", "-c", words]).refused(1, &["because: clear\\u{1b}[2Jed"]);
}

#[test]
fn secrets_without_end_are_refused() {
    let house = House::new();
    let mut command = house.command(["snapshots"]);
    run(command.env("STRONGROOM_KEY_FILE", "/dev/zero")).refused(1, &["key file", "64 KiB"]);
    house.run(["--password-command", "yes", "snapshots"]).refused(1, &["password command", "64 KiB"]);
    house.run(["--password-file", "/nonexistent", "snapshots"]).refused(1, &["/nonexistent", "hint: check the path"]);
}

#[test]
fn what_was_misnamed_comes_with_a_hint() {
    let house = House::new();
    house.write("in/file", "x");
    house.backup(&[&house.text("in")]);
    let listed = "hint: 'strongroom snapshots' lists";
    for selector in ["latest~", "nosuch", "LATEST"] {
        house.run(["snapshots", selector]).refused(2, &["names no snapshot", listed]);
    }
    house.run(["backup", "in/nosuch"]).refused(1, &["cannot back up", "in/nosuch", "hint: "]);
    let own = house.text("repository");
    let both = "both are the same repository";
    house.run(["copy", "--from-repo", &own, "--all"]).refused(2, &[both, "hint: -r names the repository"]);
    house.run(["repair", "fetch", "--from-repo", &own, "--all"]).refused(2, &[both, "hint: name another one"]);
}
