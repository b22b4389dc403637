//! Unlocking: which slots are tried with a key, in what order, and what that may cost.

use super::Repository;
use super::key_lists;
use super::open::Key;
use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::Name;
use crate::cache;
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
use crate::format::keylist::ListedSlot;
use crate::format::keyslot;
use crate::format::keyslot::SlotCost;
use crate::format::keyslot::SlotHead;
use crate::format::keyslot::SlotKind;
use crate::id::RepositoryId;
use crate::id::SlotId;
use crate::limits::KDF_LIMIT_BYTES;
use crate::limits::KDF_LIMIT_PASSES;
use crate::limits::KEY_SLOTS_MAX;
use crate::time::Timestamp;
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Times that all slots are tried, where each time one had gone before it was read.
const TRIES_MAX: usize = 5;
/// Slots that were not tried which an error names.
const NAMED_MAX: usize = 3;

/// What opening a repository may cost. Whoever may write to its storage may add key slots that ask for any memory and time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Bytes of memory that trying a password may take; all slots together may pass over eight times as much. Slots that
    /// ask for more are not tried.
    pub kdf_limit: u64,
    /// The folder for caches (see [`Repository::use_folders`]). Which slot opened the repository last is remembered there:
    /// it is tried first, and whatever the others cost does not count against it.
    pub cache: Option<PathBuf>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { kdf_limit: KDF_LIMIT_BYTES, cache: None }
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

/// A slot that was opened.
pub(super) struct Unlocked {
    pub(super) slot: SlotId,
    pub(super) ring: Keyring,
    /// The root key was changed after this slot was made, and these newer slots were not tried, each with the reason.
    pub(super) newer_not_tried: Vec<String>,
}

/// Opens one of the slots. Where one has gone meanwhile, because a root key was changed, the one in its place was there
/// before.
pub(super) async fn unlock(
    backend: &dyn Backend,
    repository: RepositoryId,
    key: Key,
    options: &OpenOptions,
) -> Result<Unlocked> {
    let kind = key.kind();
    let secret = Arc::new(key.into_slot_secret()?);
    let lock = Lock { repository, kind, secret: &secret, kdf_limit: options.kdf_limit };
    let cache = options.cache.as_deref();
    let last = cache.and_then(|folder| cache::last_slot(folder, &repository, kind.byte()));
    let mut tries = 1;
    loop {
        match try_slots(backend, &lock, last).await? {
            Tried::Opened(unlocked) => {
                if let Some(folder) = cache {
                    cache::remember_slot(folder, &repository, kind.byte(), unlocked.slot);
                }
                return Ok(unlocked);
            }
            Tried::Missed(_) if tries < TRIES_MAX => tries += 1,
            Tried::Refused(why) | Tried::Missed(why) => return Err(why),
        }
    }
}

/// What is tried on the slots of a kind.
struct Lock<'a> {
    repository: RepositoryId,
    kind: SlotKind,
    secret: &'a Arc<Secret>,
    kdf_limit: u64,
}

impl Repository {
    /// The slot that a secret opens, within what opening this repository was allowed to cost.
    pub(super) async fn slot_of(&self, kind: SlotKind, secret: &Arc<Secret>) -> Result<Option<SlotId>> {
        let lock = Lock { repository: self.id(), kind, secret, kdf_limit: self.inner.options.kdf_limit };
        match try_slots(self.store().backend().as_ref(), &lock, None).await? {
            Tried::Opened(unlocked) => Ok(Some(unlocked.slot)),
            Tried::Refused(_) | Tried::Missed(_) => Ok(None),
        }
    }

    /// Newer keys that were not tried when the repository was opened, because they cost more than was allowed or there was
    /// no memory for them, each with the reason: the root key was changed, and the key in use is an older one.
    pub fn newer_keys_not_tried(&self) -> &[String] {
        &self.inner.newer_not_tried
    }

    /// The passwords of the repository's own that a wrong or unknown password is not tried on, because all of them together
    /// cost more than was allowed: one of these opens the repository only where it did so last, or with a larger limit.
    pub async fn keys_beyond_the_limit(&self) -> Result<Vec<SlotId>> {
        let listed = key_lists::read(self.store()).await?.slots;
        let slots = self.read_stored_slots().await?.into_iter().filter_map(|(id, outcome)| Some((id, outcome.ok()?.0)));
        let is_own = |id: &SlotId| listed.0.get(id).is_some_and(ListedSlot::is_there);
        let mut own: Vec<Candidate> = slots
            .filter(|(id, head)| head.kind == SlotKind::Passphrase && is_own(id))
            .map(|(id, head)| Candidate { id, head, bytes: Bytes::new() })
            .collect();
        own.sort_by_key(Candidate::order);
        let mut budget = Budget::of(self.inner.options.kdf_limit);
        Ok(own.into_iter().filter(|slot| budget.take(slot).is_err()).map(|slot| slot.id).collect())
    }
}

/// The outcome of trying the slots.
enum Tried {
    Opened(Unlocked),
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

    /// What a stranger has added must not stand before what costs less, nor take its place. Of slots that cost the same the
    /// newest comes first: one that was made when the root key was changed is dated after all others.
    fn order(&self) -> (u64, Reverse<(Timestamp, SlotId)>) {
        (self.work(), Reverse((self.head.created, self.id)))
    }
}

/// Everything that stands among the slots.
#[derive(Default)]
struct Found {
    ids: BTreeSet<SlotId>,
    /// Those of the key's kind: the one that opened last, then the cheapest first.
    candidates: Vec<Candidate>,
    /// How many there are of them.
    of_kind: usize,
    /// How many there are of the other kinds.
    others: BTreeMap<SlotKind, usize>,
    damaged: Option<Error>,
    missed: bool,
    /// Those that were not tried, when they were made, and why.
    skipped: Vec<(Timestamp, String)>,
}

impl Found {
    fn skip(&mut self, slot: &Candidate, why: String) {
        self.skipped.push((slot.head.created, why));
    }

    /// What was not tried and is newer than the slot that was opened, where the root key was changed since.
    fn newer_not_tried(&self, repository: &RepositoryId, opened: &Candidate, ring: &Keyring) -> Vec<String> {
        if !self.ids.contains(&ring.present().next_slot(repository)) {
            return Vec::new();
        }
        let newer = self.skipped.iter().filter(|(created, _)| *created > opened.head.created);
        newer.map(|(_, why)| why.clone()).collect()
    }
}

/// Reads all slots. One that is damaged or may not be read does not keep others from opening.
async fn find(backend: &dyn Backend, lock: &Lock<'_>, last: Option<SlotId>) -> Result<Found> {
    let mut found = Found::default();
    let listed = backend.list(Area::Slots).await?;
    if listed.is_empty() {
        return Err(Error::new(Kind::Damaged, "the repository has lost its key slots")
            .because("keys/slot is empty, and without a slot no password, key file or recovery code opens anything")
            .advise("bring the folder keys/slot back from a copy of the repository"));
    }
    let (mut first, mut candidates) = (None, BTreeMap::new());
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
            Ok((head, ..)) if head.repository != lock.repository => {}
            Ok((head, ..)) if head.kind != lock.kind => *found.others.entry(head.kind).or_default() += 1,
            Ok((head, ..)) if Some(id) == last => first = Some(Candidate { id, head, bytes }),
            Ok((head, ..)) => {
                let slot = Candidate { id, head, bytes };
                candidates.insert(slot.order(), slot);
            }
            Err(cause) => found.damaged = Some(cause.while_reading(listed.name)),
        }
        let dearest = if candidates.len() > KEY_SLOTS_MAX { candidates.pop_last() } else { None };
        if let Some((_, slot)) = dearest {
            found.skip(&slot, format!("{}, because there are more than {KEY_SLOTS_MAX} of its kind", slot.id));
        }
    }
    found.candidates = first.into_iter().chain(candidates.into_values()).collect();
    found.of_kind = found.candidates.len();
    Ok(found)
}

/// Tries every slot of the key's kind that the bounds allow; the one that opened `last` before all others, and whatever
/// they cost.
async fn try_slots(backend: &dyn Backend, lock: &Lock<'_>, last: Option<SlotId>) -> Result<Tried> {
    let mut found = find(backend, lock, last).await?;
    let mut budget = Budget::of(lock.kdf_limit);
    let mut opened: Option<(Candidate, Keyring)> = None;
    for slot in std::mem::take(&mut found.candidates) {
        if let Some((first, ring)) = &opened {
            // Only where the root key was changed may another slot of the same secret hold more.
            if !found.ids.contains(&ring.present().next_slot(&lock.repository)) {
                break;
            }
            if slot.head.created <= first.head.created {
                continue;
            }
        }
        // Anybody may have dated the one that opened last, and nobody can have made it cheaper than it is: a budget of its own.
        let is_last = Some(slot.id) == last;
        let paid = if is_last { Budget::of(lock.kdf_limit).take(&slot) } else { budget.take(&slot) };
        if let Err(why) = paid {
            found.skip(&slot, format!("{}, {why}", slot.id));
            continue;
        }
        match open_slot(slot.id, &slot.bytes, lock.secret).await {
            Ok(Some(ring)) if opened.as_ref().is_none_or(|(_, old)| ring.earlier().len() > old.earlier().len()) => {
                opened = Some((slot, ring));
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => found.damaged = Some(error),
            Err(error) if error.kind() == Kind::NoMemory => found.skip(&slot, format!("{}: {error}", slot.id)),
            Err(error) => return Err(error),
        }
    }
    if let Some((slot, ring)) = opened {
        let newer_not_tried = found.newer_not_tried(&lock.repository, &slot, &ring);
        return Ok(Tried::Opened(Unlocked { slot: slot.id, ring, newer_not_tried }));
    }
    let missed = found.missed;
    let why = refusal(backend, lock.kind, found);
    Ok(if missed { Tried::Missed(why) } else { Tried::Refused(why) })
}

/// What may still be spent on slots.
struct Budget {
    memory_kib: u64,
    work_kib: u64,
}

impl Budget {
    fn of(kdf_limit: u64) -> Self {
        let memory_kib = kdf_limit / 1024;
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
    let mut text = match (found.of_kind, others.is_empty()) {
        (0, true) => format!("it has no {word}"),
        (0, false) => format!("it has no {word}, but {others}"),
        (1, _) => format!("its {word} is another one"),
        (count, _) => format!("it is none of its {}", counted(count, word)),
    };
    if found.of_kind > 0 && !others.is_empty() {
        text.push_str(&format!("; it also has {others}"));
    }
    if !found.skipped.is_empty() {
        let named = found.skipped.iter().take(NAMED_MAX).map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ");
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
