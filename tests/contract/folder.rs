//! What only a local folder can promise: files, strangers, permissions, full disks.

use super::body;
use rustix::mount::MountFlags;
use rustix::mount::UnmountFlags;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Kind;
use strongroom::LocalBackend;
use strongroom::Name;
use strongroom::Payload;
use strongroom_testkit::names::index;
use strongroom_testkit::names::one_of_each;
use strongroom_testkit::names::pack;
use strongroom_testkit::names::snapshot;
use tempfile::TempDir;

/// A prepared folder.
async fn room() -> (TempDir, PathBuf, LocalBackend) {
    let holder = tempfile::tempdir().unwrap();
    let root = holder.path().join("repository");
    let backend = LocalBackend::new(&root);
    backend.prepare().await.unwrap();
    (holder, root, backend)
}

fn kind<T: std::fmt::Debug>(result: strongroom::Result<T>) -> Kind {
    result.unwrap_err().kind()
}

fn leftovers(root: &Path) -> usize {
    fs::read_dir(root.join("tmp")).unwrap().count()
}

#[tokio::test]
async fn objects_are_private_files_under_their_names() {
    let (_holder, root, backend) = room().await;
    for name in one_of_each(1) {
        backend.put(&name, body("x")).await.unwrap();
        let file = fs::metadata(root.join(name.to_string())).unwrap();
        assert_eq!((file.mode() & 0o777, file.nlink()), (0o600, 1), "{name}");
        let folder = fs::metadata(root.join(name.to_string()).parent().unwrap()).unwrap();
        assert_eq!(folder.mode() & 0o777, 0o700, "{name}");
    }
    assert_eq!(leftovers(&root), 0);
}

#[tokio::test]
async fn fan_out_folders_are_made_when_first_used() {
    let (_holder, root, backend) = room().await;
    assert_eq!(fs::read_dir(root.join("packs")).unwrap().count(), 0);
    backend.put(&pack(0xab), body("x")).await.unwrap();
    assert!(root.join("packs/ab").is_dir());
}

#[tokio::test]
async fn failed_puts_leave_nothing_in_the_staging_folder() {
    for make in [|root: &Path| LocalBackend::new(root), |root: &Path| LocalBackend::linking(root)] {
        let (_holder, root, _) = room().await;
        let backend = make(&root);
        backend.put(&index(1), body("x")).await.unwrap();
        assert_eq!(kind(backend.put(&index(1), body("y")).await), Kind::Conflict);
        fs::create_dir_all(root.join(index(2).to_string())).unwrap();
        assert_eq!(kind(backend.put(&index(2), body("y")).await), Kind::Conflict);
        assert_eq!(leftovers(&root), 0);
    }
}

#[tokio::test]
async fn strangers_are_not_listed() {
    let (_holder, root, backend) = room().await;
    backend.put(&pack(1), body("x")).await.unwrap();
    backend.put(&snapshot(1), body("x")).await.unwrap();
    let long = "ab".repeat(32);
    for stranger in [
        "snapshots/.DS_Store".to_string(),
        "snapshots/README".into(),
        format!("snapshots/{long}"),
        format!("snapshots/{}", "AB".repeat(16)),
        format!("packs/{long}"),
        format!("packs/01/{long}"),
        "packs/thumbs.db".into(),
        "packs/01/x.tmp".into(),
        "index/ab".into(),
    ] {
        fs::write(root.join(stranger), b"?").unwrap();
    }
    fs::create_dir(root.join("packs/zz")).unwrap();
    fs::create_dir(root.join("snapshots/folder")).unwrap();
    let listed = |area| {
        let backend = backend.clone();
        async move { backend.list(area).await.unwrap().into_iter().map(|listed| listed.name).collect::<Vec<_>>() }
    };
    assert_eq!(listed(Area::Packs).await, vec![pack(1)]);
    assert_eq!(listed(Area::Snapshots).await, vec![snapshot(1)]);
    assert_eq!(listed(Area::Index).await, vec![]);
}

#[tokio::test]
async fn a_name_that_is_not_utf8_is_a_stranger() {
    use std::os::unix::ffi::OsStrExt;
    let (_holder, root, backend) = room().await;
    fs::write(root.join("index").join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), b"?").unwrap();
    assert_eq!(backend.list(Area::Index).await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_listing_that_meets_an_error_is_an_error() {
    let (_holder, root, backend) = room().await;
    backend.put(&pack(1), body("x")).await.unwrap();
    fs::write(root.join("packs/ff"), b"a file in the place of a folder").unwrap();
    assert_eq!(kind(backend.list(Area::Packs).await), Kind::Damaged);
    fs::remove_dir(root.join("index")).unwrap();
    fs::write(root.join("index"), b"a file in the place of a folder").unwrap();
    assert_eq!(kind(backend.list(Area::Index).await), Kind::Damaged);
}

#[tokio::test]
async fn a_folder_or_link_in_the_place_of_an_object_is_damage() {
    let (holder, root, backend) = room().await;
    let outside = holder.path().join("outside");
    fs::write(&outside, b"secret").unwrap();
    symlink(&outside, root.join(snapshot(1).to_string())).unwrap();
    fs::create_dir(root.join(index(1).to_string())).unwrap();
    for name in [snapshot(1), index(1)] {
        assert_eq!(kind(backend.get(&name).await), Kind::Damaged);
        assert_eq!(kind(backend.get_range(&name, 0, 1).await), Kind::Damaged);
        assert_eq!(kind(backend.stat(&name).await), Kind::Damaged);
        let listed = backend.list(name.area().unwrap()).await.unwrap();
        assert_eq!(listed.into_iter().map(|listed| listed.name).collect::<Vec<_>>(), [name]);
    }
    assert_eq!(kind(backend.put(&snapshot(1), body("x")).await), Kind::Conflict);
    assert_eq!(fs::read(&outside).unwrap(), b"secret");
}

#[tokio::test]
async fn a_pipe_in_the_place_of_an_object_does_not_hang() {
    let (_holder, root, backend) = room().await;
    let path = root.join(index(1).to_string());
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(kind(backend.get(&index(1)).await), Kind::Damaged);
}

#[tokio::test]
async fn an_object_too_large_is_damage_before_it_is_read() {
    let (_holder, root, backend) = room().await;
    let file = fs::File::create(root.join(snapshot(1).to_string())).unwrap();
    file.set_len(1 << 40).unwrap();
    assert_eq!(kind(backend.get(&snapshot(1)).await), Kind::Damaged);
    assert_eq!(kind(backend.get_range(&snapshot(1), 0, 1 << 39).await), Kind::Damaged);
}

#[tokio::test]
async fn a_location_that_is_gone_is_no_repository_and_not_an_empty_one() {
    let (_holder, root, backend) = room().await;
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(kind(backend.get(&Name::Config).await), Kind::NoRepository);
    assert_eq!(kind(backend.get_range(&pack(1), 0, 1).await), Kind::NoRepository);
    assert_eq!(kind(backend.stat(&pack(1)).await), Kind::NoRepository);
    assert_eq!(kind(backend.list(Area::Snapshots).await), Kind::NoRepository);
    assert_eq!(kind(backend.delete(&pack(1)).await), Kind::NoRepository);
    assert_eq!(kind(backend.check_writable().await), Kind::NoRepository);
    assert_eq!(kind(backend.put(&pack(1), body("x")).await), Kind::NoRepository);
    assert!(!root.exists());
}

#[tokio::test]
async fn an_unmounted_disk_is_neither_listed_as_empty_nor_written_to() {
    let (_holder, root, backend) = room().await;
    backend.put(&pack(1), body("x")).await.unwrap();
    fs::remove_dir_all(&root).unwrap();
    fs::create_dir(&root).unwrap();
    assert_eq!(kind(backend.list(Area::Snapshots).await), Kind::NoRepository);
    assert_eq!(kind(backend.put(&pack(1), body("x")).await), Kind::NoRepository);
    assert_eq!(kind(backend.put(&pack(2), body("x")).await), Kind::NoRepository);
    assert_eq!(kind(backend.check_writable().await), Kind::NoRepository);
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}

#[tokio::test]
async fn a_copy_without_its_empty_folders_still_works() {
    let (_holder, root, _) = room().await;
    fs::write(root.join("config"), b"x").unwrap();
    for folder in ["tmp", "gc/mark", "gc/tomb", "gc", "packs", "pending", "index", "keys/slot", "keys/data"] {
        fs::remove_dir(root.join(folder)).unwrap();
    }
    let backend = LocalBackend::new(&root);
    for area in Area::ALL {
        assert_eq!(backend.list(area).await.unwrap(), vec![]);
    }
    backend.check_writable().await.unwrap();
    for name in one_of_each(1).into_iter().filter(|name| *name != Name::Config) {
        LocalBackend::new(&root).put(&name, body("x")).await.unwrap();
        backend.get(&name).await.unwrap();
    }
}

#[tokio::test]
async fn a_folder_of_snapshots_that_is_gone_is_damage_and_is_never_made_again() {
    let (_holder, root, _) = room().await;
    fs::write(root.join("config"), b"x").unwrap();
    for folder in ["tmp", "pending", "snapshots"] {
        fs::remove_dir(root.join(folder)).unwrap();
    }
    let backend = LocalBackend::new(&root);
    assert_eq!(kind(backend.list(Area::Snapshots).await), Kind::Damaged);
    assert_eq!(kind(backend.check_writable().await), Kind::Damaged);
    assert_eq!(kind(backend.put(&snapshot(1), body("x")).await), Kind::Damaged);
    // Folders that are made again when they are needed do not bring it along.
    let pending = Name::parse(&snapshot(1).to_string().replace("snapshots", "pending")).unwrap();
    backend.put(&pending, body("x")).await.unwrap();
    assert!(root.join("tmp").exists() && root.join("pending").exists() && !root.join("snapshots").exists());
    assert_eq!(kind(backend.list(Area::Snapshots).await), Kind::Damaged);
    fs::create_dir(root.join("snapshots")).unwrap();
    assert_eq!(backend.list(Area::Snapshots).await.unwrap(), vec![]);
    backend.put(&snapshot(1), body("x")).await.unwrap();
}

#[tokio::test]
async fn parents_are_made_and_files_are_not_prepared_over() {
    let holder = tempfile::tempdir().unwrap();
    LocalBackend::new(holder.path().join("a/b/c")).prepare().await.unwrap();
    fs::write(holder.path().join("file"), b"x").unwrap();
    assert_eq!(kind(LocalBackend::new(holder.path().join("file")).prepare().await), Kind::Invalid);
    assert_eq!(kind(LocalBackend::new(holder.path().join("file/x")).prepare().await), Kind::Invalid);
}

#[tokio::test]
async fn a_folder_with_foreign_content_is_not_prepared() {
    let holder = tempfile::tempdir().unwrap();
    let root = holder.path();
    fs::create_dir(root.join("lost+found")).unwrap();
    fs::create_dir_all(root.join("keys/slot")).unwrap();
    LocalBackend::new(root).prepare().await.unwrap();
    for foreign in ["photo.jpg", "packs/song.mp3", "keys/slot/x", "index/deep/er/x"] {
        fs::create_dir_all(root.join(foreign).parent().unwrap()).unwrap();
        fs::write(root.join(foreign), b"x").unwrap();
        assert_eq!(kind(LocalBackend::new(root).prepare().await), Kind::Invalid, "{foreign}");
        assert!(root.join(foreign).exists());
        fs::remove_file(root.join(foreign)).unwrap();
    }
    // Folders in which nobody has put anything yet are somebody's, too.
    assert_eq!(kind(LocalBackend::new(root).prepare().await), Kind::Invalid);
    fs::remove_dir_all(root.join("index/deep")).unwrap();
    LocalBackend::new(root).prepare().await.unwrap();
}

#[tokio::test]
async fn a_restic_repository_is_not_prepared_over() {
    let holder = tempfile::tempdir().unwrap();
    for folder in ["data", "keys", "locks", "snapshots", "index"] {
        fs::create_dir(holder.path().join(folder)).unwrap();
    }
    fs::write(holder.path().join("config"), b"sealed").unwrap();
    let backend = LocalBackend::new(holder.path());
    assert_eq!(backend.recognise().await.unwrap().as_deref(), Some("a restic repository"));
    assert_eq!(kind(backend.prepare().await), Kind::Conflict);
    assert!(!holder.path().join("packs").exists());
}

#[tokio::test]
async fn the_reserve_comes_and_goes_and_is_no_foreign_content() {
    let (_holder, root, backend) = room().await;
    assert!(!backend.release_reserve().await.unwrap());
    assert!(backend.make_reserve(0).await.unwrap());
    let length = || fs::metadata(root.join("reserve")).unwrap().len();
    assert_eq!(length(), 1 << 20);
    // It grows with what is stored, and not for every little.
    for (stored, expected) in [(24 << 20, 1 << 20), (64 << 20, 4 << 20), (0, 4 << 20)] {
        assert!(backend.make_reserve(stored).await.unwrap());
        assert_eq!(length(), expected, "{stored}");
    }
    backend.prepare().await.unwrap();
    assert!(backend.release_reserve().await.unwrap());
    assert!(!root.join("reserve").exists());
    assert_eq!(leftovers(&root), 0);
}

/// A file system of a few pages, where mounting is allowed.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(options: &str, flags: MountFlags) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(options).unwrap();
        match rustix::mount::mount("tmpfs", folder.path(), "tmpfs", flags, options.as_c_str()) {
            Ok(()) => Some(Self(folder)),
            Err(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => None,
            Err(errno) => panic!("{errno}"),
        }
    }

    fn remount_read_only(&self) {
        rustix::mount::mount_remount(self.0.path(), MountFlags::RDONLY, c"").unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full_and_keeps_what_it_has() {
    let Some(disk) = SmallDisk::mount("size=1m", MountFlags::empty()) else {
        return;
    };
    let backend = LocalBackend::new(disk.0.path());
    backend.prepare().await.unwrap();
    assert!(backend.make_reserve(0).await.unwrap());
    assert!(fs::metadata(disk.0.path().join("reserve")).unwrap().len() <= 64 << 10, "it is felt");
    backend.put(&pack(1), Payload::from(vec![1; 400_000])).await.unwrap();
    backend.barrier().await.unwrap();
    assert_eq!(kind(backend.put(&pack(2), Payload::from(vec![2; 900_000])).await), Kind::NoSpace);
    assert_eq!(leftovers(disk.0.path()), 0);
    assert_eq!(backend.stat(&pack(2)).await.unwrap(), None);
    assert_eq!(backend.get(&pack(1)).await.unwrap().len(), 400_000);
    backend.delete(&pack(1)).await.unwrap();
    backend.put(&pack(2), Payload::from(vec![2; 900_000])).await.unwrap();
}

#[tokio::test]
async fn a_disk_without_inodes_is_full_as_well() {
    let Some(disk) = SmallDisk::mount("size=1m,nr_inodes=16", MountFlags::empty()) else {
        return;
    };
    let backend = LocalBackend::new(disk.0.path());
    backend.prepare().await.unwrap();
    let mut stored = 0;
    let failure = loop {
        match backend.put(&index(stored), body("x")).await {
            Ok(()) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 16);
    };
    assert_eq!(failure.kind(), Kind::NoSpace);
    assert_eq!(kind(backend.check_writable().await), Kind::NoSpace);
}

#[tokio::test]
async fn a_read_only_disk_is_noticed_early_and_can_be_read() {
    let Some(disk) = SmallDisk::mount("size=1m", MountFlags::empty()) else {
        return;
    };
    let backend = LocalBackend::new(disk.0.path());
    backend.prepare().await.unwrap();
    backend.put(&Name::Config, body("x")).await.unwrap();
    disk.remount_read_only();
    assert_eq!(kind(backend.check_writable().await), Kind::BackendDenied);
    assert_eq!(kind(backend.put(&pack(1), body("x")).await), Kind::BackendDenied);
    assert_eq!(kind(backend.delete(&Name::Config).await), Kind::BackendDenied);
    assert_eq!(backend.get(&Name::Config).await.unwrap(), &b"x"[..]);
    assert_eq!(backend.list(Area::Packs).await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_denied() {
    let (_holder, root, backend) = room().await;
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o500)).unwrap();
    let result = backend.check_writable().await;
    match rustix::process::geteuid().is_root() {
        // Permissions do not bind root: it may write, and it left nothing.
        true => assert!(result.is_ok() && leftovers(&root) == 0),
        false => assert_eq!(kind(result), Kind::BackendDenied),
    }
}
