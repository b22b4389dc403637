//! Ways in: listing, adding and removing key slots.

use super::Repository;
use super::create::KdfChoice;
use super::key_lists;
use super::key_lists::StoredSlot;
use super::open::Key;
use super::unlock::slot_key;
use crate::backend::Area;
use crate::backend::Name;
use crate::crypto::keyfile;
use crate::crypto::keyring::Keyring;
use crate::crypto::keys::RootKey;
use crate::crypto::recovery;
use crate::crypto::seal;
use crate::crypto::secret::Secret;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::keylist::ListedSlot;
use crate::format::keyslot;
use crate::format::keyslot::SlotCost;
use crate::format::keyslot::SlotHead;
use crate::format::keyslot::SlotKind;
use crate::id::SlotId;
use crate::random;
use crate::random::Rng;
use crate::store::Store;
use crate::time::Timestamp;
use std::sync::Arc;

/// One way in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeySlot {
    /// Its name.
    pub id: SlotId,
    /// What unlocks it.
    pub kind: SlotKind,
    /// When it was made.
    pub created: Timestamp,
    /// What its owner calls it.
    pub label: String,
    /// The repository was opened through it.
    pub current: bool,
}

/// A new key file's content, for the caller to store.
pub fn generate_key_file(rng: &dyn Rng) -> Result<String> {
    Ok(keyfile::generate(rng)?.0)
}

/// A slot to be made.
pub(super) struct NewSlot {
    pub(super) id: SlotId,
    pub(super) kind: SlotKind,
    pub(super) kdf: KdfChoice,
    pub(super) label: String,
    pub(super) created: Timestamp,
}

impl NewSlot {
    /// One with a random name, of now.
    pub(super) fn new(store: &Store, kind: SlotKind, kdf: KdfChoice, label: &str) -> Result<Self> {
        let id = SlotId::from_bytes(random::array(store.rng())?);
        Ok(Self { id, kind, kdf, label: label.to_owned(), created: store.clock().now() })
    }

    /// The same for a recovery code.
    pub(super) fn recovery(store: &Store) -> Result<Self> {
        Self::new(store, SlotKind::Recovery, KdfChoice::Standard, "recovery code")
    }
}

/// Stores a slot that holds `ring`; read back and compared before it counts, and before a list of slots names it.
pub(super) async fn new_slot(store: &Store, ring: &Keyring, secret: &Arc<Secret>, slot: NewSlot) -> Result<StoredSlot> {
    let NewSlot { id, kind, kdf, label, created } = slot;
    let name = Name::Slot(id);
    let cost = if kind == SlotKind::Passphrase { kdf.cost() } else { SlotCost::default() };
    let salt = random::array(store.rng())?;
    let slot_key = slot_key(kind, secret, cost, salt).await?;
    let earlier: Vec<&[u8; 32]> = ring.earlier().iter().map(RootKey::expose).collect();
    let body = keyslot::bundle_encode(ring.present().expose(), &earlier);
    let head = SlotHead {
        kind,
        repository: store.repository(),
        cost,
        salt,
        commitment: slot_key.commitment(),
        nonce: random::array(store.rng())?,
        created,
        label,
    };
    let mut bytes = head
        .encode(body.len() + seal::TAG_BYTES)
        .map_err(|cause| Error::new(Kind::Invalid, "make a key slot").because(cause))?;
    let aad = keyslot::aad(&bytes, &name.to_string());
    let sealed = seal::seal_object(&slot_key.sealing_key(), &aad, head.nonce, &body);
    bytes.extend_from_slice(&sealed);
    bytes.extend_from_slice(&keyslot::sum(&bytes));
    let stored = StoredSlot::new(id, &head, &bytes);
    store.put_compared(&name, bytes).await?;
    Ok(stored)
}

/// Whether a slot lets somebody in, as far as this program can tell.
fn is_way_in(slot: &Result<SlotHead>) -> bool {
    slot.as_ref().is_ok_and(|head| head.kind != SlotKind::Recipient)
}

impl Repository {
    /// All ways in that can be read; [`Self::unreadable_keys`] names the others.
    pub async fn keys(&self) -> Result<Vec<KeySlot>> {
        let mut slots = Vec::new();
        for (id, outcome) in self.read_slots().await? {
            if let Ok(head) = outcome {
                slots.push(KeySlot {
                    id,
                    kind: head.kind,
                    created: head.created,
                    label: head.label,
                    current: id == self.inner.slot,
                });
            }
        }
        slots.sort_by_key(|slot| (slot.created, slot.id));
        Ok(slots)
    }

    /// Slots that do not read as slots, and why: nothing opens the repository through them any more, unless a newer
    /// program wrote them.
    pub async fn unreadable_keys(&self) -> Result<Vec<(SlotId, Error)>> {
        let slots = self.read_slots().await?;
        Ok(slots.into_iter().filter_map(|(id, outcome)| outcome.err().map(|error| (id, error))).collect())
    }

    /// Adds a way in: a passphrase or a key file. One that opens the repository already is refused: of two slots for one
    /// secret the other would still open when the first is removed.
    pub async fn add_key(&self, key: Key, kdf: KdfChoice, label: &str) -> Result<SlotId> {
        self.check_writable().await?;
        let kind = key.kind();
        if kind == SlotKind::Recovery {
            return Err(Error::new(Kind::Invalid, "a recovery code is made, not chosen"));
        }
        self.check_slot().await?;
        self.check_root_key("cannot make a new key").await?;
        let secret = Arc::new(key.into_slot_secret()?);
        if let Some(known) = self.slot_of(kind, &secret).await? {
            return Err(Error::new(Kind::Conflict, "cannot add this key")
                .because(format!("it opens the repository already, as the key {known}"))
                .advise("choose another one; 'strongroom key list' shows what there is"));
        }
        let slot = NewSlot::new(self.store(), kind, kdf, label)?;
        let stored = new_slot(self.store(), &self.inner.ring, &secret, slot).await?;
        let id = stored.id;
        self.relist(|list| stored.add_to(list)).await?;
        Ok(id)
    }

    /// Makes a new recovery code. It is shown once and stored nowhere.
    pub async fn add_recovery(&self) -> Result<(SlotId, String)> {
        self.check_writable().await?;
        self.check_slot().await?;
        self.check_root_key("cannot make a new key").await?;
        let (code, secret) = recovery::generate(self.store().rng())?;
        let slot = NewSlot::recovery(self.store())?;
        let stored = new_slot(self.store(), &self.inner.ring, &Arc::new(secret), slot).await?;
        let id = stored.id;
        self.relist(|list| stored.add_to(list)).await?;
        Ok((id, code))
    }

    /// Removes a way in. The last one stays: without it everything is lost. Whoever has copied the slot and knows
    /// its secret can still open the repository.
    pub async fn remove_key(&self, id: SlotId) -> Result<()> {
        self.check_root_key(&format!("cannot remove key {id}")).await?;
        self.remove_slot(id).await
    }

    /// The same, whether or not the root key was changed once more meanwhile: for slots that were there before a change.
    pub(super) async fn remove_slot(&self, id: SlotId) -> Result<()> {
        self.check_writable().await?;
        let slots = self.read_slots().await?;
        let Some((_, head)) = slots.iter().find(|(slot, _)| *slot == id) else {
            let listed = key_lists::read(self.store()).await?;
            if listed.slots.0.get(&id).is_some_and(ListedSlot::is_there) {
                // It is gone already: now that is what is wanted.
                return self.relist(|list| list.remove(id)).await;
            }
            return Err(Error::new(Kind::NotFound, format!("there is no key {id}")));
        };
        let refused = |kind| Error::new(kind, format!("cannot remove key {id}"));
        let is_readable = match head {
            Ok(_) => true,
            Err(error) if error.kind() == Kind::Damaged => false,
            Err(error) => return Err(refused(error.kind()).because(error.to_string())),
        };
        if !slots.iter().any(|(other, head)| *other != id && is_way_in(head)) {
            // A slot that cannot be read is the better reason.
            return Err(slots
                .into_iter()
                .filter(|(other, _)| *other != id)
                .find_map(|(_, head)| head.err())
                .unwrap_or_else(|| {
                    refused(Kind::Invalid).because("it is the only one: nobody could open the repository any more")
                }));
        }
        let name = Name::Slot(id);
        let backend = self.store().backend();
        if !is_readable {
            // Nothing opens through it, so it is never put back.
            self.relist(|list| list.remove_unseen(id)).await?;
            return backend.delete(&name).await;
        }
        let bytes = backend.get(&name).await?;
        // They may have to go back, and then they must be what was stored: a store that misreads is found out before.
        let (head, ..) = SlotHead::decode(&bytes).map_err(|cause| cause.while_reading(name))?;
        let stored = StoredSlot::new(id, &head, &bytes);
        if backend.get(&name).await? != bytes {
            return Err(Error::damaged(name, "it reads differently the second time"));
        }
        // From here on nobody misses it, and whoever finds it knows that it should be gone.
        self.relist(|list| list.remove_unseen(id)).await?;
        backend.delete(&name).await?;
        // Others may have removed the other keys since they were counted. Whoever deletes last sees here that nothing
        // is left; the same bytes go back under their name, which nobody else can have taken.
        let left = self.read_slots().await.map(|mut left| {
            left.retain(|(other, _)| *other != id);
            left
        });
        if left.as_ref().is_ok_and(|left| left.iter().any(|(_, head)| is_way_in(head))) {
            return Ok(());
        }
        self.store().put_compared(&name, bytes.to_vec()).await?;
        self.relist(|list| stored.add_to(list)).await?;
        // A slot that cannot be read is the better reason.
        Err(match left?.into_iter().find_map(|(_, head)| head.err()) {
            Some(damaged) => damaged,
            None => refused(Kind::Conflict).because("no other key was left afterwards, so it was put back"),
        })
    }

    /// Replaces the slot the repository was opened with by one for a new passphrase.
    pub async fn change_passphrase(&self, new: Secret, kdf: KdfChoice, label: &str) -> Result<SlotId> {
        let id = self.add_key(Key::Passphrase(new), kdf, label).await?;
        self.remove_key(self.inner.slot).await?;
        Ok(id)
    }

    /// A program that was opened with a key that is gone by now makes no new ones: the root key may have been changed,
    /// and a slot without the new one would be a way in to a part only.
    pub(super) async fn check_slot(&self) -> Result<()> {
        match self.store().backend().stat(&Name::Slot(self.inner.slot)).await? {
            Some(_) => Ok(()),
            None => Err(Error::new(Kind::Conflict, "cannot make a new key")
                .because(format!("the key {} that opened the repository was removed meanwhile", self.inner.slot))),
        }
    }

    /// Whether there is a newer root key than this program holds: the first slot under it has a name that follows from the
    /// one before. Whether that slot can be read does not matter.
    pub(super) async fn is_root_key_changed(&self) -> Result<bool> {
        let next = Name::Slot(self.inner.ring.present().next_slot(&self.id()));
        Ok(self.store().backend().stat(&next).await?.is_some())
    }

    /// Whoever lacks the newer root key makes keys that open a part only, and cannot tell the keys that open everything
    /// from those of a stranger: it removes none, for it may be the only one.
    async fn check_root_key(&self, doing: &str) -> Result<()> {
        if self.is_root_key_changed().await? {
            return Err(Error::new(Kind::Conflict, doing)
                .because("the root key was changed meanwhile; open the repository with the new key first"));
        }
        Ok(())
    }

    async fn read_slots(&self) -> Result<Vec<(SlotId, Result<SlotHead>)>> {
        let slots = self.read_stored_slots().await?;
        Ok(slots.into_iter().map(|(id, outcome)| (id, outcome.map(|(head, _)| head))).collect())
    }

    /// Every slot of this repository, with what a list of slots says of such a one.
    pub(super) async fn read_stored_slots(&self) -> Result<Vec<(SlotId, Result<(SlotHead, StoredSlot)>)>> {
        let mut slots = Vec::new();
        for listed in self.store().list(Area::Slots).await? {
            let Name::Slot(id) = listed.name else { continue };
            // Damage is believed only when a second reading finds it too: it is a reason to take a slot away.
            let read = match self.read_slot(id).await {
                Err(error) if error.kind() == Kind::Damaged => self.read_slot(id).await,
                other => other,
            };
            match read {
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) if !matches!(error.kind(), Kind::Damaged | Kind::Unsupported | Kind::BackendDenied) => {
                    return Err(error);
                }
                // A slot of another repository is what an interrupted creation left behind.
                Ok((head, _)) if head.repository != self.id() => {}
                read => slots.push((id, read)),
            }
        }
        Ok(slots)
    }

    async fn read_slot(&self, id: SlotId) -> Result<(SlotHead, StoredSlot)> {
        let name = Name::Slot(id);
        let bytes = self.store().backend().get(&name).await?;
        let (head, ..) = SlotHead::decode(&bytes).map_err(|cause| cause.while_reading(name))?;
        let stored = StoredSlot::new(id, &head, &bytes);
        Ok((head, stored))
    }
}
