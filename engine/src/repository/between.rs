//! Promises about the order of a verb's steps, and about what others do between two of them.

use super::hooked::Hooked;
use super::hooked::Step;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::error::Kind;
use crate::format::snapshot::Snapshot;
use crate::id::SlotId;
use crate::random::SeededRng;
use crate::repository::CreateOptions;
use crate::repository::KdfChoice;
use crate::repository::Key;
use crate::repository::Repository;
use crate::repository::TagChange;
use crate::source::ReaderSource;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

fn key(seed: u64) -> Key {
    Key::KeyFile(Secret::new(super::generate_key_file(&SeededRng::new(seed)).expect("seeded")))
}

async fn made() -> (MemoryBackend, Repository) {
    let backend = MemoryBackend::new();
    let options = CreateOptions { kdf: KdfChoice::Minimal, recovery: false, ..CreateOptions::default() };
    let created = Repository::create(Arc::new(backend.clone()), key(1), options).await.expect("a repository");
    (backend, created.repository)
}

async fn open(backend: &Arc<Hooked>, seed: u64) -> Repository {
    let backend: Arc<dyn Backend> = Arc::clone(backend) as Arc<dyn Backend>;
    Repository::open(backend, key(seed)).await.expect("open")
}

async fn back_up(repository: &Repository) -> Snapshot {
    let source = ReaderSource::new(EntryPath::parse(b"f").expect("a path"), &b"bytes"[..]);
    repository.backup(source).start().await.expect("a backup").snapshot.expect("a snapshot")
}

/// A repository with two keys, whose second is removed by somebody else just before `step` of the first's removal.
async fn removal_beside_another(step: impl Fn(SlotId, Step) -> bool + Send + Sync + 'static) -> (MemoryBackend, Kind) {
    let (memory, repository) = made().await;
    let first = repository.keys().await.expect("keys")[0].id;
    let second = repository.add_key(key(2), KdfChoice::Minimal, "second").await.expect("added");
    let other = repository.clone();
    let is_done = Arc::new(AtomicBool::new(false));
    let hooked = Hooked::new(memory.clone(), move |now, _| {
        let is_due = step(first, now) && !is_done.swap(true, Ordering::SeqCst);
        let other = other.clone();
        async move {
            if is_due {
                // Refused or done: what counts is that not both are.
                let _ = other.remove_key(second).await;
            }
        }
    });
    let outcome = open(&hooked, 1).await.remove_key(first).await;
    (memory, outcome.map_or_else(|error| error.kind(), |()| Kind::NotFound))
}

#[tokio::test]
async fn two_who_remove_the_last_two_keys_leave_one() {
    let (memory, kind) = removal_beside_another(|first, step| step == Step::Delete(Name::Slot(first))).await;
    assert_eq!(kind, Kind::Conflict, "its owner must learn that the key still opens");
    assert_eq!(Repository::open(Arc::new(memory), key(1)).await.expect("open").keys().await.expect("keys").len(), 1);
}

#[tokio::test]
async fn a_key_removed_a_moment_before_keeps_the_other_from_being_removed() {
    // Listed by the first already, but not read yet.
    let (memory, kind) = removal_beside_another(|_, step| matches!(step, Step::Get(Name::Slot(_)))).await;
    assert!(matches!(kind, Kind::Invalid | Kind::NotFound | Kind::Conflict), "{kind:?}");
    assert!(!memory.list(Area::Slots).await.expect("a list").is_empty(), "nobody could open it any more");
}

#[tokio::test]
async fn a_key_that_cannot_be_confirmed_as_not_the_last_is_put_back() {
    let (memory, repository) = made().await;
    let first = repository.keys().await.expect("keys")[0].id;
    repository.add_key(key(2), KdfChoice::Minimal, "second").await.expect("added");
    // After the deletion the slots that are left read as something else.
    let deleted = Arc::new(AtomicBool::new(false));
    let hooked = Hooked::new(memory.clone(), move |step, objects| {
        let deleted = Arc::clone(&deleted);
        async move {
            match step {
                Step::Delete(Name::Slot(_)) => deleted.store(true, Ordering::SeqCst),
                Step::Get(name @ Name::Slot(id)) if deleted.load(Ordering::SeqCst) && id != first => {
                    objects.replace(name, Bytes::from_static(b"rot"));
                }
                _ => {}
            }
        }
    });
    let refused = open(&hooked, 1).await.remove_key(first).await.expect_err("no other key is known to open");
    assert_eq!(refused.kind(), Kind::Damaged);
    Repository::open(Arc::new(memory), key(1)).await.expect("the key is back");
}

#[tokio::test]
async fn a_changed_tag_is_declared_before_it_is_stored_and_the_old_record_goes_last() {
    let (memory, repository) = made().await;
    let old = back_up(&repository).await.id;
    let hooked = Hooked::new(memory, |_, _| async {});
    let change = TagChange { add: vec!["kept".into()], ..TagChange::default() };
    let changed = open(&hooked, 1).await.tag(&[old], &change).await.expect("tagged");
    let new = changed[0].1;
    let writes: Vec<Step> =
        hooked.steps().into_iter().filter(|step| matches!(step, Step::Put(_) | Step::Delete(_))).collect();
    let wanted = [
        Step::Put(Name::Pending(new)),
        Step::Put(Name::Snapshot(new)),
        Step::Delete(Name::Pending(new)),
        Step::Delete(Name::Snapshot(old)),
        Step::Delete(Name::Pending(old)),
    ];
    assert_eq!(writes, wanted);
}

#[tokio::test]
async fn a_snapshot_forgotten_while_the_list_is_read_is_no_damage() {
    let (memory, repository) = made().await;
    let gone = back_up(&repository).await.id;
    let kept = back_up(&repository).await.id;
    let hooked = Hooked::new(memory, move |step, objects| async move {
        if step == Step::Get(Name::Snapshot(gone)) {
            objects.delete(&Name::Snapshot(gone)).await.expect("deleted");
        }
    });
    let list = open(&hooked, 1).await.list_snapshots().await.expect("a list");
    assert_eq!(list.snapshots.iter().map(|snapshot| snapshot.id).collect::<Vec<_>>(), [kept]);
    assert!(list.unreadable.is_empty(), "{:?}", list.unreadable);
    let lists = hooked.steps().into_iter().filter(|step| *step == Step::List(Area::Snapshots)).count();
    assert_eq!(lists, 2, "a second listing decides");
}

#[tokio::test]
async fn a_record_that_is_listed_again_after_it_was_not_found_is_damaged() {
    let (memory, repository) = made().await;
    let hidden = back_up(&repository).await.id;
    let name = Name::Snapshot(hidden);
    let bytes = memory.get(&name).await.expect("a record");
    let hooked = Hooked::new(memory, move |step, objects| {
        let bytes = bytes.clone();
        async move {
            match step {
                Step::Get(read) if read == name => objects.delete(&name).await.expect("deleted"),
                Step::List(Area::Snapshots) => objects.replace(name, bytes),
                _ => {}
            }
        }
    });
    let repository = open(&hooked, 1).await;
    let list = repository.list_snapshots().await.expect("a list");
    assert_eq!(
        list.unreadable.iter().map(|one| (one.id, one.error.kind())).collect::<Vec<_>>(),
        [(hidden, Kind::Damaged)]
    );
    assert_eq!(repository.snapshots().await.expect_err("not whole").kind(), Kind::Damaged);
    let report = repository.check().start().await.expect("a check");
    assert!(report.problems.iter().any(|problem| problem.object == name.to_string()), "{:?}", report.problems);
}

#[tokio::test]
async fn an_index_object_that_a_store_hides_for_a_moment_is_read_all_the_same() {
    let (memory, repository) = made().await;
    let snapshot = back_up(&repository).await;
    let index = memory.list(Area::Index).await.expect("a list")[0].name;
    let bytes = memory.get(&index).await.expect("an index object");
    let reads = AtomicUsize::new(0);
    let hooked = Hooked::new(memory, move |step, objects| {
        let is_first = step == Step::Get(index) && reads.fetch_add(1, Ordering::SeqCst) == 0;
        let bytes = bytes.clone();
        async move {
            match step {
                Step::Get(name) if name == index && is_first => objects.delete(&index).await.expect("deleted"),
                Step::List(Area::Index) => objects.replace(index, bytes),
                _ => {}
            }
        }
    });
    let repository = open(&hooked, 1).await;
    let path = EntryPath::parse(b"f").expect("a path");
    assert!(repository.view(&snapshot).await.expect("a view").entry(&path).await.expect("read").is_some());
    assert_eq!(hooked.missed(), 1);
}

#[tokio::test]
async fn what_creation_gives_does_not_print_the_recovery_code() {
    let options = CreateOptions { kdf: KdfChoice::Minimal, ..CreateOptions::default() };
    let created = Repository::create(Arc::new(MemoryBackend::new()), key(1), options).await.expect("a repository");
    let code = created.recovery_code.clone().expect("a code");
    for printed in [format!("{created:?}"), format!("{created:#?}")] {
        assert!(printed.contains("Created") && !printed.contains("recovery_code"), "{printed}");
        assert!(code.split('-').all(|part| !printed.contains(part)), "{printed}");
    }
}
