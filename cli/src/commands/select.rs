//! Which snapshots a verb is about, and what to tell when records of some cannot be read.
//!
//! A verb that reads goes on without them: it warns, naming each, and ends with the exit code of what was done in part.
//! Where the newest may be one of them, `latest` is the newest that can be read. A verb that changes snapshots does not
//! guess: there `latest` is refused.

use crate::args::FilterArgs;
use crate::commands::Context;
use crate::exit::Exit;
use crate::show::Failure;
use crate::show::clock;
use crate::show::short;
use std::sync::atomic::Ordering;
use strongroom::Repository;
use strongroom::Snapshot;
use strongroom::SnapshotFilter;
use strongroom::SnapshotId;
use strongroom::SnapshotList;
use strongroom::UnreadableSnapshot;

/// Snapshots to remove.
pub struct Doomed {
    pub snapshots: Vec<Snapshot>,
    /// Named, and beyond reading.
    pub unreadable: Vec<SnapshotId>,
}

impl Context {
    /// The snapshots named, or all that match the filter when none is; oldest first.
    pub async fn select(
        &self,
        repository: &Repository,
        ids: &[String],
        filter: &FilterArgs,
    ) -> Result<Vec<Snapshot>, Failure> {
        self.choose(repository, ids, filter, false).await
    }

    /// The same for a verb that changes them: what is named must be meant beyond doubt.
    pub async fn select_surely(
        &self,
        repository: &Repository,
        ids: &[String],
        filter: &FilterArgs,
    ) -> Result<Vec<Snapshot>, Failure> {
        self.choose(repository, ids, filter, true).await
    }

    /// The one snapshot that is meant.
    pub async fn resolve(
        &self,
        repository: &Repository,
        selector: &str,
        filter: &SnapshotFilter,
    ) -> Result<Snapshot, Failure> {
        let list = repository.list_snapshots().await?;
        let snapshot = list.resolve(selector, filter)?;
        self.tell_of_future(&list, selector, filter);
        if self.tell_doubts(&list, selector, &snapshot) {
            self.incomplete.store(true, Ordering::Relaxed);
        }
        Ok(snapshot)
    }

    /// The same for a parent: a backup is whole whatever it was compared with.
    pub async fn resolve_parent(&self, repository: &Repository, selector: &str) -> Result<Snapshot, Failure> {
        let list = repository.list_snapshots().await?;
        let snapshot = list.resolve(selector, &SnapshotFilter::default())?;
        self.tell_of_future(&list, selector, &SnapshotFilter::default());
        self.tell_doubts(&list, selector, &snapshot);
        Ok(snapshot)
    }

    /// The snapshots named, readable or not; every one is found, or none is given.
    pub async fn select_doomed(&self, repository: &Repository, ids: &[String]) -> Result<Doomed, Failure> {
        let list = repository.list_snapshots().await?;
        let filter = SnapshotFilter::default();
        let mut doomed = Doomed { snapshots: Vec::new(), unreadable: Vec::new() };
        for id in ids {
            match (surely(&list, id, &filter), list.unreadable.iter().find(|one| one.id.to_string().starts_with(id))) {
                (Ok(snapshot), _) if doomed.snapshots.iter().any(|other| other.id == snapshot.id) => {}
                (Ok(snapshot), _) => doomed.snapshots.push(snapshot),
                (Err(refusal), Some(one)) if refusal.exit == Exit::Damaged => {
                    if !doomed.unreadable.contains(&one.id) {
                        doomed.unreadable.push(one.id);
                    }
                }
                (Err(refusal), _) => return Err(refusal),
            }
        }
        Ok(doomed)
    }

    async fn choose(
        &self,
        repository: &Repository,
        ids: &[String],
        filter: &FilterArgs,
        surely_meant: bool,
    ) -> Result<Vec<Snapshot>, Failure> {
        let filter = filter.filter();
        let list = repository.list_snapshots().await?;
        if ids.is_empty() {
            if self.tell(list.unreadable.iter(), None) {
                self.incomplete.store(true, Ordering::Relaxed);
            }
            let chosen: Vec<_> = list.snapshots.into_iter().filter(|snapshot| filter.matches(snapshot)).collect();
            if chosen.is_empty() {
                self.tell_unmatched(&filter);
            }
            return Ok(chosen);
        }
        let mut chosen: Vec<Snapshot> = Vec::new();
        for id in ids {
            let snapshot = if surely_meant { surely(&list, id, &filter)? } else { list.resolve(id, &filter)? };
            self.tell_of_future(&list, id, &filter);
            if self.tell_doubts(&list, id, &snapshot) {
                self.incomplete.store(true, Ordering::Relaxed);
            }
            if !chosen.iter().any(|other| other.id == snapshot.id) {
                chosen.push(snapshot);
            }
        }
        Ok(chosen)
    }

    /// Says that a filter lets nothing through: it may be mistyped.
    pub fn tell_unmatched(&self, filter: &SnapshotFilter) {
        if *filter != SnapshotFilter::default() {
            self.show.warn("no snapshot matches what --host, --tag and --path ask for");
        }
    }

    /// A snapshot that counts as the latest because its date is wrong is pointed at: it would hide every newer one, day
    /// after day.
    fn tell_of_future(&self, list: &SnapshotList, selector: &str, filter: &SnapshotFilter) {
        if selector.starts_with("latest")
            && let Ok(latest) = list.resolve("latest", filter)
        {
            self.warn_of_future(&latest);
        }
    }

    /// Tells of the snapshots that `selector` may mean instead; whether there are any.
    fn tell_doubts(&self, list: &SnapshotList, selector: &str, taken: &Snapshot) -> bool {
        let (id, time) = (short(&taken.id), clock(taken.started));
        let remark = format!(
            "'{selector}' stands for snapshot {id} of {time} here: a newer one may be among those that cannot be read"
        );
        self.tell(list.in_doubt(selector), Some(remark))
    }

    /// Names snapshots that cannot be read; whether there are any.
    fn tell<'a>(&self, unreadable: impl Iterator<Item = &'a UnreadableSnapshot>, remark: Option<String>) -> bool {
        let mut any = false;
        for UnreadableSnapshot { id, error, .. } in unreadable {
            any = true;
            let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
            self.show.warn(&format!("snapshot {id} cannot be read: {why}"));
        }
        if any {
            remark.iter().for_each(|remark| self.show.warn(remark));
            self.show.note("hint: 'strongroom forget ID' removes a damaged record for good");
        }
        any
    }
}

/// The snapshot that `selector` means beyond doubt.
fn surely(list: &SnapshotList, selector: &str, filter: &SnapshotFilter) -> Result<Snapshot, Failure> {
    let snapshot = list.resolve(selector, filter)?;
    match list.in_doubt(selector).next() {
        None => Ok(snapshot),
        Some(one) => {
            let exit = Exit::of(one.error.kind());
            Err(Failure::new(exit, format!("cannot tell which snapshot '{selector}' is"))
                .because(format!("snapshot {} cannot be read, and may be the one", one.id))
                .hint("name snapshots by their IDs; 'strongroom forget ID' removes a damaged record for good"))
        }
    }
}
