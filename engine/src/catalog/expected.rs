//! What is known of a page before it is read, and the comparison with what it turns out to be.

use crate::catalog::boundary::Shape;
use crate::catalog::gap::Gap;
use crate::catalog::read::LeveledPage;
use crate::catalog::read::PageSource;
use crate::entry::ChunkRef;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Result;
use crate::format::page::Child;
use crate::format::page::Page;
use crate::format::page::PageRef;
use crate::limits::PAGE_LEVELS_MAX;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;

/// How much stands below a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Totals {
    /// Entries, or chunks.
    pub(super) items: u64,
    /// Bytes of content.
    pub(super) bytes: u64,
}

impl Totals {
    /// The sum; `None` when it does not fit, which only forged counts can do.
    pub(super) fn plus(self, other: Self) -> Option<Self> {
        Some(Self { items: self.items.checked_add(other.items)?, bytes: self.bytes.checked_add(other.bytes)? })
    }

    /// One entry and its content.
    pub(super) fn of_entry(entry: &Entry) -> Self {
        Self { items: 1, bytes: entry.content.bytes() }
    }

    /// One chunk.
    pub(super) fn of_chunk(chunk: &ChunkRef) -> Self {
        Self { items: 1, bytes: u64::from(chunk.length) }
    }

    /// What an inner page says of a child.
    pub(super) fn of_child(child: &Child) -> Self {
        Self { items: child.entries, bytes: child.bytes }
    }
}

/// What is known of a page before it is read. `None` is not known: a root may be of any height.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// Which page.
    pub(super) page: PageRef,
    shape: Shape,
    level: Option<u8>,
    totals: Option<Totals>,
    /// All its paths come after this one.
    pub(super) after: Option<EntryPath>,
    last_path: Option<EntryPath>,
}

impl Expected {
    /// The root of a snapshot's entries.
    pub(super) fn entries_root(page: PageRef) -> Self {
        Self { page, shape: Shape::Entries, level: None, totals: None, after: None, last_path: None }
    }

    /// The root of a content's chunk list.
    pub(super) fn chunks_root(page: PageRef, totals: Totals) -> Self {
        Self { page, shape: Shape::Chunks, level: None, totals: Some(totals), after: None, last_path: None }
    }

    /// A child of an inner page of `shape` that stands on `level` (of the parent); `after` is its elder sibling's
    /// last path, or what the parent came after.
    pub(super) fn child(shape: Shape, level: u8, child: &Child, after: Option<EntryPath>) -> Self {
        Self {
            page: PageRef { id: child.id, length: child.length },
            shape,
            level: Some(level.saturating_sub(1)),
            totals: Some(Totals::of_child(child)),
            after,
            last_path: child.last_path.clone(),
        }
    }

    /// What is lost with the page; `None` for a root, of which nothing is known, and for chunk lists.
    pub(super) fn gap(&self) -> Option<Gap> {
        let entries = self.totals?.items;
        self.last_path.clone().map(|last| Gap { after: self.after.clone(), last, entries })
    }

    /// Tells this expectation from others of the same page: what was found to be as expected is so under an equal one.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.page.length, self.shape == Shape::Entries, self.level, self.totals).hash(&mut hasher);
        (&self.after, &self.last_path).hash(&mut hasher);
        hasher.finish()
    }

    /// Reads the page and compares. `Kind::Damaged`, naming the page, when it is not what was expected.
    pub(super) async fn read(&self, source: &dyn PageSource) -> Result<Arc<LeveledPage>> {
        let page = source.page(self.page).await?;
        match self.check(&page) {
            Ok(()) => Ok(page),
            Err(why) => Err(Error::damaged(format_args!("catalog page {}", self.page.id), why)),
        }
    }

    fn check(&self, page: &LeveledPage) -> Result<(), &'static str> {
        let LeveledPage { level, page } = page;
        let level = *level;
        if level >= PAGE_LEVELS_MAX {
            return Err("it stands on a level that no page tree reaches");
        }
        if self.level.is_some_and(|expected| expected != level) {
            return Err("it is not on the level below the page that names it");
        }
        let totals = match (self.shape, page) {
            (Shape::Entries, Page::Entries(entries)) if level == 0 => {
                self.check_paths(entries.iter().map(|entry| Some(&entry.path)))?;
                sum(entries.iter().map(Totals::of_entry))
            }
            (Shape::Entries, Page::EntriesInner(children)) if level > 0 => {
                self.check_paths(children.iter().map(|child| child.last_path.as_ref()))?;
                sum(children.iter().map(Totals::of_child))
            }
            (Shape::Chunks, Page::Chunks(chunks)) if level == 0 => {
                if chunks.iter().any(|chunk| chunk.length == 0) {
                    return Err("it lists an empty chunk");
                }
                sum(chunks.iter().map(Totals::of_chunk))
            }
            (Shape::Chunks, Page::ChunksInner(children)) if level > 0 => sum(children.iter().map(Totals::of_child)),
            _ => return Err("it is a page of another kind than the one that was asked for"),
        };
        match totals {
            None => Err("its counts overflow"),
            Some(Totals { items: 0, .. }) => Err("it is empty"),
            Some(found) if self.totals.is_some_and(|expected| expected != found) => {
                Err("its counts are not those that the page above gives")
            }
            Some(_) => Ok(()),
        }
    }

    /// Paths ascend, begin after what came before the page, and end where the page above says.
    fn check_paths<'a>(&'a self, paths: impl Iterator<Item = Option<&'a EntryPath>>) -> Result<(), &'static str> {
        let mut before = self.after.as_ref();
        for path in paths {
            let Some(path) = path else { return Err("a child of it has no last path") };
            if before.is_some_and(|before| before >= path) {
                return Err("its paths are out of order");
            }
            before = Some(path);
        }
        match &self.last_path {
            Some(expected) if Some(expected) != before => Err("its last path is not the one that the page above gives"),
            _ => Ok(()),
        }
    }
}

fn sum(mut parts: impl Iterator<Item = Totals>) -> Option<Totals> {
    parts.try_fold(Totals::default(), Totals::plus)
}
