//! Packs that a run could not read: what of them can be read is read, and nothing it commits relies on them.

use crate::error::Error;
use crate::id::PackId;
use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// The damaged and missing packs that one run has come across so far; every index that it reads shares them.
#[derive(Debug, Default)]
pub(crate) struct Distrust {
    /// Spares all look-ups where there are none, which is nearly always.
    any: AtomicBool,
    /// With whether they were there.
    packs: RwLock<HashMap<PackId, bool>>,
}

impl Distrust {
    /// From now on this pack is not relied on, because of what came of reading it.
    pub(crate) fn add(&self, pack: PackId, why: &Error) {
        *self.packs.write().unwrap_or_else(PoisonError::into_inner).entry(pack).or_default() |= !why.is_of_missing();
        self.any.store(true, Ordering::Release);
    }

    /// Whether this pack is one of them.
    pub(crate) fn has(&self, pack: &PackId) -> bool {
        self.has_any() && self.packs.read().unwrap_or_else(PoisonError::into_inner).contains_key(pack)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.packs.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many of them were there, and damaged. Others may have been deleted by a prune.
    pub(crate) fn damaged(&self) -> usize {
        self.packs.read().unwrap_or_else(PoisonError::into_inner).values().filter(|was_there| **was_there).count()
    }

    /// Whether there is any.
    pub(crate) fn has_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Name;
    use crate::error::Kind;
    use crate::id::DataKeyId;

    #[test]
    fn a_pack_that_is_gone_is_not_relied_on_and_not_damaged_but_one_without_its_key_is() {
        let (distrust, pack) = (Distrust::default(), PackId::from_bytes([1; 32]));
        let gone = Error::new(Kind::NotFound, "cannot read it");
        distrust.add(pack, &Error::damaged(Name::Pack(pack), "it is missing").because(gone));
        assert_eq!((distrust.has(&pack), distrust.count(), distrust.damaged()), (true, 1, 0));
        let key = Name::DataKey(DataKeyId::from_bytes([2; 16]));
        distrust.add(pack, &Error::damaged(key, "it is missing"));
        assert_eq!((distrust.has(&pack), distrust.count(), distrust.damaged()), (true, 1, 1));
    }
}
