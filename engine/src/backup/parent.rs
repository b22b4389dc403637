//! Earlier knowledge of the same files, in path order: the parent snapshot, or an unfinished run's journal.

use crate::catalog::ChunkWalk;
use crate::catalog::PageFuture;
use crate::catalog::PageSource;
use crate::catalog::Walk;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Result;
use crate::format::page::PageRef;
use crate::index::claim::Claims;
use crate::source::EntryStart;
use crate::time::Timestamp;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::mpsc;

/// Batches of earlier entries between the reading task and the source thread.
const BATCHES_AHEAD: usize = 4;

/// An entry known from before.
pub(crate) struct Known {
    pub(crate) entry: Entry,
    /// Every chunk of it is stored where a new snapshot may rely on it.
    pub(crate) present: bool,
}

/// A cursor over earlier entries, moved forward only.
pub(crate) struct Cursor {
    batches: mpsc::Receiver<Vec<Known>>,
    ready: VecDeque<Known>,
}

impl Cursor {
    /// A cursor over nothing.
    pub(crate) fn empty() -> Self {
        let (_, batches) = mpsc::channel(1);
        Self { batches, ready: VecDeque::new() }
    }

    /// A cursor and the end to feed it from.
    pub(crate) fn fed() -> (mpsc::Sender<Vec<Known>>, Self) {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        (sender, Self { batches, ready: VecDeque::new() })
    }

    /// Moves to `path` and takes the entry there, if there is one. Blocks; not for async contexts.
    pub(crate) fn seek(&mut self, path: &EntryPath) -> Option<Known> {
        loop {
            match self.ready.front() {
                Some(front) => match front.entry.path.cmp(path) {
                    Ordering::Less => {
                        self.ready.pop_front();
                    }
                    Ordering::Equal => return self.ready.pop_front(),
                    Ordering::Greater => return None,
                },
                None => self.ready.extend(self.batches.blocking_recv()?),
            }
        }
    }
}

/// Feeds a cursor from a catalog until it ends or nobody listens. What is damaged is passed over, and the first damage
/// given at the end; any other error ends the feed. The backup then reads what it could have taken over.
pub(crate) async fn feed(
    pages: Arc<dyn PageSource>,
    root: Option<PageRef>,
    claims: Arc<Claims>,
    sender: mpsc::Sender<Vec<Known>>,
) -> Result<()> {
    let mut walk = Walk::new(Arc::clone(&pages), root);
    let mut damage = None;
    loop {
        let entries = match walk.next_page().await {
            Ok(Some(entries)) => entries,
            Ok(None) => break,
            Err(error) if walk.pass_gap().is_some() => {
                damage.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let mut batch = Vec::with_capacity(entries.len());
        for entry in entries {
            let present = match is_present(&pages, &claims, &entry.content).await {
                Err(error) if error.is_local() => {
                    damage.get_or_insert(error);
                    false
                }
                other => other?,
            };
            batch.push(Known { entry, present });
        }
        if sender.send(batch).await.is_err() {
            break;
        }
    }
    damage.map_or(Ok(()), Err)
}

/// Whether every chunk of `content`, and every page of its list, is stored where a new snapshot may rely on it.
pub(crate) async fn is_present(pages: &Arc<dyn PageSource>, claims: &Arc<Claims>, content: &Content) -> Result<bool> {
    match content {
        Content::Empty => Ok(true),
        Content::Inline(chunks) => claims.lean_on_all(chunks),
        Content::Tree { root, length, .. } => {
            if !claims.lean_on(&ChunkRef { id: *root, length: *length })? {
                return Ok(false);
            }
            let leaning = Arc::new(Leaning {
                pages: Arc::clone(pages),
                claims: Arc::clone(claims),
                failed: AtomicBool::default(),
            });
            let mut walk = ChunkWalk::new(Arc::clone(&leaning) as Arc<dyn PageSource>, content);
            while let Some(placed) = walk.next().await? {
                if leaning.failed.load(Relaxed) || !claims.lean_on(&placed.chunk)? {
                    return Ok(false);
                }
            }
            Ok(!leaning.failed.load(Relaxed))
        }
    }
}

/// Pages of a chunk list that is taken over as it is: the snapshot depends on their packs, too.
struct Leaning {
    pages: Arc<dyn PageSource>,
    claims: Arc<Claims>,
    /// A page can be read, but not be relied on.
    failed: AtomicBool,
}

impl PageSource for Leaning {
    fn page<'a>(&'a self, page: PageRef) -> PageFuture<'a> {
        match self.claims.lean_on(&ChunkRef { id: page.id, length: page.length }) {
            Ok(true) => {}
            Ok(false) => self.failed.store(true, Relaxed),
            Err(error) => return Box::pin(async move { Err(error) }),
        }
        self.pages.page(page)
    }

    fn prefetch(&self, pages: &[PageRef]) {
        self.pages.prefetch(pages);
    }
}

/// What tells that a file is as it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sameness {
    pub(crate) ignore_inode: bool,
    pub(crate) ignore_ctime: bool,
    /// When the parent's backup began; files changed about then or later may have changed once more unseen.
    pub(crate) parent_began: Timestamp,
}

fn nanoseconds(time: Timestamp) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds)
}

/// Longest step of the clock that stamps files, in nanoseconds: a tick of a slow kernel, with room.
const TICK_NANOSECONDS: i128 = 20_000_000;
/// The same for file systems that keep no fractions of a second (two seconds on FAT).
const COARSE_TICK_NANOSECONDS: i128 = 2_000_000_000;

impl Sameness {
    /// Whether a file that was read again shows nothing to have changed, by what this run goes by.
    pub(crate) fn is_unmodified(&self, before: &Metadata, now: &Metadata) -> bool {
        now.kind == FileKind::File
            && self.looks_alike(before, now)
            && (before.mode, before.uid, before.gid) == (now.mode, now.uid, now.gid)
            && before.xattrs == now.xattrs
    }

    /// Whether a file of the parent had come to rest before the parent's backup began. One that had not may have
    /// been written again within the same tick of the clock, with the same size and times.
    pub(crate) fn settled(&self, before: &Metadata) -> bool {
        let last = if self.ignore_ctime { before.modified } else { before.changed };
        let is_coarse = before.modified.nanoseconds == 0 && before.changed.nanoseconds == 0;
        let tick = if is_coarse { COARSE_TICK_NANOSECONDS } else { TICK_NANOSECONDS };
        nanoseconds(last) + tick < nanoseconds(self.parent_began)
    }

    /// Whether what is announced now is what was stored before, judged by what the source tells without reading it. Without
    /// a token only files can be: two streams of one name may have nothing in common.
    pub(crate) fn holds(&self, before: &Entry, start: &EntryStart<'_>) -> bool {
        let EntryStart { metadata: now, change_token: token, size_is_known, .. } = *start;
        if before.change_token.as_deref() != token {
            return false;
        }
        match token {
            None => size_is_known && now.kind == FileKind::File && self.looks_alike(&before.metadata, now),
            Some(_) if !size_is_known => {
                let size = before.metadata.size;
                self.looks_alike(&before.metadata, &Metadata { size, ..now.clone() })
            }
            Some(_) => self.looks_alike(&before.metadata, now),
        }
    }

    /// Whether two of one kind have the same size and times.
    fn looks_alike(&self, before: &Metadata, now: &Metadata) -> bool {
        now.has_content()
            && before.kind == now.kind
            && before.size == now.size
            && before.modified == now.modified
            && (self.ignore_ctime || before.changed == now.changed)
            && (self.ignore_inode || before.inode == now.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CatalogBuilder;
    use crate::catalog::ChunkListBuilder;
    use crate::catalog::LeveledPage;
    use crate::catalog::PageHasher;
    use crate::catalog::PageSink;
    use crate::format::vectors::records_with;
    use crate::id::ChunkId;
    use crate::id::PackId;
    use crate::index::table::Index;
    use crate::store::Condemned;
    use std::collections::HashMap;
    use std::collections::HashSet;

    /// Pages by id, and the order they were written in.
    #[derive(Clone, Default)]
    struct Shelf {
        pages: HashMap<ChunkId, Arc<LeveledPage>>,
        written: Vec<PageRef>,
    }

    impl PageSink for Shelf {
        fn put_page(&mut self, bytes: Vec<u8>) -> Result<PageRef> {
            let id = ChunkId::from_bytes(*blake3::hash(&bytes).as_bytes());
            let page = PageRef { id, length: u32::try_from(bytes.len()).expect("a short page") };
            self.pages.insert(id, Arc::new(LeveledPage::decode(&bytes).expect("a page")));
            self.written.push(page);
            Ok(page)
        }
    }

    impl PageSource for Shelf {
        fn page(&self, page: PageRef) -> PageFuture<'_> {
            Box::pin(async move { Ok(Arc::clone(&self.pages[&page.id])) })
        }

        fn prefetch(&self, _: &[PageRef]) {}
    }

    fn pack(number: u8) -> PackId {
        PackId::from_bytes([number; 32])
    }

    /// An index of one pack for each list of chunks, numbered from 1.
    fn index(packs: &[Vec<(ChunkId, u32)>]) -> Arc<Index> {
        let mut index = Index::empty();
        for (number, chunks) in (1..).zip(packs) {
            let mut records = records_with(chunks);
            records.packs.iter_mut().for_each(|info| info.id = pack(number));
            index.add_records(records, &HashSet::new()).expect("room");
        }
        Arc::new(index)
    }

    async fn fed(shelf: Shelf, root: PageRef, claims: &Arc<Claims>) -> Vec<Known> {
        let (sender, mut cursor) = Cursor::fed();
        feed(Arc::new(shelf), Some(root), Arc::clone(claims), sender).await.expect("fed");
        cursor.batches.recv().await.into_iter().chain(std::iter::from_fn(|| None)).flatten().collect()
    }

    /// A catalog of one file with a chunk list of several pages: its chunks, the pages of the list, root last, and
    /// the page of the catalog.
    fn one_long_file() -> (Shelf, Vec<ChunkRef>, Vec<PageRef>, PageRef) {
        let hasher = PageHasher::new([3; 32]);
        let mut shelf = Shelf::default();
        let id = |number: u32| ChunkId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes());
        let chunks: Vec<_> = (0..5000).map(|number| ChunkRef { id: id(number), length: 10 }).collect();
        let mut list = ChunkListBuilder::new(hasher.clone());
        chunks.iter().for_each(|chunk| list.push(*chunk, &mut shelf).expect("pushed"));
        let content = list.finish(&mut shelf).expect("a list");
        let pages = std::mem::take(&mut shelf.written);
        let mut metadata = Metadata::new(FileKind::File);
        metadata.size = content.bytes();
        let path = EntryPath::parse(b"long").expect("a path");
        let mut catalog = CatalogBuilder::new(hasher);
        catalog.push(Entry::new(path, metadata, content), &mut shelf).expect("pushed");
        let root = catalog.finish(&mut shelf).expect("a catalog").expect("a root");
        (shelf, chunks, pages, root)
    }

    #[tokio::test]
    async fn what_is_taken_over_leans_on_the_packs_of_its_chunks_and_of_every_page_of_their_list() {
        let (shelf, chunks, list, root) = one_long_file();
        let page = |page: &PageRef| (page.id, page.length);
        let chunk = |chunk: &ChunkRef| (chunk.id, chunk.length);
        let (list_root, list_leaves) = list.split_last().expect("pages");
        assert!(list_leaves.len() > 1, "the list must have inner pages to say anything");
        let packs = [
            chunks.iter().map(chunk).collect(),
            vec![page(list_root)],
            list_leaves.iter().map(page).collect(),
            vec![page(&root)],
            vec![(ChunkId::from_bytes([5; 32]), 10)],
        ];
        let claims = Arc::new(Claims::new(index(&packs)));
        let known = fed(shelf, root, &claims).await;
        assert!(known.len() == 1 && known[0].present);
        assert_eq!(claims.leaned_on(), HashSet::from([pack(1), pack(2), pack(3)]));
    }

    #[tokio::test]
    async fn a_file_with_one_chunk_lost_is_not_present() {
        let (shelf, chunks, list, root) = one_long_file();
        let page = |page: &PageRef| (page.id, page.length);
        let lost = chunks.len() - 1;
        let stored = chunks.iter().take(lost).map(|chunk| (chunk.id, chunk.length)).collect();
        let claims = Arc::new(Claims::new(index(&[stored, list.iter().map(page).collect(), vec![page(&root)]])));
        let known = fed(shelf, root, &claims).await;
        assert!(known.len() == 1 && !known[0].present);
    }

    #[tokio::test]
    async fn a_file_is_taken_over_only_if_all_its_chunks_and_every_page_of_their_list_are_in_usable_packs() {
        let (shelf, chunks, list, root) = one_long_file();
        let all = list.iter().map(|page| (page.id, page.length));
        let all: Vec<_> = all.chain(chunks.iter().map(|chunk| (chunk.id, chunk.length))).collect();
        let last = (chunks[chunks.len() - 1].id, chunks[chunks.len() - 1].length);
        let elsewhere = (ChunkId::from_bytes([5; 32]), 10);
        let is_taken_over = async |victim: (ChunkId, u32)| {
            let good = all.iter().copied().filter(|chunk| *chunk != victim).collect();
            let mut index = index(&[good, vec![victim], vec![(root.id, root.length)]]);
            let condemned = Condemned::of(HashSet::from([pack(2)]), HashSet::new());
            Arc::get_mut(&mut index).expect("nobody else has it").judge(&condemned);
            fed(shelf.clone(), root, &Arc::new(Claims::new(index))).await[0].present
        };
        for page in &list {
            assert!(!is_taken_over((page.id, page.length)).await, "{}", page.id);
        }
        assert!(!is_taken_over(last).await);
        assert!(is_taken_over(elsewhere).await);
    }
}
