//! The outer form of an index object: the clear head and the frames of its sealed parts.

use crate::format::FormatError;
use crate::format::segment::too_large;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::size;
use crate::id::RepositoryId;
use crate::limits::INDEX_BYTES_MAX;
use crate::limits::INDEX_PART_BYTES;

/// Bytes of the head.
pub(crate) const HEAD_BYTES: usize = 88;
/// Bytes of the clear frame before each sealed part.
pub(crate) const PART_HEAD_BYTES: usize = 5;
/// The version of index objects written here, and the only one read.
pub(crate) const VERSION: u16 = 1;
const MAGIC: [u8; 8] = *b"SRMINDX\0";
const SQUEEZED: u8 = 1;
const LAST: u8 = 2;
/// Bytes by which a sealed part is longer than what was sealed.
const TAG_BYTES: usize = 16;

/// The clear start of an index object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexHead {
    /// The repository it belongs to.
    pub(crate) repository: RepositoryId,
    /// Public id of the index key.
    pub(crate) key_id: [u8; 16],
    /// The object's own key is derived from the index key and this.
    pub(crate) salt: [u8; 32],
    /// Length of the body in bytes: the plaintexts of all parts together.
    pub(crate) plain_length: u64,
}

impl IndexHead {
    /// How many parts follow; every one but the last holds exactly `limits::INDEX_PART_BYTES`.
    pub(crate) fn parts(&self) -> u32 {
        let part = u64::try_from(INDEX_PART_BYTES).unwrap_or(u64::MAX);
        u32::try_from(self.plain_length.div_ceil(part)).unwrap_or(u32::MAX)
    }
}

/// One sealed part with its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexPart<'a> {
    /// Its position, from 0: the counter of its nonce.
    pub(crate) number: u32,
    /// The frame as stored: belongs to what the seal authenticates.
    pub(crate) head: [u8; PART_HEAD_BYTES],
    /// What was sealed is one zstd frame.
    pub(crate) squeezed: bool,
    /// No part follows.
    pub(crate) last: bool,
    /// Length of its plaintext once unsqueezed, in bytes.
    pub(crate) plain_length: usize,
    /// Ciphertext and tag.
    pub(crate) sealed: &'a [u8],
}

/// The head as stored.
pub(crate) fn head_encode(head: &IndexHead) -> Vec<u8> {
    let mut writer = Writer::with_capacity(HEAD_BYTES);
    writer.bytes(&MAGIC).u16(VERSION).u16(0).bytes(head.repository.as_bytes()).bytes(&head.key_id);
    writer.bytes(&head.salt).u32(head.parts()).u64(head.plain_length);
    writer.finish()
}

/// Reads the head from the first bytes of an index object; what follows it is not looked at.
pub(crate) fn head_decode(bytes: &[u8]) -> Result<IndexHead, FormatError> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != MAGIC {
        return Err(FormatError::BadMagic { object: "an index object" });
    }
    let version = reader.u16()?;
    if version != VERSION {
        return Err(FormatError::Version { found: version, known: VERSION });
    }
    let flags = reader.u16()?;
    if flags != 0 {
        return Err(FormatError::Unsupported(format!("index flags {flags:#06x}")));
    }
    let repository = RepositoryId::from_bytes(reader.array()?);
    let (key_id, salt) = (reader.array()?, reader.array()?);
    let parts = reader.u32()?;
    let head = IndexHead { repository, key_id, salt, plain_length: reader.u64()? };
    match usize::try_from(head.plain_length) {
        Ok(0) => Err(FormatError::Invalid("an index object is empty")),
        Ok(length) if length > INDEX_BYTES_MAX => {
            Err(too_large("the length of an index object", length, INDEX_BYTES_MAX))
        }
        Ok(_) if head.parts() == parts => Ok(head),
        _ => Err(FormatError::Invalid("an index object has another number of parts than its length asks for")),
    }
}

/// The frame of a part: `sealed_length` counts ciphertext and tag.
pub(crate) fn part_head_encode(sealed_length: u32, squeezed: bool, last: bool) -> [u8; PART_HEAD_BYTES] {
    let [a, b, c, d] = sealed_length.to_le_bytes();
    [a, b, c, d, (u8::from(squeezed) * SQUEEZED) | (u8::from(last) * LAST)]
}

/// All parts of `object`, whose head is `head`; exactly as many as it states, the last one marked, nothing behind it.
pub(crate) fn parts_decode<'a>(object: &'a [u8], head: &IndexHead) -> Result<Vec<IndexPart<'a>>, FormatError> {
    let mut reader = Reader::new(object);
    reader.bytes(HEAD_BYTES)?;
    let count = head.parts();
    if size(count).saturating_mul(PART_HEAD_BYTES + TAG_BYTES) > reader.remaining() {
        let missing = size(count).saturating_mul(PART_HEAD_BYTES + TAG_BYTES) - reader.remaining();
        return Err(FormatError::Truncated { missing });
    }
    let mut parts = Vec::with_capacity(size(count));
    let mut left = usize::try_from(head.plain_length).unwrap_or(usize::MAX);
    for number in 0..count {
        let plain_length = left.min(INDEX_PART_BYTES);
        left -= plain_length;
        let part = part_decode(&mut reader, number, plain_length)?;
        if part.last != (number + 1 == count) {
            return Err(FormatError::Invalid("the last part of an index object is not where it should be"));
        }
        parts.push(part);
    }
    reader.finish()?;
    Ok(parts)
}

fn part_decode<'a>(reader: &mut Reader<'a>, number: u32, plain_length: usize) -> Result<IndexPart<'a>, FormatError> {
    let head: [u8; PART_HEAD_BYTES] = reader.array()?;
    let [a, b, c, d, flags] = head;
    let sealed_length = size(u32::from_le_bytes([a, b, c, d]));
    if flags & !(SQUEEZED | LAST) != 0 {
        return Err(FormatError::Unsupported(format!("flags {flags:#04x} of an index part")));
    }
    let (squeezed, last) = (flags & SQUEEZED != 0, flags & LAST != 0);
    let fits =
        if squeezed { sealed_length < plain_length + TAG_BYTES } else { sealed_length == plain_length + TAG_BYTES };
    if !fits || sealed_length <= TAG_BYTES {
        return Err(FormatError::Invalid("a part of an index object has a length that does not fit its plaintext"));
    }
    Ok(IndexPart { number, head, squeezed, last, plain_length, sealed: reader.bytes(sealed_length)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(plain_length: u64) -> IndexHead {
        IndexHead { repository: RepositoryId::from_bytes([1; 16]), key_id: [2; 16], salt: [3; 32], plain_length }
    }

    fn object(plain_length: usize) -> Vec<u8> {
        let mut object = head_encode(&head(u64::try_from(plain_length).expect("small")));
        let mut left = plain_length;
        while left > 0 {
            let part = left.min(INDEX_PART_BYTES);
            left -= part;
            let sealed = vec![7u8; part / 2 + TAG_BYTES];
            object.extend(part_head_encode(u32::try_from(sealed.len()).expect("small"), true, left == 0));
            object.extend(sealed);
        }
        object
    }

    #[test]
    fn parts_read_back_with_their_plain_lengths() {
        let object = object(2 * INDEX_PART_BYTES + 100);
        let head = head_decode(&object).expect("a head");
        assert_eq!(head.parts(), 3);
        let parts = parts_decode(&object, &head).expect("parts");
        assert_eq!(
            parts.iter().map(|part| part.plain_length).collect::<Vec<_>>(),
            [INDEX_PART_BYTES, INDEX_PART_BYTES, 100]
        );
        assert_eq!(parts.iter().map(|part| part.last).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(parts.iter().map(|part| part.number).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_missing_or_extra_part_is_damage() {
        let whole = object(INDEX_PART_BYTES + 100);
        let head = head_decode(&whole).expect("a head");
        for length in [0, HEAD_BYTES, HEAD_BYTES + 4, whole.len() - 1, whole.len() - 100] {
            assert!(parts_decode(&whole[..length], &head).is_err(), "cut at {length}");
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert_eq!(parts_decode(&longer, &head), Err(FormatError::TrailingBytes { count: 1 }));
        let mut unmarked = whole.clone();
        unmarked[HEAD_BYTES + 4] |= LAST;
        assert!(parts_decode(&unmarked, &head).is_err());
    }

    #[test]
    fn a_head_that_asks_for_too_much_is_refused() {
        for length in [0, u64::MAX, u64::try_from(INDEX_BYTES_MAX).expect("small") + 1] {
            assert!(head_decode(&head_encode(&head(length))).is_err(), "{length}");
        }
        let mut newer = head_encode(&head(1));
        newer[8] = 2;
        assert_eq!(head_decode(&newer), Err(FormatError::Version { found: 2, known: 1 }));
    }
}
