//! Promises about the lists of key slots: no way in is lost or added unseen, whatever cuts a change of keys off.

use super::CreateOptions;
use super::KdfChoice;
use super::Key;
use super::KeyTrouble;
use super::Repository;
use super::RotateOptions;
use super::hooked::Hooked;
use super::hooked::Step;
use super::rotate_tests::back_up;
use super::rotate_tests::key;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::BackendFuture;
use crate::backend::Layer;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::crypto::secret::Secret;
use crate::error::Kind;
use crate::id::KeyListId;
use crate::id::SlotId;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::Mutex;

/// A repository that key 1, a password and a recovery code open.
async fn made() -> (MemoryBackend, Repository, String) {
    let backend = MemoryBackend::new();
    let created = Repository::create(Arc::new(backend.clone()), key(1), CreateOptions::default()).await;
    let created = created.expect("created");
    let password = Key::Passphrase(Secret::new("word"));
    created.repository.add_key(password, KdfChoice::Minimal, "laptop").await.expect("added");
    (backend, created.repository, created.recovery_code.expect("a code"))
}

async fn open(backend: &MemoryBackend) -> Repository {
    Repository::open(Arc::new(backend.clone()), key(1)).await.expect("opens")
}

/// What is wrong with which key, and what is said of it.
async fn troubles(backend: &MemoryBackend) -> Vec<(KeyTrouble, Option<SlotId>, String)> {
    let found = open(backend).await.key_findings().await.expect("findings");
    found.into_iter().map(|finding| (finding.trouble, finding.slot, finding.message)).collect()
}

async fn slot(repository: &Repository, word: &str) -> SlotId {
    let keys = repository.keys().await.expect("keys");
    keys.into_iter().find(|slot| slot.kind.word() == word).expect("there is one").id
}

/// Problems, and keys that should not be there, as a check counts them.
async fn checked(backend: &MemoryBackend) -> (u64, usize) {
    let report = open(backend).await.check().start().await.expect("a check");
    (report.problems_total, report.strange_keys.len())
}

#[tokio::test]
async fn a_slot_that_rots_or_vanishes_is_found_without_its_secret() {
    let (whole, repository, _) = made().await;
    assert_eq!(checked(&whole).await, (0, 0));
    for (word, said) in [("recovery code", "the recovery code opens"), ("password", "the password 'laptop' opens")] {
        let id = slot(&repository, word).await;
        let name = Name::Slot(id);
        let bytes = whole.get(&name).await.expect("bytes");
        for at in 0..bytes.len() {
            let backend = whole.fork();
            let mut rotten = bytes.to_vec();
            rotten[at] ^= 0x20;
            backend.replace(name, rotten);
            let found = troubles(&backend).await;
            let [(KeyTrouble::Damaged, Some(slot), message)] = found.as_slice() else { panic!("byte {at}: {found:?}") };
            assert!(*slot == id && message.contains(said), "{message}");
        }
        let backend = whole.fork();
        backend.delete(&name).await.expect("deleted");
        let found = troubles(&backend).await;
        let [(KeyTrouble::Missing, Some(slot), message)] = found.as_slice() else { panic!("{found:?}") };
        assert!(*slot == id && message.contains(said), "{message}");
        assert_eq!(checked(&backend).await, (1, 0));
        // Whoever has made another one gives the old one up.
        open(&backend).await.remove_key(id).await.expect("given up");
        assert_eq!(checked(&backend).await, (0, 0));
    }
}

#[tokio::test]
async fn a_slot_in_the_place_of_another_is_found() {
    let (backend, repository, _) = made().await;
    let (code, password) = (slot(&repository, "recovery code").await, slot(&repository, "password").await);
    let other = backend.get(&Name::Slot(password)).await.expect("bytes");
    backend.replace(Name::Slot(code), other);
    let found = troubles(&backend).await;
    assert!(matches!(found.as_slice(), [(KeyTrouble::Changed, Some(slot), _)] if *slot == code), "{found:?}");
    assert_eq!(checked(&backend).await, (1, 0));
}

#[tokio::test]
async fn a_slot_that_nobody_has_listed_and_one_that_was_removed_are_found() {
    let (backend, repository, _) = made().await;
    let code = slot(&repository, "recovery code").await;
    let bytes = backend.get(&Name::Slot(code)).await.expect("bytes");
    let stranger = SlotId::from_bytes([7; 8]);
    backend.replace(Name::Slot(stranger), bytes.clone());
    let found = troubles(&backend).await;
    assert!(matches!(found.as_slice(), [(KeyTrouble::Unlisted, Some(slot), _)] if *slot == stranger), "{found:?}");
    assert_eq!(checked(&backend).await, (0, 1));
    repository.remove_key(stranger).await.expect("removed");
    repository.remove_key(code).await.expect("removed");
    assert_eq!(checked(&backend).await, (0, 0));
    backend.replace(Name::Slot(code), bytes);
    let found = troubles(&backend).await;
    assert!(matches!(found.as_slice(), [(KeyTrouble::NotRemoved, Some(slot), _)] if *slot == code), "{found:?}");
    assert_eq!(repository.repair_keys(false).await.expect("repaired").named, [], "what was removed stays removed");
    repository.remove_key(code).await.expect("removed again");
    assert_eq!(checked(&backend).await, (0, 0));
}

#[tokio::test]
async fn a_list_that_is_damaged_or_lost_is_found_and_made_anew() {
    let (whole, repository, _) = made().await;
    let lists = whole.list(Area::KeyLists).await.expect("lists");
    let [list] = lists.as_slice() else { panic!("{lists:?}") };
    let rotten = whole.fork();
    rotten.replace(list.name, "rot");
    let lost = whole.fork();
    lost.delete(&list.name).await.expect("deleted");
    for backend in [rotten, lost] {
        let found = troubles(&backend).await;
        assert!(matches!(found.as_slice(), [(KeyTrouble::List, None, _)]), "{found:?}");
        assert_eq!(checked(&backend).await, (1, 0));
        let before = backend.contents();
        let report = open(&backend).await.repair_keys(true).await.expect("a dry run");
        assert_eq!((report.named.len(), report.given_up.len()), (3, 0));
        assert_eq!(backend.contents(), before);
        assert_eq!(open(&backend).await.repair_keys(false).await.expect("repaired"), report);
        assert_eq!(checked(&backend).await, (0, 0));
        assert_eq!(backend.list(Area::KeyLists).await.expect("lists").len(), 1);
        backend.delete(&Name::Slot(slot(&repository, "recovery code").await)).await.expect("deleted");
        assert_eq!(checked(&backend).await, (1, 0), "a loss after that is missed");
        assert_eq!(open(&backend).await.repair_keys(false).await.expect("repaired").given_up.len(), 1);
        assert_eq!(checked(&backend).await, (0, 0));
    }
}

/// Objects of which one reads as rot, so many times.
struct MisreadFor {
    objects: MemoryBackend,
    name: Name,
    left: Mutex<usize>,
}

impl Layer for MisreadFor {
    fn inner(&self) -> &dyn Backend {
        &self.objects
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        let mut left = self.left.lock().expect("no holder panics");
        if *name == self.name && *left > 0 {
            *left -= 1;
            return Box::pin(async { Ok(Bytes::from_static(b"rot")) });
        }
        self.objects.get(name)
    }
}

#[tokio::test]
async fn a_list_or_slot_that_misreads_once_is_not_taken_for_damaged() {
    let (whole, repository, _) = made().await;
    let list = whole.list(Area::KeyLists).await.expect("lists").remove(0).name;
    let code = Name::Slot(slot(&repository, "recovery code").await);
    for name in [list, code] {
        let misread = Arc::new(MisreadFor { objects: whole.clone(), name, left: Mutex::new(0) });
        let shared: Arc<dyn Backend> = Arc::clone(&misread) as Arc<dyn Backend>;
        let repository = Repository::open(shared, key(1)).await.expect("opens");
        let before = whole.contents();
        *misread.left.lock().expect("no holder panics") = 1;
        assert_eq!(repository.repair_keys(false).await.expect("nothing to do"), super::KeysRepaired::default());
        assert_eq!(*misread.left.lock().expect("no holder panics"), 0, "{name} was misread");
        *misread.left.lock().expect("no holder panics") = 1;
        assert_eq!(repository.unreadable_keys().await.expect("read").len(), 0);
        assert_eq!(whole.contents(), before, "{name}");
    }
}

#[tokio::test]
async fn two_who_change_keys_at_once_are_both_heard() {
    let (backend, repository, _) = made().await;
    let code = slot(&repository, "recovery code").await;
    // Just before the list of the one is stored, the other adds a key and removes one.
    let other = repository.clone();
    let is_done = Arc::new(Mutex::new(false));
    let hooked = Hooked::new(backend.clone(), move |step, _| {
        let is_due = matches!(step, Step::Put(Name::KeyList(_)))
            && !std::mem::replace(&mut *is_done.lock().expect("no holder panics"), true);
        let other = other.clone();
        async move {
            if is_due {
                other.add_key(key(2), KdfChoice::Minimal, "").await.expect("added");
                other.remove_key(code).await.expect("removed");
            }
        }
    });
    let one = Repository::open(hooked, key(1)).await.expect("opens");
    one.add_key(key(3), KdfChoice::Minimal, "").await.expect("added");
    assert_eq!(troubles(&backend).await, []);
    one.add_key(key(4), KdfChoice::Minimal, "").await.expect("added");
    assert_eq!(troubles(&backend).await, []);
    assert_eq!(repository.keys().await.expect("keys").len(), 5);
    assert_eq!(backend.list(Area::KeyLists).await.expect("lists").len(), 1, "the next change makes one of them");
}

#[tokio::test]
async fn under_an_older_root_key_no_key_is_made_or_removed_or_called_strange() {
    let (backend, ..) = made().await;
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&states);
    // Cut off when its slots are there, and no list names them yet.
    let hooked = Hooked::new(backend, move |step, objects| {
        if matches!(step, Step::Put(Name::KeyList(_))) {
            seen.lock().expect("no holder panics").push(objects.fork());
        }
        async {}
    });
    let repository = Repository::open(hooked, key(1)).await.expect("opens");
    let options = RotateOptions { recovery: true, ..RotateOptions::default() };
    let rotation = repository.rotate_root_key(key(9), options).await.expect("rotated");
    let state = states.lock().expect("no holder panics").remove(0);
    let before = state.contents();
    let found = troubles(&state).await;
    assert!(found.len() == 2 && found.iter().all(|(trouble, ..)| *trouble == KeyTrouble::RootKeyChanged), "{found:?}");
    assert!(found.iter().any(|(_, slot, _)| *slot == Some(rotation.slot())), "{found:?}");
    let old = open(&state).await;
    assert!(old.check().start().await.expect("a check").root_key_changed);
    for slot in old.keys().await.expect("keys") {
        assert_eq!(old.remove_key(slot.id).await.expect_err("it may be the only one").kind(), Kind::Conflict);
    }
    let refused = [
        old.add_key(key(2), KdfChoice::Minimal, "").await.err(),
        old.add_recovery().await.err(),
        old.change_passphrase(Secret::new("new word"), KdfChoice::Minimal, "").await.err(),
    ];
    for error in refused {
        assert_eq!(error.expect("a way in to a part only").kind(), Kind::Conflict);
    }
    assert_eq!(state.contents(), before);
    let new = Repository::open(Arc::new(state.clone()), key(9)).await.expect("opens");
    for slot in old.keys().await.expect("keys").into_iter().filter(|slot| slot.id != rotation.slot()) {
        new.remove_key(slot.id).await.expect("who holds the new root key may");
    }
    new.add_key(key(2), KdfChoice::Minimal, "").await.expect("added");
    assert_eq!(new.key_findings().await.expect("findings"), []);
}

#[tokio::test]
async fn what_an_interrupted_creation_left_says_nothing() {
    let (first, ..) = made().await;
    let again = MemoryBackend::new();
    for (name, bytes) in
        first.contents().into_iter().filter(|(name, _)| matches!(name.area(), Some(Area::Slots | Area::KeyLists)))
    {
        again.replace(name, bytes);
    }
    Repository::create(Arc::new(again.clone()), key(1), CreateOptions::default()).await.expect("created over it");
    assert_eq!(checked(&again).await, (0, 0));
}

/// A way to change the keys of a repository.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add,
    AddRecovery,
    Remove,
    Passphrase,
    Rotate,
    Repair,
}

async fn make(change: Change, repository: &Repository) {
    match change {
        Change::Add => drop(repository.add_key(key(2), KdfChoice::Minimal, "").await.expect("added")),
        Change::AddRecovery => drop(repository.add_recovery().await.expect("added")),
        Change::Remove => {
            let code = slot(repository, "recovery code").await;
            repository.remove_key(code).await.expect("removed");
        }
        Change::Passphrase => {
            let new = Secret::new("new word");
            repository.change_passphrase(new, KdfChoice::Minimal, "").await.expect("changed");
        }
        Change::Rotate => {
            let options = RotateOptions { recovery: true, ..RotateOptions::default() };
            let rotation = repository.rotate_root_key(key(1), options).await.expect("rotated");
            rotation.remove_old_slots().await.expect("removed");
        }
        Change::Repair => drop(repository.repair_keys(false).await.expect("repaired")),
    }
}

#[tokio::test]
async fn a_change_of_keys_cut_off_anywhere_loses_no_way_in_and_looks_like_no_loss() {
    for change in [Change::Add, Change::AddRecovery, Change::Remove, Change::Passphrase, Change::Rotate, Change::Repair]
    {
        let (backend, repository, code) = made().await;
        back_up(&repository, 1).await;
        if matches!(change, Change::Repair) {
            backend.replace(Name::KeyList(KeyListId::from_bytes([1; 16])), "rot");
        }
        let states = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&states);
        let hooked = Hooked::new(backend, move |step, objects| {
            if matches!(step, Step::Put(_) | Step::Delete(_)) {
                seen.lock().expect("no holder panics").push(objects.fork());
            }
            async {}
        });
        let it = Repository::open(hooked.clone(), key(1)).await.expect("opens");
        make(change, &it).await;
        let states = states.lock().expect("no holder panics").clone();
        assert!(states.len() >= 2, "{change:?}");
        for (at, state) in states.iter().enumerate() {
            let case = format!("{change:?}, cut off before write {at}");
            let (mut problems, mut ways) = (Vec::new(), 0);
            let keys = [
                key(1),
                Key::Passphrase(Secret::new("word")),
                Key::Passphrase(Secret::new("new word")),
                Key::Recovery(Secret::new(code.as_bytes())),
                key(2),
            ];
            for key in keys {
                let shared: Arc<dyn Backend> = Arc::new(state.fork());
                match Repository::open(shared, key).await {
                    Ok(found) => {
                        ways += 1;
                        assert_eq!(found.snapshots().await.expect("listed").len(), 1, "{case}");
                        let report = found.check().start().await.expect("a check");
                        problems.extend(report.problems.into_iter().filter(|problem| {
                            // Sealed under the new root key: newer, and no damage.
                            !problem.message.contains("not at hand") && !matches!(change, Change::Repair)
                        }));
                        // What was cut off can be finished: nothing stays strange.
                        for finding in found.key_findings().await.expect("findings") {
                            if let (Some(slot), false) = (finding.slot, finding.trouble.is_loss()) {
                                found.remove_key(slot).await.unwrap_or_else(|error| match finding.trouble {
                                    KeyTrouble::RootKeyChanged => assert_eq!(error.kind(), Kind::Conflict),
                                    _ => assert_eq!(error.kind(), Kind::Invalid),
                                });
                            }
                        }
                    }
                    Err(error) => assert_eq!(error.kind(), Kind::WrongKey, "{case}"),
                }
            }
            assert!(ways > 0, "{case}: nobody can open it any more");
            assert_eq!(problems, [], "{case}");
        }
    }
}
