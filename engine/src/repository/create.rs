//! Creating: slots first, then the list of them, the config last; before the config there is no repository.

use super::Inner;
use super::Repository;
use super::key_lists;
use super::keys::NewSlot;
use super::keys::new_slot;
use super::open::Key;
use super::unlock::OpenOptions;
use crate::backend::Backend;
use crate::backend::Name;
use crate::backend::Payload;
use crate::crypto::kdf::KdfCost;
use crate::crypto::keyring::Keyring;
use crate::crypto::keys::RootKey;
use crate::crypto::recovery;
use crate::crypto::seal;
use crate::error::Error;
use crate::error::Result;
use crate::format::config;
use crate::format::config::PrivateConfig;
use crate::format::config::PublicConfig;
use crate::format::envelope::Head;
use crate::format::envelope::ObjectType;
use crate::format::keylist::KeyList;
use crate::format::keyslot::SlotCost;
use crate::id::RepositoryId;
use crate::random;
use crate::random::Rng;
use crate::random::SystemRng;
use crate::store::Store;
use crate::time::Clock;
use crate::time::SystemClock;
use std::sync::Arc;

/// What each guess at a passphrase costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KdfChoice {
    /// Argon2id with 64 MiB and three passes: about 0.3 s.
    #[default]
    Standard,
    /// Argon2id with 256 MiB and three passes.
    High,
    /// As cheap as it gets: for tests only.
    Minimal,
}

impl KdfChoice {
    pub(super) fn cost(self) -> SlotCost {
        let KdfCost { memory_kib, passes, lanes } = match self {
            Self::Standard => KdfCost::DEFAULT,
            Self::High => KdfCost::HIGH,
            Self::Minimal => KdfCost::TEST,
        };
        SlotCost { memory_kib, passes, lanes }
    }
}

/// How to create a repository.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CreateOptions {
    /// For a passphrase.
    pub kdf: KdfChoice,
    /// What the first key slot is called.
    pub label: String,
    /// Whether to make a recovery code.
    pub recovery: bool,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self { kdf: KdfChoice::Standard, label: String::new(), recovery: true }
    }
}

impl std::fmt::Debug for Created {
    /// The recovery code is a secret and does not print.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Created").field("repository", &self.repository).finish_non_exhaustive()
    }
}

/// A new repository, and the code that opens it when its key is lost. The code is shown once and stored nowhere.
#[non_exhaustive]
pub struct Created {
    /// The repository, open.
    pub repository: Repository,
    /// The recovery code; `None` when none was wanted.
    pub recovery_code: Option<String>,
}

impl Repository {
    /// Creates a repository where `backend` points: `Conflict` if there is one already.
    pub async fn create(backend: Arc<dyn Backend>, key: Key, options: CreateOptions) -> Result<Created> {
        Self::create_with(backend, key, options, Arc::new(SystemRng), Arc::new(SystemClock)).await
    }

    /// The same with time and randomness from outside.
    pub async fn create_with(
        backend: Arc<dyn Backend>,
        key: Key,
        options: CreateOptions,
        rng: Arc<dyn Rng>,
        clock: Arc<dyn Clock>,
    ) -> Result<Created> {
        let private = PrivateConfig::standard(format!("strongroom {}", env!("CARGO_PKG_VERSION")));
        Self::create_sized(backend, key, options, rng, clock, private).await
    }

    /// The same with chunks and packs of other sizes.
    pub(crate) async fn create_sized(
        backend: Arc<dyn Backend>,
        key: Key,
        options: CreateOptions,
        rng: Arc<dyn Rng>,
        clock: Arc<dyn Clock>,
        private: PrivateConfig,
    ) -> Result<Created> {
        let kind = key.kind();
        let secret = Arc::new(key.into_slot_secret()?);
        backend.prepare().await?;
        let repository = RepositoryId::from_bytes(random::array(rng.as_ref())?);
        let ring = Keyring::new(RootKey::random(rng.as_ref())?, Vec::new());
        let keys = ring.derive(&repository);
        let store = Arc::new(Store::new(backend, repository, keys, rng, clock));
        let first = new_slot(&store, &ring, &secret, NewSlot::new(&store, kind, options.kdf, &options.label)?).await?;
        let slot = first.id;
        let mut list = KeyList::default();
        first.add_to(&mut list);
        let recovery_code = match options.recovery {
            false => None,
            true => {
                let (code, secret) = recovery::generate(store.rng())?;
                let secret = Arc::new(secret);
                new_slot(&store, &ring, &secret, NewSlot::recovery(&store)?).await?.add_to(&mut list);
                Some(code)
            }
        };
        key_lists::replace(&store, &list, Vec::new()).await?;
        let public = put_config(&store, &private).await?;
        // What cannot be set aside is no failure of a repository that is made.
        let _ = store.reserve(0).await;
        let (options, newer_not_tried) = (OpenOptions::default(), Vec::new());
        let inner = Inner { ring, slot, options, newer_not_tried, public, private, read_only_because: None };
        Ok(Created { repository: Self { store, inner: Arc::new(inner) }, recovery_code })
    }
}

/// The object that makes a folder a repository.
async fn put_config(store: &Store, private: &PrivateConfig) -> Result<PublicConfig> {
    let public = PublicConfig {
        repository: store.repository(),
        created: store.clock().now(),
        read: Vec::new(),
        write: Vec::new(),
        prune: Vec::new(),
    };
    let body = private.encode();
    let key = &store.keys().roots;
    let nonce = random::array(store.rng())?;
    let head =
        Head { object_type: ObjectType::Config, flags: 0, repository: store.repository(), key_id: key.id(), nonce };
    let head_bytes = head.encode(body.len());
    let mut bytes = public.encode();
    let aad = config::aad(&head_bytes, &bytes);
    bytes.extend_from_slice(&head_bytes);
    bytes.extend_from_slice(&seal::seal_object(key, &aad, nonce, &body));
    store.backend().put(&Name::Config, Payload::from(bytes.clone())).await?;
    if store.backend().get(&Name::Config).await?.as_ref() != bytes.as_slice() {
        return Err(Error::damaged(Name::Config, "it reads back differently right after it was stored"));
    }
    Ok(public)
}
