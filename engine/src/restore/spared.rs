//! Promises about the repository and keys that lie where a restore goes to: they outlive it, whatever is asked for.

use crate::entry::FileKind;
use crate::error::Kind;
use crate::restore::RestoreOptions;
use crate::restore::scene::Scene;
use crate::restore::scene::TINY;
use crate::restore::scene::messages;
use std::os::unix::fs::symlink;

/// A snapshot with other things in the places of a repository and a key, and those in the target.
fn scene() -> (Scene, RestoreOptions) {
    let mut scene = Scene::empty();
    for folder in ["data", "data/repository", "keys"] {
        scene.add(folder, FileKind::Directory, b"");
    }
    for file in ["data/repository/config", "data/repository/deep", "keys/key", "z"] {
        scene.add(file, FileKind::File, b"of the snapshot");
    }
    for file in ["data/repository/config", "data/repository/packs/00", "keys/key", "stray"] {
        scene.write(file, b"precious");
    }
    let repository = Some(scene.target().join("data/repository"));
    let options = RestoreOptions {
        delete: true,
        repository,
        spare: vec![scene.target().join("keys/key"), scene.target().join("none")],
        ..scene.options()
    };
    (scene, options)
}

#[tokio::test]
async fn the_repository_and_its_key_are_neither_deleted_nor_written_over() {
    let (mut scene, options) = scene();
    for dry_run in [true, false] {
        let report = scene.run(TINY, RestoreOptions { dry_run, ..options.clone() }).await.expect("a restore");
        assert_eq!(messages(&report), Vec::<String>::new());
        let kept: Vec<String> =
            report.kept.iter().filter_map(|one| one.path.as_ref()).map(ToString::to_string).collect();
        assert_eq!(kept, ["data/repository", "keys/key"], "dry run: {dry_run}");
    }
    assert_eq!(scene.names("data/repository"), ["config", "packs"]);
    for file in ["data/repository/config", "data/repository/packs/00", "keys/key"] {
        assert_eq!(scene.read(file), b"precious", "{file}");
    }
    assert_eq!(
        (scene.names(""), scene.read("z")),
        (vec!["data".into(), "keys".into(), "z".into()], b"of the snapshot".to_vec())
    );
}

#[tokio::test]
async fn strangers_that_hold_the_repository_are_emptied_around_it() {
    let (mut scene, options) = scene();
    scene.entries.retain(|entry| entry.path.as_bytes() == b"z");
    scene.write("data/other", b"a stranger");
    let report = scene.run(TINY, options).await.expect("a restore");
    assert_eq!((messages(&report), report.kept.len()), (vec![], 2));
    assert_eq!(
        (scene.names(""), scene.names("data")),
        (vec!["data".into(), "keys".into(), "z".into()], vec!["repository".into()])
    );
    assert_eq!(scene.read("data/repository/packs/00"), b"precious");
}

#[tokio::test]
async fn a_repository_is_known_by_what_it_is_and_not_by_its_name() {
    let (mut scene, mut options) = scene();
    let elsewhere = scene.folder.path().join("way");
    symlink(scene.target().join("data"), &elsewhere).expect("a link");
    options.repository = Some(elsewhere.join("repository"));
    scene.run(TINY, options.clone()).await.expect("a restore");
    assert_eq!(scene.read("data/repository/config"), b"precious");
    // Without the link nobody would find the repository any more.
    let link = scene.target().join("repository");
    symlink("data/repository", &link).expect("a link");
    scene.run(TINY, RestoreOptions { repository: Some(link.clone()), ..options }).await.expect("a restore");
    assert!(link.exists());
}

#[tokio::test]
async fn nothing_is_restored_into_the_repository() {
    let (mut scene, options) = scene();
    let repository = scene.target().join("data/repository");
    let way = scene.folder.path().join("way");
    symlink(&repository, &way).expect("a link");
    for target in
        [repository.clone(), repository.join("packs"), repository.join("new/er"), way.clone(), way.join("new")]
    {
        for (delete, dry_run) in [(true, false), (false, false), (false, true)] {
            let options = RestoreOptions { target: target.clone(), delete, dry_run, ..options.clone() };
            let error = scene.run(TINY, options).await.expect_err("the repository");
            assert_eq!(error.kind(), Kind::Invalid, "{}", target.display());
        }
    }
    assert_eq!(scene.names("data/repository"), ["config", "packs"]);
    assert_eq!(scene.read("data/repository/config"), b"precious");
}

#[tokio::test]
async fn nothing_is_deleted_when_it_cannot_be_told_what_must_stay() {
    let (mut scene, mut options) = scene();
    // A name that no file system looks up.
    options.spare.push(scene.target().join("x".repeat(300)));
    for dry_run in [true, false] {
        let error = scene.run(TINY, RestoreOptions { dry_run, ..options.clone() }).await.expect_err("unknown");
        assert_eq!(error.kind(), Kind::TargetFailed);
    }
    assert_eq!(scene.read("stray"), b"precious");
    let report = scene.run(TINY, RestoreOptions { delete: false, ..options }).await.expect("a restore");
    assert_eq!((messages(&report), scene.read("stray")), (Vec::new(), b"precious".to_vec()));
}
