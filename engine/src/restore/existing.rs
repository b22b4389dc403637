//! Promises about what stands in the target already: files patched in place, shut directories, inherited groups.

use crate::entry::Extent;
use crate::entry::FileKind;
use crate::error::Kind;
use crate::job::Control;
use crate::restore::Overwrite;
use crate::restore::OwnerMap;
use crate::restore::OwnerMode;
use crate::restore::RestoreOptions;
use crate::restore::opened::Opened;
use crate::restore::scene::Scene;
use crate::restore::scene::messages;
use crate::restore::scene::trees;
use crate::restore::target::Dir;
use crate::restore::target::Target;
use crate::restore::window::Limits;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

const MARK: &str = "user.strongroom.unfinished";
/// Two changed bytes, each in a window of its own.
const CHANGED: [usize; 2] = [1_000_000, 60_000_000];

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn is_marked(file: &Path) -> bool {
    rustix::fs::getxattr(file, MARK, &mut [0u8; 1]).is_ok()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
}

/// A snapshot with a file so large that it is patched, the file before that, and what it is to be.
fn huge() -> (Scene, Vec<u8>) {
    let mut scene = Scene::empty();
    let bytes = trees::Dice::new(4).bytes(65 << 20);
    scene.add("huge", FileKind::File, &bytes);
    let mut old = bytes.clone();
    CHANGED.iter().for_each(|at| old[*at] ^= 1);
    scene.write("huge", &old);
    (scene, bytes)
}

/// The restore of `huge`, cancelled after the first of the two changes.
async fn stopped() -> (Scene, Vec<u8>) {
    let (mut scene, bytes) = huge();
    let control = Control::new();
    scene.store.cancel_at = Some((1, control.canceller()));
    let limits = Limits { pieces: 200, ..Limits::default() };
    let options = scene.options();
    let error = scene.run_under(control, limits, options).await.expect_err("it was cancelled");
    assert_eq!(error.kind(), Kind::Cancelled);
    scene.store.cancel_at = None;
    let mix = scene.read("huge");
    assert_eq!(CHANGED.map(|at| mix[at] == bytes[at]), [true, false], "neither the old file nor the new one");
    (scene, bytes)
}

#[tokio::test]
async fn a_patch_stopped_midway_is_finished_by_the_next_restore_whatever_its_policy() {
    for policy in [Overwrite::Always, Overwrite::IfChanged, Overwrite::IfNewer, Overwrite::Never] {
        let (mut scene, bytes) = stopped().await;
        let file = scene.target().join("huge");
        assert!(is_marked(&file));
        // The worst that can be: it looks exactly as the snapshot says.
        let same = SystemTime::UNIX_EPOCH + Duration::new(1_000_000, 17);
        std::fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(same)).expect("a time");
        let inode = file.metadata().expect("a file").ino();
        let options = RestoreOptions { overwrite: policy, ..scene.options() };
        let report = scene.run(Limits::default(), options).await.expect("a restore");
        assert_eq!(messages(&report), Vec::<String>::new());
        assert!(scene.read("huge") == bytes, "{policy:?}");
        assert_eq!((report.bytes_written, is_marked(&file)), (60_000, false));
        assert_eq!(file.metadata().expect("a file").ino(), inode);
    }
}

#[tokio::test]
async fn a_patch_that_fails_is_told_to_be_a_mix() {
    let (mut scene, bytes) = huge();
    let id = scene.chunks("huge")[CHANGED[1] / 60_000].id;
    scene.store.damage(&id);
    let limits = Limits { pieces: 200, ..Limits::default() };
    let report = scene.run_as(limits).await.expect("a restore");
    let told = messages(&report);
    assert!(told.len() == 1 && told[0].contains("a mix of old and new bytes"), "{told:?}");
    assert!(is_marked(&scene.target().join("huge")));
    scene.store.chunk(&bytes[CHANGED[1] / 60_000 * 60_000..][..60_000], true);
    let options = RestoreOptions { overwrite: Overwrite::IfNewer, ..scene.options() };
    let report = scene.run(limits, options).await.expect("a restore");
    assert_eq!(messages(&report), Vec::<String>::new());
    assert!(scene.read("huge") == bytes && !is_marked(&scene.target().join("huge")));
}

#[tokio::test]
async fn private_bytes_are_never_patched_into_a_file_that_others_may_read() {
    for (old, new, is_patched) in [(0o644, 0o600, false), (0o600, 0o600, true), (0o600, 0o644, true)] {
        let (mut scene, bytes) = huge();
        scene.entries[0].metadata.mode = new;
        let file = scene.target().join("huge");
        set_mode(&file, old);
        let inode = file.metadata().expect("a file").ino();
        assert_eq!(messages(&scene.restore().await), Vec::<String>::new());
        let after = file.metadata().expect("a file");
        assert_eq!((after.ino() == inode, after.mode() & 0o7777), (is_patched, new), "{old:o} to {new:o}");
        assert!(scene.read("huge") == bytes);
    }
}

#[test]
fn shut_directories_are_shut_again_from_the_inside_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let (outer, inner) = (folder.path().join("outer"), folder.path().join("outer/inner"));
    std::fs::create_dir_all(&inner).expect("folders");
    let modes = || [&outer, &inner].map(|path| path.metadata().expect("a folder").mode() & 0o7777);
    set_mode(&inner, 0o510);
    set_mode(&outer, 0o077);
    let (target, root) = Target::open(folder.path(), false, false).expect("a target");
    let opened = Opened::default();
    let above = Dir::below(&root, b"outer", false, true);
    let below = Dir::below(&above, b"inner", false, true);
    for (dir, mode) in [(&above, 0o077), (&below, 0o510)] {
        opened.widen(dir, &target.handle(dir).expect("it is there"), mode).expect("a mode");
    }
    assert_eq!(modes(), [0o777, 0o710]);
    opened.leave(&target, &below, true).expect("it has a mode of its own");
    assert_eq!(modes(), [0o777, 0o710]);
    opened.leave(&target, &above, false).expect("put back");
    assert_eq!(outer.metadata().expect("a folder").mode() & 0o7777, 0o077);
    opened.widen(&above, &target.handle(&above).expect("it is there"), 0o077).expect("a mode");
    opened.widen(&below, &target.handle(&below).expect("it is there"), 0o510).expect("a mode");
    opened.leave_all(&target);
    assert_eq!(outer.metadata().expect("a folder").mode() & 0o7777, 0o077);
    set_mode(&outer, 0o700);
    assert_eq!(modes()[1], 0o510);
}

#[tokio::test]
async fn in_a_folder_that_gives_its_group_away_nothing_runs_as_that_group() {
    if !is_root() {
        eprintln!("NOT TESTED: only root can give a folder a group of its own");
        return;
    }
    for (mode, group, bits) in [(OwnerMode::None, 4242, 0o755), (OwnerMode::Keep, 77, 0o2755)] {
        let mut scene = Scene::empty();
        scene.add("folder", FileKind::Directory, b"");
        for tool in ["folder/tool", "tool"] {
            scene.add(tool, FileKind::File, b"#!");
        }
        for entry in &mut scene.entries {
            entry.metadata.gid = 77;
            entry.metadata.mode |= 0o755;
        }
        scene.entries.iter_mut().filter(|entry| entry.metadata.kind == FileKind::File).for_each(|entry| {
            entry.metadata.mode |= 0o2000;
        });
        std::fs::create_dir(scene.target()).expect("a folder");
        std::os::unix::fs::chown(scene.target(), None, Some(4242)).expect("a group");
        set_mode(&scene.target(), 0o2775);
        let owner = OwnerMap { mode, by_number: true, ..OwnerMap::default() };
        let options = RestoreOptions { owner, ..scene.options() };
        let report = scene.run(Limits::default(), options).await.expect("a restore");
        assert_eq!(messages(&report), Vec::<String>::new());
        for tool in ["folder/tool", "tool"] {
            let stat = scene.target().join(tool).metadata().expect("a file");
            assert_eq!((stat.gid(), stat.mode() & 0o7777), (group, bits), "{tool} {mode:?}");
        }
    }
}

/// A sparse file of which the target has another version: bytes where the snapshot has a hole, and a hole where it has
/// bytes.
fn sparse(scene: &mut Scene, size: u64) -> Vec<u8> {
    let stretch = size / 65;
    let bytes = trees::Dice::new(9).bytes(2 * usize::try_from(stretch).expect("small"));
    scene.add("sparse", FileKind::File, &bytes);
    let last = size - stretch;
    let extents = [0, last].map(|offset| Extent { offset, length: stretch });
    let metadata = &mut scene.entries[0].metadata;
    (metadata.extents, metadata.size) = (Some(extents.to_vec()), size);
    let mut whole = vec![0; usize::try_from(size).expect("small")];
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    whole[..head.len()].copy_from_slice(head);
    whole[usize::try_from(last).expect("small")..].copy_from_slice(tail);
    whole
}

#[tokio::test]
async fn a_huge_sparse_file_is_patched_in_place_and_its_holes_are_made() {
    for size in [65 << 20, 65 * 100_000] {
        let mut scene = Scene::empty();
        let whole = sparse(&mut scene, size);
        let mut old = whole.clone();
        old[5] ^= 1;
        old[3 << 20..4 << 20].fill(7);
        scene.write("sparse", &old);
        let file = scene.target().join("sparse");
        let inode = file.metadata().expect("a file").ino();
        let report = scene.restore().await;
        assert_eq!((messages(&report), report.bytes_written), (vec![], 60_000), "only what differs was fetched");
        let after = file.metadata().expect("a file");
        assert_eq!((after.ino() == inode, after.len()), (size > 64 << 20, size));
        assert!(scene.read("sparse") == whole && !is_marked(&file));
        assert!(after.blocks() * 512 < 3 << 20, "{} blocks", after.blocks());
        let report = scene.restore().await;
        assert_eq!((report.entries_unchanged, report.bytes_written), (1, 0));
        // A hole that was filled is a change like any other.
        std::fs::File::options()
            .write(true)
            .open(&file)
            .and_then(|file| file.write_all_at(b"x", 2 << 20))
            .expect("written");
        assert_eq!(scene.restore().await.entries_restored, 1);
        assert!(scene.read("sparse") == whole);
    }
}

#[tokio::test]
async fn a_huge_sparse_file_grows_and_shrinks() {
    for length in [64 << 20, 70 << 20] {
        let mut scene = Scene::empty();
        let whole = sparse(&mut scene, 66 << 20);
        scene.write("sparse", &vec![3; length]);
        let inode = scene.target().join("sparse").metadata().expect("a file").ino();
        let options = RestoreOptions { verify: true, ..scene.options() };
        let report = scene.run(Limits::default(), options).await.expect("a restore");
        assert_eq!(messages(&report), Vec::<String>::new());
        assert!(scene.read("sparse") == whole);
        assert_eq!(scene.target().join("sparse").metadata().expect("a file").ino(), inode);
    }
}

#[tokio::test]
async fn a_running_program_is_replaced_and_not_written_to() {
    let mut scene = Scene::empty();
    let program = std::fs::read("/bin/cat").expect("a program that waits for its input");
    let bytes = [program, vec![1; 65 << 20]].concat();
    scene.add("program", FileKind::File, &bytes);
    scene.entries[0].metadata.mode = 0o755;
    let mut old = bytes.clone();
    *old.last_mut().expect("not empty") = 2;
    scene.write("program", &old);
    let file = scene.target().join("program");
    set_mode(&file, 0o755);
    let piped = std::process::Stdio::piped;
    let mut command = std::process::Command::new(&file);
    let mut running = command.arg0("cat").stdin(piped()).spawn().expect("it starts");
    let inode = file.metadata().expect("a file").ino();
    let report = scene.restore().await;
    let was_running = running.try_wait().expect("a child").is_none();
    running.kill().expect("a child");
    running.wait().expect("a child");
    assert!(was_running);
    assert_eq!(messages(&report), Vec::<String>::new());
    assert!(scene.read("program") == bytes);
    assert_ne!(file.metadata().expect("a file").ino(), inode);
}
