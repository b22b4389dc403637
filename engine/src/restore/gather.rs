//! Reads entries and long chunk lists from the catalog until a window is full.

use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::error::Result;
use crate::restore::boundary::ChunkList;
use crate::restore::boundary::ChunkLists;
use crate::restore::boundary::EntryStream;
use crate::restore::select::Select;
use crate::restore::window::Item;
use crate::restore::window::Limits;
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

    /// The items of the next window; none at the end.
    pub(crate) async fn window(&mut self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut fill = Fill::default();
        while items.len() < self.limits.entries
            && fill.pieces < self.limits.pieces
            && fill.open_files < self.limits.open_files
            && fill.entry_bytes < self.limits.entry_bytes
        {
            let Some(item) = self.item().await? else { break };
            fill.pieces += item.chunks.len();
            fill.open_files += usize::from(item.chunks.len() > 1 || !item.last);
            fill.entry_bytes += weight(&item);
            items.push(item);
        }
        Ok(items)
    }

    async fn item(&mut self) -> Result<Option<Item>> {
        loop {
            if self.long.is_some() {
                return self.more().await;
            }
            let Some(mut entry) = self.page.next() else {
                match self.entries.next_page().await? {
                    Some(page) => self.page = page.into_iter(),
                    None => return Ok(None),
                }
                continue;
            };
            let Some(place) = self.place(&entry) else { continue };
            let selected = self.select.wants(&entry.path);
            let chunks = match &mut entry.content {
                Content::Tree { .. } if selected => {
                    let mut list = self.lists.list(&entry.content);
                    let next = list.next_page().await?;
                    self.long = Some(Long { entry: Some(entry), place, list, next });
                    continue;
                }
                Content::Inline(chunks) if selected => std::mem::take(chunks),
                _ => Vec::new(),
            };
            return Ok(Some(Item { entry: Some(entry), place, selected, chunks, last: true }));
        }
    }

    /// The next part of the long list being read.
    async fn more(&mut self) -> Result<Option<Item>> {
        let Some(mut long) = self.long.take() else { return Ok(None) };
        let chunks = long.next.take().unwrap_or_default();
        long.next = long.list.next_page().await?;
        let item = Item {
            entry: long.entry.take(),
            place: long.place.clone(),
            selected: true,
            chunks,
            last: long.next.is_none(),
        };
        if !item.last {
            self.long = Some(long);
        }
        Ok(Some(item))
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
