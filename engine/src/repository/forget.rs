//! Forgetting snapshots by id. Their data stays until a prune finds that nothing else needs it.

use super::Repository;
use crate::backend::Name;
use crate::error::Result;
use crate::id::SnapshotId;

impl Repository {
    /// Removes these snapshots; each must exist. Gives how many were removed.
    pub async fn forget(&self, ids: &[SnapshotId]) -> Result<u64> {
        self.check_writable().await?;
        // All must exist before the first goes: a mistyped list removes nothing.
        for id in ids {
            self.snapshot(id).await?;
        }
        let mut removed = 0;
        for id in ids {
            self.store().backend().delete(&Name::Snapshot(*id)).await?;
            removed += 1;
        }
        Ok(removed)
    }
}
