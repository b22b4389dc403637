//! Writing a page tree from its items in order, with one open page per level.

use crate::catalog::boundary::PAGE_CHILDREN_MIN;
use crate::catalog::boundary::PageHasher;
use crate::catalog::boundary::Shape;
use crate::catalog::build::PageSink;
use crate::catalog::expected::Totals;
use crate::entry::ChunkRef;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::FormatError;
use crate::format::page::CHUNK_BYTES;
use crate::format::page::Child;
use crate::format::page::PageKind;
use crate::format::page::PageRef;
use crate::format::page::PageWriter;
use crate::id::ChunkId;
use crate::limits::PAGE_BYTES_MAX;

/// A page tree that is being written.
pub(super) struct TreeBuilder {
    shape: Shape,
    hasher: PageHasher,
    /// The open page of each level, leaves first.
    open: Vec<OpenPage>,
}

/// The key of the last item below a page: it decides whether the page ends there.
#[derive(Clone)]
pub(super) enum Key {
    /// Of entries.
    Path(EntryPath),
    /// Of chunks.
    Chunk(ChunkId),
}

impl Key {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Path(path) => path.as_bytes(),
            Self::Chunk(id) => id.as_bytes(),
        }
    }

    fn path(&self) -> Option<&EntryPath> {
        match self {
            Self::Path(path) => Some(path),
            Self::Chunk(_) => None,
        }
    }
}

/// A page that is being filled.
struct OpenPage {
    writer: PageWriter,
    totals: Totals,
    last: Option<Key>,
    /// The first child: it is the root when no second one comes.
    first: Option<PageRef>,
}

impl OpenPage {
    fn new(shape: Shape, level: u8) -> Result<Self> {
        let kind = match (shape, level) {
            (Shape::Entries, 0) => PageKind::Entries,
            (Shape::Entries, _) => PageKind::EntriesInner,
            (Shape::Chunks, 0) => PageKind::Chunks,
            (Shape::Chunks, _) => PageKind::ChunksInner,
        };
        // Refuses levels that no page tree reaches.
        let writer = PageWriter::new(kind, level).map_err(bug)?;
        Ok(Self { writer, totals: Totals::default(), last: None, first: None })
    }

    fn count_in(&mut self, totals: Totals) -> Result<()> {
        let overflow = || Error::new(Kind::Bug, "cannot write the catalog: it counts more bytes than there can be");
        self.totals = self.totals.plus(totals).ok_or_else(overflow)?;
        Ok(())
    }
}

impl TreeBuilder {
    /// An empty tree.
    pub(super) fn new(shape: Shape, hasher: PageHasher) -> Self {
        Self { shape, hasher, open: Vec::new() }
    }

    /// The path or chunk pushed last.
    pub(super) fn last(&self) -> Option<&Key> {
        self.open.iter().find_map(|page| page.last.as_ref())
    }

    /// The next entry. `Kind::SourceFailed`, naming it, when no page can hold it: nothing happened then if it is too
    /// large; if something else is wrong with it the tree must not be used again.
    pub(super) fn push_entry(&mut self, entry: Entry, sink: &mut dyn PageSink) -> Result<()> {
        let refused = |why: FormatError| {
            Error::new(Kind::SourceFailed, format!("cannot record {}", entry.path)).because(why.to_string())
        };
        let hard = self.hasher.lengths().hard;
        let mut page = self.open_page(0)?;
        if page.writer.length_with_entry(&entry) > hard {
            let alone = PageWriter::entries().length_with_entry(&entry);
            if alone > PAGE_BYTES_MAX {
                return Err(refused(FormatError::Invalid("its metadata is too large")));
            }
            page = self.end_unless_empty(0, sink)?;
        }
        page.writer.push_entry(&entry).map_err(refused)?;
        page.count_in(Totals::of_entry(&entry))?;
        self.end_if_due(0, Key::Path(entry.path), sink)
    }

    /// The next chunk.
    pub(super) fn push_chunk(&mut self, chunk: ChunkRef, sink: &mut dyn PageSink) -> Result<()> {
        let hard = self.hasher.lengths().hard;
        let mut page = self.open_page(0)?;
        if page.writer.byte_length() + CHUNK_BYTES > hard {
            page = self.end_unless_empty(0, sink)?;
        }
        page.writer.push_chunk(&chunk).map_err(bug)?;
        page.count_in(Totals::of_chunk(&chunk))?;
        self.end_if_due(0, Key::Chunk(chunk.id), sink)
    }

    fn push_child(&mut self, level: u8, child: &Child, last: Key, sink: &mut dyn PageSink) -> Result<()> {
        let hard = self.hasher.lengths().hard;
        let mut page = self.open_page(level)?;
        if page.writer.count() >= PAGE_CHILDREN_MIN && page.writer.length_with_child(child) > hard {
            page = self.end_unless_empty(level, sink)?;
        }
        page.writer.push_child(child).map_err(bug)?;
        page.count_in(Totals::of_child(child))?;
        page.first.get_or_insert(page_ref(child));
        self.end_if_due(level, last, sink)
    }

    /// Writes what is open; `None` when nothing was pushed.
    pub(super) fn finish(mut self, sink: &mut dyn PageSink) -> Result<Option<PageRef>> {
        let mut level = 0;
        while let Some(page) = self.open.get(usize::from(level)) {
            let is_top = self.open.len() == usize::from(level) + 1;
            match page.writer.count() {
                0 => {}
                1 if is_top && page.first.is_some() => return Ok(page.first),
                _ if is_top => return self.write(level, sink).map(|(root, _)| Some(page_ref(&root))),
                _ => self.end(level, sink)?,
            }
            level += 1;
        }
        Ok(None)
    }

    /// The page being filled on a level, which is the one above the highest at most.
    fn open_page(&mut self, level: u8) -> Result<&mut OpenPage> {
        if self.open.len() == usize::from(level) {
            self.open.push(OpenPage::new(self.shape, level)?);
        }
        self.open.get_mut(usize::from(level)).ok_or_else(|| bug("a level of a page tree was left out"))
    }

    /// Makes room for an item that would make the page too long.
    fn end_unless_empty(&mut self, level: u8, sink: &mut dyn PageSink) -> Result<&mut OpenPage> {
        if !self.open_page(level)?.writer.is_empty() {
            self.end(level, sink)?;
        }
        self.open_page(level)
    }

    /// Ends the page when its minimum is reached and the hash of its last key says so.
    fn end_if_due(&mut self, level: u8, key: Key, sink: &mut dyn PageSink) -> Result<()> {
        let writer = &self.open_page(level)?.writer;
        let (length, items) = (writer.byte_length(), writer.count());
        let is_long = length >= self.hasher.lengths().min && (level == 0 || items >= PAGE_CHILDREN_MIN);
        let ends = is_long && self.hasher.ends(self.shape, level, key.as_bytes());
        self.open_page(level)?.last = Some(key);
        if ends { self.end(level, sink) } else { Ok(()) }
    }

    /// Writes the open page of a level and leaves an empty one. Gives what a page above says of it, and its last key.
    fn write(&mut self, level: u8, sink: &mut dyn PageSink) -> Result<(Child, Option<Key>)> {
        let fresh = OpenPage::new(self.shape, level)?;
        let page = std::mem::replace(self.open_page(level)?, fresh);
        let written = sink.put_page(page.writer.finish().map_err(bug)?)?;
        let child = Child {
            last_path: page.last.as_ref().and_then(Key::path).cloned(),
            id: written.id,
            length: written.length,
            entries: page.totals.items,
            bytes: page.totals.bytes,
        };
        Ok((child, page.last))
    }

    /// Writes the open page of a level and puts it into the level above.
    fn end(&mut self, level: u8, sink: &mut dyn PageSink) -> Result<()> {
        let (child, last) = self.write(level, sink)?;
        let Some(last) = last else { return Ok(()) };
        self.push_child(level + 1, &child, last, sink)
    }
}

/// A page that cannot be written though everything in it was checked.
fn bug(why: impl ToString) -> Error {
    Error::new(Kind::Bug, "cannot write a catalog page").because(why.to_string())
}

fn page_ref(child: &Child) -> PageRef {
    PageRef { id: child.id, length: child.length }
}
