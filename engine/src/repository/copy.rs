//! Copying snapshots into another repository: decrypted, cut and sealed anew under its keys.

use super::Repository;
use super::repair::Judge;
use super::reread::SnapshotSource;
use super::reread::unreadable;
use super::series::Series;
use crate::backup::BackupReport;
use crate::backup::Parent;
use crate::catalog::Walk;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::index::load;
use crate::index::load::Stored;
use crate::job::Control;
use crate::job::Job;
use crate::squeeze::Compression;
use crate::time::Timestamp;
use crate::view::RepositoryView;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;

/// What helps where one repository was named twice.
const ONE_REPOSITORY: &str = "-r names the repository that is written to, and --from-repo the other one; tools for files \
    bring a copy of a repository up to date, and 'strongroom repair fetch' gets from one what is lost here";

/// A copy about to start.
#[must_use = "nothing happens before `start`"]
pub struct CopyBuilder {
    from: Repository,
    to: Repository,
    snapshots: Vec<Snapshot>,
    dry_run: bool,
    compression: Compression,
    threads: Option<usize>,
    limit_upload: u64,
}

/// What a copy did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CopyReport {
    /// Snapshots copied: their id here and there. After a dry run both are the id here.
    pub copied: Vec<(SnapshotId, SnapshotId)>,
    /// Snapshots that were there already: their id here and there.
    pub present: Vec<(SnapshotId, SnapshotId)>,
    /// Snapshots that were there and had lost data, which is stored again: their id here and there. After a dry run:
    /// all that have lost any.
    pub mended: Vec<(SnapshotId, SnapshotId)>,
    /// Snapshots that are there and have lost data which cannot be had from here either.
    pub lacking: Vec<(SnapshotId, SnapshotId)>,
    /// Snapshots that cannot be read to their end: nothing of them was stored as a snapshot.
    pub failed: Vec<CopyFailed>,
    /// Plaintext bytes of chunks the other repository did not have.
    pub bytes_new: u64,
    /// Bytes added to the other repository's packs.
    pub bytes_stored: u64,
}

/// A snapshot that could not be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyFailed {
    /// Its id here.
    pub snapshot: SnapshotId,
    /// What sort of failure it was.
    pub kind: Kind,
    /// Why, in one line.
    pub why: String,
}

impl Repository {
    /// Prepares to copy snapshots of this repository into another one. Each becomes a snapshot there with the same
    /// host, user, time, tags, label, verdict and entries, and an id of its own. What the other repository has
    /// already, by content, is not stored again; what it has lost of copies made before, is.
    pub fn copy_to(&self, to: &Self, snapshots: Vec<Snapshot>) -> CopyBuilder {
        CopyBuilder {
            from: self.clone(),
            to: to.clone(),
            snapshots,
            dry_run: false,
            compression: Compression::Auto,
            threads: None,
            limit_upload: 0,
        }
    }
}

impl CopyBuilder {
    /// Only finds out what would be copied: what is missing is found, data that is damaged is not.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// How hard to squeeze.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Worker threads: at least one, and no more than the memory budget allows (six).
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Bytes a second sent to the other repository at most; 0 is no limit.
    pub fn limit_upload(mut self, bytes_a_second: u64) -> Self {
        self.limit_upload = bytes_a_second;
        self
    }

    /// Starts the job. Stopped midway it leaves whole snapshots only; started again it goes on with the next one.
    pub fn start(mut self) -> Job<CopyReport> {
        Job::start(|control| {
            self.from.heed(&control);
            self.to.heed(&control);
            self.run(control)
        })
    }

    async fn run(mut self, control: Control) -> Result<CopyReport> {
        if self.from.id() == self.to.id() {
            return Err(Error::new(Kind::Invalid, "cannot copy a repository's snapshots")
                .because("both are the same repository")
                .advise(ONE_REPOSITORY));
        }
        // Oldest first: the copy of each is the parent of the next one's.
        self.snapshots.sort_by_key(|snapshot| (snapshot.started, snapshot.id));
        let view = self.from.view_all().await?;
        let there = self.to.snapshots().await;
        let there = there.map_err(|cause| {
            let doing = format!("cannot list the snapshots of {}, which is copied to", self.to.describe());
            Error::new(cause.kind(), doing).because(cause)
        })?;
        let mut there = There::of(there);
        let judge = if self.dry_run { Some(Judge::new(&self.from, false).await?) } else { None };
        let mut report = CopyReport::default();
        let mut present = Vec::new();
        let series = Arc::default();
        // The newest copy of each source: the snapshot here and there.
        let mut newest: HashMap<Origin, (Snapshot, Snapshot)> = HashMap::new();
        for snapshot in std::mem::take(&mut self.snapshots) {
            control.check()?;
            let origin = Origin::of(&snapshot);
            if let Some(copy) = self.take_copy(&mut there, &view, &snapshot).await? {
                report.present.push((snapshot.id, copy.id));
                present.push(copy.clone());
                newest.insert(origin, (snapshot, copy));
                continue;
            }
            if let Some(judge) = &judge {
                match judge.obstacle(&control, &snapshot).await? {
                    None => report.copied.push((snapshot.id, snapshot.id)),
                    Some(why) => report.failed.push(CopyFailed { snapshot: snapshot.id, kind: Kind::Damaged, why }),
                }
                continue;
            }
            let earlier = newest.get(&origin);
            let mut done = self.copy_one((&view, &series), &snapshot, earlier, &control).await;
            let is_of_earlier = |error: &Error| unreadable(error).is_some() || error.kind() == Kind::NotFound;
            if earlier.is_some() && done.as_ref().is_err_and(is_of_earlier) {
                // It may be the earlier one that cannot be read any more, or its copy that somebody has forgotten.
                done = self.copy_one((&view, &series), &snapshot, None, &control).await;
            }
            let done = match done {
                Ok(done) => done,
                Err(error) => {
                    if unreadable(&error).is_none() {
                        return Err(error);
                    }
                    let error = self.from.unless_forgotten(snapshot.id, error).await;
                    let why = unreadable(&error).unwrap_or(&error);
                    let (kind, why) = (why.kind(), why.in_one_line());
                    report.failed.push(CopyFailed { snapshot: snapshot.id, kind, why });
                    continue;
                }
            };
            report.bytes_new += done.bytes_new;
            report.bytes_stored += done.bytes_stored;
            let Some(copy) = done.snapshot else {
                return Err(Error::new(Kind::Bug, "copy a snapshot").because("the backup stored none"));
            };
            report.copied.push((snapshot.id, copy.id));
            newest.insert(origin, (snapshot, copy));
        }
        self.mend(present, &mut report, control).await?;
        Ok(report)
    }

    /// A copy whose data is gone does not count. What its packs and index objects no longer have is stored again; that the
    /// bytes in a pack are still those that were stored is for a check to say.
    async fn mend(&self, present: Vec<Snapshot>, report: &mut CopyReport, control: Control) -> Result<()> {
        if present.is_empty() {
            return Ok(());
        }
        let Stored { damaged, lost, .. } = load::load_what_is_stored(self.to.store()).await?;
        if damaged.is_empty() && lost.is_empty() {
            return Ok(());
        }
        let fetched = self.to.fetch_from(&self.from, present).dry_run(self.dry_run).run(control).await?;
        report.bytes_new += fetched.bytes_new;
        report.bytes_stored += fetched.bytes_stored;
        let still_lack: HashSet<SnapshotId> = fetched.lacking.iter().map(|(id, _)| *id).collect();
        let mended: HashSet<SnapshotId> = fetched.mended.iter().map(|(id, _)| *id).collect();
        for pair in std::mem::take(&mut report.present) {
            match () {
                () if mended.contains(&pair.1) || self.dry_run && still_lack.contains(&pair.1) => &mut report.mended,
                () if still_lack.contains(&pair.1) => &mut report.lacking,
                () => &mut report.present,
            }
            .push(pair);
        }
        Ok(())
    }

    /// The first copy of a snapshot, which is nobody else's then.
    async fn take_copy(
        &self,
        there: &mut There,
        view: &RepositoryView,
        snapshot: &Snapshot,
    ) -> Result<Option<Snapshot>> {
        let There { all, view: over_there } = there;
        let Some(all) = all.get_mut(&There::key(snapshot)) else { return Ok(None) };
        // No two backups begin in the same nanosecond; but a time that was given by hand may be given twice.
        let by_hand = snapshot.started.nanoseconds == 0;
        for (at, other) in all.iter().enumerate().filter(|(_, other)| is_copy(snapshot, other)) {
            let is_same = !by_hand || {
                let over_there = match &mut *over_there {
                    Some(known) => known,
                    none => none.insert(self.to.view_all().await?),
                };
                has_same_entries((view, snapshot), (over_there, other)).await?
            };
            if is_same {
                return Ok(Some(all.remove(at)));
            }
        }
        Ok(None)
    }

    /// Copies a snapshot; what it has in common with an `earlier` one is taken over from the copy of that.
    async fn copy_one(
        &self,
        (view, series): (&RepositoryView, &Arc<Series>),
        snapshot: &Snapshot,
        earlier: Option<&(Snapshot, Snapshot)>,
        control: &Control,
    ) -> Result<BackupReport> {
        let source = SnapshotSource::start(view, snapshot, earlier.map(|(here, _)| here), None);
        let parent = earlier.map_or(Parent::Nothing, |(_, copy)| Parent::Snapshot(copy.id));
        let builder = self
            .to
            .again(source, snapshot)
            .among(series)
            .parent(parent)
            .compression(self.compression)
            .limit_upload(self.limit_upload);
        match self.threads {
            Some(threads) => builder.threads(threads).run(control.clone()).await,
            None => builder.run(control.clone()).await,
        }
    }
}

/// Whether a snapshot here and one there list the same entries. What cannot be read is taken to be the same: what
/// else the two have in common says so.
async fn has_same_entries(here: (&RepositoryView, &Snapshot), there: (&RepositoryView, &Snapshot)) -> Result<bool> {
    let mut walks = [here, there].map(|(view, snapshot)| Walk::new(Arc::clone(view.pages()), snapshot.root));
    let mut ready = [VecDeque::new(), VecDeque::new()];
    loop {
        for (walk, entries) in walks.iter_mut().zip(&mut ready).filter(|(_, entries)| entries.is_empty()) {
            match walk.next_page().await {
                Ok(page) => entries.extend(page.into_iter().flatten().map(|entry| (entry.path, entry.metadata))),
                Err(error) if error.is_local() => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        let [one, two] = &mut ready;
        match (one.pop_front(), two.pop_front()) {
            (None, None) => return Ok(true),
            (one, two) if one != two => return Ok(false),
            _ => {}
        }
    }
}

/// What a snapshot is of.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Origin {
    host: String,
    source_kind: String,
    paths: Vec<Vec<u8>>,
}

impl Origin {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let Snapshot { host, source_kind, paths, .. } = snapshot;
        Self { host: host.clone(), source_kind: source_kind.clone(), paths: paths.clone() }
    }
}

/// The snapshots of the other repository, by what a copy has in common with its origin.
struct There {
    all: HashMap<(Timestamp, u64, u64), Vec<Snapshot>>,
    /// For looking into them, once that was needed.
    view: Option<RepositoryView>,
}

impl There {
    fn of(snapshots: Vec<Snapshot>) -> Self {
        let mut all: HashMap<_, Vec<Snapshot>> = HashMap::new();
        for snapshot in snapshots {
            all.entry(Self::key(&snapshot)).or_default().push(snapshot);
        }
        Self { all, view: None }
    }

    fn key(snapshot: &Snapshot) -> (Timestamp, u64, u64) {
        (snapshot.started, snapshot.counts.entries, snapshot.counts.bytes)
    }
}

/// Whether one is the other's copy. Ids, sessions, tags and roots differ between repositories, what was backed up when
/// does not.
pub(super) fn is_copy(one: &Snapshot, other: &Snapshot) -> bool {
    has_same_source(one, other)
        && (one.started, &one.user, &one.label) == (other.started, &other.user, &other.label)
        && (one.counts.entries, one.counts.bytes) == (other.counts.entries, other.counts.bytes)
}

fn has_same_source(one: &Snapshot, other: &Snapshot) -> bool {
    (&one.host, &one.source_kind, &one.paths) == (&other.host, &other.source_kind, &other.paths)
}

#[cfg(test)]
mod tests;
