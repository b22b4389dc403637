//! Writing a snapshot's entries, and the chunk lists of large ones, as page trees.

use crate::catalog::boundary::PageHasher;
use crate::catalog::boundary::Shape;
use crate::catalog::tree::Key;
use crate::catalog::tree::TreeBuilder;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::page::PageRef;
use crate::limits::CHUNKS_INLINE_MAX;

/// Where pages go: names a metadata chunk and stores it, unless it is stored already.
pub(crate) trait PageSink {
    /// Takes one encoded page.
    fn put_page(&mut self, bytes: Vec<u8>) -> Result<PageRef>;
}

/// The entries of a snapshot on their way into pages; pages leave as they fill.
pub(crate) struct CatalogBuilder {
    tree: TreeBuilder,
}

impl CatalogBuilder {
    /// No entries yet.
    pub(crate) fn new(page_hash: PageHasher) -> Self {
        Self { tree: TreeBuilder::new(Shape::Entries, page_hash) }
    }

    /// The next entry in path order. `Kind::SourceFailed`, naming the path, when it is not after the one before, too
    /// large for a page, or nothing that the format can say. After the first two the builder is as it was before;
    /// after any other error, the sink's among them, it must not be used again.
    pub(crate) fn push(&mut self, entry: Entry, sink: &mut dyn PageSink) -> Result<()> {
        if let Some(Key::Path(last)) = self.tree.last()
            && *last >= entry.path
        {
            let why =
                if *last == entry.path { "it was given twice".into() } else { format!("it was given after {last}") };
            return Err(Error::new(Kind::SourceFailed, format!("cannot record {}", entry.path)).because(why));
        }
        self.tree.push_entry(entry, sink)
    }

    /// Writes what is still open and gives the root; `None` when there were no entries.
    pub(crate) fn finish(self, sink: &mut dyn PageSink) -> Result<Option<PageRef>> {
        self.tree.finish(sink)
    }
}

/// The chunks of one entry on their way into its content: inline while they are few, else into pages.
pub(crate) struct ChunkListBuilder {
    hasher: PageHasher,
    state: State,
}

enum State {
    Few(Vec<ChunkRef>),
    Many { tree: TreeBuilder, chunks: u64, bytes: u64 },
}

impl ChunkListBuilder {
    /// No chunks yet; allocates nothing.
    pub(crate) fn new(page_hash: PageHasher) -> Self {
        Self { hasher: page_hash, state: State::Few(Vec::new()) }
    }

    /// Whether it holds any chunk yet.
    pub(crate) fn has_chunks(&self) -> bool {
        !matches!(&self.state, State::Few(few) if few.is_empty())
    }

    /// The next chunk. After an error it must not be used again.
    pub(crate) fn push(&mut self, chunk: ChunkRef, sink: &mut dyn PageSink) -> Result<()> {
        if chunk.length == 0 {
            return Err(Error::new(Kind::Bug, format!("cannot list chunk {}: it is empty", chunk.id)));
        }
        if let State::Few(few) = &mut self.state {
            if few.len() < CHUNKS_INLINE_MAX {
                few.push(chunk);
                return Ok(());
            }
            let few = std::mem::take(few);
            let tree = TreeBuilder::new(Shape::Chunks, self.hasher.clone());
            self.state = State::Many { tree, chunks: 0, bytes: 0 };
            for chunk in few {
                self.push_many(chunk, sink)?;
            }
        }
        self.push_many(chunk, sink)
    }

    fn push_many(&mut self, chunk: ChunkRef, sink: &mut dyn PageSink) -> Result<()> {
        if let State::Many { tree, chunks, bytes } = &mut self.state {
            tree.push_chunk(chunk, sink)?;
            *chunks += 1;
            *bytes += u64::from(chunk.length);
        }
        Ok(())
    }

    /// The content that has these chunks in this order.
    pub(crate) fn finish(self, sink: &mut dyn PageSink) -> Result<Content> {
        match self.state {
            State::Few(few) if few.is_empty() => Ok(Content::Empty),
            State::Few(few) => Ok(Content::Inline(few)),
            State::Many { tree, chunks, bytes } => match tree.finish(sink)? {
                Some(root) => Ok(Content::Tree { root: root.id, length: root.length, chunks, bytes }),
                None => Err(Error::new(Kind::Bug, "cannot write a chunk list: its tree has no root")),
            },
        }
    }
}
