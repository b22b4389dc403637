//! Backups that one run makes one after the other: the repository is made ready once, and its index is read once.

use super::Repository;
use crate::index::distrust::Distrust;
use crate::index::table::Index;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// What a backup leaves to the next one. That it relies on an index from before it began changes nothing: a backup that
/// takes long does so too, and each commit looks anew at all that its snapshot needs.
#[derive(Default)]
pub(super) struct Series {
    has_begun: AtomicBool,
    /// With what the series has stored. `None`: to be read.
    index: Mutex<Option<Arc<Index>>>,
    /// What any of them has found damaged.
    distrust: Arc<Distrust>,
}

impl Series {
    /// Whether this is the first one.
    pub(super) fn begins(&self) -> bool {
        !self.has_begun.swap(true, Ordering::Relaxed)
    }

    /// What none of them relies on any more.
    pub(super) fn distrust(&self) -> &Arc<Distrust> {
        &self.distrust
    }

    /// The index for one backup. It is there for the next one only when that gives it back.
    pub(super) fn take(&self) -> Option<Arc<Index>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Gives it back, unless it should be read again: its new part belongs in files, or others have stored more than it
    /// names, some of which need not be stored once more.
    pub(super) fn keep(&self, repository: &Repository, index: Option<Arc<Index>>) {
        let most = repository.store().local().shard_chunks;
        let is_good = |index: &Arc<Index>| index.followed() < most && index.passed().len() <= index.objects().len();
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = index.filter(is_good);
    }
}

#[cfg(test)]
mod tests;
