//! The index object: which chunk stands where, for some packs; a clear head, then parts of at most 1 MiB of plaintext.
//!
//! ```text
//! | head 88 | part head 5 | sealed part | part head 5 | sealed part | ..
//! ```
//! Parts are squeezed and sealed by `store`. Back to back their plaintexts are the body: superseded objects, packs with
//! their segment tables, and 48-byte chunk records sorted by id, which can be searched without being parsed.

use crate::class::Class;
use crate::entry::ChunkRef;
use crate::format::FormatError;
#[cfg(any(test, feature = "fuzzing"))]
use crate::format::index_reader;
use crate::format::pack;
use crate::format::pack::PackTable;
use crate::format::pack::SegmentInfo;
use crate::format::segment;
use crate::format::segment::SegmentTable;
use crate::format::segment::TableParts;
use crate::format::segment::too_large;
use crate::format::wire::Writer;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::id::DataKeyId;
use crate::id::IndexId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::limits::INDEX_BYTES_MAX;

/// Bytes of one stored chunk record.
pub(crate) const RECORD_BYTES: usize = 48;

/// What an index object says, pack by pack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexBody {
    /// Index objects that this one replaces; ascending.
    pub(crate) supersedes: Vec<IndexId>,
    /// Packs in ascending order of their ids.
    pub(crate) packs: Vec<IndexedPack>,
}

/// A stored pack and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexedPack {
    /// Its name.
    pub(crate) pack: PackId,
    /// Its stored length in bytes.
    pub(crate) length: u32,
    /// Its segments with their chunks; offsets are set.
    pub(crate) table: PackTable,
}

/// The same as stored: packs without chunks, and chunk records sorted by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexRecords {
    /// Index objects that this one replaces; ascending.
    pub(crate) supersedes: Vec<IndexId>,
    /// Packs in ascending order of their ids.
    pub(crate) packs: Vec<PackInfo>,
    /// Every chunk of these packs, ascending.
    pub(crate) chunks: Vec<ChunkRecord>,
}

/// A stored pack without its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackInfo {
    /// Its name.
    pub(crate) id: PackId,
    /// Its stored length in bytes.
    pub(crate) length: u32,
    /// Class of every segment.
    pub(crate) class: Class,
    /// The session that wrote it.
    pub(crate) session: SnapshotId,
    /// Keys that segments name by position.
    pub(crate) data_keys: Vec<DataKeyId>,
    /// Salts that segments name by position.
    pub(crate) salts: Vec<[u8; 32]>,
    /// In the order in which they stand in the pack.
    pub(crate) segments: Vec<SegmentInfo>,
}

/// Where one copy of a chunk stands. The derived order is the stored order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChunkRecord {
    /// Its name.
    pub(crate) id: ChunkId,
    /// Position of its pack in the list of packs.
    pub(crate) pack: u32,
    /// Position of its segment in the pack.
    pub(crate) segment: u16,
    /// Where it begins in the segment's plaintext, in bytes.
    pub(crate) offset: u32,
    /// Its length in bytes.
    pub(crate) length: u32,
}

/// The body's bytes, before they are cut into parts.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn body_encode(body: &IndexBody) -> Result<Vec<u8>, FormatError> {
    let (mut bytes, rows) = body_parts(body)?;
    rows.iter().for_each(|row| bytes.extend_from_slice(&record_encode(row)));
    Ok(bytes)
}

/// The body's bytes before its chunk records, and these in their order. Packs may come in any order; they are stored in
/// ascending order.
pub(crate) fn body_parts(body: &IndexBody) -> Result<(Vec<u8>, Vec<ChunkRecord>), FormatError> {
    let mut packs: Vec<&IndexedPack> = body.packs.iter().collect();
    packs.sort_unstable_by_key(|pack| pack.pack);
    if !packs.is_sorted_by(|a, b| a.pack < b.pack) {
        return Err(FormatError::Invalid("an index object lists a pack twice"));
    }
    let mut supersedes = body.supersedes.clone();
    supersedes.sort_unstable();
    supersedes.dedup();
    let records = sorted_records(&packs)?;
    let mut writer = Writer::with_capacity(64 + supersedes.len() * 32 + packs.len() * 256);
    writer.count(supersedes.len()).count(packs.len()).count(records.len()).u32(0);
    for id in &supersedes {
        writer.bytes(id.as_bytes());
    }
    for pack in packs {
        encode_pack(&mut writer, &pack.pack, pack.length, &pack.table.parts())?;
    }
    Ok((finish_front(writer, records.len())?, records))
}

/// The bytes before the chunk records from the stored form; everything in it must be in order already.
pub(crate) fn records_front(records: &IndexRecords) -> Result<Vec<u8>, FormatError> {
    let IndexRecords { supersedes, packs, chunks } = records;
    let in_order = supersedes.is_sorted_by(|a, b| a < b)
        && packs.is_sorted_by(|a, b| a.id < b.id)
        && chunks.is_sorted_by(|a, b| a < b);
    if !in_order {
        return Err(FormatError::Invalid("an index object is out of order"));
    }
    let mut writer = Writer::with_capacity(64 + supersedes.len() * 32 + packs.len() * 256);
    writer.count(supersedes.len()).count(packs.len()).count(chunks.len()).u32(0);
    for id in supersedes {
        writer.bytes(id.as_bytes());
    }
    for pack in packs {
        encode_pack(&mut writer, &pack.id, pack.length, &pack.parts())?;
    }
    finish_front(writer, chunks.len())
}

fn finish_front(writer: Writer, records: usize) -> Result<Vec<u8>, FormatError> {
    match writer.len().saturating_add(records.saturating_mul(RECORD_BYTES)) {
        length if length > INDEX_BYTES_MAX => Err(too_large("the length of an index object", length, INDEX_BYTES_MAX)),
        _ => Ok(writer.finish()),
    }
}

fn sorted_records(packs: &[&IndexedPack]) -> Result<Vec<ChunkRecord>, FormatError> {
    let total = packs.iter().flat_map(|pack| &pack.table.segments).map(|segment| segment.chunks.len()).sum();
    if total > INDEX_BYTES_MAX / RECORD_BYTES {
        return Err(too_large("the number of chunks of an index object", total, INDEX_BYTES_MAX / RECORD_BYTES));
    }
    let mut records = Vec::with_capacity(total);
    for (pack_number, pack) in (0u32..).zip(packs) {
        for (segment_number, segment) in (0u16..).zip(&pack.table.segments) {
            let mut offset = 0u32;
            for chunk in &segment.chunks {
                let ChunkRef { id, length } = *chunk;
                records.push(ChunkRecord { id, pack: pack_number, segment: segment_number, offset, length });
                pack::check_chunk_length(length)?;
                offset = offset.saturating_add(length);
            }
            if offset != segment.plain_length {
                return Err(FormatError::Invalid("the chunks of a segment do not add up to its length"));
            }
        }
    }
    records.sort_unstable();
    Ok(records)
}

fn encode_pack<I>(writer: &mut Writer, id: &PackId, length: u32, table: &TableParts<'_, I>) -> Result<(), FormatError>
where
    I: ExactSizeIterator<Item = SegmentInfo> + Clone,
{
    let start = table.segments.clone().next().map_or(0, |segment| segment.offset);
    writer.bytes(id.as_bytes()).u32(length).u32(start);
    let mut next = u64::from(start);
    for segment in table.segments.clone() {
        if u64::from(segment.offset) != next {
            return Err(FormatError::Invalid("the segments of a pack do not stand back to back"));
        }
        next += u64::from(segment.stored_length);
    }
    if size(start) < pack::HEAD_BYTES || next > u64::from(pack::segments_end(length)?) {
        return Err(FormatError::Invalid("the segments are longer than their pack"));
    }
    segment::encode(writer, table)
}

/// One record as stored.
pub(crate) fn record_encode(record: &ChunkRecord) -> [u8; RECORD_BYTES] {
    let mut bytes = [0u8; RECORD_BYTES];
    let (id, rest) = bytes.split_at_mut(ChunkId::BYTES);
    id.copy_from_slice(record.id.as_bytes());
    let numbers = u128::from(record.pack)
        | u128::from(record.segment) << 32
        | u128::from(record.offset) << 64
        | u128::from(record.length) << 96;
    rest.copy_from_slice(&numbers.to_le_bytes());
    bytes
}

/// The fields of a record, whatever they say.
pub(crate) fn record_decode(bytes: &[u8; RECORD_BYTES]) -> ChunkRecord {
    let (id, numbers) = bytes.split_first_chunk().unwrap_or((&[0; ChunkId::BYTES], &[]));
    let numbers = numbers.first_chunk().map_or(0, |numbers| u128::from_le_bytes(*numbers));
    let [a, b, c, d, e, f, _, _, rest @ ..] = numbers.to_le_bytes();
    let [g, h, i, j, k, l, m, n] = rest;
    ChunkRecord {
        id: ChunkId::from_bytes(*id),
        pack: u32::from_le_bytes([a, b, c, d]),
        segment: u16::from_le_bytes([e, f]),
        offset: u32::from_le_bytes([g, h, i, j]),
        length: u32::from_le_bytes([k, l, m, n]),
    }
}

/// One pack as stored, without its chunks.
pub(crate) fn pack_encode(pack: &PackInfo) -> Result<Vec<u8>, FormatError> {
    let mut writer = Writer::with_capacity(256);
    encode_pack(&mut writer, &pack.id, pack.length, &pack.parts())?;
    Ok(writer.finish())
}

/// Reads a body and gives each segment its chunks back; they must fill it exactly.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn body_decode(bytes: &[u8]) -> Result<IndexBody, FormatError> {
    index_reader::records_decode(bytes)?.into_body()
}

impl IndexRecords {
    /// The same pack by pack. Fails when the chunks of a segment overlap or leave a hole.
    pub(crate) fn into_body(self) -> Result<IndexBody, FormatError> {
        // Sorting the numbers by place groups them by segment, in the order of their bytes.
        let mut chunks = self.chunks;
        chunks.sort_unstable_by_key(|record| (record.pack, record.segment, record.offset));
        let mut rest = chunks.as_slice();
        let mut packs = Vec::with_capacity(self.packs.len());
        for (pack_number, pack) in (0u32..).zip(self.packs) {
            let PackInfo { id, length, class, session, data_keys, salts, segments } = pack;
            let mut filled = Vec::with_capacity(segments.len());
            for (segment_number, segment) in (0u16..).zip(segments) {
                let here = |record: &ChunkRecord| record.pack == pack_number && record.segment == segment_number;
                let (own, others) = rest.split_at_checked(rest.partition_point(here)).unwrap_or((rest, &[]));
                rest = others;
                filled.push(segment.with_chunks(segment_chunks(&segment, own)?));
            }
            let table = PackTable { class, session, data_keys, salts, segments: filled };
            packs.push(IndexedPack { pack: id, length, table });
        }
        Ok(IndexBody { supersedes: self.supersedes, packs })
    }
}

fn segment_chunks(segment: &SegmentInfo, records: &[ChunkRecord]) -> Result<Vec<ChunkRef>, FormatError> {
    let mut chunks = Vec::with_capacity(records.len());
    let mut next = 0u32;
    for record in records {
        if record.offset != next {
            return Err(FormatError::Invalid("the chunks of a segment overlap or leave a hole"));
        }
        next = record.offset.saturating_add(record.length);
        chunks.push(ChunkRef { id: record.id, length: record.length });
    }
    if next != segment.plain_length {
        return Err(FormatError::Invalid("the chunks of a segment do not add up to its length"));
    }
    Ok(chunks)
}

impl PackInfo {
    pub(super) fn new(id: PackId, length: u32, table: SegmentTable) -> Self {
        let SegmentTable { class, session, data_keys, salts, segments } = table;
        Self { id, length, class, session, data_keys, salts, segments }
    }

    fn parts(&self) -> TableParts<'_, impl ExactSizeIterator<Item = SegmentInfo> + Clone> {
        TableParts {
            class: self.class,
            session: self.session,
            data_keys: &self.data_keys,
            salts: &self.salts,
            segments: self.segments.iter().copied(),
        }
    }
}

impl From<IndexedPack> for PackInfo {
    fn from(pack: IndexedPack) -> Self {
        let PackTable { class, session, data_keys, salts, segments } = pack.table;
        let segments = segments.iter().map(pack::SegmentRecord::info).collect();
        Self { id: pack.pack, length: pack.length, class, session, data_keys, salts, segments }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::index_reader::records_decode;
    use crate::format::vectors;

    /// The sample's bytes and where its chunk records begin.
    fn sample() -> (Vec<u8>, usize) {
        let bytes = body_encode(&vectors::body()).expect("valid");
        let records = bytes.len() - 8 * RECORD_BYTES;
        (bytes, records)
    }

    #[test]
    fn records_are_sorted_by_id_and_name_pack_and_segment() {
        let records = records_decode(&sample().0).expect("valid");
        let places: Vec<_> = records
            .chunks
            .iter()
            .map(|record| (record.id.as_bytes()[0], record.pack, record.segment, record.offset, record.length))
            .collect();
        let expected = [
            (1, 0, 0, 100, 200),
            (1, 0, 2, 0, 200),
            (2, 0, 2, 200, 3000),
            (3, 0, 2, 3200, 1),
            (4, 1, 0, 70, 30),
            (5, 0, 1, 0, 70),
            (5, 1, 0, 0, 70),
            (9, 0, 0, 0, 100),
        ];
        assert_eq!(places, expected);
        assert_eq!(records.into_body(), Ok(vectors::body()));
    }

    #[test]
    fn packs_are_stored_in_order_whatever_order_they_come_in() {
        let mut turned = vectors::body();
        turned.packs.reverse();
        turned.supersedes.reverse();
        assert_eq!(body_encode(&turned), Ok(sample().0));
        let (bytes, records) = sample();
        assert_eq!(records_front(&records_decode(&bytes).expect("valid")).as_deref(), Ok(&bytes[..records]));
        turned.packs.push(turned.packs[0].clone());
        assert!(body_encode(&turned).is_err());
    }

    #[test]
    fn records_that_point_nowhere_are_refused() {
        let (bytes, records) = sample();
        // Field of the first record, and a value for its lowest byte that leads out of range.
        for (at, value) in [(32, 2), (36, 3), (38, 1), (40, 101), (44, 201), (44, 0)] {
            let mut wrong = bytes.clone();
            wrong[records + at] = value;
            assert!(records_decode(&wrong).is_err(), "byte {at} = {value}");
        }
    }

    #[test]
    fn records_out_of_order_or_doubled_are_refused() {
        let (bytes, records) = sample();
        let row = |bytes: &[u8], number: usize| {
            bytes[records + number * RECORD_BYTES..records + (number + 1) * RECORD_BYTES].to_vec()
        };
        let mut swapped = bytes.clone();
        swapped[records..records + RECORD_BYTES].copy_from_slice(&row(&bytes, 1));
        assert!(records_decode(&swapped).is_err(), "doubled");
        swapped[records + RECORD_BYTES..records + 2 * RECORD_BYTES].copy_from_slice(&row(&bytes, 0));
        assert!(records_decode(&swapped).is_err(), "swapped");
    }

    #[test]
    fn chunks_that_overlap_cannot_become_a_pack_again() {
        let (mut bytes, records) = sample();
        // The chunk at 100 of the first segment moves to 99.
        bytes[records + 40] = 99;
        let decoded = records_decode(&bytes).expect("within the segment");
        assert!(decoded.into_body().is_err());
    }
}
