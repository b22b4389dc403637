//! What was used last, as much of it as there is room for.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::Hash;

/// Values that can be had again, by key. Those used longest ago go when all together cost more than there is room for.
pub(crate) struct Recent<K, V> {
    room: usize,
    used: usize,
    /// Counts uses.
    now: u64,
    values: HashMap<K, Held<V>>,
    /// Keys by their last use.
    order: BTreeMap<u64, K>,
}

struct Held<V> {
    value: V,
    cost: usize,
    last: u64,
}

impl<K: Copy + Eq + Hash, V: Clone> Recent<K, V> {
    /// Nothing yet, and room for so many bytes.
    pub(crate) fn new(room: usize) -> Self {
        Self { room, used: 0, now: 0, values: HashMap::new(), order: BTreeMap::new() }
    }

    /// The value, which counts as used.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let held = self.values.get_mut(key)?;
        self.now += 1;
        self.order.remove(&held.last);
        self.order.insert(self.now, *key);
        held.last = self.now;
        Some(held.value.clone())
    }

    /// Whether it is there, which is no use of it.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.values.contains_key(key)
    }

    /// Keeps a value of so many bytes, unless it alone is too large.
    pub(crate) fn put(&mut self, key: K, value: V, cost: usize) {
        self.remove(&key);
        if cost > self.room {
            return;
        }
        while self.used > self.room - cost
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.used -= self.values.remove(&oldest).map_or(0, |held| held.cost);
        }
        self.now += 1;
        self.used += cost;
        self.order.insert(self.now, key);
        self.values.insert(key, Held { value, cost, last: self.now });
    }

    fn remove(&mut self, key: &K) {
        if let Some(held) = self.values.remove(key) {
            self.used -= held.cost;
            self.order.remove(&held.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_room_is_never_exceeded() {
        let mut recent = Recent::new(10);
        for key in 0..5 {
            recent.put(key, key * 10, 2);
        }
        assert_eq!(recent.get(&0), Some(0));
        recent.put(5, 50, 4);
        assert_eq!([1, 2].map(|key| recent.get(&key)), [None, None]);
        assert_eq!([0, 3, 4, 5].map(|key| recent.get(&key)), [Some(0), Some(30), Some(40), Some(50)]);
        assert_eq!(recent.used, 10);
        recent.put(5, 51, 1);
        assert_eq!((recent.get(&5), recent.used, recent.order.len()), (Some(51), 7, 4));
        recent.put(9, 90, 11);
        assert_eq!((recent.get(&9), recent.used), (None, 7));
    }
}
