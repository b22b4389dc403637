//! The lists of key slots: what they say together, how a change is told, and what is there instead.

use super::Repository;
use crate::backend::Area;
use crate::backend::Name;
use crate::crypto::name::object_hash;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::keylist::KeyList;
use crate::format::keylist::ListedSlot;
use crate::format::keyslot::SlotHead;
use crate::format::keyslot::SlotKind;
use crate::id::KeyListId;
use crate::id::SlotId;
use crate::random;
use crate::store::Store;

/// Times that the lists are read, where each time one had gone before it was read.
const TRIES_MAX: usize = 5;

/// A slot as it was stored: what a list says of it.
#[derive(Clone, Debug)]
pub(super) struct StoredSlot {
    pub(super) id: SlotId,
    hash: [u8; 32],
    kind: SlotKind,
    label: String,
}

impl StoredSlot {
    pub(super) fn new(id: SlotId, head: &SlotHead, bytes: &[u8]) -> Self {
        Self { id, hash: object_hash([bytes]), kind: head.kind, label: head.label.clone() }
    }

    /// Has a list say that it is there.
    pub(super) fn add_to(&self, list: &mut KeyList) {
        list.add(self.id, self.hash, self.kind, &self.label);
    }
}

/// What all lists say together.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) slots: KeyList,
    /// The lists that were read.
    pub(super) read: Vec<Name>,
    /// Those that cannot be read, and why.
    pub(super) unread: Vec<(Name, Error)>,
    /// A listing was out of date, as it may be on some stores: there are newer lists than it showed.
    is_stale: bool,
}

/// Reads all lists. Of what cannot be read nothing is concluded.
pub(super) async fn read(store: &Store) -> Result<Listed> {
    let mut tries = 1;
    loop {
        let (mut listed, mut missing) = (Listed::default(), Vec::new());
        for object in store.list(Area::KeyLists).await? {
            match read_list(store, &object.name).await {
                Ok(Some(list)) => {
                    listed.slots.merge(list);
                    listed.read.push(object.name);
                }
                Ok(None) => {}
                Err(error) if error.kind() == Kind::NotFound => missing.push(object.name),
                Err(error) if error.is_local() || error.kind() == Kind::BackendDenied => {
                    listed.unread.push((object.name, error));
                }
                Err(error) => return Err(error),
            }
        }
        // A list that has gone meanwhile was taken into another one, which was there before.
        if missing.is_empty() {
            return Ok(listed);
        }
        if tries == TRIES_MAX {
            listed.is_stale = !store.lists_at_once();
            if !listed.is_stale {
                listed.unread.extend(store.still_listed(Area::KeyLists, &missing).await?);
            }
            return Ok(listed);
        }
        tries += 1;
    }
}

/// One list; `None` is another repository's. Damage is believed only when a second reading finds it too: a repair deletes
/// what is damaged.
async fn read_list(store: &Store, name: &Name) -> Result<Option<KeyList>> {
    match read_once(store, name).await {
        Err(error) if error.kind() == Kind::Damaged => read_once(store, name).await,
        other => other,
    }
}

async fn read_once(store: &Store, name: &Name) -> Result<Option<KeyList>> {
    let body = store.get_small_of_ours(name).await?;
    body.map(|body| KeyList::decode(&body).map_err(|cause| cause.while_reading(name))).transpose()
}

/// Stores a list that says what all say, and what has changed; then those go that it has taken in. Two who do this at once
/// leave two lists, which say together what each of them says.
pub(super) async fn change(store: &Store, change: impl FnOnce(&mut KeyList) + Send) -> Result<()> {
    let listed = read(store).await?;
    let mut slots = listed.slots.clone();
    change(&mut slots);
    if slots == listed.slots && listed.read.len() <= 1 {
        // Whoever stored what says it may have been cut off before it was durable.
        return store.barrier_for(Area::KeyLists).await;
    }
    replace(store, &slots, listed.read).await
}

/// Stores a list in place of others.
pub(super) async fn replace(store: &Store, slots: &KeyList, old: Vec<Name>) -> Result<()> {
    let name = Name::KeyList(KeyListId::from_bytes(random::array(store.rng())?));
    // A list must not outlast a slot that it names, nor what is deleted because of it the list: who stored either may have
    // seen it before it was durable.
    store.barrier_for(Area::Slots).await?;
    store.put_small(&name, &slots.encode()).await?;
    store.barrier_for(Area::KeyLists).await?;
    for name in old {
        match store.backend().delete(&name).await {
            // What it says is said again; it does no harm.
            Err(error) if error.kind() == Kind::BackendDenied => {}
            other => other?,
        }
    }
    Ok(())
}

/// What is not as it should be with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyTrouble {
    /// A key slot that should be there is not.
    Missing,
    /// It is damaged.
    Damaged,
    /// It is a sound slot, and not the one that was stored.
    Changed,
    /// A newer program has made it, or a list.
    Newer,
    /// No list of the keys names it.
    Unlisted,
    /// It was removed, and is there.
    NotRemoved,
    /// The root key was changed after the key in use was made: it may be one of the new keys, which only they can tell.
    RootKeyChanged,
    /// A list of the keys is damaged, or there is none.
    List,
}

impl KeyTrouble {
    /// Whether something is lost or damaged, or may be. Otherwise there is more than there should be.
    pub fn is_loss(self) -> bool {
        !matches!(self, Self::Unlisted | Self::NotRemoved | Self::RootKeyChanged)
    }
}

/// Something that is not as it should be with the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyFinding {
    /// Which object.
    pub object: String,
    /// Which key, unless it is about a list of them.
    pub slot: Option<SlotId>,
    /// Of what sort it is.
    pub trouble: KeyTrouble,
    /// What is wrong and what follows from it.
    pub message: String,
}

impl KeyFinding {
    fn of(slot: SlotId, trouble: KeyTrouble, message: String) -> Self {
        Self { object: Name::Slot(slot).to_string(), slot: Some(slot), trouble, message }
    }
}

/// A key as people know it.
pub(super) fn way(listed: &ListedSlot) -> String {
    described(&listed.word(), &listed.label)
}

/// The same of a kind and a label.
pub(super) fn described(word: &str, label: &str) -> String {
    match (word, label) {
        (word, label) if label.is_empty() || label == word => format!("the {word}"),
        (word, label) => format!("the {word} '{label}'"),
    }
}

impl Repository {
    /// Compares the key slots that are there with the lists of those that should be. Keys come and go while others look:
    /// what is found twice counts.
    pub async fn key_findings(&self) -> Result<Vec<KeyFinding>> {
        let mut found = self.look_at_keys().await?;
        if !found.is_empty() {
            let again = self.look_at_keys().await?;
            found.retain(|finding| again.contains(finding));
        }
        Ok(found)
    }

    async fn look_at_keys(&self) -> Result<Vec<KeyFinding>> {
        let Listed { slots: listed, read: lists, unread, is_stale } = read(self.store()).await?;
        let stored = self.read_stored_slots().await?;
        let is_changed = self.is_root_key_changed().await?;
        let mut findings = Vec::new();
        for (name, error) in unread {
            let trouble = if error.kind() == Kind::Unsupported { KeyTrouble::Newer } else { KeyTrouble::List };
            let message = format!("{}: a key that only it names is not missed when it is lost", why(&error));
            findings.push(KeyFinding { object: name.to_string(), slot: None, trouble, message });
        }
        if lists.is_empty() && findings.is_empty() && !is_stale {
            let message = "there is no list of the keys: one that is lost is not missed".to_owned();
            let object = Area::KeyLists.to_string();
            findings.push(KeyFinding { object, slot: None, trouble: KeyTrouble::List, message });
        }
        for (id, outcome) in &stored {
            let known = listed.0.get(id).filter(|known| known.is_there());
            findings.extend(match (outcome, known) {
                (Err(error), known) => Some(unreadable(*id, error, known)),
                (Ok((_, stored)), Some(known)) if stored.hash == known.hash => None,
                (Ok(_), Some(known)) => Some(KeyFinding::of(*id, KeyTrouble::Changed, changed(known))),
                // Where no list can be read, or newer ones are not listed yet, it is no wonder.
                (Ok(_), None) if lists.is_empty() || is_stale => None,
                // Whoever lacks the new root key cannot read the lists under it: nothing to be removed on that.
                (Ok(_), None) if is_changed => {
                    Some(KeyFinding::of(*id, KeyTrouble::RootKeyChanged, ROOT_KEY_CHANGED.to_owned()))
                }
                (Ok(_), None) if listed.0.contains_key(id) => {
                    Some(KeyFinding::of(*id, KeyTrouble::NotRemoved, NOT_REMOVED.to_owned()))
                }
                (Ok((head, _)), None) => {
                    let text = format!("no list names {}: {UNLISTED}", described(head.kind.word(), &head.label));
                    Some(KeyFinding::of(*id, KeyTrouble::Unlisted, text))
                }
            });
        }
        let is_gone = |id: &SlotId| !is_stale && !stored.iter().any(|(stored, _)| stored == id);
        for (id, known) in listed.0.iter().filter(|(id, known)| known.is_there() && is_gone(id)) {
            // A listing may be out of date.
            if self.store().backend().stat(&Name::Slot(*id)).await?.is_some() && !self.store().lists_at_once() {
                continue;
            }
            let text = format!("it is missing: {} opens nothing any more", way(known));
            findings.push(KeyFinding::of(*id, KeyTrouble::Missing, text));
        }
        Ok(findings)
    }

    /// Has the lists of the keys say what has changed. They say of the key in use that it is there: whoever made it may have
    /// died before that, and it has shown that it opens the repository.
    pub(super) async fn relist(&self, change: impl FnOnce(&mut KeyList) + Send) -> Result<()> {
        let slots = self.read_stored_slots().await?;
        let own = slots.into_iter().find(|(id, _)| *id == self.inner.slot).and_then(|(_, outcome)| outcome.ok());
        self::change(self.store(), |list| {
            if let Some((_, own)) = own.filter(|own| !list.0.contains_key(&own.1.id)) {
                own.add_to(list);
            }
            change(list);
        })
        .await
    }
}

const NOT_REMOVED: &str = "it was removed, and still opens the repository: its removal was cut off, or somebody has put it \
                           back";
const ROOT_KEY_CHANGED: &str =
    "the root key was changed: unlock with the new key to see whether this one belongs to it";
const UNLISTED: &str = "making it was cut off, or somebody without a key of the repository has put it there";

fn changed(known: &ListedSlot) -> String {
    format!(
        "it is not what was stored: {} may open nothing any more, and somebody has put another in its place",
        way(known)
    )
}

fn why(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn unreadable(id: SlotId, error: &Error, known: Option<&ListedSlot>) -> KeyFinding {
    let trouble = if error.kind() == Kind::Unsupported { KeyTrouble::Newer } else { KeyTrouble::Damaged };
    let message = match known {
        Some(known) if error.kind() == Kind::Damaged => {
            format!("{}: {} opens nothing any more", why(error), way(known))
        }
        _ => why(error),
    };
    KeyFinding::of(id, trouble, message)
}
