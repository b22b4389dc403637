//! A snapshot as a source: its entries and their bytes once more, for another repository or a changed record.

use super::excluded::Excluded;
use super::repair::Judge;
use super::repair::told;
use crate::catalog::ChunkWalk;
use crate::catalog::Walk;
use crate::entry::ChunkProfile;
use crate::entry::Content;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::page::PageRef;
use crate::format::snapshot::Snapshot;
use crate::index::chunks::ChunkReader;
use crate::source::EntryStart;
use crate::source::Sink;
use crate::source::Source;
use crate::source::SourceError;
use crate::source::Want;
use crate::verdict::Verdict;
use crate::view::RepositoryView;
use bytes::Bytes;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Entries and chunks between the reading task and the source thread.
const ITEMS_AHEAD: usize = 8;
/// Lost entries that the verdict names: a record holds no more.
const LEFT_OUT_NAMED: usize = 2000;

/// Gives a snapshot's entries as the source gave them that it was made from.
///
/// The parent of the new snapshot must hold exactly what `earlier` holds: an entry that is the same in both is then
/// taken over without reading it. Every other file is announced as changed, so that it is compared by its bytes and
/// never by times and sizes that may be the same by accident.
///
/// With a judge, what cannot be restored is left out and named in the verdict; without, it is a failure.
pub(super) struct SnapshotSource {
    snapshot: Snapshot,
    /// Patterns that were in force, for the record.
    excludes: Vec<String>,
    origin: Origin,
    items: mpsc::Receiver<Item>,
    /// What reads: from the beginning, but for a source that may not be needed.
    task: Option<JoinHandle<()>>,
    left_out: Vec<String>,
}

/// Where a snapshot is read, and what its entries are compared with.
#[derive(Clone)]
struct Origin {
    view: RepositoryView,
    /// The root of the earlier snapshot; `None`: every entry is as before.
    before: Option<Option<PageRef>>,
    judge: Option<Arc<Judge>>,
    excluded: Option<Arc<Excluded>>,
}

/// What the task gives the thread.
enum Item {
    /// The next entry; whoever has content waits to be told whether it is wanted.
    Entry(Box<Again>),
    /// The next bytes of the entry that was wanted.
    Bytes(Bytes),
    /// There are no more of them.
    EndOfBytes,
    /// The rest of them cannot be read, for this reason.
    Broken(String),
    /// An entry, or a part of the catalog, cannot be restored, for this reason.
    Lost(Option<EntryPath>, String),
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
    /// `None`: every entry is as before.
    before: Option<Before>,
    judge: Option<Arc<Judge>>,
    excluded: Option<Arc<Excluded>>,
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
    /// Starts reading, without what is excluded.
    pub(super) fn start(
        view: &RepositoryView,
        snapshot: &Snapshot,
        earlier: Option<&Snapshot>,
        excluded: Option<Arc<Excluded>>,
    ) -> Self {
        let before = Some(earlier.and_then(|earlier| earlier.root));
        Self::reading(snapshot, Origin { view: view.clone(), before, judge: None, excluded })
    }

    /// The same without what cannot be restored. The parent must be this snapshot, or have the same files.
    pub(super) fn judged(snapshot: &Snapshot, judge: Arc<Judge>) -> Self {
        let view = judge.view().clone();
        Self::reading(snapshot, Origin { view, before: None, judge: Some(judge), excluded: None })
    }

    /// Reads ahead of its run.
    fn reading(snapshot: &Snapshot, origin: Origin) -> Self {
        let mut this = Self::new(snapshot, origin);
        this.start_reading();
        this
    }

    fn new(snapshot: &Snapshot, origin: Origin) -> Self {
        let (_, items) = mpsc::channel(1);
        let excluded = origin.excluded.as_ref();
        let excludes = excluded.map_or_else(|| snapshot.excludes.clone(), |excluded| excluded.recorded(snapshot));
        Self { snapshot: snapshot.clone(), excludes, origin, items, task: None, left_out: Vec::new() }
    }

    fn start_reading(&mut self) {
        let Origin { view, before, judge, excluded } = &self.origin;
        let pages = Arc::clone(view.pages());
        let (sender, items) = mpsc::channel(ITEMS_AHEAD);
        let before = before.map(|root| Before { walk: Walk::new(Arc::clone(&pages), root), ready: VecDeque::new() });
        let reader = Reader {
            walk: Walk::new(Arc::clone(&pages), self.snapshot.root),
            before,
            judge: judge.clone(),
            excluded: excluded.clone(),
            chunks: view.chunks().clone(),
            pages,
            items: sender,
        };
        self.items = items;
        self.task = Some(tokio::spawn(reader.run()));
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
        while let Some(page) = self.next_page().await? {
            for entry in page {
                if self.excluded.as_ref().is_some_and(|excluded| excluded.why(&entry).is_some()) {
                    continue;
                }
                if let Some(judge) = &self.judge
                    && let Some(why) = judge.loss(&entry).await?
                {
                    if self.items.send(Item::Lost(Some(entry.path), why)).await.is_err() {
                        return Ok(());
                    }
                    continue;
                }
                let is_as_before = match &mut self.before {
                    Some(before) => before.has(&entry).await?,
                    None => true,
                };
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

    /// The next entries; where a page cannot be read and somebody judges, those behind it.
    async fn next_page(&mut self) -> Result<Option<Vec<Entry>>> {
        loop {
            match self.walk.next_page().await {
                Err(error) if self.judge.is_some() => {
                    let Some(gap) = self.walk.pass_gap() else { return Err(error) };
                    let _ = self.items.send(Item::Lost(None, told(&gap, &error))).await;
                }
                other => return other,
            }
        }
    }

    async fn bytes(&self, content: &Content) -> Result<()> {
        let last = match self.send_bytes(content).await {
            Ok(()) => Item::EndOfBytes,
            Err(error) if self.judge.is_some() && error.is_local() => Item::Broken(error.in_one_line()),
            Err(error) => return Err(error),
        };
        let _ = self.items.send(last).await;
        Ok(())
    }

    /// Ends early, and well, when nobody listens any more.
    async fn send_bytes(&self, content: &Content) -> Result<()> {
        let mut walk = ChunkWalk::new(Arc::clone(&self.pages), content);
        while let Some(placed) = walk.next().await? {
            let bytes = self.chunks.chunk(&placed.chunk.id).await?;
            if self.items.send(Item::Bytes(bytes)).await.is_err() {
                break;
            }
        }
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
        self.excludes.clone()
    }

    fn again(&self) -> Option<Box<dyn Source>> {
        Some(Box::new(Self::new(&self.snapshot, self.origin.clone())))
    }

    fn run(mut self: Box<Self>, sink: &mut dyn Sink) -> std::result::Result<Verdict, SourceError> {
        if self.task.is_none() {
            self.start_reading();
        }
        loop {
            match self.items.blocking_recv() {
                Some(Item::Entry(again)) => self.give(*again, sink)?,
                Some(Item::End) => break,
                Some(Item::Lost(path, why)) => self.leave_out(path.as_ref(), why, sink),
                Some(Item::Failed(error)) => return Err(failed(Some(error))),
                Some(Item::Bytes(_) | Item::EndOfBytes | Item::Broken(_)) | None => return Err(failed(None)),
            }
        }
        if let Some(statement) = self.snapshot.statement.take() {
            sink.statement(statement);
        }
        Ok(match (self.snapshot.verdict.clone(), std::mem::take(&mut self.left_out)) {
            (verdict, left_out) if left_out.is_empty() => verdict,
            (Verdict::Whole, left_out) => Verdict::Partial(left_out),
            // What is new comes first: reasons may be cut at their end.
            (Verdict::Partial(earlier), left_out) => Verdict::Partial([left_out, earlier].concat()),
        })
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
        let mut start = EntryStart::new(&entry.path, &announced).chunking(ChunkProfile::of(entry.chunking));
        start.change_token = entry.change_token.as_deref();
        let want = sink.begin(start)?;
        if let Some(wanted) = wanted {
            // The task waits for the answer as long as it lives; if it does not, the next item tells.
            let _ = wanted.send(want == Want::Bytes);
            if want == Want::Bytes
                && let Some(why) = self.bytes(sink)?
            {
                sink.retract()?;
                self.leave_out(Some(&entry.path), why, sink);
                return Ok(());
            }
        }
        let mut metadata = entry.metadata;
        if want == Want::Nothing && matches!(metadata.kind, FileKind::File | FileKind::Stream) {
            (metadata.xattrs, metadata.flags, metadata.extents) = (Vec::new(), 0, None);
        }
        sink.end(metadata, entry.warnings)?;
        Ok(())
    }

    /// Gives the bytes of the entry begun last; why not, when they cannot be read to their end.
    fn bytes(&mut self, sink: &mut dyn Sink) -> std::result::Result<Option<String>, SourceError> {
        loop {
            match self.items.blocking_recv() {
                Some(Item::Bytes(bytes)) => crate::source::give(&bytes, sink)?,
                Some(Item::EndOfBytes) => return Ok(None),
                Some(Item::Broken(why)) => return Ok(Some(why)),
                Some(Item::Failed(error)) => return Err(failed(Some(error))),
                Some(Item::Entry(_) | Item::Lost(..) | Item::End) | None => return Err(failed(None)),
            }
        }
    }

    fn leave_out(&mut self, path: Option<&EntryPath>, why: String, sink: &mut dyn Sink) {
        if self.left_out.len() < LEFT_OUT_NAMED {
            let reason = path.map_or_else(|| why.clone(), |path| format!("{path}: {why}"));
            self.left_out.push(format!("left out by a repair: {reason}"));
        }
        sink.warn(path, why, true);
    }
}

fn failed(error: Option<Error>) -> SourceError {
    let cause = error.map(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>);
    SourceError::Failed { message: "cannot read the snapshot to its end".to_owned(), cause }
}

/// Why the snapshot that was given once more cannot be read, when that is why a backup failed and others may be sound.
pub(super) fn unreadable(error: &Error) -> Option<&Error> {
    let mut cause = (error.kind() == Kind::SourceFailed).then(|| std::error::Error::source(error)).flatten();
    while let Some(why) = cause {
        match why.downcast_ref::<Error>() {
            Some(why) if why.is_local() => return Some(why),
            _ => cause = why.source(),
        }
    }
    None
}

impl Drop for SnapshotSource {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
