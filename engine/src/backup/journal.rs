//! The journal of an unfinished run: entries already read, remembered in the cache folder page by page.
//!
//! The chunk list of a long content has rows of its own under the root of its page tree: that tree is not stored
//! before the run's last pages are, so the next run builds it again.

use super::parent::Cursor;
use super::parent::Known;
use crate::cache::Unfinished;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::format::page::Page;
use crate::format::page::PageWriter;
use crate::id::ChunkId;
use crate::id::SnapshotId;
use crate::index::claim::Claims;
use crate::limits::PAGE_BYTES_HARD;
use crate::limits::PAGE_BYTES_MAX;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Entries in one page of the journal at most; wide ones close it earlier.
const PAGE_ENTRIES: u32 = 512;
/// Entries given to a cursor at once.
const FEED_ENTRIES: usize = 512;
/// Content bytes after which a page is written even if it holds few entries.
const PAGE_CONTENT_BYTES: u64 = 64 << 20;
/// Chunks in one row of a list: their page stays below the largest one allowed.
const ROW_CHUNKS: usize = 50_000;
/// Chunks of the longest list remembered (files of about 250 GiB): longer ones would take too much memory.
const LIST_CHUNKS_MAX: usize = 512 * 1024;
/// Room for chunks that is kept from one entry to the next.
const LIST_CHUNKS_KEPT: usize = 4096;

/// Writes entries as they are finished; without a cache it does nothing. An error ends the journal, not the backup.
pub(crate) struct Journal {
    cache: Option<Unfinished>,
    session: [u8; 16],
    sequence: u64,
    page: PageWriter,
    /// Content bytes of the entries in the page.
    page_content: u64,
    /// Chunks of the current entry; at most one more than are remembered.
    list: Vec<ChunkRef>,
}

impl Journal {
    pub(crate) fn new(cache: Option<Unfinished>, session: SnapshotId) -> Self {
        Self {
            cache,
            session: *session.as_bytes(),
            sequence: 0,
            page: PageWriter::entries(),
            page_content: 0,
            list: Vec::new(),
        }
    }

    /// Takes the next chunk of the current entry.
    pub(crate) fn chunk(&mut self, chunk: ChunkRef) {
        if self.cache.is_some() && self.list.len() <= LIST_CHUNKS_MAX {
            self.list.push(chunk);
        }
    }

    /// Drops the chunks of the current entry.
    pub(crate) fn forget_chunks(&mut self) {
        self.list.clear();
        self.list.shrink_to(LIST_CHUNKS_KEPT);
    }

    /// Remembers an entry that was read, and the chunks that came since the last one.
    pub(crate) fn add(&mut self, entry: &Entry) {
        if self.cache.is_none() {
            return;
        }
        if let Content::Tree { root, .. } = &entry.content {
            self.add_list(root);
        }
        self.forget_chunks();
        self.add_entry(entry);
    }

    /// The same for one that has waited for its turn: its chunks came among those of others. A long list is not
    /// remembered, so that it is read again.
    pub(crate) fn add_late(&mut self, entry: &Entry) {
        if self.cache.is_some() && !matches!(entry.content, Content::Tree { .. }) {
            self.add_entry(entry);
        }
    }

    fn add_entry(&mut self, entry: &Entry) {
        if !self.page.is_empty() && self.page.length_with_entry(entry) > PAGE_BYTES_HARD {
            self.flush();
        }
        if self.page.length_with_entry(entry) > PAGE_BYTES_MAX {
            // It is left out, and so read again.
            return;
        }
        if self.page.push_entry(entry).is_err() {
            self.cache = None;
            return;
        }
        self.page_content += entry.metadata.size;
        if self.page.count() >= PAGE_ENTRIES || self.page_content >= PAGE_CONTENT_BYTES {
            self.flush();
        }
    }

    /// The list goes first: an entry whose list is missing is read again.
    fn add_list(&mut self, root: &ChunkId) {
        let Some(cache) = &self.cache else { return };
        if self.list.len() > LIST_CHUNKS_MAX {
            return;
        }
        for (part, chunks) in (0u32..).zip(self.list.chunks(ROW_CHUNKS)) {
            let mut page = PageWriter::chunks();
            let whole = chunks.iter().all(|chunk| page.push_chunk(chunk).is_ok());
            let written = page.finish().is_ok_and(|page| cache.add_list_part(&self.session, root, part, &page).is_ok());
            if !(whole && written) {
                self.cache = None;
                return;
            }
        }
    }

    /// Writes what waits.
    pub(crate) fn flush(&mut self) {
        let page = std::mem::replace(&mut self.page, PageWriter::entries());
        self.page_content = 0;
        let Some(cache) = &self.cache else { return };
        if page.is_empty() {
            return;
        }
        let written = page.finish().is_ok_and(|page| cache.add(&self.session, self.sequence, &page).is_ok());
        if !written {
            self.cache = None;
        }
        self.sequence += 1;
    }
}

/// Feeds a cursor from all unfinished sessions at once, in path order, newer sessions winning. Blocks.
pub(crate) fn feed(cache: &Unfinished, claims: &Claims, sender: &mpsc::Sender<Vec<Known>>) {
    let Ok(sessions) = cache.sessions() else { return };
    let mut streams: Vec<SessionStream<'_>> =
        sessions.into_iter().rev().map(|session| SessionStream::new(cache, session)).collect();
    let mut batch = Vec::new();
    while let Some(entry) = take_first(&mut streams) {
        let present = match &entry.content {
            Content::Empty => true,
            // What cannot be looked up is read again, and looked up again then.
            Content::Inline(chunks) => claims.lean_on_all(chunks).unwrap_or(false),
            // Answered by `Remembered::take_over`, and only where it matters.
            Content::Tree { .. } => true,
        };
        batch.push(Known { entry, present });
        if batch.len() >= FEED_ENTRIES && sender.blocking_send(std::mem::take(&mut batch)).is_err() {
            return;
        }
    }
    let _ = sender.blocking_send(batch);
}

/// What unfinished runs knew, as the reader asks for it.
pub(crate) struct Remembered {
    entries: Cursor,
    lists: Option<(Unfinished, Arc<Claims>)>,
}

impl Remembered {
    /// No unfinished run.
    pub(crate) fn nothing() -> Self {
        Self { entries: Cursor::empty(), lists: None }
    }

    /// Entries as they are fed, and where the lists of long contents are.
    pub(crate) fn new(entries: Cursor, lists: Option<Unfinished>, claims: Arc<Claims>) -> Self {
        Self { entries, lists: lists.map(|lists| (lists, claims)) }
    }

    /// Moves to `path` and takes the entry there. Blocks.
    pub(crate) fn seek(&mut self, path: &EntryPath) -> Option<Known> {
        self.entries.seek(path)
    }

    /// The entry with the chunks of its content where that is a tree, which is not stored itself. `None` unless every
    /// chunk is.
    pub(crate) fn take_over(&self, known: Known) -> Option<(Entry, Vec<ChunkRef>)> {
        let chunks = match &known.entry.content {
            _ if !known.present => return None,
            Content::Tree { root, chunks, bytes, .. } => self.list(root, *chunks, *bytes)?,
            _ => Vec::new(),
        };
        Some((known.entry, chunks))
    }

    fn list(&self, root: &ChunkId, count: u64, bytes: u64) -> Option<Vec<ChunkRef>> {
        let (cache, claims) = self.lists.as_ref()?;
        let count = usize::try_from(count).ok().filter(|count| *count <= LIST_CHUNKS_MAX)?;
        let mut list: Vec<ChunkRef> = Vec::new();
        let mut part = 0;
        while list.len() < count {
            let Ok(Page::Chunks(chunks)) = Page::decode(&cache.list_part(root, part)?) else { return None };
            list.extend(chunks);
            part += 1;
        }
        let total: u64 = list.iter().map(|chunk| u64::from(chunk.length)).sum();
        let whole = list.len() == count && total == bytes;
        (whole && claims.lean_on_all(&list).unwrap_or(false)).then_some(list)
    }
}

/// Takes the smallest path; of equal ones the newest session's (the first stream's).
fn take_first(streams: &mut [SessionStream<'_>]) -> Option<Entry> {
    let path = streams.iter_mut().filter_map(|stream| stream.front().map(|entry| entry.path.clone())).min()?;
    let mut first = None;
    for stream in streams {
        if stream.front().is_some_and(|entry| entry.path == path) {
            let entry = stream.ready.pop_front();
            first = first.or(entry);
        }
    }
    first
}

/// One session's entries in order. Pages out of order or not readable end it.
struct SessionStream<'a> {
    cache: &'a Unfinished,
    session: [u8; 16],
    sequence: u64,
    ready: VecDeque<Entry>,
}

impl<'a> SessionStream<'a> {
    fn new(cache: &'a Unfinished, session: [u8; 16]) -> Self {
        Self { cache, session, sequence: 0, ready: VecDeque::new() }
    }

    fn front(&mut self) -> Option<&Entry> {
        if self.ready.is_empty()
            && let Some(bytes) = self.cache.page(&self.session, self.sequence)
            && let Ok(Page::Entries(entries)) = Page::decode(&bytes)
        {
            self.ready.extend(entries);
            self.sequence += 1;
        }
        self.ready.front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::keys::RootKey;
    use crate::entry::FileKind;
    use crate::entry::Metadata;
    use crate::entry::Xattr;
    use crate::format::vectors::records_with;
    use crate::id::RepositoryId;
    use crate::index::table::Index;
    use crate::limits::PATH_BYTES_MAX;
    use crate::limits::XATTR_BYTES_MAX;
    use crate::limits::XATTRS_BYTES_MAX;
    use std::collections::HashSet;
    use std::path::Path;

    const SESSION: SnapshotId = SnapshotId::from_bytes([9; 16]);

    fn open(folder: &Path) -> Unfinished {
        let keys = RootKey::from_bytes([1; 32]).derive(&RepositoryId::from_bytes([1; 16]));
        Unfinished::open(folder, keys.metadata_names, [7; 32]).expect("a cache")
    }

    fn chunks(count: usize) -> Vec<ChunkRef> {
        let id = |number: usize| ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes());
        (0..count).map(|number| ChunkRef { id: id(number), length: 10 }).collect()
    }

    fn entry(count: usize) -> Entry {
        let root = ChunkId::from_bytes([5; 32]);
        let content = Content::Tree { root, length: 100, chunks: count as u64, bytes: 10 * count as u64 };
        let path = EntryPath::parse(b"big").expect("a path");
        Entry::new(path, Metadata::new(FileKind::File), content)
    }

    fn written(folder: &Path, chunks: &[ChunkRef]) {
        let mut journal = Journal::new(Some(open(folder)), SESSION);
        journal.chunk(ChunkRef { length: 77, ..chunks[0] });
        journal.forget_chunks();
        chunks.iter().for_each(|chunk| journal.chunk(*chunk));
        journal.add(&entry(chunks.len()));
    }

    fn take_over(folder: &Path, stored: &[ChunkRef], entry: Entry) -> Option<Vec<ChunkRef>> {
        let mut index = Index::empty();
        for part in stored.chunks(10_000) {
            let part: Vec<(ChunkId, u32)> = part.iter().map(|chunk| (chunk.id, chunk.length)).collect();
            let mut records = records_with(&part);
            let name = *blake3::hash(part[0].0.as_bytes()).as_bytes();
            records.packs.iter_mut().for_each(|pack| pack.id = crate::id::PackId::from_bytes(name));
            index.add_records(records, &HashSet::new()).expect("room");
        }
        let claims = Arc::new(Claims::new(Arc::new(index)));
        let remembered = Remembered::new(Cursor::empty(), Some(open(folder)), claims);
        remembered.take_over(Known { entry, present: true }).map(|(_, chunks)| chunks)
    }

    #[test]
    fn a_list_of_several_rows_comes_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let all = chunks(2 * ROW_CHUNKS + 7);
        written(folder.path(), &all);
        assert!(take_over(folder.path(), &all, entry(all.len())).as_deref() == Some(all.as_slice()));
        assert!(take_over(folder.path(), &all[1..], entry(all.len())).is_none(), "one chunk is not stored");
        for (count, bytes) in [(all.len() - 1, 0), (all.len() + 1, 0), (all.len(), 1)] {
            let mut other = entry(count);
            if let Content::Tree { bytes: total, .. } = &mut other.content {
                *total += bytes;
            }
            assert!(take_over(folder.path(), &all, other).is_none(), "{count} chunks");
        }
    }

    /// An empty file whose path and attributes take so many bytes.
    fn wide(name: char, path_bytes: usize, xattr_bytes: usize) -> Entry {
        let mut path = name.to_string();
        while path.len() + 201 <= path_bytes {
            path.push('/');
            path.extend(std::iter::repeat_n(name, 200));
        }
        let mut metadata = Metadata::new(FileKind::File);
        let values = (0..xattr_bytes.div_ceil(XATTR_BYTES_MAX)).map(|number| Xattr {
            name: format!("user.{number:03}").into_bytes(),
            value: vec![7; XATTR_BYTES_MAX.min(xattr_bytes - number * XATTR_BYTES_MAX)],
        });
        metadata.xattrs = values.collect();
        let path = EntryPath::parse(path.as_bytes()).expect("a path");
        Entry::new(path, metadata, Content::Empty)
    }

    fn remembered_in(folder: &Path) -> Vec<Entry> {
        let cache = open(folder);
        let mut stream = SessionStream::new(&cache, *SESSION.as_bytes());
        let mut entries = Vec::new();
        while stream.front().is_some() {
            entries.extend(stream.ready.pop_front());
        }
        entries
    }

    #[test]
    fn the_widest_entries_are_remembered_like_all_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::new(Some(open(folder.path())), SESSION);
        let (path, xattrs) = (PATH_BYTES_MAX, XATTRS_BYTES_MAX - 1000);
        let mut entries: Vec<Entry> = ('a'..='e').map(|name| wide(name, path, xattrs)).collect();
        entries.extend(('f'..='z').map(|name| wide(name, path, 0)));
        entries.iter().for_each(|entry| journal.add(entry));
        journal.flush();
        let back = remembered_in(folder.path());
        assert!(back == entries, "{} of {} came back", back.len(), entries.len());
    }

    #[test]
    fn an_entry_too_wide_for_any_page_is_left_out_and_ends_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::new(Some(open(folder.path())), SESSION);
        let mut entries = [wide('a', 10, 0), wide('b', 10, 0), wide('c', 10, 0)];
        entries[1].warnings = vec!["w".repeat(60_000); 60];
        entries.iter().for_each(|entry| journal.add(entry));
        journal.flush();
        let back = remembered_in(folder.path());
        assert!(back.iter().eq([&entries[0], &entries[2]]), "{} entries", back.len());
    }

    #[test]
    fn a_list_too_long_to_remember_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let all = chunks(LIST_CHUNKS_MAX + 5);
        written(folder.path(), &all);
        assert_eq!(open(folder.path()).list_part(&ChunkId::from_bytes([5; 32]), 0), None);
    }
}
