//! Links and files that others have put where a repository is, or should be: nothing of theirs is followed or removed.

use super::body;
use super::disk;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use strongroom::Area;
use strongroom::Backend;
use strongroom::Kind;
use strongroom::LocalBackend;
use strongroom_testkit::names::index;
use strongroom_testkit::names::pack;

/// A name of our own form in `tmp/`.
const STAGED: &str = "4711-0-00000000000000ff";

fn kind<T: std::fmt::Debug>(result: strongroom::Result<T>) -> Kind {
    result.unwrap_err().kind()
}

/// A file that was last written five days ago.
fn old_file(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"precious").unwrap();
    let then = SystemTime::now() - Duration::from_secs(5 * 24 * 3600);
    fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[tokio::test]
async fn a_folder_with_a_tmp_of_somebody_else_is_occupied_and_nothing_in_it_is_removed() {
    let holder = tempfile::tempdir().unwrap();
    for name in ["thesis", STAGED] {
        let root = holder.path().join(name);
        old_file(&root.join("tmp").join(name));
        assert_eq!(kind(LocalBackend::new(&root).prepare().await), Kind::Invalid, "{name}");
        assert!(root.join("tmp").join(name).exists(), "{name}");
    }
    let empty = holder.path().join("empty");
    fs::create_dir_all(empty.join("tmp")).unwrap();
    assert_eq!(kind(LocalBackend::new(&empty).prepare().await), Kind::Invalid);
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 1);
    let linked = holder.path().join("linked");
    fs::create_dir(&linked).unwrap();
    symlink("../thesis/tmp", linked.join("tmp")).unwrap();
    assert_eq!(kind(LocalBackend::new(&linked).prepare().await), Kind::Invalid);
    assert!(holder.path().join("thesis/tmp/thesis").exists());
}

#[tokio::test]
async fn what_an_interrupted_founding_left_is_used_again() {
    let holder = tempfile::tempdir().unwrap();
    let root = holder.path().join("repository");
    let made = ["keys", "gc", "keys/slot", "keys/data", "packs"];
    for count in 0..=made.len() {
        fs::create_dir(&root).unwrap();
        made[..count].iter().for_each(|folder| fs::create_dir(root.join(folder)).unwrap());
        LocalBackend::new(&root).prepare().await.unwrap();
        old_file(&root.join("tmp").join(STAGED));
        LocalBackend::new(&root).prepare().await.unwrap();
        // Left to a backup or a prune.
        assert!(root.join("tmp").join(STAGED).exists());
        fs::remove_dir_all(&root).unwrap();
    }
}

#[tokio::test]
async fn no_folder_of_a_repository_is_followed_through_a_link() {
    for link in ["packs", "packs/00", "index", "tmp"] {
        let holder = tempfile::tempdir().unwrap();
        let (root, outside) = (holder.path().join("repository"), holder.path().join("outside"));
        let backend = LocalBackend::new(&root);
        backend.prepare().await.unwrap();
        let name = if link == "index" { index(1) } else { pack(0) };
        backend.put(&name, body("precious")).await.unwrap();
        backend.barrier().await.unwrap();
        fs::rename(root.join(link), &outside).unwrap();
        symlink(&outside, root.join(link)).unwrap();
        old_file(&outside.join(STAGED));
        let backend = LocalBackend::new(&root);
        let area = name.area().unwrap();
        let denied = |result: strongroom::Result<()>| {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), Kind::BackendDenied, "{link}: {error}");
            assert!(error.advice().is_some_and(|advice| advice.contains("mount --bind")), "{link}");
        };
        match link {
            "tmp" => {
                denied(backend.put(&pack(2), body("x")).await);
                denied(backend.check_writable().await);
                denied(disk(&backend).sweep().await.map(|_| ()));
                denied(disk(&backend).leftovers().await.map(|_| ()));
            }
            _ => {
                denied(backend.get(&name).await.map(|_| ()));
                denied(backend.get_range(&name, 0, 1).await.map(|_| ()));
                denied(backend.stat(&name).await.map(|_| ()));
                denied(backend.list(area).await.map(|_| ()));
                denied(backend.delete(&name).await);
                denied(backend.put(&if link == "index" { index(2) } else { pack(0x0100_0000) }, body("x")).await);
                denied(disk(&backend).barrier_for(area).await);
            }
        }
        assert_eq!(outside.read_dir().unwrap().count(), if link == "tmp" { 1 } else { 2 }, "{link}");
    }
}

#[tokio::test]
async fn the_folder_itself_may_be_reached_through_a_link() {
    let holder = tempfile::tempdir().unwrap();
    fs::create_dir(holder.path().join("disk")).unwrap();
    symlink(holder.path().join("disk"), holder.path().join("way")).unwrap();
    let backend = LocalBackend::new(holder.path().join("way/repository"));
    backend.prepare().await.unwrap();
    symlink(holder.path().join("disk/repository"), holder.path().join("direct")).unwrap();
    let direct = LocalBackend::new(holder.path().join("direct"));
    direct.put(&pack(1), body("x")).await.unwrap();
    direct.barrier().await.unwrap();
    assert_eq!(backend.list(Area::Packs).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_killed_runs_left_is_counted_and_swept_a_day_later() {
    let holder = tempfile::tempdir().unwrap();
    let backend = LocalBackend::new(holder.path());
    backend.prepare().await.unwrap();
    old_file(&holder.path().join("tmp").join(STAGED));
    fs::write(holder.path().join("tmp/1-1-0000000000000001"), b"young").unwrap();
    old_file(&holder.path().join("tmp/notes"));
    let left = disk(&backend).leftovers().await.unwrap();
    assert_eq!((left.files, left.bytes), (2, 13));
    let swept = disk(&backend).sweep().await.unwrap();
    assert_eq!((swept.files, swept.bytes), (1, 8));
    assert!(holder.path().join("tmp/notes").exists());
    assert_eq!(disk(&backend).leftovers().await.unwrap().files, 1);
}
