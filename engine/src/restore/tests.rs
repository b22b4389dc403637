//! Promises of a whole restore, over a repository in memory.

use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::error::Kind;
use crate::job::Control;
use crate::limits::STRANGER_LEVELS_MAX;
use crate::restore::Overwrite;
use crate::restore::OwnerMap;
use crate::restore::OwnerMode;
use crate::restore::RestoreOptions;
use crate::restore::scene::Scene;
use crate::restore::scene::TINY;
use crate::restore::scene::messages;
use crate::restore::scene::same;
use crate::restore::scene::trees;
use crate::restore::scene::walker;
use crate::restore::window::Limits;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::Ordering;

#[tokio::test]
async fn a_nasty_tree_comes_back_in_everything() {
    for seed in 1..4 {
        let mut scene = Scene::nasty(seed);
        let report = scene.restore().await;
        assert_eq!(messages(&report), Vec::<String>::new());
        assert_eq!(report.entries_restored, scene.entries.len() as u64);
        same(&scene);
    }
}

#[tokio::test]
async fn windows_smaller_than_the_tree_change_nothing() {
    let mut scene = Scene::nasty(11);
    let options = RestoreOptions { verify: true, ..scene.options() };
    let report = scene.run(TINY, options).await.expect("a restore");
    assert_eq!(messages(&report), Vec::<String>::new());
    same(&scene);
}

#[tokio::test]
async fn restoring_again_writes_nothing_and_fetches_nothing() {
    let mut scene = Scene::nasty(12);
    scene.restore().await;
    scene.store.fetched.store(0, Ordering::Relaxed);
    let report = scene.run_as(TINY).await.expect("a restore");
    assert_eq!(messages(&report), Vec::<String>::new());
    assert_eq!((report.bytes_written, scene.store.fetched.load(Ordering::Relaxed)), (0, 0));
    same(&scene);
}

#[tokio::test]
async fn a_segment_is_decoded_once_for_all_files_that_want_it() {
    let mut scene = Scene::empty();
    for number in 0..50 {
        scene.add(&format!("f{number}"), FileKind::File, b"the same content in every file");
        scene.add(&format!("g{number}"), FileKind::File, format!("own content {number}").as_bytes());
    }
    let report = scene.restore().await;
    assert_eq!(report.entries_restored, 100);
    assert_eq!(scene.store.decoded.load(Ordering::Relaxed), 1);
    assert_eq!(scene.read("f49"), b"the same content in every file");
    assert_eq!(scene.read("g7"), b"own content 7");
}

#[tokio::test]
async fn a_link_planted_where_a_directory_goes_is_replaced_and_not_followed() {
    let mut scene = Scene::empty();
    scene.add("etc", FileKind::Directory, b"");
    scene.add("etc/passwd", FileKind::File, b"ours");
    let outside = scene.folder.path().join("outside");
    std::fs::create_dir_all(&outside).expect("a folder");
    std::fs::write(outside.join("passwd"), b"theirs").expect("a file");
    std::fs::create_dir_all(scene.target()).expect("a folder");
    symlink(&outside, scene.target().join("etc")).expect("a link");
    let never = RestoreOptions { overwrite: Overwrite::Never, ..scene.options() };
    let report = scene.run(TINY, never).await.expect("a restore");
    assert_eq!(report.failures_total, 2, "{:?}", messages(&report));
    assert!(scene.target().join("etc").is_symlink());
    let report = scene.restore().await;
    assert_eq!(messages(&report), Vec::<String>::new());
    assert_eq!(scene.read("etc/passwd"), b"ours");
    assert!(!scene.target().join("etc").is_symlink());
    assert_eq!(std::fs::read(outside.join("passwd")).expect("a file"), b"theirs");
}

#[tokio::test]
async fn a_link_of_the_snapshot_itself_is_never_written_through() {
    let mut scene = Scene::empty();
    let outside = scene.folder.path().join("outside");
    std::fs::create_dir_all(&outside).expect("a folder");
    let target = outside.as_os_str().as_encoded_bytes().to_vec();
    scene.add("a", FileKind::Symlink { target: target.clone() }, b"");
    scene.add("a/escaped", FileKind::File, b"bad");
    scene.add("b", FileKind::File, b"good");
    let report = scene.run_as(TINY).await.expect("a restore");
    assert!(report.failures_total > 0);
    assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 0);
    assert_eq!(scene.read("b"), b"good");
    scene.entries.retain(|entry| entry.path.as_bytes() != b"a/escaped");
    std::fs::remove_dir_all(scene.target()).expect("removed");
    scene.write("b", b"x");
    std::fs::remove_file(scene.target().join("b")).expect("removed");
    symlink(outside.join("b"), scene.target().join("b")).expect("a link");
    scene.restore().await;
    assert_eq!(scene.read("b"), b"good");
    assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 0);
}

#[tokio::test]
async fn every_overwrite_policy_does_what_its_name_says() {
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(500);
    for (policy, newer, older, equal) in [
        (Overwrite::Always, "snapshot", "snapshot", "snapshot"),
        (Overwrite::IfChanged, "snapshot", "snapshot", "standing"),
        (Overwrite::IfNewer, "standing", "snapshot", "standing"),
        (Overwrite::Never, "standing", "standing", "standing"),
    ] {
        let mut scene = Scene::empty();
        for path in ["equal", "newer", "older"] {
            scene.add(path, FileKind::File, b"snapshot");
            scene.write(path, b"standing");
        }
        scene.add("missing", FileKind::File, b"snapshot");
        let open = |path: &str| std::fs::File::options().write(true).open(scene.target().join(path)).expect("a file");
        open("older").set_modified(old).expect("a time");
        let same = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::new(1_000_000, 17);
        open("equal").set_modified(same).expect("a time");
        let options = RestoreOptions { overwrite: policy, ..scene.options() };
        scene.run(TINY, options).await.expect("a restore");
        for (path, want) in [("newer", newer), ("older", older), ("equal", equal), ("missing", "snapshot")] {
            assert_eq!(scene.read(path), want.as_bytes(), "{policy:?} {path}");
        }
    }
}

#[tokio::test]
async fn only_chunks_that_differ_are_fetched_for_a_file_that_stands() {
    let mut scene = Scene::empty();
    let mut bytes = trees::Dice::new(3).bytes(600_000);
    scene.add("data", FileKind::File, &bytes);
    bytes[200_000] ^= 1;
    bytes.extend_from_slice(b"longer");
    scene.write("data", &bytes);
    let report = scene.run_as(TINY).await.expect("a restore");
    assert_eq!(messages(&report), Vec::<String>::new());
    assert_eq!(report.bytes_written, 60_000);
    bytes[200_000] ^= 1;
    bytes.truncate(600_000);
    assert!(scene.read("data") == bytes);
    assert_eq!(scene.names(""), ["data"]);
}

#[tokio::test]
async fn a_huge_file_that_stands_is_patched_in_place() {
    let mut scene = Scene::empty();
    let mut bytes = trees::Dice::new(4).bytes(65 << 20);
    scene.add("huge", FileKind::File, &bytes);
    bytes[1_000_000] ^= 1;
    scene.write("huge", &[bytes.as_slice(), b"tail"].concat());
    let inode = scene.target().join("huge").metadata().expect("a file").ino();
    let report = scene.restore().await;
    assert_eq!(report.bytes_written, 60_000);
    bytes[1_000_000] ^= 1;
    assert!(scene.read("huge") == bytes);
    assert_eq!(scene.target().join("huge").metadata().expect("a file").ino(), inode);
}

#[tokio::test]
async fn deleting_removes_what_the_snapshot_does_not_have_and_nothing_else() {
    let mut scene = Scene::empty();
    scene.add("home", FileKind::Directory, b"");
    scene.add("home/kept", FileKind::File, b"1");
    let outside = scene.folder.path().join("outside");
    std::fs::create_dir_all(&outside).expect("a folder");
    std::fs::write(outside.join("precious"), b"x").expect("a file");
    for path in ["home/extra/deep/file", "home/kept", "home/skip.tmp", "home/keep/skip.tmp", "top"] {
        scene.write(path, b"2");
    }
    symlink(&outside, scene.target().join("home/link")).expect("a link");
    let options = RestoreOptions { delete: true, exclude: vec!["*.tmp".into()], ..scene.options() };
    let dry = RestoreOptions { dry_run: true, ..options.clone() };
    let report = scene.run(TINY, dry).await.expect("a restore");
    let planned = report.entries_deleted;
    assert!(scene.target().join("top").exists() && scene.target().join("home/extra/deep/file").exists());
    assert_eq!(scene.read("home/kept"), b"2");
    let report = scene.run(TINY, options).await.expect("a restore");
    assert_eq!(messages(&report), Vec::<String>::new());
    assert_eq!(scene.names(""), ["home"]);
    assert_eq!(scene.names("home"), ["keep", "kept", "skip.tmp"]);
    assert_eq!(report.entries_deleted, 5);
    // A dry run cannot know that a folder will stay because of what is excluded in it.
    assert_eq!(planned, 6);
    assert!(outside.join("precious").exists());
    assert_eq!(scene.read("home/kept"), b"1");
}

#[tokio::test]
async fn strangers_too_many_folders_deep_stay_and_are_named() {
    let mut scene = Scene::empty();
    scene.add("kept", FileKind::File, b"1");
    let chain = |levels: usize| vec!["d"; levels].join("/");
    scene.write(&format!("{}/deepest", chain(STRANGER_LEVELS_MAX + 50)), b"2");
    scene.write("d/beside", b"2");
    scene.write("less/file", b"2");
    let options = RestoreOptions { delete: true, ..scene.options() };
    let report = scene.run(TINY, options).await.expect("a restore");
    let deep = chain(STRANGER_LEVELS_MAX + 1);
    assert_eq!(messages(&report), [format!("{deep}: cannot remove it: it is too many folders deep")]);
    assert_eq!(
        (scene.names(""), scene.names("d"), report.entries_deleted),
        (vec!["d".into(), "kept".into()], vec!["d".into()], 3)
    );
    assert!(scene.target().join(chain(STRANGER_LEVELS_MAX + 50)).join("deepest").exists());
}

#[tokio::test]
async fn deleting_is_refused_where_it_would_take_everything() {
    let mut scene = Scene::empty();
    scene.add("a", FileKind::File, b"1");
    scene.write("other", b"2");
    let options = RestoreOptions { delete: true, include: vec!["/no/such".into()], ..scene.options() };
    let error = scene.run(TINY, options).await.expect_err("nothing is selected");
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(scene.names(""), ["other"]);
    let root = RestoreOptions { delete: true, dry_run: true, target: "/".into(), ..scene.options() };
    assert_eq!(scene.run(TINY, root).await.expect_err("the root").kind(), Kind::Invalid);
    let path = Some(EntryPath::parse(b"a").expect("a valid path"));
    let single = RestoreOptions { delete: true, path, ..scene.options() };
    scene.run(TINY, single).await.expect("a restore");
    assert_eq!(scene.names(""), ["a", "other"]);
}

#[tokio::test]
async fn a_subtree_lands_directly_in_the_target() {
    let mut scene = Scene::empty();
    for (path, kind) in [("h", FileKind::Directory), ("h/ann", FileKind::Directory), ("h/ann2", FileKind::Directory)] {
        scene.add(path, kind, b"");
    }
    scene.add("h/ann/x", FileKind::File, b"x");
    scene.add("h/ann/y", FileKind::File, b"y");
    scene.add("h/ann2/z", FileKind::File, b"z");
    let path = Some(EntryPath::parse(b"h/ann").expect("a valid path"));
    let options = RestoreOptions { path, exclude: vec!["/h/ann/y".into()], ..scene.options() };
    scene.run(TINY, options).await.expect("a restore");
    assert_eq!(scene.names(""), ["x"]);
}

#[tokio::test]
async fn parents_of_included_entries_are_made_and_siblings_are_not() {
    let mut scene = Scene::nasty(14);
    let options = RestoreOptions { include: vec!["/many/f1*".into(), "inside".into()], ..scene.options() };
    let report = scene.run(TINY, options).await.expect("a restore");
    assert_eq!(messages(&report), Vec::<String>::new());
    assert_eq!(scene.names(""), ["many", "modes"]);
    assert!(scene.names("many").iter().all(|name| name.starts_with("f1")));
    let found = walker::differences(&scene.source(), &scene.target());
    assert!(found.iter().all(|line| line.ends_with("only left")), "{found:?}");
}

#[tokio::test]
async fn a_damaged_chunk_fails_its_file_and_leaves_nothing_that_looks_whole() {
    let mut scene = Scene::empty();
    let bytes = trees::Dice::new(5).bytes(500_000);
    scene.add("large", FileKind::File, &bytes);
    scene.add("small", FileKind::File, b"small and damaged");
    scene.add("standing", FileKind::File, b"new bytes of a file that stands");
    scene.add("lost", FileKind::File, b"lost altogether");
    scene.add("fine", FileKind::File, b"fine");
    scene.write("standing", b"old bytes");
    for path in ["large", "small", "standing"] {
        let id = scene.chunks(path)[scene.chunks(path).len() / 2].id;
        scene.store.damage(&id);
    }
    let id = scene.chunks("lost")[0].id;
    scene.store.lose(&id);
    let report = scene.run_as(TINY).await.expect("a restore");
    assert_eq!(report.failures_total, 4, "{:?}", messages(&report));
    assert!(report.failures.iter().all(|warning| warning.partial));
    assert_eq!(scene.names(""), ["fine", "standing"]);
    assert_eq!(scene.read("standing"), b"old bytes");
    assert_eq!(report.entries_restored, 1);
}

#[tokio::test]
async fn another_copy_stands_in_for_a_damaged_one() {
    let mut scene = Scene::empty();
    scene.add("a", FileKind::File, b"stored twice");
    scene.add("b", FileKind::File, b"in a pack that is gone");
    let b = scene.chunks("b")[0].id;
    let pack = scene.store.pack_of(&b);
    scene.store.chunk(b"stored twice", true);
    scene.store.chunk(b"in a pack that is gone", true);
    let a = scene.chunks("a")[0].id;
    scene.store.damage(&a);
    assert_eq!(messages(&scene.restore().await), Vec::<String>::new());
    assert_eq!(scene.read("a"), b"stored twice");
    std::fs::remove_dir_all(scene.target()).expect("removed");
    scene.store.damaged_packs.insert(pack);
    assert_eq!(messages(&scene.restore().await), Vec::<String>::new());
    assert_eq!(scene.read("b"), b"in a pack that is gone");
}

#[tokio::test]
async fn a_backend_that_refuses_ends_the_job_and_leaves_no_leftovers() {
    let mut scene = Scene::nasty(15);
    scene.store.refuses = true;
    let error = scene.run_as(TINY).await.expect_err("the backend refuses");
    assert_eq!(error.kind(), Kind::BackendDenied);
    assert!(scene.names("").iter().all(|name| !name.starts_with('.')));
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_counts_the_same() {
    let mut scene = Scene::nasty(16);
    let dry = RestoreOptions { dry_run: true, ..scene.options() };
    let planned = scene.run(TINY, dry).await.expect("a dry run");
    assert!(!scene.target().exists());
    let done = scene.restore().await;
    assert_eq!((planned.entries_restored, planned.bytes_written), (done.entries_restored, done.bytes_written));
}

#[tokio::test]
async fn zeros_become_holes_when_asked() {
    let mut scene = Scene::empty();
    let mut bytes = vec![0u8; 2_000_000];
    bytes[777_777] = 1;
    scene.add("zeros", FileKind::File, &bytes);
    let options = RestoreOptions { sparse: true, verify: true, ..scene.options() };
    let report = scene.run(Limits::default(), options).await.expect("a restore");
    assert_eq!(messages(&report), Vec::<String>::new());
    assert!(scene.read("zeros") == bytes);
    assert!(scene.target().join("zeros").metadata().expect("a file").blocks() < 100);
}

#[tokio::test]
async fn without_owners_nothing_runs_as_somebody_else() {
    let mut scene = Scene::empty();
    scene.add("tool", FileKind::File, b"#!");
    scene.entries[0].metadata.mode = 0o6755;
    scene.entries[0].metadata.uid = 4242;
    scene.entries[0].metadata.gid = 4242;
    let owner = OwnerMap { mode: OwnerMode::None, ..OwnerMap::default() };
    let options = RestoreOptions { owner, ..scene.options() };
    scene.run(TINY, options).await.expect("a restore");
    let stat = scene.target().join("tool").metadata().expect("a file");
    assert_eq!(stat.uid(), rustix::process::geteuid().as_raw());
    assert_eq!(stat.mode() & 0o7777, 0o755);
}

#[tokio::test]
async fn a_directory_in_the_way_of_a_file_stays_unless_deleting_is_asked_for() {
    let mut scene = Scene::empty();
    scene.add("a", FileKind::File, b"file");
    scene.write("a/inside", b"x");
    let report = scene.restore().await;
    assert_eq!(report.failures_total, 1);
    assert!(Path::new(&scene.target().join("a/inside")).exists());
    let options = RestoreOptions { delete: true, ..scene.options() };
    scene.run(TINY, options).await.expect("a restore");
    assert_eq!(scene.read("a"), b"file");
}

#[tokio::test]
async fn a_cancelled_restore_leaves_no_half_files() {
    for at in 0..3 {
        let mut scene = Scene::empty();
        for number in 0..6 {
            let bytes = trees::Dice::new(40 + number).bytes(600_000);
            scene.add(&format!("f{number}"), FileKind::File, &bytes);
        }
        let control = Control::new();
        scene.store.cancel_at = Some((at, control.canceller()));
        let options = scene.options();
        let error = scene.run_under(control, TINY, options).await.expect_err("it was cancelled");
        assert_eq!(error.kind(), Kind::Cancelled);
        for name in scene.names("") {
            assert_eq!(scene.read(&name).len(), 600_000, "{name}");
        }
    }
}

#[tokio::test]
async fn directories_that_nobody_may_write_are_filled_first() {
    let mut scene = Scene::empty();
    scene.add("shut", FileKind::Directory, b"");
    scene.add("shut/below", FileKind::Directory, b"");
    scene.add("shut/below/file", FileKind::File, b"inside");
    for entry in &mut scene.entries {
        if entry.metadata.kind == FileKind::Directory {
            entry.metadata.mode = 0o500;
        }
    }
    for content in [b"inside", b"change"] {
        let file = scene.entries.last_mut().expect("the file");
        file.content = scene.store.content(content);
        let report = scene.run_as(TINY).await.expect("a restore");
        assert_eq!(messages(&report), Vec::<String>::new());
        assert_eq!(scene.read("shut/below/file"), content);
        assert_eq!(scene.target().join("shut/below").metadata().expect("a folder").mode() & 0o7777, 0o500);
    }
    // So that the throw-away folder can be thrown away by anybody.
    for path in ["shut", "shut/below"] {
        use std::os::unix::fs::PermissionsExt;
        let open = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(scene.target().join(path), open).expect("a mode");
    }
}

#[tokio::test]
async fn the_counters_end_where_they_said_they_would() {
    let mut scene = Scene::empty();
    scene.add("a", FileKind::Directory, b"");
    scene.add("a/b", FileKind::File, b"content");
    let control = Control::new();
    let options = scene.options();
    scene.run_under(control.clone(), TINY, options).await.expect("a restore");
    let progress = control.counters().read();
    assert_eq!((progress.entries_done, progress.entries_total), (2, 2));
    assert_eq!((progress.bytes_done, progress.bytes_total), (7, 7));
}
