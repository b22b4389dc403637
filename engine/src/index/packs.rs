//! The packs of an index under their numbers: whole in memory, or by name only, the rest in a shard.

use crate::cache::PackShelf;
use crate::error::Result;
use crate::format::index::PackInfo;
use crate::format::wire::length_u32;
use crate::format::wire::size;
use crate::id::PackId;
use hashbrown::HashTable;
use std::sync::Arc;

/// Every pack that an index names, once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packs {
    ids: Vec<PackId>,
    numbers: HashTable<u32>,
    groups: Vec<Group>,
}

/// Packs whose numbers follow one another.
#[derive(Clone, Debug)]
struct Group {
    first: u32,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Memory(Vec<Arc<PackInfo>>),
    Shard(Arc<PackShelf>, Shown),
}

/// Which packs of a shard an index shows, and under what numbers: all in their order, but for those that another
/// object named first and those that are gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    first: u32,
    /// Numbers in the shard, ascending.
    hidden: Vec<u32>,
}

impl Shown {
    /// The number in the index of a pack of the shard.
    pub(crate) fn number(&self, own: u32) -> Option<u32> {
        let before = self.hidden.partition_point(|hidden| *hidden < own);
        let is_hidden = self.hidden.get(before) == Some(&own);
        (!is_hidden).then(|| self.first.saturating_add(own).saturating_sub(length_u32(before)))
    }

    /// The number in the shard of a pack of the index.
    fn own(&self, number: u32) -> u32 {
        let nth = number.saturating_sub(self.first);
        let (mut low, mut high) = (0, self.hidden.len());
        while low < high {
            let middle = low.midpoint(high);
            let shown_before = self.hidden.get(middle).map(|hidden| hidden.saturating_sub(length_u32(middle)));
            if shown_before.is_some_and(|before| before <= nth) { low = middle + 1 } else { high = middle }
        }
        nth.saturating_add(length_u32(low))
    }

    /// Packs of the shard that are not shown.
    pub(crate) fn hidden(&self) -> &[u32] {
        &self.hidden
    }
}

impl Packs {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Their names, in the order of their numbers.
    pub(crate) fn ids(&self) -> &[PackId] {
        &self.ids
    }

    /// The number of a pack.
    pub(crate) fn number(&self, id: &PackId) -> Option<u32> {
        self.numbers.find(hash(id), |number| self.ids.get(size(*number)) == Some(id)).copied()
    }

    /// The pack of a number.
    pub(crate) fn get(&self, number: u32) -> Result<Option<Arc<PackInfo>>> {
        let at = self.groups.partition_point(|group| group.first <= number);
        let Some(group) = at.checked_sub(1).and_then(|at| self.groups.get(at)) else { return Ok(None) };
        match &group.place {
            Place::Memory(packs) => Ok(packs.get(size(number - group.first)).map(Arc::clone)),
            Place::Shard(_, _) if size(number) >= self.ids.len() => Ok(None),
            Place::Shard(shelf, shown) => shelf.pack(shown.own(number)).map(|(_, pack)| Some(Arc::new(pack))),
        }
    }

    /// Takes in a pack; gives its number unless it is known already.
    pub(crate) fn add(&mut self, pack: PackInfo) -> Option<u32> {
        let number = self.add_id(pack.id)?;
        match self.groups.last_mut() {
            Some(Group { place: Place::Memory(packs), .. }) => packs.push(Arc::new(pack)),
            _ => self.groups.push(Group { first: number, place: Place::Memory(vec![Arc::new(pack)]) }),
        }
        Some(number)
    }

    /// Takes in the packs of a shard, but for those that are known already or `is_gone`.
    pub(crate) fn add_shelf(
        &mut self,
        shelf: &Arc<PackShelf>,
        ids: &[PackId],
        is_gone: impl Fn(&PackId) -> bool,
    ) -> Shown {
        let first = length_u32(self.ids.len());
        let mut hidden = Vec::new();
        let Self { ids: all, numbers, .. } = self;
        all.reserve_exact(ids.len());
        numbers.reserve(ids.len(), |number| rehash(all, *number));
        for (own, id) in (0u32..).zip(ids) {
            if is_gone(id) || self.add_id(*id).is_none() {
                hidden.push(own);
            }
        }
        let shown = Shown { first, hidden };
        if self.ids.len() > size(first) {
            self.groups.push(Group { first, place: Place::Shard(Arc::clone(shelf), shown.clone()) });
        }
        shown
    }

    /// Gives back room that was kept for more.
    pub(crate) fn settle(&mut self) {
        self.ids.shrink_to_fit();
    }

    fn add_id(&mut self, id: PackId) -> Option<u32> {
        let number = u32::try_from(self.ids.len()).ok()?;
        if self.number(&id).is_some() {
            return None;
        }
        let Self { ids, numbers, .. } = self;
        ids.push(id);
        numbers.insert_unique(hash(&id), number, |number| rehash(ids, *number));
        Some(number)
    }

    /// Bytes in memory for packs of which only the name is.
    #[cfg(any(test, feature = "benching"))]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.ids.capacity() * PackId::BYTES + self.numbers.allocation_size()
    }
}

fn rehash(ids: &[PackId], number: u32) -> u64 {
    ids.get(size(number)).map_or(0, hash)
}

/// Names of packs are hashes already.
fn hash(id: &PackId) -> u64 {
    id.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_of_a_shard_and_of_the_index_lead_to_each_other(hidden in proptest::collection::btree_set(0u32..40, 0..40)) {
            let shown = Shown { first: 1000, hidden: hidden.iter().copied().collect() };
            let mut next = 1000;
            for own in 0..40 {
                let number = (!hidden.contains(&own)).then_some(next);
                next += u32::from(number.is_some());
                prop_assert_eq!(shown.number(own), number);
                if let Some(number) = number {
                    prop_assert_eq!(shown.own(number), own);
                }
            }
        }
    }
}
