//! Unlocking: which slots are tried with a key, in what order, and what that may cost.

use super::open::Key;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::Name;
use crate::crypto::kdf;
use crate::crypto::kdf::KdfCost;
use crate::crypto::kdf::SlotKey;
use crate::crypto::keyring::Keyring;
use crate::crypto::keys::RootKey;
use crate::crypto::seal;
use crate::crypto::secret::Secret;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::keyslot;
use crate::format::keyslot::SlotCost;
use crate::format::keyslot::SlotHead;
use crate::format::keyslot::SlotKind;
use crate::id::RepositoryId;
use crate::id::SlotId;
use crate::limits::KDF_LIMIT_BYTES;
use crate::limits::KDF_LIMIT_PASSES;
use crate::limits::KEY_SLOTS_MAX;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Times that all slots are tried, where each time one had gone before it was read.
const TRIES_MAX: usize = 5;
/// Slots that were not tried which an error names.
const NAMED_MAX: usize = 3;

/// What opening a repository may cost. Whoever may write to its storage may add key slots that ask for any memory and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Bytes of memory that trying a password may take; all slots together may pass over eight times as much. Slots that
    /// ask for more are not tried.
    pub kdf_limit: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { kdf_limit: KDF_LIMIT_BYTES }
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

/// Opens one of the slots. Where one has gone meanwhile, because a root key was changed, the one in its place was there
/// before.
pub(super) async fn unlock(
    backend: &dyn Backend,
    repository: RepositoryId,
    key: Key,
    options: OpenOptions,
) -> Result<(SlotId, Keyring)> {
    let kind = key.kind();
    let secret = Arc::new(key.into_slot_secret()?);
    let mut tries = 1;
    loop {
        match try_slots(backend, repository, kind, &secret, options).await? {
            Tried::Opened(slot, ring) => return Ok((slot, ring)),
            Tried::Missed(_) if tries < TRIES_MAX => tries += 1,
            Tried::Refused(why) | Tried::Missed(why) => return Err(why),
        }
    }
}

/// The slot that a secret opens.
pub(super) async fn slot_of(
    backend: &dyn Backend,
    repository: RepositoryId,
    kind: SlotKind,
    secret: &Arc<Secret>,
) -> Result<Option<SlotId>> {
    match try_slots(backend, repository, kind, secret, OpenOptions::default()).await? {
        Tried::Opened(slot, _) => Ok(Some(slot)),
        Tried::Refused(_) | Tried::Missed(_) => Ok(None),
    }
}

/// The outcome of trying the slots.
enum Tried {
    Opened(SlotId, Keyring),
    Refused(Error),
    /// The same, but a slot that was listed had gone before it was read.
    Missed(Error),
}

/// A slot that the key may open.
struct Candidate {
    id: SlotId,
    head: SlotHead,
    bytes: Bytes,
}

impl Candidate {
    /// KiB that deriving its key passes over.
    fn work(&self) -> u64 {
        u64::from(self.head.cost.memory_kib) * u64::from(self.head.cost.passes)
    }
}

/// Everything that stands among the slots.
#[derive(Default)]
struct Found {
    ids: BTreeSet<SlotId>,
    /// Those of the key's kind, the cheapest first.
    candidates: Vec<Candidate>,
    /// How many there are of the other kinds.
    others: BTreeMap<SlotKind, usize>,
    damaged: Option<Error>,
    missed: bool,
    /// Those that were not tried, and why.
    skipped: Vec<String>,
}

/// Reads all slots. One that is damaged or may not be read does not keep others from opening.
async fn find(backend: &dyn Backend, repository: RepositoryId, kind: SlotKind) -> Result<Found> {
    let mut found = Found::default();
    let listed = backend.list(Area::Slots).await?;
    if listed.is_empty() {
        return Err(Error::new(Kind::Damaged, "the repository has lost its key slots")
            .because("keys/slot is empty, and without a slot no password, key file or recovery code opens anything")
            .advise("bring the folder keys/slot back from a copy of the repository"));
    }
    // What a stranger has added must not stand before what costs less, nor take its place. Of slots that cost the same the
    // newest comes first: one that was made when the root key was changed is dated after all others.
    let mut candidates = BTreeMap::new();
    for listed in listed {
        let Name::Slot(id) = listed.name else { continue };
        let bytes = match backend.get(&listed.name).await {
            Ok(bytes) => bytes,
            // Removed since it was listed.
            Err(error) if error.kind() == Kind::NotFound => {
                found.missed = true;
                continue;
            }
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::BackendDenied) => {
                found.damaged = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        found.ids.insert(id);
        match SlotHead::decode(&bytes) {
            Ok((head, ..)) if head.repository != repository => {}
            Ok((head, ..)) if head.kind != kind => *found.others.entry(head.kind).or_default() += 1,
            Ok((head, ..)) => {
                let slot = Candidate { id, head, bytes };
                candidates.insert((slot.work(), Reverse((slot.head.created, id))), slot);
            }
            Err(cause) => found.damaged = Some(cause.while_reading(listed.name)),
        }
        let last = if candidates.len() > KEY_SLOTS_MAX { candidates.pop_last() } else { None };
        if let Some((_, Candidate { id, .. })) = last {
            found.skipped.push(format!("{id}, because there are more than {KEY_SLOTS_MAX} of its kind"));
        }
    }
    found.candidates = candidates.into_values().collect();
    Ok(found)
}

/// Tries every slot of the key's kind that the bounds allow.
async fn try_slots(
    backend: &dyn Backend,
    repository: RepositoryId,
    kind: SlotKind,
    secret: &Arc<Secret>,
    options: OpenOptions,
) -> Result<Tried> {
    let mut found = find(backend, repository, kind).await?;
    let mut budget = Budget::of(options);
    let mut opened: Option<(&Candidate, Keyring)> = None;
    for slot in &found.candidates {
        if let Some((first, ring)) = &opened {
            // Only where the root key was changed may another slot of the same secret hold more.
            if !found.ids.contains(&ring.present().next_slot(&repository)) {
                break;
            }
            if slot.head.created <= first.head.created {
                continue;
            }
        }
        if let Err(why) = budget.take(slot) {
            found.skipped.push(format!("{}, {why}", slot.id));
            continue;
        }
        match open_slot(slot.id, &slot.bytes, secret).await {
            Ok(Some(ring)) if opened.as_ref().is_none_or(|(_, old)| ring.earlier().len() > old.earlier().len()) => {
                opened = Some((slot, ring));
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => found.damaged = Some(error),
            Err(error) if error.kind() == Kind::NoMemory => found.skipped.push(format!("{}: {error}", slot.id)),
            Err(error) => return Err(error),
        }
    }
    if let Some((slot, ring)) = opened {
        return Ok(Tried::Opened(slot.id, ring));
    }
    let missed = found.missed;
    let why = refusal(backend, kind, found);
    Ok(if missed { Tried::Missed(why) } else { Tried::Refused(why) })
}

/// What may still be spent on slots.
struct Budget {
    memory_kib: u64,
    work_kib: u64,
}

impl Budget {
    fn of(options: OpenOptions) -> Self {
        let memory_kib = options.kdf_limit / 1024;
        Self { memory_kib, work_kib: memory_kib.saturating_mul(KDF_LIMIT_PASSES) }
    }

    /// Pays for a slot, or says why not.
    fn take(&mut self, slot: &Candidate) -> std::result::Result<(), String> {
        let SlotCost { memory_kib, passes, .. } = slot.head.cost;
        if u64::from(memory_kib) > self.memory_kib {
            return Err(format!("which asks for {} MiB of memory", memory_kib / 1024));
        }
        match self.work_kib.checked_sub(slot.work()) {
            Some(left) => {
                self.work_kib = left;
                Ok(())
            }
            None => Err(format!("which asks for {passes} passes over {} MiB of memory", memory_kib / 1024)),
        }
    }
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

const SLOT_DAMAGED: &str = "bring that file back from a copy of the repository, or unlock it with another key: a password, \
                            a key file or '--use-recovery-code'";
const SKIPPED: &str = "if one of those not tried is yours, allow it more with '--kdf-limit', as in '--kdf-limit 4G', or \
                       close other programs";

fn refusal(backend: &dyn Backend, kind: SlotKind, found: Found) -> Error {
    if let Some(damaged) = found.damaged {
        return if damaged.kind() == Kind::Damaged { damaged.advise(SLOT_DAMAGED) } else { damaged };
    }
    let doing = format!("the {} does not open the repository at {}", kind.word(), backend.describe());
    let error = Error::new(Kind::WrongKey, doing).because(reasons(kind, &found));
    if found.skipped.is_empty() { error } else { error.advise(SKIPPED) }
}

/// What there is to open it with, and what of that was not tried.
fn reasons(kind: SlotKind, found: &Found) -> String {
    let word = kind.word();
    let others: Vec<String> = found.others.iter().map(|(kind, count)| counted(*count, kind.word())).collect();
    let others = others.join(" and ");
    let mut text = match (found.candidates.len(), others.is_empty()) {
        (0, true) => format!("it has no {word}"),
        (0, false) => format!("it has no {word}, but {others}"),
        (1, _) => format!("its {word} is another one"),
        (count, _) => format!("it is none of its {}", counted(count, word)),
    };
    if !found.candidates.is_empty() && !others.is_empty() {
        text.push_str(&format!("; it also has {others}"));
    }
    if !found.skipped.is_empty() {
        let named = found.skipped.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join("; ");
        text.push_str(&format!("; not tried: the key {named}"));
        if found.skipped.len() > NAMED_MAX {
            text.push_str(&format!("; and {} more", found.skipped.len() - NAMED_MAX));
        }
    }
    text
}

fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
