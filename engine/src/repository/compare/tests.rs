//! Promises about comparing a snapshot with the disk.

use super::CompareOptions;
use super::DiskChange;
use crate::backend::MemoryBackend;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::error::Kind;
use crate::format::snapshot::Snapshot;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::Repository;
use crate::source::FolderSource;
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

struct Scene {
    repository: Repository,
    folder: tempfile::TempDir,
}

impl Scene {
    /// A repository and an empty folder.
    async fn new() -> Self {
        let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
        let key = Key::Passphrase(Secret::new("open"));
        let created = Repository::create(Arc::new(MemoryBackend::new()), key, options).await.expect("a repository");
        Self { repository: created.repository, folder: tempfile::tempdir().expect("a folder") }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        fs::create_dir_all(self.at(path).parent().expect("a parent")).expect("folders");
        fs::write(self.at(path), bytes).expect("written");
    }

    /// Backs up what `paths` name, below the folder.
    async fn backup(&self, paths: &[&str]) -> Snapshot {
        let paths = paths.iter().map(PathBuf::from).collect();
        let source = FolderSource::new(paths).relative_to(self.folder.path().to_owned());
        let report = self.repository.backup(source).start().await.expect("a backup");
        report.snapshot.expect("a snapshot")
    }

    /// All differences, one a line.
    async fn compare(&self, snapshot: &Snapshot, options: CompareOptions) -> Vec<String> {
        let mut differences = self.repository.compare(snapshot, options).await.expect("a comparison");
        let mut lines = Vec::new();
        let mut last: Option<EntryPath> = None;
        while let Some(difference) = differences.next().await.expect("a difference") {
            assert!(last.as_ref().is_none_or(|last| *last < difference.path), "{:?} out of order", difference.path);
            let slash = if difference.kind == FileKind::Directory { "/" } else { "" };
            lines.push(match difference.change {
                DiskChange::Missing => format!("- {}{slash}", difference.path),
                DiskChange::Extra => format!("+ {}{slash}", difference.path),
                DiskChange::Changed { fields } => format!("{} {}{slash}", fields.join(","), difference.path),
                DiskChange::Unreadable { .. } => format!("? {}{slash}", difference.path),
            });
            last = Some(difference.path);
        }
        lines
    }
}

fn content() -> CompareOptions {
    CompareOptions { read_content: true, ..CompareOptions::default() }
}

fn below(path: &str, root: &Path) -> CompareOptions {
    let path = Some(EntryPath::parse(path.as_bytes()).expect("a path"));
    CompareOptions { root: Some(root.to_owned()), path, read_content: true }
}

/// Puts the time of `path` back to what it was.
fn keep_time(path: &Path, change: impl FnOnce()) {
    let modified = fs::symlink_metadata(path).expect("metadata").modified().expect("a time");
    change();
    fs::File::open(path).expect("open").set_modified(modified).expect("set");
}

#[tokio::test]
async fn a_disk_that_is_as_it_was_has_no_differences() {
    let scene = Scene::new().await;
    scene.write("a/b/file", b"bytes");
    scene.write("a/empty", b"");
    scene.write("a!", b"beside");
    symlink("nowhere", scene.at("a/link")).expect("a link");
    for paths in [&["."][..], &["a", "a!"][..]] {
        let snapshot = scene.backup(paths).await;
        assert!(scene.compare(&snapshot, CompareOptions::default()).await.is_empty());
        assert!(scene.compare(&snapshot, content()).await.is_empty());
    }
}

#[tokio::test]
async fn every_kind_of_difference_has_its_name() {
    let scene = Scene::new().await;
    for name in ["gone/x", "kind", "longer", "mode", "other", "time", "kept"] {
        scene.write(&format!("d/{name}"), b"12345");
    }
    symlink("here", scene.at("d/link")).expect("a link");
    let snapshot = scene.backup(&["d"]).await;
    keep_time(&scene.at("d"), || {
        fs::remove_dir_all(scene.at("d/gone")).expect("removed");
        fs::remove_file(scene.at("d/kind")).expect("removed");
        scene.write("d/kind/inside", b"");
        keep_time(&scene.at("d/longer"), || fs::write(scene.at("d/longer"), b"123456").expect("written"));
        fs::set_permissions(scene.at("d/mode"), fs::Permissions::from_mode(0o600)).expect("mode");
        keep_time(&scene.at("d/other"), || fs::write(scene.at("d/other"), b"54321").expect("written"));
        let time = fs::File::open(scene.at("d/time")).expect("open");
        time.set_modified(std::time::UNIX_EPOCH).expect("set");
        fs::remove_file(scene.at("d/link")).expect("removed");
        symlink("there", scene.at("d/link")).expect("a link");
        scene.write("d/a-new/inside", b"");
        scene.write("d/zz", b"");
    });
    let expected = |other: Option<&'static str>| {
        let fixed =
            ["- d/gone/", "- d/gone/x", "type d/kind", "modified,target d/link", "size d/longer", "mode d/mode"];
        let mut lines = vec!["+ d/a-new/"];
        lines.extend(fixed);
        lines.extend(other);
        lines.extend(["modified d/time", "+ d/zz"]);
        lines
    };
    assert_eq!(scene.compare(&snapshot, CompareOptions::default()).await, expected(None));
    assert_eq!(scene.compare(&snapshot, content()).await, expected(Some("content d/other")));
}

#[tokio::test]
async fn what_stands_beside_what_was_backed_up_is_no_difference() {
    let scene = Scene::new().await;
    scene.write("home/ann/x", b"1");
    scene.write("home/bob/y", b"2");
    let snapshot = scene.backup(&["home/ann"]).await;
    scene.write("home/ann/new", b"");
    let lines = scene.compare(&snapshot, CompareOptions::default()).await;
    assert_eq!(lines, ["modified home/ann/", "+ home/ann/new"]);
}

#[tokio::test]
async fn a_part_is_compared_with_the_folder_or_file_that_is_named() {
    let scene = Scene::new().await;
    scene.write("d/part/x", b"1");
    scene.write("d/part/y", b"2");
    scene.write("d/zzz", b"3");
    let snapshot = scene.backup(&["d"]).await;
    fs::rename(scene.at("d/part"), scene.at("elsewhere")).expect("moved");
    symlink("elsewhere", scene.at("by-link")).expect("a link");
    for root in ["elsewhere", "by-link"] {
        assert!(scene.compare(&snapshot, below("d/part", &scene.at(root))).await.is_empty(), "{root}");
    }
    assert!(scene.compare(&snapshot, below("d/part/x", &scene.at("elsewhere/x"))).await.is_empty());
    let other = scene.compare(&snapshot, below("d/part/x", &scene.at("elsewhere/y"))).await;
    assert!(other.iter().all(|line| line.ends_with("content d/part/x")) && other.len() == 1, "{other:?}");
    assert_eq!(scene.compare(&snapshot, below("d/part/x", &scene.at("nothing"))).await, ["- d/part/x"]);
    let refused = scene.repository.compare(&snapshot, below("d/nothing", &scene.at("d"))).await;
    assert_eq!(refused.err().map(|why| why.kind()), Some(Kind::NotFound));
}

#[tokio::test]
async fn a_folder_replaced_by_a_link_is_not_entered() {
    let scene = Scene::new().await;
    scene.write("d/inner/x", b"1");
    let snapshot = scene.backup(&["d"]).await;
    keep_time(&scene.at("d"), || {
        fs::rename(scene.at("d/inner"), scene.at("inner")).expect("moved");
        symlink(scene.at("inner"), scene.at("d/inner")).expect("a link");
    });
    assert_eq!(scene.compare(&snapshot, content()).await, ["type d/inner/", "- d/inner/x"]);
}

#[tokio::test]
async fn one_byte_in_a_big_file_or_in_a_hole_is_found() {
    let scene = Scene::new().await;
    let mut bytes = vec![0; 24 << 20];
    SeededRng::new(3).fill(&mut bytes).expect("seeded bytes");
    scene.write("d/big", &bytes);
    scene.write("d/sparse", b"");
    let sparse = fs::File::options().write(true).open(scene.at("d/sparse")).expect("open");
    sparse.write_all_at(b"data", 1 << 20).expect("written");
    sparse.set_len(8 << 20).expect("longer");
    let snapshot = scene.backup(&["d"]).await;
    assert!(scene.compare(&snapshot, content()).await.is_empty());
    keep_time(&scene.at("d/big"), || {
        let big = fs::File::options().write(true).open(scene.at("d/big")).expect("open");
        big.write_all_at(&[!bytes[23 << 20]], 23 << 20).expect("written");
    });
    keep_time(&scene.at("d/sparse"), || sparse.write_all_at(b"x", 7 << 20).expect("written"));
    assert!(scene.compare(&snapshot, CompareOptions::default()).await.is_empty());
    assert_eq!(scene.compare(&snapshot, content()).await, ["content d/big", "content d/sparse"]);
}

#[tokio::test]
async fn folders_deeper_than_may_be_open_at_once_are_compared_to_the_bottom_and_back() {
    let scene = Scene::new().await;
    let depth = 2 * super::disk::FOLDERS_OPEN + 5;
    let deep = vec!["d"; depth].join("/");
    scene.write(&format!("{deep}/x"), b"1");
    let snapshot = scene.backup(&["d"]).await;
    assert!(scene.compare(&snapshot, content()).await.is_empty());
    keep_time(&scene.at("d/d"), || scene.write("d/d/z", b""));
    assert_eq!(scene.compare(&snapshot, content()).await, ["+ d/d/z"]);
}

#[tokio::test]
async fn an_extended_attribute_that_came_later_is_a_difference() {
    let scene = Scene::new().await;
    scene.write("d/x", b"1");
    let snapshot = scene.backup(&["d"]).await;
    let set = rustix::fs::setxattr(scene.at("d/x"), "user.note", b"new", rustix::fs::XattrFlags::empty());
    // Where the file system has none, nothing differs.
    let expected: &[&str] = if set.is_ok() { &["xattrs d/x"] } else { &[] };
    assert_eq!(scene.compare(&snapshot, CompareOptions::default()).await, expected);
}
