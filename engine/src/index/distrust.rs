//! Packs that a run has found damaged: what of them can be read is read, and nothing it commits relies on them.

use crate::id::PackId;
use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// The damaged packs that one run has come across so far; every index that it reads shares them.
#[derive(Debug, Default)]
pub(crate) struct Distrust {
    /// Spares all look-ups where there are none, which is nearly always.
    any: AtomicBool,
    packs: RwLock<HashSet<PackId>>,
}

impl Distrust {
    /// From now on this pack is not relied on.
    pub(crate) fn add(&self, pack: PackId) {
        self.packs.write().unwrap_or_else(PoisonError::into_inner).insert(pack);
        self.any.store(true, Ordering::Release);
    }

    /// Whether this pack was found damaged.
    pub(crate) fn has(&self, pack: &PackId) -> bool {
        self.has_any() && self.packs.read().unwrap_or_else(PoisonError::into_inner).contains(pack)
    }

    /// How many were.
    pub(crate) fn count(&self) -> usize {
        self.packs.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether any was.
    pub(crate) fn has_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }
}
