//! Promises about flags: those that a restore which was killed had lifted, and those that wait for a file's last name.

use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::entry::flags::APPEND;
use crate::entry::flags::IMMUTABLE;
use crate::restore::Overwrite;
use crate::restore::RestoreOptions;
use crate::restore::file::FileJob;
use crate::restore::file::FilePlan;
use crate::restore::file::How;
use crate::restore::guarded::is_root;
use crate::restore::guarded::site;
use crate::restore::judge::Standing;
use crate::restore::owner::Owner;
use crate::restore::scene::Scene;
use crate::restore::scene::TINY;
use crate::restore::scene::messages;
use rustix::fs::IFlags;
use std::path::Path;
use std::sync::Arc;

/// What `chattr +d` sets.
const NODUMP: u32 = 0x40;

fn flags(path: &Path) -> u32 {
    let file = std::fs::File::open(path).expect("it opens");
    rustix::fs::ioctl_getflags(&file).expect("it has flags").bits() & (IMMUTABLE | APPEND | NODUMP)
}

/// False where the file system has no flags, or they may not be set.
fn set(path: &Path, flags: u32) -> bool {
    let file = std::fs::File::open(path).expect("it opens");
    let now = rustix::fs::ioctl_getflags(&file).map(|now| now.bits() & !(IMMUTABLE | APPEND | NODUMP));
    let done = now.and_then(|now| rustix::fs::ioctl_setflags(&file, IFlags::from_bits_retain(now | flags))).is_ok();
    if !done {
        eprintln!("NOT TESTED: flags cannot be set here");
    }
    done
}

#[tokio::test]
async fn flags_that_a_killed_restore_had_lifted_are_set_by_the_next_one() {
    let mut scene = Scene::empty();
    for (name, kind, flags) in [
        ("append", FileKind::Directory, APPEND),
        ("append/file", FileKind::File, IMMUTABLE),
        ("still", FileKind::Directory, IMMUTABLE),
        ("one", FileKind::File, IMMUTABLE | NODUMP),
        ("two", FileKind::File, IMMUTABLE | NODUMP),
    ] {
        scene.add(name, kind.clone(), if kind == FileKind::File { b"content" } else { b"" });
        let entry = scene.entries.iter_mut().find(|entry| entry.path.as_bytes() == name.as_bytes());
        let metadata = &mut entry.expect("just added").metadata;
        metadata.flags = flags;
        if flags & NODUMP != 0 {
            (metadata.links, metadata.device, metadata.inode) = (2, 1, 77);
        }
    }
    std::fs::create_dir(scene.target()).expect("a folder");
    if !is_root() || !set(&scene.target(), 0) {
        return;
    }
    let paths = ["append/file", "append", "still", "one", "two"].map(|name| scene.target().join(name));
    let wanted = [IMMUTABLE, APPEND, IMMUTABLE, IMMUTABLE | NODUMP, IMMUTABLE | NODUMP];
    assert_eq!(messages(&scene.restore().await), Vec::<String>::new());
    assert_eq!(paths.each_ref().map(|path| flags(path)), wanted);
    for overwrite in [Overwrite::Always, Overwrite::IfChanged] {
        // What a kill between lifting and setting leaves.
        assert!(paths.iter().rev().all(|path| set(path, 0)));
        let report = scene.run(TINY, RestoreOptions { overwrite, ..scene.options() }).await.expect("a restore");
        assert_eq!((messages(&report), report.bytes_written), (vec![], 0));
        assert_eq!(paths.each_ref().map(|path| flags(path)), wanted, "{overwrite:?}");
    }
    // So that the throw-away folder can be thrown away.
    assert!(paths.iter().rev().all(|path| set(path, 0)));
}

#[test]
fn files_of_several_names_wait_only_for_flags_that_they_do_not_have() {
    let folder = tempfile::tempdir().expect("a folder");
    let (site, dir) = site(folder.path());
    for number in 0..200u32 {
        let name = format!("file{number}");
        let place = folder.path().join(&name);
        std::fs::write(&place, b"same").expect("a file");
        let (has, want) = if number < 3 { (0, NODUMP) } else { (NODUMP * (number % 2), NODUMP * (number % 2)) };
        if !set(&place, has) {
            return;
        }
        let standing = rustix::fs::stat(&place).map(Standing::from).expect("it is there");
        let mode = standing.mode;
        let file = FileJob::new(FilePlan {
            path: EntryPath::parse(name.as_bytes()).expect("a path"),
            dir: Arc::clone(&dir),
            name: name.as_bytes().into(),
            metadata: Metadata { mode, links: 2, flags: want, ..Metadata::new(FileKind::File) },
            owner: Owner::default(),
            how: How::Replace,
            standing: Some(standing),
            map: None,
            bytes: 4,
            single: false,
            reuse: true,
            shared: false,
        });
        file.settle(&site, 1);
        assert!(file.is_finished());
        assert_eq!(Arc::strong_count(&file), 1, "nothing else keeps it");
    }
    assert_eq!(site.late_flags(), 3);
    site.complete();
    assert_eq!((0..3).map(|number| flags(&folder.path().join(format!("file{number}")))).max(), Some(NODUMP));
    assert_eq!(site.tally.report(0.0).failures, []);
}
