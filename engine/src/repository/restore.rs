//! Restoring: what to ask, and the store as the restore room sees it.

use super::Repository;
use super::sources::Sources;
use crate::catalog::ChunkWalk;
use crate::catalog::PageSource;
use crate::catalog::Walk;
use crate::class::Class;
use crate::entry::ChunkRef;
use crate::entry::Content;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Event;
use crate::event::Warning;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::index::live::LiveIndex;
use crate::job::Control;
use crate::job::Job;
use crate::limits::RESTORE_THREADS_MAX;
use crate::restore;
use crate::restore::ChunkList;
use crate::restore::ChunkLists;
use crate::restore::EntryPage;
use crate::restore::EntryStream;
use crate::restore::Later;
use crate::restore::Located;
use crate::restore::Overwrite;
use crate::restore::OwnerMap;
use crate::restore::RestoreOptions;
use crate::restore::RestoreReport;
use crate::restore::SegmentDecode;
use crate::restore::SegmentStore;
use crate::store::SegmentReader;
use crate::verdict::Verdict;
use crate::view::RepositoryView;
use bytes::Bytes;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// A restore about to start.
#[must_use = "nothing happens before `start`"]
pub struct RestoreBuilder {
    repository: Repository,
    snapshot: Snapshot,
    options: RestoreOptions,
}

impl Repository {
    /// Prepares to restore `snapshot` into the folder `target`, which is created when it does not exist.
    pub fn restore(&self, snapshot: &Snapshot, target: impl Into<PathBuf>) -> RestoreBuilder {
        let options = RestoreOptions { target: target.into(), ..RestoreOptions::default() };
        RestoreBuilder { repository: self.clone(), snapshot: snapshot.clone(), options }
    }
}

impl RestoreBuilder {
    /// Only what is below this entry; its own path is left out, so that its content lands in the target.
    pub fn path(mut self, path: EntryPath) -> Self {
        self.options.path = Some(path);
        self
    }

    /// Only entries that fit one of these patterns; [`RestoreReport::entries_selected`] tells whether any did.
    pub fn include(mut self, patterns: Vec<OsString>) -> Self {
        self.options.include = patterns;
        self
    }

    /// The same in upper or lower case.
    pub fn include_any_case(mut self, patterns: Vec<OsString>) -> Self {
        self.options.include_any_case = patterns;
        self
    }

    /// Not the entries that fit one of these patterns.
    pub fn exclude(mut self, patterns: Vec<OsString>) -> Self {
        self.options.exclude = patterns;
        self
    }

    /// The same in upper or lower case.
    pub fn exclude_any_case(mut self, patterns: Vec<OsString>) -> Self {
        self.options.exclude_any_case = patterns;
        self
    }

    /// What to do with files that are there already.
    pub fn overwrite(mut self, overwrite: Overwrite) -> Self {
        self.options.overwrite = overwrite;
        self
    }

    /// Removes what the snapshot does not have, in the directories that were backed up: not in those that only lead to
    /// one, and nothing where part of the snapshot cannot be read.
    pub fn delete(mut self, delete: bool) -> Self {
        self.options.delete = delete;
        self
    }

    /// Files and folders that are left alone wherever they lie below the target, whatever the snapshot has there: keys,
    /// caches. The repository itself is always left alone.
    pub fn spare(mut self, paths: Vec<PathBuf>) -> Self {
        self.options.spare = paths;
        self
    }

    /// Reads every file back and compares.
    pub fn verify(mut self, verify: bool) -> Self {
        self.options.verify = verify;
        self
    }

    /// Only reports.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.options.dry_run = dry_run;
        self
    }

    /// Turns stretches of zeros into holes.
    pub fn sparse(mut self, sparse: bool) -> Self {
        self.options.sparse = sparse;
        self
    }

    /// Who owns what is restored.
    pub fn owner(mut self, owner: OwnerMap) -> Self {
        self.options.owner = owner;
        self
    }

    /// Worker threads: at least one, and no more than the memory budget allows (eight).
    pub fn threads(mut self, threads: usize) -> Self {
        self.options.threads = threads;
        self
    }

    /// Starts the job. Stopped midway it leaves whole files and, beside them, nothing that looks like one; but files from
    /// 64 MiB on that are there already are changed in place, and marked until they are whole again.
    pub fn start(mut self) -> Job<RestoreReport> {
        Job::start(|control| {
            self.repository.heed(&control);
            self.run(control)
        })
    }

    async fn run(self, control: Control) -> Result<RestoreReport> {
        let Self { repository, snapshot, mut options } = self;
        if options.delete && snapshot.verdict != Verdict::Whole {
            return Err(Error::new(
                Kind::Invalid,
                format!("refusing to delete anything after snapshot {}", snapshot.id),
            )
            .because("it is partial: what it lacks may be what could not be read"));
        }
        options.repository = repository.store().backend().properties().folder;
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let wanted = if options.threads == 0 { cores } else { options.threads };
        options.threads = wanted.clamp(1, RESTORE_THREADS_MAX);
        let view = RepositoryView::once(&repository.index().await?).snapshot(&snapshot);
        let pages = Arc::clone(view.all().pages());
        if let Some(path) = &options.path {
            match view.entry(path).await {
                Ok(Some(entry)) => options.is_folder = entry.metadata.kind == FileKind::Directory,
                Ok(None) => {
                    return Err(Error::new(Kind::NotFound, format!("there is no {path} in snapshot {}", snapshot.id)));
                }
                // What is below it may be readable; the walk comes across the same damage and tells.
                Err(error) if error.is_local() => {}
                Err(error) => return Err(error),
            }
        }
        control.counters().bytes_total.store(snapshot.counts.bytes, std::sync::atomic::Ordering::Relaxed);
        control.counters().entries_total.store(snapshot.counts.entries, std::sync::atomic::Ordering::Relaxed);
        let walk = || view.pages_from(options.path.as_ref());
        let refused = if options.delete { whole(walk()).await? } else { None };
        let walk = walk();
        options.delete &= refused.is_none();
        options.listed = match Sources::listed(&pages, &snapshot).await {
            Ok(listed) => listed,
            // The walk comes across the same damage and tells.
            Err(error) if error.is_local() && !options.delete => None,
            Err(error) => return Err(error),
        };
        let segments = Segments(Arc::clone(view.all().index()));
        let job =
            restore::run(control.clone(), Box::new(Stream(walk)), Arc::new(Lists(pages)), Arc::new(segments), options);
        let mut report = job.await?;
        if let Some(warning) = refused {
            control.tell(Event::Warning(warning.clone()));
            report.failures.insert(0, warning);
            report.failures_total += 1;
        }
        Ok(report)
    }
}

/// Walks once before anything is deleted; why nothing may be, when a part of the snapshot is unknown.
async fn whole(mut walk: Walk) -> Result<Option<Warning>> {
    loop {
        match walk.next_page().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            Err(error) if error.is_local() => {
                let message = "nothing was deleted: parts of the snapshot cannot be read".to_owned();
                return Ok(Some(Warning { path: None, message, partial: false }));
            }
            Err(error) => return Err(error),
        }
    }
}

struct Stream(Walk);

impl EntryStream for Stream {
    fn next_page(&mut self) -> Later<'_, Option<EntryPage>> {
        Box::pin(async {
            match self.0.next_page().await {
                Ok(entries) => Ok(entries.map(EntryPage::Entries)),
                Err(error) => self.0.pass_gap().map(|gap| Some(EntryPage::Lost(gap, error.in_one_line()))).ok_or(error),
            }
        })
    }
}

struct Lists(Arc<dyn PageSource>);

impl ChunkLists for Lists {
    fn list(&self, content: &Content) -> Box<dyn ChunkList> {
        Box::new(List(ChunkWalk::new(Arc::clone(&self.0), content)))
    }
}

struct List(ChunkWalk);

/// Chunks given at once.
const LIST_CHUNKS: usize = 1024;

impl ChunkList for List {
    fn next_page(&mut self) -> Later<'_, Option<Vec<ChunkRef>>> {
        Box::pin(async move {
            let mut chunks = Vec::new();
            while chunks.len() < LIST_CHUNKS {
                match self.0.next().await? {
                    Some(placed) => chunks.push(placed.chunk),
                    None => break,
                }
            }
            Ok(Some(chunks).filter(|chunks| !chunks.is_empty()))
        })
    }
}

/// The data segments of the repository.
struct Segments(Arc<LiveIndex>);

impl SegmentStore for Segments {
    fn locate(&self, id: &ChunkId, copy: usize) -> Result<Option<Located>> {
        let Some(place) = self.0.copy(id, copy)? else { return Ok(None) };
        // What the index says nothing right of is none of the copies.
        let segment = match self.0.segment(place.pack, place.segment) {
            Err(error) if error.is_local() => return Ok(None),
            found => found?,
        };
        Ok(Some(Located {
            pack: place.pack,
            segment: place.segment,
            offset: place.offset,
            length: place.length,
            stored_offset: u64::from(segment.offset()),
            stored_length: segment.stored_length(),
        }))
    }

    fn fetch<'a>(&'a self, number: u32, offset: u64, length: u64) -> Later<'a, Bytes> {
        Box::pin(async move {
            // From here on the store has the keys at hand for whoever opens what is fetched.
            for id in &self.0.pack(number)?.data_keys {
                self.0.data_key(number, id).await?;
            }
            self.0.fetch(number, offset, length).await
        })
    }

    fn decoder(&self) -> Box<dyn SegmentDecode> {
        Box::new(Decoder { reader: SegmentReader::new(self.0.store()), index: Arc::clone(&self.0) })
    }

    fn verify(&self, id: &ChunkId, bytes: &[u8]) -> bool {
        self.0.store().names(Class::Data).name(bytes) == *id
    }
}

struct Decoder {
    reader: SegmentReader,
    index: Arc<LiveIndex>,
}

impl SegmentDecode for Decoder {
    fn decode(&mut self, pack: u32, segment: u16, stored: &[u8]) -> Result<&[u8]> {
        let segment = self.index.segment(pack, segment)?;
        let key = self.index.store().known_data_key(segment.key());
        let key = key.ok_or_else(|| Error::new(Kind::Bug, "a data key was not fetched before its segment"))?;
        Ok(self.reader.open(&segment, stored, &key)?.plain())
    }
}
