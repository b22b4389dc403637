//! Whether an entry of a snapshot can still be restored, and what of a whole snapshot cannot.

use super::look::Look;
use crate::catalog::ChunkWalk;
use crate::catalog::Gap;
use crate::catalog::Survey;
use crate::catalog::Surveyor;
use crate::catalog::Walk;
use crate::entry::ChunkRef;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Warning;
use crate::format::page::PageRef;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::job::Control;
use crate::repository::Repository;
use crate::view::RepositoryView;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Entries named for a snapshot; more are only counted.
const NAMED: usize = 1000;

/// Tells what can still be read.
pub(in crate::repository) struct Judge {
    look: Look,
    view: RepositoryView,
    read_data: bool,
    /// Pages below which nothing is missing.
    whole: HashSet<ChunkId>,
    /// Chunks that could not be read when they were.
    unreadable: Mutex<HashSet<ChunkId>>,
}

/// What of a snapshot can and cannot be restored.
#[derive(Default)]
pub(super) struct Judgement {
    /// Entries that can.
    pub(super) kept: u64,
    /// Entries that cannot.
    pub(super) lost: u64,
    /// The first of them, or the gaps that they stand in, and why.
    pub(super) named: Vec<Warning>,
    /// How many there are to name.
    pub(super) to_name: u64,
    /// Nothing of it can be read, for this reason.
    pub(super) hopeless: Option<String>,
}

/// Chunks and pages of a snapshot that cannot be read.
pub(super) struct Missing {
    pub(super) ids: Arc<HashSet<ChunkId>>,
    /// Pages are among them: what they name is not known.
    pub(super) pages: bool,
}

impl Judge {
    /// Judges by what is there now. With `read_data` every chunk is read; without, only those that no usable pack
    /// should have.
    pub(in crate::repository) async fn new(repository: &Repository, read_data: bool) -> Result<Self> {
        let look = Look::take(repository.store()).await?;
        let view = RepositoryView::of(&look.live);
        Ok(Self { look, view, read_data, whole: HashSet::new(), unreadable: Mutex::default() })
    }

    /// Judges by what is there now; what was whole is.
    pub(super) async fn renew(&mut self, repository: &Repository) -> Result<()> {
        let whole = std::mem::take(&mut self.whole);
        *self = Self { whole, ..Self::new(repository, self.read_data).await? };
        Ok(())
    }

    /// What seems lost may be named by an index object that this program does not understand, or holds no key for: then
    /// nothing can be concluded.
    pub(super) fn check_all_understood(&self) -> Result<()> {
        match self.look.damaged.iter().find(|(_, error)| error.kind() == Kind::Unsupported) {
            Some((_, error)) => {
                Err(Error::new(Kind::Unsupported, "cannot tell what is lost").because(error.in_one_line()))
            }
            None => Ok(()),
        }
    }

    pub(in crate::repository) fn view(&self) -> &RepositoryView {
        &self.view
    }

    pub(super) fn look(&self) -> &Look {
        &self.look
    }

    /// Why the content of an entry cannot be restored; `None` when it can.
    pub(in crate::repository) async fn loss(&self, entry: &Entry) -> Result<Option<String>> {
        let mut walk = ChunkWalk::new(Arc::clone(self.view.pages()), &entry.content);
        loop {
            match walk.next().await {
                Ok(None) => return Ok(None),
                Ok(Some(placed)) => match self.chunk_loss(&placed.chunk, self.read_data).await? {
                    None => {}
                    loss => return Ok(loss),
                },
                Err(error) if error.is_local() => return Ok(Some(error.in_one_line())),
                Err(error) => return Err(error),
            }
        }
    }

    async fn chunk_loss(&self, chunk: &ChunkRef, read: bool) -> Result<Option<String>> {
        if !read && self.look.has(chunk)? {
            return Ok(None);
        }
        let loss = self.read(chunk).await?;
        if loss.is_some() {
            self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).insert(chunk.id);
        }
        Ok(loss)
    }

    async fn read(&self, chunk: &ChunkRef) -> Result<Option<String>> {
        match self.view.chunks().chunk(&chunk.id).await {
            Ok(bytes) if u64::try_from(bytes.len()).is_ok_and(|length| length == u64::from(chunk.length)) => Ok(None),
            Ok(_) => Ok(Some(format!("chunk {} is of another length", chunk.id))),
            Err(error) if error.is_local() => Ok(Some(error.in_one_line())),
            Err(error) => Err(error),
        }
    }

    /// Goes through a whole snapshot.
    pub(super) async fn judge(&self, control: &Control, snapshot: &Snapshot) -> Result<Judgement> {
        let mut found = Judgement::default();
        let mut walk = Walk::new(Arc::clone(self.view.pages()), snapshot.root);
        loop {
            control.check()?;
            match walk.next_page().await {
                Ok(None) => return Ok(found),
                Ok(Some(entries)) => {
                    for entry in entries {
                        match self.loss(&entry).await? {
                            None => found.kept += 1,
                            Some(why) => found.note(1, Some(entry.path), why),
                        }
                    }
                }
                Err(error) => match walk.pass_gap() {
                    Some(gap) => found.note(gap.entries, None, told(&gap, &error)),
                    None if error.is_local() => {
                        found.hopeless = Some(error.in_one_line());
                        return Ok(found);
                    }
                    None => return Err(error),
                },
            }
        }
    }

    /// The first thing that keeps a snapshot from being read to its end; `None` when nothing is known to.
    pub(in crate::repository) async fn obstacle(
        &self,
        control: &Control,
        snapshot: &Snapshot,
    ) -> Result<Option<String>> {
        let Judgement { named, hopeless, .. } = self.judge(control, snapshot).await?;
        let first = named.into_iter().next().map(|Warning { path, message, .. }| match path {
            Some(path) => format!("{path}: {message}"),
            None => message,
        });
        Ok(hopeless.or(first))
    }

    /// Whether `other` can be read to its end and has exactly the entries of `snapshot` that can be restored, no matter
    /// what of `snapshot` could be when `other` was made.
    pub(super) async fn has_what_is_left(
        &self,
        control: &Control,
        snapshot: &Snapshot,
        other: &Snapshot,
    ) -> Result<bool> {
        if self.obstacle(control, other).await?.is_some() {
            return Ok(false);
        }
        let mut walk = Walk::new(Arc::clone(self.view.pages()), snapshot.root);
        let mut there = Walk::new(Arc::clone(self.view.pages()), other.root);
        let mut ready = VecDeque::new();
        loop {
            control.check()?;
            let entries = match walk.next_page().await {
                Ok(Some(entries)) => entries,
                Ok(None) => return Ok(ready.is_empty() && there.next_page().await?.is_none()),
                Err(_) if walk.pass_gap().is_some() => continue,
                Err(error) if error.is_local() => return Ok(false),
                Err(error) => return Err(error),
            };
            for entry in entries {
                if ready.is_empty() {
                    ready.extend(there.next_page().await?.unwrap_or_default());
                }
                let is_there = ready.front().is_some_and(|held| is_same(held, &entry));
                if is_there {
                    ready.pop_front();
                } else if self.loss(&entry).await?.is_none() {
                    return Ok(false);
                }
            }
        }
    }

    /// The same as [`Self::missing`], and what shows only when it is read, if the data is to be read.
    pub(super) async fn lost(&mut self, control: &Control, snapshot: &Snapshot) -> Result<HashSet<ChunkId>> {
        let mut lost = HashSet::clone(&self.missing(snapshot).await?.ids);
        if self.read_data {
            self.judge(control, snapshot).await?;
            lost.extend(self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).drain());
        }
        Ok(lost)
    }

    /// The chunks and pages of a snapshot that cannot be read. Pages that whole snapshots have are not gone through again.
    pub(super) async fn missing(&mut self, snapshot: &Snapshot) -> Result<Missing> {
        let mut survey = Survey::resume(Arc::clone(self.view.pages()), std::mem::take(&mut self.whole));
        let (doubtful, visited, missing) = (Vec::new(), Vec::new(), HashSet::new());
        let mut finder = Finder { look: &self.look, doubtful, visited, missing, pages: false, failed: None };
        survey.visit(snapshot.root, &mut finder).await;
        let Finder { doubtful, visited, mut missing, pages, failed, .. } = finder;
        if let Some(error) = failed {
            return Err(error);
        }
        for chunk in doubtful {
            if !missing.contains(&chunk.id) && self.chunk_loss(&chunk, true).await?.is_some() {
                missing.insert(chunk.id);
            }
        }
        if !missing.is_empty() {
            survey.forget(&visited);
        }
        self.whole = survey.into_seen();
        Ok(Missing { ids: Arc::new(missing), pages })
    }
}

fn is_same(one: &Entry, other: &Entry) -> bool {
    (&one.path, &one.metadata, &one.content) == (&other.path, &other.metadata, &other.content)
}

/// What to say of a gap.
pub(in crate::repository) fn told(gap: &Gap, error: &Error) -> String {
    format!("{gap} cannot be read: {}", error.in_one_line())
}

impl Judgement {
    fn note(&mut self, entries: u64, path: Option<EntryPath>, message: String) {
        self.lost += entries;
        self.to_name += 1;
        if self.named.len() < NAMED {
            self.named.push(Warning { path, message, partial: true });
        }
    }
}

struct Finder<'a> {
    look: &'a Look,
    /// In no usable pack: to be read.
    doubtful: Vec<ChunkRef>,
    /// Pages that no whole snapshot has.
    visited: Vec<ChunkId>,
    missing: HashSet<ChunkId>,
    /// Pages are among them.
    pages: bool,
    failed: Option<Error>,
}

impl Surveyor for Finder<'_> {
    fn chunk(&mut self, chunk: &ChunkRef) {
        match self.look.has(chunk) {
            Ok(true) => {}
            Ok(false) => self.doubtful.push(*chunk),
            Err(error) => _ = self.failed.get_or_insert(error),
        }
    }

    fn page(&mut self, page: &PageRef) {
        self.visited.push(page.id);
    }

    fn unreadable(&mut self, page: &PageRef, _: Option<Gap>, error: Error) {
        if error.is_local() {
            self.missing.insert(page.id);
            self.pages = true;
        } else {
            self.failed.get_or_insert(error);
        }
    }
}
