//! Promises of a restore into folders of somebody else: who made what stands there, or looks on, has nothing of it.

use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::entry::Xattr;
use crate::job::Control;
use crate::restore::Overwrite;
use crate::restore::RestoreOptions;
use crate::restore::boundary::SegmentStore;
use crate::restore::fake::FakeStore;
use crate::restore::file::FileJob;
use crate::restore::file::FilePlan;
use crate::restore::file::How;
use crate::restore::owner::Owner;
use crate::restore::scene::Scene;
use crate::restore::scene::TINY;
use crate::restore::scene::messages;
use crate::restore::site::Site;
use crate::restore::spare::Spare;
use crate::restore::tally::Tally;
use crate::restore::target::Target;
use crate::restore::target::make_temp;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

pub(super) const STRANGER: u32 = 4242;

pub(super) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("NOT TESTED: only root can make files of somebody else");
    }
    is_root
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

/// Owner, group and mode.
pub(super) fn who(path: &Path) -> (u32, u32, u32) {
    let stat = path.symlink_metadata().expect("it is there");
    (stat.uid(), stat.gid(), stat.mode() & 0o7777)
}

/// An access list that lets the stranger read and write.
fn access_list() -> Vec<u8> {
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, rights, id) in
        [(1u16, 6u16, u32::MAX), (2, 6, STRANGER), (4, 4, u32::MAX), (0x10, 6, u32::MAX), (0x20, 0, u32::MAX)]
    {
        list.extend([tag.to_le_bytes(), rights.to_le_bytes()].concat());
        list.extend(id.to_le_bytes());
    }
    list
}

/// True where the file system keeps access lists.
fn gives(path: &Path, name: &str) -> bool {
    let given = rustix::fs::setxattr(path, name, &access_list(), XattrFlags::empty()).is_ok();
    if !given {
        eprintln!("NOT TESTED: this file system has no access lists");
    }
    given
}

/// A scene that notes what `look` sees whenever content is fetched: before any of it is written.
fn watched<T: Send + 'static>(scene: &mut Scene, look: impl Fn() -> T + Send + Sync + 'static) -> Arc<Mutex<Vec<T>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    scene.store.at_fetch = Some(Box::new(move || notes.lock().expect("no panic").push(look())));
    seen
}

#[tokio::test]
async fn what_a_stranger_holds_open_is_not_kept() {
    if !is_root() {
        return;
    }
    for policy in [Overwrite::Always, Overwrite::IfChanged] {
        for (uid, gid, mode, is_kept) in [
            (STRANGER, 0, 0o4755, false),
            (0, STRANGER, 0o664, false),
            (0, STRANGER, 0o640, false),
            (0, 0, 0o666, false),
            (0, STRANGER, 0o600, true),
            (0, 0, 0o600, true),
            (77, 0, 0o600, true),
        ] {
            let mut scene = Scene::empty();
            scene.add("tool", FileKind::File, b"#!/bin/true");
            scene.entries[0].metadata.mode = 0o4755;
            scene.entries[0].metadata.uid = 77;
            scene.write("tool", b"#!/bin/true");
            let tool = scene.target().join("tool");
            let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000, 17);
            let mut held = std::fs::File::options().write(true).open(&tool).expect("a file");
            held.set_modified(time).expect("a time");
            chown(&tool, Some(uid), Some(gid)).expect("an owner");
            set_mode(&tool, mode);
            let before = tool.metadata().expect("a file").ino();
            let options = RestoreOptions { overwrite: policy, ..scene.options() };
            let report = scene.run(TINY, options).await.expect("a restore");
            assert_eq!(messages(&report), Vec::<String>::new());
            let after = tool.metadata().expect("a file");
            assert_eq!(after.ino() == before, is_kept, "{uid} {gid} {mode:o} {policy:?}");
            assert_eq!(who(&tool), (77, 0, 0o4755));
            assert_eq!(report.bytes_written, 0, "it was copied");
            if !is_kept {
                held.write_all(b"#!/bin/evil").expect("written");
                assert_eq!(scene.read("tool"), b"#!/bin/true");
            }
            assert_eq!(scene.names(""), ["tool"]);
        }
    }
}

#[tokio::test]
async fn what_an_access_list_opens_is_not_kept() {
    let mut scene = Scene::empty();
    scene.add("file", FileKind::File, b"content");
    scene.entries[0].metadata.mode = 0o660;
    scene.restore().await;
    let file = scene.target().join("file");
    let inode = || file.metadata().expect("a file").ino();
    let before = inode();
    scene.restore().await;
    assert_eq!(inode(), before);
    if !gives(&file, "system.posix_acl_access") {
        return;
    }
    assert_eq!(messages(&scene.restore().await), Vec::<String>::new());
    assert_ne!(inode(), before);
    assert!(rustix::fs::getxattr(&file, "system.posix_acl_access", &mut [0u8; 99]).is_err());
    // The snapshot's own is no reason to write anything again.
    scene.entries[0].metadata.xattrs = vec![Xattr { name: b"system.posix_acl_access".to_vec(), value: access_list() }];
    scene.restore().await;
    let before = inode();
    scene.restore().await;
    assert_eq!(inode(), before);
}

#[tokio::test]
async fn a_pipe_that_a_stranger_made_is_made_anew() {
    if !is_root() {
        return;
    }
    let mut scene = Scene::empty();
    scene.add("pipe", FileKind::Fifo, b"");
    scene.restore().await;
    let pipe = scene.target().join("pipe");
    let before = pipe.metadata().expect("it is there").ino();
    assert_eq!(scene.restore().await.entries_unchanged, 1);
    chown(&pipe, Some(STRANGER), None).expect("an owner");
    let report = scene.restore().await;
    assert_eq!((messages(&report), report.entries_restored), (vec![], 1));
    assert_ne!(pipe.metadata().expect("it is there").ino(), before);
    assert_eq!(who(&pipe), (0, 0, 0o644));
}

#[tokio::test]
async fn wide_folders_are_narrow_before_anything_in_them_is_written() {
    let mut scene = Scene::empty();
    for (folder, mode) in [("private", 0o700), ("shared", 0o2775)] {
        scene.add(folder, FileKind::Directory, b"");
        scene.entries.last_mut().expect("just added").metadata.mode = mode;
        scene.add(&format!("{folder}/secret"), FileKind::File, b"secret");
    }
    for entry in scene.entries.iter_mut().filter(|entry| entry.metadata.kind == FileKind::Directory) {
        entry.metadata.mode = if entry.path.as_bytes() == b"private" { 0o700 } else { 0o2775 };
    }
    let folders = ["private", "shared"].map(|name| scene.target().join(name));
    for folder in &folders {
        std::fs::create_dir_all(folder).expect("a folder");
        if rustix::process::geteuid().is_root() {
            chown(folder, Some(STRANGER), Some(STRANGER)).expect("an owner");
        }
        set_mode(folder, 0o777);
    }
    gives(&folders[1], "system.posix_acl_access");
    let (me, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let looked = folders.clone();
    let seen = watched(&mut scene, move || looked.each_ref().map(|path| who(path)));
    assert_eq!(messages(&scene.run_as(TINY).await.expect("a restore")), Vec::<String>::new());
    let seen = seen.lock().expect("no panic");
    // Root leaves them with the old group, and gives it nothing, until they are done.
    let bits = if me == 0 { 0o072 } else { 0o002 };
    for [private, shared] in seen.iter() {
        assert_eq!((private.0, private.2), (me, 0o700));
        assert!(shared.0 == me && shared.2 & bits == 0, "{shared:?}");
    }
    assert!(!seen.is_empty());
    assert_eq!(folders.each_ref().map(|path| who(path)), [(me, group, 0o700), (me, group, 0o2775)]);
    assert!(rustix::fs::getxattr(&folders[1], "system.posix_acl_access", &mut [0u8; 99]).is_err());
}

#[tokio::test]
async fn folders_that_are_not_asked_for_keep_their_modes() {
    let mut scene = Scene::empty();
    scene.add("above", FileKind::Directory, b"");
    scene.entries[0].metadata.mode = 0o700;
    scene.add("above/file", FileKind::File, b"content");
    let above = scene.target().join("above");
    std::fs::create_dir_all(&above).expect("a folder");
    set_mode(&above, 0o755);
    let include = vec!["file".into()];
    let only = RestoreOptions { include, ..scene.options() };
    let never = RestoreOptions { overwrite: Overwrite::Never, ..scene.options() };
    for options in [only, never] {
        scene.run(TINY, options).await.expect("a restore");
        assert_eq!(who(&above).2, 0o755);
    }
}

#[tokio::test]
async fn the_target_that_becomes_a_private_folder_is_shut_before_anything_in_it_is_written() {
    for is_there in [false, true] {
        let mut scene = Scene::empty();
        scene.add("home", FileKind::Directory, b"");
        scene.entries[0].metadata.mode = 0o700;
        scene.add("home/secret", FileKind::File, b"secret");
        let target = scene.target();
        if is_there {
            std::fs::create_dir(&target).expect("a folder");
            set_mode(&target, 0o777);
        }
        let looked = target.clone();
        let seen = watched(&mut scene, move || who(&looked).2);
        let path = Some(EntryPath::parse(b"home").expect("a path"));
        let options = RestoreOptions { path, is_folder: true, ..scene.options() };
        assert_eq!(messages(&scene.run(TINY, options).await.expect("a restore")), Vec::<String>::new());
        assert_eq!(*seen.lock().expect("no panic"), [0o700]);
        assert_eq!((who(&target).2, target.metadata().expect("a folder").mtime()), (0o700, 1_000_000));
        assert!(rustix::fs::getxattr(&target, "user.strongroom.unfinished", &mut [0u8; 1]).is_err());
    }
}

#[tokio::test]
async fn what_has_no_content_inherits_no_access_list() {
    let mut scene = Scene::empty();
    for (name, kind) in [("pipe", FileKind::Fifo), ("socket", FileKind::Socket)] {
        scene.add(name, kind, b"");
    }
    scene.entries.iter_mut().for_each(|entry| entry.metadata.mode = 0o660);
    std::fs::create_dir(scene.target()).expect("a folder");
    if !gives(&scene.target(), "system.posix_acl_default") {
        return;
    }
    // Made the first time, replaced the second time.
    for seconds in [1_000_000, 2_000_000] {
        scene.entries.iter_mut().for_each(|entry| entry.metadata.modified.seconds = seconds);
        assert_eq!(messages(&scene.restore().await), Vec::<String>::new());
        for name in ["pipe", "socket"] {
            let path = scene.target().join(name);
            assert_eq!((who(&path).2, path.metadata().expect("it is there").mtime()), (0o660, seconds));
            let list = rustix::fs::getxattr(&path, "system.posix_acl_access", &mut [0u8; 99]);
            assert_eq!(list, Err(Errno::NODATA), "{name}");
            rustix::fs::setxattr(&path, "system.posix_acl_access", &access_list(), XattrFlags::empty())
                .expect("a list");
        }
    }
}

/// A site of its own around a folder.
pub(super) fn site(folder: &Path) -> (Site, Arc<crate::restore::target::Dir>) {
    let (target, root) = Target::open(folder, false, false).expect("a target");
    let store = Arc::new(FakeStore::default()) as Arc<dyn SegmentStore>;
    (Site::new(RestoreOptions::default(), target, Spare::default(), Tally::new(Control::new()), store), root)
}

#[test]
fn a_file_is_nobody_elses_until_it_has_its_owner_and_its_access_list() {
    let folder = tempfile::tempdir().expect("a folder");
    let (site, dir) = site(folder.path());
    for (number, how) in [How::Create, How::Replace].into_iter().enumerate() {
        let name = format!("file{number}");
        let path = EntryPath::parse(name.as_bytes()).expect("a path");
        let file = FileJob::new(FilePlan {
            path: path.clone(),
            dir: Arc::clone(&dir),
            name: name.as_bytes().into(),
            metadata: Metadata { mode: 0o666, ..Metadata::new(FileKind::File) },
            owner: Owner::default(),
            how,
            standing: None,
            map: None,
            bytes: 6,
            single: false,
            reuse: false,
            shared: false,
        });
        file.touch();
        file.write_raw(&site, 0, b"secret").expect("written");
        let found: Vec<_> =
            std::fs::read_dir(folder.path()).expect("listed").map(|item| item.expect("one").path()).collect();
        let unfinished: Vec<u32> = found.iter().map(|path| who(path).2).filter(|mode| *mode != 0o666).collect();
        assert_eq!(unfinished, [0o600], "{how:?}");
        file.settle(&site, 1);
        assert_eq!(who(&folder.path().join(&name)).2, 0o666);
    }
    assert_eq!(site.tally.report(0.0).failures, []);
}

#[test]
fn a_temporary_name_that_is_taken_is_tried_again_with_another() {
    let mut tried = Vec::new();
    let made = make_temp(|name| {
        tried.push(name.to_vec());
        if tried.len() < 4 { Err(Errno::EXIST) } else { Ok(tried.len()) }
    });
    let (count, name) = made.expect("the fourth is free");
    assert_eq!((count, &name), (4, &tried[3]));
    tried.sort();
    tried.dedup();
    assert_eq!(tried.len(), 4, "every one is another");
    assert_eq!(make_temp(|_| Err::<(), _>(Errno::EXIST)).expect_err("all are taken"), Errno::EXIST);
    assert_eq!(make_temp(|_| Err::<(), _>(Errno::NOSPC)).expect_err("no room"), Errno::NOSPC);
}
