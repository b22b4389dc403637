//! Promises about a repository whose index is kept in local files: used again, never believed blindly, never in the way.

use super::hooked::Hooked;
use super::hooked::Step;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::crypto::secret::Secret;
use crate::error::Error;
use crate::error::Kind;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::index::claim::Claim;
use crate::index::claim::Claims;
use crate::index::load;
use crate::index::load::Read;
use crate::index::table::Index;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::ReadData;
use crate::repository::Repository;
use crate::source::FolderSource;
use crate::store::OnFull;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

fn key() -> Key {
    Key::KeyFile(Secret::new(super::generate_key_file(&SeededRng::new(1)).expect("seeded")))
}

/// Opens what is in `objects`; `cache` is all the room there is on this machine.
async fn open(objects: &Arc<Hooked>, cache: Option<&Path>) -> Repository {
    let backend: Arc<dyn Backend> = Arc::clone(objects) as Arc<dyn Backend>;
    let repository = Repository::open(backend, key()).await.expect("open");
    repository.use_folders(cache.map(Path::to_owned), None);
    repository
}

fn quiet(objects: &MemoryBackend) -> Arc<Hooked> {
    Hooked::new(objects.fork(), |_, _| async {})
}

fn index_reads(objects: &Hooked) -> usize {
    let is_read = |step: &Step| matches!(step, Step::Get(name) if name.area() == Some(Area::Index));
    objects.steps().into_iter().filter(is_read).count()
}

/// Several backups of files of one chunk each: several index objects, each a shard of its own.
struct Scene {
    source: tempfile::TempDir,
    cache: tempfile::TempDir,
    objects: MemoryBackend,
    last: Snapshot,
}

const BACKUPS: u64 = 3;
const FILES: u64 = 20;

fn write_files(folder: &Path, round: u64) {
    for number in 0..FILES {
        let mut bytes = vec![0; 3000];
        SeededRng::new(round * 1000 + number).fill(&mut bytes).expect("seeded");
        std::fs::write(folder.join(format!("file-{round}-{number}")), bytes).expect("written");
    }
}

async fn backed_up(repository: &Repository, source: &Path) -> Snapshot {
    let folder = FolderSource::new(vec![".".into()]).relative_to(source.to_owned());
    repository.backup(folder).start().await.expect("a backup").snapshot.expect("a snapshot")
}

async fn scene() -> Scene {
    let (source, cache) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let objects = MemoryBackend::new();
    let options = CreateOptions { kdf: KdfChoice::Minimal, recovery: false, ..CreateOptions::default() };
    let repository = Repository::create(Arc::new(objects.clone()), key(), options).await.expect("created").repository;
    repository.use_folders(Some(cache.path().to_owned()), None);
    let mut last = None;
    for round in 0..BACKUPS {
        write_files(source.path(), round);
        last = Some(backed_up(&repository, source.path()).await);
    }
    // The next reading of the index keeps what the last backup has added.
    load::load_what_opens(repository.store(), Read::New).await.expect("an index");
    Scene { source, cache, objects, last: last.expect("three") }
}

fn kept(cache: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(cache).expect("listed").map(|entry| entry.expect("listed").path());
    folders
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .map(|entry| entry.expect("there").path())
        .collect()
}

async fn assert_restores(repository: &Repository, scene: &Scene) {
    let target = tempfile::tempdir().expect("a folder");
    let report = repository.restore(&scene.last, target.path()).start().await.expect("a restore");
    assert_eq!(report.failures_total, 0, "{:?}", report.failures);
    for entry in std::fs::read_dir(scene.source.path()).expect("listed") {
        let path = entry.expect("an entry").path();
        let there = std::fs::read(target.path().join(path.file_name().expect("a name"))).unwrap_or_default();
        assert!(std::fs::read(&path).expect("read") == there, "{}", path.display());
    }
}

#[tokio::test]
async fn what_is_kept_of_the_index_is_not_read_again() {
    let scene = scene().await;
    assert_eq!(kept(scene.cache.path()).len(), 3);
    let objects = quiet(&scene.objects);
    let repository = open(&objects, Some(scene.cache.path())).await;
    let (index, damaged) = load::load_what_opens(repository.store(), Read::New).await.expect("an index");
    assert_eq!((index.shards(), damaged.len(), index_reads(&objects)), (3, 0, 0));
    assert_restores(&repository, &scene).await;
    assert_eq!(index_reads(&objects), 0);
    let again = backed_up(&repository, scene.source.path()).await;
    assert_eq!(again.root, scene.last.root, "all was found");
}

#[tokio::test]
async fn a_check_and_a_prune_read_every_index_object_all_the_same() {
    let scene = scene().await;
    let objects = quiet(&scene.objects);
    let repository = open(&objects, Some(scene.cache.path())).await;
    let report = repository.check().read_data(ReadData::All).start().await.expect("a check");
    assert_eq!((report.problems.as_slice(), index_reads(&objects)), ([].as_slice(), 3));
    let _ = repository.prune().plan().await.expect("a plan");
    assert_eq!(index_reads(&objects), 6);
    // A damaged one is found although what it said is known.
    let name = scene.objects.list(Area::Index).await.expect("a list")[1].name;
    let mut bytes = scene.objects.get(&name).await.expect("there").to_vec();
    bytes[100] ^= 1;
    scene.objects.replace(name, bytes);
    let repository = open(&quiet(&scene.objects), Some(scene.cache.path())).await;
    let report = repository.check().start().await.expect("a check");
    assert!(report.problems.iter().any(|problem| problem.object.contains(&name.to_string())), "{report:?}");
    assert_eq!(repository.prune().plan().await.err().map(|error| error.kind()), Some(Kind::Damaged));
}

#[tokio::test]
async fn whatever_happens_to_the_files_the_second_try_restores_everything() {
    let scene = scene().await;
    let files = kept(scene.cache.path());
    for (number, file) in files.iter().enumerate() {
        let whole = std::fs::read(file).expect("read");
        for at in (0..whole.len()).step_by(whole.len() / 20) {
            let mut hurt = whole.clone();
            hurt[at] ^= 0x10;
            std::fs::write(file, hurt).expect("written");
            let repository = open(&quiet(&scene.objects), Some(scene.cache.path())).await;
            let target = tempfile::tempdir().expect("a folder");
            match repository.restore(&scene.last, target.path()).start().await {
                Ok(report) => assert_eq!(report.failures_total, 0, "{:?}", report.failures),
                // Never that anything of the repository is lost.
                Err(error) => assert_eq!(error.kind(), Kind::CacheFailed, "{error}"),
            }
            assert_restores(&repository, &scene).await;
        }
        // The other file's content under this name, then nothing.
        std::fs::copy(&files[(number + 1) % files.len()], file).expect("copied");
        assert_restores(&open(&quiet(&scene.objects), Some(scene.cache.path())).await, &scene).await;
        std::fs::remove_file(file).expect("removed");
        assert_restores(&open(&quiet(&scene.objects), Some(scene.cache.path())).await, &scene).await;
        assert!(file.exists(), "made anew");
    }
}

#[tokio::test]
async fn a_file_that_goes_bad_stops_a_backup_before_it_commits() {
    let scene = scene().await;
    for file in kept(scene.cache.path()) {
        let whole = std::fs::read(&file).expect("read");
        let mut hurt = whole.clone();
        // The first page of rows.
        hurt[5000] ^= 0x10;
        std::fs::write(&file, hurt).expect("written");
        let objects = quiet(&scene.objects);
        let repository = open(&objects, Some(scene.cache.path())).await;
        let folder = FolderSource::new(vec![".".into()]).relative_to(scene.source.path().to_owned());
        let failed = repository.backup(folder).start().await.expect_err("it cannot know what is stored");
        assert_eq!(failed.kind(), Kind::CacheFailed, "{failed}");
        assert!(!objects.steps().iter().any(|step| matches!(step, Step::Put(Name::Snapshot(_)))));
        assert_restores(&repository, &scene).await;
    }
}

#[tokio::test]
async fn without_any_room_the_index_is_in_memory_and_a_backup_says_so() {
    let scene = scene().await;
    let none = open(&quiet(&scene.objects), None).await;
    let (index, _) = load::load_what_opens(none.store(), Read::New).await.expect("an index");
    assert_eq!(index.shards(), 0);
    assert_restores(&none, &scene).await;
    let blocked = scene.cache.path().join("blocked");
    std::fs::write(&blocked, b"").expect("written");
    let repository = open(&quiet(&scene.objects), Some(&blocked)).await;
    let folder = FolderSource::new(vec![".".into()]).relative_to(scene.source.path().to_owned());
    let report = repository.backup(folder).start().await.expect("a backup");
    assert!(report.warnings.iter().any(|warning| warning.message.contains("kept in memory")), "{:?}", report.warnings);
    assert_restores(&repository, &scene).await;
}

#[tokio::test]
async fn what_was_kept_of_merged_objects_goes() {
    let scene = scene().await;
    let objects = quiet(&scene.objects);
    let repository = open(&objects, Some(scene.cache.path())).await;
    let old = repository.list_snapshots().await.expect("a list").snapshots.remove(0);
    let before = kept(scene.cache.path());
    std::fs::remove_dir_all(scene.source.path()).expect("removed");
    std::fs::create_dir(scene.source.path()).expect("made");
    write_files(scene.source.path(), 2);
    let last = backed_up(&repository, scene.source.path()).await;
    let all: Vec<_> = repository.list_snapshots().await.expect("a list").snapshots.iter().map(|one| one.id).collect();
    let gone: Vec<_> = all.into_iter().filter(|id| *id != last.id).collect();
    assert!(gone.contains(&old.id));
    repository.forget(&gone).await.expect("forgotten");
    repository.prune().min_age(std::time::Duration::ZERO).plan().await.expect("a plan").apply().await.expect("pruned");
    let scene = Scene { last, ..scene };
    assert_restores(&repository, &scene).await;
    let after: HashSet<PathBuf> = kept(scene.cache.path()).into_iter().collect();
    assert!(before.iter().any(|file| !after.contains(file)), "what names deleted packs is of no more use");
    let check = repository.check().read_data(ReadData::All).start().await.expect("a check");
    assert_eq!(check.problems, []);
}

/// As `open`, where only objects of most of 20 chunks are large.
async fn open_with_small_ones(objects: &Arc<Hooked>, cache: &Path) -> Repository {
    let repository = open(objects, Some(cache)).await;
    repository.store().set_local(|local| (local.shard_chunks, local.shard_alone_chunks) = (30, 16));
    repository
}

#[tokio::test]
async fn what_was_kept_of_a_large_object_stays_when_small_ones_are_merged() {
    let (source, cache) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let options = CreateOptions { kdf: KdfChoice::Minimal, recovery: false, ..CreateOptions::default() };
    let memory = MemoryBackend::new();
    let created = Repository::create(Arc::new(memory.clone()), key(), options).await.expect("created").repository;
    write_files(source.path(), 0);
    backed_up(&created, source.path()).await;
    let large = memory.list(Area::Index).await.expect("a list")[0].name;
    for number in 0..5 {
        std::fs::write(source.path().join(format!("small-{number}")), format!("{number}")).expect("written");
        backed_up(&created, source.path()).await;
    }
    let repository = open_with_small_ones(&quiet(&memory), cache.path()).await;
    load::load_what_opens(repository.store(), Read::New).await.expect("an index");
    let names = memory.list(Area::Index).await.expect("a list").into_iter().map(|listed| listed.name);
    for name in names.filter(|name| *name != large) {
        let Name::Index(id) = name else { continue };
        let mut records = repository.store().get_index(id).await.expect("an index object");
        assert!(records.chunks.len() < 16, "{} chunks", records.chunks.len());
        records.supersedes = vec![id];
        created.store().put_merged_index(&records, OnFull::Fail).await.expect("a merged one");
    }
    let objects = quiet(&memory);
    let repository = open_with_small_ones(&objects, cache.path()).await;
    let (index, _) = load::load_what_opens(repository.store(), Read::New).await.expect("an index");
    assert!(!objects.steps().contains(&Step::Get(large)), "it is read again");
    assert_eq!((index.shards(), kept(cache.path()).len()), (1, 1), "a few small ones are no shard");
}

#[tokio::test]
async fn of_many_shards_few_are_made_which_outlive_merges_of_what_is_in_them() {
    let Scene { source, cache, objects, .. } = scene().await;
    let repository = Repository::open(Arc::new(objects.clone()), key()).await.expect("open");
    repository.use_folders(Some(cache.path().to_owned()), None);
    for round in BACKUPS..11 {
        write_files(source.path(), round);
        backed_up(&repository, source.path()).await;
    }
    let last = backed_up(&repository, source.path()).await;
    let scene = Scene { source, cache, objects, last };
    let (index, _) = load::load_what_opens(repository.store(), Read::New).await.expect("an index");
    assert_eq!((index.shards(), kept(scene.cache.path()).len()), (3, 3), "the first nine are one");
    let listed = scene.objects.list(Area::Index).await.expect("a list");
    // Each in turn is merged into one that says the same, and goes.
    for (turn, merged) in listed.iter().enumerate() {
        let Name::Index(id) = merged.name else { continue };
        let mut records = repository.store().get_index(id).await.expect("an index object");
        records.supersedes = vec![id];
        repository.store().put_merged_index(&records, OnFull::Fail).await.expect("a merged one");
        if turn % 2 == 0 {
            scene.objects.delete(&merged.name).await.expect("deleted");
        }
        let objects = quiet(&scene.objects);
        let repository = open(&objects, Some(scene.cache.path())).await;
        assert_restores(&repository, &scene).await;
        assert_eq!(index_reads(&objects), 1, "only the new one is read in turn {turn}");
    }
}

#[tokio::test]
async fn two_who_open_at_once_are_not_in_each_others_way() {
    let scene = scene().await;
    for file in kept(scene.cache.path()) {
        std::fs::remove_file(file).expect("removed");
    }
    let mut running = Vec::new();
    for _ in 0..6 {
        let repository = open(&quiet(&scene.objects), Some(scene.cache.path())).await;
        running.push(tokio::spawn(async move {
            let (index, _) = load::load_what_opens(repository.store(), Read::New).await.expect("an index");
            let mut chunks = 0;
            index.for_each_chunk(|copies| {
                chunks += copies.len();
                Ok(())
            })?;
            Ok::<_, Error>((chunks, index.shards()))
        }));
    }
    let mut seen = HashSet::new();
    for one in running {
        seen.insert(one.await.expect("no panic").expect("read"));
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(kept(scene.cache.path()).len(), 3);
}

#[tokio::test]
async fn no_chunk_is_new_twice_when_most_of_what_was_claimed_is_in_files() {
    const CHUNKS: u32 = 2000;
    let scene = scene().await;
    let id = |number: u32| ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes());
    let repository = open(&quiet(&scene.objects), Some(scene.cache.path())).await;
    repository.store().set_local(|local| local.shard_chunks = 100);
    let claims = Claims::beside(repository.store(), Arc::new(Index::empty()));
    let new: usize = std::thread::scope(|scope| {
        let ask = |worker: u32| {
            let claims = &claims;
            let asked =
                (0..2 * CHUNKS).map(move |step| if worker.is_multiple_of(2) { step } else { 2 * CHUNKS - 1 - step });
            let is_new = move |step| matches!(claims.claim(&id(step % CHUNKS), 10).expect("asked"), Claim::New(_));
            move || asked.filter(|step| is_new(*step)).count()
        };
        let workers: Vec<_> = (0..8).map(|worker| scope.spawn(ask(worker))).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
    });
    assert_eq!((new, claims.claimed()), (2000, 2000));
    for number in 2 * CHUNKS..2 * CHUNKS + 150 {
        assert!(matches!(claims.claim(&id(number), 10), Ok(Claim::New(_))));
        assert!(matches!(claims.claim(&id(number), 10), Ok(Claim::Known)));
    }
    assert!(claims.in_memory() < 100, "{} are still in memory", claims.in_memory());
    assert!(claims.files() < 12, "{} files of 100 ids, where each is asked about every chunk", claims.files());
    assert!((0..CHUNKS).all(|number| matches!(claims.claim(&id(number), 10), Ok(Claim::Known))));
}
