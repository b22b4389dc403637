//! What must hold in the end, when everybody has gone home: all is there, all is right, and work goes on.

use super::actors::compare;
use super::actors::open;
use super::actors::some_files;
use super::actors::store;
use super::desk::Truth;
use super::shelf::NOBODY;
use super::time::DAY;
use super::world::World;
use crate::support::scene::check;
use crate::support::scene::told;
use std::sync::Arc;
use std::time::Duration;
use strongroom::Area;
use strongroom::MaxUnused;
use strongroom::Name;
use strongroom::Repository;
use strongroom::SeededRng;

/// Prunes until nothing is left of what nobody needs: one condemns, one deletes, one takes marks away, one
/// tombs, and what one has copied another may put together.
const PRUNES: u64 = 8;

impl World {
    /// A look at the store as it is, in a time that goes on.
    pub(super) async fn end(&mut self) -> Result<(), String> {
        self.time.pass(DAY);
        for actor in 0..self.actors.len() {
            for id in self.oracle.broken(actor) {
                self.shelf.delete(Name::Snapshot(id), NOBODY, self.time.now());
            }
        }
        self.keep_up().await?;
        let repository = self.reopen().await?;
        self.put_back_keys(&repository).await?;
        self.is_sound(&repository, "in the end").await?;
        for _ in 0..PRUNES {
            self.time.pass(31 * DAY);
            let prune = repository.prune().min_age(Duration::ZERO).max_unused(MaxUnused::Bytes(0));
            let plan = prune.allow_no_snapshots(true).plan().await;
            let plan = plan.map_err(|error| format!("the last prune, its plan: {}", told(&error)))?;
            plan.apply().await.map_err(|error| format!("the last prune: {}", told(&error)))?;
            self.keep_up().await?;
        }
        self.nothing_is_left_over(&repository).await?;
        self.is_sound(&repository, "after the last prune").await?;
        let files = some_files(&mut self.dice, self.options.files);
        self.tally.count("shards", self.shards());
        let last = store(&repository, "the last host", &files, &Arc::default()).await;
        let last = last.map_err(|error| format!("the last backup: {}", told(&error)))?;
        self.keep_up().await?;
        self.oracle.promised(last)?;
        self.is_sound(&repository, "after the last backup").await
    }

    async fn reopen(&self) -> Result<Repository, String> {
        let lists_at_once = self.options.stale == 0;
        let truth = Truth { shelf: self.shelf.clone(), time: self.time.clone(), lists_at_once };
        let clock = Arc::new(self.time.clone());
        open(truth, SeededRng::new(self.seed ^ 0xE0D), clock).await.map_err(|error| told(&error))
    }

    /// A key that no pack named for weeks, as its session slept, is gone, and the packs that came then hold it: all is as
    /// it was without those objects, and they come back.
    async fn put_back_keys(&mut self, repository: &Repository) -> Result<(), String> {
        for snapshot in repository.snapshots().await.map_err(|error| told(&error))? {
            let compared = compare(repository, &snapshot, self.oracle.rewrites()).await;
            if let Some(difference) = compared.map_err(|error| told(&error))? {
                return Err(format!("before keys are back: {}: {difference}", snapshot.id));
            }
        }
        let keys = repository.put_back_data_keys().await;
        let keys = keys.map_err(|error| format!("keys cannot be put back: {}", told(&error)))?;
        self.tally.count("data keys put back", keys.put_back.len() as u64);
        self.keep_up().await?;
        if keys.lost.is_empty() { Ok(()) } else { Err(format!("keys are lost: {:?}", keys.lost)) }
    }

    async fn keep_up(&mut self) -> Result<(), String> {
        let changes = self.shelf.changes();
        self.oracle.absorb(&changes, self.time.now(), |_| None).await
    }

    /// The check is clean, and every snapshot comes back byte for byte.
    async fn is_sound(&self, repository: &Repository, when: &str) -> Result<(), String> {
        let report = check(repository).await.map_err(|error| format!("the check {when}: {}", told(&error)))?;
        // What a repair has condemned and nothing needs stays until a prune.
        if let Some(problem) = report.problems.iter().find(|problem| !problem.message.contains("it is condemned")) {
            return Err(format!("the check {when}: {problem:?}"));
        }
        let snapshots = repository.snapshots().await.map_err(|error| told(&error))?;
        if snapshots.len() != self.oracle.snapshots() {
            return Err(format!("{} snapshots {when} instead of {}", snapshots.len(), self.oracle.snapshots()));
        }
        for snapshot in &snapshots {
            match compare(repository, snapshot, self.oracle.rewrites()).await {
                Ok(None) => {}
                Ok(Some(difference)) => return Err(format!("{when}: {}: {difference}", snapshot.id)),
                Err(error) => return Err(format!("{when}: {}: {}", snapshot.id, told(&error))),
            }
        }
        Ok(())
    }

    /// What was forgotten is given back, and nothing stays of runs that have ended.
    async fn nothing_is_left_over(&self, repository: &Repository) -> Result<(), String> {
        for area in [Area::Marks, Area::Tombs, Area::Pending] {
            let left = self.shelf.names(area);
            if !left.is_empty() {
                return Err(format!("{} objects are left under {area}: {:?}", left.len(), left.first()));
            }
        }
        let mut keys = self.shelf.names(Area::DataKeys);
        for pack in self.shelf.names(Area::Packs) {
            let Name::Pack(id) = pack else { continue };
            let pack = repository.inspect_pack(id).await.map_err(|error| told(&error))?;
            keys.retain(|key| !matches!(key, Name::DataKey(id) if pack.data_keys.contains(id)));
        }
        if let Some(key) = keys.first() {
            return Err(format!("{} data keys are left that no pack names: {key}", keys.len()));
        }
        let wasteful = self.oracle.wasteful();
        if wasteful.is_empty() { Ok(()) } else { Err(format!("{} packs hold what nobody needs", wasteful.len())) }
    }
}
