//! A snapshot as a source: its entries and their bytes once more, for another repository or a changed record.

use super::Repository;
use crate::catalog::ChunkWalk;
use crate::catalog::Walk;
use crate::class::Class;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::FileKind;
use crate::error::Error;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::index::chunks::ChunkReader;
use crate::index::live::LiveIndex;
use crate::restore::Select;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Want;
use crate::verdict::Verdict;
use bytes::Bytes;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Entries and chunks between the reading task and the source thread.
const ITEMS_AHEAD: usize = 8;

/// Gives a snapshot's entries as the source gave them that it was made from.
///
/// The parent of the new snapshot must hold exactly what `earlier` holds: an entry that is the same in both is then
/// taken over without reading it. Every other file is announced as changed, so that it is compared by its bytes and
/// never by times and sizes that may be the same by accident.
pub(super) struct SnapshotSource {
    snapshot: Snapshot,
    excludes: Vec<String>,
    items: mpsc::Receiver<Item>,
    task: JoinHandle<()>,
}

/// What the task gives the thread.
enum Item {
    /// The next entry; whoever has content waits to be told whether it is wanted.
    Entry(Box<Again>),
    /// The next bytes of the entry that was wanted.
    Bytes(Bytes),
    /// There are no more of them.
    EndOfBytes,
    /// There are no more entries.
    End,
    /// Reading the snapshot failed.
    Failed(Error),
}

struct Again {
    entry: Entry,
    is_as_before: bool,
    wanted: Option<oneshot::Sender<bool>>,
}

/// The task's side.
struct Reader {
    walk: Walk,
    before: Before,
    excluded: Select,
    pages: Arc<dyn crate::catalog::PageSource>,
    chunks: ChunkReader,
    items: mpsc::Sender<Item>,
}

/// The earlier snapshot's entries, moved along with the walk.
struct Before {
    walk: Walk,
    ready: VecDeque<Entry>,
}

impl SnapshotSource {
    /// Starts reading. `excludes` are patterns of what to leave out, as `restore --exclude` takes them.
    pub(super) fn start(
        repository: &Repository,
        index: &Arc<LiveIndex>,
        snapshot: &Snapshot,
        earlier: Option<&Snapshot>,
        excludes: &[String],
    ) -> Result<Self> {
        let pages = repository.pages(index);
        let (sender, items) = mpsc::channel(ITEMS_AHEAD);
        let reader = Reader {
            walk: Walk::new(Arc::clone(&pages), snapshot.root),
            before: Before {
                walk: Walk::new(Arc::clone(&pages), earlier.and_then(|earlier| earlier.root)),
                ready: VecDeque::new(),
            },
            excluded: Select::excluding(excludes)?,
            chunks: ChunkReader::live(index, Class::Data),
            pages,
            items: sender,
        };
        let task = tokio::spawn(reader.run());
        Ok(Self { snapshot: snapshot.clone(), excludes: excludes.to_vec(), items, task })
    }
}

impl Reader {
    async fn run(mut self) {
        let last = match self.entries().await {
            Ok(()) => Item::End,
            Err(error) => Item::Failed(error),
        };
        // An error only says that nobody listens any more.
        let _ = self.items.send(last).await;
    }

    /// Ends early, and well, when nobody listens any more.
    async fn entries(&mut self) -> Result<()> {
        while let Some(page) = self.walk.next_page().await? {
            for entry in page {
                if !self.excluded.wants(&entry.path) {
                    continue;
                }
                let is_as_before = self.before.has(&entry).await?;
                let content = entry.content.clone();
                let (wanted, answer) = oneshot::channel();
                let wanted = (content != Content::Empty).then_some(wanted);
                let again = Again { entry, is_as_before, wanted };
                if self.items.send(Item::Entry(Box::new(again))).await.is_err() {
                    return Ok(());
                }
                // Without content nobody asks, and the channel is closed.
                if answer.await.unwrap_or(false) {
                    self.bytes(&content).await?;
                }
            }
        }
        Ok(())
    }

    async fn bytes(&self, content: &Content) -> Result<()> {
        let mut walk = ChunkWalk::new(Arc::clone(&self.pages), content);
        while let Some(placed) = walk.next().await? {
            let bytes = self.chunks.chunk(&placed.chunk.id).await?;
            if self.items.send(Item::Bytes(bytes)).await.is_err() {
                return Ok(());
            }
        }
        let _ = self.items.send(Item::EndOfBytes).await;
        Ok(())
    }
}

impl Before {
    /// Whether the earlier snapshot has this very entry. Paths only ascend.
    async fn has(&mut self, entry: &Entry) -> Result<bool> {
        loop {
            match self.ready.front().map(|before| before.path.cmp(&entry.path)) {
                Some(Ordering::Less) => drop(self.ready.pop_front()),
                Some(Ordering::Equal) => return Ok(self.ready.front() == Some(entry)),
                Some(Ordering::Greater) => return Ok(false),
                None => match self.walk.next_page().await? {
                    Some(page) => self.ready.extend(page),
                    None => return Ok(false),
                },
            }
        }
    }
}

impl Source for SnapshotSource {
    fn kind(&self) -> &str {
        &self.snapshot.source_kind
    }

    fn paths(&self) -> Vec<Vec<u8>> {
        self.snapshot.paths.clone()
    }

    fn excludes(&self) -> Vec<String> {
        let mut all = self.snapshot.excludes.clone();
        all.extend(self.excludes.iter().filter(|new| !self.snapshot.excludes.contains(new)).cloned());
        all
    }

    fn run(mut self: Box<Self>, sink: &mut dyn Sink) -> std::result::Result<Verdict, SourceError> {
        loop {
            match self.items.blocking_recv() {
                Some(Item::Entry(again)) => self.give(*again, sink)?,
                Some(Item::End) => break,
                Some(Item::Failed(error)) => return Err(unreadable(Some(error))),
                Some(Item::Bytes(_) | Item::EndOfBytes) | None => return Err(unreadable(None)),
            }
        }
        if let Some(seal) = self.snapshot.seal.take() {
            sink.seal(seal);
        }
        Ok(self.snapshot.verdict.clone())
    }
}

impl SnapshotSource {
    fn give(&mut self, again: Again, sink: &mut dyn Sink) -> std::result::Result<(), SourceError> {
        let Again { entry, is_as_before, wanted } = again;
        let mut announced = entry.metadata.clone();
        if !is_as_before {
            // No file was ever changed then: the sink takes it for another one than its parent's.
            announced.changed.seconds = i64::MIN;
        }
        let want = sink.begin(&entry.path, &announced)?;
        if let Some(wanted) = wanted {
            // The task waits for the answer as long as it lives; if it does not, the next item tells.
            let _ = wanted.send(want == Want::Bytes);
            if want == Want::Bytes {
                self.bytes(sink)?;
            }
        }
        let mut metadata = entry.metadata;
        if want == Want::Nothing && matches!(metadata.kind, FileKind::File | FileKind::Stream) {
            (metadata.xattrs, metadata.flags, metadata.extents) = (Vec::new(), 0, None);
        }
        sink.end(metadata, entry.warnings)?;
        Ok(())
    }

    fn bytes(&mut self, sink: &mut dyn Sink) -> std::result::Result<(), SourceError> {
        loop {
            match self.items.blocking_recv() {
                Some(Item::Bytes(bytes)) => crate::source::give(&bytes, sink)?,
                Some(Item::EndOfBytes) => return Ok(()),
                Some(Item::Failed(error)) => return Err(unreadable(Some(error))),
                Some(Item::Entry(_) | Item::End) | None => return Err(unreadable(None)),
            }
        }
    }
}

fn unreadable(error: Option<Error>) -> SourceError {
    let cause = error.map(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>);
    SourceError::Failed { message: "cannot read the snapshot to its end".to_owned(), cause }
}

impl Drop for SnapshotSource {
    fn drop(&mut self) {
        self.task.abort();
    }
}
