//! Opening: the config that anybody can read, the slot that the key opens, the config behind it.

use super::Inner;
use super::Repository;
use super::unlock::OpenOptions;
use super::unlock::Unlocked;
use super::unlock::unlock;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::Name;
use crate::crypto::keyfile;
use crate::crypto::keyring::UnknownKey;
use crate::crypto::keys::Keys;
use crate::crypto::keys::Purpose;
use crate::crypto::recovery;
use crate::crypto::seal;
use crate::crypto::secret::Secret;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::config;
use crate::format::config::CHUNKER_FASTCDC;
use crate::format::config::PrivateConfig;
use crate::format::config::PublicConfig;
use crate::format::envelope::Head;
use crate::format::envelope::ObjectType;
use crate::format::keyslot::SlotKind;
use crate::id::RepositoryId;
use crate::random::Rng;
use crate::random::SystemRng;
use crate::store::Store;
use crate::time::Clock;
use crate::time::SystemClock;
use std::sync::Arc;

/// What unlocks a repository.
#[derive(Debug)]
#[non_exhaustive]
pub enum Key {
    /// A passphrase.
    Passphrase(Secret),
    /// The content of a key file.
    KeyFile(Secret),
    /// The recovery code, as typed.
    Recovery(Secret),
}

impl Key {
    /// The same key for a second use: whoever changes the root key of a repository needs the key that opened it again.
    #[must_use]
    pub fn copied(&self) -> Self {
        let copied = |secret: &Secret| Secret::new(secret.expose());
        match self {
            Self::Passphrase(secret) => Self::Passphrase(copied(secret)),
            Self::KeyFile(secret) => Self::KeyFile(copied(secret)),
            Self::Recovery(secret) => Self::Recovery(copied(secret)),
        }
    }

    pub(super) fn kind(&self) -> SlotKind {
        match self {
            Self::Passphrase(_) => SlotKind::Passphrase,
            Self::KeyFile(_) => SlotKind::KeyFile,
            Self::Recovery(_) => SlotKind::Recovery,
        }
    }

    /// The secret in the form that slots are made from. Refuses what can be no key at all.
    pub(super) fn into_slot_secret(self) -> Result<Secret> {
        match self {
            Self::Passphrase(secret) if secret.is_empty() => {
                Err(Error::new(Kind::Invalid, "an empty password protects nothing"))
            }
            Self::Passphrase(secret) => Ok(secret),
            Self::KeyFile(content) => keyfile::parse(content.expose()),
            Self::Recovery(code) => {
                let text = std::str::from_utf8(code.expose())
                    .map_err(|_| Error::new(Kind::WrongKey, "the recovery code is not text"))?;
                recovery::parse(text)
            }
        }
    }
}

impl Repository {
    /// Opens the repository that `backend` holds.
    pub async fn open(backend: Arc<dyn Backend>, key: Key) -> Result<Self> {
        Self::open_within(backend, key, OpenOptions::default()).await
    }

    /// The same with other bounds on what it may cost.
    pub async fn open_within(backend: Arc<dyn Backend>, key: Key, options: OpenOptions) -> Result<Self> {
        Self::opened(backend, key, options, Arc::new(SystemRng), Arc::new(SystemClock)).await
    }

    /// The same with time and randomness from outside.
    pub async fn open_with(
        backend: Arc<dyn Backend>,
        key: Key,
        rng: Arc<dyn Rng>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        Self::opened(backend, key, OpenOptions::default(), rng, clock).await
    }

    async fn opened(
        backend: Arc<dyn Backend>,
        key: Key,
        options: OpenOptions,
        rng: Arc<dyn Rng>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let bytes = read_config(backend.as_ref()).await?;
        let parts =
            PublicConfig::decode(&bytes).map_err(|cause| advised(cause.while_reading("the repository's config")))?;
        let public = parts.public;
        if let Some(feature) = public.missing_to_read() {
            return Err(Error::new(Kind::Unsupported, "the repository was made by a newer program")
                .because(format!("reading it needs the feature {feature:?}, which this program does not know")));
        }
        let Unlocked { slot, ring, newer_not_tried } =
            unlock(backend.as_ref(), public.repository, key, &options).await?;
        let keys = ring.derive(&public.repository);
        let private = open_private(&keys, public.repository, parts.public_bytes, parts.envelope).map_err(advised)?;
        if private.chunker.id != CHUNKER_FASTCDC {
            return Err(Error::new(Kind::Unsupported, "the repository was made by a newer program")
                .because(format!("its chunker {} is not known to this program", private.chunker.id)));
        }
        let read_only_because = public.missing_to_write().map(str::to_owned);
        let store = Arc::new(Store::new(backend, public.repository, keys, rng, clock));
        let inner = Inner { ring, slot, options, newer_not_tried, public, private, read_only_because };
        Ok(Self { store, inner: Arc::new(inner) })
    }
}

/// The config's bytes; what is no repository is told apart as well as it can be.
async fn read_config(backend: &dyn Backend) -> Result<bytes::Bytes> {
    if let Some(stranger) = backend.recognise().await? {
        return Err(Error::new(Kind::Unsupported, format!("cannot open {}", backend.describe()))
            .because(format!("it is {stranger}, not a strongroom repository")));
    }
    match backend.get(&Name::Config).await {
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::NoRepository) => {
            if backend.list(Area::Packs).await.is_ok_and(|packs| !packs.is_empty()) {
                return Err(Error::new(Kind::Damaged, format!("the config is missing in {}", backend.describe()))
                    .because("there are packs of a repository, and without its config nothing can read them")
                    .advise("bring the file 'config' back from a copy of the repository; make no new one over it"));
            }
            Err(Error::new(Kind::NoRepository, format!("there is no repository at {}", backend.describe())))
        }
        other => other.map_err(advised),
    }
}

/// The way out of damage to what is read before anything else.
const CONFIG_DAMAGED: &str = "bring the file 'config' back from a copy of the repository: it is written once and never \
                              changes, so that of any copy will do";

/// The same with what helps against a damaged config, if it is that.
fn advised(error: Error) -> Error {
    if error.kind() == Kind::Damaged { error.advise(CONFIG_DAMAGED) } else { error }
}

fn open_private(keys: &Keys, repository: RepositoryId, public_bytes: &[u8], envelope: &[u8]) -> Result<PrivateConfig> {
    let damaged = |why: &dyn std::fmt::Display| Error::damaged("the repository's config", why);
    let (head, sealed) = Head::decode(envelope).map_err(|cause| cause.while_reading("the repository's config"))?;
    if head.object_type != ObjectType::Config || head.repository != repository {
        return Err(damaged(&"it belongs to another object or repository"));
    }
    let head_bytes = envelope.get(..envelope.len() - sealed.len()).unwrap_or_default();
    let key = keys.opening(Purpose::Roots, &head.key_id).ok_or_else(|| damaged(&UnknownKey))?;
    let body = seal::open_object(key, &config::aad(head_bytes, public_bytes), &head.nonce, sealed)
        .map_err(|cause| damaged(&cause))?;
    PrivateConfig::decode(&body).map_err(|cause| cause.while_reading("the repository's config"))
}
