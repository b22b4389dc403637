//! Promises about names that lead to something else by the time they are used again: nothing of it is touched.

use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::entry::flags::IMMUTABLE;
use crate::restore::file::FileJob;
use crate::restore::file::FilePlan;
use crate::restore::file::How;
use crate::restore::folders;
use crate::restore::guarded::STRANGER;
use crate::restore::guarded::is_root;
use crate::restore::guarded::set_mode;
use crate::restore::guarded::site;
use crate::restore::guarded::who;
use crate::restore::owner::Owner;
use crate::restore::scene::Scene;
use crate::restore::scene::TINY;
use crate::restore::scene::messages;
use crate::restore::target::Dir;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

const SWAPPED: &str = "something else was put in its place, or in that of a folder above it, meanwhile";

fn of_stranger(path: &Path, mode: u32) {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(STRANGER), Some(STRANGER)).expect("an owner");
    }
    set_mode(path, mode);
}

/// Has `change` made once, when content is fetched for the so-manieth time: folders are made by then.
fn at_fetch(scene: &mut Scene, number: usize, change: impl Fn() + Send + Sync + 'static) {
    let count = AtomicUsize::new(0);
    scene.store.at_fetch = Some(Box::new(move || {
        if count.fetch_add(1, Ordering::Relaxed) == number {
            change();
        }
    }));
}

#[tokio::test]
async fn a_folder_put_in_the_place_of_another_gets_neither_its_owner_nor_its_mode() {
    for exists in [false, true] {
        let mut scene = Scene::empty();
        scene.add("folder", FileKind::Directory, b"");
        scene.add("folder/file", FileKind::File, b"content");
        let folder = scene.target().join("folder");
        std::fs::create_dir(scene.target()).expect("a folder");
        if exists {
            std::fs::create_dir(&folder).expect("a folder");
        }
        let (swapped, moved) = (folder.clone(), scene.target().join("moved"));
        at_fetch(&mut scene, 0, move || {
            std::fs::rename(&swapped, &moved).expect("moved");
            std::fs::create_dir(&swapped).expect("a folder");
            of_stranger(&swapped, 0o711);
        });
        scene.restore().await;
        let owner = if rustix::process::geteuid().is_root() { STRANGER } else { rustix::process::geteuid().as_raw() };
        assert_eq!((who(&folder).0, who(&folder).2), (owner, 0o711));
        assert_eq!(scene.names("folder"), Vec::<String>::new());
        let moved = scene.target().join("moved");
        assert_eq!((who(&moved).2, moved.metadata().expect("a folder").mtime()), (0o755, 1_000_000));
        assert_eq!(scene.read("moved/file"), b"content");
    }
}

#[tokio::test]
async fn a_folder_that_is_another_when_it_is_opened_again_fails_and_gets_nothing() {
    let mut scene = Scene::empty();
    // More than are kept open.
    for number in 0..300 {
        scene.add(&format!("{number:03}"), FileKind::Directory, b"");
        scene.add(&format!("{number:03}/file"), FileKind::File, b"content");
    }
    let target = scene.target();
    at_fetch(&mut scene, 0, move || {
        std::fs::rename(target.join("000"), target.join("moved")).expect("moved");
        std::fs::create_dir(target.join("000")).expect("a folder");
        of_stranger(&target.join("000"), 0o711);
        std::fs::rename(target.join("001"), target.join("gone")).expect("moved");
        std::os::unix::fs::symlink("moved", target.join("001")).expect("a link");
    });
    let report = scene.restore().await;
    let told = messages(&report);
    for (path, doing) in
        [("000", "set the metadata of"), ("000/file", "write"), ("001", "set the metadata of"), ("001/file", "write")]
    {
        assert!(told.contains(&format!("{path}: cannot {doing}: {SWAPPED}")), "{path}: {told:?}");
    }
    assert!(report.failures_total == 4 && report.failures.iter().all(|one| one.partial));
    assert_eq!((who(&scene.target().join("000")).2, scene.names("000")), (0o711, Vec::new()));
    for folder in ["moved", "gone"] {
        assert_eq!((who(&scene.target().join(folder)).2, scene.names(folder)), (0o700, Vec::new()));
    }
    assert_eq!(scene.read("299/file"), b"content");
}

#[test]
fn a_folder_that_was_not_made_here_is_not_taken_for_one_that_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (site, root) = site(folder.path());
    let above = site.target.handle(&root).expect("a handle");
    let me = site.target.me;
    let path = folder.path().join("made");
    let open = || folders::open_made(&above, b"made", 0o700, me).map(drop);
    std::fs::create_dir(&path).expect("a folder");
    set_mode(&path, 0o700);
    assert_eq!(open(), Ok(()));
    set_mode(&path, 0o701);
    assert_eq!(open(), Err(Errno::STALE), "it is open to others");
    set_mode(&path, 0o700);
    std::fs::write(path.join("something"), b"").expect("a file");
    assert_eq!(open(), Err(Errno::STALE), "something is in it");
    std::fs::remove_file(path.join("something")).expect("removed");
    if is_root() {
        chown(&path, Some(STRANGER), None).expect("an owner");
        assert_eq!(open(), Err(Errno::STALE), "it is somebody else's");
    }
    std::fs::remove_dir(&path).expect("removed");
    assert_eq!(open(), Err(Errno::STALE), "there is none");
    std::os::unix::fs::symlink(".", &path).expect("a link");
    assert_eq!(open(), Err(Errno::STALE), "it is a link");
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1, "nothing was left there");
}

#[test]
fn a_folder_that_was_made_is_not_made_or_entered_again_under_another_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (site, root) = site(folder.path());
    let made = folders::make(&site, &root, b"private", 0o700).expect("made");
    let inner = folders::make(&site, &made, b"inner", 0o700).expect("made");
    let identity = crate::restore::identity::Identity::of(site.target.handle(&made).expect("a handle"));
    let identity = identity.expect("it is there");
    assert!(site.target.has_made(&identity) && !site.target.note_made(&identity));
    // Nobody else could have changed anything in a folder of ours: it needs no note, and is known all the same.
    site.target.handle(&inner).expect("a handle");
    for dir in [&inner, &made] {
        dir.close();
    }
    let path = |name: &str| folder.path().join(name);
    std::fs::rename(path("private/inner"), path("private/other")).expect("moved");
    std::fs::create_dir(path("private/inner")).expect("a folder");
    assert_eq!(site.target.handle(&inner).map(drop), Err(Errno::STALE));
    std::fs::rename(path("private"), path("moved")).expect("moved");
    assert!(site.target.handle(&made).is_ok(), "its handle was opened on the way");
    made.close();
    assert_eq!(site.target.handle(&made).map(drop), Err(Errno::STALE));
    assert!(Dir::below(&root, b"moved", false, true).parent().is_some_and(|above| !above.is_made()));
}

#[tokio::test]
async fn folders_are_in_nobody_elses_hands_until_they_are_done() {
    if !is_root() {
        return;
    }
    for (old, wanted, meanwhile) in [(STRANGER, 77, 0), (0, STRANGER, 0), (STRANGER, STRANGER, STRANGER), (77, 0, 0)] {
        let mut scene = Scene::empty();
        scene.add("folder", FileKind::Directory, b"");
        (scene.entries[0].metadata.uid, scene.entries[0].metadata.gid) = (wanted, wanted);
        scene.add("folder/file", FileKind::File, b"content");
        let folder = scene.target().join("folder");
        std::fs::create_dir_all(&folder).expect("a folder");
        chown(&folder, Some(old), Some(old)).expect("an owner");
        let (looked, seen) = (folder.clone(), std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
        let notes = std::sync::Arc::clone(&seen);
        scene.store.at_fetch = Some(Box::new(move || notes.lock().expect("no panic").push(who(&looked))));
        assert_eq!(messages(&scene.restore().await), Vec::<String>::new());
        let mode = if old == wanted { 0o755 } else { 0o705 };
        assert_eq!(*seen.lock().expect("no panic"), [(meanwhile, old, mode)], "{old} {wanted}");
        assert_eq!(who(&folder), (wanted, wanted, 0o755));
    }
}

/// `a`, some files that windows lie between, and `b`, which is another name of `a`.
fn linked(flags: u32) -> Scene {
    let mut scene = Scene::empty();
    scene.add("a", FileKind::File, b"one file");
    (0..20).for_each(|number| scene.add(&format!("aa{number:02}"), FileKind::File, format!("{number}").as_bytes()));
    scene.add("b", FileKind::File, b"one file");
    for entry in scene.entries.iter_mut().filter(|entry| entry.path.as_bytes().len() == 1) {
        (entry.metadata.links, entry.metadata.device, entry.metadata.inode) = (2, 1, 77);
        (entry.metadata.mode, entry.metadata.flags) = (0o600, flags);
    }
    scene
}

#[tokio::test]
async fn a_further_name_is_never_given_to_what_has_the_first_one_by_then() {
    for stands in [false, true] {
        let mut scene = linked(IMMUTABLE);
        let outside = scene.folder.path().join("outside");
        std::fs::write(&outside, b"somebody else's").expect("a file");
        if stands {
            scene.write("b", b"an old file");
        }
        let (first, there) = (scene.target().join("a"), outside.clone());
        at_fetch(&mut scene, 2, move || {
            std::fs::rename(&first, first.with_file_name("moved")).expect("moved");
            std::fs::hard_link(&there, &first).expect("a link");
        });
        let told = messages(&scene.run_as(TINY).await.expect("a restore"));
        assert!(told.contains(&format!("b: cannot link: {SWAPPED}")), "{told:?}");
        assert_eq!(scene.target().join("b").exists(), stands);
        let stat = outside.metadata().expect("a file");
        assert_eq!((stat.nlink(), stat.mode() & 0o600), (2, 0o600));
        std::fs::write(&outside, b"it takes no flag").expect("written");
        assert_eq!(scene.read("moved"), b"one file");
    }
}

#[test]
fn a_file_is_known_by_what_it_is_once_it_has_its_name_where_that_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let (site, dir) = site(folder.path());
    for (how, links) in [(How::Create, 2), (How::Create, 1), (How::Replace, 2), (How::Replace, 1)] {
        let name = format!("{how:?}{links}");
        let file = FileJob::new(FilePlan {
            path: EntryPath::parse(name.as_bytes()).expect("a path"),
            dir: std::sync::Arc::clone(&dir),
            name: name.as_bytes().into(),
            metadata: Metadata { mode: 0o600, links, ..Metadata::new(FileKind::File) },
            owner: Owner::default(),
            how,
            standing: None,
            map: None,
            bytes: 4,
            single: false,
            reuse: false,
            shared: false,
        });
        file.touch();
        file.write_raw(&site, 0, b"text").expect("written");
        assert!(file.identity().is_none(), "{name}: its rename may give it another number");
        file.settle(&site, 1);
        assert_eq!((file.is_finished(), file.identity().is_some()), (true, links > 1), "{name}");
        assert_eq!(file.open_finished(&site, OFlags::RDONLY).is_ok(), links > 1, "{name}");
        let path = folder.path().join(&name);
        std::fs::rename(&path, folder.path().join("moved")).expect("moved");
        std::fs::write(&path, b"another").expect("a file");
        assert_eq!(file.open_finished(&site, OFlags::RDONLY).map(drop), Err(Errno::STALE), "{name}");
    }
}

#[tokio::test]
async fn what_has_no_content_keeps_its_names_together() {
    let mut scene = Scene::empty();
    for (at, name) in ["link", "link2", "pipe", "pipe2"].into_iter().enumerate() {
        let kind = if at < 2 { FileKind::Symlink { target: b"nowhere".to_vec() } } else { FileKind::Fifo };
        scene.add(name, kind, b"");
        let metadata = &mut scene.entries.last_mut().expect("just added").metadata;
        (metadata.links, metadata.device, metadata.inode) = (2, 1, 70 + at as u64 / 2);
    }
    let inode = |scene: &Scene, name: &str| scene.target().join(name).symlink_metadata().expect("it is there").ino();
    for _ in 0..2 {
        let report = scene.run_as(TINY).await.expect("a restore");
        assert_eq!((messages(&report), scene.names("").len()), (vec![], 4));
        for (one, other) in [("link", "link2"), ("pipe", "pipe2")] {
            assert_eq!(inode(&scene, one), inode(&scene, other));
        }
        assert!(scene.target().join("link2").is_symlink());
    }
}
