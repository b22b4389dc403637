//! The only place that encrypts: small objects under derived keys, segments under a session's data key.
//!
//! Suite 1 is XChaCha20-Poly1305 with random 24-byte nonces that stand before the ciphertext. Suite 2 is AES-256-GCM;
//! its 12-byte nonces are too short to be random, so every worker derives a key of its own from the data key and a
//! random 32-byte salt and counts under it. No (key, nonce) pair is ever used twice, even when sealing fails.

use crate::class::Class;
use crate::crypto::keys::ObjectKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::id::DataKeyId;
use crate::id::RepositoryId;
use crate::random;
use crate::random::Rng;
use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use chacha20poly1305::AeadInOut;
use chacha20poly1305::KeyInit;
use chacha20poly1305::Tag;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::XNonce;
use chacha20poly1305::aead::inout::InOutBuf;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroize;
use zeroize::Zeroizing;

/// Bytes of the authentication tag behind every ciphertext.
pub(crate) const TAG_BYTES: usize = 16;
/// Bytes of the nonce before a ciphertext of suite 1.
pub(crate) const NONCE_BYTES: usize = 24;
/// Segments sealed under one salt of suite 2 before the next salt.
const SEGMENTS_PER_SALT: u32 = 65_536;
/// Derived AES keys an [`Opener`] keeps.
const CACHED_KEYS_MAX: usize = 64;
const SEGMENT_KEY: &str = "strongroom format 1: AES-256-GCM key of a data key and a salt";
const AAD_BYTES: usize = 45;

/// Which cipher a data key is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Suite {
    /// XChaCha20-Poly1305, random nonces.
    XChaCha20Poly1305 = 1,
    /// AES-256-GCM, derived keys and counted nonces.
    Aes256Gcm = 2,
}

/// A suite number this program does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cipher suite {0} is not known to this program")]
pub(crate) struct UnknownSuite(pub(crate) u16);

impl Suite {
    /// The stored byte.
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::XChaCha20Poly1305 => 1,
            Self::Aes256Gcm => 2,
        }
    }

    /// The faster suite on this machine: AES-GCM where the processor has instructions for it.
    pub(crate) fn fastest() -> Self {
        if has_aes_instructions() { Self::Aes256Gcm } else { Self::XChaCha20Poly1305 }
    }
}

impl TryFrom<u16> for Suite {
    type Error = UnknownSuite;

    fn try_from(number: u16) -> Result<Self, UnknownSuite> {
        match number {
            1 => Ok(Self::XChaCha20Poly1305),
            2 => Ok(Self::Aes256Gcm),
            other => Err(UnknownSuite(other)),
        }
    }
}

impl TryFrom<u8> for Suite {
    type Error = UnknownSuite;

    fn try_from(number: u8) -> Result<Self, UnknownSuite> {
        Self::try_from(u16::from(number))
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes_instructions() -> bool {
    std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes_instructions() -> bool {
    std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes_instructions() -> bool {
    false
}

/// The tag did not fit: altered bytes, another key, or another place than they were sealed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("authentication failed")]
pub(crate) struct Unopened;

/// Seals a small object (suite 1): ciphertext and tag, without the nonce. Use each nonce once.
pub(crate) fn seal_object(key: &ObjectKey, aad: &[u8], nonce: [u8; NONCE_BYTES], plain: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(plain.len() + TAG_BYTES);
    sealed.extend_from_slice(plain);
    let tag = xchacha_seal(key.expose(), &nonce, aad, &mut sealed);
    sealed.extend_from_slice(&tag);
    sealed
}

/// Plaintext of a small object, wiped when dropped: it may be a key.
pub(crate) type Opened = Zeroizing<Vec<u8>>;

/// Opens what [`seal_object`] sealed.
pub(crate) fn open_object(
    key: &ObjectKey,
    aad: &[u8],
    nonce: &[u8; NONCE_BYTES],
    sealed: &[u8],
) -> Result<Opened, Unopened> {
    // Room for all of it: a buffer that moves leaves a copy behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    xchacha_open(key.expose(), nonce, aad, sealed, &mut plain)?;
    Ok(plain)
}

fn xchacha_seal(key: &[u8; 32], nonce: &[u8; NONCE_BYTES], aad: &[u8], in_place: &mut [u8]) -> Tag {
    XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&XNonce::from(*nonce), aad, in_place.into())
        .expect("no object or segment comes near the 256 GiB that XChaCha20 can encrypt")
}

/// Decrypts straight into `into`; nothing is left in it when the tag does not fit.
fn xchacha_open(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    sealed: &[u8],
    into: &mut Vec<u8>,
) -> Result<(), Unopened> {
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(Unopened)?;
    into.resize(ciphertext.len(), 0);
    let outcome = InOutBuf::new(ciphertext, into).map_err(|_| Unopened).and_then(|buffer| {
        XChaCha20Poly1305::new(key.into())
            .decrypt_inout_detached(&XNonce::from(*nonce), aad, buffer, &Tag::from(*tag))
            .map_err(|_| Unopened)
    });
    if outcome.is_err() {
        into.clear();
    }
    outcome
}

/// Seals the segments of one session and class. Wrapped in `keys/data`; never printed, never cloned.
pub(crate) struct DataKey {
    /// Its name.
    pub(crate) id: DataKeyId,
    /// The cipher it is used with.
    pub(crate) suite: Suite,
    key: Zeroizing<[u8; 32]>,
}

/// Why the body of a data key object is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadDataKey {
    /// Not a suite byte and 32 key bytes.
    #[error("it is not 33 bytes long")]
    Length,
    /// Written by a newer program.
    #[error(transparent)]
    Suite(#[from] UnknownSuite),
}

impl DataKey {
    /// A fresh key.
    pub(crate) fn random(id: DataKeyId, suite: Suite, rng: &dyn Rng) -> Result<Self> {
        let mut key = Zeroizing::new([0u8; 32]);
        rng.fill(key.as_mut())?;
        Ok(Self { id, suite, key })
    }

    /// What is sealed into `keys/data`: suite byte, key.
    pub(crate) fn wrapped_body(&self) -> Zeroizing<Vec<u8>> {
        let mut body = Zeroizing::new(Vec::with_capacity(33));
        body.push(self.suite.byte());
        body.extend_from_slice(self.key.as_ref());
        body
    }

    /// Reads that body back.
    pub(crate) fn from_wrapped_body(id: DataKeyId, body: &[u8]) -> Result<Self, BadDataKey> {
        let (suite, key) = body.split_first().ok_or(BadDataKey::Length)?;
        let bytes: &[u8; 32] = key.try_into().map_err(|_| BadDataKey::Length)?;
        Ok(Self { id, suite: Suite::try_from(*suite)?, key: Zeroizing::new(*bytes) })
    }

    /// Whether both are one key, found in two places.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        // blake3::Hash compares in constant time.
        let same_bytes = blake3::Hash::from_bytes(*self.key) == blake3::Hash::from_bytes(*other.key);
        self.id == other.id && self.suite == other.suite && same_bytes
    }

    /// The AES key under `salt`.
    fn under(&self, salt: &[u8; 32]) -> LessSafeKey {
        let mut hasher = blake3::Hasher::new_derive_key(SEGMENT_KEY);
        hasher.update(self.key.as_ref()).update(salt);
        let key = Zeroizing::new(*hasher.finalize().as_bytes());
        hasher.zeroize();
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("an AES-256 key has 32 bytes"))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({}, {:?}, ..)", self.id, self.suite)
    }
}

/// What a segment is, authenticated with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// Data or metadata.
    pub(crate) class: Class,
    /// 0 stored, 1 zstd.
    pub(crate) compression: u8,
    /// Plaintext bytes.
    pub(crate) plain_length: u32,
}

impl SegmentHead {
    /// What the tag binds besides the ciphertext. No pack id: a segment can be copied to another pack without its key.
    fn aad(self, key: DataKeyId, repository: &RepositoryId) -> [u8; AAD_BYTES] {
        let mut aad = [0u8; AAD_BYTES];
        let parts: [&[u8]; 6] = [
            b"segment",
            &[self.class.byte()],
            &[self.compression],
            &self.plain_length.to_le_bytes(),
            key.as_bytes(),
            repository.as_bytes(),
        ];
        let bytes = parts.into_iter().flatten();
        for (into, byte) in aad.iter_mut().zip(bytes) {
            *into = *byte;
        }
        aad
    }
}

/// Where the nonce of a segment is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Suite 1: 24 bytes before the ciphertext.
    Nonce,
    /// Suite 2: counted under a salt, both kept in the pack's table.
    Counter {
        /// Derives the key.
        salt: [u8; 32],
        /// The nonce.
        number: u32,
    },
}

/// A segment as it is stored; only [`Sealer::seal`] makes one, so plain bytes never reach a pack.
#[derive(Debug)]
pub(crate) struct SealedSegment {
    bytes: Vec<u8>,
    head: SegmentHead,
    data_key: DataKeyId,
    place: Place,
}

impl SealedSegment {
    /// The stored bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The stored bytes, given away.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What it is.
    pub(crate) fn head(&self) -> SegmentHead {
        self.head
    }

    /// The key it was sealed with.
    pub(crate) fn data_key(&self) -> DataKeyId {
        self.data_key
    }

    /// Where its nonce is found.
    pub(crate) fn place(&self) -> Place {
        self.place
    }
}

/// Seals segments under one data key; one for each worker.
pub(crate) struct Sealer {
    key: Arc<DataKey>,
    repository: RepositoryId,
    /// Suite 2 only.
    counter: Option<Counter>,
}

struct Counter {
    key: LessSafeKey,
    salt: [u8; 32],
    next: u32,
}

impl Counter {
    fn new(key: &DataKey, rng: &dyn Rng) -> Result<Self> {
        let salt = random::array(rng)?;
        Ok(Self { key: key.under(&salt), salt, next: 0 })
    }
}

impl Sealer {
    /// Ready to seal; draws the first salt from `rng` when the suite needs one.
    pub(crate) fn new(key: Arc<DataKey>, repository: RepositoryId, rng: &dyn Rng) -> Result<Self> {
        let counter = match key.suite {
            Suite::XChaCha20Poly1305 => None,
            Suite::Aes256Gcm => Some(Counter::new(&key, rng)?),
        };
        Ok(Self { key, repository, counter })
    }

    /// Seals `squeezed` (what `head.compression` says) into memory that may have been in use before; fails only when `rng` does.
    pub(crate) fn seal(
        &mut self,
        mut bytes: Vec<u8>,
        rng: &dyn Rng,
        head: SegmentHead,
        squeezed: &[u8],
    ) -> Result<SealedSegment> {
        bytes.clear();
        let aad = head.aad(self.key.id, &self.repository);
        let place = match &mut self.counter {
            None => {
                seal_with_nonce(&self.key, random::array(rng)?, &aad, squeezed, &mut bytes);
                Place::Nonce
            }
            Some(counter) => {
                if counter.next == SEGMENTS_PER_SALT {
                    *counter = Counter::new(&self.key, rng)?;
                }
                let number = counter.next;
                // Counted before it is used: a failure below must not leave the number to be used again.
                counter.next += 1;
                seal_counted(&counter.key, number, &aad, squeezed, &mut bytes)?;
                Place::Counter { salt: counter.salt, number }
            }
        };
        Ok(SealedSegment { bytes, head, data_key: self.key.id, place })
    }
}

/// Into an empty vector.
fn seal_with_nonce(key: &DataKey, nonce: [u8; NONCE_BYTES], aad: &[u8], squeezed: &[u8], bytes: &mut Vec<u8>) {
    bytes.reserve_exact(NONCE_BYTES + squeezed.len() + TAG_BYTES);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(squeezed);
    let (_, in_place) = bytes.split_at_mut(NONCE_BYTES);
    let tag = xchacha_seal(&key.key, &nonce, aad, in_place);
    bytes.extend_from_slice(&tag);
}

/// Into an empty vector.
fn seal_counted(key: &LessSafeKey, number: u32, aad: &[u8], squeezed: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
    bytes.reserve_exact(squeezed.len() + TAG_BYTES);
    bytes.extend_from_slice(squeezed);
    let tag = key
        .seal_in_place_separate_tag(counted_nonce(number), Aad::from(aad), bytes)
        .map_err(|cause| Error::new(Kind::Bug, "cannot seal a segment").because(cause.to_string()))?;
    bytes.extend_from_slice(tag.as_ref());
    Ok(())
}

/// The number, little-endian, padded with zeros to 12 bytes.
fn counted_nonce(number: u32) -> Nonce {
    let [a, b, c, d] = number.to_le_bytes();
    Nonce::assume_unique_for_key([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// Opens segments, and keeps the AES keys it derived last; one for each worker.
pub(crate) struct Opener {
    repository: RepositoryId,
    keys: HashMap<(DataKeyId, [u8; 32]), Derived>,
    uses: u64,
}

struct Derived {
    key: LessSafeKey,
    last_use: u64,
}

impl Opener {
    /// Opens segments of `repository` only.
    pub(crate) fn new(repository: RepositoryId) -> Self {
        Self { repository, keys: HashMap::new(), uses: 0 }
    }

    /// Clears `into` and fills it with the squeezed bytes of the segment `stored`; leaves it empty on failure.
    /// Reusing one `into` costs neither allocation nor copy.
    pub(crate) fn open(
        &mut self,
        key: &DataKey,
        head: SegmentHead,
        place: &Place,
        stored: &[u8],
        into: &mut Vec<u8>,
    ) -> Result<(), Unopened> {
        let aad = head.aad(key.id, &self.repository);
        let outcome = match (key.suite, place) {
            (Suite::XChaCha20Poly1305, Place::Nonce) => stored
                .split_first_chunk::<NONCE_BYTES>()
                .ok_or(Unopened)
                .and_then(|(nonce, sealed)| xchacha_open(&key.key, nonce, &aad, sealed, into)),
            (Suite::Aes256Gcm, Place::Counter { salt, number }) => {
                open_counted(self.derived(key, salt), *number, &aad, stored, into)
            }
            // The pack's table and the data key disagree about the suite.
            (Suite::XChaCha20Poly1305, Place::Counter { .. }) | (Suite::Aes256Gcm, Place::Nonce) => Err(Unopened),
        };
        if outcome.is_err() {
            into.clear();
        }
        outcome
    }

    fn derived(&mut self, key: &DataKey, salt: &[u8; 32]) -> &LessSafeKey {
        self.uses += 1;
        let name = (key.id, *salt);
        if self.keys.len() >= CACHED_KEYS_MAX && !self.keys.contains_key(&name) {
            let oldest = self.keys.iter().min_by_key(|(_, derived)| derived.last_use).map(|(name, _)| *name);
            oldest.and_then(|name| self.keys.remove(&name));
        }
        let derived = self.keys.entry(name).or_insert_with(|| Derived { key: key.under(salt), last_use: 0 });
        derived.last_use = self.uses;
        &derived.key
    }
}

fn open_counted(key: &LessSafeKey, number: u32, aad: &[u8], stored: &[u8], into: &mut Vec<u8>) -> Result<(), Unopened> {
    let (ciphertext, tag) = stored.split_last_chunk::<TAG_BYTES>().ok_or(Unopened)?;
    into.resize(ciphertext.len(), 0);
    key.open_separate_gather(counted_nonce(number), Aad::from(aad), ciphertext, tag, into).map_err(|_| Unopened)
}

#[cfg(test)]
#[path = "seal_tests.rs"]
pub(crate) mod tests;
