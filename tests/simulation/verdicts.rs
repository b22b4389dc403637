//! What may come of a run: who may fail with what, and what becomes of snapshots that came too late.

use super::actors::Outcome;
use super::actors::Role;
use super::shelf::NOBODY;
use super::world::World;
use strongroom::Error;
use strongroom::Kind;
use strongroom::Name;

impl World {
    /// Whether an outcome is one that may be.
    pub(super) fn judge(&mut self, actor: usize, outcome: Outcome) -> Result<(), String> {
        self.tell(actor, &format!("ends with {outcome:?}"));
        match outcome {
            Outcome::Stored(id) => {
                self.tally.count("snapshots stored", 1);
                self.oracle.promised(id)
            }
            Outcome::Pruned(report) => {
                self.tally.count("prunes", 1);
                self.tally.count("packs deleted", report.packs_deleted);
                self.tally.count("data keys deleted", report.keys_deleted);
                self.tally.count("segments copied sealed", report.segments_copied);
                self.tally.count("segments formed anew", report.segments_formed);
                // Only outages tear packs.
                let may_be = report.packs_damaged == 0 || self.options.outages > 0;
                if may_be { Ok(()) } else { Err(format!("a prune called packs damaged: {report:?}")) }
            }
            Outcome::Done => Ok(()),
            Outcome::Repaired(id, said) => {
                // Where listings are stale, what others have moved may seem to be lost.
                let may_be = self.oracle.late_ever > 0 || self.options.stale > 0 || !self.oracle.has(&id);
                if may_be { Ok(()) } else { Err(format!("snapshot {id} has lost nothing, and was repaired: {said}")) }
            }
            Outcome::Wrong(what) => Err(what),
            Outcome::Failed(error) => {
                self.tally.count("failures", 1);
                self.may_fail(actor, &error)
            }
        }
    }

    /// Nothing may fail but what others or the store stand in the way of.
    fn may_fail(&self, actor: usize, error: &Error) -> Result<(), String> {
        let role = self.actors[actor].role;
        let slept = self.oracle.late_ever > 0 || self.actors[actor].overslept;
        let allowed = match (role, error.kind()) {
            (_, Kind::Bug) => false,
            // Sealed under a root key that was made after this one had opened the repository.
            (_, Kind::Unsupported) => self.oracle.root_keys > 0,
            _ if !self.options.is_calm() => true,
            (Role::Writer | Role::Pruner | Role::Keeper, Kind::Conflict | Kind::BackendBusy) => true,
            // What was there a moment ago was forgotten: for a writer its own snapshot, before it could read it back.
            (Role::Keeper | Role::Writer, Kind::NotFound) => !self.oracle.forgotten.is_empty(),
            // Packs were there and no snapshot yet.
            (Role::Pruner, Kind::Invalid) => true,
            (_, Kind::Damaged) => slept,
            _ => false,
        };
        if allowed { Ok(()) } else { Err(format!("{role:?} failed: {}", crate::support::scene::told(error))) }
    }

    /// A snapshot that came too late and lacks data is forgotten by its owner, who was told.
    pub(super) async fn remove_broken(&mut self, actor: usize) -> Result<(), String> {
        for id in self.oracle.broken(actor) {
            self.tally.count("snapshots too late", 1);
            self.tell(actor, &format!("removes {id}, which is broken"));
            self.shelf.delete(Name::Snapshot(id), NOBODY, self.time.now());
            self.shelf.deleted(&Name::Snapshot(id), NOBODY);
        }
        let changes = self.shelf.changes();
        self.oracle.absorb(&changes, self.time.now(), |_| None).await
    }
}
