//! A place in a tree of entries: what stands next, opened or passed one page at a time.

use crate::catalog::boundary::Shape;
use crate::catalog::expected::Expected;
use crate::catalog::gap::Gap;
use crate::catalog::read::LeveledPage;
use crate::catalog::read::PageSource;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Result;
use crate::format::page::Child;
use crate::format::page::Page;
use crate::format::page::PageRef;
use crate::id::ChunkId;
use crate::limits::PAGES_AHEAD;
use std::sync::Arc;

/// A place in a tree of entries. Holds at most one page per level. A failed read leaves it where it was.
pub(super) struct Cursor {
    source: Arc<dyn PageSource>,
    root: Option<Expected>,
    frames: Vec<Frame>,
    /// The page that stands next could not be read, which tells nothing about others.
    is_stuck: bool,
    ahead: Option<Box<Wanted>>,
}

/// Whether a page will be wanted whose paths come after the first and end with the second.
type Wanted = dyn Fn(Option<&EntryPath>, Option<&EntryPath>) -> bool + Send + Sync;

/// A page that is open, and how far it was passed.
struct Frame {
    page: Arc<LeveledPage>,
    id: ChunkId,
    level: u8,
    /// The item that stands next; a child counts as passed once it is opened.
    next: usize,
    /// Children before this one were announced to the source.
    announced: usize,
    after: Option<EntryPath>,
}

/// What stands next.
pub(super) enum Next<'a> {
    /// A page that is not open.
    Page(Ahead<'a>),
    /// An entry.
    Entry(&'a Entry),
}

/// A page that is not open, as far as it is known.
pub(super) struct Ahead<'a> {
    /// `None` for a root.
    pub(super) level: Option<u8>,
    /// Its paths come after this one.
    pub(super) after: Option<&'a EntryPath>,
    /// `None` for a root.
    pub(super) last_path: Option<&'a EntryPath>,
}

/// Where to go: everything before it is passed.
pub(super) enum Goal<'a> {
    /// To this path, or the first one after it.
    At(&'a EntryPath),
    /// To the first path after this one that is not below it.
    Past(&'a EntryPath),
}

impl Goal<'_> {
    fn is_after(&self, path: &EntryPath) -> bool {
        match self {
            Self::At(goal) => path < *goal,
            Self::Past(goal) => path < *goal || path.is_within(goal),
        }
    }
}

impl Frame {
    fn entries(&self) -> &[Entry] {
        match &self.page.page {
            Page::Entries(entries) => entries,
            _ => &[],
        }
    }

    fn children(&self) -> &[Child] {
        match &self.page.page {
            Page::EntriesInner(children) => children,
            _ => &[],
        }
    }

    fn is_passed(&self) -> bool {
        self.next >= self.entries().len().max(self.children().len())
    }

    /// What the child at `place` comes after.
    fn after(&self, place: usize) -> Option<&EntryPath> {
        match place.checked_sub(1) {
            Some(elder) => self.children().get(elder).and_then(|child| child.last_path.as_ref()),
            None => self.after.as_ref(),
        }
    }
}

impl Cursor {
    /// Before the first entry below `root`.
    pub(super) fn new(source: Arc<dyn PageSource>, root: Option<PageRef>) -> Self {
        Self { source, root: root.map(Expected::entries_root), frames: Vec::new(), is_stuck: false, ahead: None }
    }

    /// Whenever a page is opened, the siblings behind it that are `wanted` are announced to the source.
    pub(super) fn ahead(
        self,
        wanted: impl Fn(Option<&EntryPath>, Option<&EntryPath>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { ahead: Some(Box::new(wanted)), ..self }
    }

    /// What stands next; `None` at the end.
    pub(super) fn peek(&mut self) -> Option<Next<'_>> {
        while self.frames.last().is_some_and(Frame::is_passed) {
            self.frames.pop();
        }
        if self.root.is_some() {
            return Some(Next::Page(Ahead { level: None, after: None, last_path: None }));
        }
        let top = self.frames.last()?;
        if let Some(entry) = top.entries().get(top.next) {
            return Some(Next::Entry(entry));
        }
        let child = top.children().get(top.next)?;
        let level = Some(top.level.saturating_sub(1));
        Some(Next::Page(Ahead { level, after: top.after(top.next), last_path: child.last_path.as_ref() }))
    }

    /// Opens the page that stands next; its first item stands next then.
    pub(super) async fn open(&mut self) -> Result<()> {
        let Some(expected) = self.expected() else { return Ok(()) };
        if let Some(wanted) = self.ahead.take() {
            self.announce(|after, child| wanted(after, child.last_path.as_ref()));
            self.ahead = Some(wanted);
        }
        let read = expected.read(&*self.source).await;
        self.is_stuck = read.as_ref().is_err_and(Error::is_local);
        let page = read?;
        if self.root.take().is_none()
            && let Some(top) = self.frames.last_mut()
        {
            top.next += 1;
        }
        let level = page.level;
        let id = expected.page.id;
        self.frames.push(Frame { page, id, level, next: 0, announced: 0, after: expected.after });
        Ok(())
    }

    /// Passes the page that `open` just failed on, and tells what is lost with it. `None`, and nothing is passed, when
    /// it did not fail, failed for a reason that the next page would meet as well, or was the root.
    pub(super) fn pass_gap(&mut self) -> Option<Gap> {
        let gap = self.expected().filter(|_| self.is_stuck)?.gap()?;
        self.is_stuck = false;
        self.skip();
        Some(gap)
    }

    fn expected(&self) -> Option<Expected> {
        if let Some(root) = &self.root {
            return Some(root.clone());
        }
        let top = self.frames.last()?;
        let child = top.children().get(top.next)?;
        Some(Expected::child(Shape::Entries, top.level, child, top.after(top.next).cloned()))
    }

    /// Passes what stands next without looking into it.
    pub(super) fn skip(&mut self) {
        if self.root.take().is_none()
            && let Some(top) = self.frames.last_mut()
        {
            top.next += 1;
        }
    }

    /// Passes everything.
    pub(super) fn end(&mut self) {
        self.root = None;
        self.frames.clear();
    }

    /// Passes the entry that stands next and gives it; `None` when none does.
    pub(super) fn take(&mut self) -> Option<Entry> {
        let top = self.frames.last_mut()?;
        let entry = top.entries().get(top.next)?.clone();
        top.next += 1;
        Some(entry)
    }

    /// Passes the rest of the open leaf page and gives its entries; empty when no entry stands next.
    pub(super) fn take_leaf(&mut self) -> Vec<Entry> {
        let Some(top) = self.frames.pop_if(|top| top.level == 0) else { return Vec::new() };
        match Arc::try_unwrap(top.page) {
            Ok(LeveledPage { page: Page::Entries(entries), .. }) if top.next == 0 => entries,
            Ok(LeveledPage { page: Page::Entries(mut entries), .. }) => entries.split_off(top.next.min(entries.len())),
            Ok(_) => Vec::new(),
            // A cache has it as well.
            Err(page) => match &page.page {
                Page::Entries(entries) => entries.get(top.next..).unwrap_or_default().to_vec(),
                _ => Vec::new(),
            },
        }
    }

    /// Goes forward until the entry that stands next is not before `goal`, reading only the pages on the way.
    pub(super) async fn seek(&mut self, goal: &Goal<'_>) -> Result<()> {
        loop {
            match self.peek() {
                None => return Ok(()),
                Some(Next::Entry(entry)) if !goal.is_after(&entry.path) => return Ok(()),
                Some(Next::Page(ahead)) if !ahead.last_path.is_some_and(|last| goal.is_after(last)) => {
                    self.open().await?;
                }
                Some(_) => self.skip_until(goal),
            }
        }
    }

    /// Passes what is before `goal` in the topmost open page.
    fn skip_until(&mut self, goal: &Goal<'_>) {
        let Some(top) = self.frames.last_mut() else { return };
        let entries = top.entries().get(top.next..).unwrap_or_default();
        let children = top.children().get(top.next..).unwrap_or_default();
        let passed = entries.partition_point(|entry| goal.is_after(&entry.path))
            + children.partition_point(|child| child.last_path.as_ref().is_some_and(|last| goal.is_after(last)));
        top.next += passed;
    }

    /// Tells the source which of the next sibling pages will be wanted soon, each once. `wanted` is asked with what a page
    /// comes after.
    pub(super) fn announce(&mut self, wanted: impl Fn(Option<&EntryPath>, &Child) -> bool) {
        let Some(top) = self.frames.last_mut() else { return };
        let first = top.announced.max(top.next + 1);
        let end = (top.next + 1 + PAGES_AHEAD).min(top.children().len());
        let candidates = (first..end).filter_map(|place| Some((top.after(place), top.children().get(place)?)));
        let pages: Vec<PageRef> = candidates
            .filter(|(after, child)| wanted(*after, child))
            .map(|(_, child)| PageRef { id: child.id, length: child.length })
            .collect();
        top.announced = end.max(top.announced);
        if !pages.is_empty() {
            self.source.prefetch(&pages);
        }
    }

    /// Whether a page stands somewhere behind this place, as far as the open pages tell.
    pub(super) fn has_ahead(&self, page: &ChunkId) -> bool {
        let left =
            |frame: &Frame| frame.children().get(frame.next..).is_some_and(|all| all.iter().any(|one| one.id == *page));
        self.frames.iter().any(left)
    }

    /// The pages, open or not, whose very first entry stands next; lowest first.
    pub(super) fn begun(&self) -> impl Iterator<Item = ChunkId> {
        let closed = self.expected().map(|expected| expected.page.id);
        let top = self.frames.last().filter(|top| top.next == 0 && self.root.is_none()).map(|top| top.id);
        let above = self.frames.iter().rev().skip(1).take_while(|frame| frame.next == 1).map(|frame| frame.id);
        let above = above.take(if top.is_some() { self.frames.len() } else { 0 });
        closed.into_iter().chain(top).chain(above)
    }

    /// Passes a whole page that `begun` named.
    pub(super) fn pass(&mut self, page: ChunkId) {
        if self.expected().is_some_and(|expected| expected.page.id == page) {
            self.skip();
        } else if let Some(place) = self.frames.iter().rposition(|frame| frame.id == page) {
            self.frames.truncate(place);
        }
    }
}
