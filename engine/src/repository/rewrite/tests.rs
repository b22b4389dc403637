//! What is left out, what stays, and what costs nothing.

use super::*;
use crate::backend::Area;
use crate::backend::MemoryBackend;
use crate::backend::Name;
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
    let mut entries = repository.view(&snapshot).await.expect("a view").walk(None);
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
    let [SnapshotRewritten { old: from, new: Some(to), was_there: false, entries_left_out: 4 }] = report.rewritten[..]
    else {
        panic!("{report:?}")
    };
    assert_eq!(from, old.id);
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
    let secret = || vec!["secret".into()];
    let dry = repository.rewrite(vec![old.clone()], secret()).dry_run(true).start().await.expect("a dry run");
    assert_eq!((dry.rewritten[0].old, dry.rewritten[0].new, dry.rewritten[0].entries_left_out), (old.id, None, 3));
    let report = repository.rewrite(vec![old], secret()).forget(true).start().await.expect("a rewrite");
    let left = repository.snapshots().await.expect("snapshots");
    assert_eq!(left.iter().map(|snapshot| snapshot.id).collect::<Vec<_>>(), [report.rewritten[0].new.expect("stored")]);
    assert_eq!(left[0].tags, ["t"]);
    let again = repository.rewrite(left.clone(), secret()).forget(true).start().await.expect("a rewrite");
    assert_eq!(again.unchanged, [left[0].id]);
    repository.protect(&[left[0].id], true).await.expect("protected");
    let kept = repository.snapshots().await.expect("snapshots");
    for (pattern, refused) in [("a", vec![kept[0].id]), ("b", Vec::new())] {
        let job = repository.rewrite(kept.clone(), vec![pattern.into()]).forget(true);
        let report = job.start().await.expect("a rewrite");
        assert_eq!((report.refused, report.rewritten), (refused, Vec::new()), "{pattern}");
    }
    assert_eq!(repository.snapshots().await.expect("snapshots"), kept);
}

#[tokio::test]
async fn what_is_protected_holds_up_nothing_else() {
    let (folder, repository, first) = scene().await;
    let source = FolderSource::new(vec!["in".into()]).relative_to(folder.path().to_owned());
    let second = repository.backup(source).start().await.expect("a backup").snapshot.expect("a snapshot");
    repository.protect(&[first.id], true).await.expect("protected");
    let all = repository.snapshots().await.expect("snapshots");
    let kept = all.iter().find(|snapshot| snapshot.is_protected).expect("one").id;
    // Not even one that would be emptied.
    let emptied = all.iter().filter(|snapshot| snapshot.is_protected).cloned().collect();
    let report = repository.rewrite(emptied, vec!["*".into()]).forget(true).start().await.expect("a rewrite");
    assert_eq!(report.refused, [kept]);
    let report = repository.rewrite(all, vec!["secret".into()]).forget(true).start().await.expect("a rewrite");
    assert_eq!((report.rewritten[0].old, report.refused), (second.id, vec![kept]));
    assert!(paths(&repository, kept).await.iter().any(|path| path.contains("secret")));
}

#[tokio::test]
async fn a_snapshot_is_not_rewritten_twice_in_the_same_way() {
    let (_folder, repository, old) = scene().await;
    let rewrite = async |pattern: &str, forget: bool| {
        let job = repository.rewrite(vec![old.clone()], vec![pattern.into()]).forget(forget);
        job.start().await.expect("a rewrite").rewritten[0].clone()
    };
    let first = rewrite("secret", false).await;
    let again = rewrite("secret", false).await;
    assert_eq!((again.new, again.was_there), (first.new, true));
    assert!(!rewrite("*.tmp", false).await.was_there);
    assert_eq!(repository.snapshots().await.expect("snapshots").len(), 3);
    assert_eq!(rewrite("secret", true).await.new, first.new);
    assert_eq!(repository.snapshots().await.expect("snapshots").len(), 2);
}

#[tokio::test]
async fn a_rewrite_cut_off_before_the_old_one_is_gone_leaves_no_twin_when_it_is_run_again() {
    let (_folder, repository, old) = scene().await;
    let secret = || vec!["secret".into()];
    let record = repository.store().backend().get(&Name::Snapshot(old.id)).await.expect("a record");
    let first = repository.rewrite(vec![old.clone()], secret()).forget(true).start().await.expect("a rewrite");
    // As if the old one had not been removed yet.
    repository.store().backend().put(&Name::Snapshot(old.id), record.into()).await.expect("put back");
    let again = repository.rewrite(vec![old], secret()).forget(true).start().await.expect("a rewrite");
    let [SnapshotRewritten { new, was_there: true, .. }] = again.rewritten[..] else { panic!("{again:?}") };
    assert_eq!(new, first.rewritten[0].new);
    let left: Vec<_> = repository.snapshots().await.expect("a list").iter().map(|one| Some(one.id)).collect();
    assert_eq!(left, [new]);
}

#[tokio::test]
async fn an_earlier_rewrite_that_cannot_be_read_replaces_nothing() {
    let (_folder, repository, old) = scene().await;
    let backend = Arc::clone(repository.store().backend());
    let before = backend.list(Area::Packs).await.expect("a list");
    let secret = || vec!["secret".into()];
    let first = repository.rewrite(vec![old.clone()], secret()).start().await.expect("a rewrite").rewritten[0].clone();
    for pack in backend.list(Area::Packs).await.expect("a list") {
        if !before.contains(&pack) {
            // Its catalog.
            backend.delete(&pack.name).await.expect("lost");
        }
    }
    let dry = repository.rewrite(vec![old.clone()], secret()).forget(true).dry_run(true).start().await;
    assert_eq!(dry.expect("a dry run").rewritten[0].new, None);
    let again = repository.rewrite(vec![old], secret()).forget(true).start().await.expect("a rewrite");
    let again = again.rewritten[0].clone();
    assert!(!again.was_there && again.new != first.new, "{again:?}");
    assert_eq!(paths(&repository, again.new.expect("stored")).await, ["in", "in/a", "in/z.tmp"]);
}

#[tokio::test]
async fn a_rewrite_without_patterns_is_refused() {
    let (_folder, repository, old) = scene().await;
    let refused = repository.rewrite(vec![old], Vec::new()).start().await.expect_err("nothing to do");
    assert_eq!(refused.kind(), Kind::Invalid);
    let empty = vec!["z.tmp".into(), "".into()];
    let (_folder, repository, old) = scene().await;
    let refused = repository.rewrite(vec![old], empty).start().await.expect_err("an empty pattern");
    assert_eq!(refused.kind(), Kind::Invalid);
}

#[tokio::test]
async fn a_snapshot_is_never_emptied() {
    let (folder, repository, old) = scene().await;
    std::fs::write(folder.path().join("other"), "x").expect("written");
    let source = FolderSource::new(vec!["other".into()]).relative_to(folder.path().to_owned());
    let other = repository.backup(source).start().await.expect("a backup").snapshot.expect("a snapshot");
    let before = repository.snapshots().await.expect("snapshots");
    // The root means nothing of what was named to be backed up.
    let report =
        repository.rewrite(vec![old.clone()], vec!["/".into()]).forget(true).start().await.expect("nothing fits");
    assert_eq!(report.unchanged, [old.id]);
    for pattern in ["/**", "*", "**", "*/", "in", "in/**", "in/*", "[!o]*"] {
        for dry_run in [true, false] {
            let job = repository.rewrite(vec![other.clone(), old.clone()], vec![pattern.into()]).forget(true);
            let refused = job.dry_run(dry_run).start().await.expect_err(pattern);
            assert_eq!(refused.kind(), Kind::Protected, "{pattern}");
        }
    }
    assert_eq!(repository.snapshots().await.expect("snapshots"), before);
}

#[tokio::test]
async fn what_is_left_out_is_told_once_for_all_below_it() {
    let (_folder, repository, old) = scene().await;
    let job = repository.rewrite(vec![old.clone()], vec!["secret".into(), "*.tmp".into()]).dry_run(true).start();
    let mut events = job.events();
    job.await.expect("a dry run");
    let mut told = Vec::new();
    while let Some(Event::Skipped { path, reason }) = events.next().await {
        assert!(reason.starts_with(&format!("from snapshot {:.8}, by the pattern", old.id.to_string())), "{reason}");
        told.push(path.to_string());
    }
    assert_eq!(told, ["in/secret", "in/z.tmp"]);
}

/// One of a few.
fn one_of<'a>(rng: &mut crate::random::SeededRng, all: &[&'a str]) -> &'a str {
    use crate::random::Rng;
    let mut byte = [0];
    rng.fill(&mut byte).expect("seeded");
    all[usize::from(byte[0]) % all.len()]
}

/// A tree of few names, so that they meet often: folders, files and links.
fn grow(rng: &mut crate::random::SeededRng, folder: &std::path::Path, depth: u32) {
    for name in ["a", "b", "c", "a.o", "x"] {
        let path = folder.join(name);
        match one_of(rng, &["file", "link", "folder", "folder", ""]) {
            "file" => std::fs::write(&path, name).expect("written"),
            "link" => std::os::unix::fs::symlink("a", &path).expect("linked"),
            "folder" => {
                std::fs::create_dir(&path).expect("made");
                if depth > 0 {
                    grow(rng, &path, depth - 1);
                }
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_rewrite_leaves_out_what_a_backup_leaves_out() {
    let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
    let key = Key::Passphrase(Secret::new("open"));
    let repository =
        Repository::create(Arc::new(MemoryBackend::new()), key, options).await.expect("created").repository;
    let (mut same, mut fewer, mut emptied) = (0, 0, 0);
    for seed in 0..40 {
        let mut rng = crate::random::SeededRng::new(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let top = folder.path().join("a");
        std::fs::create_dir_all(&top).expect("made");
        grow(&mut rng, &top, 2);
        let asked =
            [(".", ""), ("a", "."), ("b", "c"), ("b/a", "a"), ("./a", ""), ("..", ""), ("FULL", ""), ("FULL/b", "a")];
        let (one, other) = asked[usize::try_from(seed).expect("small") % asked.len()];
        let full = |path: &str| std::path::PathBuf::from(path.replace("FULL", top.to_str().expect("UTF-8")));
        let paths_of: Vec<_> = [one, other].into_iter().filter(|path| !path.is_empty()).map(full).collect();
        let source = FolderSource::new(paths_of).relative_to(top.clone());
        if source.check().is_err() {
            continue;
        }
        let old = repository.backup(source.clone()).start().await.expect("a backup").snapshot.expect("a snapshot");
        for _ in 0..4 {
            let pattern = |rng: &mut _| {
                let anchor = one_of(rng, &["", "", "", "/", "!", "TOP/", "TOP/", "!TOP/"]);
                let end = one_of(rng, &["", "", "/", "/**", "/*"]);
                let middle = one_of(rng, &["a", "b", "*", "?", "a/b", "*.o", "a/a", "**/b", "b/**/a", "[ab]", "x"]);
                format!("{anchor}{middle}{end}").replace("TOP", top.to_str().expect("UTF-8")).into()
            };
            let mut patterns: Vec<std::ffi::OsString> = (0..2).map(|_| pattern(&mut rng)).collect();
            patterns.truncate(one_of(&mut rng, &["a", "ab"]).len());
            let without = source.clone().exclude(patterns.clone());
            // Where all that was named is left out there is none.
            let expected = repository.backup(without).start().await.ok().and_then(|report| report.snapshot);
            let told = format!("seed {seed}: {one} {other} without {patterns:?}");
            match repository.rewrite(vec![old.clone()], patterns).start().await {
                Ok(report) => {
                    let expected = expected.as_ref().unwrap_or_else(|| panic!("{told}: something is left"));
                    let new = report.rewritten.first().map_or(old.id, |one| one.new.expect("stored"));
                    assert_eq!(paths(&repository, new).await, paths(&repository, expected.id).await, "{told}");
                    if new == old.id { same += 1 } else { fewer += 1 }
                }
                Err(refused) => {
                    assert_eq!(refused.kind(), Kind::Protected, "{told}");
                    let counts = expected.map(|expected| expected.counts);
                    assert!(counts.is_none_or(|counts| counts.entries == counts.directories), "{told}: {counts:?}");
                    emptied += 1;
                }
            }
        }
    }
    assert!(same > 5 && fewer > 10 && emptied > 0, "{same} {fewer} {emptied}");
}
