//! What of a shard is read when it is opened: where its parts stand, the objects it covers, its packs' names, its ranks.

use super::contents::VERSION;
use super::draft::Covered;
use super::file::MAC_BYTES;
use super::file::PAGE_BYTES;
use super::ranks::Ranks;
use crate::format::FormatError;
use crate::format::index::RECORD_BYTES;
use crate::format::segment::column;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::format::wire::size;
use crate::id::IndexId;
use crate::id::PackId;

/// Rows of one page.
pub(super) const PAGE_ROWS: usize = (PAGE_BYTES - MAC_BYTES) / RECORD_BYTES;
/// Where the first page begins: one page behind the front, so that all are aligned as the kernel's are.
pub(super) const PAGES_AT: u64 = 4096;
/// Bytes of the front without its hash.
pub(super) const FRONT_BYTES: usize = 8 + 4 + 4 + 8 + 8 + 8 + 32;
const MAGIC: [u8; 8] = *b"shard\0\0\0";
/// Least bytes of one covered object.
const COVERED_BYTES_MIN: usize = 32 + 8 + 4 + 4 + 4;

const _: () = assert!(PAGE_BYTES == 4096 && FRONT_BYTES + MAC_BYTES <= PAGE_BYTES);

/// The first bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front {
    pub(super) rows: u32,
    /// Where the packs begin, in bytes.
    pub(super) packs_at: u64,
    /// Where what is kept in memory begins, in bytes.
    pub(super) resident_at: u64,
    /// Its length with its hash, which is where the file ends.
    pub(super) resident_bytes: u64,
    pub(super) name: [u8; 32],
}

impl Front {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(FRONT_BYTES + MAC_BYTES);
        writer.bytes(&MAGIC).u32(VERSION).u32(self.rows);
        writer.u64(self.packs_at).u64(self.resident_at).u64(self.resident_bytes).bytes(&self.name);
        writer.finish()
    }

    /// Reads the front of a file of `file_bytes` bytes, to which every number in it must fit.
    pub(super) fn decode(bytes: &[u8], file_bytes: u64) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC {
            return Err(FormatError::BadMagic { object: "a part of the index" });
        }
        if reader.u32()? != VERSION {
            return Err(FormatError::Unsupported("a part of the index in another form".to_owned()));
        }
        let rows = reader.u32()?;
        let (packs_at, resident_at, resident_bytes) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let front = Self { rows, packs_at, resident_at, resident_bytes, name: reader.array()? };
        reader.finish()?;
        let pages = u64::try_from(size(rows).div_ceil(PAGE_ROWS) * PAGE_BYTES).unwrap_or(u64::MAX);
        let fits = packs_at == PAGES_AT.saturating_add(pages)
            && packs_at <= resident_at
            && resident_at.checked_add(resident_bytes) == Some(file_bytes);
        if fits { Ok(front) } else { Err(FormatError::Invalid("the parts of a shard do not fill its file")) }
    }
}

/// What is kept in memory.
pub(super) struct Resident {
    pub(super) covered: Vec<Covered>,
    pub(super) pack_ids: Vec<PackId>,
    /// Where each pack ends, counted from where the first begins.
    pub(super) pack_ends: Vec<u32>,
    pub(super) ranks: Ranks,
}

impl Resident {
    pub(super) fn encode(&self) -> Vec<u8> {
        let [counts, tags] = self.ranks.kept();
        let mut writer = Writer::with_capacity(counts.len() + tags.len() + self.pack_ids.len() * 36 + MAC_BYTES);
        writer.list(&self.covered, |writer, object| {
            writer.bytes(object.id.as_bytes()).u64(object.length).u32(object.packs).u32(object.chunks);
            writer.list(&object.supersedes, |writer, id| {
                writer.bytes(id.as_bytes());
            });
        });
        writer.list(&self.pack_ids, |writer, id| {
            writer.bytes(id.as_bytes());
        });
        self.pack_ends.iter().for_each(|end| {
            writer.u32(*end);
        });
        writer.bytes(counts).bytes(tags);
        writer.finish()
    }

    /// Reads it for a shard of `rows` rows. What is large of it stays where it is: whatever is freed is kept by the
    /// allocator.
    pub(super) fn decode(mut bytes: Vec<u8>, rows: u32) -> Result<Self, FormatError> {
        let mut reader = Reader::new(&bytes);
        let covered = reader.list(COVERED_BYTES_MIN, |reader| {
            let id = IndexId::from_bytes(reader.array()?);
            let (length, packs, chunks) = (reader.u64()?, reader.u32()?, reader.u32()?);
            let supersedes = reader.list(IndexId::BYTES, |reader| Ok(IndexId::from_bytes(reader.array()?)))?;
            Ok(Covered { id, length, packs, chunks, supersedes })
        })?;
        let pack_ids = reader.list(PackId::BYTES, |reader| Ok(PackId::from_bytes(reader.array()?)))?;
        let pack_ends = column::<4>(&mut reader, pack_ids.len())?.iter().map(|end| u32::from_le_bytes(*end)).collect();
        let counts = reader.bytes(Ranks::buckets(size(rows)))?.to_vec();
        if reader.remaining() != size(rows) {
            return Err(FormatError::Invalid("the rows of a shard do not add up"));
        }
        let before = bytes.len() - size(rows);
        bytes.drain(..before);
        bytes.shrink_to_fit();
        let ranks = Ranks::new(counts, bytes).ok_or(FormatError::Invalid("the rows of a shard do not add up"))?;
        Ok(Self { covered, pack_ids, pack_ends, ranks })
    }
}
