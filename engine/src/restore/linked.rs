//! Promises about files with several names: in the target, in the snapshot, and elsewhere.

use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::restore::Overwrite;
use crate::restore::RestoreOptions;
use crate::restore::scene::Scene;
use crate::restore::scene::TINY;
use crate::restore::scene::messages;
use crate::restore::scene::trees;
use crate::restore::window::Limits;
use std::fs::hard_link;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A snapshot with `a` and `b`, of one content and two modes, and with `fill` entries in between.
fn two(fill: usize) -> Scene {
    let mut scene = Scene::empty();
    for (name, mode) in [("a", 0o600), ("b", 0o644)] {
        scene.add(name, FileKind::File, b"the same bytes");
        scene.entries.last_mut().expect("just added").metadata.mode = mode;
    }
    for number in 0..fill {
        scene.add(&format!("aa{number}"), FileKind::File, format!("{number}").as_bytes());
    }
    scene
}

/// The same as one file of two names.
fn one(fill: usize) -> Scene {
    let mut scene = two(fill);
    group(&mut scene, &["a", "b"]);
    scene
}

fn group(scene: &mut Scene, names: &[&str]) {
    let links = names.len() as u64;
    for entry in
        scene.entries.iter_mut().filter(|entry| names.iter().any(|name| name.as_bytes() == entry.path.as_bytes()))
    {
        (entry.metadata.links, entry.metadata.device, entry.metadata.inode) = (links, 1, 77);
        entry.metadata.mode = 0o600;
    }
}

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().expect("it is there").ino()
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().expect("it is there").mode() & 0o7777
}

#[tokio::test]
async fn names_of_one_file_that_are_two_in_the_snapshot_are_parted() {
    for policy in [Overwrite::Always, Overwrite::IfChanged] {
        let mut scene = two(0);
        scene.restore().await;
        let (a, b) = (scene.target().join("a"), scene.target().join("b"));
        std::fs::remove_file(&b).expect("removed");
        hard_link(&a, &b).expect("a link");
        let options = RestoreOptions { overwrite: policy, ..scene.options() };
        let report = scene.run(TINY, options).await.expect("a restore");
        assert_eq!(messages(&report), Vec::<String>::new());
        assert_ne!(inode(&a), inode(&b), "{policy:?}");
        assert_eq!((mode(&a), mode(&b), scene.read("b").as_slice()), (0o600, 0o644, &b"the same bytes"[..]));
    }
}

#[tokio::test]
async fn a_restore_does_not_reach_what_a_name_in_the_target_is_linked_to() {
    for (mut scene, fill) in [(two(0), 0), (one(0), 0), (one(20), 20), (two(20), 20)] {
        scene.restore().await;
        let [a, b, outside] = ["target/a", "target/b", "outside"].map(|name| scene.folder.path().join(name));
        hard_link(&a, &outside).expect("a link");
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(&outside, "user.mine", b"1", flags).expect("an attribute");
        let before = outside.metadata().expect("it is there");
        std::fs::set_permissions(&outside, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("a mode");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(5);
        std::fs::File::options().write(true).open(&outside).and_then(|file| file.set_modified(time)).expect("a time");
        let report = scene.run_as(TINY).await.expect("a restore");
        assert_eq!(messages(&report), Vec::<String>::new());
        let after = outside.metadata().expect("it is there");
        assert_eq!((after.ino(), after.mode() & 0o7777, after.mtime(), after.nlink()), (before.ino(), 0o640, 5, 1));
        assert!(rustix::fs::getxattr(&outside, "user.mine", &mut [0u8; 1]).is_ok());
        assert_ne!(inode(&a), before.ino());
        let is_one = scene.entries.iter().any(|entry| entry.metadata.links == 2);
        assert_eq!(inode(&a) == inode(&b), is_one, "{fill}");
        assert_eq!((mode(&a), a.metadata().expect("a file").mtime()), (0o600, 1_000_000));
        assert_eq!((scene.read("a"), scene.read("b")), (b"the same bytes".to_vec(), b"the same bytes".to_vec()));
        assert_eq!(scene.names("").len(), fill + 2, "no leftovers");
    }
}

#[tokio::test]
async fn names_that_are_one_file_in_the_snapshot_keep_it() {
    for fill in [0, 20] {
        let mut scene = one(fill);
        scene.restore().await;
        let [a, b] = ["a", "b"].map(|name| scene.target().join(name));
        let before = inode(&a);
        assert_eq!(inode(&b), before);
        std::fs::set_permissions(&b, std::os::unix::fs::PermissionsExt::from_mode(0o400)).expect("a mode");
        let report = scene.run_as(TINY).await.expect("a restore");
        assert_eq!(messages(&report), Vec::<String>::new());
        assert_eq!((report.entries_restored, report.bytes_written), (0, 0), "nothing was written anew");
        assert_eq!((inode(&a), inode(&b), mode(&a)), (before, before, 0o600));
    }
}

#[tokio::test]
async fn a_file_of_three_names_of_which_one_is_missing_gets_it_back() {
    let mut scene = one(20);
    scene.add("c", FileKind::File, b"the same bytes");
    group(&mut scene, &["a", "b", "c"]);
    scene.restore().await;
    let [a, b, c] = ["a", "b", "c"].map(|name| scene.target().join(name));
    let before = inode(&a);
    std::fs::remove_file(&b).expect("removed");
    let report = scene.run_as(TINY).await.expect("a restore");
    assert_eq!((messages(&report), report.entries_restored), (vec![], 1));
    assert_eq!([&a, &b, &c].map(|path| inode(path)), [before; 3]);
    // Beside a stranger all three go to another file.
    hard_link(&c, scene.folder.path().join("outside")).expect("a link");
    std::fs::remove_file(&b).expect("removed");
    let report = scene.run_as(TINY).await.expect("a restore");
    assert_eq!(messages(&report), Vec::<String>::new());
    let after = inode(&a);
    assert_ne!(after, before);
    assert_eq!([&a, &b, &c].map(|path| inode(path)), [after; 3]);
}

#[tokio::test]
async fn a_folder_keeps_its_time_when_a_name_in_it_is_parted_at_the_end() {
    let mut scene = Scene::empty();
    for folder in ["d", "e"] {
        scene.add(folder, FileKind::Directory, b"");
        scene.add(&format!("{folder}/name"), FileKind::File, b"one file");
    }
    group(&mut scene, &["d/name", "e/name"]);
    scene.restore().await;
    hard_link(scene.target().join("d/name"), scene.folder.path().join("outside")).expect("a link");
    let report = scene.run_as(TINY).await.expect("a restore");
    assert_eq!(messages(&report), Vec::<String>::new());
    assert_eq!(inode(&scene.target().join("d/name")), inode(&scene.target().join("e/name")));
    assert_ne!(inode(&scene.target().join("d/name")), inode(&scene.folder.path().join("outside")));
    for folder in ["d", "e"] {
        assert_eq!(scene.target().join(folder).metadata().expect("a folder").mtime(), 1_000_000);
    }
}

#[tokio::test]
async fn a_huge_file_with_a_name_elsewhere_is_not_patched() {
    let mut scene = Scene::empty();
    let mut bytes = trees::Dice::new(4).bytes(65 << 20);
    scene.add("huge", FileKind::File, &bytes);
    bytes[1_000_000] ^= 1;
    scene.write("huge", &bytes);
    let outside = scene.folder.path().join("outside");
    hard_link(scene.target().join("huge"), &outside).expect("a link");
    assert_eq!(messages(&scene.restore().await), Vec::<String>::new());
    assert!(std::fs::read(&outside).expect("a file") == bytes);
    bytes[1_000_000] ^= 1;
    assert!(scene.read("huge") == bytes);
}

#[tokio::test]
async fn links_and_pipes_with_a_name_elsewhere_are_made_anew() {
    let mut scene = Scene::empty();
    scene.add("link", FileKind::Symlink { target: b"somewhere".to_vec() }, b"");
    scene.add("pipe", FileKind::Fifo, b"");
    scene.restore().await;
    let same = scene.restore().await;
    assert_eq!(same.entries_unchanged, 2);
    for name in ["link", "pipe"] {
        let (inside, outside) = (scene.target().join(name), scene.folder.path().join(name));
        rustix::fs::linkat(rustix::fs::CWD, &inside, rustix::fs::CWD, &outside, rustix::fs::AtFlags::empty())
            .expect("a link");
        scene.entries.iter_mut().for_each(|entry| entry.metadata.modified.seconds = 2_000_000);
        assert_eq!(messages(&scene.restore().await), Vec::<String>::new());
        assert_ne!(inode(&inside), inode(&outside), "{name}");
        let time = |path: &Path| path.symlink_metadata().expect("it is there").mtime();
        assert_eq!((time(&inside), time(&outside)), (2_000_000, 1_000_000), "{name}");
        scene.entries.iter_mut().for_each(|entry| entry.metadata.modified.seconds = 1_000_000);
        scene.restore().await;
    }
}

#[tokio::test]
async fn names_that_are_left_stay_together_with_new_ones_where_they_are_what_the_snapshot_has() {
    for (standing, is_together) in
        [(&b"the same bytes"[..], true), (b"some more bytes", false), (b"the SAME bytes", false)]
    {
        let mut scene = one(0);
        scene.restore().await;
        let [a, b] = ["a", "b"].map(|name| scene.target().join(name));
        std::fs::remove_file(&b).expect("removed");
        scene.write("a", standing);
        let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000, 17);
        std::fs::File::options().write(true).open(&a).and_then(|file| file.set_modified(time)).expect("a time");
        let options = RestoreOptions { overwrite: Overwrite::Never, ..scene.options() };
        let report = scene.run(Limits::default(), options).await.expect("a restore");
        assert_eq!((messages(&report), inode(&a) == inode(&b)), (vec![], is_together));
        assert_eq!((scene.read("a"), scene.read("b")), (standing.to_vec(), b"the same bytes".to_vec()));
        let told: Vec<_> = report.warnings.iter().map(|one| one.message.as_str()).collect();
        let parted = ["it is no longer the same file as 'a', which was left as it stood"];
        assert_eq!(told, if is_together { &[][..] } else { &parted[..] });
    }
    // The other way round: the second name stands.
    let mut scene = one(0);
    scene.write("b", b"another file");
    let options = RestoreOptions { overwrite: Overwrite::Never, ..scene.options() };
    let report = scene.run(TINY, options).await.expect("a restore");
    let told: Vec<_> = report.warnings.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(told, ["it is no longer the same file as 'b', which was left as it stood"]);
    assert_eq!(
        (scene.read("a").as_slice(), scene.read("b").as_slice()),
        (&b"the same bytes"[..], &b"another file"[..])
    );
}

#[tokio::test]
async fn a_folder_takes_the_place_of_a_link_with_a_word() {
    let mut scene = Scene::empty();
    scene.add("etc", FileKind::Directory, b"");
    scene.add("log", FileKind::Directory, b"");
    std::fs::create_dir_all(scene.target()).expect("a folder");
    symlink("/elsewhere", scene.target().join("etc")).expect("a link");
    scene.write("log", b"a file");
    let report = scene.run_as(TINY).await.expect("a restore");
    assert_eq!(messages(&report), Vec::<String>::new());
    let told = report
        .warnings
        .iter()
        .map(|one| (one.path.as_ref().map(ToString::to_string).unwrap_or_default(), one.message.as_str()));
    let gone = |kind: &str| format!("{kind} stood in its place, and had to go");
    let expected = [("etc".to_owned(), gone("a symbolic link")), ("log".to_owned(), gone("a file"))];
    assert_eq!(told.map(|(path, text)| (path, text.to_owned())).collect::<Vec<_>>(), expected);
    assert!(scene.restore().await.warnings.is_empty());
}

#[tokio::test]
async fn a_link_stays_where_a_folder_only_leads_to_what_is_restored() {
    let parse = |text: &str| EntryPath::parse(text.as_bytes()).expect("a valid path");
    for (listed, include, dry_run) in [
        (Some(vec![parse("bin/bash")]), vec![], false),
        (Some(vec![parse("bin/bash")]), vec![], true),
        (Some(vec![parse("bin")]), vec!["/bin/bash".into()], false),
        (None, vec!["/bin/bash".into()], false),
    ] {
        let mut scene = Scene::empty();
        scene.add("bin", FileKind::Directory, b"");
        scene.add("bin/bash", FileKind::File, b"a program");
        scene.write("usr/sh", b"another program");
        let link = scene.target().join("bin");
        symlink("usr", &link).expect("a link");
        let options = RestoreOptions { listed, include, dry_run, ..scene.options() };
        let report = scene.run(TINY, options).await.expect("a restore");
        let expected = [
            "bin: it is a link in the target, and stays: what is below it is restored with SNAPSHOT:bin --target THERE",
            "bin/bash: its parent directory could not be made",
        ];
        assert_eq!(messages(&report), expected);
        assert!(report.failures.iter().all(|one| one.partial) && report.warnings.is_empty());
        assert_eq!(link.read_link().expect("still a link"), Path::new("usr"));
        assert_eq!(scene.names("usr"), ["sh"], "nothing goes through it");
    }
}
