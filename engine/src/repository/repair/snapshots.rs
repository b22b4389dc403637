//! Snapshots that have lost data: written once more without what cannot be restored, which is named in them.

use super::judge::Judge;
use super::judge::Judgement;
use super::unnamed;
use crate::backup::Parent;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Warning;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::job::Job;
use crate::repository::Repository;
use crate::repository::reread::SnapshotSource;
use crate::repository::reread::unreadable;
use crate::repository::series::Series;
use crate::repository::snapshots::by_parent;
use std::sync::Arc;

/// The tag of a snapshot that stands for one that has lost data.
const TAG: &str = "repaired";

/// A repair of snapshots about to start.
#[must_use = "nothing happens before `start`"]
pub struct RepairSnapshotsBuilder {
    repository: Repository,
    snapshots: Vec<Snapshot>,
    forget: bool,
    read_data: bool,
    dry_run: bool,
}

/// A snapshot that has lost data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotRepaired {
    /// Its id.
    pub old: SnapshotId,
    /// The one without what is lost; `None` after a dry run.
    pub new: Option<SnapshotId>,
    /// An earlier repair has made it.
    pub was_there: bool,
    /// Entries that are left out.
    pub entries_left_out: u64,
    /// The first thousand of them, or of the parts of the catalog that they stood in, and why.
    pub left_out: Vec<Warning>,
    /// How many of these there are.
    pub left_out_total: u64,
}

/// What a repair of snapshots found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotsRepaired {
    /// Those that have lost data.
    pub repaired: Vec<SnapshotRepaired>,
    /// Those that have lost nothing: left alone.
    pub whole: Vec<SnapshotId>,
    /// Those of which nothing is left, each with the reason: left alone.
    pub hopeless: Vec<(SnapshotId, String)>,
    /// Those that were forgotten while the repair ran: what they lack is no loss.
    pub forgotten: Vec<SnapshotId>,
}

impl Repository {
    /// Prepares to write snapshots that have lost data once more, without the entries that cannot be restored. The new
    /// ones keep host, user, time, label and tags, get the tag `repaired`, and are partial: the reasons name what is
    /// left out. The old ones stay, unless [`RepairSnapshotsBuilder::forget`] is asked for.
    pub fn repair_snapshots(&self, snapshots: Vec<Snapshot>) -> RepairSnapshotsBuilder {
        let repository = self.clone();
        RepairSnapshotsBuilder { repository, snapshots, forget: false, read_data: false, dry_run: false }
    }
}

impl RepairSnapshotsBuilder {
    /// Removes a snapshot once the one that stands for it is stored. A protected one is refused.
    pub fn forget(mut self, forget: bool) -> Self {
        self.forget = forget;
        self
    }

    /// Reads all data of the snapshots. Without, what the index has in packs that are there at their full length, and
    /// that nobody has condemned, counts as readable.
    pub fn read_data(mut self, read_data: bool) -> Self {
        self.read_data = read_data;
        self
    }

    /// Only finds out what would be left out.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Starts the job. It refuses to begin where something seems lost that a pack has which no index object names: a
    /// repair of the index, or of that pack, comes first. Stopped midway it leaves whole records, old or new; started again it goes on with the next.
    pub fn start(mut self) -> Job<SnapshotsRepaired> {
        Job::start(|control| {
            self.repository.heed(&control);
            self.run(control)
        })
    }

    async fn run(self, control: Control) -> Result<SnapshotsRepaired> {
        let Self { repository, snapshots, forget, read_data, dry_run } = &self;
        if let Some(kept) = snapshots.iter().find(|snapshot| *forget && snapshot.is_protected) {
            let doing = format!("cannot replace snapshot {} by a repaired one", kept.id);
            return Err(Error::new(Kind::Protected, doing).because("it is protected"));
        }
        if !dry_run {
            repository.check_writable().await?;
        }
        let earlier = repository.list_snapshots().await?.snapshots;
        let earlier = by_parent(&earlier);
        let mut judge = Judge::new(repository, *read_data).await?;
        judge.check_all_understood()?;
        unnamed::check_all_named(&mut judge, &control, snapshots).await?;
        let (judge, series) = (Arc::new(judge), Arc::default());
        let mut report = SnapshotsRepaired::default();
        for snapshot in snapshots {
            control.check()?;
            let Judgement { kept, lost, named, to_name, hopeless } = judge.judge(&control, snapshot).await?;
            let hopeless = hopeless.or_else(|| (kept == 0 && lost > 0).then(|| "all its entries are lost".to_owned()));
            if (lost > 0 || hopeless.is_some()) && repository.is_forgotten(snapshot.id).await? {
                report.forgotten.push(snapshot.id);
                continue;
            }
            if let Some(why) = hopeless {
                report.hopeless.push((snapshot.id, why));
                continue;
            }
            if lost == 0 {
                report.whole.push(snapshot.id);
                continue;
            }
            let mut one = SnapshotRepaired {
                old: snapshot.id,
                new: None,
                was_there: false,
                entries_left_out: lost,
                left_out: named,
                left_out_total: to_name,
            };
            let made_of_it = earlier.get(&snapshot.id).map_or(&[][..], Vec::as_slice);
            if let Some(there) = self.stand_in(&judge, &control, snapshot, made_of_it).await? {
                (one.new, one.was_there) = (Some(there), true);
            } else if !dry_run {
                let Some(new) = self.write((&judge, &series), snapshot, &control).await? else {
                    report.forgotten.push(snapshot.id);
                    continue;
                };
                // What turned out to be unreadable when it was read is left out as well.
                one.entries_left_out += kept.saturating_sub(new.counts.entries);
                one.new = Some(new.id);
            }
            if *forget && !dry_run {
                match repository.forget(&[snapshot.id]).await {
                    Err(error) if error.kind() != Kind::NotFound => return Err(error),
                    // Others were faster.
                    _ => {}
                }
            }
            report.repaired.push(one);
        }
        Ok(report)
    }

    /// The one of an earlier repair that is still there, and has now what this repair would write.
    async fn stand_in(
        &self,
        judge: &Judge,
        control: &Control,
        snapshot: &Snapshot,
        made_of_it: &[&Snapshot],
    ) -> Result<Option<SnapshotId>> {
        for other in made_of_it.iter().filter(|other| is_repair_of(other, snapshot)) {
            // Asked after it was read: this run may have replaced it itself.
            if judge.has_what_is_left(control, snapshot, other).await?
                && !self.repository.is_forgotten(other.id).await?
            {
                return Ok(Some(other.id));
            }
        }
        Ok(None)
    }

    /// Writes a snapshot once more; `None` when it was forgotten meanwhile.
    async fn write(
        &self,
        (judge, series): (&Arc<Judge>, &Arc<Series>),
        snapshot: &Snapshot,
        control: &Control,
    ) -> Result<Option<Snapshot>> {
        let source = SnapshotSource::judged(snapshot, Arc::clone(judge));
        let mut tags = snapshot.tags.clone();
        if !tags.iter().any(|tag| tag == TAG) {
            tags.push(TAG.to_owned());
        }
        // The parent has exactly these entries: those that are whole are taken over unread.
        let again = self.repository.again(source, snapshot).among(series).tags(tags);
        let done = again.parent(Parent::Snapshot(snapshot.id)).run(control.clone()).await;
        let may_be_forgotten = done.as_ref().err().is_none_or(|error| error.is_local() || unreadable(error).is_some());
        if may_be_forgotten && self.repository.is_forgotten(snapshot.id).await? {
            // Whoever forgot it wanted it gone, and knew of no other.
            if let Some(new) = done.ok().and_then(|done| done.snapshot) {
                self.repository.remove_records(&[new.id]).await?;
            }
            return Ok(None);
        }
        match done?.snapshot {
            None => Err(Error::new(Kind::Bug, "repair a snapshot").because("the backup stored none")),
            new => Ok(new),
        }
    }
}

/// Whether one was made of the other by an earlier repair.
fn is_repair_of(one: &Snapshot, other: &Snapshot) -> bool {
    one.parent == Some(other.id) && one.tags.iter().any(|tag| tag == TAG) && one.started == other.started
}
