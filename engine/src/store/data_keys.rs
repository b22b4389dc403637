//! Data keys: one a session and class, wrapped in `keys/data`, unwrapped once a run.

use super::Store;
use super::small::Door;
use crate::backend::Name;
use crate::class::Class;
use crate::crypto::seal::BadDataKey;
use crate::crypto::seal::DataKey;
use crate::crypto::seal::Suite;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::envelope::ObjectType;
use crate::id::DataKeyId;
use crate::random;
use std::sync::Arc;
use std::sync::PoisonError;

impl Store {
    /// Makes a fresh key for this session; durable before it is returned, unless `keep` is false (dry runs).
    pub(crate) async fn new_data_key(&self, class: Class, suite: Suite, keep: bool) -> Result<Arc<DataKey>> {
        let id = DataKeyId::from_bytes(random::array(self.rng())?);
        let key = Arc::new(DataKey::random(id, suite, self.rng())?);
        if keep {
            let name = Name::DataKey(id);
            let bytes = self.seal_small(&name, &self.wrapping_door(class), &key.wrapped_body())?;
            self.put_compared(&name, bytes).await?;
        }
        self.remember(&key);
        Ok(key)
    }

    /// The key `id` of `class`, from memory or from the backend.
    pub(crate) async fn data_key(&self, id: &DataKeyId, class: Class) -> Result<Arc<DataKey>> {
        if let Some(key) = self.data_keys.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            return Ok(Arc::clone(key));
        }
        self.reread_data_key(id, class).await
    }

    /// The same, from the backend in any case.
    pub(crate) async fn reread_data_key(&self, id: &DataKeyId, class: Class) -> Result<Arc<DataKey>> {
        let name = Name::DataKey(*id);
        let bytes = self.backend.get(&name).await.map_err(|error| match error.kind() {
            Kind::NotFound => Error::damaged(name, "it is missing"),
            _ => error,
        })?;
        let body = self.open_small(&name, &self.wrapping_door(class), &bytes)?;
        let key = DataKey::from_wrapped_body(*id, &body).map_err(|cause| match cause {
            BadDataKey::Suite(_) => {
                Error::new(Kind::Unsupported, format!("{name} was written by a newer program")).because(cause)
            }
            _ => Error::damaged(name, cause),
        })?;
        let key = Arc::new(key);
        self.remember(&key);
        Ok(key)
    }

    fn wrapping_door(&self, class: Class) -> Door<'_> {
        let key = match class {
            Class::Data => &self.keys.wrap_data,
            Class::Metadata => &self.keys.wrap_metadata,
        };
        Door { object_type: ObjectType::DataKey, key }
    }

    fn remember(&self, key: &Arc<DataKey>) {
        self.data_keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.id, Arc::clone(key));
    }
}
