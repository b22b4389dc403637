//! Forgetting snapshots by id, damaged records too. Their data stays until a prune finds that nothing else needs it.

use super::Repository;
use super::reread::unreadable;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::id::SnapshotId;

impl Repository {
    /// Removes these snapshots; each must exist, and none may be protected. Gives how many were removed.
    pub async fn forget(&self, ids: &[SnapshotId]) -> Result<u64> {
        self.check_deletable().await?;
        // All must be free to go before the first goes: a mistyped list removes nothing.
        self.check_forget(ids).await?;
        self.remove_records(ids).await?;
        Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
    }

    /// Refuses what [`Self::forget`] refuses, and removes nothing.
    pub async fn check_forget(&self, ids: &[SnapshotId]) -> Result<()> {
        for id in ids {
            if self.snapshot(id).await?.is_protected {
                return Err(
                    Error::new(Kind::Protected, format!("cannot forget snapshot {id}")).because("it is protected")
                );
            }
        }
        Ok(())
    }

    /// Whether a snapshot that was there is gone. What is found missing of one is no damage then: a prune may have taken it.
    pub(super) async fn is_forgotten(&self, snapshot: SnapshotId) -> Result<bool> {
        match self.store().backend().stat(&Name::Snapshot(snapshot)).await {
            Ok(found) => Ok(found.is_none()),
            // Something that is no object stands in its place.
            Err(error) if error.is_local() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What reading a snapshot failed with: of one that was forgotten meanwhile a prune may have taken everything,
    /// which is no damage.
    pub(super) async fn unless_forgotten(&self, snapshot: SnapshotId, error: Error) -> Error {
        if (error.is_local() || unreadable(&error).is_some()) && matches!(self.is_forgotten(snapshot).await, Ok(true)) {
            Error::new(Kind::NotFound, format!("cannot read snapshot {snapshot}"))
                .because("it was forgotten meanwhile, and what only it needed was pruned")
        } else {
            error
        }
    }

    /// Removes records that cannot be read because they are damaged: nobody can tell any more what they held. Each is
    /// read once more before the first goes; one that can be read, or that a newer program wrote, is refused.
    pub async fn forget_unreadable(&self, ids: &[SnapshotId]) -> Result<u64> {
        self.check_deletable().await?;
        for id in ids {
            match self.read_snapshot(*id).await {
                Err(error) if error.kind() == Kind::Damaged => {}
                Err(error) => return Err(error),
                Ok(None) => return Err(Error::new(Kind::NotFound, format!("there is no snapshot {id}"))),
                Ok(Some(_)) => {
                    return Err(Error::new(Kind::Conflict, format!("cannot forget snapshot {id} as damaged"))
                        .because("it can be read"));
                }
            }
        }
        self.remove_records(ids).await?;
        Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
    }
}
