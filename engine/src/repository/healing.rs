//! Promises about a repository that has lost something, sources that misbehave, and files that never rest.

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::backup::BackupReport;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::ReadData;
use crate::repository::Repository;
use crate::repository::SnapshotFilter;
use crate::source::EntryStart;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Want;
use crate::time::Clock;
use crate::time::SystemClock;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// How the source behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Proper,
    /// Asks for room for ever, and never has a byte.
    Silent,
    /// Gives bytes of a directory.
    Pushy,
}

/// One file `f` with the bytes given, last changed at `changed`.
#[derive(Clone)]
struct OneFile {
    bytes: Vec<u8>,
    changed: Timestamp,
    manner: Manner,
    read: Arc<AtomicU64>,
}

impl OneFile {
    fn new(byte: u8, changed: Timestamp) -> Self {
        // Other bytes, other times: else they would be taken for the same.
        let changed = Timestamp { seconds: changed.seconds + i64::from(byte), ..changed };
        Self { bytes: vec![byte; 100_000], changed, manner: Manner::Proper, read: Arc::default() }
    }

    fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl Source for OneFile {
    fn kind(&self) -> &str {
        "one"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/one".to_vec()]
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        let kind = if self.manner == Manner::Pushy { FileKind::Directory } else { FileKind::File };
        let mut metadata = Metadata::new(kind);
        metadata.size = self.bytes.len() as u64;
        (metadata.modified, metadata.changed) = (self.changed, self.changed);
        let path = EntryPath::parse(b"f").expect("a path");
        let wanted = sink.begin(EntryStart::new(&path, &metadata))? == Want::Bytes;
        if self.manner == Manner::Silent {
            loop {
                sink.buffer()?;
                std::thread::yield_now();
            }
        }
        if wanted || self.manner == Manner::Pushy {
            sink.buffer()?[..self.bytes.len()].copy_from_slice(&self.bytes);
            sink.filled(self.bytes.len())?;
            self.read.fetch_add(self.bytes.len() as u64, Ordering::Relaxed);
        }
        sink.end(metadata, Vec::new())?;
        Ok(Verdict::Whole)
    }
}

async fn made() -> (Arc<MemoryBackend>, Repository) {
    let backend = Arc::new(MemoryBackend::new());
    let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
    let created = Repository::create(backend.clone(), Key::Passphrase(Secret::new("open")), options).await;
    (backend, created.expect("a repository").repository)
}

const LONG_AGO: Timestamp = Timestamp { seconds: 1, nanoseconds: 5 };

async fn back_up(repository: &Repository, source: &OneFile) -> BackupReport {
    repository.backup(source.clone()).start().await.expect("a backup")
}

async fn content(repository: &Repository, snapshot: &Snapshot) -> Vec<u8> {
    let path = EntryPath::parse(b"f").expect("a path");
    let view = repository.view(snapshot).await.expect("a view");
    let entry = view.entry(&path).await.expect("read").expect("an entry");
    view.open(&entry).read_to_end(64 << 20).await.expect("its bytes").to_vec()
}

async fn delete_all(backend: &MemoryBackend, area: Area) {
    for listed in backend.list(area).await.expect("a list") {
        backend.delete(&listed.name).await.expect("deleted");
    }
}

#[tokio::test]
async fn a_backup_stores_again_what_the_repository_has_lost() {
    for areas in [[Area::Packs, Area::Packs], [Area::Packs, Area::DataKeys]] {
        let (backend, repository) = made().await;
        let source = OneFile::new(7, LONG_AGO);
        back_up(&repository, &source).await;
        for area in areas {
            delete_all(&backend, area).await;
        }
        let report = back_up(&repository, &source).await;
        assert!(report.bytes_new > 0, "{areas:?} are gone and nothing was stored");
        assert!(report.warnings_total > 0, "{areas:?} are gone and nobody was told");
        let snapshot = report.snapshot.expect("a snapshot");
        assert!(content(&repository, &snapshot).await == source.bytes);
    }
}

#[tokio::test]
async fn a_pack_cut_short_is_not_leaned_on() {
    let (backend, repository) = made().await;
    let source = OneFile::new(7, LONG_AGO);
    back_up(&repository, &source).await;
    for listed in backend.list(Area::Packs).await.expect("a list") {
        let bytes = backend.get(&listed.name).await.expect("a pack");
        backend.replace(listed.name, bytes.slice(..bytes.len() / 2));
    }
    let snapshot = back_up(&repository, &source).await.snapshot.expect("a snapshot");
    assert!(content(&repository, &snapshot).await == source.bytes);
}

#[tokio::test]
async fn a_damaged_record_stands_in_the_way_of_nothing_else() {
    let (backend, repository) = made().await;
    let first = back_up(&repository, &OneFile::new(1, LONG_AGO)).await.snapshot.expect("a snapshot");
    let second = back_up(&repository, &OneFile::new(2, LONG_AGO)).await.snapshot.expect("a snapshot");
    backend.replace(Name::Snapshot(second.id), b"".to_vec());
    let filter = SnapshotFilter::default();
    let found = repository.resolve(&first.id.to_string(), &filter).await.expect("the other one");
    assert!(content(&repository, &found).await == vec![1; 100_000]);
    assert_eq!(repository.resolve("latest", &filter).await.expect_err("unknown").kind(), Kind::Damaged);
    let report = back_up(&repository, &OneFile::new(3, LONG_AGO)).await;
    assert_eq!((report.parent, report.warnings_total), (Some(first.id), 1));
}

#[tokio::test]
async fn a_damaged_index_object_costs_only_what_it_names() {
    let (backend, repository) = made().await;
    let first = back_up(&repository, &OneFile::new(1, LONG_AGO)).await.snapshot.expect("a snapshot");
    let known = backend.list(Area::Index).await.expect("a list");
    back_up(&repository, &OneFile::new(2, LONG_AGO)).await;
    for listed in backend.list(Area::Index).await.expect("a list") {
        if !known.contains(&listed) {
            backend.replace(listed.name, b"".to_vec());
        }
    }
    assert!(content(&repository, &first).await == vec![1; 100_000]);
    assert!(repository.check().read_data(ReadData::All).start().await.expect("a check").problems_total > 0);
}

#[tokio::test]
async fn a_file_written_while_the_backup_began_is_read_again_by_the_next() {
    let (_, repository) = made().await;
    let rested = OneFile::new(1, LONG_AGO);
    back_up(&repository, &rested).await;
    let again = back_up(&repository, &rested).await;
    assert_eq!((rested.read(), again.files_unchanged), (100_000, 1));
    // Within one tick of the clock another write would leave size and times as they are.
    let (_, repository) = made().await;
    let now = SystemClock.now();
    let fresh = OneFile { changed: now, ..OneFile::new(1, now) };
    back_up(&repository, &fresh).await;
    let mut rewritten = fresh.clone();
    rewritten.bytes = vec![2; 100_000];
    let snapshot = back_up(&repository, &rewritten).await.snapshot.expect("a snapshot");
    assert!(content(&repository, &snapshot).await == rewritten.bytes);
}

#[tokio::test]
async fn a_silent_source_learns_of_a_request_to_stop() {
    let (_, repository) = made().await;
    let silent = OneFile { manner: Manner::Silent, ..OneFile::new(1, LONG_AGO) };
    let job = repository.backup(silent).start();
    let canceller = job.canceller();
    let stop = std::thread::spawn(move || canceller.cancel());
    assert_eq!(job.await.expect_err("stopped").kind(), Kind::Cancelled);
    stop.join().expect("asked");
    assert!(repository.snapshots().await.expect("a list").is_empty());
}

#[tokio::test]
async fn bytes_that_nobody_asked_for_end_the_backup() {
    let (_, repository) = made().await;
    let pushy = OneFile { manner: Manner::Pushy, ..OneFile::new(1, LONG_AGO) };
    assert_eq!(repository.backup(pushy).start().await.expect_err("refused").kind(), Kind::SourceFailed);
    assert!(repository.snapshots().await.expect("a list").is_empty());
}

#[tokio::test]
async fn more_than_a_record_can_hold_is_refused_before_anything_is_read() {
    let (backend, repository) = made().await;
    let source = OneFile::new(1, LONG_AGO);
    let tagged = |bytes: usize| repository.backup(source.clone()).tags(vec!["t".repeat(bytes)]).start();
    let objects = backend.contents().len();
    assert_eq!(tagged(16 << 20).await.expect_err("too long").kind(), Kind::Invalid);
    assert_eq!((source.read(), backend.contents().len()), (0, objects));
    let snapshot = tagged(14 << 20).await.expect("a backup").snapshot.expect("a snapshot");
    assert_eq!(repository.snapshot(&snapshot.id).await.expect("read back").tags, snapshot.tags);
}

#[tokio::test]
async fn a_tomb_that_is_not_understood_keeps_this_program_out() {
    let (_, repository) = made().await;
    let snapshot = back_up(&repository, &OneFile::new(1, LONG_AGO)).await.snapshot.expect("a snapshot");
    let no_packs_and_field_nine = [1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0];
    let tomb = Name::Tomb(SnapshotId::from_bytes([1; 16]));
    repository.store().put_small(&tomb, &no_packs_and_field_nine).await.expect("stored");
    let source = OneFile::new(2, LONG_AGO);
    assert_eq!(repository.backup(source).start().await.expect_err("too old").kind(), Kind::Unsupported);
    assert_eq!(repository.restore(&snapshot, "/nowhere").start().await.expect_err("too old").kind(), Kind::Unsupported);
    assert_eq!(repository.check().start().await.expect_err("too old").kind(), Kind::Unsupported);
}

#[tokio::test]
async fn a_creation_that_was_interrupted_can_be_done_again() {
    let (backend, repository) = made().await;
    let key = || Key::Passphrase(Secret::new("open"));
    let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
    backend.delete(&Name::Config).await.expect("deleted");
    let again = Repository::create(backend.clone(), key(), options).await.expect("a repository").repository;
    assert_ne!(again.id(), repository.id());
    assert_eq!(Repository::open(backend, key()).await.expect("open").keys().await.expect("keys").len(), 2);
}
