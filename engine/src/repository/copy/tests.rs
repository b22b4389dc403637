//! What a copy holds, and what it does not store or read again.

use super::*;
use crate::backend::Area;
use crate::backend::MemoryBackend;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::entry::Xattr;
use crate::repository::CheckBuilder;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::source::EntryStart;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Want;
use crate::statement::KnownFact;
use crate::statement::Statement;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::sync::Arc;

/// Files with content, all with the same times and inode.
struct Files(Vec<(&'static str, Vec<u8>)>, Verdict);

impl Source for Files {
    fn kind(&self) -> &str {
        "files"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/files".to_vec()]
    }

    fn excludes(&self) -> Vec<String> {
        vec!["*.tmp".into()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> std::result::Result<Verdict, SourceError> {
        for (path, content) in self.0 {
            let path = EntryPath::parse(path.as_bytes()).expect("a path");
            let mut metadata = Metadata::new(FileKind::File);
            metadata.size = content.len() as u64;
            metadata.modified = Timestamp { seconds: 1_000, nanoseconds: 7 };
            metadata.changed = metadata.modified;
            let want = sink.begin(EntryStart::new(&path, &metadata))?;
            if want == Want::Bytes {
                crate::source::give(&content, sink)?;
                metadata.xattrs = vec![Xattr { name: b"user.a".to_vec(), value: b"b".to_vec() }];
            }
            sink.end(metadata, vec!["no access control list".into()])?;
        }
        sink.statement(Statement::new().with(KnownFact::Version, "16.2"));
        Ok(self.1)
    }
}

async fn repository() -> (Arc<MemoryBackend>, Repository) {
    let backend = Arc::new(MemoryBackend::new());
    let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
    let key = Key::Passphrase(Secret::new("open"));
    let created = Repository::create(backend.clone(), key, options).await.expect("a repository");
    (backend, created.repository)
}

fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    crate::random::Rng::fill(&crate::random::SeededRng::new(seed.into()), &mut bytes).expect("seeded");
    bytes
}

async fn backup(repository: &Repository, seconds: i64, parent: Parent, source: Files) -> Snapshot {
    let job = repository
        .backup(source)
        .host("h".into())
        .user("u".into())
        .tag("t")
        .label("l".into())
        .metadata("job", "nightly")
        .parent(parent);
    let job = job.time(Timestamp { seconds, nanoseconds: 5 }).program("other 1.0".into());
    job.start().await.expect("a backup").snapshot.expect("a snapshot")
}

/// Every entry with its bytes.
async fn all(repository: &Repository, snapshot: &Snapshot) -> Vec<(crate::entry::EntryPath, Metadata, Vec<u8>)> {
    let mut entries = repository.view(snapshot).await.expect("a view").walk(None);
    let mut all = Vec::new();
    while let Some(entry) = entries.next().await.expect("an entry") {
        let (mut content, mut bytes) = (entries.open(&entry), Vec::new());
        while let Some(piece) = content.next().await.expect("a piece") {
            bytes.extend_from_slice(&piece);
        }
        assert_eq!(entry.warnings, ["no access control list"]);
        all.push((entry.path, entry.metadata, bytes));
    }
    all
}

async fn is_sound(repository: &Repository) {
    let check: CheckBuilder = repository.check();
    let report = check.read_data(crate::repository::ReadData::All).start().await.expect("a check");
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

#[tokio::test]
async fn a_copy_says_and_holds_what_its_origin_does() {
    let ((_, here), (_, there)) = (repository().await, repository().await);
    let partial = Verdict::Partial(vec!["one file could not be read".into()]);
    let files = vec![("a", b"letter".to_vec()), ("b", noise(1, 90 << 20)), ("c", Vec::new())];
    let first = backup(&here, 2_000, Parent::Nothing, Files(files.clone(), partial)).await;
    here.protect(&[first.id], true).await.expect("protected");
    let snapshots = here.snapshots().await.expect("snapshots");
    let report = here.copy_to(&there, snapshots.clone()).start().await.expect("a copy");
    assert_eq!((report.copied.len(), report.present.len()), (1, 0));
    let copy = there.snapshots().await.expect("snapshots").remove(0);
    let origin = &snapshots[0];
    assert_eq!((&copy.host, &copy.user, &copy.tags), (&origin.host, &origin.user, &origin.tags));
    assert_eq!((&copy.label, copy.started, &copy.program), (&origin.label, origin.started, &origin.program));
    assert_eq!((&copy.paths, &copy.excludes), (&origin.paths, &origin.excludes));
    assert_eq!((&copy.statement, &copy.metadata), (&origin.statement, &origin.metadata));
    assert!(copy.statement.is_some() && copy.metadata["job"] == "nightly");
    assert_eq!((&copy.verdict, copy.is_protected, &copy.source_kind), (&origin.verdict, true, &origin.source_kind));
    assert_eq!((copy.counts.entries, copy.counts.bytes), (origin.counts.entries, origin.counts.bytes));
    assert!(all(&here, origin).await == all(&there, &copy).await);
    is_sound(&there).await;
}

#[tokio::test]
async fn content_that_changed_under_the_same_times_is_copied_as_it_was() {
    let ((_, here), (_, there)) = (repository().await, repository().await);
    for (seconds, seed) in [(2_000, 1), (3_000, 2), (4_000, 1)] {
        let files = vec![("a", noise(seed, 500_000)), ("b", noise(9, 500_000))];
        backup(&here, seconds, Parent::Nothing, Files(files, Verdict::Whole)).await;
    }
    let snapshots = here.snapshots().await.expect("snapshots");
    let report = here.copy_to(&there, snapshots.clone()).start().await.expect("a copy");
    assert_eq!(report.copied.len(), 3);
    assert_eq!(report.bytes_new, 1_500_000, "every content is stored once");
    for (origin, copy) in snapshots.iter().zip(&there.snapshots().await.expect("snapshots")) {
        assert!(all(&here, origin).await == all(&there, copy).await);
    }
    is_sound(&there).await;
}

#[tokio::test]
async fn what_was_copied_before_is_not_copied_again() {
    let ((_, here), (backend, there)) = (repository().await, repository().await);
    backup(&here, 2_000, Parent::Nothing, Files(vec![("a", noise(1, 500_000))], Verdict::Whole)).await;
    let snapshots = || async { here.snapshots().await.expect("snapshots") };
    here.copy_to(&there, snapshots().await).start().await.expect("a copy");
    backup(&here, 3_000, Parent::Automatic, Files(vec![("a", noise(1, 500_000)), ("b", noise(2, 9))], Verdict::Whole))
        .await;
    let dry = here.copy_to(&there, snapshots().await).dry_run(true).start().await.expect("a dry run");
    assert_eq!((dry.copied.len(), dry.present.len()), (1, 1));
    assert_eq!(there.snapshots().await.expect("snapshots").len(), 1);
    let report = here.copy_to(&there, snapshots().await).start().await.expect("a copy");
    assert_eq!((report.copied.len(), report.present.len(), report.bytes_new), (1, 1, 9));
    let packs = crate::backend::Backend::list(backend.as_ref(), Area::Packs).await.expect("packs").len();
    let report = here.copy_to(&there, snapshots().await).start().await.expect("a copy");
    assert_eq!((report.copied.len(), report.present.len()), (0, 2));
    assert_eq!(crate::backend::Backend::list(backend.as_ref(), Area::Packs).await.expect("packs").len(), packs);
}

#[tokio::test]
async fn a_repository_is_not_copied_into_itself() {
    let (_, here) = repository().await;
    let error = here.copy_to(&here.clone(), Vec::new()).start().await.expect_err("the same");
    assert_eq!((error.kind(), error.advice()), (Kind::Invalid, Some(ONE_REPOSITORY)));
}

#[tokio::test]
async fn a_copy_of_what_cannot_be_read_leaves_no_snapshot() {
    let ((backend, here), (_, there)) = (repository().await, repository().await);
    backup(&here, 2_000, Parent::Nothing, Files(vec![("a", noise(1, 500_000))], Verdict::Whole)).await;
    let packs = crate::backend::Backend::list(backend.as_ref(), Area::Packs).await.expect("packs");
    let data = packs.iter().max_by_key(|pack| pack.length).expect("a pack");
    crate::backend::Backend::delete(backend.as_ref(), &data.name).await.expect("gone");
    let snapshots = here.snapshots().await.expect("snapshots");
    for dry_run in [true, false] {
        let report = here.copy_to(&there, snapshots.clone()).dry_run(dry_run).start().await.expect("a report");
        let failed: Vec<_> = report.failed.iter().map(|failed| (failed.snapshot, failed.kind)).collect();
        assert_eq!((report.copied.len(), failed), (0, vec![(snapshots[0].id, Kind::Damaged)]), "{report:?}");
    }
    assert!(there.snapshots().await.expect("snapshots").is_empty());
}

/// The packs and index objects of a store, those of most bytes first.
async fn objects(backend: &MemoryBackend, area: Area) -> Vec<crate::backend::Name> {
    let mut listed = crate::backend::Backend::list(backend, area).await.expect("listed");
    listed.sort_by_key(|object| std::cmp::Reverse(object.length));
    listed.into_iter().map(|object| object.name).collect()
}

#[tokio::test]
async fn a_copy_that_has_lost_data_is_not_there_already_and_is_made_whole() {
    // A pack of content; that of the catalog; the index.
    for lost in [(Area::Packs, 0), (Area::Packs, 1), (Area::Index, 0)] {
        let ((_, here), (backend, there)) = (repository().await, repository().await);
        backup(&here, 2_000, Parent::Nothing, Files(vec![("a", noise(1, 500_000))], Verdict::Whole)).await;
        let snapshots = here.snapshots().await.expect("snapshots");
        let made = here.copy_to(&there, snapshots.clone()).start().await.expect("a copy").copied;
        let object = objects(&backend, lost.0).await[lost.1];
        match lost.0 {
            Area::Packs => crate::backend::Backend::delete(backend.as_ref(), &object).await.expect("gone"),
            _ => backend.replace(object, &b"torn"[..]),
        }
        let dry = here.copy_to(&there, snapshots.clone()).dry_run(true).start().await.expect("a dry run");
        assert_eq!((&dry.mended, dry.present.len(), dry.bytes_new), (&made, 0, 0), "{lost:?}");
        let report = here.copy_to(&there, snapshots.clone()).start().await.expect("a copy");
        assert_eq!((&report.mended, report.present.len(), report.copied.len()), (&made, 0, 0), "{lost:?}");
        let copies = there.snapshots().await.expect("snapshots");
        assert_eq!(copies.len(), 1, "{lost:?}");
        assert!(all(&here, &snapshots[0]).await == all(&there, &copies[0]).await, "{lost:?}");
    }
}

#[tokio::test]
async fn what_is_copied_leans_on_nothing_that_the_other_repository_has_lost() {
    let ((_, here), (backend, there)) = (repository().await, repository().await);
    let files = |name| Files(vec![(name, noise(1, 500_000))], Verdict::Whole);
    backup(&here, 2_000, Parent::Nothing, files("a")).await;
    let first = here.snapshots().await.expect("snapshots");
    here.copy_to(&there, first).start().await.expect("a copy");
    crate::backend::Backend::delete(backend.as_ref(), &objects(&backend, Area::Packs).await[0]).await.expect("gone");
    let second = backup(&here, 3_000, Parent::Nothing, files("b")).await;
    let report = here.copy_to(&there, vec![second.clone()]).start().await.expect("a copy");
    assert!(report.bytes_new > 0, "what the pack held is stored again");
    let copy = there.snapshot(&report.copied[0].1).await.expect("the copy");
    assert!(all(&here, &second).await == all(&there, &copy).await);
}

#[tokio::test]
async fn what_cannot_be_read_keeps_no_other_snapshot_from_being_copied() {
    let ((backend, here), (_, there)) = (repository().await, repository().await);
    let (lost, kept) = (("a", noise(1, 500_000)), ("b", noise(2, 9)));
    backup(&here, 2_000, Parent::Nothing, Files(vec![lost.clone()], Verdict::Whole)).await;
    let packs = crate::backend::Backend::list(backend.as_ref(), Area::Packs).await.expect("packs");
    let data = packs.iter().max_by_key(|pack| pack.length).expect("a pack").name;
    for (seconds, files) in [(3_000, vec![lost, kept.clone()]), (4_000, vec![kept.clone()]), (5_000, vec![kept])] {
        backup(&here, seconds, Parent::Nothing, Files(files, Verdict::Whole)).await;
    }
    crate::backend::Backend::delete(backend.as_ref(), &data).await.expect("gone");
    let snapshots = here.snapshots().await.expect("snapshots");
    for dry_run in [true, false] {
        let report = here.copy_to(&there, snapshots.clone()).dry_run(dry_run).start().await.expect("a report");
        let failed: Vec<_> = report.failed.iter().map(|failed| failed.snapshot).collect();
        assert_eq!((report.copied.len(), failed), (2, vec![snapshots[0].id, snapshots[1].id]), "{report:?}");
    }
    assert_eq!(there.snapshots().await.expect("snapshots").len(), 2);
    is_sound(&there).await;
}

#[tokio::test]
async fn a_copy_of_before_its_origin_was_damaged_stands_in_no_later_ones_way() {
    let ((backend, here), (_, there)) = (repository().await, repository().await);
    backup(&here, 2_000, Parent::Nothing, Files(vec![("a", noise(1, 500_000))], Verdict::Whole)).await;
    let pages = crate::backend::Backend::list(backend.as_ref(), Area::Packs).await.expect("packs");
    let pages = pages.iter().min_by_key(|pack| pack.length).expect("a pack").name;
    here.copy_to(&there, here.snapshots().await.expect("snapshots")).start().await.expect("a copy");
    backup(&here, 3_000, Parent::Nothing, Files(vec![("b", noise(2, 9))], Verdict::Whole)).await;
    crate::backend::Backend::delete(backend.as_ref(), &pages).await.expect("gone");
    let snapshots = here.snapshots().await.expect("snapshots");
    let report = here.copy_to(&there, snapshots).start().await.expect("a copy");
    assert_eq!((report.copied.len(), report.present.len(), report.failed.len()), (1, 1, 0), "{report:?}");
    is_sound(&there).await;
}

#[tokio::test]
async fn of_two_snapshots_with_one_time_given_by_hand_each_is_copied() {
    let ((_, from), (_, to)) = (repository().await, repository().await);
    let mut made = Vec::new();
    for name in ["one", "two", "six"] {
        let source = Files(vec![(name, noise(1, 1000))], Verdict::Whole);
        let time = Timestamp { seconds: 1_700_000_000, nanoseconds: 0 };
        let job = from.backup(source).host("h".into()).parent(Parent::Nothing).time(time);
        made.push(job.start().await.expect("a backup").snapshot.expect("a snapshot"));
        // Ids are chance: so is which of them comes first.
        let report = from.copy_to(&to, made.clone()).start().await.expect("copied");
        assert_eq!((report.copied.len(), report.present.len()), (1, made.len() - 1));
    }
    let mut there = Vec::new();
    for snapshot in to.snapshots().await.expect("a list") {
        there.extend(all(&to, &snapshot).await.into_iter().map(|(path, ..)| path.to_string()));
    }
    there.sort_unstable();
    assert_eq!(there, ["one", "six", "two"]);
}
