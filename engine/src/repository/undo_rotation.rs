//! Taking back a change of the root key that was cut off before anything was stored under it, and whose key is lost.

use super::Repository;
use super::key_lists;
use super::key_lists::StoredSlot;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::id::SlotId;
use bytes::Bytes;

/// A slot under the new root key, to be put back if it turns out to be needed.
struct Doomed {
    stored: StoredSlot,
    bytes: Bytes,
}

impl Repository {
    /// Takes a change of the root key back that somebody began after the key in use was made: the slots that hold the new
    /// root key are removed, and gives which. Refused where anything is sealed under a root key that this program does not
    /// hold, or cannot be read, since that may be so then. Meant for a change that was cut off, where the secret of the new
    /// slot is lost: until it is taken back no key is added or removed. Who holds the new key needs no such thing.
    ///
    /// The list of keys then names every key that is left, where that of the new root key had replaced all others.
    pub async fn undo_root_key_change(&self) -> Result<Vec<SlotId>> {
        self.check_writable().await?;
        if !self.is_root_key_changed().await? {
            return Err(refused(Kind::Invalid).because("nobody has changed it since the key in use was made"));
        }
        self.check_nothing_is_lost().await?;
        let (doomed, unreadable) = self.slots_of_the_new_root_key().await?;
        self.list_without(&doomed, &unreadable).await?;
        let mut removed = unreadable;
        removed.extend(doomed.iter().map(|slot| slot.stored.id));
        // The one that shows the change goes last: cut off before, this can be done again.
        let next = self.inner.ring.present().next_slot(&self.id());
        removed.sort_by_key(|id| (*id == next, *id));
        for id in &removed {
            self.store().backend().delete(&Name::Slot(*id)).await?;
        }
        // Whoever holds the new key may have used it meanwhile.
        if let Err(error) = self.check_nothing_is_lost().await {
            self.put_back(&doomed, next).await?;
            return Err(refused(Kind::Conflict).because(format!("{error}; the keys were put back")));
        }
        Ok(removed)
    }

    /// The slot of this program stands, and everything that is stored opens with it.
    async fn check_nothing_is_lost(&self) -> Result<()> {
        let slots = self.read_stored_slots().await?;
        if !slots.iter().any(|(id, outcome)| *id == self.inner.slot && outcome.is_ok()) {
            return Err(refused(Kind::Conflict)
                .because(format!("the key {} that opened the repository is gone or damaged", self.inner.slot)));
        }
        self.check_all_keys_at_hand(true).await.map_err(|error| match error.kind() {
            Kind::Unsupported => refused(Kind::Unsupported)
                .because(error.in_one_line())
                .advise("something was stored with the new key, and only that key opens it: unlock with it"),
            _ => error,
        })
    }

    /// The slots that hold the new root key: the first one, and what is dated as it is or later, since no other key was made
    /// from then on. The others are those that cannot be read.
    async fn slots_of_the_new_root_key(&self) -> Result<(Vec<Doomed>, Vec<SlotId>)> {
        let next = self.inner.ring.present().next_slot(&self.id());
        let slots = self.read_stored_slots().await?;
        let first = slots.iter().find(|(id, _)| *id == next);
        let began = first.and_then(|(_, outcome)| outcome.as_ref().ok()).map(|(head, _)| head.created);
        let (mut doomed, mut unreadable) = (Vec::new(), Vec::new());
        for (id, outcome) in slots.into_iter().filter(|(id, _)| *id != self.inner.slot) {
            match outcome {
                Ok((head, stored)) if id == next || began.is_some_and(|began| head.created >= began) => {
                    doomed.push(Doomed { stored, bytes: self.store().backend().get(&Name::Slot(id)).await? });
                }
                Err(error) if id == next && error.kind() == Kind::Damaged => unreadable.push(id),
                Err(error) if id == next => return Err(error),
                _ => {}
            }
        }
        Ok((doomed, unreadable))
    }

    /// A list that says so, in place of all that say something else or are sealed under the new root key.
    async fn list_without(&self, doomed: &[Doomed], unreadable: &[SlotId]) -> Result<()> {
        let listed = key_lists::read(self.store()).await?;
        let (mut slots, mut old) = (listed.slots, listed.read);
        let is_lost = old.is_empty();
        for (name, _) in listed.unread {
            if key_lists::is_under_another_root_key(self.store(), &name).await? {
                old.push(name);
            }
        }
        let going: Vec<SlotId> = doomed.iter().map(|slot| slot.stored.id).chain(unreadable.iter().copied()).collect();
        for (id, outcome) in self.read_stored_slots().await? {
            if let Ok((_, stored)) = outcome
                && !going.contains(&id)
                && (is_lost || id == self.inner.slot)
            {
                stored.add_to(&mut slots);
            }
        }
        going.iter().for_each(|id| slots.remove_unseen(*id));
        key_lists::replace(self.store(), &slots, old).await
    }

    /// The same bytes under their names; the first slot of the new root key before all others.
    async fn put_back(&self, doomed: &[Doomed], next: SlotId) -> Result<()> {
        let mut slots: Vec<&Doomed> = doomed.iter().collect();
        slots.sort_by_key(|slot| (slot.stored.id != next, slot.stored.id));
        for slot in &slots {
            self.store().put_compared(&Name::Slot(slot.stored.id), slot.bytes.to_vec()).await?;
        }
        self.relist(|list| slots.iter().for_each(|slot| slot.stored.add_to(list))).await
    }
}

fn refused(kind: Kind) -> Error {
    Error::new(kind, "cannot take back the change of the root key")
}
