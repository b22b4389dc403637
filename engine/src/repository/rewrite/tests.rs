//! What is left out, what stays, and what costs nothing.

use super::*;
use crate::backend::MemoryBackend;
use crate::crypto::secret::Secret;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::source::FolderSource;

/// A folder with a secret in it, backed up.
async fn scene() -> (tempfile::TempDir, Repository, Snapshot) {
    let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
    let key = Key::Passphrase(Secret::new("open"));
    let created = Repository::create(Arc::new(MemoryBackend::new()), key, options).await.expect("a repository");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(folder.path().join("in/secret/deep")).expect("made");
    for (name, text) in [("in/a", "plain"), ("in/secret/deep/key", "hidden"), ("in/z.tmp", "gone")] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let source = FolderSource::new(vec!["in".into()]).relative_to(folder.path().to_owned());
    let job = created.repository.backup(source).host("h".into()).tag("t");
    let snapshot = job.start().await.expect("a backup").snapshot.expect("a snapshot");
    (folder, created.repository, snapshot)
}

async fn paths(repository: &Repository, id: SnapshotId) -> Vec<String> {
    let snapshot = repository.snapshot(&id).await.expect("a snapshot");
    let mut entries = repository.entries(&snapshot, None).await.expect("entries");
    let mut paths = Vec::new();
    while let Some(entry) = entries.next().await.expect("an entry") {
        paths.push(String::from_utf8_lossy(entry.path.as_bytes()).into_owned());
    }
    paths
}

#[tokio::test]
async fn what_fits_is_gone_with_all_below_it_and_the_rest_stays() {
    let (_folder, repository, old) = scene().await;
    let job = repository.rewrite(vec![old.clone()], vec!["secret".into(), "*.tmp".into()]);
    let report = job.start().await.expect("a rewrite");
    let [(from, to, left_out)] = report.rewritten[..] else { panic!("{report:?}") };
    assert_eq!((from, left_out), (old.id, 4));
    let mut before = paths(&repository, from).await;
    before.retain(|path| !path.contains("secret") && !path.ends_with(".tmp"));
    assert_eq!(paths(&repository, to).await, before);
    let new = repository.snapshot(&to).await.expect("a snapshot");
    assert_eq!((new.started, &new.host, new.counts.bytes_new), (old.started, &old.host, 0));
    assert_eq!(new.tags, ["t", "rewrite"]);
    assert_eq!(new.excludes, ["secret", "*.tmp"]);
    assert_eq!(repository.snapshots().await.expect("snapshots").len(), 2);
    let checked = repository.check().read_data(crate::repository::ReadData::All).start().await.expect("a check");
    assert!(checked.problems.is_empty(), "{:?}", checked.problems);
}

#[tokio::test]
async fn the_old_one_goes_only_when_asked_and_a_protected_one_never() {
    let (_folder, repository, old) = scene().await;
    let secret = || vec!["secret".to_owned()];
    let dry = repository.rewrite(vec![old.clone()], secret()).dry_run(true).start().await.expect("a dry run");
    assert_eq!(dry.rewritten, [(old.id, old.id, 3)]);
    let report = repository.rewrite(vec![old], secret()).forget(true).start().await.expect("a rewrite");
    let left = repository.snapshots().await.expect("snapshots");
    assert_eq!(left.iter().map(|snapshot| snapshot.id).collect::<Vec<_>>(), [report.rewritten[0].1]);
    assert_eq!(left[0].tags, ["t"]);
    let again = repository.rewrite(left.clone(), secret()).forget(true).start().await.expect("a rewrite");
    assert_eq!(again.unchanged, [left[0].id]);
    repository.protect(&[left[0].id], true).await.expect("protected");
    let kept = repository.snapshots().await.expect("snapshots");
    let refused = repository.rewrite(kept, vec!["a".into()]).forget(true).start().await.expect_err("protected");
    assert_eq!(refused.kind(), Kind::Protected);
}

#[tokio::test]
async fn a_rewrite_without_patterns_is_refused() {
    let (_folder, repository, old) = scene().await;
    let refused = repository.rewrite(vec![old], Vec::new()).start().await.expect_err("nothing to do");
    assert_eq!(refused.kind(), Kind::Invalid);
}
