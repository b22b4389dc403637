//! Reads entries and long chunk lists from the catalog until a window is full; what cannot be read is told as such.

use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::error::Result;
use crate::restore::boundary::ChunkList;
use crate::restore::boundary::ChunkLists;
use crate::restore::boundary::EntryPage;
use crate::restore::boundary::EntryStream;
use crate::restore::select::Select;
use crate::restore::window::Item;
use crate::restore::window::Limits;
use crate::restore::window::Step;
use std::sync::Arc;

/// The source of items, in path order.
pub(crate) struct Gather {
    entries: Box<dyn EntryStream>,
    lists: Arc<dyn ChunkLists>,
    select: Arc<Select>,
    below: Option<EntryPath>,
    limits: Limits,
    page: std::vec::IntoIter<Entry>,
    long: Option<Long>,
}

/// A chunk list that is being read.
struct Long {
    entry: Option<Entry>,
    place: EntryPath,
    list: Box<dyn ChunkList>,
    /// The page read ahead, which tells whether the one before was the last.
    next: Option<Vec<ChunkRef>>,
    /// Why there is no next page, when that is not the end.
    lost: Option<String>,
}

/// The next chunks of a list; and why there are none, when that is not the end.
async fn chunks_of(list: &mut dyn ChunkList) -> Result<(Option<Vec<ChunkRef>>, Option<String>)> {
    match list.next_page().await {
        Ok(chunks) => Ok((chunks, None)),
        Err(error) if error.is_local() => Ok((None, Some(error.in_one_line()))),
        Err(error) => Err(error),
    }
}

/// How full a window is.
#[derive(Default)]
struct Fill {
    pieces: usize,
    open_files: usize,
    entry_bytes: usize,
}

impl Gather {
    pub(crate) fn new(
        entries: Box<dyn EntryStream>,
        lists: Arc<dyn ChunkLists>,
        select: Arc<Select>,
        below: Option<EntryPath>,
        limits: Limits,
    ) -> Self {
        Self { entries, lists, select, below, limits, page: Vec::new().into_iter(), long: None }
    }

    /// The steps of the next window; none at the end.
    pub(crate) async fn window(&mut self) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        let mut fill = Fill::default();
        while steps.len() < self.limits.entries
            && fill.pieces < self.limits.pieces
            && fill.open_files < self.limits.open_files
            && fill.entry_bytes < self.limits.entry_bytes
        {
            let Some(step) = self.step().await? else { break };
            if let Step::Item(item) = &step {
                fill.pieces += item.chunks.len();
                fill.open_files += usize::from(item.chunks.len() > 1 || !item.last);
                fill.entry_bytes += weight(item);
            }
            steps.push(step);
        }
        Ok(steps)
    }

    async fn step(&mut self) -> Result<Option<Step>> {
        loop {
            if let Some(long) = self.long.take() {
                return self.more(long).await.map(|item| Some(Step::Item(Box::new(item))));
            }
            let Some(mut entry) = self.page.next() else {
                match self.entries.next_page().await? {
                    Some(EntryPage::Entries(page)) => self.page = page.into_iter(),
                    Some(EntryPage::Lost(gap, why)) => return Ok(Some(Step::Lost(gap, why))),
                    None => return Ok(None),
                }
                continue;
            };
            let selected = self.select.wants(&entry.path, entry.metadata.kind == FileKind::Directory);
            let Some(place) = self.place(&entry) else {
                if self.below.as_ref() == Some(&entry.path) {
                    return Ok(Some(Step::Target(Box::new(entry), selected)));
                }
                continue;
            };
            let chunks = match &mut entry.content {
                Content::Tree { .. } if selected => {
                    let mut list = self.lists.list(&entry.content);
                    let (next, lost) = chunks_of(&mut *list).await?;
                    self.long = Some(Long { entry: Some(entry), place, list, next, lost });
                    continue;
                }
                Content::Inline(chunks) if selected => std::mem::take(chunks),
                _ => Vec::new(),
            };
            let item = Item { entry: Some(entry), place, selected, chunks, last: true, lost: None };
            return Ok(Some(Step::Item(Box::new(item))));
        }
    }

    /// The next part of the long list being read.
    async fn more(&mut self, mut long: Long) -> Result<Item> {
        let chunks = long.next.take().unwrap_or_default();
        if long.lost.is_none() {
            (long.next, long.lost) = chunks_of(&mut *long.list).await?;
        }
        let item = Item {
            entry: long.entry.take(),
            place: long.place.clone(),
            selected: true,
            chunks,
            last: long.next.is_none(),
            lost: long.lost.take(),
        };
        if !item.last {
            self.long = Some(long);
        }
        Ok(item)
    }

    /// Where an entry goes below the target; `None` when it is not asked for.
    fn place(&self, entry: &Entry) -> Option<EntryPath> {
        let Some(below) = &self.below else { return Some(entry.path.clone()) };
        if !entry.path.is_within(below) {
            return None;
        }
        let rest = entry.path.as_bytes().get(below.as_bytes().len()..).unwrap_or_default();
        match rest.strip_prefix(b"/") {
            Some(rest) => EntryPath::parse(rest).ok(),
            // The directory asked for is the target; a single file keeps its name.
            None if entry.metadata.kind == FileKind::Directory => None,
            None => EntryPath::parse(entry.path.name()).ok(),
        }
    }
}

/// About how much memory an item takes besides its chunks.
fn weight(item: &Item) -> usize {
    let Some(entry) = &item.entry else { return 0 };
    let xattrs: usize = entry.metadata.xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum();
    let extents = entry.metadata.extents.as_ref().map_or(0, |extents| extents.len() * 40);
    512 + 3 * entry.path.as_bytes().len() + xattrs + extents
}
