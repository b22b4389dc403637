//! One bit for every position of the index: what a prune knows of a copy of a chunk.

/// The bits of one word.
const WORD_BITS: u32 = u64::BITS;

/// A set of positions; grows with the index.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// None set, with room for positions below `count`.
    pub(super) fn new(count: usize) -> Self {
        let mut bits = Self::default();
        bits.grow(count);
        bits
    }

    /// Makes room for positions below `count`; those that are new are not set.
    pub(super) fn grow(&mut self, count: usize) {
        let words = count.div_ceil(usize::try_from(WORD_BITS).unwrap_or(64));
        if words > self.0.len() {
            self.0.resize(words, 0);
        }
    }

    /// Whether a position is set; one there is no room for is not.
    pub(super) fn has(&self, position: u32) -> bool {
        self.word(position).is_some_and(|word| word >> (position % WORD_BITS) & 1 == 1)
    }

    /// Sets a position there is room for; `false` when it was set already.
    pub(super) fn set(&mut self, position: u32) -> bool {
        let word = usize::try_from(position / WORD_BITS).ok().and_then(|at| self.0.get_mut(at));
        let Some(word) = word else { return false };
        let bit = 1u64 << (position % WORD_BITS);
        let was = *word & bit != 0;
        *word |= bit;
        !was
    }

    /// Whether nothing is set.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn word(&self, position: u32) -> Option<u64> {
        usize::try_from(position / WORD_BITS).ok().and_then(|at| self.0.get(at)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_set_and_nothing_else_is() {
        let mut bits = Bits::new(130);
        assert!(bits.is_empty());
        for position in [0, 63, 64, 129] {
            assert!(bits.set(position) && !bits.set(position));
        }
        bits.grow(1000);
        let set: Vec<u32> = (0..1100).filter(|position| bits.has(*position)).collect();
        assert!(!bits.is_empty());
        assert_eq!(set, [0, 63, 64, 129]);
    }
}
