//! Twins: snapshots that are the same but for their tags and ids, which the rules count as one.

use super::Dated;
use crate::format::page::PageRef;
use crate::format::snapshot::Snapshot;
use crate::time::Timestamp;
use std::collections::HashMap;

/// What twins have in common.
type Common = (Option<PageRef>, Timestamp, String, Vec<Vec<u8>>);

fn common(snapshot: &Snapshot) -> Common {
    (snapshot.root, snapshot.started, snapshot.host.clone(), snapshot.paths.clone())
}

/// For each of the group the position of the first of its twins, its own where it has none before it. The first one gets
/// the earliest time at which the store has received any of them: a record with new tags is stored anew.
pub(super) fn firsts(group: &mut [Dated]) -> Vec<usize> {
    let mut known: HashMap<Common, usize> = HashMap::new();
    let mut firsts = Vec::with_capacity(group.len());
    let mut earliest: HashMap<usize, Timestamp> = HashMap::new();
    for (number, dated) in group.iter().enumerate() {
        let first = *known.entry(common(&dated.snapshot)).or_insert(number);
        firsts.push(first);
        if let Some(stored) = dated.stored {
            earliest.entry(first).and_modify(|time| *time = stored.min(*time)).or_insert(stored);
        }
    }
    for (first, time) in earliest {
        group.get_mut(first).into_iter().for_each(|dated| dated.stored = Some(time));
    }
    firsts
}
