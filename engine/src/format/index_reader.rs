//! The body of an index object read piece by piece, as its parts are opened: it is never in memory beside what it says.

use crate::format::FormatError;
use crate::format::index::ChunkRecord;
use crate::format::index::IndexRecords;
use crate::format::index::PackInfo;
use crate::format::index::RECORD_BYTES;
use crate::format::index::record_decode;
use crate::format::pack;
use crate::format::segment;
use crate::format::segment::column;
use crate::format::segment::too_large;
use crate::format::wire::Reader;
use crate::format::wire::size;
use crate::id::IndexId;
use crate::id::PackId;
use crate::limits::INDEX_BYTES_MAX;

/// Bytes of the counts at the beginning: superseded objects, packs, chunks, and flags.
const COUNTS_BYTES: usize = 16;
/// Least bytes of one pack: id, length, start, class, session, three counts, and a segment.
const PACK_BYTES_MIN: usize = 32 + 4 + 4 + 1 + 16 + 6 + 17;
/// Where the flags of a chunk record stand.
const FLAGS: std::ops::Range<usize> = 38..40;

/// A body of which some pieces were read.
pub(crate) struct IndexReader {
    /// Bytes of the body that are to come.
    left: usize,
    /// What stands before the chunk records, as long as it is not all there.
    front: Vec<u8>,
    /// What it says.
    records: Option<IndexRecords>,
    /// How many chunk records follow it.
    chunks: usize,
    /// The beginning of a record that a piece ended with.
    cut: Vec<u8>,
}

impl IndexReader {
    /// Begins with a body of this many bytes.
    pub(crate) fn new(body_bytes: usize) -> Result<Self, FormatError> {
        if body_bytes > INDEX_BYTES_MAX {
            return Err(too_large("the length of an index object", body_bytes, INDEX_BYTES_MAX));
        }
        Ok(Self { left: body_bytes, front: Vec::new(), records: None, chunks: 0, cut: Vec::new() })
    }

    /// Takes in the next piece, of any length. Fails as soon as something is not as it must be.
    pub(crate) fn add(&mut self, piece: &[u8]) -> Result<(), FormatError> {
        let all = self.left;
        self.left = all
            .checked_sub(piece.len())
            .ok_or(FormatError::TrailingBytes { count: piece.len().saturating_sub(all) })?;
        let mut rest = piece;
        if self.records.is_none() {
            self.take(&mut rest, COUNTS_BYTES);
            let Some(front_bytes) = self.front_bytes(rest.len())? else { return Ok(()) };
            self.take(&mut rest, front_bytes);
            if self.front.len() < front_bytes {
                return Ok(());
            }
            let mut records = front_decode(&std::mem::take(&mut self.front))?;
            records.chunks.reserve_exact(self.chunks);
            self.records = Some(records);
        }
        self.rows(rest)
    }

    /// All that it says: sorted records, every number in range.
    pub(crate) fn finish(self) -> Result<IndexRecords, FormatError> {
        let records = self.records.filter(|_| self.left == 0);
        records.ok_or(FormatError::Truncated { missing: self.left.max(1) })
    }

    /// Adds to the front until it has `length` bytes.
    fn take(&mut self, rest: &mut &[u8], length: usize) {
        let missing = length.saturating_sub(self.front.len());
        let (now, later) = rest.split_at(missing.min(rest.len()));
        self.front.reserve_exact(missing);
        self.front.extend_from_slice(now);
        *rest = later;
    }

    /// How long the front is, once its counts are there: the records fill the end of the body.
    fn front_bytes(&mut self, unread: usize) -> Result<Option<usize>, FormatError> {
        let Some(counts) = self.front.get(..COUNTS_BYTES) else { return Ok(None) };
        let mut reader = Reader::new(counts);
        reader.bytes(8)?;
        self.chunks = size(reader.u32()?);
        let all = self.front.len() + unread + self.left;
        let rows = self.chunks.saturating_mul(RECORD_BYTES);
        let front = all.checked_sub(rows).filter(|front| *front >= COUNTS_BYTES);
        front.map(Some).ok_or(FormatError::Truncated { missing: rows.saturating_add(COUNTS_BYTES).saturating_sub(all) })
    }

    fn rows(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        let Some(records) = &mut self.records else { return Ok(()) };
        let mut rest = bytes;
        if !self.cut.is_empty() {
            let (now, later) = rest.split_at((RECORD_BYTES - self.cut.len()).min(rest.len()));
            self.cut.extend_from_slice(now);
            rest = later;
            if let Ok(row) = <&[u8; RECORD_BYTES]>::try_from(self.cut.as_slice()) {
                let record = checked(row, records)?;
                records.chunks.push(record);
                self.cut.clear();
            }
        }
        let (rows, end) = rest.as_chunks();
        for row in rows {
            let record = checked(row, records)?;
            records.chunks.push(record);
        }
        self.cut.extend_from_slice(end);
        Ok(())
    }
}

/// Reads a whole body as stored.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn records_decode(bytes: &[u8]) -> Result<IndexRecords, FormatError> {
    let mut reader = IndexReader::new(bytes.len())?;
    reader.add(bytes)?;
    reader.finish()
}

/// Reads what stands before the chunk records.
fn front_decode(bytes: &[u8]) -> Result<IndexRecords, FormatError> {
    let mut reader = Reader::new(bytes);
    let (superseded, packs) = (size(reader.u32()?), size(reader.u32()?));
    let (_, flags) = (reader.u32()?, reader.u32()?);
    if flags != 0 {
        return Err(FormatError::Unsupported("flags of an index object".to_owned()));
    }
    let ids = column::<{ IndexId::BYTES }>(&mut reader, superseded)?;
    if !ids.is_sorted_by(|a, b| a < b) {
        return Err(FormatError::Invalid("superseded index objects are out of order"));
    }
    let supersedes = ids.iter().copied().map(IndexId::from_bytes).collect();
    if packs.saturating_mul(PACK_BYTES_MIN) > reader.remaining() {
        return Err(FormatError::Truncated { missing: packs.saturating_mul(PACK_BYTES_MIN) - reader.remaining() });
    }
    let packs = (0..packs).map(|_| pack_decode(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    if !packs.is_sorted_by(|a, b| a.id < b.id) {
        return Err(FormatError::Invalid("the packs of an index object are out of order"));
    }
    reader.finish()?;
    Ok(IndexRecords { supersedes, packs, chunks: Vec::new() })
}

/// Reads one pack as stored.
pub(crate) fn pack_decode(reader: &mut Reader<'_>) -> Result<PackInfo, FormatError> {
    let id = PackId::from_bytes(reader.array()?);
    let length = reader.u32()?;
    let start = reader.u32()?;
    if size(start) < pack::HEAD_BYTES {
        return Err(FormatError::Invalid("the first segment of a pack begins inside the head"));
    }
    let table = segment::decode(reader, start, pack::segments_end(length)?)?;
    Ok(PackInfo::new(id, length, table))
}

/// The next record, if it may follow those before it.
fn checked(row: &[u8; RECORD_BYTES], before: &IndexRecords) -> Result<ChunkRecord, FormatError> {
    let record = record_decode(row);
    let flags = row.get(FLAGS).and_then(|flags| flags.try_into().ok()).map_or(0, u16::from_le_bytes);
    if flags != 0 {
        return Err(FormatError::Unsupported(format!("chunk record flags {flags:#06x}")));
    }
    pack::check_chunk_length(record.length)?;
    let place = before.packs.get(size(record.pack)).and_then(|pack| pack.segments.get(usize::from(record.segment)));
    let place = place.ok_or(FormatError::Invalid("a chunk stands in a segment that does not exist"))?;
    if u64::from(record.offset) + u64::from(record.length) > u64::from(place.plain_length) {
        return Err(FormatError::Invalid("a chunk ends behind its segment"));
    }
    if before.chunks.last().is_some_and(|last| *last >= record) {
        return Err(FormatError::Invalid("the chunk records are out of order or doubled"));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::index::body_encode;
    use crate::format::vectors;

    #[test]
    fn pieces_of_any_length_say_the_same() {
        let bytes = body_encode(&vectors::body()).expect("valid");
        let whole = records_decode(&bytes).expect("valid");
        for length in 1..bytes.len() {
            let mut reader = IndexReader::new(bytes.len()).expect("not too long");
            bytes.chunks(length).for_each(|piece| reader.add(piece).expect("valid"));
            assert_eq!(reader.finish().as_ref(), Ok(&whole), "{length}");
        }
    }

    #[test]
    fn a_body_that_is_cut_short_or_too_long_is_refused() {
        let bytes = body_encode(&vectors::body()).expect("valid");
        for length in 0..bytes.len() {
            assert!(records_decode(&bytes[..length]).is_err(), "{length}");
            let mut reader = IndexReader::new(bytes.len()).expect("not too long");
            reader.add(&bytes[..length]).expect("valid so far");
            assert!(matches!(reader.finish(), Err(FormatError::Truncated { .. })), "{length}");
        }
        assert!(records_decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        let mut reader = IndexReader::new(bytes.len()).expect("not too long");
        reader.add(&bytes).expect("valid");
        assert_eq!(reader.add(&[0]), Err(FormatError::TrailingBytes { count: 1 }));
    }

    #[test]
    fn nothing_is_set_aside_for_what_counts_only_claim() {
        let mut bytes = body_encode(&vectors::body()).expect("valid");
        for at in [0, 4, 8] {
            let mut wrong = bytes.clone();
            wrong[at..at + 4].copy_from_slice(&[0xff; 4]);
            assert!(matches!(records_decode(&wrong), Err(FormatError::Truncated { .. })), "{at}");
        }
        bytes[12] = 1;
        assert!(matches!(records_decode(&bytes), Err(FormatError::Unsupported(_))));
    }
}
