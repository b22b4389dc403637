//! Promises about changing the root key: nothing is lost or stored again, whatever runs beside it or cuts it off.

use super::CreateOptions;
use super::Key;
use super::ReadData;
use super::Repository;
use super::RotateOptions;
use super::hooked::Hooked;
use super::hooked::Step;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::backup::BackupReport;
use crate::crypto::secret::Secret;
use crate::entry::EntryPath;
use crate::error::Kind;
use crate::random::Rng;
use crate::random::SeededRng;
use crate::random::SystemRng;
use crate::source::ReaderSource;
use crate::time::Clock;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

const CONTENT_BYTES: usize = 300_000;

pub(super) fn key(seed: u64) -> Key {
    Key::KeyFile(Secret::new(super::generate_key_file(&SeededRng::new(seed)).expect("seeded")))
}

pub(super) fn content(seed: u64) -> Vec<u8> {
    let mut content = vec![0; CONTENT_BYTES];
    SeededRng::new(1000 + seed).fill(&mut content).expect("seeded");
    content
}

/// A repository with one snapshot, of content 1, that key 1 opens.
pub(super) async fn made() -> (MemoryBackend, Repository) {
    let backend = MemoryBackend::new();
    let options = CreateOptions { recovery: false, ..CreateOptions::default() };
    let created = Repository::create(Arc::new(backend.clone()), key(1), options).await.expect("created");
    back_up(&created.repository, 1).await;
    (backend, created.repository)
}

pub(super) async fn opened(backend: &MemoryBackend, seed: u64) -> Repository {
    Repository::open(Arc::new(backend.clone()), key(seed)).await.expect("opens")
}

pub(super) async fn back_up(repository: &Repository, seed: u64) -> BackupReport {
    let source = ReaderSource::new(EntryPath::parse(b"file").expect("a path"), std::io::Cursor::new(content(seed)));
    repository.backup(source).threads(1).start().await.expect("a backup")
}

pub(super) async fn rotate(repository: &Repository, seed: u64) -> Repository {
    let rotation = repository.rotate_root_key(key(seed), RotateOptions::default()).await.expect("a new root key");
    rotation.remove_old_slots().await.expect("removed");
    rotation.repository().clone()
}

/// Every snapshot has one of these contents, and each is there; a check of all data finds nothing wrong.
pub(super) async fn assert_holds(repository: &Repository, seeds: &[u64]) {
    let mut found = BTreeSet::new();
    for snapshot in repository.snapshots().await.expect("snapshots") {
        let mut entries = repository.view(&snapshot).await.expect("a view").walk(None);
        let entry = entries.next().await.expect("read").expect("an entry");
        let (mut pieces, mut bytes) = (entries.open(&entry), Vec::new());
        while let Some(piece) = pieces.next().await.expect("a piece") {
            bytes.extend_from_slice(&piece);
        }
        found.insert(*seeds.iter().find(|seed| content(**seed) == bytes).expect("content that was backed up"));
    }
    assert_eq!(found, seeds.iter().copied().collect());
    let report = repository.check().read_data(ReadData::All).threads(1).start().await.expect("a check");
    assert_eq!(report.problems, []);
}

#[tokio::test]
async fn under_a_new_root_key_nothing_is_stored_again_and_everything_is_read() {
    let (backend, old) = made().await;
    let before: BTreeSet<Name> = backend.contents().into_iter().map(|(name, _)| name).collect();
    rotate(&old, 1).await;
    let new = opened(&backend, 1).await;
    assert_eq!(back_up(&new, 1).await.bytes_new, 0, "names and cut points are those of the first root key");
    assert!(back_up(&new, 2).await.bytes_new > 0);
    assert_holds(&new, &[1, 2]).await;
    let after: BTreeSet<Name> = backend.contents().into_iter().map(|(name, _)| name).collect();
    let touched: Vec<&Name> = before.difference(&after).collect();
    assert!(matches!(touched.as_slice(), [Name::Slot(_), Name::KeyList(_)]), "{touched:?}");
    // Whoever has kept the old root key reads what was there, and nothing of what came after it.
    let list = old.list_snapshots().await.expect("a list");
    assert_eq!((list.snapshots.len(), list.unreadable.len()), (1, 2));
    assert!(list.unreadable.iter().all(|one| one.error.kind() == Kind::Unsupported));
    for (name, _) in backend.contents().into_iter().filter(|(name, _)| !before.contains(name)) {
        let outcome = match name {
            Name::DataKey(id) => old.store().data_key(&id, crate::class::Class::Data).await.err(),
            Name::Pack(id) => old.inspect_pack(id).await.err(),
            Name::Index(id) => old.inspect_index(id).await.err(),
            Name::KeyList(_) => old.store().get_small(&name).await.err(),
            Name::Snapshot(_) | Name::Slot(_) => continue,
            other => panic!("{other} is new"),
        };
        assert_eq!(outcome.expect("it does not open").kind(), Kind::Unsupported, "{name}");
    }
}

#[tokio::test]
async fn a_backup_that_holds_the_old_root_key_goes_on_and_stays_readable() {
    let (backend, old) = made().await;
    let new = rotate(&old, 2).await;
    back_up(&old, 2).await;
    back_up(&new, 3).await;
    // Now there are index objects that it cannot open.
    let report = back_up(&old, 4).await;
    assert!(report.warnings_total > 0, "it says what it could not read");
    assert_eq!(back_up(&new, 4).await.bytes_new, 0);
    assert_holds(&opened(&backend, 2).await, &[1, 2, 3, 4]).await;
}

#[tokio::test]
async fn a_prune_deletes_nothing_that_it_holds_no_key_for() {
    let (backend, old) = made().await;
    let new = rotate(&old, 1).await;
    back_up(&new, 2).await;
    let whole = backend.contents();
    let plan = old.prune().min_age(std::time::Duration::ZERO).plan().await;
    assert_eq!(plan.expect_err("it cannot see what is needed").kind(), Kind::Unsupported);
    assert_eq!(backend.contents(), whole);
    // With both keys it moves what the old one has sealed, and writes one index under the new one.
    let first = new.snapshots().await.expect("snapshots").remove(0);
    back_up(&new, 3).await;
    new.forget(&[first.id]).await.expect("forgotten");
    let plan = new.prune().min_age(std::time::Duration::ZERO).plan().await.expect("a plan");
    plan.apply().await.expect("a prune");
    assert_holds(&opened(&backend, 1).await, &[2, 3]).await;
    // What the prune condemned cannot be told by the old key: no snapshot is stored that may lean on it.
    let source = ReaderSource::new(EntryPath::parse(b"file").expect("a path"), std::io::Cursor::new(content(4)));
    let refused = old.backup(source).threads(1).start().await;
    assert_eq!(refused.expect_err("nothing is known").kind(), Kind::Unsupported);
    assert_holds(&opened(&backend, 1).await, &[2, 3]).await;
}

#[tokio::test]
async fn a_repair_takes_nothing_for_lost_that_it_holds_no_key_for() {
    let (backend, old) = made().await;
    let new = rotate(&old, 1).await;
    // What is stored is named under the new root key only, as after a prune long ago.
    for listed in backend.list(Area::Index).await.expect("a list") {
        backend.delete(&listed.name).await.expect("deleted");
    }
    new.repair_index().start().await.expect("an index");
    let (whole, snapshots) = (backend.contents(), old.snapshots().await.expect("snapshots"));
    let refused = old.repair_snapshots(snapshots).start().await.expect_err("it cannot tell what is lost");
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert_eq!(backend.contents(), whole);
    assert_holds(&opened(&backend, 1).await, &[1]).await;
}

#[tokio::test]
async fn wherever_a_rotation_is_cut_off_the_key_opens_everything_and_it_can_be_done_again() {
    let (backend, repository) = made().await;
    repository.add_key(key(7), super::KdfChoice::Minimal, "another").await.expect("added");
    repository.add_recovery().await.expect("added");
    let states: Arc<Mutex<Vec<MemoryBackend>>> = Arc::default();
    let seen = Arc::clone(&states);
    let hooked = Hooked::new(backend.clone(), move |step, objects: MemoryBackend| {
        if matches!(step, Step::Put(_) | Step::Delete(_)) {
            seen.lock().expect("no holder panics").push(objects.fork());
        }
        async {}
    });
    let repository = Repository::open(hooked, key(1)).await.expect("opens");
    let options = RotateOptions { recovery: true, ..RotateOptions::default() };
    let rotation = repository.rotate_root_key(key(1), options).await.expect("a new root key");
    assert_eq!(rotation.remove_old_slots().await.expect("removed").len(), 3);
    let states: Vec<MemoryBackend> = states.lock().expect("no holder panics").clone();
    assert_eq!(states.len(), 13, "two slots made, three removed, and four lists, each in place of another");
    for state in states.into_iter().chain([backend]) {
        let found = opened(&state, 1).await;
        assert_holds(&found, &[1]).await;
        back_up(&found, 2).await;
        let again = rotate(&opened(&state, 1).await, 1).await;
        assert_eq!(again.keys().await.expect("keys").len(), 1);
        back_up(&again, 3).await;
        assert_holds(&opened(&state, 1).await, &[1, 2, 3]).await;
        assert_eq!(
            Repository::open(Arc::new(state.clone()), key(7)).await.expect_err("it was not given").kind(),
            Kind::WrongKey
        );
    }
}

#[tokio::test]
async fn of_two_that_change_the_root_key_at_once_one_is_refused() {
    let (backend, one) = made().await;
    let other = opened(&backend, 1).await;
    let rotation = one.rotate_root_key(key(1), RotateOptions::default()).await.expect("a new root key");
    let refused = other.rotate_root_key(key(2), RotateOptions::default()).await;
    assert_eq!(refused.expect_err("one at a time").kind(), Kind::Conflict);
    back_up(rotation.repository(), 2).await;
    // Whoever lacks a key that something is sealed under would lock everybody out of it.
    let refused = other.rotate_root_key(key(2), RotateOptions::default()).await;
    assert_eq!(refused.expect_err("it cannot read all").kind(), Kind::Unsupported);
    rotation.remove_old_slots().await.expect("removed");
    for refused in [
        other.rotate_root_key(key(2), RotateOptions::default()).await.err(),
        other.add_key(key(2), super::KdfChoice::Minimal, "").await.err(),
        other.add_recovery().await.err(),
    ] {
        assert_eq!(refused.expect("its own key is gone").kind(), Kind::Conflict);
    }
    let code = Key::Recovery(Secret::new("0123"));
    let refused = rotation.repository().rotate_root_key(code, RotateOptions::default()).await;
    assert_eq!(refused.expect_err("codes are made").kind(), Kind::Invalid);
    assert_holds(&opened(&backend, 1).await, &[1, 2]).await;
}

/// A clock that was set back by years.
struct SetBack(AtomicBool);

impl Clock for SetBack {
    fn now(&self) -> Timestamp {
        let seconds = if self.0.load(Ordering::Relaxed) { 1_500_000_000 } else { 1_800_000_000 };
        Timestamp { seconds, nanoseconds: 5 }
    }
}

#[tokio::test]
async fn the_newest_slot_of_a_secret_is_the_one_that_opens_whatever_the_clock_says() {
    let (backend, clock) = (MemoryBackend::new(), Arc::new(SetBack(AtomicBool::new(false))));
    let options = CreateOptions { recovery: false, ..CreateOptions::default() };
    let (stored, clocked) = (Arc::new(backend.clone()), Arc::clone(&clock) as Arc<dyn Clock>);
    let created = Repository::create_with(stored, key(1), options, Arc::new(SystemRng), clocked).await;
    let mut repository = created.expect("created").repository;
    clock.0.store(true, Ordering::Relaxed);
    // The old slots stay, as after a crash; each has the same secret.
    for round in 1..=4 {
        let rotation = repository.rotate_root_key(key(1), RotateOptions::default()).await.expect("a new root key");
        repository = rotation.repository().clone();
        back_up(&repository, round).await;
        let found = opened(&backend, 1).await;
        assert_eq!(found.inner.slot, rotation.slot());
        assert_holds(&found, &(1..=round).collect::<Vec<_>>()).await;
    }
    assert_eq!(backend.list(Area::Slots).await.expect("a list").len(), 5);
}

#[tokio::test]
async fn whoever_opens_while_the_root_key_is_changed_finds_the_new_slot() {
    let (backend, repository) = made().await;
    let is_changed = Arc::new(AtomicBool::new(false));
    let hooked = Hooked::new(backend, move |step, _| {
        let (repository, is_changed) = (repository.clone(), Arc::clone(&is_changed));
        async move {
            // The old slot was listed, and goes before it is read.
            if matches!(step, Step::Get(Name::Slot(_))) && !is_changed.swap(true, Ordering::SeqCst) {
                let rotation = repository.rotate_root_key(key(1), RotateOptions::default()).await.expect("changed");
                rotation.remove_old_slots().await.expect("removed");
            }
        }
    });
    let repository = Repository::open(hooked, key(1)).await.expect("the same key file opens it");
    assert_eq!(repository.snapshots().await.expect("listed").len(), 1);
}
