//! Reading a snapshot's entries: all of them, those below a path, one, or those in one directory.

use crate::catalog::cursor::Cursor;
use crate::catalog::cursor::Goal;
use crate::catalog::cursor::Next;
use crate::catalog::gap::Gap;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::FormatError;
use crate::format::page::Page;
use crate::format::page::PageRef;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A decoded page and where it says it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeveledPage {
    /// 0 for leaves.
    pub(crate) level: u8,
    /// What it holds.
    pub(crate) page: Page,
}

impl LeveledPage {
    /// Reads a page's bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        Page::decode_with_level(bytes).map(|(level, page)| Self { level, page })
    }
}

/// A page on its way.
pub(crate) type PageFuture<'a> = Pin<Box<dyn Future<Output = Result<Arc<LeveledPage>>> + Send + 'a>>;

/// Where pages come from: the store, a cache, or memory in tests.
pub(crate) trait PageSource: Send + Sync {
    /// The decoded page. The source checks its id against its bytes; what it says is checked by the reader.
    fn page<'a>(&'a self, page: PageRef) -> PageFuture<'a>;

    /// A hint that these will be asked for soon, in this order: they are fetched meanwhile. Returns at once; failures show
    /// when they are asked for.
    fn prefetch(&self, pages: &[PageRef]);
}

/// Entries in order, a page's worth at a time; at most one page per level in memory. The pages that come next are fetched
/// meanwhile.
pub(crate) struct Walk {
    cursor: Cursor,
    below: Option<EntryPath>,
    begun: bool,
}

impl Walk {
    /// All entries of the catalog with this root; no root, no entries.
    pub(crate) fn new(source: Arc<dyn PageSource>, root: Option<PageRef>) -> Self {
        Self { cursor: Cursor::new(source, root).ahead(|_, _| true), below: None, begun: false }
    }

    /// Only the entry at `path` and those below it; other pages than those on the way are not read.
    #[must_use]
    pub(crate) fn below(mut self, path: EntryPath) -> Self {
        let end = path.clone();
        self.cursor = self.cursor.ahead(move |after, _| !after.is_some_and(|after| is_behind(after, &end)));
        self.below = Some(path);
        self
    }

    /// The next entries, never an empty list; `None` at the end. After an error the same page is tried again.
    pub(crate) async fn next_page(&mut self) -> Result<Option<Vec<Entry>>> {
        let Self { cursor, below, begun } = self;
        if let Some(below) = below
            && !*begun
        {
            cursor.seek(&Goal::At(below)).await?;
        }
        *begun = true;
        let ends_before = |path: &EntryPath| below.as_ref().is_some_and(|below| is_behind(path, below));
        loop {
            match cursor.peek() {
                None => return Ok(None),
                Some(Next::Page(ahead)) => {
                    if ahead.after.is_some_and(ends_before) {
                        cursor.end();
                        return Ok(None);
                    }
                    cursor.open().await?;
                }
                Some(Next::Entry(_)) => {
                    let mut entries = cursor.take_leaf();
                    let wanted = entries.partition_point(|entry| !ends_before(&entry.path));
                    if wanted < entries.len() {
                        entries.truncate(wanted);
                        cursor.end();
                    }
                    return Ok(Some(entries).filter(|entries| !entries.is_empty()));
                }
            }
        }
    }

    /// Passes the page that the last call failed on; what is lost with it. `None` when the walk cannot go on.
    pub(crate) fn pass_gap(&mut self) -> Option<Gap> {
        self.cursor.pass_gap()
    }
}

/// Whether a path comes after `above` and all that stands below it.
fn is_behind(path: &EntryPath, above: &EntryPath) -> bool {
    path > above && !path.is_within(above)
}

/// The entry at `path`, reading one page per level.
pub(crate) async fn find(
    source: Arc<dyn PageSource>,
    root: Option<PageRef>,
    path: &EntryPath,
) -> Result<Option<Entry>> {
    let mut cursor = Cursor::new(source, root);
    cursor.seek(&Goal::At(path)).await?;
    Ok(cursor.take().filter(|entry| entry.path == *path))
}

/// The entries directly in `directory` (`None`: at the top), in order. What is below sub-directories is jumped over,
/// so that the pages read are those that hold children and the ways to them.
pub(crate) async fn children(
    source: Arc<dyn PageSource>,
    root: Option<PageRef>,
    directory: Option<&EntryPath>,
) -> Result<Vec<Entry>> {
    let above = directory.cloned();
    let mut cursor = Cursor::new(source, root).ahead(move |after, last| has_children(above.as_ref(), after, last));
    if let Some(directory) = directory {
        cursor.seek(&Goal::At(directory)).await?;
        if let Some(Next::Entry(entry)) = cursor.peek()
            && entry.path == *directory
        {
            cursor.skip();
        }
    }
    let mut found = Vec::new();
    loop {
        match cursor.peek() {
            None => return Ok(found),
            Some(Next::Page(_)) => cursor.open().await?,
            Some(Next::Entry(entry)) => {
                if directory.is_some_and(|directory| !entry.path.is_within(directory)) {
                    return Ok(found);
                }
                let child = child_above(&entry.path, directory)?;
                if child == entry.path
                    && let Some(entry) = cursor.take()
                {
                    found.push(entry);
                }
                cursor.seek(&Goal::Past(&child)).await?;
            }
        }
    }
}

/// Whether a page whose paths come after `after` and end with `last` may hold a child of `directory`: not when all of them
/// stand below the same one.
fn has_children(directory: Option<&EntryPath>, after: Option<&EntryPath>, last: Option<&EntryPath>) -> bool {
    let is_inside = |path: &EntryPath| directory.is_none_or(|directory| path.is_within(directory) && path != directory);
    match (after, last) {
        (Some(after), _) if directory.is_some_and(|directory| is_behind(after, directory)) => false,
        (Some(after), Some(last)) if is_inside(after) && is_inside(last) => {
            child_above(after, directory).ok() != child_above(last, directory).ok()
        }
        (_, Some(last)) => directory.is_none_or(|directory| last >= directory),
        _ => true,
    }
}

/// The child of `directory` that is `path` or has it below it (a source need not list the directories on the way).
fn child_above(path: &EntryPath, directory: Option<&EntryPath>) -> Result<EntryPath> {
    let start = directory.map_or(0, |directory| directory.as_bytes().len() + 1);
    let name = path.as_bytes().get(start..).unwrap_or_default();
    let length = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
    let bytes = path.as_bytes().get(..start + length).unwrap_or_default();
    EntryPath::parse(bytes)
        .map_err(|cause| Error::new(Kind::Bug, format!("cannot tell what {path} is a child of")).because(cause))
}
