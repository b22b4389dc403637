//! Promises about backups and prunes that come across damage: no snapshot relies on a pack that was found damaged.

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::backup::BackupReport;
use crate::class::Class;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Kind;
use crate::error::Result;
use crate::format::gc::Mark;
use crate::format::wire::size;
use crate::id::SnapshotId;
use crate::prune::MaxUnused;
use crate::random::SeededRng;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::Repository;
use crate::source::EntryStart;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::time::SystemClock;
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::time::Duration;

/// Empty files with long names: the catalog is all there is, and takes several segments.
#[derive(Clone, Copy)]
struct Names {
    count: u32,
    is_there_again: bool,
}

impl Source for Names {
    fn kind(&self) -> &str {
        "names"
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        vec![b"/names".to_vec()]
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        self.is_there_again.then(|| Box::new(*self) as Box<dyn Source>)
    }

    fn run(self: Box<Self>, sink: &mut dyn Sink) -> Result<Verdict, SourceError> {
        for number in 0..self.count {
            let mut metadata = Metadata::new(FileKind::File);
            metadata.modified = Timestamp { seconds: 1, nanoseconds: 1 };
            let path = EntryPath::parse(format!("{number:05}-{}", "n".repeat(200)).as_bytes()).expect("a path");
            let _ = sink.begin(EntryStart::new(&path, &metadata))?;
            sink.end(metadata, Vec::new())?;
        }
        Ok(Verdict::Whole)
    }
}

const SMALL: Names = Names { count: 10, is_there_again: false };
/// So many that the first pages are assembled long before the last ones of the parent are read.
const LARGE: Names = Names { count: 60_000, is_there_again: false };

/// A repository with one snapshot.
async fn made(source: Names) -> (MemoryBackend, Repository) {
    made_with(2, source).await
}

/// The same, with ids and keys of its own for every seed.
async fn made_with(seed: u64, source: Names) -> (MemoryBackend, Repository) {
    let backend = MemoryBackend::new();
    let options = CreateOptions { kdf: KdfChoice::Minimal, recovery: false, ..CreateOptions::default() };
    let key = Key::KeyFile(Secret::new(super::generate_key_file(&SeededRng::new(1)).expect("seeded")));
    // Where pages end follows from the keys.
    let (rng, clock) = (Arc::new(SeededRng::new(seed)), Arc::new(SystemClock));
    let created = Repository::create_with(Arc::new(backend.clone()), key, options, rng, clock).await;
    let created = created.expect("a repository");
    back_up(&created.repository, source).await.expect("a backup");
    (backend, created.repository)
}

async fn back_up(repository: &Repository, source: Names) -> Result<BackupReport> {
    repository.backup(source).threads(1).start().await
}

/// Flips a bit in the only pack of the catalog: in the segment before which there are `before` of `of` parts.
async fn flip(backend: &MemoryBackend, repository: &Repository, before: usize, of: usize) {
    let index = repository.index().await.expect("an index").current();
    let packs = index.packs().map(|pack| pack.expect("read")).filter(|pack| pack.class == Class::Metadata);
    let packs: Vec<_> = packs.collect();
    assert_eq!(packs.len(), 1);
    let name = Name::Pack(packs[0].id);
    let mut bytes = backend.get(&name).await.expect("a pack").to_vec();
    let segment = &packs[0].segments[packs[0].segments.len() * before / of];
    bytes[size(segment.offset) + size(segment.stored_length) / 2] ^= 1;
    backend.replace(name, bytes);
}

/// Reads the catalog of the snapshot that was made.
async fn entries(repository: &Repository, report: BackupReport) -> u32 {
    let snapshot = report.snapshot.expect("a snapshot");
    let mut entries = repository.view(&snapshot).await.expect("a view").walk(None);
    let mut count = 0;
    while entries.next().await.expect("an entry").is_some() {
        count += 1;
    }
    count
}

#[tokio::test]
async fn a_snapshot_does_not_rely_on_the_damaged_catalog_of_its_parent() {
    let (backend, repository) = made(SMALL).await;
    flip(&backend, &repository, 0, 1).await;
    let report = back_up(&repository, SMALL).await.expect("a backup");
    assert!(report.warnings[0].message.contains("cannot be read"), "{:?}", report.warnings);
    assert_eq!(entries(&repository, report).await, SMALL.count);
}

#[tokio::test]
async fn pages_that_were_known_before_their_pack_was_found_damaged_are_stored_again() {
    let (backend, repository) = made(LARGE).await;
    flip(&backend, &repository, 9, 10).await;
    let report = back_up(&repository, Names { is_there_again: true, ..LARGE }).await.expect("a backup");
    let is_told = report.warnings.iter().any(|said| said.message.contains("the source is read again"));
    assert!(is_told, "{:?}", report.warnings);
    assert_eq!(entries(&repository, report).await, LARGE.count);
}

#[tokio::test]
async fn a_source_that_is_gone_leaves_no_snapshot_that_relies_on_damage() {
    let (backend, repository) = made(LARGE).await;
    flip(&backend, &repository, 9, 10).await;
    assert_eq!(back_up(&repository, LARGE).await.expect_err("damaged").kind(), Kind::Damaged);
    assert_eq!(repository.snapshots().await.expect("a list").len(), 1);
    assert_eq!(backend.list(Area::Pending).await.expect("a list"), []);
    // What it has stored again, the next one need not store.
    let report = back_up(&repository, Names { is_there_again: true, ..LARGE }).await.expect("a backup");
    assert_eq!(entries(&repository, report).await, LARGE.count);
}

#[tokio::test]
async fn a_backup_that_is_to_be_skipped_heals_its_parent_first() {
    let (backend, repository) = made(LARGE).await;
    flip(&backend, &repository, 9, 10).await;
    let source = Names { is_there_again: true, ..LARGE };
    let job = repository.backup(source).skip_if_unchanged(true).threads(1).start();
    assert!(job.await.expect("a backup").snapshot.is_none());
    let parent = repository.snapshots().await.expect("a list").remove(0);
    let mut all = repository.view(&parent).await.expect("a view").walk(None);
    let mut count = 0;
    while all.next().await.expect("an entry").is_some() {
        count += 1;
    }
    assert_eq!(count, LARGE.count);
}

/// What a backup has stored again because the pack it was in is damaged, and the report of that backup.
async fn healed(seed: u64) -> (MemoryBackend, Repository, BackupReport) {
    let (backend, repository) = made_with(seed, SMALL).await;
    flip(&backend, &repository, 0, 1).await;
    let healed = back_up(&repository, SMALL).await.expect("a backup");
    (backend, repository, healed)
}

#[tokio::test]
async fn a_prune_keeps_the_copy_that_can_be_read() {
    let mut found = 0;
    // Which of the two packs has the lower number is chance.
    for seed in 0..8 {
        let (backend, _, healed) = healed(seed).await;
        // Opened anew: nobody remembers what was found damaged.
        let key = Key::KeyFile(Secret::new(super::generate_key_file(&SeededRng::new(1)).expect("seeded")));
        let repository = Repository::open(Arc::new(backend), key).await.expect("opens");
        for max_unused in [MaxUnused::Unlimited, MaxUnused::Bytes(0)] {
            let prune = repository.prune().min_age(Duration::ZERO).grace(Duration::ZERO).max_unused(max_unused);
            let plan = prune.plan().await.expect("a plan");
            found += plan.apply().await.expect("pruned").packs_damaged;
        }
        assert_eq!(entries(&repository, healed).await, SMALL.count, "seed {seed}");
    }
    assert!(found > 0, "damage that is come across is told");
}

#[tokio::test]
async fn a_prune_that_takes_both_packs_copies_from_the_sound_one() {
    let mut told = 0;
    for seed in 0..8 {
        let (backend, repository, healed) = healed(seed).await;
        let packs = backend.list(Area::Packs).await.expect("a list");
        let all = packs.iter().filter_map(|listed| match listed.name {
            Name::Pack(id) => Some(id),
            _ => None,
        });
        // Somebody has condemned both.
        let mark = Mark { packs: all.collect() };
        assert!(mark.packs.len() > 1);
        let name = Name::Mark(SnapshotId::from_bytes([9; 16]));
        repository.store().put_small(&name, &mark.encode()).await.expect("a mark");
        let prune = repository.prune().min_age(Duration::ZERO).grace(Duration::ZERO);
        let report = prune.plan().await.expect("a plan").apply().await.expect("pruned");
        told += report.packs_damaged;
        assert_eq!(entries(&repository, healed).await, SMALL.count, "seed {seed}");
    }
    assert!(told > 0, "in none of these the damaged one came first");
}
