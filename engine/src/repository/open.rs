//! Opening: the config that anybody can read, the slot that the key opens, the config behind it.

use super::Inner;
use super::Repository;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::Name;
use crate::crypto::kdf;
use crate::crypto::kdf::KdfCost;
use crate::crypto::kdf::SlotKey;
use crate::crypto::keyfile;
use crate::crypto::keyring::Keyring;
use crate::crypto::keyring::UnknownKey;
use crate::crypto::keys::Keys;
use crate::crypto::keys::Purpose;
use crate::crypto::keys::RootKey;
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
use crate::format::keyslot;
use crate::format::keyslot::SlotCost;
use crate::format::keyslot::SlotHead;
use crate::format::keyslot::SlotKind;
use crate::id::RepositoryId;
use crate::id::SlotId;
use crate::limits::KEY_SLOTS_MAX;
use crate::random::Rng;
use crate::random::SystemRng;
use crate::store::Store;
use crate::time::Clock;
use crate::time::SystemClock;
use std::sync::Arc;

/// Times that all slots are tried, where each time one had gone before it was read.
const TRIES_MAX: usize = 5;

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

/// The key a slot is sealed with. Argon2id takes its time: on a thread of its own.
pub(super) async fn slot_key(kind: SlotKind, secret: &Arc<Secret>, cost: SlotCost, salt: [u8; 16]) -> Result<SlotKey> {
    if kind != SlotKind::Passphrase {
        return Ok(kdf::file_key(secret, &salt));
    }
    let secret = Arc::clone(secret);
    let cost = KdfCost { memory_kib: cost.memory_kib, passes: cost.passes, lanes: cost.lanes };
    tokio::task::spawn_blocking(move || kdf::passphrase_key(&secret, cost, &salt))
        .await
        .map_err(|lost| Error::new(Kind::Bug, "the key derivation was lost").because(lost.to_string()))?
}

impl Repository {
    /// Opens the repository that `backend` holds.
    pub async fn open(backend: Arc<dyn Backend>, key: Key) -> Result<Self> {
        Self::open_with(backend, key, Arc::new(SystemRng), Arc::new(SystemClock)).await
    }

    /// The same with time and randomness from outside.
    pub async fn open_with(
        backend: Arc<dyn Backend>,
        key: Key,
        rng: Arc<dyn Rng>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let bytes = read_config(backend.as_ref()).await?;
        let parts = PublicConfig::decode(&bytes)
            .map_err(|cause| advised(cause.while_reading("the repository's config"), CONFIG_DAMAGED))?;
        let public = parts.public;
        if let Some(feature) = public.missing_to_read() {
            return Err(Error::new(Kind::Unsupported, "the repository was made by a newer program")
                .because(format!("reading it needs the feature {feature:?}, which this program does not know")));
        }
        let (slot, ring) = unlock(backend.as_ref(), public.repository, key).await?;
        let keys = ring.derive(&public.repository);
        let private = open_private(&keys, public.repository, parts.public_bytes, parts.envelope)
            .map_err(|error| advised(error, CONFIG_DAMAGED))?;
        if private.chunker.id != CHUNKER_FASTCDC {
            return Err(Error::new(Kind::Unsupported, "the repository was made by a newer program")
                .because(format!("its chunker {} is not known to this program", private.chunker.id)));
        }
        let read_only_because = public.missing_to_write().map(str::to_owned);
        let store = Arc::new(Store::new(backend, public.repository, keys, rng, clock));
        Ok(Self { inner: Arc::new(Inner { store, ring, slot, public, private, read_only_because }) })
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
        other => other,
    }
}

/// The outcome of trying the slots.
enum Tried {
    Opened(SlotId, Keyring),
    Refused(Error),
    /// The same, but a slot that was listed had gone before it was read.
    Missed(Error),
}

/// Tries the slots. Where one has gone meanwhile, because a root key was changed, the one in its place was there before.
async fn unlock(backend: &dyn Backend, repository: RepositoryId, key: Key) -> Result<(SlotId, Keyring)> {
    let kind = key.kind();
    let secret = Arc::new(key.into_slot_secret()?);
    let mut tries = 1;
    loop {
        match try_slots(backend, repository, kind, &secret).await? {
            Tried::Opened(slot, ring) => return Ok((slot, ring)),
            Tried::Missed(_) if tries < TRIES_MAX => tries += 1,
            Tried::Refused(why) | Tried::Missed(why) => return Err(why),
        }
    }
}

/// Tries every slot of the key's kind. A damaged slot does not keep others from opening.
async fn try_slots(
    backend: &dyn Backend,
    repository: RepositoryId,
    kind: SlotKind,
    secret: &Arc<Secret>,
) -> Result<Tried> {
    let (mut damaged, mut missed) = (None, false);
    let listed = backend.list(Area::Slots).await?;
    if listed.is_empty() {
        return Err(Error::new(Kind::Damaged, "the repository has lost its key slots")
            .because("keys/slot is empty, and without a slot no password, key file or recovery code opens anything")
            .advise("bring the folder keys/slot back from a copy of the repository"));
    }
    let mut slots = Vec::new();
    for listed in listed {
        let Name::Slot(id) = listed.name else { continue };
        let bytes = match backend.get(&listed.name).await {
            Ok(bytes) => bytes,
            // Removed since it was listed.
            Err(error) if error.kind() == Kind::NotFound => {
                missed = true;
                continue;
            }
            Err(error) if error.kind() == Kind::Damaged => {
                damaged = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        match SlotHead::decode(&bytes) {
            Ok((head, ..)) if head.kind != kind || head.repository != repository => {}
            Ok(_) if slots.len() == KEY_SLOTS_MAX => {
                return Err(Error::damaged(
                    "the repository",
                    format!("it has more than {KEY_SLOTS_MAX} keys of one kind"),
                ));
            }
            Ok((head, ..)) => slots.push((head.created, id, bytes)),
            Err(cause) => damaged = Some(cause.while_reading(listed.name)),
        }
    }
    // The newest first: a slot that was made when the root key was changed is dated after all others, and while an
    // older one of the same secret is there too, it must not win.
    slots.sort_by_key(|(created, id, _)| std::cmp::Reverse((*created, *id)));
    for (_, id, bytes) in &slots {
        match open_slot(*id, bytes, secret).await {
            Ok(Some(ring)) => return Ok(Tried::Opened(*id, ring)),
            Ok(None) => {}
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => damaged = Some(error),
            Err(error) => return Err(error),
        }
    }
    let why = refusal(kind, slots.len(), damaged);
    Ok(if missed { Tried::Missed(why) } else { Tried::Refused(why) })
}

/// What a slot holds; `None` when the secret is not the slot's.
pub(super) async fn open_slot(id: SlotId, bytes: &[u8], secret: &Arc<Secret>) -> Result<Option<Keyring>> {
    let name = Name::Slot(id);
    let (head, clear, sealed) = SlotHead::decode(bytes).map_err(|cause| cause.while_reading(name))?;
    let slot_key = slot_key(head.kind, secret, head.cost, head.salt).await?;
    if !slot_key.opens(&head.commitment) {
        return Ok(None);
    }
    let aad = keyslot::aad(clear, &name.to_string());
    let body = seal::open_object(&slot_key.sealing_key(), &aad, &head.nonce, sealed)
        .map_err(|cause| Error::damaged(name, cause))?;
    let (present, earlier) = keyslot::bundle_decode(&body).map_err(|cause| cause.while_reading(name))?;
    let earlier = earlier.iter().map(|root| RootKey::from_bytes(**root)).collect();
    Ok(Some(Keyring::new(RootKey::from_bytes(*present), earlier)))
}

/// The way out of damage to what is read before anything else.
const CONFIG_DAMAGED: &str = "bring the file 'config' back from a copy of the repository: it is written once and never \
                              changes, so that of any copy will do";
const SLOT_DAMAGED: &str = "bring that file back from a copy of the repository, or unlock it with another key: a password, \
                            a key file or '--use-recovery-code'";

/// The same with what helps against damage, if it is that.
fn advised(error: Error, advice: &'static str) -> Error {
    if error.kind() == Kind::Damaged { error.advise(advice) } else { error }
}

fn refusal(kind: SlotKind, of_kind: usize, damaged: Option<Error>) -> Error {
    let what = match kind {
        SlotKind::KeyFile => "the key file",
        SlotKind::Recovery => "the recovery code",
        _ => "the password",
    };
    match (of_kind, damaged) {
        (_, Some(damaged)) => advised(damaged, SLOT_DAMAGED),
        (0, None) => Error::new(Kind::WrongKey, format!("{what} does not open this repository"))
            .because("the repository has no key slot of that kind"),
        (_, None) => Error::new(Kind::WrongKey, format!("{what} does not open this repository"))
            .because("it fits none of the repository's key slots"),
    }
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
