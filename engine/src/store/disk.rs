//! What only a store on a disk has to do: nothing where the backend has no disk.

use super::Store;
use crate::backend::Area;
use crate::backend::Leftovers;
use crate::backend::Name;
use crate::error::Result;

impl Store {
    /// Whether a listing by anybody shows what has returned to anybody else.
    pub(crate) fn lists_at_once(&self) -> bool {
        self.backend.properties().lists_at_once
    }

    /// See [`crate::backend::Disk::adopt`].
    pub(super) async fn adopt(&self, name: &Name) -> Result<()> {
        match self.backend.disk() {
            Some(disk) => disk.adopt(name).await,
            None => Ok(()),
        }
    }

    /// See [`crate::backend::Disk::barrier_for`].
    pub(crate) async fn barrier_for(&self, area: Area) -> Result<()> {
        match self.backend.disk() {
            Some(disk) => disk.barrier_for(area).await,
            None => Ok(()),
        }
    }

    /// See [`crate::backend::Disk::reserve`].
    pub(crate) async fn reserve(&self, stored: u64) -> Result<bool> {
        match self.backend.disk() {
            Some(disk) => disk.reserve(stored).await,
            None => Ok(false),
        }
    }

    /// See [`crate::backend::Disk::spend_reserve`].
    pub(super) async fn spend_reserve(&self) -> Result<bool> {
        match self.backend.disk() {
            Some(disk) => disk.spend_reserve().await,
            None => Ok(false),
        }
    }

    /// See [`crate::backend::Disk::leftovers`].
    pub(crate) async fn leftovers(&self) -> Result<Leftovers> {
        match self.backend.disk() {
            Some(disk) => disk.leftovers().await,
            None => Ok(Leftovers::default()),
        }
    }

    /// See [`crate::backend::Disk::sweep`].
    pub(crate) async fn sweep(&self) -> Result<Leftovers> {
        match self.backend.disk() {
            Some(disk) => disk.sweep().await,
            None => Ok(Leftovers::default()),
        }
    }
}
