//! A new root key: new slots first, the old ones last, and nothing that is stored is touched.

use super::Inner;
use super::Repository;
use super::create::KdfChoice;
use super::keys::NewSlot;
use super::keys::new_slot;
use super::open::Key;
use super::unlock::open_slot;
use crate::backend::Area;
use crate::backend::Name;
use crate::crypto::keyring::Keyring;
use crate::crypto::keyring::UnknownKey;
use crate::crypto::keys::Purpose;
use crate::crypto::keys::RootKey;
use crate::crypto::recovery;
use crate::crypto::secret::Secret;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::envelope::Head;
use crate::format::index_parts;
use crate::format::keyslot::EARLIER_MAX;
use crate::format::keyslot::SlotKind;
use crate::id::SlotId;
use crate::time::Timestamp;
use std::sync::Arc;

/// How to make the slots of a new root key.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RotateOptions {
    /// For a passphrase.
    pub kdf: KdfChoice,
    /// What the new slot is called.
    pub label: String,
    /// Whether to make a new recovery code.
    pub recovery: bool,
}

/// A root key that was changed. The old slots are still there: they open what was stored before, and nothing that is
/// stored from now on through [`Self::repository`].
#[must_use = "the old slots stay until `remove_old_slots`"]
pub struct Rotation {
    repository: Repository,
    slot: SlotId,
    recovery_code: Option<String>,
    old: Vec<SlotId>,
}

impl Rotation {
    /// The repository, open under the new root key.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The new slot of the key that was given.
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// The new recovery code, if one was wanted. It is shown once and stored nowhere.
    pub fn recovery_code(&self) -> Option<&str> {
        self.recovery_code.as_deref()
    }

    /// Removes the slots that were there before; gives those removed. Whoever unlocked with one of them needs a new key
    /// (`Repository::add_key`). May be repeated after an error.
    pub async fn remove_old_slots(&self) -> Result<Vec<SlotId>> {
        let mut removed = Vec::new();
        for slot in &self.old {
            match self.repository.remove_slot(*slot).await {
                Ok(()) => removed.push(*slot),
                // Somebody else has removed it.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

impl std::fmt::Debug for Rotation {
    /// The recovery code is a secret and does not print.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rotation").field("slot", &self.slot).field("old", &self.old).finish_non_exhaustive()
    }
}

impl Repository {
    /// Makes a new root key and a slot for it that `key` opens, which may be the key in use. What is stored from now on
    /// by whoever opens that slot cannot be read with the old root key; what was stored before stays as it is, and opens
    /// for both, until a prune seals it anew (`PruneBuilder::reencrypt`). Programs that are open go on under the old root key. [`Rotation::remove_old_slots`] ends it; until then,
    /// and wherever it stops, both ways in work.
    pub async fn rotate_root_key(&self, key: Key, options: RotateOptions) -> Result<Rotation> {
        let refused = |kind| Error::new(kind, "cannot change the root key");
        self.check_writable().await?;
        self.check_slot().await?;
        let kind = key.kind();
        if kind == SlotKind::Recovery {
            return Err(
                refused(Kind::Invalid).because("a recovery code is made, not chosen: give a password or key file")
            );
        }
        if self.inner.ring.earlier().len() >= EARLIER_MAX {
            return Err(
                refused(Kind::Invalid).because(format!("it was changed {EARLIER_MAX} times, and slots hold no more"))
            );
        }
        // What cannot be read would stay, and might be read again one day.
        if let Some((_, error)) = self.unreadable_keys().await?.into_iter().next() {
            return Err(error);
        }
        let old = self.keys().await?;
        self.check_all_keys_at_hand().await?;
        let secret = Arc::new(key.into_slot_secret()?);
        let store = self.store();
        let ring = self.inner.ring.rotated(RootKey::random(store.rng())?);
        let created = after_all(store.clock().now(), old.iter().map(|slot| slot.created));
        let claimed = self.inner.ring.present().next_slot(&self.id());
        let slot = NewSlot { id: claimed, kind, kdf: options.kdf, label: options.label, created };
        let first = new_slot(store, &ring, &secret, slot).await.map_err(|error| match error.kind() {
            Kind::Conflict => refused(Kind::Conflict)
                .because(format!("an earlier attempt made the key {claimed}: unlock with its secret")),
            _ => error,
        })?;
        let slot = first.id;
        self.check_opens(slot, &secret, &ring).await?;
        let mut recovery = None;
        if options.recovery {
            let (code, secret) = recovery::generate(store.rng())?;
            let secret = Arc::new(secret);
            let stored = new_slot(store, &ring, &secret, NewSlot { created, ..NewSlot::recovery(store)? }).await?;
            self.check_opens(stored.id, &secret, &ring).await?;
            recovery = Some((code, stored));
        }
        let Inner { options: limits, public, private, read_only_because, .. } = &*self.inner;
        let store = Arc::new(store.rekeyed(ring.derive(&self.id())));
        let inner = Inner {
            ring,
            slot,
            options: limits.clone(),
            newer_not_tried: Vec::new(),
            public: public.clone(),
            private: private.clone(),
            read_only_because: read_only_because.clone(),
        };
        let repository = Self { store, inner: Arc::new(inner) };
        // Under the new root key: whoever holds only the old one cannot say what keys there are.
        repository
            .relist(|list| {
                first.add_to(list);
                recovery.iter().for_each(|(_, stored)| stored.add_to(list));
            })
            .await?;
        let old = old.into_iter().map(|slot| slot.id).collect();
        Ok(Rotation { repository, slot, recovery_code: recovery.map(|(code, _)| code), old })
    }

    /// The old slots may go only if the new one opens to all their keys.
    async fn check_opens(&self, id: SlotId, secret: &Arc<Secret>, ring: &Keyring) -> Result<()> {
        let name = Name::Slot(id);
        let bytes = self.store().backend().get(&name).await?;
        match open_slot(id, &bytes, secret).await? {
            Some(opened) if opened.is_same(ring) => Ok(()),
            _ => Err(Error::damaged(name, "it does not open right after it was stored")),
        }
    }

    /// Whoever lacks a root key that something is sealed under would make slots without it, and then take the others
    /// away. Objects that are damaged say nothing about keys.
    async fn check_all_keys_at_hand(&self) -> Result<()> {
        let store = self.store();
        let (keys, backend) = (store.keys(), store.backend());
        let index_head = u64::try_from(index_parts::HEAD_BYTES).unwrap_or(u64::MAX);
        let opens = |purpose, id: &[u8; 16]| keys.opening(purpose, id).is_some();
        for area in [Area::DataKeys, Area::Snapshots, Area::Pending, Area::Marks, Area::Tombs, Area::Index] {
            for listed in store.list(area).await? {
                let front = match area {
                    Area::Index => backend.get_range(&listed.name, 0, index_head).await,
                    _ => backend.get(&listed.name).await,
                };
                let front = match front {
                    Ok(front) => front,
                    Err(error) if error.is_local() => continue,
                    Err(error) => return Err(error),
                };
                let is_known = match area {
                    Area::Index => {
                        index_parts::head_decode(&front).map_or(true, |head| opens(Purpose::Index, &head.key_id))
                    }
                    Area::DataKeys => Head::decode(&front).map_or(true, |(head, _)| {
                        opens(Purpose::WrapData, &head.key_id) || opens(Purpose::WrapMetadata, &head.key_id)
                    }),
                    _ => Head::decode(&front).map_or(true, |(head, _)| opens(Purpose::Roots, &head.key_id)),
                };
                if !is_known {
                    return Err(
                        Error::new(Kind::Unsupported, format!("cannot open {}", listed.name)).because(UnknownKey)
                    );
                }
            }
        }
        Ok(())
    }
}

/// A time after all others, whatever the clock says: the newest slot is the one that is tried first.
fn after_all(now: Timestamp, others: impl Iterator<Item = Timestamp>) -> Timestamp {
    let after = |time: Timestamp| Timestamp { seconds: time.seconds.saturating_add(1), nanoseconds: 0 };
    others.map(after).fold(now, Timestamp::max)
}
