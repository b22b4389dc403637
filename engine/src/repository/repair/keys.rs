//! Repairing the list of keys: it says again what is there.

use crate::backend::Name;
use crate::error::Kind;
use crate::error::Result;
use crate::id::SlotId;
use crate::repository::Repository;
use crate::repository::key_lists;
use crate::repository::key_lists::described;
use crate::repository::key_lists::way;

/// What a repair of the list of keys came to; each key as people know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeysRepaired {
    /// Keys that are there and were not listed, or not as they are. Whoever made them, the list names them now.
    pub named: Vec<(SlotId, String)>,
    /// Keys that are missing, and that nobody misses any more.
    pub given_up: Vec<(SlotId, String)>,
    /// Damaged lists that another one stands for.
    pub replaced: u64,
    /// Key slots that are damaged: they stay, and are missed until they are removed.
    pub damaged: Vec<SlotId>,
}

impl Repository {
    /// Has one list name every key slot that is there, in place of all lists that are damaged. What was removed and is there
    /// stays removed. Who runs this must know that the keys which it names are the repository's own.
    pub async fn repair_keys(&self, dry_run: bool) -> Result<KeysRepaired> {
        self.check_writable().await?;
        let listed = key_lists::read(self.store()).await?;
        let (mut slots, mut report) = (listed.slots.clone(), KeysRepaired::default());
        let stored = self.read_stored_slots().await?;
        for (id, outcome) in &stored {
            let known = slots.0.get(id);
            match outcome {
                Ok(_) if known.is_some_and(|known| !known.is_there()) => {}
                Ok((head, slot)) => {
                    let before = slots.clone();
                    slot.add_to(&mut slots);
                    if slots != before {
                        report.named.push((*id, described(head.kind.word(), &head.label)));
                    }
                }
                Err(_) => report.damaged.push(*id),
            }
        }
        let is_gone = |id: &SlotId| !stored.iter().any(|(stored, _)| stored == id);
        for (id, known) in listed.slots.0.iter().filter(|(id, known)| known.is_there() && is_gone(id)) {
            // A listing may be out of date.
            if self.store().backend().stat(&Name::Slot(*id)).await?.is_some() {
                continue;
            }
            report.given_up.push((*id, way(known)));
            slots.remove(*id);
        }
        // What a newer program has written, or what is sealed under a key that is not at hand, is not damaged.
        let damaged = listed.unread.iter().filter(|(_, error)| error.kind() == Kind::Damaged).map(|(name, _)| *name);
        let damaged: Vec<_> = damaged.collect();
        report.replaced = u64::try_from(damaged.len()).unwrap_or(u64::MAX);
        if !dry_run && (slots != listed.slots || listed.read.len() != 1 || !damaged.is_empty()) {
            key_lists::replace(self.store(), &slots, listed.read.into_iter().chain(damaged).collect()).await?;
        }
        Ok(report)
    }
}
