//! One snapshot record in the place of another: records are written once, so a changed one is a new snapshot.

use super::Repository;
use crate::backend::Name;
use crate::backup;
use crate::backup::Needs;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::random;

impl Repository {
    /// Stores the changed record under an id of its own, then removes the old one. Gives the new id.
    pub(super) async fn replace_record(&self, mut changed: Snapshot) -> Result<SnapshotId> {
        let old = changed.id;
        changed.id = SnapshotId::from_bytes(random::array(self.store().rng())?);
        let verdict = changed.verdict.clone();
        // A commit like that of a backup: others may forget the old record and prune at any moment.
        let mut needs = Needs::of_twin(old);
        backup::commit(self.store(), &Control::new(), &mut needs, &mut changed, verdict).await?.or_fail()?;
        self.remove_records(&[old]).await?;
        Ok(changed.id)
    }

    /// Removes snapshots, and the intents that their commits may have left: nothing else of them keeps packs alive.
    /// Gives how many were there.
    pub(super) async fn remove_records(&self, ids: &[SnapshotId]) -> Result<u64> {
        let removed = self.store().delete_all(ids.iter().copied().map(Name::Snapshot)).await?;
        self.store().delete_all(ids.iter().copied().map(Name::Pending)).await?;
        Ok(removed)
    }

    /// Protects these snapshots from being forgotten, or takes the protection away. Gives pairs of old and new id for
    /// those that changed.
    pub async fn protect(&self, ids: &[SnapshotId], is_protected: bool) -> Result<Vec<(SnapshotId, SnapshotId)>> {
        self.check_writable().await?;
        let mut changed = Vec::new();
        for id in ids {
            let snapshot = self.snapshot(id).await?;
            if snapshot.is_protected != is_protected {
                changed.push((*id, self.replace_record(Snapshot { is_protected, ..snapshot }).await?));
            }
        }
        Ok(changed)
    }
}
