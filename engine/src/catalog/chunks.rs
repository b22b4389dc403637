//! Reading the chunk list of a content: in order, from any byte.

use crate::catalog::boundary::Shape;
use crate::catalog::expected::Expected;
use crate::catalog::expected::Totals;
use crate::catalog::read::LeveledPage;
use crate::catalog::read::PageSource;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::error::Result;
use crate::format::page::Child;
use crate::format::page::Page;
use crate::format::page::PageRef;
use crate::limits::PAGES_AHEAD;
use std::sync::Arc;

/// A chunk and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlacedChunk {
    /// Of its first byte in the content, in bytes (holes of sparse files not counted).
    pub(crate) offset: u64,
    /// Which.
    pub(crate) chunk: ChunkRef,
}

/// The chunks of a content in order. Holds at most one page per level.
pub(crate) struct ChunkWalk {
    source: Arc<dyn PageSource>,
    origin: Origin,
    root: Option<Expected>,
    frames: Vec<Frame>,
    /// Chunks that end at or before this byte are passed.
    goal: u64,
    /// Nobody will ask for what begins at this byte or behind it.
    until: u64,
}

/// Where the list begins, to come back to.
#[derive(Clone)]
enum Origin {
    Inline(Arc<LeveledPage>),
    Tree(Expected),
}

/// A page that is open, and how far it was passed.
struct Frame {
    page: Arc<LeveledPage>,
    level: u8,
    next: usize,
    /// Of the next item's first byte.
    offset: u64,
    announced: usize,
}

/// What stands next.
enum Next {
    End,
    Root(Expected),
    Page(Expected, u64),
    Chunk(ChunkRef),
}

impl Frame {
    fn new(page: Arc<LeveledPage>, offset: u64) -> Self {
        let level = page.level;
        Self { page, level, next: 0, offset, announced: 0 }
    }

    fn chunks(&self) -> &[ChunkRef] {
        match &self.page.page {
            Page::Chunks(chunks) => chunks,
            _ => &[],
        }
    }

    fn children(&self) -> &[Child] {
        match &self.page.page {
            Page::ChunksInner(children) => children,
            _ => &[],
        }
    }

    fn next(&self) -> Next {
        if let Some(chunk) = self.chunks().get(self.next) {
            return Next::Chunk(*chunk);
        }
        match self.children().get(self.next) {
            Some(child) => Next::Page(Expected::child(Shape::Chunks, self.level, child, None), child.bytes),
            None => Next::End,
        }
    }

    fn pass(&mut self, bytes: u64) {
        self.next += 1;
        // Cannot overflow: the sums were checked when the page was read, and again below its parent.
        self.offset = self.offset.saturating_add(bytes);
    }
}

impl ChunkWalk {
    /// From the first chunk.
    pub(crate) fn new(source: Arc<dyn PageSource>, content: &Content) -> Self {
        let origin = match content {
            Content::Empty => Origin::Inline(inline(Vec::new())),
            Content::Inline(chunks) => Origin::Inline(inline(chunks.clone())),
            Content::Tree { root, length, chunks, bytes } => Origin::Tree(Expected::chunks_root(
                PageRef { id: *root, length: *length },
                Totals { items: *chunks, bytes: *bytes },
            )),
        };
        let mut walk = Self { source, origin, root: None, frames: Vec::new(), goal: 0, until: u64::MAX };
        walk.restart();
        walk
    }

    fn restart(&mut self) {
        self.frames.clear();
        self.root = None;
        match self.origin.clone() {
            Origin::Inline(page) => self.frames.push(Frame::new(page, 0)),
            Origin::Tree(root) => self.root = Some(root),
        }
    }

    /// The chunk given next is the one that holds the byte at `offset`; none when the content is shorter. Forward or
    /// back; reads nothing itself, and `next` then reads only the pages on the way.
    pub(crate) fn seek(&mut self, offset: u64) {
        let here = self.frames.last().map_or(0, |top| top.offset);
        if offset < here || (self.frames.is_empty() && self.root.is_none()) {
            self.restart();
        }
        self.goal = offset;
    }

    /// Pages are fetched ahead as far as to this byte and no further, until something else is said.
    pub(crate) fn until(&mut self, offset: u64) {
        self.until = offset;
    }

    /// The next chunk; `None` at the end. After an error the same page is tried again.
    pub(crate) async fn next(&mut self) -> Result<Option<PlacedChunk>> {
        loop {
            let (next, offset) = match (&self.root, self.frames.last()) {
                (Some(root), _) => (Next::Root(root.clone()), 0),
                (None, Some(top)) => (top.next(), top.offset),
                (None, None) => return Ok(None),
            };
            match next {
                Next::End => {
                    self.frames.pop();
                }
                Next::Chunk(chunk) => {
                    self.pass(u64::from(chunk.length));
                    if offset.saturating_add(u64::from(chunk.length)) > self.goal {
                        return Ok(Some(PlacedChunk { offset, chunk }));
                    }
                }
                Next::Root(root) => {
                    let page = root.read(&*self.source).await?;
                    self.root = None;
                    self.frames.push(Frame::new(page, 0));
                }
                Next::Page(_, bytes) if offset.saturating_add(bytes) <= self.goal => self.pass(bytes),
                Next::Page(expected, bytes) => {
                    self.announce();
                    let page = expected.read(&*self.source).await?;
                    self.pass(bytes);
                    self.frames.push(Frame::new(page, offset));
                }
            }
        }
    }

    fn pass(&mut self, bytes: u64) {
        if let Some(top) = self.frames.last_mut() {
            top.pass(bytes);
        }
    }

    fn announce(&mut self) {
        let Some(top) = self.frames.last_mut() else { return };
        let first = top.announced.max(top.next + 1);
        let end = (top.next + 1 + PAGES_AHEAD).min(top.children().len());
        let mut offset = top.offset;
        let mut pages = Vec::new();
        for (place, child) in top.children().iter().enumerate().take(end).skip(top.next) {
            if offset >= self.until {
                break;
            }
            if place >= first {
                pages.push(PageRef { id: child.id, length: child.length });
            }
            offset = offset.saturating_add(child.bytes);
        }
        top.announced = first + pages.len();
        if !pages.is_empty() {
            self.source.prefetch(&pages);
        }
    }
}

fn inline(chunks: Vec<ChunkRef>) -> Arc<LeveledPage> {
    Arc::new(LeveledPage { level: 0, page: Page::Chunks(chunks) })
}
