//! The segment table: where each segment of a pack stands and under which key, as packs and index objects both hold it.
//!
//! Offsets are not stored. Segments stand back to back, so a table gives only their stored lengths, and two segments
//! that overlap, or a hole between them, cannot be written down. (It also breaks a circle: the place of the first
//! segment depends on how well the table before it squeezed.)

use crate::class::Class;
use crate::entry::ChunkRef;
use crate::format::FormatError;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::size;
use crate::id::DataKeyId;
use crate::id::SnapshotId;
use crate::limits::PACK_SEGMENTS_MAX;
use crate::limits::SEGMENT_BYTES_MAX;

/// The salt index of a segment that has none: its nonce stands before its ciphertext (suite 1).
pub(crate) const NO_SALT: u16 = u16::MAX;
/// The most a sealed segment is longer than its plaintext: nonce 24, tag 16, spare for a later suite.
pub(crate) const SEAL_BYTES_MAX: usize = 64;
/// Bytes one segment takes in the columns.
const SEGMENT_COLUMN_BYTES: usize = 17;

/// One segment of a pack, without its chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    /// Where it begins in the pack, in bytes.
    pub(crate) offset: u32,
    /// Its sealed length in bytes.
    pub(crate) stored_length: u32,
    /// The length of its chunks together, in bytes.
    pub(crate) plain_length: u32,
    /// Which of the table's data keys sealed it.
    pub(crate) data_key: u16,
    /// Which of the table's salts derived its key; [`NO_SALT`] for none.
    pub(crate) salt: u16,
    /// Its counter under that salt; 0 without one.
    pub(crate) number: u32,
    /// 0 stored, 1 zstd.
    pub(crate) compression: u8,
}

impl SegmentInfo {
    /// The same segment with its chunks.
    pub(crate) fn with_chunks(self, chunks: Vec<ChunkRef>) -> SegmentRecord {
        let Self { offset, stored_length, plain_length, data_key, salt, number, compression } = self;
        SegmentRecord { offset, stored_length, plain_length, data_key, salt, number, compression, chunks }
    }

    /// Everything that can be told from the segment and the sizes of its table's key and salt lists.
    pub(crate) fn check(&self, data_keys: usize, salts: usize) -> Result<(), FormatError> {
        let plain = size(self.plain_length);
        if plain > SEGMENT_BYTES_MAX {
            return Err(too_large("the plaintext of a segment", plain, SEGMENT_BYTES_MAX));
        }
        if plain == 0 || self.stored_length == 0 {
            return Err(FormatError::Invalid("a segment is empty"));
        }
        if size(self.stored_length) > plain + SEAL_BYTES_MAX {
            return Err(FormatError::Invalid("a segment is stored longer than any seal makes it"));
        }
        if usize::from(self.data_key) >= data_keys {
            return Err(FormatError::Invalid("a segment names a data key that is not in the table"));
        }
        if self.salt != NO_SALT && usize::from(self.salt) >= salts {
            return Err(FormatError::Invalid("a segment names a salt that is not in the table"));
        }
        if self.salt == NO_SALT && self.number != 0 {
            return Err(FormatError::Invalid("a segment without a salt has a number"));
        }
        match self.compression {
            0 | 1 => Ok(()),
            other => Err(FormatError::Unsupported(format!("segment compression {other}"))),
        }
    }
}

/// One segment of a pack with its chunks in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRecord {
    /// Where it begins in the pack, in bytes.
    pub(crate) offset: u32,
    /// Its sealed length in bytes.
    pub(crate) stored_length: u32,
    /// The length of its chunks together, in bytes.
    pub(crate) plain_length: u32,
    /// Which of the table's data keys sealed it.
    pub(crate) data_key: u16,
    /// Which of the table's salts derived its key; [`NO_SALT`] for none.
    pub(crate) salt: u16,
    /// Its counter under that salt; 0 without one.
    pub(crate) number: u32,
    /// 0 stored, 1 zstd.
    pub(crate) compression: u8,
    /// Its chunks, back to back in the plaintext.
    pub(crate) chunks: Vec<ChunkRef>,
}

impl SegmentRecord {
    /// Everything but the chunks.
    pub(crate) fn info(&self) -> SegmentInfo {
        SegmentInfo {
            offset: self.offset,
            stored_length: self.stored_length,
            plain_length: self.plain_length,
            data_key: self.data_key,
            salt: self.salt,
            number: self.number,
            compression: self.compression,
        }
    }
}

/// A pack's segments and what they refer to, without chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentTable {
    /// Class of every segment.
    pub(crate) class: Class,
    /// The session that wrote the pack.
    pub(crate) session: SnapshotId,
    /// Keys that segments name by position.
    pub(crate) data_keys: Vec<DataKeyId>,
    /// Salts that segments name by position.
    pub(crate) salts: Vec<[u8; 32]>,
    /// In the order in which they stand in the pack.
    pub(crate) segments: Vec<SegmentInfo>,
}

/// A borrowed [`SegmentTable`] whose segments come from anywhere.
pub(crate) struct TableParts<'a, I> {
    pub(crate) class: Class,
    pub(crate) session: SnapshotId,
    pub(crate) data_keys: &'a [DataKeyId],
    pub(crate) salts: &'a [[u8; 32]],
    pub(crate) segments: I,
}

/// Appends the table: class, session, counts, keys, salts, then one column after another. Checks what it writes.
pub(crate) fn encode<I>(writer: &mut Writer, table: &TableParts<'_, I>) -> Result<(), FormatError>
where
    I: ExactSizeIterator<Item = SegmentInfo> + Clone,
{
    let count = table.segments.len();
    if count == 0 {
        return Err(FormatError::Invalid("a pack has no segments"));
    }
    writer.u8(table.class.byte()).bytes(table.session.as_bytes());
    writer.u16(count_u16("data keys of a pack", table.data_keys.len(), usize::from(u16::MAX))?);
    writer.u16(count_u16("salts of a pack", table.salts.len(), usize::from(NO_SALT))?);
    writer.u16(count_u16("segments of a pack", count, PACK_SEGMENTS_MAX)?);
    for key in table.data_keys {
        writer.bytes(key.as_bytes());
    }
    for salt in table.salts {
        writer.bytes(salt);
    }
    for segment in table.segments.clone() {
        segment.check(table.data_keys.len(), table.salts.len())?;
        writer.u32(segment.stored_length);
    }
    let each = || table.segments.clone();
    each().for_each(|segment| {
        writer.u32(segment.plain_length);
    });
    each().for_each(|segment| {
        writer.u8(segment.compression);
    });
    each().for_each(|segment| {
        writer.u16(segment.data_key);
    });
    each().for_each(|segment| {
        writer.u16(segment.salt);
    });
    each().for_each(|segment| {
        writer.u32(segment.number);
    });
    Ok(())
}

/// Reads a table whose first segment begins at byte `start` of the pack and whose last must end at `end` or before.
pub(crate) fn decode(reader: &mut Reader<'_>, start: u32, end: u32) -> Result<SegmentTable, FormatError> {
    let class = reader.u8()?;
    let class = Class::from_byte(class).ok_or_else(|| FormatError::Unsupported(format!("pack class {class}")))?;
    let session = SnapshotId::from_bytes(reader.array()?);
    let keys = usize::from(reader.u16()?);
    let salts = usize::from(reader.u16()?);
    let count = usize::from(reader.u16()?);
    if count == 0 {
        return Err(FormatError::Invalid("a pack has no segments"));
    }
    if salts >= usize::from(NO_SALT) {
        return Err(too_large("the number of salts of a pack", salts, usize::from(NO_SALT) - 1));
    }
    let data_keys = column(reader, keys)?.iter().copied().map(DataKeyId::from_bytes).collect();
    let salt_list = column(reader, salts)?.to_vec();
    let needed = count * SEGMENT_COLUMN_BYTES;
    if needed > reader.remaining() {
        return Err(FormatError::Truncated { missing: needed - reader.remaining() });
    }
    let mut place = Place { next: start, end, keys, salts };
    let segments = columns(reader, count, &mut place)?;
    Ok(SegmentTable { class, session, data_keys, salts: salt_list, segments })
}

/// Where the next segment must begin, and what it may refer to.
struct Place {
    next: u32,
    end: u32,
    keys: usize,
    salts: usize,
}

fn columns(reader: &mut Reader<'_>, count: usize, place: &mut Place) -> Result<Vec<SegmentInfo>, FormatError> {
    let stored = column::<4>(reader, count)?;
    let plain = column::<4>(reader, count)?;
    let compression = column::<1>(reader, count)?;
    let keys = column::<2>(reader, count)?;
    let salts = column::<2>(reader, count)?;
    let numbers = column::<4>(reader, count)?;
    let lengths = stored.iter().zip(plain).zip(compression);
    let seals = keys.iter().zip(salts).zip(numbers);
    let mut segments = Vec::with_capacity(count);
    for (((stored, plain), [compression]), ((key, salt), number)) in lengths.zip(seals) {
        let segment = SegmentInfo {
            offset: place.next,
            stored_length: u32::from_le_bytes(*stored),
            plain_length: u32::from_le_bytes(*plain),
            data_key: u16::from_le_bytes(*key),
            salt: u16::from_le_bytes(*salt),
            number: u32::from_le_bytes(*number),
            compression: *compression,
        };
        segment.check(place.keys, place.salts)?;
        place.next = match place.next.checked_add(segment.stored_length) {
            Some(next) if next <= place.end => next,
            _ => return Err(FormatError::Invalid("the segments are longer than their pack")),
        };
        segments.push(segment);
    }
    Ok(segments)
}

/// The next `count` items of `N` bytes, borrowed.
pub(crate) fn column<'a, const N: usize>(reader: &mut Reader<'a>, count: usize) -> Result<&'a [[u8; N]], FormatError> {
    let length = count.checked_mul(N).ok_or(FormatError::Truncated { missing: usize::MAX })?;
    Ok(reader.bytes(length)?.as_chunks().0)
}

/// The error for a number past its limit.
pub(crate) fn too_large(what: &'static str, found: usize, limit: usize) -> FormatError {
    let number = |value| u64::try_from(value).unwrap_or(u64::MAX);
    FormatError::TooLarge { what, found: number(found), limit: number(limit) }
}

/// A count that must fit two bytes and a limit.
pub(crate) fn count_u16(what: &'static str, count: usize, limit: usize) -> Result<u16, FormatError> {
    match u16::try_from(count) {
        Ok(short) if count <= limit => Ok(short),
        _ => Err(too_large(what, count, limit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(stored_length: u32, plain_length: u32) -> SegmentInfo {
        SegmentInfo { offset: 0, stored_length, plain_length, data_key: 0, salt: NO_SALT, number: 0, compression: 0 }
    }

    fn encoded(segments: &[SegmentInfo]) -> Result<Vec<u8>, FormatError> {
        let mut writer = Writer::new();
        let parts = TableParts {
            class: Class::Data,
            session: SnapshotId::from_bytes([1; 16]),
            data_keys: &[DataKeyId::from_bytes([2; 16])],
            salts: &[[3; 32]],
            segments: segments.iter().copied(),
        };
        encode(&mut writer, &parts)?;
        Ok(writer.finish())
    }

    #[test]
    fn segments_stand_back_to_back_from_the_start_given() {
        let bytes = encoded(&[segment(50, 10), segment(60, 20), segment(70, 30)]).expect("valid");
        let table = decode(&mut Reader::new(&bytes), 100, 280).expect("valid");
        assert_eq!(table.segments.iter().map(|segment| segment.offset).collect::<Vec<_>>(), [100, 150, 210]);
        assert_eq!(table.segments.last().map(|last| last.offset + last.stored_length), Some(280));
        assert!(matches!(decode(&mut Reader::new(&bytes), 100, 279), Err(FormatError::Invalid(_))));
        assert!(matches!(decode(&mut Reader::new(&bytes), u32::MAX - 10, u32::MAX), Err(FormatError::Invalid(_))));
    }

    #[test]
    fn segments_that_no_writer_makes_are_refused_on_both_ways() {
        let good = segment(50, 10);
        let wrong = [
            SegmentInfo { plain_length: 0, ..good },
            SegmentInfo { stored_length: 0, ..good },
            SegmentInfo { stored_length: 75, ..good },
            SegmentInfo { plain_length: 8 * 1024 * 1024 + 1, ..good },
            SegmentInfo { data_key: 1, ..good },
            SegmentInfo { salt: 1, ..good },
            SegmentInfo { number: 1, ..good },
            SegmentInfo { compression: 2, ..good },
        ];
        assert!(encoded(&[good]).is_ok());
        for segment in wrong {
            assert!(encoded(&[segment]).is_err(), "{segment:?}");
        }
        assert!(encoded(&[]).is_err());
        let newer = encoded(&[SegmentInfo { compression: 2, ..good }]);
        assert!(newer.is_err_and(|error| error.is_unsupported()));
    }
}
