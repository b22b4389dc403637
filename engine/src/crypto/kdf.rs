//! From what a person has (passphrase, key file, recovery code) to the key of a slot.

use crate::crypto::keys::ObjectKey;
use crate::crypto::secret::Secret;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::limits::KDF_LANES_MAX;
use crate::limits::KDF_MEMORY_KIB_MAX;
use crate::limits::KDF_PASSES_MAX;
use argon2::Algorithm;
use argon2::Argon2;
use argon2::Block;
use argon2::Params;
use argon2::Version;
use std::fmt;
use zeroize::Zeroize;
use zeroize::Zeroizing;

const FULL_ENTROPY: &str = "strongroom format 1: slot key from a full-entropy secret";
const COMMITMENT: &str = "strongroom format 1: commitment to a slot key";
const SEALING: &str = "strongroom format 1: sealing key of a slot";

/// What Argon2id may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KdfCost {
    /// Memory in KiB.
    pub(crate) memory_kib: u32,
    /// Passes over it.
    pub(crate) passes: u32,
    /// Lanes.
    pub(crate) lanes: u32,
}

impl KdfCost {
    /// 64 MiB and three passes: about a quarter of a second.
    pub(crate) const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    /// 256 MiB and three passes.
    pub(crate) const HIGH: Self = Self { memory_kib: 256 * 1024, passes: 3, lanes: 1 };
    /// As little as Argon2id allows; for tests only.
    pub(crate) const TEST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    /// The same cost when it is within the limits; `Damaged` otherwise, since no writer stores such a cost and a
    /// hostile slot must not be able to take all memory.
    pub(crate) fn checked(self) -> Result<Self> {
        let sane = (1..=KDF_LANES_MAX).contains(&self.lanes)
            && (1..=KDF_PASSES_MAX).contains(&self.passes)
            && self.memory_kib <= KDF_MEMORY_KIB_MAX
            && self.memory_kib / 8 >= self.lanes;
        if sane {
            Ok(self)
        } else {
            let Self { memory_kib, passes, lanes } = self;
            let why = format!("{memory_kib} KiB, {passes} passes and {lanes} lanes are outside the limits");
            Err(Error::new(Kind::Damaged, "the key slot asks for an impossible Argon2id cost").because(why))
        }
    }
}

/// The key of one slot: proves itself by a commitment, then seals and opens the slot's bundle.
pub(crate) struct SlotKey(Zeroizing<[u8; 32]>);

impl SlotKey {
    /// What the slot stores in the clear to recognise its key before anything is decrypted.
    pub(crate) fn commitment(&self) -> [u8; 32] {
        blake3::derive_key(COMMITMENT, self.0.as_ref())
    }

    /// True when `commitment` is this key's; takes the same time whether it is or not.
    pub(crate) fn opens(&self, commitment: &[u8; 32]) -> bool {
        // blake3::Hash compares in constant time.
        blake3::Hash::from_bytes(self.commitment()) == blake3::Hash::from_bytes(*commitment)
    }

    /// The key that seals the slot's bundle with `seal::seal_object`; independent of the commitment.
    pub(crate) fn sealing_key(&self) -> ObjectKey {
        ObjectKey::from_bytes(blake3::derive_key(SEALING, self.0.as_ref()))
    }
}

impl fmt::Debug for SlotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlotKey(..)")
    }
}

/// Argon2id (version 0x13, 32 bytes out) of the NFC form of a passphrase. Takes `cost.memory_kib` of memory;
/// fails when the cost is out of bounds or the memory is not to be had.
pub(crate) fn passphrase_key(secret: &Secret, cost: KdfCost, salt: &[u8; 16]) -> Result<SlotKey> {
    let KdfCost { memory_kib, passes, lanes } = cost.checked()?;
    let failed = |cause: argon2::Error| {
        Error::new(Kind::Bug, "cannot derive a key from the passphrase").because(cause.to_string())
    };
    let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(failed)?;
    let mut key = Zeroizing::new([0u8; 32]);
    let mut memory = memory(&params)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(&secret.normalised(), salt, key.as_mut(), memory.as_mut_slice())
        .map_err(failed)?;
    Ok(SlotKey(key))
}

/// The memory Argon2id works in: an error, not an abort, when it is not to be had, and wiped afterwards (the crate's own
/// buffer is not).
fn memory(params: &Params) -> Result<Zeroizing<Vec<Block>>> {
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(params.block_count()).map_err(|cause| {
        let doing = format!("cannot get the {} KiB of memory that the passphrase needs", params.m_cost());
        Error::new(Kind::NoMemory, doing).because(cause)
    })?;
    blocks.resize(params.block_count(), Block::new());
    Ok(Zeroizing::new(blocks))
}

/// BLAKE3 `derive_key` of salt and secret: only for secrets of full entropy (key file, recovery code), where a slow
/// function would add nothing.
pub(crate) fn file_key(secret: &Secret, salt: &[u8; 16]) -> SlotKey {
    let mut hasher = blake3::Hasher::new_derive_key(FULL_ENTROPY);
    hasher.update(salt).update(secret.expose());
    let key = Zeroizing::new(*hasher.finalize().as_bytes());
    hasher.zeroize();
    SlotKey(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::seal::tests::hex;

    const SALT: [u8; 16] = *b"sixteen byte slt";

    #[test]
    fn argon2id_is_frozen() {
        let key = passphrase_key(&Secret::new("correct horse"), KdfCost::TEST, &SALT).expect("a sane cost");
        assert_eq!(hex(key.0.as_ref()), "f68bb47be50d36d160a86b43666c5bd04e5e2c9681f27554f0328c883bb9262d");
        let cost = KdfCost { memory_kib: 256, passes: 3, lanes: 4 };
        let key = passphrase_key(&Secret::new("cafe\u{301}"), cost, &SALT).expect("a sane cost");
        assert_eq!(hex(key.0.as_ref()), "fd0ebaef5cb8308899b320df13831012cd95a2e582b1fefaf7b0a78ae4e12f26");
    }

    #[test]
    fn a_full_entropy_secret_is_frozen() {
        let key = file_key(&Secret::new([7u8; 32]), &SALT);
        assert_eq!(hex(key.0.as_ref()), "a2a189c4c290a567c1db2dfddf416de8859ce1eaf3e29b75f59cc8ad8ff4ebb0");
        assert_eq!(hex(&key.commitment()), "76c3204f4fe0eaefaa79f1a34205bd3e10f184dd571508d8016709ba2a12fa9f");
        assert_eq!(hex(key.sealing_key().expose()), "f2e39eaefd65d05da014a3122b0498bd9498ad251a521c3a6c5686c6665003fd");
    }

    #[test]
    fn a_key_opens_its_own_commitment_and_no_other() {
        let key = file_key(&Secret::new([7u8; 32]), &SALT);
        let other = file_key(&Secret::new([8u8; 32]), &SALT);
        assert!(key.opens(&key.commitment()));
        assert!(!key.opens(&other.commitment()));
        for bit in 0..256usize {
            let mut commitment = key.commitment();
            commitment[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.opens(&commitment), "bit {bit}");
        }
    }

    #[test]
    fn secret_salt_and_cost_all_matter() {
        let base = passphrase_key(&Secret::new("a"), KdfCost::TEST, &SALT).expect("a sane cost");
        let cost = KdfCost { passes: 2, ..KdfCost::TEST };
        for other in [
            passphrase_key(&Secret::new("b"), KdfCost::TEST, &SALT),
            passphrase_key(&Secret::new("a"), cost, &SALT),
            passphrase_key(&Secret::new("a"), KdfCost::TEST, b"another salt ...."[..16].try_into().expect("16 bytes")),
        ] {
            assert!(!other.expect("a sane cost").opens(&base.commitment()));
        }
    }

    #[test]
    fn hostile_costs_are_refused_before_any_memory_is_taken() {
        for (memory_kib, passes, lanes) in
            [(u32::MAX, 1, 1), (64, 0, 1), (64, u32::MAX, 1), (64, 1, 0), (64, 1, u32::MAX), (7, 1, 1), (15, 1, 2)]
        {
            let error = KdfCost { memory_kib, passes, lanes }.checked().expect_err("out of bounds");
            assert_eq!(error.kind(), Kind::Damaged);
        }
        for cost in [KdfCost::DEFAULT, KdfCost::HIGH, KdfCost::TEST] {
            assert_eq!(cost.checked().expect("a sane cost"), cost);
        }
    }
}
