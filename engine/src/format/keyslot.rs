//! A key slot: one way to unlock, with everything but the root key in the clear.

use crate::format::FormatError;
use crate::format::wire::Fields;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::required;
use crate::format::wire::size;
use crate::format::wire::unknown_field;
use crate::id::RepositoryId;
use crate::limits;
use crate::time::Timestamp;
use zeroize::Zeroizing;

/// "SRM" and the object type of slots.
const MAGIC: [u8; 4] = *b"SRM\x02";
const VERSION: u16 = 1;
pub(crate) const LABEL_BYTES_MAX: usize = 256;
const SEALED_BYTES_MAX: usize = 4096;
/// Earlier root keys in one slot.
pub(crate) const EARLIER_MAX: usize = 64;
const TAG_BYTES: usize = 16;
/// Clear bytes of a slot without a label.
const CLEAR_BYTES_MIN: usize = 128;
/// The checksum at the end.
const CHECKSUM_BYTES: usize = 4;
const _: () = assert!(CLEAR_BYTES_MIN + LABEL_BYTES_MAX + SEALED_BYTES_MAX + CHECKSUM_BYTES <= limits::SLOT_BYTES_MAX);

/// What unlocks a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SlotKind {
    /// A passphrase, through Argon2id.
    Passphrase,
    /// A key file.
    KeyFile,
    /// The recovery code that was shown when the slot was made.
    Recovery,
    /// Whoever has the private half of a pair of keys. This version neither makes such slots nor opens them; it lists them,
    /// passes over them and leaves them alone.
    Recipient,
}

impl SlotKind {
    /// What people call the secret.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passphrase => "password",
            Self::KeyFile => "key file",
            Self::Recovery => "recovery code",
            Self::Recipient => "recipient",
        }
    }

    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Passphrase => 1,
            Self::KeyFile => 2,
            Self::Recovery => 3,
            Self::Recipient => 4,
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Result<Self, FormatError> {
        match byte {
            1 => Ok(Self::Passphrase),
            2 => Ok(Self::KeyFile),
            3 => Ok(Self::Recovery),
            4 => Ok(Self::Recipient),
            other => Err(FormatError::Unsupported(format!("key slots of kind {other}"))),
        }
    }
}

/// Argon2id numbers as stored; all zero in slots that are not for passphrases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotCost {
    /// Memory in KiB.
    pub(crate) memory_kib: u32,
    /// Passes over it.
    pub(crate) passes: u32,
    /// Lanes.
    pub(crate) lanes: u32,
}

/// The clear part of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotHead {
    /// What unlocks it.
    pub(crate) kind: SlotKind,
    /// Where it belongs.
    pub(crate) repository: RepositoryId,
    /// Argon2id cost.
    pub(crate) cost: SlotCost,
    /// Salt of the slot key.
    pub(crate) salt: [u8; 16],
    /// Recognises the slot key before anything is decrypted.
    pub(crate) commitment: [u8; 32],
    /// Nonce of the sealed bundle.
    pub(crate) nonce: [u8; 24],
    /// When it was made.
    pub(crate) created: Timestamp,
    /// What its owner calls it; at most 256 bytes.
    pub(crate) label: String,
}

impl SlotHead {
    /// All clear bytes of a slot whose sealed bundle will have `sealed_length` bytes, tag included; the bundle follows,
    /// and then what [`sum`] gives.
    /// A label that is too long is an error.
    pub(crate) fn encode(&self, sealed_length: usize) -> Result<Vec<u8>, FormatError> {
        if self.label.len() > LABEL_BYTES_MAX {
            return Err(FormatError::Invalid("the label of a key slot is longer than 256 bytes"));
        }
        let mut writer = Writer::with_capacity(CLEAR_BYTES_MIN + self.label.len() + sealed_length + CHECKSUM_BYTES);
        writer.bytes(&MAGIC).u16(VERSION).u8(self.kind.byte()).u8(0).bytes(self.repository.as_bytes());
        writer.u32(self.cost.memory_kib).u32(self.cost.passes).u32(self.cost.lanes);
        writer.bytes(&self.salt).bytes(&self.commitment).bytes(&self.nonce).timestamp(self.created);
        writer.block(&self.label).count(sealed_length);
        Ok(writer.finish())
    }

    /// Takes a slot apart: head, the clear bytes that [`aad`] binds, and the sealed bundle. Whatever the version, the
    /// checksum comes last: what has rotted is never taken for something newer, nor for a slot of another secret.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, &[u8], &[u8]), FormatError> {
        if Reader::new(bytes).array()? != MAGIC {
            return Err(FormatError::BadMagic { object: "a key slot" });
        }
        let (bytes, checksum) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .ok_or(FormatError::Truncated { missing: CHECKSUM_BYTES.saturating_sub(bytes.len()) })?;
        if *checksum != sum(bytes) {
            return Err(FormatError::Invalid("its checksum is not that of its bytes"));
        }
        let mut reader = Reader::new(bytes.get(MAGIC.len()..).unwrap_or_default());
        let version = reader.u16()?;
        if version != VERSION {
            return Err(FormatError::Version { found: version, known: VERSION });
        }
        let kind = SlotKind::from_byte(reader.u8()?)?;
        let flags = reader.u8()?;
        if flags != 0 {
            return Err(FormatError::Unsupported(format!("flags {flags:#04x} of a key slot")));
        }
        let head = Self {
            kind,
            repository: RepositoryId::from_bytes(reader.array()?),
            cost: checked_cost(kind, &mut reader)?,
            salt: reader.array()?,
            commitment: reader.array()?,
            nonce: reader.array()?,
            created: reader.timestamp()?,
            label: reader.text()?,
        };
        if head.label.len() > LABEL_BYTES_MAX {
            return Err(FormatError::Invalid("the label of a key slot is longer than 256 bytes"));
        }
        let length = size(reader.u32()?);
        if !(TAG_BYTES..=SEALED_BYTES_MAX).contains(&length) {
            return Err(FormatError::Invalid("the sealed part of a key slot has an impossible length"));
        }
        let clear_length = bytes.len().saturating_sub(reader.remaining());
        let sealed = reader.bytes(length)?;
        reader.finish()?;
        Ok((head, bytes.get(..clear_length).unwrap_or_default(), sealed))
    }
}

/// The checksum of a slot: CRC-32C of all bytes before it, which whoever lacks the slot's secret can compute too.
pub(crate) fn sum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    crc32c::crc32c(bytes).to_le_bytes()
}

/// A cost within the limits, so that a hostile slot takes neither all memory nor all time.
fn checked_cost(kind: SlotKind, reader: &mut Reader<'_>) -> Result<SlotCost, FormatError> {
    let cost = SlotCost { memory_kib: reader.u32()?, passes: reader.u32()?, lanes: reader.u32()? };
    if kind != SlotKind::Passphrase {
        return match cost == SlotCost::default() {
            true => Ok(cost),
            false => Err(FormatError::Invalid("a key slot that needs no Argon2id has a cost")),
        };
    }
    for (what, found, limit) in [
        ("the Argon2id memory of a key slot in KiB", cost.memory_kib, limits::KDF_MEMORY_KIB_MAX),
        ("the Argon2id passes of a key slot", cost.passes, limits::KDF_PASSES_MAX),
        ("the Argon2id lanes of a key slot", cost.lanes, limits::KDF_LANES_MAX),
    ] {
        if found > limit {
            return Err(FormatError::TooLarge { what, found: found.into(), limit: limit.into() });
        }
    }
    if cost.passes == 0 || cost.lanes == 0 || cost.memory_kib / 8 < cost.lanes {
        return Err(FormatError::Invalid("the Argon2id cost of a key slot is less than Argon2id allows"));
    }
    Ok(cost)
}

/// The associated data of the sealed bundle: all clear bytes before it, and the object's name.
pub(crate) fn aad(clear: &[u8], object_name: &str) -> Vec<u8> {
    [clear, object_name.as_bytes()].concat()
}

/// The body of a slot's bundle: the root key, and those before it with the oldest first.
pub(crate) fn bundle_encode(root_key: &[u8; 32], earlier: &[&[u8; 32]]) -> Zeroizing<Vec<u8>> {
    let mut writer = Writer::with_capacity(12 + (1 + earlier.len()) * root_key.len());
    writer.field(1, |value| {
        value.bytes(root_key);
    });
    if !earlier.is_empty() {
        writer.field(2, |value| {
            for key in earlier {
                value.bytes(*key);
            }
        });
    }
    Zeroizing::new(writer.finish())
}

/// A key in memory that is wiped when it is dropped.
pub(crate) type Held = Zeroizing<[u8; 32]>;

/// The root key in an opened bundle, and those before it.
pub(crate) fn bundle_decode(body: &[u8]) -> Result<(Held, Vec<Held>), FormatError> {
    let (mut root_key, mut earlier) = (None, Vec::new());
    let mut fields = Fields::new(body);
    while let Some((tag, value)) = fields.next_field()? {
        match tag {
            1 => root_key = Some(Zeroizing::new(value.whole(Reader::array)?)),
            2 => earlier = value.whole(earlier_keys)?,
            other => return Err(unknown_field("a key slot", other)),
        }
    }
    Ok((required(root_key)?, earlier))
}

fn earlier_keys(value: &mut Reader<'_>) -> Result<Vec<Held>, FormatError> {
    let mut keys = Vec::with_capacity(EARLIER_MAX);
    while keys.is_empty() || value.remaining() > 0 {
        if keys.len() == EARLIER_MAX {
            return Err(FormatError::Invalid("a key slot has too many earlier root keys"));
        }
        keys.push(Zeroizing::new(value.array()?));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::damage;

    fn head() -> SlotHead {
        SlotHead {
            kind: SlotKind::Passphrase,
            repository: RepositoryId::from_bytes([0x11; 16]),
            cost: SlotCost { memory_kib: 65_536, passes: 3, lanes: 1 },
            salt: [0x22; 16],
            commitment: [0x33; 32],
            nonce: [0x44; 24],
            created: Timestamp { seconds: 1_700_000_000, nanoseconds: 5 },
            label: "laptop".into(),
        }
    }

    fn slot(head: &SlotHead) -> Vec<u8> {
        summed([head.encode(20).expect("a short label").as_slice(), &[0x55; 20]].concat())
    }

    fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.extend_from_slice(&sum(&bytes));
        bytes
    }

    #[test]
    fn a_slot_is_frozen() {
        assert_eq!(
            damage::hex(&head().encode(54).expect("a short label")),
            "53524d02010001001111111111111111111111111111111100000100030000000100000022222222222222222222222222222222333333333333333333333333333333333333333333333333333333333333333344444444444444444444444444444444444444444444444400f153650000000005000000060000006c6170746f7036000000"
        );
        let recovery = SlotHead { kind: SlotKind::Recovery, cost: SlotCost::default(), label: String::new(), ..head() };
        assert_eq!(
            damage::hex(&recovery.encode(54).expect("a short label")),
            "53524d02010003001111111111111111111111111111111100000000000000000000000022222222222222222222222222222222333333333333333333333333333333333333333333333333333333333333333344444444444444444444444444444444444444444444444400f1536500000000050000000000000036000000"
        );
        let recipient = SlotHead { kind: SlotKind::Recipient, ..recovery.clone() };
        assert_eq!(
            damage::hex(&recipient.encode(86).expect("a short label")),
            "53524d02010004001111111111111111111111111111111100000000000000000000000022222222222222222222222222222222333333333333333333333333333333333333333333333333333333333333333344444444444444444444444444444444444444444444444400f1536500000000050000000000000056000000"
        );
        let bytes = slot(&recipient);
        assert_eq!(SlotHead::decode(&bytes).map(|(head, ..)| head), Ok(recipient));
        assert_eq!(
            damage::hex(&bundle_encode(&[0x66; 32], &[])),
            "0100200000006666666666666666666666666666666666666666666666666666666666666666"
        );
        assert_eq!(
            damage::hex(&bundle_encode(&[0x66; 32], &[&[0x77; 32], &[0x88; 32]])),
            "010020000000666666666666666666666666666666666666666666666666666666666666666602004000000077777777777777777777777777777777777777777777777777777777777777778888888888888888888888888888888888888888888888888888888888888888"
        );
    }

    #[test]
    fn a_slot_comes_apart_where_it_was_put_together() {
        let bytes = slot(&head());
        let (read, clear, sealed) = SlotHead::decode(&bytes).expect("a good slot");
        assert_eq!((read, clear, sealed), (head(), &bytes[..bytes.len() - 24], &[0x55; 20][..]));
    }

    #[test]
    fn rot_anywhere_in_a_slot_is_seen_without_its_secret() {
        let good = slot(&head());
        for at in 0..good.len() {
            for change in [0x01, 0x10, 0x80, 0xff] {
                let mut rotten = good.clone();
                rotten[at] ^= change;
                assert!(!SlotHead::decode(&rotten).expect_err("rotten").is_unsupported(), "byte {at}");
            }
        }
        assert_eq!(damage::hex(&sum(b"123456789")), "839206e3");
    }

    #[test]
    fn every_byte_of_a_slot_is_checked_or_bound() {
        let parts = |bytes: &[u8]| {
            let (head, clear, sealed) = SlotHead::decode(bytes)?;
            assert_eq!(head.encode(sealed.len()).expect("a decoded label"), clear);
            Ok((head.nonce, aad(clear, "keys/slot/00"), sealed.to_vec()))
        };
        damage::is_bound(&slot(&head()), parts);
        // The same where somebody has put the right checksum behind what was altered.
        damage::is_bound(&slot(&head())[..slot(&head()).len() - CHECKSUM_BYTES], |bytes| {
            parts(&summed(bytes.to_vec()))
        });
        for earlier in [&[][..], &[&[0x77; 32], &[0x88; 32]]] {
            damage::survives(&bundle_encode(&[0x66; 32], earlier), |body| {
                let (root, found) = bundle_decode(body)?;
                // Cut behind its first field it is the bundle of a slot whose root key is the first.
                if found.len() != earlier.len() {
                    return Err(FormatError::Invalid("another bundle"));
                }
                let earlier: Vec<&[u8; 32]> = found.iter().map(|key| &**key).collect();
                Ok(bundle_encode(&root, &earlier).to_vec())
            });
        }
    }

    #[test]
    fn a_slot_holds_as_many_earlier_root_keys_as_fit() {
        let most = vec![&[0x77; 32]; EARLIER_MAX];
        let body = bundle_encode(&[0x66; 32], &most);
        assert!(body.len() + TAG_BYTES <= SEALED_BYTES_MAX);
        assert_eq!(bundle_decode(&body).expect("as many as fit").1.len(), EARLIER_MAX);
        let body = bundle_encode(&[0x66; 32], &vec![&[0x77; 32]; EARLIER_MAX + 1]);
        assert!(matches!(bundle_decode(&body), Err(FormatError::Invalid(_))));
        let mut none = bundle_encode(&[0x66; 32], &[]).to_vec();
        none.extend_from_slice(&[2, 0, 0, 0, 0, 0]);
        assert!(bundle_decode(&none).is_err(), "a field for no keys is left out");
    }

    #[test]
    fn a_slot_cannot_ask_for_impossible_costs() {
        for (memory_kib, passes, lanes) in
            [(u32::MAX, 3, 1), (65_536, u32::MAX, 1), (65_536, 3, u32::MAX), (65_536, 0, 1), (65_536, 3, 0), (7, 1, 1)]
        {
            let bytes = slot(&SlotHead { cost: SlotCost { memory_kib, passes, lanes }, ..head() });
            let error = SlotHead::decode(&bytes).expect_err("an impossible cost");
            assert!(!error.is_unsupported());
        }
        let bytes = slot(&SlotHead { kind: SlotKind::KeyFile, ..head() });
        assert!(matches!(SlotHead::decode(&bytes), Err(FormatError::Invalid(_))));
    }

    #[test]
    fn a_slot_of_a_kind_that_is_not_known_is_newer_not_damaged() {
        for (at, byte) in [(4, 2), (6, 5), (7, 1)] {
            let mut bytes = slot(&head());
            bytes[at] = byte;
            assert!(!SlotHead::decode(&bytes).expect_err("rotten").is_unsupported());
            bytes.truncate(bytes.len() - CHECKSUM_BYTES);
            assert!(SlotHead::decode(&summed(bytes)).expect_err("newer").is_unsupported());
        }
        let long = SlotHead { label: "x".repeat(257), ..head() };
        assert!(long.encode(20).is_err());
    }
}
