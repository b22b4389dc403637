//! Which zstd level a segment deserves: the stronger one only where a sample shows that it pays.

use crate::squeeze::Compression;

/// One segment in this many is squeezed at both levels.
const SAMPLE_EVERY: u32 = 16;
/// The fast level.
const LEVEL_FAST: i32 = 1;
/// The level of choice where it pays: 8-10 % smaller on sources and binaries, larger on some SQL dumps.
const LEVEL_STRONG: i32 = 3;
/// The level of `max`.
const LEVEL_MAX: i32 = 19;
/// The strong level must save at least one part in this many.
const GAIN_PARTS: u64 = 50;

/// Chooses between two levels by sampling; a fixed level chooses itself.
pub(crate) struct LevelChoice {
    compression: Compression,
    until_sample: u32,
    chosen: i32,
    /// Sampled bytes at the strong and at the fast level; old samples count half as much as the next ones.
    strong: u64,
    fast: u64,
}

impl LevelChoice {
    pub(crate) fn new(compression: Compression) -> Self {
        let chosen = match compression {
            Compression::Fast | Compression::Off => LEVEL_FAST,
            Compression::Max => LEVEL_MAX,
            Compression::Level(level) => level.clamp(1, 22),
            Compression::Auto => LEVEL_STRONG,
        };
        Self { compression, until_sample: 0, chosen, strong: 0, fast: 0 }
    }

    /// The level of the next segment, and the one to compare it with when it is a sample.
    pub(crate) fn next(&mut self) -> (i32, Option<i32>) {
        if self.compression != Compression::Auto {
            return (self.chosen, None);
        }
        if self.until_sample == 0 {
            self.until_sample = SAMPLE_EVERY;
            return (LEVEL_STRONG, Some(LEVEL_FAST));
        }
        self.until_sample -= 1;
        (self.chosen, None)
    }

    /// Learns from a sample: stored bytes at the strong and at the fast level.
    pub(crate) fn learn(&mut self, strong: usize, fast: usize) {
        self.strong = self.strong / 2 + u64::try_from(strong).unwrap_or(u64::MAX / 4);
        self.fast = self.fast / 2 + u64::try_from(fast).unwrap_or(u64::MAX / 4);
        let pays = self.strong + self.fast / GAIN_PARTS < self.fast;
        self.chosen = if pays { LEVEL_STRONG } else { LEVEL_FAST };
    }

    /// Whether anything is squeezed at all.
    pub(crate) fn squeezes(&self) -> bool {
        self.compression != Compression::Off
    }

    /// Whether incompressible chunks are looked for.
    pub(crate) fn probes(&self) -> bool {
        matches!(self.compression, Compression::Auto | Compression::Fast)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strong_level_stays_only_where_it_pays() {
        let mut choice = LevelChoice::new(Compression::Auto);
        assert_eq!(choice.next(), (LEVEL_STRONG, Some(LEVEL_FAST)));
        choice.learn(1_000_000, 1_010_000);
        assert_eq!(choice.next(), (LEVEL_FAST, None));
        // One sample to the contrary weighs more than the one before it.
        choice.learn(900_000, 1_000_000);
        assert_eq!(choice.next(), (LEVEL_STRONG, None));
    }

    #[test]
    fn old_samples_weigh_half_as_much_as_the_ones_after_them() {
        let mut choice = LevelChoice::new(Compression::Auto);
        choice.next();
        choice.learn(900_000, 1_000_000);
        // No gain now: with the gain before it still 3 %, then less than 2 %.
        choice.learn(1_000_000, 1_000_000);
        assert_eq!(choice.next(), (LEVEL_STRONG, None));
        choice.learn(1_000_000, 1_000_000);
        assert_eq!(choice.next(), (LEVEL_FAST, None));
    }

    #[test]
    fn one_segment_in_seventeen_is_a_sample() {
        let mut choice = LevelChoice::new(Compression::Auto);
        let samples: Vec<usize> = (0..52).filter(|_| choice.next().1.is_some()).collect();
        assert_eq!(samples, [0, 17, 34, 51]);
    }

    #[test]
    fn a_level_that_was_asked_for_is_kept() {
        let mut choice = LevelChoice::new(Compression::Level(7));
        for _ in 0..100 {
            assert_eq!(choice.next(), (7, None));
        }
    }
}
