//! Promises about taking back a change of the root key: it helps where the new key is lost, and takes nothing that is needed.

use super::KdfChoice;
use super::Repository;
use super::RotateOptions;
use super::hooked::Hooked;
use super::hooked::Step;
use super::rotate_tests::assert_holds;
use super::rotate_tests::back_up;
use super::rotate_tests::key;
use super::rotate_tests::made;
use super::rotate_tests::opened;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use std::sync::Arc;
use std::sync::Mutex;

/// What the store holds before each write of a change of the root key to key 9, and afterwards.
async fn states(backend: &MemoryBackend) -> Vec<MemoryBackend> {
    let states = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&states);
    let hooked = Hooked::new(backend.clone(), move |step, objects: MemoryBackend| {
        if matches!(step, Step::Put(_) | Step::Delete(_)) {
            seen.lock().expect("no holder panics").push(objects.fork());
        }
        async {}
    });
    let repository = Repository::open(hooked, key(1)).await.expect("opens");
    let options = RotateOptions { recovery: true, ..RotateOptions::default() };
    drop(repository.rotate_root_key(key(9), options).await.expect("a new root key"));
    let mut states = states.lock().expect("no holder panics").clone();
    states.push(backend.fork());
    states
}

fn reason(error: &Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

#[tokio::test]
async fn wherever_a_rotation_is_cut_off_whose_key_is_lost_keys_can_be_changed_again() {
    let (backend, repository) = made().await;
    let spare = repository.add_key(key(7), KdfChoice::Minimal, "spare").await.expect("added");
    let states = states(&backend).await;
    assert_eq!(states.len(), 5, "two slots, a list, and the list that it replaces");
    for (at, state) in states.into_iter().enumerate() {
        let old = opened(&state, 1).await;
        if at == 0 {
            let refused = old.undo_root_key_change().await.expect_err("nothing is changed yet");
            assert_eq!(refused.kind(), Kind::Invalid);
            continue;
        }
        let refused = old.add_key(key(2), KdfChoice::Minimal, "").await.expect_err("the root key is changed");
        assert!(refused.advice().is_some_and(|advice| advice.contains("key rotate --undo")), "{refused:?}");
        let removed = old.undo_root_key_change().await.expect("taken back");
        assert_eq!(removed.len(), at.min(2), "state {at}");
        assert_eq!(old.keys().await.expect("keys").len(), 2);
        assert_eq!(old.key_findings().await.expect("findings"), []);
        old.add_key(key(2), KdfChoice::Minimal, "").await.expect("added");
        old.remove_key(spare).await.expect("removed");
        let rotation = old.rotate_root_key(key(3), RotateOptions::default()).await.expect("changed again");
        rotation.remove_old_slots().await.expect("removed");
        back_up(rotation.repository(), 2).await;
        assert_holds(&opened(&state, 3).await, &[1, 2]).await;
        let found = Repository::open(Arc::new(state.clone()), key(9)).await;
        assert_eq!(found.expect_err("it was taken back").kind(), Kind::WrongKey);
    }
}

#[tokio::test]
async fn cut_off_anywhere_the_taking_back_can_be_done_again() {
    let (backend, _) = made().await;
    let state = states(&backend).await.pop().expect("the last one");
    let cut = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&cut);
    let hooked = Hooked::new(state, move |step, objects: MemoryBackend| {
        if matches!(step, Step::Put(_) | Step::Delete(_)) {
            seen.lock().expect("no holder panics").push(objects.fork());
        }
        async {}
    });
    let old = Repository::open(hooked, key(1)).await.expect("opens");
    old.undo_root_key_change().await.expect("taken back");
    let cut = cut.lock().expect("no holder panics").clone();
    assert_eq!(cut.len(), 4, "a list in place of another, and two slots");
    for state in cut {
        let again = opened(&state, 1).await;
        again.undo_root_key_change().await.expect("taken back");
        assert_eq!(again.keys().await.expect("keys").len(), 1);
        assert_eq!(again.key_findings().await.expect("findings"), []);
    }
}

#[tokio::test]
async fn what_is_stored_with_the_new_key_keeps_it_from_being_taken_back() {
    let (backend, old) = made().await;
    let rotation = old.rotate_root_key(key(9), RotateOptions::default()).await.expect("a new root key");
    back_up(rotation.repository(), 2).await;
    let whole = backend.contents();
    let refused = old.undo_root_key_change().await.expect_err("data would be lost");
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert!(refused.advice().is_some_and(|advice| advice.contains("only that key opens it")), "{refused:?}");
    assert_eq!(backend.contents(), whole);
    // What cannot be read may be what was stored with it.
    let (backend, old) = made().await;
    drop(old.rotate_root_key(key(9), RotateOptions::default()).await.expect("a new root key"));
    let snapshot = backend.list(Area::Snapshots).await.expect("listed").remove(0).name;
    backend.replace(snapshot, "rot");
    let whole = backend.contents();
    old.undo_root_key_change().await.expect_err("it may be lost");
    assert_eq!(backend.contents(), whole);
}

#[tokio::test]
async fn what_is_stored_with_the_new_key_meanwhile_brings_it_back() {
    let (backend, old) = made().await;
    let rotation = old.rotate_root_key(key(9), RotateOptions::default()).await.expect("a new root key");
    let (new, slot) = (rotation.repository().clone(), rotation.slot());
    let is_done = Arc::new(Mutex::new(false));
    let hooked = Hooked::new(backend.clone(), move |step, _| {
        let is_due = step == Step::Delete(Name::Slot(slot))
            && !std::mem::replace(&mut *is_done.lock().expect("no holder panics"), true);
        let new = new.clone();
        async move {
            if is_due {
                back_up(&new, 2).await;
            }
        }
    });
    let old = Repository::open(hooked, key(1)).await.expect("opens");
    let refused = old.undo_root_key_change().await.expect_err("data would be lost");
    assert!(refused.kind() == Kind::Conflict && reason(&refused).contains("put back"), "{refused:?}");
    let found = opened(&backend, 9).await;
    assert_holds(&found, &[1, 2]).await;
    assert_eq!(found.key_findings().await.expect("findings"), []);
}
