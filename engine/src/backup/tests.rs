//! Promises about backups that end early: what the next one need not do again.

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::backup::BackupReport;
use crate::backup::Parent;
use crate::class::Class;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Kind;
use crate::error::Result;
use crate::format::gc::Mark;
use crate::format::index::PackInfo;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::index::load;
use crate::job::Canceller;
use crate::limits::PATH_BYTES_MAX;
use crate::limits::SNAPSHOT_GIVEN_BYTES_MAX;
use crate::limits::SNAPSHOT_STATEMENT_BYTES_MAX;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::Repository;
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
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Long enough for a chunk list of its own.
const BIG: usize = 24 << 20;
const SMALL: usize = 3 << 20;

/// A file made of numbers.
#[derive(Clone)]
struct File {
    name: &'static str,
    length: usize,
    seed: u64,
    modified: i64,
}

fn file(name: &'static str, length: usize) -> File {
    File { name, length, seed: length as u64 + u64::from(name.as_bytes()[0]), modified: 1 }
}

impl File {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        SeededRng::new(self.seed).fill(&mut bytes).expect("seeded bytes");
        bytes
    }
}

/// Gives its files in order, fails behind the first so many bytes, and counts what it was asked for.
struct Files {
    files: Vec<File>,
    fail_before: Option<&'static str>,
    fail_inside: Option<&'static str>,
    /// Cancels the job when this one is to come.
    cancel_before: Option<(&'static str, Arc<OnceLock<Canceller>>)>,
    read: Arc<AtomicU64>,
}

impl Source for Files {
    fn kind(&self) -> &str {
        "numbers"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/numbers".to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        let failed = || SourceError::Failed { message: "pulled the plug".into(), cause: None };
        for file in &self.files {
            if self.fail_before == Some(file.name) {
                return Err(failed());
            }
            if let Some((name, canceller)) = &self.cancel_before
                && *name == file.name
            {
                canceller.get().expect("a canceller").cancel();
            }
            let mut metadata = Metadata::new(FileKind::File);
            metadata.size = file.length as u64;
            metadata.modified = Timestamp { seconds: file.modified, nanoseconds: 0 };
            let path = EntryPath::parse(file.name.as_bytes()).expect("a path");
            if sink.begin(EntryStart::new(&path, &metadata))? == Want::Bytes {
                let bytes = file.bytes();
                let end = if self.fail_inside == Some(file.name) { bytes.len() / 2 } else { bytes.len() };
                let mut rest = &bytes[..end];
                while !rest.is_empty() {
                    let room = sink.buffer()?;
                    let count = room.len().min(rest.len());
                    room[..count].copy_from_slice(&rest[..count]);
                    sink.filled(count)?;
                    self.read.fetch_add(count as u64, Ordering::Relaxed);
                    rest = &rest[count..];
                }
                if end < bytes.len() {
                    return Err(failed());
                }
            }
            sink.end(metadata, Vec::new())?;
        }
        Ok(Verdict::Whole)
    }
}

/// A repository, the cache of the machine that backs up, and its files.
struct Scene {
    backend: Arc<MemoryBackend>,
    repository: Repository,
    cache: tempfile::TempDir,
    files: Vec<File>,
}

/// The outcome of a run, and how many bytes it read.
struct Ran {
    outcome: Result<BackupReport>,
    read: usize,
}

impl Ran {
    fn report(self) -> BackupReport {
        self.outcome.expect("a backup")
    }
}

impl Scene {
    async fn new(files: &[File]) -> Self {
        let backend = Arc::new(MemoryBackend::new());
        let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
        let key = Key::Passphrase(Secret::new("open"));
        let created = Repository::create(backend.clone(), key, options).await.expect("a repository");
        let cache = tempfile::tempdir().expect("a folder");
        Self { backend, repository: created.repository, cache, files: files.to_vec() }
    }

    async fn run(&self, before: Option<&'static str>, inside: Option<&'static str>, cached: bool) -> Ran {
        let read = Arc::new(AtomicU64::new(0));
        let source = Files {
            files: self.files.clone(),
            fail_before: before,
            fail_inside: inside,
            cancel_before: None,
            read: Arc::clone(&read),
        };
        self.repository.use_folders(cached.then(|| self.cache.path().to_owned()), None);
        let outcome = self.repository.backup(source).parent(Parent::Nothing).threads(2).start().await;
        Ran { outcome, read: usize::try_from(read.load(Ordering::Relaxed)).expect("small") }
    }

    /// Runs and fails when `name` is to come.
    async fn interrupt_before(&self, name: &'static str) -> usize {
        let ran = self.run(Some(name), None, true).await;
        assert_eq!(ran.outcome.expect_err("interrupted").kind(), Kind::SourceFailed);
        ran.read
    }

    async fn resume(&self) -> Ran {
        self.run(None, None, true).await
    }

    /// The snapshot must be what it would have been without an interruption, and give every byte back.
    async fn assert_whole(&self, report: &BackupReport) {
        let snapshot = report.snapshot.as_ref().expect("a snapshot");
        let straight = self.run(None, None, false).await.report();
        assert_eq!(snapshot.root, straight.snapshot.expect("a snapshot").root);
        let view = self.repository.view(snapshot).await.expect("a view");
        for file in &self.files {
            let path = EntryPath::parse(file.name.as_bytes()).expect("a path");
            let entry = view.entry(&path).await.expect("read").expect("an entry");
            let bytes = view.open(&entry).read_to_end(256 << 20).await.expect("its bytes");
            assert!(bytes == file.bytes(), "{} came back otherwise", file.name);
        }
    }

    fn sql(&self, statement: &str) -> usize {
        let path = self.cache.path().join("unfinished.sqlite");
        rusqlite::Connection::open(path).expect("the cache").execute(statement, []).expect("a statement")
    }

    /// Marks the packs that `which` picks.
    async fn condemn(&self, which: impl Fn(&PackInfo) -> bool) -> Vec<PackId> {
        let (index, _) = load::load_what_opens(self.repository.store(), load::Read::All).await.expect("an index");
        let packs: Vec<PackId> =
            index.packs().map(|pack| pack.expect("read")).filter(|pack| which(pack)).map(|pack| pack.id).collect();
        let mark = Name::Mark(SnapshotId::from_bytes([1; 16]));
        let body = Mark { packs: packs.clone() }.encode();
        self.repository.store().put_small(&mark, &body).await.expect("a mark");
        packs
    }

    /// Deletes packs as a prune does at its end.
    async fn delete(&self, packs: &[PackId]) {
        for pack in packs {
            self.backend.delete(&Name::Pack(*pack)).await.expect("deleted");
        }
    }

    async fn forget_index(&self) {
        for listed in self.backend.list(Area::Index).await.expect("a list") {
            self.backend.delete(&listed.name).await.expect("deleted");
        }
    }
}

#[tokio::test]
async fn a_big_file_that_was_read_to_its_end_is_not_read_again() {
    let scene = Scene::new(&[file("a", SMALL), file("big", BIG), file("z", SMALL)]).await;
    assert_eq!(scene.interrupt_before("z").await, SMALL + BIG);
    let ran = scene.resume().await;
    assert_eq!(ran.read, SMALL);
    let report = ran.report();
    assert_eq!((report.files_new, report.files_changed, report.files_unchanged), (3, 0, 0));
    assert_eq!(report.bytes, (2 * SMALL + BIG) as u64);
    scene.assert_whole(&report).await;
}

#[tokio::test]
async fn two_interruptions_in_a_row_lose_nothing() {
    let scene = Scene::new(&[file("a", BIG), file("b", BIG), file("c", SMALL)]).await;
    assert_eq!(scene.interrupt_before("b").await, BIG);
    assert_eq!(scene.interrupt_before("c").await, BIG);
    let ran = scene.resume().await;
    assert_eq!(ran.read, SMALL);
    scene.assert_whole(&ran.report()).await;
}

#[tokio::test]
async fn a_run_that_ended_well_leaves_no_journal() {
    let scene = Scene::new(&[file("a", BIG), file("b", SMALL)]).await;
    scene.interrupt_before("b").await;
    scene.resume().await.report();
    assert_eq!(scene.sql("DELETE FROM chunk_lists") + scene.sql("DELETE FROM read_entries"), 0);
}

#[tokio::test]
async fn a_damaged_list_is_not_believed() {
    for damage in [
        "UPDATE chunk_lists SET page = x'02000000000000'",
        "UPDATE chunk_lists SET mac = zeroblob(32)",
        "UPDATE chunk_lists SET root = zeroblob(32)",
        "DELETE FROM chunk_lists",
    ] {
        let scene = Scene::new(&[file("a", SMALL), file("big", BIG), file("z", SMALL)]).await;
        scene.interrupt_before("z").await;
        assert_eq!(scene.sql(damage), 1, "{damage}");
        let ran = scene.resume().await;
        assert_eq!(ran.read, BIG + SMALL, "{damage}");
        let report = ran.report();
        // Read again, but not stored again; the rest is pages.
        assert!(report.bytes_new < (SMALL + SMALL / 2) as u64, "{damage}: {}", report.bytes_new);
        scene.assert_whole(&report).await;
    }
}

#[tokio::test]
async fn a_big_file_that_changed_since_is_read_again() {
    type Change = fn(&mut File);
    let changes: [Change; 2] = [|file| file.modified += 1, |file| file.length += 1];
    for change in changes {
        let mut scene = Scene::new(&[file("big", BIG), file("z", SMALL)]).await;
        scene.interrupt_before("z").await;
        change(&mut scene.files[0]);
        let ran = scene.resume().await;
        assert_eq!(ran.read, scene.files[0].length + SMALL);
        scene.assert_whole(&ran.report()).await;
    }
}

#[tokio::test]
async fn a_list_whose_chunks_are_not_stored_is_not_taken_over() {
    let scene = Scene::new(&[file("a", SMALL), file("big", BIG), file("z", SMALL)]).await;
    scene.interrupt_before("z").await;
    scene.forget_index().await;
    let ran = scene.resume().await;
    assert_eq!(ran.read, 2 * SMALL + BIG);
    scene.assert_whole(&ran.report()).await;
}

#[tokio::test]
async fn what_an_unfinished_run_left_in_condemned_packs_is_stored_again() {
    let scene = Scene::new(&[file("a", SMALL), file("big", BIG), file("z", SMALL)]).await;
    scene.interrupt_before("z").await;
    let victims = scene.condemn(|_| true).await;
    let ran = scene.resume().await;
    assert_eq!(ran.read, 2 * SMALL + BIG);
    scene.delete(&victims).await;
    scene.assert_whole(&ran.report()).await;
}

#[tokio::test]
async fn a_file_whose_chunk_list_is_condemned_is_not_taken_over_from_the_parent() {
    let scene = Scene::new(&[file("a", SMALL), file("big", BIG)]).await;
    let parent = scene.run(None, None, false).await.report().snapshot.expect("a snapshot");
    let victims = scene.condemn(|pack| pack.class == Class::Metadata).await;
    let files = scene.files.clone();
    let source = Files { files, fail_before: None, fail_inside: None, cancel_before: None, read: Arc::default() };
    let read = Arc::clone(&source.read);
    let job = scene.repository.backup(source).parent(Parent::Snapshot(parent.id)).start();
    let report = job.await.expect("a backup");
    assert_eq!(
        read.load(Ordering::Relaxed),
        BIG as u64,
        "its pages are made anew, and the short list of `a` is in them"
    );
    assert!(report.bytes_new < SMALL as u64, "{}: only pages are new", report.bytes_new);
    scene.delete(&victims).await;
    scene.assert_whole(&report).await;
}

#[tokio::test]
async fn a_source_that_fails_leaves_what_it_gave_stored_and_indexed() {
    let scene = Scene::new(&[file("a", SMALL), file("big", BIG)]).await;
    let ran = scene.run(None, Some("big"), false).await;
    assert_eq!(ran.outcome.expect_err("interrupted").kind(), Kind::SourceFailed);
    assert_eq!(ran.read, SMALL + BIG / 2);
    let report = scene.run(None, None, false).await.report();
    // Of what was read, only the chunk it broke off in is stored anew.
    assert!(report.bytes_new <= (BIG / 2 + (4 << 20)) as u64, "{}", report.bytes_new);
    scene.assert_whole(&report).await;
}

#[tokio::test]
async fn a_file_taken_over_from_an_unfinished_run_counts_as_changed_beside_its_older_self() {
    let mut scene = Scene::new(&[file("big", BIG), file("z", SMALL)]).await;
    let first = scene.run(None, None, true).await.report().snapshot.expect("a snapshot");
    scene.files[0].modified += 1;
    scene.files[0].seed += 1;
    scene.interrupt_before("z").await;
    let read = Arc::new(AtomicU64::new(0));
    let files = scene.files.clone();
    let source = Files { files, fail_before: None, fail_inside: None, cancel_before: None, read: Arc::clone(&read) };
    let builder = scene.repository.backup(source).parent(Parent::Snapshot(first.id));
    let report = builder.start().await.expect("a backup");
    assert_eq!(read.load(Ordering::Relaxed), 0);
    assert_eq!((report.files_new, report.files_changed, report.files_unchanged), (0, 1, 1));
    scene.assert_whole(&report).await;
}

#[tokio::test]
async fn a_run_that_is_cancelled_indexes_the_packs_it_stored() {
    let scene = Scene::new(&[file("a", 4 * BIG), file("b", SMALL)]).await;
    let canceller = Arc::new(OnceLock::new());
    let source = Files {
        files: scene.files.clone(),
        fail_before: None,
        fail_inside: None,
        cancel_before: Some(("b", Arc::clone(&canceller))),
        read: Arc::default(),
    };
    let job = scene.repository.backup(source).threads(1).start();
    canceller.set(job.canceller()).expect("set once");
    assert_eq!(job.await.expect_err("cancelled").kind(), Kind::Cancelled);
    let report = scene.run(None, None, false).await.report();
    // Two packs of 16 MiB are open at a time, and a few batches may be on their way.
    assert!(report.bytes_new < (3 * BIG) as u64, "{}", report.bytes_new);
    scene.assert_whole(&report).await;
}

#[tokio::test]
async fn a_record_that_would_be_too_long_is_refused_before_anything_is_read() {
    let scene = Scene::new(&[file("a", SMALL)]).await;
    let read = Arc::new(AtomicU64::new(0));
    let source = Files {
        files: scene.files.clone(),
        fail_before: None,
        fail_inside: None,
        cancel_before: None,
        read: Arc::clone(&read),
    };
    let tag = "t".repeat(SNAPSHOT_GIVEN_BYTES_MAX);
    let error = scene.repository.backup(source).tags(vec![tag]).start().await.expect_err("too long");
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(read.load(Ordering::Relaxed), 0);
    for area in [Area::DataKeys, Area::Packs, Area::Index, Area::Pending, Area::Snapshots] {
        assert!(scene.backend.list(area).await.expect("a list").is_empty(), "{area:?}");
    }
}

/// Ends with as many and as long reasons and as long a statement as its fields say.
struct Complaining {
    reasons: usize,
    stated: usize,
}

impl Source for Complaining {
    fn kind(&self) -> &str {
        "complaining"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/".to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        sink.statement(Statement::new().with(KnownFact::Server, "s".repeat(self.stated)));
        Ok(Verdict::Partial(vec!["r".repeat(PATH_BYTES_MAX); self.reasons]))
    }
}

#[tokio::test]
async fn however_much_a_source_complains_its_snapshot_is_stored() {
    let scene = Scene::new(&[]).await;
    let source = Complaining { reasons: 200, stated: SNAPSHOT_STATEMENT_BYTES_MAX - 23 };
    let report = scene.repository.backup(source).start().await.expect("a backup");
    let Verdict::Partial(reasons) = report.verdict else { panic!("it was partial") };
    assert_eq!(reasons.len(), 200);
    let stored = scene.repository.snapshots().await.expect("snapshots").remove(0);
    let stated = stored.statement.expect("a statement");
    assert_eq!(stated.get("server", b""), Some(&"s".repeat(SNAPSHOT_STATEMENT_BYTES_MAX - 23).into()));
    let source = Complaining { reasons: 0, stated: SNAPSHOT_STATEMENT_BYTES_MAX - 22 };
    let error = scene.repository.backup(source).start().await.expect_err("too much");
    assert_eq!(error.kind(), Kind::SourceFailed);
}

/// Gives some bytes, then panics.
struct Panicking;

impl Source for Panicking {
    fn kind(&self) -> &str {
        "panicking"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/".to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        let path = EntryPath::parse(b"file").expect("a path");
        sink.begin(EntryStart::new(&path, &Metadata::new(FileKind::File)))?;
        let count = sink.buffer()?.len();
        sink.filled(count)?;
        panic!("a bug in the source")
    }
}

#[tokio::test]
async fn a_source_that_panics_ends_the_run_with_its_words_and_leaves_no_snapshot() {
    let scene = Scene::new(&[file("a", SMALL)]).await;
    let error = scene.repository.backup(Panicking).start().await.expect_err("it panicked");
    assert_eq!(error.kind(), Kind::SourceFailed);
    assert_eq!(error.in_one_line(), "the panicking source panicked: a bug in the source");
    for area in [Area::Pending, Area::Snapshots] {
        assert!(scene.backend.list(area).await.expect("a list").is_empty(), "{area:?}");
    }
    let report = scene.run(None, None, false).await.report();
    scene.assert_whole(&report).await;
}
