//! A shard: the records of some index objects in a local file, sorted by id; about ten bits a chunk in memory.
//!
//! ```text
//! | front, to 4096 | page of 85 rows, hash | .. | pack, hash | .. | resident: objects, packs' names, ranks, hash |
//! ```
//! The ranks tell the row of an id, the row its page; so a look-up reads one page, and mostly none where the id is not
//! there. What is read is believed only under the repository's key, as this part of this shard.

use super::contents::Contents;
use super::draft::Covered;
use super::file::MAC_BYTES;
use super::file::PAGE_BYTES;
use super::file::Page;
use super::file::Part;
use super::file::ShardFile;
use super::head::FRONT_BYTES;
use super::head::Front;
use super::head::PAGE_ROWS;
use super::head::PAGES_AT;
use super::head::Resident;
use super::ranks::Counting;
use super::ranks::Ranks;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::index;
use crate::format::index::ChunkRecord;
use crate::format::index::PackInfo;
use crate::format::index::RECORD_BYTES;
use crate::format::index_reader::pack_decode;
use crate::format::wire::Reader;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::id::PackId;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Bytes written at once.
const WRITE_BYTES: usize = 256 * 1024;

/// Records of index objects in a local file.
#[derive(Debug)]
pub(crate) struct Shard {
    file: Arc<ShardFile>,
    rows: u32,
    ranks: Ranks,
    covered: Vec<Covered>,
    packs: Arc<PackShelf>,
    pack_ids: Vec<PackId>,
}

/// The packs of a shard, which can be read without its rows.
#[derive(Debug)]
pub(crate) struct PackShelf {
    file: Arc<ShardFile>,
    packs_at: u64,
    /// Where each pack ends, counted from there.
    ends: Vec<u32>,
}

impl PackShelf {
    /// How many packs.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The chunks of a pack, and the pack.
    pub(crate) fn pack(&self, number: u32) -> Result<(u32, PackInfo)> {
        let bytes = self.encoded(number)?;
        let mut reader = Reader::new(&bytes);
        let chunks = reader.u32().map_err(|cause| self.file.broken(cause))?;
        let pack = reader.whole(pack_decode).map_err(|cause| self.file.broken(cause))?;
        Ok((chunks, pack))
    }

    /// The same as it is stored.
    pub(super) fn encoded(&self, number: u32) -> Result<Vec<u8>> {
        let broken = || self.file.broken("a pack is not where it should be");
        let start = match number.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(size(before)).ok_or_else(broken)?,
        };
        let end = *self.ends.get(size(number)).ok_or_else(broken)?;
        let length = end.checked_sub(start).filter(|length| size(*length) > MAC_BYTES).ok_or_else(broken)?;
        self.file.read(Part::Pack(number), self.packs_at.saturating_add(start.into()), size(length))
    }
}

/// A pack of so many chunks as a shard stores it.
pub(super) fn encoded(chunks: u32, pack: &PackInfo) -> Result<Vec<u8>> {
    let encoded =
        index::pack_encode(pack).map_err(|cause| Error::new(Kind::Bug, "a pack cannot be kept").because(cause))?;
    Ok([chunks.to_le_bytes().as_slice(), &encoded].concat())
}

impl Shard {
    /// Writes a shard into an empty file. `None` when its ids do not spread like hashes.
    pub(super) fn write(contents: &impl Contents, file: ShardFile) -> io::Result<Option<Self>> {
        let count = contents.count();
        let mut ranks = Counting::of(count);
        let mut out = BufWriter::with_capacity(WRITE_BYTES, &file.file);
        let mut at = PAGES_AT;
        out.write_all(&[0; PAGE_BYTES])?;
        let mut rows = contents.rows().map_err(io::Error::other)?;
        for number in 0..length_u32(count.div_ceil(PAGE_ROWS)) {
            let mut page = Vec::with_capacity(PAGE_BYTES);
            for row in rows.by_ref().take(PAGE_ROWS) {
                let row = row.map_err(io::Error::other)?;
                let Some(()) = ranks.add(&row.id) else { return Ok(None) };
                page.extend_from_slice(&index::record_encode(&row));
            }
            page.resize(PAGE_BYTES - MAC_BYTES, 0);
            at += put(&mut out, &file, Part::Page(number), page)?;
        }
        let ranks = ranks.finish().filter(|ranks| ranks.len() == count && rows.next().is_none());
        let ranks = ranks.ok_or_else(|| io::Error::other("there are not as many rows as were counted"))?;
        let packs_at = at;
        let (mut pack_ids, mut pack_ends) = (Vec::new(), Vec::new());
        for (number, pack) in (0u32..).zip(contents.packs()) {
            let (id, encoded) = pack.map_err(io::Error::other)?;
            at += put(&mut out, &file, Part::Pack(number), encoded)?;
            pack_ids.push(id);
            pack_ends.push(u32::try_from(at - packs_at).map_err(io::Error::other)?);
        }
        let resident = Resident { covered: contents.covered().to_vec(), pack_ids, pack_ends, ranks };
        let resident_at = at;
        let resident_bytes = put(&mut out, &file, Part::Resident, resident.encode())?;
        out.flush()?;
        drop(out);
        let front = Front { rows: length_u32(count), packs_at, resident_at, resident_bytes, name: file.name };
        let mut bytes = front.encode();
        bytes.extend_from_slice(&file.mac(Part::Front, &bytes));
        file.file.write_all_at(&bytes, 0)?;
        Ok(Some(Self::new(Arc::new(file), &front, resident)))
    }

    /// Opens one that was kept; only what is needed in memory is read. An error says that it is of no use.
    pub(super) fn open(file: ShardFile) -> Result<Self> {
        let file_bytes = file.file.metadata().map_err(|cause| file.broken(cause))?.len();
        let front = file.read(Part::Front, 0, FRONT_BYTES + MAC_BYTES)?;
        let front = Front::decode(&front, file_bytes).map_err(|cause| file.broken(cause))?;
        let length = usize::try_from(front.resident_bytes).map_err(|cause| file.broken(cause))?;
        if front.name != file.name || length < MAC_BYTES {
            return Err(file.broken("it is another file's content"));
        }
        let resident = file.read(Part::Resident, front.resident_at, length)?;
        let resident = Resident::decode(resident, front.rows).map_err(|cause| file.broken(cause))?;
        Ok(Self::new(Arc::new(file), &front, resident))
    }

    fn new(file: Arc<ShardFile>, front: &Front, resident: Resident) -> Self {
        let Resident { covered, pack_ids, pack_ends, ranks } = resident;
        let packs = Arc::new(PackShelf { file: Arc::clone(&file), packs_at: front.packs_at, ends: pack_ends });
        Self { file, rows: front.rows, ranks, covered, packs, pack_ids }
    }

    /// The index objects that it covers.
    pub(crate) fn covered(&self) -> &[Covered] {
        &self.covered
    }

    /// Where its file stands, if it has a name.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file.path.as_deref()
    }

    /// Whether the next run finds it.
    pub(crate) fn is_kept(&self) -> bool {
        self.path().is_some()
    }

    /// Its packs.
    pub(crate) fn packs(&self) -> &Arc<PackShelf> {
        &self.packs
    }

    /// The names of its packs, for those who keep them elsewhere.
    pub(crate) fn take_pack_ids(&mut self) -> Vec<PackId> {
        std::mem::take(&mut self.pack_ids)
    }

    /// The names of its packs, until they were taken.
    pub(crate) fn pack_ids(&self) -> &[PackId] {
        &self.pack_ids
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// Every row of this id, with its number.
    pub(crate) fn find(&self, id: &ChunkId, mut found: impl FnMut(u32, ChunkRecord)) -> Result<()> {
        let mut rows = Rows::new(self);
        for row in self.ranks.rows(id) {
            let record = rows.get(row)?;
            if record.id == *id {
                found(row, record);
            }
        }
        Ok(())
    }

    /// Whether a row has this id.
    pub(crate) fn has(&self, id: &ChunkId) -> Result<bool> {
        let mut any = false;
        self.find(id, |_, _| any = true)?;
        Ok(any)
    }

    /// Its rows with their numbers, one after another.
    pub(crate) fn each_row(&self) -> impl Iterator<Item = Result<(u32, ChunkRecord)>> {
        let mut rows = Rows::new(self);
        (0..self.rows).map(move |row| Ok((row, rows.get(row)?)))
    }

    /// Bytes in memory.
    #[cfg(any(test, feature = "benching"))]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.ranks.memory_bytes() + self.packs.ends.capacity() * 4 + self.pack_ids.capacity() * PackId::BYTES
    }
}

/// Reads rows; the page read last is kept.
struct Rows<'a> {
    shard: &'a Shard,
    page: Option<(u32, Box<Page>)>,
}

impl<'a> Rows<'a> {
    fn new(shard: &'a Shard) -> Self {
        Self { shard, page: None }
    }

    /// The row of this number.
    fn get(&mut self, row: u32) -> Result<ChunkRecord> {
        let shard = self.shard;
        let number = length_u32(size(row) / PAGE_ROWS);
        let page = match self.page.take() {
            Some((held, page)) if held == number => page,
            other => {
                let mut page = other.map_or_else(|| Box::new(Page::empty()), |(_, page)| page);
                let offset = PAGES_AT.saturating_mul(u64::from(number).saturating_add(1));
                shard.file.read_page(number, offset, &mut page)?;
                page
            }
        };
        let start = size(row) % PAGE_ROWS * RECORD_BYTES;
        let record = page.rows().get(start..).and_then(|rest| rest.first_chunk()).filter(|_| row < shard.rows);
        let record = record.map(index::record_decode);
        self.page = Some((number, page));
        record.ok_or_else(|| shard.file.broken("a row is not where it should be"))
    }
}

/// Writes a part and its hash; gives how many bytes they are.
fn put(out: &mut impl Write, file: &ShardFile, part: Part, mut bytes: Vec<u8>) -> io::Result<u64> {
    bytes.extend_from_slice(&file.mac(part, &bytes));
    out.write_all(&bytes)?;
    u64::try_from(bytes.len()).map_err(io::Error::other)
}
