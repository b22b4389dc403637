//! Dropping paths from history: snapshots written anew without them.

use super::Repository;
use super::reread::SnapshotSource;
use crate::backup::Parent;
use crate::catalog::Walk;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::index::live::LiveIndex;
use crate::job::Control;
use crate::job::Job;
use crate::restore::Select;
use std::sync::Arc;

/// The tag of a snapshot that was written anew while its origin stays.
const TAG: &str = "rewrite";

/// A rewrite about to start.
#[must_use = "nothing happens before `start`"]
pub struct RewriteBuilder {
    repository: Repository,
    snapshots: Vec<Snapshot>,
    excludes: Vec<String>,
    forget: bool,
    dry_run: bool,
}

/// What a rewrite did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RewriteReport {
    /// Old and new id, and how many entries were left out. After a dry run both are the old id.
    pub rewritten: Vec<(SnapshotId, SnapshotId, u64)>,
    /// Snapshots in which nothing fits the patterns.
    pub unchanged: Vec<SnapshotId>,
}

impl Repository {
    /// Prepares to write snapshots anew without the entries that fit one of the patterns. The new ones keep host,
    /// user, time and label. The old ones stay, and the new ones have the tag `rewrite`, unless
    /// [`RewriteBuilder::forget`] is asked for. What was left out takes space until a prune.
    pub fn rewrite(&self, snapshots: Vec<Snapshot>, excludes: Vec<String>) -> RewriteBuilder {
        RewriteBuilder { repository: self.clone(), snapshots, excludes, forget: false, dry_run: false }
    }
}

impl RewriteBuilder {
    /// Removes the old snapshots once the new ones are stored. A protected one is refused.
    pub fn forget(mut self, forget: bool) -> Self {
        self.forget = forget;
        self
    }

    /// Only counts what would be left out.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Starts the job. Stopped midway it leaves whole snapshots, old or new.
    pub fn start(self) -> Job<RewriteReport> {
        Job::start(|control| self.run(control))
    }

    async fn run(self, control: Control) -> Result<RewriteReport> {
        let Self { repository, snapshots, excludes, forget, dry_run } = self;
        if excludes.is_empty() {
            return Err(Error::new(Kind::Invalid, "rewrite snapshots").because("no pattern says what to leave out"));
        }
        if let Some(kept) = snapshots.iter().find(|snapshot| forget && snapshot.is_protected) {
            return Err(Error::new(Kind::Protected, format!("rewrite snapshot {}", kept.id)).because("it is protected"));
        }
        let index = repository.index().await?;
        let mut report = RewriteReport::default();
        for snapshot in snapshots {
            control.check()?;
            let left_out = repository.count_left_out(&index, &snapshot, &excludes).await?;
            if left_out == 0 {
                report.unchanged.push(snapshot.id);
                continue;
            }
            if dry_run {
                report.rewritten.push((snapshot.id, snapshot.id, left_out));
                continue;
            }
            let source = SnapshotSource::start(&repository, &index, &snapshot, Some(&snapshot), &excludes)?;
            let mut tags = snapshot.tags.clone();
            if !forget && !tags.iter().any(|tag| tag == TAG) {
                tags.push(TAG.to_owned());
            }
            let again = repository.again(source, &snapshot).tags(tags).parent(Parent::Snapshot(snapshot.id));
            let Some(new) = again.run(control.clone()).await?.snapshot else {
                return Err(Error::new(Kind::Bug, "rewrite a snapshot").because("the backup stored none"));
            };
            if forget {
                repository.forget(&[snapshot.id]).await?;
            }
            report.rewritten.push((snapshot.id, new.id, left_out));
        }
        Ok(report)
    }
}

impl Repository {
    /// Entries that fit one of the patterns, with all below them.
    async fn count_left_out(&self, index: &Arc<LiveIndex>, snapshot: &Snapshot, excludes: &[String]) -> Result<u64> {
        let excluded = Select::excluding(excludes)?;
        let mut walk = Walk::new(self.pages(index), snapshot.root);
        let mut count = 0;
        while let Some(page) = walk.next_page().await? {
            count += page.iter().filter(|entry| !excluded.wants(&entry.path)).map(|_| 1u64).sum::<u64>();
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
