//! Data keys: one a session and class, wrapped in `keys/data` and in the packs sealed with them, unwrapped once a run.

use super::Store;
use super::small::Door;
use crate::backend::Name;
use crate::class::Class;
use crate::crypto::keys::Purpose;
use crate::crypto::seal::BadDataKey;
use crate::crypto::seal::DataKey;
use crate::crypto::seal::Suite;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::envelope::ObjectType;
use crate::format::pack::OwnTable;
use crate::id::DataKeyId;
use crate::random;
use std::sync::Arc;
use std::sync::PoisonError;

/// A data key in memory, and its stored form for the packs that will name it.
pub(super) struct KnownKey {
    key: Arc<DataKey>,
    wrapped: Vec<u8>,
}

/// A data key that a pack holds, opened: proof that its bytes are worth putting back.
pub(crate) struct KeyCopy {
    pub(crate) key: Arc<DataKey>,
    wrapped: Vec<u8>,
}

impl Store {
    /// Makes a fresh key for this session; durable before it is returned, unless `keep` is false (dry runs).
    pub(crate) async fn new_data_key(&self, class: Class, suite: Suite, keep: bool) -> Result<Arc<DataKey>> {
        let id = DataKeyId::from_bytes(random::array(self.rng())?);
        let key = Arc::new(DataKey::random(id, suite, self.rng())?);
        let name = Name::DataKey(id);
        let wrapped = self.seal_small(&name, wrapping_door(class), &key.wrapped_body())?;
        if keep {
            self.put_key(&name, &wrapped).await?;
        }
        self.remember(&key, wrapped);
        Ok(key)
    }

    /// The key `id` of `class`, from memory or from the backend.
    pub(crate) async fn data_key(&self, id: &DataKeyId, class: Class) -> Result<Arc<DataKey>> {
        if let Some(known) = self.known_data_key(id) {
            return Ok(known);
        }
        self.reread_data_key(id, class).await
    }

    /// The key `id`, if this run has made, read or found it.
    pub(crate) fn known_data_key(&self, id: &DataKeyId) -> Option<Arc<DataKey>> {
        self.data_keys.lock().unwrap_or_else(PoisonError::into_inner).get(id).map(|known| Arc::clone(&known.key))
    }

    /// The key `id` of `class`, from the backend in any case.
    pub(crate) async fn reread_data_key(&self, id: &DataKeyId, class: Class) -> Result<Arc<DataKey>> {
        let name = Name::DataKey(*id);
        let bytes = self.backend.get(&name).await.map_err(|error| match error.kind() {
            Kind::NotFound => Error::damaged(name, "it is missing"),
            _ => error,
        })?;
        let key = self.unwrap_key(id, class, &bytes)?;
        self.remember(&key, bytes.to_vec());
        Ok(key)
    }

    /// Opens the copy of a key that a pack holds; the checks are those of the object itself.
    pub(crate) fn open_key_copy(&self, id: &DataKeyId, class: Class, wrapped: &[u8]) -> Result<KeyCopy> {
        let key = self.unwrap_key(id, class, wrapped)?;
        Ok(KeyCopy { key, wrapped: wrapped.to_vec() })
    }

    /// From now on the copy stands for an object that is lost.
    pub(crate) fn rely_on(&self, copy: &KeyCopy) {
        self.remember(&copy.key, copy.wrapped.clone());
    }

    /// Stores a lost key's object again, to the byte as it was. What stands under its name is left alone: `Conflict`.
    pub(crate) async fn put_key_back(&self, copy: &KeyCopy) -> Result<()> {
        self.put_key(&Name::DataKey(copy.key.id), &copy.wrapped).await
    }

    /// Stores a key's object. Who sleeps for a day before it is read back may find that a prune has taken it: then it is
    /// stored once more, and if that goes likewise the packs to come are what holds it. A store that has it and does not
    /// give it is no store to go on with.
    async fn put_key(&self, name: &Name, wrapped: &[u8]) -> Result<()> {
        let first = self.put_compared(name, wrapped.to_vec()).await;
        if !first.as_ref().is_err_and(|error| error.kind() == Kind::NotFound) {
            return first;
        }
        match self.put_compared(name, wrapped.to_vec()).await {
            Err(error) if error.kind() == Kind::Conflict => first,
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            other => other,
        }
    }

    /// The stored form of a data key for a pack that takes segments over from one which holds it as `copy`: the bytes
    /// of the key's object, or that copy where the object is lost.
    pub(crate) async fn key_to_copy(&self, id: &DataKeyId, class: Class, copy: &[u8]) -> Result<Vec<u8>> {
        match self.data_key(id, class).await {
            Ok(_) => self.wrapped_key(id),
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => Ok(copy.to_vec()),
            Err(error) => Err(error),
        }
    }

    /// The same for all keys of a pack's table, in their order.
    pub(crate) async fn keys_to_copy(&self, old: &OwnTable) -> Result<Vec<Vec<u8>>> {
        let mut all = Vec::with_capacity(old.wrapped_keys.len());
        for (id, copy) in old.table.data_keys.iter().zip(&old.wrapped_keys) {
            all.push(self.key_to_copy(id, old.table.class, copy).await?);
        }
        Ok(all)
    }

    /// The stored bytes of a key that this run has made or read.
    pub(crate) fn wrapped_key(&self, id: &DataKeyId) -> Result<Vec<u8>> {
        let known = self.data_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let wrapped = known.get(id).map(|known| known.wrapped.clone());
        wrapped.ok_or_else(|| Error::new(Kind::Bug, "a pack names a data key that cannot be found"))
    }

    fn unwrap_key(&self, id: &DataKeyId, class: Class, wrapped: &[u8]) -> Result<Arc<DataKey>> {
        let name = Name::DataKey(*id);
        let body = self.open_small(&name, wrapping_door(class), wrapped)?;
        let key = DataKey::from_wrapped_body(*id, &body).map_err(|cause| match cause {
            BadDataKey::Suite(_) => {
                Error::new(Kind::Unsupported, format!("{name} was written by a newer program")).because(cause)
            }
            _ => Error::damaged(name, cause),
        })?;
        Ok(Arc::new(key))
    }

    fn remember(&self, key: &Arc<DataKey>, wrapped: Vec<u8>) {
        let known = KnownKey { key: Arc::clone(key), wrapped };
        self.data_keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.id, known);
    }
}

fn wrapping_door(class: Class) -> Door {
    let purpose = match class {
        Class::Data => Purpose::WrapData,
        Class::Metadata => Purpose::WrapMetadata,
    };
    Door { object_type: ObjectType::DataKey, purpose }
}
