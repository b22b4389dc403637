//! Forgetting snapshots by id, damaged records too. Their data stays until a prune finds that nothing else needs it.

use super::Repository;
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
                return Err(Error::new(Kind::Protected, format!("forget snapshot {id}")).because("it is protected"));
            }
        }
        Ok(())
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
