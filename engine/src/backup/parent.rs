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
use crate::time::Timestamp;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Batches of earlier entries between the reading task and the source thread.
const BATCHES_AHEAD: usize = 4;

/// An entry known from before.
pub(crate) struct Known {
    pub(crate) entry: Entry,
    /// Every chunk of it is in the index.
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

/// Feeds a cursor from a catalog until it ends or nobody listens. An error ends the feed: the backup then
/// reads what it could have taken over.
pub(crate) async fn feed(
    pages: Arc<dyn PageSource>,
    root: Option<PageRef>,
    claims: Arc<Claims>,
    sender: mpsc::Sender<Vec<Known>>,
) -> Result<()> {
    let pages: Arc<dyn PageSource> = Arc::new(Leaning { pages, claims: Arc::clone(&claims) });
    let mut walk = Walk::new(Arc::clone(&pages), root);
    while let Some(entries) = walk.next_page().await? {
        let mut batch = Vec::with_capacity(entries.len());
        for entry in entries {
            let present = is_present(&pages, &claims, &entry.content).await?;
            batch.push(Known { entry, present });
        }
        if sender.send(batch).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Whether every chunk of `content` is in the index: a snapshot must not lean on what is lost.
pub(crate) async fn is_present(pages: &Arc<dyn PageSource>, claims: &Claims, content: &Content) -> Result<bool> {
    match content {
        Content::Empty => Ok(true),
        Content::Inline(chunks) => Ok(chunks.iter().all(|chunk| lean_on(claims, chunk))),
        Content::Tree { root, length, .. } => {
            if !lean_on(claims, &ChunkRef { id: *root, length: *length }) {
                return Ok(false);
            }
            let mut walk = ChunkWalk::new(Arc::clone(pages), content);
            while let Some(placed) = walk.next().await? {
                if !lean_on(claims, &placed.chunk) {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

/// Pages whose packs a snapshot that takes over from them depends on.
struct Leaning {
    pages: Arc<dyn PageSource>,
    claims: Arc<Claims>,
}

impl PageSource for Leaning {
    fn page<'a>(&'a self, page: PageRef) -> PageFuture<'a> {
        lean_on(&self.claims, &ChunkRef { id: page.id, length: page.length });
        self.pages.page(page)
    }

    fn prefetch(&self, pages: &[PageRef]) {
        self.pages.prefetch(pages);
    }
}

/// Whether a chunk is stored; if so, the snapshot depends on its pack.
pub(crate) fn lean_on(claims: &Claims, chunk: &ChunkRef) -> bool {
    match claims.index().find_all(&chunk.id).find(|place| place.length == chunk.length) {
        Some(place) => {
            claims.lean_on(place.pack);
            true
        }
        None => false,
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
        self.holds(before, now)
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

    /// Whether a file seen now is the one seen before, judged by what `stat` tells.
    pub(crate) fn holds(&self, before: &Metadata, now: &Metadata) -> bool {
        matches!((&before.kind, &now.kind), (FileKind::File, FileKind::File))
            && before.size == now.size
            && before.modified == now.modified
            && (self.ignore_ctime || before.changed == now.changed)
            && (self.ignore_inode || before.inode == now.inode)
    }
}
