//! `restore --delete`: what goes is below what was backed up, and nothing beside it.

use crate::folding::Folding;
use crate::harness::House;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;

/// Files that are in `target` besides the snapshot's, by their paths in it.
const STRANGERS: [&str; 6] = ["x", "srv/x", "srv/data/x", "srv/data/a/x", "srv/data/a/deep/x", "srv/data/b/x"];

/// Which strangers a restore of `selector` with these options leaves; the target is what stands at `top` in the snapshot.
fn left(house: &House, selector: &str, top: &str, options: &[&str]) -> Vec<&'static str> {
    let target = house.path("out");
    let _ = std::fs::remove_dir_all(&target);
    let inside = |path: &str| match path.strip_prefix(top) {
        Some("") => Some(house.path("out")),
        Some(rest) if top.is_empty() || rest.starts_with('/') => Some(target.join(rest.trim_start_matches('/'))),
        _ => None,
    };
    let strangers: Vec<_> = STRANGERS.into_iter().filter_map(|path| Some((path, inside(path)?))).collect();
    for (path, at) in &strangers {
        std::fs::create_dir_all(at.parent().expect("a folder")).expect("folders");
        std::fs::write(at, path).expect("a file");
    }
    let restore = ["restore", selector, "--target", "out", "--delete", "--no-owner"];
    let planned = house.run([&restore, options, &["--dry-run", "--json"]].concat()).done().message("summary");
    let done = house.run([&restore, options, &["--json"]].concat()).done().message("summary");
    assert_eq!(planned["files_deleted"], done["files_deleted"], "{selector} {options:?}");
    let left: Vec<_> = strangers.iter().filter(|(_, at)| at.exists()).map(|(path, _)| *path).collect();
    let deleted = u64::try_from(strangers.len() - left.len()).expect("few");
    assert!(done["files_deleted"].as_u64().expect("a number") >= deleted);
    left
}

fn house() -> House {
    let house = House::new();
    for file in ["srv/data/a/one", "srv/data/a/deep/two", "srv/data/b/three", "srv/data/file"] {
        house.write(file, "content");
    }
    house
}

#[test]
fn only_what_was_backed_up_is_made_equal_and_nothing_beside_it() {
    let house = house();
    let all_but = |gone: &[&str]| STRANGERS.into_iter().filter(|path| !gone.contains(path)).collect::<Vec<_>>();
    let within = |path: &str, top: &str| top.is_empty() || path.starts_with(&format!("{top}/"));
    for (sources, gone) in [
        (&["srv/data/a"][..], &["srv/data/a/x", "srv/data/a/deep/x"][..]),
        (&["srv/data/a", "srv/data/b"], &["srv/data/a/x", "srv/data/a/deep/x", "srv/data/b/x"]),
        (&["srv/data/a/deep", "srv/data/b"], &["srv/data/a/deep/x", "srv/data/b/x"]),
        (&["srv/data/a/deep", "srv/data/a"], &["srv/data/a/x", "srv/data/a/deep/x"]),
        (&["srv/data", "srv/data/a"], &["srv/data/x", "srv/data/a/x", "srv/data/a/deep/x", "srv/data/b/x"]),
        (&["srv/data/file"], &[]),
        (&["srv/data/file", "srv/data/b"], &["srv/data/b/x"]),
        (&["."], &STRANGERS),
    ] {
        let options: &[&str] = if sources == ["."] { &["--exclude", "home", "--exclude", "repository"] } else { &[] };
        house.backup(&[sources, options].concat());
        for top in ["", "srv", "srv/data", "srv/data/a", "srv/data/a/deep"] {
            let selector = if top.is_empty() { "latest".to_owned() } else { format!("latest:{top}") };
            if house.run(["ls", "latest", top]).code != 0 || !house.run(["ls", "latest", "--json"]).out.contains(top) {
                continue;
            }
            let expected: Vec<_> = all_but(gone).into_iter().filter(|path| within(path, top)).collect();
            assert_eq!(left(&house, &selector, top, &[]), expected, "{sources:?} {selector}");
        }
    }
}

#[test]
fn absolute_paths_lead_to_what_was_backed_up() {
    let house = house();
    house.backup(&[&house.text("srv/data/a")]);
    let top = house.text("");
    let top = top.trim_matches('/');
    for path in STRANGERS {
        house.write(&format!("out/{top}/{path}"), path);
    }
    house.write("out/outside", "x");
    house.run(["restore", "latest", "--target", "out", "--delete", "--no-owner"]).done();
    let left = STRANGERS.into_iter().filter(|path| house.path(format!("out/{top}/{path}")).exists());
    assert_eq!(left.collect::<Vec<_>>(), ["x", "srv/x", "srv/data/x", "srv/data/b/x"]);
    assert!(house.path("out/outside").exists());
}

#[test]
fn patterns_narrow_what_is_deleted() {
    let house = house();
    house.backup(&["srv/data/a", "srv/data/b"]);
    let kept = ["x", "srv/x", "srv/data/x", "srv/data/a/x", "srv/data/b/x"];
    assert_eq!(left(&house, "latest", "", &["--include", "/srv/data/a/deep"]), kept);
    let kept = ["x", "srv/x", "srv/data/x", "srv/data/b/x"];
    assert_eq!(left(&house, "latest", "", &["--exclude", "/srv/data/b"]), kept);
}

#[test]
fn beside_a_stream_nothing_is_deleted() {
    let house = house();
    house.run_with(b"a dump", ["backup", "--stdin", "--stdin-filename", "srv/data/dump"]).done();
    assert_eq!(left(&house, "latest", "", &[]), STRANGERS);
    assert_eq!(std::fs::read(house.path("out/srv/data/dump")).expect("restored"), b"a dump");
}

#[test]
fn a_source_that_was_rewritten_away_takes_nothing_along() {
    let house = house();
    house.backup(&["srv/data/a", "srv/data/b"]);
    house.run(["rewrite", "latest", "--exclude", &house.text("srv/data/a"), "--forget"]).done();
    assert_eq!(left(&house, "latest", "", &[]), ["x", "srv/x", "srv/data/x", "srv/data/a/x", "srv/data/a/deep/x"]);
}

#[test]
fn a_new_target_becomes_the_folder_that_is_asked_for() {
    let house = house();
    let secret = house.path("srv/data/a");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o710)).expect("a mode");
    if crate::harness::is_root() {
        std::os::unix::fs::chown(&secret, Some(4321), Some(1234)).expect("an owner");
    }
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&secret, "user.note", b"kept", flags).expect("an attribute");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    std::fs::File::open(&secret).and_then(|folder| folder.set_modified(time)).expect("a time");
    house.backup(&["srv/data/a"]);
    let of = |path: &str| {
        let stat = std::fs::metadata(house.path(path)).expect("it is there");
        let note = rustix::fs::getxattr(house.path(path), "user.note", &mut [0u8; 9]).is_ok();
        (stat.uid(), stat.gid(), stat.mode() & 0o7777, stat.mtime(), note)
    };
    let wanted = of("srv/data/a");
    std::fs::create_dir(house.path("empty")).expect("a folder");
    for target in ["new", "deep/er/new", "empty"] {
        house.run(["restore", "latest:srv/data/a", "--target", target]).done();
        assert_eq!(of(target), wanted, "{target}");
        // Again over itself: it is what it was.
        house.run(["restore", "latest:srv/data/a", "--target", target]).done();
        assert_eq!(of(target), wanted, "{target}");
    }
    assert_ne!(of("deep").2, 0o710);
    // One that held something keeps what is its own, and that is said; unless it is to be made equal.
    house.write("held/mine", "x");
    std::fs::set_permissions(house.path("held"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let outcome = house.run(["restore", "latest:srv/data/a", "--target", "held"]).done();
    assert!(outcome.err.contains("keeps its own owner and mode"), "{outcome}");
    assert_eq!((of("held").0, of("held").2, of("held").4), (of(".").0, 0o755, false));
    house.run(["restore", "latest:srv/data/a", "--target", "held", "--delete"]).done();
    assert_eq!(of("held"), wanted);
    // A file, or what only leads to it, says nothing about the target.
    house.run(["restore", "latest:srv/data/a/one", "--target", "file"]).done();
    assert_ne!(of("file").2, 0o710);
}

#[test]
fn a_target_that_ignores_case_loses_neither_name_without_a_word() {
    let house = House::new();
    for (name, text) in
        [("Photo.JPG", "first"), ("photo.jpg", "second"), ("Docs/a", "a"), ("docs/b", "b"), ("lone", "x")]
    {
        house.write(&format!("in/{name}"), text);
    }
    house.write("in/Large", crate::kill::noise(1, 3 << 20));
    house.write("in/large", crate::kill::noise(2, 3 << 20));
    house.backup(&["in"]);
    let Some(_mounted) = Folding::mount(&house.path("out")) else {
        eprintln!("NOT TESTED: only root can mount, and the kernel must know FUSE");
        return;
    };
    let names = || {
        let listed = std::fs::read_dir(house.path("out")).expect("listed");
        let mut names: Vec<_> =
            listed.map(|one| one.expect("one").file_name().to_string_lossy().to_lowercase()).collect();
        names.sort();
        names
    };
    for options in [&[][..], &[], &["--delete"], &["--delete", "--overwrite", "if-changed"]] {
        let outcome = house.run([&["restore", "latest:in", "--target", "out"], options].concat()).ended(3);
        assert_eq!(outcome.err.matches("its name is taken").count(), 3, "{options:?} {outcome}");
        assert_eq!(names(), ["docs", "large", "lone", "photo.jpg"], "{options:?}");
        let read = |name: &str| std::fs::read(house.path("out").join(name)).expect("it can be read");
        assert_eq!((read("Docs/a"), read("lone")), (b"a".to_vec(), b"x".to_vec()));
        // Which of two that are written at the same time comes first is chance.
        assert!([&b"first"[..], b"second"].contains(&read("photo.jpg").as_slice()));
        assert!([1, 2].map(|seed| crate::kill::noise(seed, 3 << 20)).contains(&read("large")));
    }
    // What stands under another spelling is no stranger, whoever wrote it.
    std::fs::rename(house.path("out/lone"), house.path("out/away")).expect("renamed");
    std::fs::rename(house.path("out/away"), house.path("out/LONE")).expect("renamed");
    std::fs::write(house.path("out/stranger"), "x").expect("written");
    house.run(["restore", "latest:in", "--target", "out", "--delete"]).ended(3);
    assert_eq!(names(), ["docs", "large", "lone", "photo.jpg"]);
}

#[test]
fn a_target_that_numbers_everything_anew_and_keeps_no_modes_takes_everything() {
    let house = House::new();
    // More folders than are kept open.
    let name = |number: u32| format!("{number:03}/file");
    for number in 0..300 {
        house.write(&format!("in/{}", name(number)), format!("text {number}"));
    }
    house.write("in/one", "of two names");
    std::fs::hard_link(house.path("in/one"), house.path("in/two")).expect("a link");
    house.backup(&["in"]);
    let Some(_mounted) = Folding::mount_unsteady(&house.path("out")) else {
        eprintln!("NOT TESTED: only root can mount, and the kernel must know FUSE");
        return;
    };
    let inode = || house.path("out").join("one").metadata().map(|stat| stat.ino()).unwrap_or(0);
    for options in [&["--verify"][..], &["--verify"], &["--overwrite", "if-changed"]] {
        house.run([&["restore", "latest:in", "--target", "out"], options].concat()).done();
        for number in 0..300 {
            let text = std::fs::read(house.path("out").join(name(number))).expect("it can be read");
            assert_eq!(text, format!("text {number}").into_bytes());
        }
        let links = ["one", "two"].map(|name| house.path("out").join(name).metadata().expect("a file").nlink());
        assert_eq!(links, [2, 2], "{options:?}");
        assert_ne!(inode(), inode(), "what this test is about");
        std::fs::write(house.path("out/007/file"), "another text").expect("written");
        std::fs::remove_dir_all(house.path("out/008")).expect("removed");
    }
}
