//! Dropping paths from history: snapshots written anew without them.

use super::Repository;
use super::excluded;
use super::excluded::Excluded;
use super::repair::Judge;
use super::reread::SnapshotSource;
use super::series::Series;
use super::snapshots::by_parent;
use crate::backup::Parent;
use crate::catalog::PageSource;
use crate::catalog::Walk;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Event;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::job::Job;
use crate::pattern::Patterns;
use crate::view::RepositoryView;
use std::ffi::OsString;
use std::sync::Arc;

/// The tag of a snapshot that was written anew while its origin stays.
const TAG: &str = "rewrite";

/// A rewrite about to start.
#[must_use = "nothing happens before `start`"]
pub struct RewriteBuilder {
    repository: Repository,
    snapshots: Vec<Snapshot>,
    excludes: Vec<OsString>,
    forget: bool,
    dry_run: bool,
}

/// A snapshot with entries that fit the patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotRewritten {
    /// Its id.
    pub old: SnapshotId,
    /// The one without them; `None` after a dry run that would make it.
    pub new: Option<SnapshotId>,
    /// An earlier rewrite has made it.
    pub was_there: bool,
    /// How many entries are left out.
    pub entries_left_out: u64,
}

/// What a rewrite did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RewriteReport {
    /// Snapshots with entries that fit the patterns.
    pub rewritten: Vec<SnapshotRewritten>,
    /// Snapshots in which nothing fits the patterns.
    pub unchanged: Vec<SnapshotId>,
    /// Snapshots that were to be replaced and are protected: left alone.
    pub refused: Vec<SnapshotId>,
}

/// A snapshot to be rewritten, and what comes of it.
struct Planned {
    snapshot: Snapshot,
    excluded: Arc<Excluded>,
    left_out: u64,
    /// Entries that stay.
    kept: u64,
    /// They are only folders that everything stood in.
    is_emptied: bool,
}

impl Repository {
    /// Prepares to write snapshots anew without the entries that a backup with these patterns would have left out. The
    /// new ones keep host, user, time and label. A snapshot that was rewritten so before is not written once more. The
    /// old ones stay, and the new ones have the tag `rewrite`, unless [`RewriteBuilder::forget`] is asked for. What was
    /// left out takes space until a prune.
    pub fn rewrite(&self, snapshots: Vec<Snapshot>, excludes: Vec<OsString>) -> RewriteBuilder {
        RewriteBuilder { repository: self.clone(), snapshots, excludes, forget: false, dry_run: false }
    }
}

impl RewriteBuilder {
    /// Removes the old snapshots once the new ones are stored. A protected one is left alone, and told.
    pub fn forget(mut self, forget: bool) -> Self {
        self.forget = forget;
        self
    }

    /// Only finds out what would be left out.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Starts the job. Stopped midway it leaves whole snapshots, old or new; started again it writes none twice.
    pub fn start(mut self) -> Job<RewriteReport> {
        Job::start(|control| {
            self.repository.heed(&control);
            self.run(control)
        })
    }

    async fn run(self, control: Control) -> Result<RewriteReport> {
        let Self { repository, snapshots, excludes, forget, dry_run } = &self;
        if excludes.is_empty() {
            return Err(
                Error::new(Kind::Invalid, "cannot rewrite snapshots").because("no pattern says what to leave out")
            );
        }
        let patterns = excluded::understood(excludes)?;
        let view = repository.view_all().await?;
        let mut report = RewriteReport::default();
        let mut planned = Vec::new();
        // Whatever speaks against one of them is known before the first is changed.
        for snapshot in snapshots {
            control.check()?;
            let plan = match Planned::new(&control, view.pages(), snapshot, excludes, &patterns).await {
                Ok(plan) => plan,
                Err(error) => return Err(repository.unless_forgotten(snapshot.id, error).await),
            };
            if plan.left_out == 0 {
                report.unchanged.push(snapshot.id);
            } else if *forget && snapshot.is_protected {
                report.refused.push(snapshot.id);
            } else if plan.is_emptied {
                return Err(Error::new(Kind::Protected, format!("cannot rewrite snapshot {}", snapshot.id))
                    .because("it would keep only the folders above what was backed up")
                    .advise("nothing was changed; 'strongroom forget' removes a snapshot as a whole"));
            } else {
                planned.push(plan);
            }
        }
        let earlier = repository.list_snapshots().await?.snapshots;
        let earlier = by_parent(&earlier);
        let (mut judge, series) = (None, Arc::default());
        for plan in planned {
            control.check()?;
            let old = plan.snapshot.id;
            let made_of_it = earlier.get(&old).map_or(&[][..], Vec::as_slice);
            let there = self.done_before(&control, &plan, made_of_it, &mut judge).await?;
            let new = match there {
                None if !dry_run => Some(self.write(&control, (&view, &series), &plan).await?),
                there => there,
            };
            if *forget && !dry_run {
                repository.forget(&[old]).await?;
            }
            let entries_left_out = plan.left_out;
            report.rewritten.push(SnapshotRewritten { old, new, was_there: there.is_some(), entries_left_out });
        }
        Ok(report)
    }

    /// What an earlier rewrite has made of it, if that is there still and can be read, as far as can be told without
    /// reading all of it: the old one may be the only one that can.
    async fn done_before(
        &self,
        control: &Control,
        plan: &Planned,
        made_of_it: &[&Snapshot],
        judge: &mut Option<Judge>,
    ) -> Result<Option<SnapshotId>> {
        for other in made_of_it.iter().filter(|other| plan.is_done_by(other)) {
            let judge = match &mut *judge {
                Some(judge) => judge,
                // What there is was there before this run, so what it adds need not be known.
                none => none.insert(Judge::new(&self.repository, false).await?),
            };
            if judge.obstacle(control, other).await?.is_none() && !self.repository.is_forgotten(other.id).await? {
                return Ok(Some(other.id));
            }
        }
        Ok(None)
    }

    async fn write(
        &self,
        control: &Control,
        (view, series): (&RepositoryView, &Arc<Series>),
        plan: &Planned,
    ) -> Result<SnapshotId> {
        let Planned { snapshot, excluded, .. } = plan;
        let excluded = Some(Arc::clone(excluded));
        let source = SnapshotSource::start(view, snapshot, Some(snapshot), excluded);
        let mut tags = snapshot.tags.clone();
        if !self.forget && !tags.iter().any(|tag| tag == TAG) {
            tags.push(TAG.to_owned());
        }
        let again =
            self.repository.again(source, snapshot).among(series).tags(tags).parent(Parent::Snapshot(snapshot.id));
        // What stays is no news.
        let done = match again.run(control.unheard()).await {
            Ok(done) => done,
            Err(error) => return Err(self.repository.unless_forgotten(snapshot.id, error).await),
        };
        match done.snapshot {
            Some(new) => Ok(new.id),
            None => Err(Error::new(Kind::Bug, "rewrite a snapshot").because("the backup stored none")),
        }
    }
}

impl Planned {
    /// Counts and tells what is left out.
    async fn new(
        control: &Control,
        pages: &Arc<dyn PageSource>,
        snapshot: &Snapshot,
        excludes: &[OsString],
        patterns: &Arc<Patterns>,
    ) -> Result<Self> {
        let excluded = Excluded::of(pages, snapshot, excludes, Arc::clone(patterns)).await?;
        let mut walk = Walk::new(Arc::clone(pages), snapshot.root);
        let (mut left_out, mut kept, mut is_emptied) = (0, 0, true);
        while let Some(page) = walk.next_page().await? {
            control.check()?;
            for entry in page {
                let Some((why, is_itself)) = excluded.why(&entry) else {
                    kept += 1;
                    is_emptied &= excluded.is_frame(&entry);
                    continue;
                };
                left_out += 1;
                if is_itself && control.is_watched() {
                    let reason = format!("from snapshot {:.8}, {why}", snapshot.id.to_string());
                    control.tell(Event::Skipped { path: entry.path, reason });
                }
            }
            // Whoever listens may keep up: a page has fewer entries than events are kept.
            tokio::task::yield_now().await;
        }
        Ok(Self { snapshot: snapshot.clone(), excluded: Arc::new(excluded), left_out, kept, is_emptied })
    }

    /// Whether an earlier rewrite has made `other` of it, with the same patterns. One that was to replace it, and was cut
    /// off before the old one was gone, has left no tag of its own.
    fn is_done_by(&self, other: &Snapshot) -> bool {
        other.parent == Some(self.snapshot.id)
            && (other.tags.iter().any(|tag| tag == TAG) || other.tags == self.snapshot.tags)
            && (&other.host, &other.user, &other.label)
                == (&self.snapshot.host, &self.snapshot.user, &self.snapshot.label)
            && (&other.source_kind, &other.paths) == (&self.snapshot.source_kind, &self.snapshot.paths)
            && other.started == self.snapshot.started
            && other.excludes == self.excluded.recorded(&self.snapshot)
            && other.counts.entries == self.kept
    }
}

#[cfg(test)]
mod tests;
