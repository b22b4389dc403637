//! Without one snapshot: what is refused, and what is only too early.

use super::apply::Run;
use super::options::MIN_AGE;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::time::Timestamp;

impl Run {
    /// A list of snapshots that is empty by mistake must not empty the repository (I-15).
    pub(super) fn refuse_without_snapshots(&self) -> Result<()> {
        let has_packs = self.view.index.len() > 0 || !self.view.unindexed.is_empty();
        if !self.roots.snapshots.is_empty() || !has_packs || self.options.allow_no_snapshots {
            return Ok(());
        }
        Err(Error::new(Kind::Invalid, "the repository has packs but not one snapshot")
            .because("pruning would remove everything that is stored"))
    }

    /// Whether all that is stored can be the work of first backups that run, or were cut off not long ago: there is not one
    /// snapshot, nothing was ever condemned, and every pack is so young that one may be writing it. What another prune may
    /// take, or a listing may have lost, never looks like this for long, and nothing is deleted on the strength of it.
    pub(super) fn is_beginning(&self) -> Result<bool> {
        let is_young =
            |stored: Option<Timestamp>| stored.is_some() && self.view.rough_age_seconds(stored) < MIN_AGE.as_secs();
        let condemned = &self.view.condemned;
        let has_condemned = condemned.marks().values().chain(condemned.tombs().values()).any(|packs| !packs.is_empty());
        if !self.roots.snapshots.is_empty() || has_condemned {
            return Ok(false);
        }
        for (number, pack) in (0u32..).zip(self.view.index.packs()) {
            let (pack, state) = (pack?, self.view.state(number));
            if !state.listed || !is_young(state.stored) || self.options.ended.contains(&pack.session) {
                return Ok(false);
            }
        }
        Ok(self.view.unindexed.values().all(|pack| is_young(pack.stored)))
    }
}
