//! The way to snapshots: one, or all of them through one index.

use super::Repository;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::view::RepositoryView;
use crate::view::SnapshotView;

impl Repository {
    /// Reads the index, for looking into one snapshot. Who looks into several takes [`Repository::view_all`].
    pub async fn view(&self, snapshot: &Snapshot) -> Result<SnapshotView> {
        Ok(self.view_all().await?.snapshot(snapshot))
    }

    /// Reads the index, for looking into as many snapshots as there are to look into.
    pub async fn view_all(&self) -> Result<RepositoryView> {
        Ok(RepositoryView::of(&self.index().await?))
    }
}
