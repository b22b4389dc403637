//! The pack: its clear head, the table of segments and chunks, the padding, and the trailer that ends it.
//!
//! ```text
//! | head 56 | sealed table | segment | segment | .. | zeros | trailer 20 |
//! ```
//! The table is encoded here, squeezed and sealed by `store`. It is laid out by columns (all stored lengths, all plain
//! lengths, ..) because equal things side by side squeeze best; ids come last because they do not squeeze at all.

use crate::class::Class;
use crate::entry::ChunkRef;
use crate::format::FormatError;
use crate::format::segment;
use crate::format::segment::TableParts;
use crate::format::segment::column;
use crate::format::segment::count_u16;
use crate::format::segment::too_large;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::id::DataKeyId;
use crate::id::SnapshotId;
use crate::limits::CHUNK_BYTES_MAX;
use crate::limits::MIB;
use crate::limits::PACK_BYTES_MAX;
use crate::limits::PACK_PADDING_BYTES;
use crate::limits::PACK_TABLE_BYTES_MAX;
use crate::limits::SEGMENT_CHUNKS_MAX;
use crate::limits::WRAPPED_KEY_BYTES_MAX;

pub(crate) use crate::format::segment::NO_SALT;
pub(crate) use crate::format::segment::SegmentInfo;
pub(crate) use crate::format::segment::SegmentRecord;

/// Bytes of the head.
pub(crate) const HEAD_BYTES: usize = 56;
/// Bytes of the trailer.
pub(crate) const TRAILER_BYTES: usize = 20;
/// Bytes before the table in what is sealed: whether it is squeezed, and its length.
const TABLE_FRAME_BYTES: usize = 5;
/// The version of packs written here, and the only one read.
pub(crate) const VERSION: u16 = 1;
const HEAD_MAGIC: [u8; 8] = *b"SRMPACK\0";
const TRAILER_MAGIC: [u8; 8] = *b"SRMPEND\0";
/// Below this packs are padded by Padme, above it to a multiple of `PACK_PADDING_BYTES`.
const PADME_BYTES: usize = 4 * MIB;

const _: () =
    assert!(PACK_BYTES_MAX.is_multiple_of(PACK_PADDING_BYTES) && PADME_BYTES.is_multiple_of(PACK_PADDING_BYTES));

/// The clear start of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackHead {
    /// What the pack holds.
    pub(crate) class: Class,
    /// Bytes of the sealed table that follows, its tag included.
    pub(crate) table_length: u32,
    /// Public id of the key that sealed the table.
    pub(crate) key_id: [u8; 16],
    /// Nonce of the table.
    pub(crate) nonce: [u8; 24],
}

impl PackHead {
    /// Where the first segment begins, in bytes.
    pub(crate) fn segments_start(&self) -> u32 {
        self.table_length.saturating_add(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
    }
}

/// What a pack holds, chunk by chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackTable {
    /// Class of every segment.
    pub(crate) class: Class,
    /// The session that wrote the pack.
    pub(crate) session: SnapshotId,
    /// Keys that segments name by position.
    pub(crate) data_keys: Vec<DataKeyId>,
    /// Salts that segments name by position.
    pub(crate) salts: Vec<[u8; 32]>,
    /// In the order in which they stand in the pack.
    pub(crate) segments: Vec<SegmentRecord>,
}

impl PackTable {
    /// Sets the offsets of all segments for a first one at byte `start`; gives the byte after the last.
    pub(crate) fn place_segments(&mut self, start: u32) -> Result<u32, FormatError> {
        let mut next = start;
        for segment in &mut self.segments {
            segment.offset = next;
            next = match next.checked_add(segment.stored_length) {
                Some(end) if size(end) <= PACK_BYTES_MAX - TRAILER_BYTES => end,
                _ => return Err(FormatError::Invalid("the segments are longer than any pack")),
            };
        }
        Ok(next)
    }

    /// The table's parts for the encoder they share with index objects.
    pub(crate) fn parts(&self) -> TableParts<'_, impl ExactSizeIterator<Item = SegmentInfo> + Clone> {
        TableParts {
            class: self.class,
            session: self.session,
            data_keys: &self.data_keys,
            salts: &self.salts,
            segments: self.segments.iter().map(SegmentRecord::info),
        }
    }
}

/// The table as it stands in the pack itself: what index objects hold of it too, and its data keys once more, so that a
/// pack needs no other object of its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnTable {
    /// Segments and chunks.
    pub(crate) table: PackTable,
    /// The bytes of `keys/data/<id>` for each of the table's data keys, in their order.
    pub(crate) wrapped_keys: Vec<Vec<u8>>,
}

/// The head as stored.
pub(crate) fn head_encode(head: &PackHead) -> Vec<u8> {
    let mut writer = Writer::with_capacity(HEAD_BYTES);
    writer.bytes(&HEAD_MAGIC).u16(VERSION).u8(head.class.byte()).u8(0);
    writer.u32(head.table_length).bytes(&head.key_id).bytes(&head.nonce);
    writer.finish()
}

/// Reads the head from the first bytes of a pack; what follows it is not looked at.
pub(crate) fn head_decode(bytes: &[u8]) -> Result<PackHead, FormatError> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != HEAD_MAGIC {
        return Err(FormatError::BadMagic { object: "a pack" });
    }
    let version = reader.u16()?;
    if version != VERSION {
        return Err(FormatError::Version { found: version, known: VERSION });
    }
    let class = reader.u8()?;
    let class = Class::from_byte(class).ok_or_else(|| FormatError::Unsupported(format!("pack class {class}")))?;
    let flags = reader.u8()?;
    if flags != 0 {
        return Err(FormatError::Unsupported(format!("pack flags {flags:#04x}")));
    }
    let table_length = reader.u32()?;
    if size(table_length) > PACK_TABLE_BYTES_MAX {
        return Err(too_large("the table of a pack", size(table_length), PACK_TABLE_BYTES_MAX));
    }
    Ok(PackHead { class, table_length, key_id: reader.array()?, nonce: reader.array()? })
}

/// The table's bytes, before squeezing. Offsets are not stored; see [`PackTable::place_segments`].
pub(crate) fn table_encode(own: &OwnTable) -> Result<Vec<u8>, FormatError> {
    let OwnTable { table, wrapped_keys } = own;
    let mut writer = Writer::new();
    segment::encode(&mut writer, &table.parts())?;
    if wrapped_keys.len() != table.data_keys.len() {
        return Err(FormatError::Invalid("a pack does not hold each of its data keys"));
    }
    for wrapped in wrapped_keys {
        check_wrapped(wrapped.len())?;
        writer.u16(count_u16("a wrapped data key", wrapped.len(), WRAPPED_KEY_BYTES_MAX)?).bytes(wrapped);
    }
    for segment in &table.segments {
        check_chunks(segment)?;
        writer.u16(count_u16("the chunks of a segment", segment.chunks.len(), SEGMENT_CHUNKS_MAX)?);
    }
    let chunks = || table.segments.iter().flat_map(|segment| &segment.chunks);
    chunks().for_each(|chunk| {
        writer.u32(chunk.length);
    });
    chunks().for_each(|chunk| {
        writer.bytes(chunk.id.as_bytes());
    });
    match writer.len() {
        length if length > PACK_TABLE_BYTES_MAX => Err(too_large("the table of a pack", length, PACK_TABLE_BYTES_MAX)),
        _ => Ok(writer.finish()),
    }
}

/// Reads a table from its unsqueezed bytes. Segments begin at byte `start` ([`PackHead::segments_start`]) and must end
/// before the trailer of a pack of `pack_length` bytes.
pub(crate) fn table_decode(bytes: &[u8], start: u32, pack_length: u32) -> Result<OwnTable, FormatError> {
    let mut reader = Reader::new(bytes);
    let table = segment::decode(&mut reader, start, segments_end(pack_length)?)?;
    let wrapped_keys = table.data_keys.iter().map(|_| wrapped_key(&mut reader)).collect::<Result<_, _>>()?;
    let counts = column::<2>(&mut reader, table.segments.len())?;
    let total = counts.iter().map(|count| usize::from(u16::from_le_bytes(*count))).sum();
    let mut lengths = column::<4>(&mut reader, total)?.iter();
    let mut ids = column::<{ ChunkId::BYTES }>(&mut reader, total)?.iter();
    reader.finish()?;
    let mut segments = Vec::with_capacity(table.segments.len());
    for (segment, count) in table.segments.into_iter().zip(counts) {
        let count = usize::from(u16::from_le_bytes(*count));
        let pairs = ids.by_ref().zip(lengths.by_ref()).take(count);
        let chunk = |(id, length): (&[u8; 32], &[u8; 4])| ChunkRef {
            id: ChunkId::from_bytes(*id),
            length: u32::from_le_bytes(*length),
        };
        let segment = segment.with_chunks(pairs.map(chunk).collect());
        check_chunks(&segment)?;
        segments.push(segment);
    }
    let segment::SegmentTable { class, session, data_keys, salts, .. } = table;
    Ok(OwnTable { table: PackTable { class, session, data_keys, salts, segments }, wrapped_keys })
}

/// One wrapped key: opaque here, so that a table is of use also without the key.
fn wrapped_key(reader: &mut Reader<'_>) -> Result<Vec<u8>, FormatError> {
    let length = usize::from(reader.u16()?);
    check_wrapped(length)?;
    Ok(reader.bytes(length)?.to_vec())
}

fn check_wrapped(length: usize) -> Result<(), FormatError> {
    match length {
        0 => Err(FormatError::Invalid("a wrapped data key is empty")),
        length if length > WRAPPED_KEY_BYTES_MAX => {
            Err(too_large("the length of a wrapped data key", length, WRAPPED_KEY_BYTES_MAX))
        }
        _ => Ok(()),
    }
}

/// One past the last byte that a segment of a pack of `pack_length` bytes may have.
pub(crate) fn segments_end(pack_length: u32) -> Result<u32, FormatError> {
    if size(pack_length) > PACK_BYTES_MAX {
        return Err(too_large("the length of a pack", size(pack_length), PACK_BYTES_MAX));
    }
    let trailer = u32::try_from(TRAILER_BYTES).unwrap_or(u32::MAX);
    pack_length.checked_sub(trailer).ok_or(FormatError::Invalid("a pack is shorter than its trailer"))
}

fn check_chunks(segment: &SegmentRecord) -> Result<(), FormatError> {
    if segment.chunks.len() > SEGMENT_CHUNKS_MAX {
        return Err(too_large("the number of chunks of a segment", segment.chunks.len(), SEGMENT_CHUNKS_MAX));
    }
    for chunk in &segment.chunks {
        check_chunk_length(chunk.length)?;
    }
    let total: u64 = segment.chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
    if total != u64::from(segment.plain_length) {
        return Err(FormatError::Invalid("the chunks of a segment do not add up to its length"));
    }
    Ok(())
}

/// Refuses lengths that no chunk has.
pub(crate) fn check_chunk_length(length: u32) -> Result<(), FormatError> {
    match size(length) {
        0 => Err(FormatError::Invalid("a chunk is empty")),
        length if length > CHUNK_BYTES_MAX => Err(too_large("the length of a chunk", length, CHUNK_BYTES_MAX)),
        _ => Ok(()),
    }
}

/// What is sealed as the table: whether it is squeezed, its length once unsqueezed, and the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableFrame<'a> {
    /// True: `bytes` are one zstd frame. False: they are the table itself.
    pub(crate) squeezed: bool,
    /// Length of the table in bytes, checked against `limits::PACK_TABLE_BYTES_MAX`.
    pub(crate) plain_length: u32,
    /// The table, squeezed or not.
    pub(crate) bytes: &'a [u8],
}

/// The plaintext of the sealed table.
pub(crate) fn table_frame_encode(frame: &TableFrame<'_>) -> Vec<u8> {
    let mut writer = Writer::with_capacity(frame.bytes.len() + TABLE_FRAME_BYTES);
    writer.u8(u8::from(frame.squeezed)).u32(frame.plain_length).bytes(frame.bytes);
    writer.finish()
}

/// Reads the plaintext of the sealed table.
pub(crate) fn table_frame_decode(bytes: &[u8]) -> Result<TableFrame<'_>, FormatError> {
    let mut reader = Reader::new(bytes);
    let squeezed = match reader.u8()? {
        0 => false,
        1 => true,
        other => return Err(FormatError::Unsupported(format!("pack table compression {other}"))),
    };
    let plain_length = reader.u32()?;
    if size(plain_length) > PACK_TABLE_BYTES_MAX {
        return Err(too_large("the table of a pack", size(plain_length), PACK_TABLE_BYTES_MAX));
    }
    let bytes = reader.rest()?;
    if !squeezed && bytes.len() != size(plain_length) {
        return Err(FormatError::Invalid("the table of a pack has another length than stated"));
    }
    Ok(TableFrame { squeezed, plain_length, bytes })
}

/// The end of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackTrailer {
    /// Bytes of the whole pack, trailer included.
    pub(crate) total_length: u64,
    /// CRC32C of every byte before it, `total_length` included.
    pub(crate) checksum: u32,
}

/// The trailer of the pack made of `parts` (everything before the trailer, padding included).
pub(crate) fn trailer_encode<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut body = TrailerSum::default();
    parts.into_iter().for_each(|part| body.add(part));
    body.encode()
}

/// What the trailer says of the bytes before it, for a pack that comes bit by bit.
#[derive(Default)]
pub(crate) struct TrailerSum {
    length: u64,
    checksum: u32,
}

impl TrailerSum {
    /// Takes in the next bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
    }

    fn encode(&self) -> Vec<u8> {
        let length = self.length.saturating_add(u64::try_from(TRAILER_BYTES).unwrap_or(u64::MAX));
        let checksum = crc32c::crc32c_append(self.checksum, &length.to_le_bytes());
        let mut writer = Writer::with_capacity(TRAILER_BYTES);
        writer.u64(length).u32(checksum).bytes(&TRAILER_MAGIC);
        writer.finish()
    }

    /// Checks length and checksum of all that was taken in against the trailer behind it.
    pub(crate) fn check(&self, end: &[u8]) -> Result<PackTrailer, FormatError> {
        let trailer = trailer_decode(end)?;
        if self.encode() != end {
            return Err(FormatError::Invalid("length or checksum of the pack are not what its end states"));
        }
        Ok(trailer)
    }
}

/// Reads a trailer from exactly its bytes, the last [`TRAILER_BYTES`] of a pack.
pub(crate) fn trailer_decode(bytes: &[u8]) -> Result<PackTrailer, FormatError> {
    let mut reader = Reader::new(bytes);
    let trailer = PackTrailer { total_length: reader.u64()?, checksum: reader.u32()? };
    if reader.array()? != TRAILER_MAGIC {
        return Err(FormatError::BadMagic { object: "the end of a pack" });
    }
    reader.finish()?;
    Ok(trailer)
}

/// Checks length and checksum of a whole pack against its trailer.
pub(crate) fn trailer_check(pack: &[u8]) -> Result<PackTrailer, FormatError> {
    let body = pack.len().checked_sub(TRAILER_BYTES).and_then(|end| pack.split_at_checked(end));
    let Some((body, end)) = body else {
        return Err(FormatError::Truncated { missing: TRAILER_BYTES.saturating_sub(pack.len()) });
    };
    let mut sum = TrailerSum::default();
    sum.add(body);
    sum.check(end)
}

/// The length to which a pack of `length` bytes (trailer included) is padded: what is seen from outside then tells
/// little. Padme below 4 MiB (at most 12 % more), above it a multiple of `limits::PACK_PADDING_BYTES`.
pub(crate) fn padded_length(length: usize) -> usize {
    if length >= PADME_BYTES {
        return length.next_multiple_of(PACK_PADDING_BYTES);
    }
    // Padme (Nikitin et al., PETS 2019): keep as many leading bits as the exponent has bits, round the rest up.
    match length.checked_ilog2() {
        Some(exponent) if exponent > 0 => length.next_multiple_of(1 << (exponent - exponent.ilog2() - 1)),
        _ => length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::vectors;

    #[test]
    fn chunks_that_do_not_fill_their_segment_are_refused() {
        let mut own = vectors::own_table();
        own.table.segments[0].plain_length += 1;
        assert!(matches!(table_encode(&own), Err(FormatError::Invalid(_))));
        let mut bytes = table_encode(&vectors::own_table()).expect("valid");
        let last_length = bytes.len() - 6 * ChunkId::BYTES - 4;
        bytes[last_length] += 1;
        assert!(matches!(table_decode(&bytes, 56, 4096), Err(FormatError::Invalid(_))));
    }

    #[test]
    fn a_pack_without_one_of_its_data_keys_is_refused_on_both_ways() {
        for wrong in [vec![], vec![vec![1; 119]], vec![vec![1; 119], vec![]], vec![vec![1; 119], vec![2; 1025]]] {
            let own = OwnTable { wrapped_keys: wrong, ..vectors::own_table() };
            assert!(table_encode(&own).is_err(), "{own:?}");
        }
        let bytes = table_encode(&vectors::own_table()).expect("valid");
        let wrapped = bytes.len() - 6 * (ChunkId::BYTES + 4) - 6 - 2 * (2 + vectors::WRAPPED_BYTES);
        for length in [0u16, 1025, u16::MAX] {
            let mut wrong = bytes.clone();
            wrong[wrapped..wrapped + 2].copy_from_slice(&length.to_le_bytes());
            assert!(table_decode(&wrong, 56, 4096).is_err(), "{length}");
        }
    }

    #[test]
    fn segments_may_not_reach_into_the_trailer() {
        let bytes = table_encode(&vectors::own_table()).expect("valid");
        let end = vectors::table().place_segments(56).expect("small");
        assert_eq!(end, 56 + 340 + 50 + 2000);
        assert!(table_decode(&bytes, 56, end + 20).is_ok());
        assert!(table_decode(&bytes, 56, end + 19).is_err());
        assert!(table_decode(&bytes, 56, 19).is_err());
        assert!(table_decode(&bytes, 56, u32::MAX).is_err());
    }

    #[test]
    fn a_million_chunks_that_are_not_there_are_refused_before_they_are_allocated() {
        let mut bytes = table_encode(&vectors::own_table()).expect("valid");
        let counts = bytes.len() - 6 * (ChunkId::BYTES + 4) - 6;
        bytes[counts + 1] = 0xff;
        assert!(matches!(table_decode(&bytes, 56, 4096), Err(FormatError::Truncated { .. })));
        assert!(matches!(table_frame_decode(&[1, 255, 255, 255, 255]), Err(FormatError::TooLarge { .. })));
    }

    #[test]
    fn newer_packs_are_not_called_damaged() {
        let head = PackHead { class: Class::Data, table_length: 9, key_id: [1; 16], nonce: [2; 24] };
        let bytes = head_encode(&head);
        assert_eq!(bytes.len(), HEAD_BYTES);
        assert_eq!(head.segments_start(), 65);
        for (at, value) in [(8, 2), (10, 3), (11, 1)] {
            let mut newer = bytes.clone();
            newer[at] = value;
            assert!(head_decode(&newer).is_err_and(|error| error.is_unsupported()), "byte {at}");
        }
        let mut other = bytes;
        other[0] = 0;
        assert_eq!(head_decode(&other), Err(FormatError::BadMagic { object: "a pack" }));
    }

    #[test]
    fn a_trailer_tells_a_cut_or_changed_pack() {
        let pack = [vec![7u8; 1000], trailer_encode([[7u8; 1000].as_slice()])].concat();
        let trailer = trailer_check(&pack).expect("whole");
        assert_eq!(trailer.total_length, 1020);
        let mut changed = pack.clone();
        changed[500] ^= 1;
        assert!(trailer_check(&changed).is_err());
        assert!(trailer_check(&pack[1..]).is_err());
        assert!(trailer_check(&[]).is_err());
    }
}
