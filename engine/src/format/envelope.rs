//! The envelope of small sealed objects: a clear head, bound to the object's name, then the ciphertext.

use crate::format::FormatError;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::RepositoryId;
use crate::limits::SIGNATURE_BYTES_MAX;
use crate::limits::SMALL_OBJECT_BYTES_MAX;

/// Bytes of the clear head.
pub(crate) const HEAD_BYTES: usize = 70;
const MAGIC: [u8; 3] = *b"SRM";
const VERSION: u16 = 1;
/// XChaCha20-Poly1305; nothing else is used for small objects.
const SUITE: u16 = 1;
const TAG_BYTES: usize = 16;
/// The flag of a snapshot or pending record behind which its signature stands, which this version does not look into.
const SIGNED: u16 = 1;

/// What kind of object it is; bound by the tag, so that no kind passes for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ObjectType {
    /// The sealed part of `config`.
    Config = 1,
    /// A key slot (its own layout, see `keyslot`; the number is reserved for it).
    Slot = 2,
    /// A wrapped data key.
    DataKey = 3,
    /// A committed snapshot.
    Snapshot = 4,
    /// A snapshot about to be committed.
    Pending = 5,
    /// Condemned packs.
    Mark = 6,
    /// Deleted packs.
    Tomb = 7,
    /// A list of key slots.
    KeyList = 8,
}

impl ObjectType {
    /// The stored byte.
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Config => 1,
            Self::Slot => 2,
            Self::DataKey => 3,
            Self::Snapshot => 4,
            Self::Pending => 5,
            Self::Mark => 6,
            Self::Tomb => 7,
            Self::KeyList => 8,
        }
    }

    fn from_byte(byte: u8) -> Result<Self, FormatError> {
        match byte {
            1 => Ok(Self::Config),
            2 => Ok(Self::Slot),
            3 => Ok(Self::DataKey),
            4 => Ok(Self::Snapshot),
            5 => Ok(Self::Pending),
            6 => Ok(Self::Mark),
            7 => Ok(Self::Tomb),
            8 => Ok(Self::KeyList),
            other => Err(FormatError::Unsupported(format!("object type {other}"))),
        }
    }
}

/// The clear head of a small object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// What kind of object it is.
    pub(crate) object_type: ObjectType,
    /// Zero, or that a record is signed.
    pub(crate) flags: u16,
    /// Where it belongs.
    pub(crate) repository: RepositoryId,
    /// Public id of the key it is sealed with.
    pub(crate) key_id: [u8; 16],
    /// Nonce of the ciphertext.
    pub(crate) nonce: [u8; 24],
}

impl Head {
    /// The head's 70 bytes before a body of `plain_length` bytes (the tag is added here), with room for the rest.
    pub(crate) fn encode(&self, plain_length: usize) -> Vec<u8> {
        let sealed_length = plain_length + TAG_BYTES;
        let mut writer = Writer::with_capacity(HEAD_BYTES + sealed_length);
        writer.bytes(&MAGIC).u8(self.object_type.byte()).u16(VERSION).u16(SUITE).u16(self.flags);
        writer.bytes(self.repository.as_bytes()).bytes(&self.key_id).bytes(&self.nonce);
        writer.u32(length_u32(sealed_length));
        writer.finish()
    }

    /// Head and ciphertext (with its tag) of a whole object.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), FormatError> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC {
            return Err(FormatError::BadMagic { object: "a sealed object" });
        }
        let object_type = reader.u8()?;
        let version = reader.u16()?;
        if version != VERSION {
            return Err(FormatError::Version { found: version, known: VERSION });
        }
        let suite = reader.u16()?;
        if suite != SUITE {
            return Err(FormatError::Unsupported(format!("cipher suite {suite} for a small object")));
        }
        let flags = reader.u16()?;
        let object_type = ObjectType::from_byte(object_type)?;
        let is_record = matches!(object_type, ObjectType::Snapshot | ObjectType::Pending);
        if flags != 0 && !(flags == SIGNED && is_record) {
            return Err(FormatError::Unsupported(format!("flags {flags:#06x} of a small object")));
        }
        let head = Self {
            object_type,
            flags,
            repository: RepositoryId::from_bytes(reader.array()?),
            key_id: reader.array()?,
            nonce: reader.array()?,
        };
        let length = size(reader.u32()?);
        if length > SMALL_OBJECT_BYTES_MAX {
            return Err(FormatError::TooLarge {
                what: "the length of a small object",
                found: u64::try_from(length).unwrap_or(u64::MAX),
                limit: u64::try_from(SMALL_OBJECT_BYTES_MAX).unwrap_or(u64::MAX),
            });
        }
        if length < TAG_BYTES {
            return Err(FormatError::Invalid("its ciphertext is shorter than a tag"));
        }
        let sealed = reader.bytes(length)?;
        if flags == SIGNED {
            let signature = reader.block()?.len();
            if !(1..=SIGNATURE_BYTES_MAX).contains(&signature) {
                return Err(FormatError::Invalid("the signature of a record is empty or too long"));
            }
        }
        reader.finish()?;
        Ok((head, sealed))
    }
}

/// The associated data: the head's bytes and the object's name, so that objects cannot be renamed or swapped.
pub(crate) fn aad(head: &[u8], object_name: &str) -> Vec<u8> {
    [head, object_name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::damage;

    fn sample() -> (Head, Vec<u8>) {
        let head = Head {
            object_type: ObjectType::Snapshot,
            flags: 0,
            repository: RepositoryId::from_bytes([0x11; 16]),
            key_id: [0x22; 16],
            nonce: [0x33; 24],
        };
        let mut bytes = head.encode(3);
        bytes.extend_from_slice(&[0x44; 19]);
        (head, bytes)
    }

    #[test]
    fn the_envelope_is_frozen() {
        let (head, bytes) = sample();
        assert_eq!(
            damage::hex(&bytes[..HEAD_BYTES]),
            "53524d04010001000000111111111111111111111111111111112222222222222222222222222222222233333333333333333333333333333333333333333333333313000000"
        );
        assert_eq!(
            damage::hex(&aad(&bytes[..HEAD_BYTES], "snapshots/ab")),
            "53524d04010001000000111111111111111111111111111111112222222222222222222222222222222233333333333333333333333333333333333333333333333313000000736e617073686f74732f6162"
        );
        assert_eq!(Head::decode(&bytes), Ok((head, &[0x44; 19][..])));
    }

    #[test]
    fn every_byte_of_an_envelope_is_checked_or_bound() {
        let (_, bytes) = sample();
        damage::is_bound(&bytes, |bytes| {
            let (head, sealed) = Head::decode(bytes)?;
            Ok((head.nonce, aad(&head.encode(sealed.len() - 16), "name"), sealed.to_vec()))
        });
    }

    #[test]
    fn what_is_newer_is_not_called_damaged() {
        let (_, bytes) = sample();
        for at in [3, 4, 6, 8] {
            let mut newer = bytes.clone();
            newer[at] = 99;
            assert!(Head::decode(&newer).expect_err("newer").is_unsupported(), "byte {at}");
        }
        assert!(!Head::decode(b"not a sealed object").expect_err("no magic").is_unsupported());
    }

    #[test]
    fn a_record_with_a_signature_behind_it_is_read_and_nothing_else_has_one() {
        let (mut head, _) = sample();
        head.flags = SIGNED;
        let signed = |head: &Head, signature: usize| {
            let length = u32::try_from(signature).expect("short").to_le_bytes();
            [head.encode(3).as_slice(), &[0x44; 19], &length, &vec![0x66; signature]].concat()
        };
        for object_type in [ObjectType::Snapshot, ObjectType::Pending] {
            head.object_type = object_type;
            for length in [1, 81, SIGNATURE_BYTES_MAX] {
                assert_eq!(Head::decode(&signed(&head, length)), Ok((head.clone(), &[0x44; 19][..])));
            }
            for length in [0, SIGNATURE_BYTES_MAX + 1] {
                assert!(matches!(Head::decode(&signed(&head, length)), Err(FormatError::Invalid(_))));
            }
            let whole = signed(&head, 81);
            for length in 0..whole.len() {
                assert!(Head::decode(&whole[..length]).is_err(), "cut to {length} bytes");
            }
            assert!(Head::decode(&[whole.as_slice(), &[0]].concat()).is_err());
        }
        for byte in [1, 3, 6, 7, 8] {
            head.object_type = ObjectType::from_byte(byte).expect("known");
            assert!(Head::decode(&signed(&head, 81)).is_err_and(|error| error.is_unsupported()));
        }
    }

    #[test]
    fn every_type_has_its_own_byte() {
        for byte in 1..=8 {
            assert_eq!(ObjectType::from_byte(byte).expect("known").byte(), byte);
        }
        assert!(ObjectType::from_byte(0).is_err() && ObjectType::from_byte(9).is_err());
    }

    #[test]
    fn a_body_that_claims_to_be_huge_or_smaller_than_a_tag_is_refused() {
        let (_, mut bytes) = sample();
        bytes[66..70].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(Head::decode(&bytes), Err(FormatError::TooLarge { .. })));
        bytes.truncate(70 + 15);
        bytes[66..70].copy_from_slice(&15u32.to_le_bytes());
        assert!(matches!(Head::decode(&bytes), Err(FormatError::Invalid(_))));
    }
}
