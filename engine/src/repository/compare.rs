//! Comparing a snapshot with the files of this machine. Nothing is written anywhere.

use super::Repository;
use crate::catalog::ChunkWalk;
use crate::catalog::Gap;
use crate::catalog::PageSource;
use crate::catalog::Walk;
use crate::entry::ChunkRef;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::store::Store;
use crate::view::RepositoryView;
use content::Reading;
use disk::Disk;
use disk::Opened;
use std::collections::VecDeque;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

mod content;
mod disk;
#[cfg(test)]
mod tests;
mod tops;

/// Chunks compared between two waits.
const CHUNKS_AT_ONCE: usize = 32;

/// What to compare a snapshot with, and how thoroughly.
#[derive(Clone, Debug, Default)]
pub struct CompareOptions {
    /// The folder that stands for the snapshot's top, or for `path` itself. `None`: where it was when it was backed
    /// up; `Invalid` if that cannot be told.
    pub root: Option<PathBuf>,
    /// Only this entry and what is below it.
    pub path: Option<EntryPath>,
    /// Read the files and compare their bytes as well.
    pub read_content: bool,
}

/// One difference between a snapshot and the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskDifference {
    /// Where, as the snapshot calls it.
    pub path: EntryPath,
    /// What it is in the snapshot, or on the disk when only that has it (a link's target is then left empty).
    pub kind: FileKind,
    /// What.
    pub change: DiskChange,
}

/// How the disk differs from the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskChange {
    /// The disk does not have it.
    Missing,
    /// Only the disk has it, in a folder that was backed up as a whole; what is below it is not listed. What was left
    /// out by a pattern looks the same as what is new.
    Extra,
    /// Both have it, and these differ: `type`, `size`, `mode`, `owner`, `modified`, `target`, `xattrs`, `content`.
    Changed {
        /// Their names, in this order.
        fields: Vec<&'static str>,
    },
    /// It could not be compared.
    Unreadable {
        /// Why, one line.
        why: String,
    },
}

/// What differs between a snapshot and the disk, in path order.
pub struct DiskDifferences {
    root: PathBuf,
    store: Arc<Store>,
    pages: Arc<dyn PageSource>,
    walk: Walk,
    /// `None` only while it works elsewhere, or was lost there.
    disk: Option<Disk>,
    entries: VecDeque<Entry>,
    ready: VecDeque<DiskDifference>,
    ended: bool,
}

impl Repository {
    /// Compares a snapshot with files of this machine. No link is followed below the root. `NotFound` when there is no
    /// such folder, or nothing at `path` in the snapshot.
    pub async fn compare(&self, snapshot: &Snapshot, options: CompareOptions) -> Result<DiskDifferences> {
        let CompareOptions { root, path, read_content } = options;
        let view = RepositoryView::once(&self.index().await?).snapshot(snapshot);
        let pages = Arc::clone(view.all().pages());
        let tops = tops::find(&pages, snapshot).await?;
        let root = root.or_else(|| tops.root(path.as_ref())).ok_or_else(|| {
            Error::new(Kind::Invalid, format!("cannot tell where on the disk snapshot {} was", snapshot.id)).because(
                "it holds a stream, or paths that were relative to different folders, or their entries cannot be read",
            )
        })?;
        if let Some(path) = &path {
            match view.entry(path).await {
                Ok(Some(_)) => {}
                Ok(None) => return Err(Error::new(Kind::NotFound, format!("snapshot {} has no {path}", snapshot.id))),
                // What is below it may be readable; the walk comes across the same damage and tells.
                Err(error) if error.is_local() => {}
                Err(error) => return Err(error),
            }
        }
        let walk = view.pages_from(path.as_ref());
        let at = root.clone();
        let disk = blocking(move || Disk::open(at, path, tops, read_content)).await??;
        Ok(DiskDifferences {
            root,
            store: Arc::clone(self.store()),
            pages,
            walk,
            disk: Some(disk),
            entries: VecDeque::new(),
            ready: VecDeque::new(),
            ended: false,
        })
    }
}

impl DiskDifferences {
    /// The folder that is compared with.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The next difference; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<DiskDifference>> {
        loop {
            if let Some(difference) = self.ready.pop_front() {
                return Ok(Some(difference));
            }
            if self.entries.is_empty() && !self.ended {
                match self.walk.next_page().await? {
                    Some(entries) => self.entries.extend(entries),
                    None => self.ended = true,
                }
            }
            if self.entries.is_empty() && self.disk.as_ref().is_none_or(Disk::is_closed) {
                return Ok(None);
            }
            self.advance().await?;
        }
    }

    /// Goes on behind what the last call could not read, as [`crate::Entries::pass_gap`] does; what the disk has there
    /// is not told as extra.
    pub async fn pass_gap(&mut self) -> Result<Option<Gap>> {
        let Some(gap) = self.walk.pass_gap() else { return Ok(None) };
        let mut disk = self.disk.take().ok_or_else(lost)?;
        let (disk, gap) = blocking(move || {
            disk.pass(&gap);
            (disk, gap)
        })
        .await?;
        self.disk = Some(disk);
        Ok(Some(gap))
    }

    /// Compares entries up to the first whose bytes are to be read, and that one's bytes.
    async fn advance(&mut self) -> Result<()> {
        let mut disk = self.disk.take().ok_or_else(lost)?;
        let mut entries = std::mem::take(&mut self.entries);
        let ended = self.ended;
        let (disk, entries, found, opened) = blocking(move || {
            let mut found = VecDeque::new();
            let opened = disk.compare(&mut entries, &mut found);
            if opened.is_none() && ended {
                disk.close(&mut found);
            }
            (disk, entries, found, opened)
        })
        .await?;
        self.disk = Some(disk);
        self.entries = entries;
        self.ready.extend(found);
        if let Some(opened) = opened {
            let difference = self.read(opened).await?;
            self.ready.extend(difference);
        }
        Ok(())
    }

    /// Compares bytes; `None` when neither they nor anything else differs.
    async fn read(&self, opened: Opened) -> Result<Option<DiskDifference>> {
        let Opened { entry, file, mut fields } = opened;
        let mut walk = ChunkWalk::new(Arc::clone(&self.pages), &entry.content);
        let mut reading = Reading::new(file, &entry.metadata);
        let mut ended = false;
        let outcome = loop {
            let mut chunks: Vec<ChunkRef> = Vec::with_capacity(CHUNKS_AT_ONCE);
            while !ended && chunks.len() < CHUNKS_AT_ONCE {
                match walk.next().await {
                    Ok(Some(placed)) => chunks.push(placed.chunk),
                    Ok(None) => ended = true,
                    Err(error) if error.is_local() => {
                        let why = format!("the list of its chunks cannot be read: {}", error.in_one_line());
                        let change = DiskChange::Unreadable { why };
                        return Ok(Some(DiskDifference { path: entry.path, kind: entry.metadata.kind, change }));
                    }
                    Err(error) => return Err(error),
                }
            }
            let store = Arc::clone(&self.store);
            let same;
            (reading, same) = blocking(move || {
                let same = reading.chunks(&store, &chunks);
                let same = if ended { same.and_then(|same| Ok(same && reading.rest()?)) } else { same };
                (reading, same)
            })
            .await?;
            match same {
                Ok(true) if !ended => {}
                other => break other,
            }
        };
        let change = match outcome {
            Ok(true) if fields.is_empty() => return Ok(None),
            Ok(true) => DiskChange::Changed { fields },
            Ok(false) => {
                fields.push("content");
                DiskChange::Changed { fields }
            }
            Err(why) => DiskChange::Unreadable { why: format!("it cannot be read: {why}") },
        };
        Ok(Some(DiskDifference { path: entry.path, kind: entry.metadata.kind, change }))
    }
}

fn lost() -> Error {
    Error::new(Kind::Bug, "compare with the disk after an earlier failure")
}

/// Runs work that waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|cause| Error::new(Kind::Bug, "a thread of the comparison ended early").because(cause.to_string()))
}
