//! Lost data from another repository that has the same files: read there, cut and named here, stored where it is missing.

use super::judge::Judge;
use super::judge::Missing;
use crate::backup::Fill;
use crate::backup::Parent;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::job::Job;
use crate::repository::Repository;
use crate::repository::copy::Origin;
use crate::repository::copy::is_copy;
use crate::repository::reread::SnapshotSource;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

/// Snapshots of the other repository that are tried for each one here.
const TRIED_MAX: usize = 4;

/// A fetch about to start.
#[must_use = "nothing happens before `start`"]
pub struct FetchBuilder {
    repository: Repository,
    other: Repository,
    snapshots: Vec<Snapshot>,
    dry_run: bool,
}

/// What a fetch found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchReport {
    /// Snapshots that lack nothing: nothing was fetched for them.
    pub whole: Vec<SnapshotId>,
    /// Snapshots that lacked chunks and lack none any more, and how many they lacked.
    pub mended: Vec<(SnapshotId, u64)>,
    /// Snapshots that still lack chunks, and how many. After a dry run: all that lack any.
    pub lacking: Vec<(SnapshotId, u64)>,
    /// Snapshots that lack chunks and whose source no snapshot of the other repository has.
    pub unmatched: Vec<SnapshotId>,
    /// Plaintext bytes stored.
    pub bytes_new: u64,
    /// Bytes added to packs.
    pub bytes_stored: u64,
}

impl Repository {
    /// Prepares to fetch what is missing of these snapshots from another repository. Snapshots are matched by host and
    /// paths, copies first, then by how near in time they are; entries by path. The other's bytes are cut and named with
    /// this repository's keys, and a chunk is stored only if its name is one that is missing here.
    pub fn fetch_from(&self, other: &Self, snapshots: Vec<Snapshot>) -> FetchBuilder {
        FetchBuilder { repository: self.clone(), other: other.clone(), snapshots, dry_run: false }
    }
}

impl FetchBuilder {
    /// Only finds out what is missing.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Starts the job. Stopped midway, what was fetched stays.
    pub fn start(mut self) -> Job<FetchReport> {
        Job::start(|control| {
            self.repository.heed(&control);
            self.other.heed(&control);
            self.run(control)
        })
    }

    pub(in crate::repository) async fn run(self, control: Control) -> Result<FetchReport> {
        let Self { repository, other, snapshots, dry_run } = &self;
        if is_same_place(repository, other) {
            let doing = "cannot fetch lost data from another repository";
            return Err(Error::new(Kind::Invalid, doing)
                .because("both are the same repository, at the same place")
                .advise("name another one that has the same files, or a copy of this one in another place"));
        }
        let mut there: HashMap<Origin, Vec<Snapshot>> = HashMap::new();
        for snapshot in other.list_snapshots().await?.snapshots {
            there.entry(Origin::of(&snapshot)).or_default().push(snapshot);
        }
        let source = Arc::new(Judge::new(other, false).await?);
        let mut judge = Judge::new(repository, false).await?;
        let (mut report, series) = (FetchReport::default(), Arc::default());
        for snapshot in snapshots {
            control.check()?;
            let mut missing = judge.missing(snapshot).await?;
            let lacked = count(&missing);
            if lacked == 0 {
                report.whole.push(snapshot.id);
                continue;
            }
            let candidates = candidates(snapshot, there.get(&Origin::of(snapshot)).map_or(&[], Vec::as_slice));
            if candidates.is_empty() {
                report.unmatched.push(snapshot.id);
            }
            for candidate in candidates.into_iter().filter(|_| !dry_run) {
                // Below a lost page nobody knows what is missing: a copy has exactly that.
                let has_all = missing.pages && is_copy(snapshot, candidate);
                let fill = if has_all { Fill::All } else { Fill::Only(Arc::clone(&missing.ids)) };
                let reread = SnapshotSource::judged(candidate, Arc::clone(&source));
                // What this repository has of the snapshot is taken over unread.
                let again = repository.again(reread, snapshot).among(&series).parent(Parent::Snapshot(snapshot.id));
                let done = again.filling(fill).run(control.clone()).await?;
                report.bytes_new += done.bytes_new;
                report.bytes_stored += done.bytes_stored;
                if done.bytes_stored > 0 {
                    judge.renew(repository).await?;
                    missing = judge.missing(snapshot).await?;
                }
                if count(&missing) == 0 {
                    break;
                }
            }
            match count(&missing) {
                0 => report.mended.push((snapshot.id, lacked)),
                lacking => report.lacking.push((snapshot.id, lacking)),
            }
        }
        Ok(report)
    }
}

/// Whether both are one repository. A copy of it that stands elsewhere may have what is lost here.
fn is_same_place(one: &Repository, other: &Repository) -> bool {
    let (first, second) = (one.store().backend(), other.store().backend());
    let place = |folder: PathBuf| std::fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()));
    one.id() == other.id()
        && match (first.properties().folder.and_then(place), second.properties().folder.and_then(place)) {
            (Some(one), Some(other)) => one == other,
            _ => first.describe() == second.describe(),
        }
}

fn count(missing: &Missing) -> u64 {
    u64::try_from(missing.ids.len()).unwrap_or(u64::MAX)
}

/// Of snapshots of the same source those first that are most likely to have the same bytes.
fn candidates<'a>(snapshot: &Snapshot, there: &'a [Snapshot]) -> Vec<&'a Snapshot> {
    let mut all: Vec<&Snapshot> = there.iter().collect();
    all.sort_by_key(|other| (Reverse(is_copy(snapshot, other)), other.started.distance(snapshot.started)));
    all.truncate(TRIED_MAX);
    all
}
