//! The catalog page: entries or chunk references (leaves), or children with what is below them (inner pages).
//!
//! A page is the plaintext of a metadata chunk and is decoded whole, so a path is stored against the one before it.

use crate::entry::ChunkRef;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::format::FormatError;
use crate::format::entry;
use crate::format::pack::check_chunk_length;
use crate::format::segment::column;
use crate::format::segment::too_large;
use crate::format::wire::Reader;
use crate::format::wire::Writer;
use crate::id::ChunkId;
use crate::limits::PAGE_BYTES_MAX;
use crate::limits::PAGE_LEVELS_MAX;

/// Bytes before the first item: kind, level, count.
pub(crate) const HEAD_BYTES: usize = 6;
/// Bytes of one chunk reference.
pub(crate) const CHUNK_BYTES: usize = ChunkId::BYTES + 4;
/// Bytes of one child, its path aside.
pub(crate) const CHILD_BYTES: usize = ChunkId::BYTES + 20;

/// A catalog page by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageRef {
    /// The page (a metadata chunk).
    pub id: ChunkId,
    /// Its plaintext length in bytes.
    pub length: u32,
}

/// One page below an inner page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    /// The last path below it; `None` in chunk lists.
    pub(crate) last_path: Option<EntryPath>,
    /// Its name.
    pub(crate) id: ChunkId,
    /// Its length in bytes.
    pub(crate) length: u32,
    /// Entries below it; chunks in chunk lists. Never 0.
    pub(crate) entries: u64,
    /// Content bytes below it.
    pub(crate) bytes: u64,
}

/// A decoded page; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// Leaf: entries in strictly ascending order of their paths.
    Entries(Vec<Entry>),
    /// Leaf: chunks of one entry in the order of its bytes.
    Chunks(Vec<ChunkRef>),
    /// Pages of entries, last paths strictly ascending.
    EntriesInner(Vec<Child>),
    /// Pages of a chunk list in the order of its bytes.
    ChunksInner(Vec<Child>),
}

/// What kind of items a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageKind {
    /// [`Page::Entries`]
    Entries,
    /// [`Page::Chunks`]
    Chunks,
    /// [`Page::EntriesInner`]
    EntriesInner,
    /// [`Page::ChunksInner`]
    ChunksInner,
}

impl PageKind {
    fn byte(self) -> u8 {
        match self {
            Self::Entries => 1,
            Self::Chunks => 2,
            Self::EntriesInner => 3,
            Self::ChunksInner => 4,
        }
    }

    fn from_byte(byte: u8) -> Result<Self, FormatError> {
        Ok(match byte {
            1 => Self::Entries,
            2 => Self::Chunks,
            3 => Self::EntriesInner,
            4 => Self::ChunksInner,
            other => return Err(FormatError::Unsupported(format!("page kind {other}"))),
        })
    }

    fn check_level(self, level: u8) -> Result<(), FormatError> {
        let fits = match self {
            Self::Entries | Self::Chunks => level == 0,
            Self::EntriesInner | Self::ChunksInner => (1..PAGE_LEVELS_MAX).contains(&level),
        };
        if fits { Ok(()) } else { Err(FormatError::Invalid("a page has a level that its kind cannot have")) }
    }
}

impl Page {
    /// Reads a page of any level.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        Self::decode_with_level(bytes).map(|(_, page)| page)
    }

    /// Reads a page and its level (0: leaf).
    pub(crate) fn decode_with_level(bytes: &[u8]) -> Result<(u8, Self), FormatError> {
        if bytes.len() > PAGE_BYTES_MAX {
            return Err(too_large("the length of a page", bytes.len(), PAGE_BYTES_MAX));
        }
        let mut reader = Reader::new(bytes);
        let kind = PageKind::from_byte(reader.u8()?)?;
        let level = reader.u8()?;
        kind.check_level(level)?;
        let count = reader.count(match kind {
            PageKind::Entries => entry::ENTRY_BYTES_MIN,
            PageKind::Chunks => CHUNK_BYTES,
            PageKind::EntriesInner => CHILD_BYTES + 5,
            PageKind::ChunksInner => CHILD_BYTES,
        })?;
        if count == 0 {
            return Err(FormatError::Invalid("a page has no items"));
        }
        let page = match kind {
            PageKind::Entries => Self::Entries(decode_entries(&mut reader, count)?),
            PageKind::Chunks => {
                let rows = column::<CHUNK_BYTES>(&mut reader, count)?;
                Self::Chunks(rows.iter().map(entry::chunk_decode).collect::<Result<_, _>>()?)
            }
            PageKind::EntriesInner => Self::EntriesInner(decode_children(&mut reader, count, true)?),
            PageKind::ChunksInner => Self::ChunksInner(decode_children(&mut reader, count, false)?),
        };
        reader.finish()?;
        Ok((level, page))
    }

    /// The page's bytes at `level` (0 for leaves); the engine writes them item by item. Refuses what decoding would refuse.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn encode(&self, level: u8) -> Result<Vec<u8>, FormatError> {
        let kind = match self {
            Self::Entries(_) => PageKind::Entries,
            Self::Chunks(_) => PageKind::Chunks,
            Self::EntriesInner(_) => PageKind::EntriesInner,
            Self::ChunksInner(_) => PageKind::ChunksInner,
        };
        let mut writer = PageWriter::new(kind, level)?;
        match self {
            Self::Entries(entries) => entries.iter().try_for_each(|entry| writer.push_entry(entry))?,
            Self::Chunks(chunks) => chunks.iter().try_for_each(|chunk| writer.push_chunk(chunk))?,
            Self::EntriesInner(children) | Self::ChunksInner(children) => {
                children.iter().try_for_each(|child| writer.push_child(child))?;
            }
        }
        writer.finish()
    }
}

fn decode_entries(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Entry>, FormatError> {
    // An entry in memory is many times its smallest stored form: what is written, not what is stated, sizes the list.
    let mut entries: Vec<Entry> = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        let path = entry::path_decode(reader, entries.last().map(|entry| &entry.path))?;
        entries.push(entry::body_decode(reader, path)?);
    }
    Ok(entries)
}

fn decode_children(reader: &mut Reader<'_>, count: usize, paths: bool) -> Result<Vec<Child>, FormatError> {
    let mut children: Vec<Child> = Vec::with_capacity(count.min(1024));
    let mut totals = (0, 0);
    for _ in 0..count {
        let previous = children.last().and_then(|child| child.last_path.as_ref());
        let last_path = if paths { Some(entry::path_decode(reader, previous)?) } else { None };
        let id = ChunkId::from_bytes(reader.array()?);
        let child = Child { last_path, id, length: reader.u32()?, entries: reader.u64()?, bytes: reader.u64()? };
        totals = check_child(&child, totals)?;
        children.push(child);
    }
    Ok(children)
}

/// Checks a child's numbers; gives entries and bytes of it and all before it.
fn check_child(child: &Child, before: (u64, u64)) -> Result<(u64, u64), FormatError> {
    entry::check_page_length(child.length)?;
    if child.entries == 0 {
        return Err(FormatError::Invalid("a page below an inner page is empty"));
    }
    match (before.0.checked_add(child.entries), before.1.checked_add(child.bytes)) {
        (Some(entries), Some(bytes)) => Ok((entries, bytes)),
        _ => Err(FormatError::Invalid("an inner page counts more than a number can hold")),
    }
}

/// Builds one page item by item and knows its length all along. After an error it is to be dropped.
#[derive(Debug)]
pub(crate) struct PageWriter {
    kind: PageKind,
    level: u8,
    count: u32,
    body: Writer,
    last_path: Option<EntryPath>,
    totals: (u64, u64),
}

impl PageWriter {
    /// An empty page of `kind` at `level` (0 for leaves).
    pub(crate) fn new(kind: PageKind, level: u8) -> Result<Self, FormatError> {
        kind.check_level(level)?;
        Ok(Self { kind, level, count: 0, body: Writer::new(), last_path: None, totals: (0, 0) })
    }

    /// An empty leaf of entries.
    pub(crate) fn entries() -> Self {
        let (kind, body) = (PageKind::Entries, Writer::new());
        Self { kind, level: 0, count: 0, body, last_path: None, totals: (0, 0) }
    }

    /// An empty leaf of chunk references.
    pub(crate) fn chunks() -> Self {
        Self { kind: PageKind::Chunks, ..Self::entries() }
    }

    /// Items so far.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// True without items.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The page's length so far in bytes.
    pub(crate) fn byte_length(&self) -> usize {
        HEAD_BYTES + self.body.len()
    }

    /// The length the page would have with `entry` in it; nothing is encoded.
    pub(crate) fn length_with_entry(&self, entry: &Entry) -> usize {
        self.byte_length() + self.path_length(&entry.path) + entry::body_length(entry)
    }

    /// The length the page would have with `child` in it.
    pub(crate) fn length_with_child(&self, child: &Child) -> usize {
        self.byte_length() + child.last_path.as_ref().map_or(0, |path| self.path_length(path)) + CHILD_BYTES
    }

    fn path_length(&self, path: &EntryPath) -> usize {
        let previous = self.last_path.as_ref().map(EntryPath::as_bytes).unwrap_or_default();
        4 + path.as_bytes().len() - entry::shared_bytes(previous, path.as_bytes())
    }

    /// Appends an entry; its path must come after the last one.
    pub(crate) fn push_entry(&mut self, entry: &Entry) -> Result<(), FormatError> {
        self.expect(PageKind::Entries)?;
        self.push_path(&entry.path)?;
        entry::body_encode(&mut self.body, entry)?;
        self.counted()
    }

    /// Appends a chunk reference.
    pub(crate) fn push_chunk(&mut self, chunk: &ChunkRef) -> Result<(), FormatError> {
        self.expect(PageKind::Chunks)?;
        check_chunk_length(chunk.length)?;
        self.body.bytes(chunk.id.as_bytes()).u32(chunk.length);
        self.counted()
    }

    /// Appends a child; it has a path exactly in pages of entries, and that must come after the last one.
    pub(crate) fn push_child(&mut self, child: &Child) -> Result<(), FormatError> {
        match &child.last_path {
            Some(path) => {
                self.expect(PageKind::EntriesInner)?;
                self.push_path(path)?;
            }
            None => self.expect(PageKind::ChunksInner)?,
        }
        self.totals = check_child(child, self.totals)?;
        self.body.bytes(child.id.as_bytes()).u32(child.length).u64(child.entries).u64(child.bytes);
        self.counted()
    }

    /// The page's bytes; an empty page, or one larger than `limits::PAGE_BYTES_MAX`, is an error.
    pub(crate) fn finish(self) -> Result<Vec<u8>, FormatError> {
        if self.count == 0 {
            return Err(FormatError::Invalid("a page has no items"));
        }
        let length = self.byte_length();
        if length > PAGE_BYTES_MAX {
            return Err(too_large("the length of a page", length, PAGE_BYTES_MAX));
        }
        let mut writer = Writer::with_capacity(length);
        writer.u8(self.kind.byte()).u8(self.level).u32(self.count).bytes(&self.body.finish());
        Ok(writer.finish())
    }

    fn expect(&self, kind: PageKind) -> Result<(), FormatError> {
        if self.kind == kind { Ok(()) } else { Err(FormatError::Invalid("an item does not belong in this page")) }
    }

    fn push_path(&mut self, path: &EntryPath) -> Result<(), FormatError> {
        if self.last_path.as_ref().is_some_and(|last| last >= path) {
            return Err(FormatError::Invalid("the paths of a page are out of order"));
        }
        let previous = self.last_path.as_ref().map(EntryPath::as_bytes).unwrap_or_default();
        entry::path_encode(&mut self.body, previous, path.as_bytes());
        self.last_path = Some(path.clone());
        Ok(())
    }

    fn counted(&mut self) -> Result<(), FormatError> {
        self.count = self.count.checked_add(1).ok_or(FormatError::Invalid("a page has too many items"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::vectors;

    #[test]
    fn a_page_stands_at_its_level_only() {
        let leaf = Page::Chunks(vec![vectors::chunk(1, 1)]);
        let bytes = leaf.encode(0).expect("valid");
        assert_eq!(Page::decode_with_level(&bytes), Ok((0, leaf.clone())));
        assert!(leaf.encode(1).is_err());
        let inner = Page::ChunksInner(vec![vectors::child(None, 1)]);
        assert!(inner.encode(0).is_err());
        assert!(inner.encode(PAGE_LEVELS_MAX).is_err());
        assert!(inner.encode(PAGE_LEVELS_MAX - 1).is_ok());
    }

    #[test]
    fn items_of_another_kind_do_not_get_in() {
        let mut writer = PageWriter::chunks();
        assert!(writer.push_child(&vectors::child(None, 1)).is_err());
        let mut writer = PageWriter::new(PageKind::EntriesInner, 1).expect("a level");
        assert!(writer.push_child(&vectors::child(None, 1)).is_err());
        assert!(writer.is_empty());
        assert!(writer.push_child(&vectors::child(Some("a"), 1)).is_ok());
    }

    #[test]
    fn empty_pages_do_not_exist() {
        assert!(Page::Entries(vec![]).encode(0).is_err());
        assert!(Page::decode(&[1, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn counts_below_an_inner_page_cannot_overflow() {
        let child = Child { bytes: u64::MAX, ..vectors::child(None, 1) };
        assert!(Page::ChunksInner(vec![child.clone()]).encode(1).is_ok());
        assert!(Page::ChunksInner(vec![child.clone(), child]).encode(1).is_err());
        let empty = Child { entries: 0, ..vectors::child(None, 1) };
        assert!(Page::ChunksInner(vec![empty]).encode(1).is_err());
    }

    #[test]
    fn a_child_costs_what_was_foretold() {
        let mut writer = PageWriter::new(PageKind::EntriesInner, 1).expect("a level");
        for path in ["a/b/c", "a/b/d", "b"] {
            let child = vectors::child(Some(path), 1);
            let expected = writer.length_with_child(&child);
            writer.push_child(&child).expect("in order");
            assert_eq!(writer.byte_length(), expected);
        }
    }

    #[test]
    fn what_an_entry_may_not_be_is_refused_by_the_writer() {
        for (_, good) in vectors::entries() {
            assert!(Page::Entries(vec![good]).encode(0).is_ok());
        }
        let (_, good) = vectors::entries().swap_remove(0);
        let refused = |change: &dyn Fn(&mut Entry)| {
            let mut entry = good.clone();
            change(&mut entry);
            assert!(Page::Entries(vec![entry.clone()]).encode(0).is_err(), "{entry:?}");
        };
        let extent = |offset, length| crate::entry::Extent { offset, length };
        refused(&|entry| entry.metadata.mode = 0o10000);
        refused(&|entry| entry.metadata.modified.nanoseconds = 1_000_000_000);
        refused(&|entry| entry.content = crate::entry::Content::Inline(vec![]));
        refused(&|entry| entry.content = crate::entry::Content::Inline(vec![vectors::chunk(1, 1); 33]));
        refused(&|entry| entry.metadata.extents = Some(vec![extent(0, 0)]));
        refused(&|entry| entry.metadata.extents = Some(vec![extent(10, 5), extent(14, 1)]));
        refused(&|entry| entry.metadata.extents = Some(vec![extent(u64::MAX, 1)]));
        refused(&|entry| {
            entry.metadata.kind = crate::entry::FileKind::Directory;
            entry.content = crate::entry::Content::Inline(vec![vectors::chunk(1, 1)]);
        });
        refused(&|entry| {
            entry.metadata.kind = crate::entry::FileKind::Directory;
            entry.hash = Some([1; 32]);
        });
        refused(&|entry| entry.change_token = Some(vec![]));
        refused(&|entry| entry.change_token = Some(vec![1; crate::limits::CHANGE_TOKEN_BYTES_MAX + 1]));
        refused(&|entry| {
            entry.metadata.kind = crate::entry::FileKind::Directory;
            entry.change_token = Some(vec![1]);
        });
        let unequal = [(2, [1, 2, 3]), (2, [2, 2, 3]), (2, [2, 3, 3])];
        for (chunker, sizes) in
            [(0, [1, 2, 3]), (1, [0, 2, 3]), (1, [3, 2, 3]), (3, [1, 2, (2 << 20) + 1])].into_iter().chain(unequal)
        {
            refused(&|entry| entry.chunking = Some(crate::entry::Chunking { chunker, sizes }));
        }
    }
}
