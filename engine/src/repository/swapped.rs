//! Promises to readers while a prune moves what they read: packs and index objects go, their successors are there.

use super::hooked::Hooked;
use super::hooked::Step;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::crypto::name;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::format::index::IndexBody;
use crate::format::index::IndexedPack;
use crate::format::pack;
use crate::format::pack::OwnTable;
use crate::format::snapshot::Snapshot;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::PackId;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::ReadData;
use crate::repository::Repository;
use crate::source::FolderSource;
use crate::store::DurablePacks;
use crate::store::OnFull;
use crate::store::Store;
use bytes::Bytes;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Objects that turn into those of `then`, one after the other, each before a certain read of an area.
fn turning(now: &MemoryBackend, then: &[&MemoryBackend], area: Area, every: usize) -> Arc<Hooked> {
    let then: Arc<Mutex<VecDeque<MemoryBackend>>> = Arc::new(Mutex::new(then.iter().map(|next| next.fork()).collect()));
    let reads = Arc::new(AtomicUsize::new(0));
    Hooked::new(now.fork(), move |step, objects| {
        let is_due = matches!(step, Step::Get(name) if name.area() == Some(area))
            && (reads.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(every);
        let next = if is_due { then.lock().expect("no holder panics").pop_front() } else { None };
        async move {
            if let Some(next) = next {
                become_like(&objects, &next).await;
            }
        }
    })
}

async fn become_like(objects: &MemoryBackend, next: &MemoryBackend) {
    let next = next.contents();
    for (name, bytes) in &next {
        objects.replace(*name, bytes.clone());
    }
    for (name, _) in objects.contents() {
        if !next.iter().any(|(kept, _)| *kept == name) {
            objects.delete(&name).await.expect("deleted");
        }
    }
}

fn key() -> Key {
    Key::KeyFile(Secret::new(super::generate_key_file(&SeededRng::new(1)).expect("seeded")))
}

async fn open(backend: &Arc<Hooked>) -> Repository {
    let backend: Arc<dyn Backend> = Arc::clone(backend) as Arc<dyn Backend>;
    Repository::open(backend, key()).await.expect("open")
}

/// Files whose chunks fill several segments, in a repository of one snapshot.
struct Scene {
    source: tempfile::TempDir,
    whole: MemoryBackend,
    snapshot: Snapshot,
}

const FILES: u64 = 8;

async fn scene() -> Scene {
    let source = tempfile::tempdir().expect("a folder");
    for number in 0..FILES {
        let mut bytes = vec![0; 1 << 20];
        SeededRng::new(number).fill(&mut bytes).expect("seeded");
        std::fs::write(source.path().join(format!("file-{number}")), bytes).expect("written");
    }
    let whole = MemoryBackend::new();
    let options = CreateOptions { kdf: KdfChoice::Minimal, recovery: false, ..CreateOptions::default() };
    let created = Repository::create(Arc::new(whole.clone()), key(), options).await.expect("a repository");
    let folder = FolderSource::new(vec![".".into()]).relative_to(source.path().to_owned());
    let report = created.repository.backup(folder).threads(1).start().await.expect("a backup");
    Scene { source, whole, snapshot: report.snapshot.expect("a snapshot") }
}

/// The repository after a prune that copied every segment into other packs, in the opposite order.
async fn moved(before: &MemoryBackend) -> MemoryBackend {
    let after = before.fork();
    let repository = Repository::open(Arc::new(after.clone()), key()).await.expect("open");
    let store = repository.store();
    let mut body = IndexBody::default();
    for listed in after.list(Area::Index).await.expect("a list") {
        let Name::Index(id) = listed.name else { continue };
        let records = store.get_index(id).await.expect("an index object");
        for old in records.into_body().expect("whole").packs {
            body.packs.push(copied(store, &after, old).await);
        }
        body.supersedes.push(id);
    }
    body.supersedes.sort();
    body.packs.sort_by_key(|pack| pack.pack);
    store
        .put_index(&DurablePacks::made_up(body.packs).superseding(body.supersedes.clone()), OnFull::Fail)
        .await
        .expect("stored");
    for id in &body.supersedes {
        after.delete(&Name::Index(*id)).await.expect("deleted");
    }
    after
}

async fn copied(store: &Store, after: &MemoryBackend, mut old: IndexedPack) -> IndexedPack {
    let name = Name::Pack(old.pack);
    let bytes = after.get(&name).await.expect("a pack");
    old.table.segments.reverse();
    let segments: Vec<Bytes> = old
        .table
        .segments
        .iter()
        .map(|segment| bytes.slice(size(segment.offset)..size(segment.offset + segment.stored_length)))
        .collect();
    for id in &old.table.data_keys {
        store.data_key(id, old.table.class).await.expect("a key");
    }
    let wrapped_keys = old.table.data_keys.iter().map(|id| store.wrapped_key(id).expect("a key")).collect();
    let front = store.seal_table(&OwnTable { table: old.table.clone(), wrapped_keys }).expect("sealed");
    let mut new = front.clone();
    segments.iter().for_each(|segment| new.extend_from_slice(segment));
    new.resize(pack::padded_length(new.len() + pack::TRAILER_BYTES) - pack::TRAILER_BYTES, 0);
    let trailer = pack::trailer_encode([new.as_slice()]);
    new.extend_from_slice(&trailer);
    old.table.place_segments(length_u32(front.len())).expect("it fits");
    let id = PackId::from_bytes(name::object_hash([new.as_slice()]));
    let length = length_u32(new.len());
    after.replace(Name::Pack(id), new);
    after.delete(&name).await.expect("deleted");
    IndexedPack { pack: id, length, table: old.table }
}

fn assert_restored(source: &Path, target: &Path) {
    for number in 0..FILES {
        let name = format!("file-{number}");
        let (wanted, there) = (std::fs::read(source.join(&name)), std::fs::read(target.join(&name)));
        assert!(wanted.expect("read") == there.unwrap_or_default(), "{name}");
    }
}

#[tokio::test]
async fn a_restore_follows_packs_that_are_moved_under_it() {
    let Scene { source, whole, snapshot } = scene().await;
    let once = moved(&whole).await;
    let twice = moved(&once).await;
    for turns in 1..6 {
        let backend = turning(&whole, &[&once, &twice], Area::Packs, turns);
        let repository = open(&backend).await;
        let target = tempfile::tempdir().expect("a folder");
        let report = repository.restore(&snapshot, target.path()).threads(1).start().await.expect("a restore");
        assert_eq!(report.failures_total, 0, "moved at read {turns}: {:?}", report.failures);
        assert_restored(source.path(), target.path());
    }
}

#[tokio::test]
async fn looking_and_dumping_follow_packs_that_are_moved_under_them() {
    let Scene { source, whole, snapshot } = scene().await;
    let once = moved(&whole).await;
    let twice = moved(&once).await;
    for turns in 1..6 {
        let backend = turning(&whole, &[&once, &twice], Area::Packs, turns);
        let repository = open(&backend).await;
        let mut entries = repository.view(&snapshot).await.expect("a view").walk(None);
        let mut files = 0;
        while let Some(entry) = entries.next().await.expect("an entry") {
            let mut bytes = Vec::new();
            let mut content = entries.open(&entry);
            while let Some(part) = content.next().await.expect("content") {
                bytes.extend_from_slice(&part);
            }
            let path = source.path().join(entry.path.to_string());
            if path.is_file() {
                assert!(bytes == std::fs::read(path).expect("read"), "{}", entry.path);
                files += 1;
            }
        }
        assert_eq!(files, FILES);
        let path = EntryPath::parse(b"file-0").expect("a path");
        assert!(repository.view(&snapshot).await.expect("a view").entry(&path).await.expect("read").is_some());
        assert!(backend.missed() > 0, "nothing was moved in time");
    }
}

#[tokio::test]
async fn a_check_finds_no_damage_in_packs_that_are_moved_under_it() {
    let Scene { whole, .. } = scene().await;
    let once = moved(&whole).await;
    let quiet = turning(&whole, &[], Area::Packs, 1);
    let all = open(&quiet).await.check().read_data(ReadData::All).threads(1).start().await.expect("a check");
    for turns in 1..5 {
        let backend = turning(&whole, &[&once], Area::Packs, turns);
        let check = open(&backend).await.check().read_data(ReadData::All).threads(1).start();
        let report = check.await.expect("a check");
        assert_eq!(report.problems, [], "moved at read {turns}");
        assert!(report.segments >= all.segments, "{} of {} segments were read", report.segments, all.segments);
    }
}

#[tokio::test]
async fn a_check_lists_packs_again_that_were_moved_since_it_read_the_index() {
    let Scene { whole, .. } = scene().await;
    let once = moved(&whole).await;
    // The key slots are read after the index and before packs are listed.
    let backend = turning(&whole, &[&once], Area::Slots, 2);
    let report = open(&backend).await.check().start().await.expect("a check");
    assert_eq!((report.problems.as_slice(), report.packs), ([].as_slice(), 3), "two of data, one of the catalog");
}

#[tokio::test]
async fn index_objects_that_are_merged_while_they_are_read_are_read_again() {
    let Scene { source, whole, snapshot } = scene().await;
    let once = moved(&whole).await;
    let twice = moved(&once).await;
    // Every reading of the index finds that what it listed went away, until there is nothing left to happen.
    let backend = turning(&whole, &[&once, &twice], Area::Index, 1);
    let repository = open(&backend).await;
    let target = tempfile::tempdir().expect("a folder");
    let report = repository.restore(&snapshot, target.path()).threads(1).start().await.expect("a restore");
    assert_eq!(report.failures_total, 0, "{:?}", report.failures);
    assert_restored(source.path(), target.path());
    assert_eq!(backend.missed(), 2, "both went away in time");
}

#[tokio::test]
async fn a_lost_pack_is_looked_for_once_and_named() {
    let Scene { whole, snapshot, .. } = scene().await;
    for (name, _) in whole.contents() {
        let Name::Pack(id) = name else { continue };
        let backend = whole.fork();
        backend.delete(&name).await.expect("deleted");
        let repository = Repository::open(Arc::new(backend), key()).await.expect("open");
        let report = repository.check().read_data(ReadData::All).start().await.expect("a check");
        assert!(report.problems.iter().any(|problem| problem.object.contains(&id.to_string())), "{report:?}");
        let target = tempfile::tempdir().expect("a folder");
        let restored = repository.restore(&snapshot, target.path()).start().await;
        assert!(restored.map_or(true, |report| report.failures_total > 0), "{id} is not needed");
    }
}
