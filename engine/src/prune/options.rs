//! What a prune is asked for.

use crate::id::SnapshotId;
use std::time::Duration;

/// Unused bytes that may stay in packs, where nothing else is asked for.
pub(super) const MAX_UNUSED: MaxUnused = MaxUnused::Percent(5.0);
/// Packs younger than this may belong to a backup that is still running.
pub(super) const MIN_AGE: Duration = Duration::from_secs(48 * 3600);
/// How long condemned packs stay on a store whose listings may be stale.
pub(super) const GRACE: Duration = Duration::from_secs(24 * 3600);

/// How many bytes that nothing needs may stay in packs that also hold something needed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum MaxUnused {
    /// This share of all bytes in packs.
    Percent(f64),
    /// So many bytes.
    Bytes(u64),
    /// All of them: only packs that nothing needs are removed.
    Unlimited,
}

impl MaxUnused {
    /// The limit in bytes where `used` bytes are needed.
    pub(super) fn bytes(self, used: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Unlimited => u64::MAX,
            Self::Percent(percent) => {
                // Thousandths of a percent: exact enough, and without floating point from here on.
                let share = thousandths(percent);
                let rest = u128::from(100_000 - share.min(99_999));
                u64::try_from(u128::from(used) * u128::from(share) / rest).unwrap_or(u64::MAX)
            }
        }
    }

    /// The share of a segment, in thousandths of a percent, above which what is not needed is left out when the
    /// segment is copied: never more than a half.
    pub(super) fn of_a_segment(self) -> u32 {
        match self {
            Self::Percent(percent) => thousandths(percent).min(50_000),
            Self::Bytes(0) => 0,
            Self::Bytes(_) | Self::Unlimited => 50_000,
        }
    }
}

fn thousandths(percent: f64) -> u32 {
    // Counted up rather than cast: a cast of a float silently saturates, and nobody asks for more than a hundred.
    let wanted = (percent.clamp(0.0, 100.0) * 1000.0).round();
    let (mut low, mut high) = (0u32, 100_000u32);
    while low < high {
        let middle = low.midpoint(high + 1);
        if f64::from(middle) <= wanted { low = middle } else { high = middle - 1 }
    }
    low
}

/// What to prune, and how.
#[derive(Clone, Debug)]
pub(crate) struct PruneOptions {
    pub(crate) max_unused: MaxUnused,
    /// Bytes of packs written anew at most in this run.
    pub(crate) max_repack_bytes: u64,
    /// Packs far below their goal are put together.
    pub(crate) repack_small: bool,
    /// What is sealed under root keys before the present one is sealed anew.
    pub(crate) reencrypt: bool,
    /// How long condemned packs stay; `None`: as the store needs it.
    pub(crate) grace: Option<Duration>,
    /// Packs younger than this are left alone unless their session is known to have ended.
    pub(crate) min_age: Duration,
    /// Goes on where there is not one snapshot.
    pub(crate) allow_no_snapshots: bool,
    /// Sessions that are known to have ended: those of snapshots that were forgotten just now.
    pub(crate) ended: Vec<SnapshotId>,
    /// Stored bytes at which a pack is closed, for data and for metadata.
    pub(crate) pack_goals: (usize, usize),
}

impl PruneOptions {
    pub(crate) fn new(pack_goals: (usize, usize)) -> Self {
        Self {
            max_unused: MAX_UNUSED,
            max_repack_bytes: u64::MAX,
            repack_small: false,
            reencrypt: false,
            grace: None,
            min_age: MIN_AGE,
            allow_no_snapshots: false,
            ended: Vec::new(),
            pack_goals,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_one_of_what_there_is_in_the_end() {
        // 50 bytes beside 950 are 5 % of 1000.
        assert_eq!(MaxUnused::Percent(5.0).bytes(950), 50);
        assert_eq!(MaxUnused::Percent(0.0).bytes(u64::MAX), 0);
        assert_eq!(MaxUnused::Percent(12.5).bytes(875_000), 125_000);
        assert_eq!(MaxUnused::Bytes(7).bytes(950), 7);
        assert_eq!(MaxUnused::Unlimited.bytes(1), u64::MAX);
    }

    #[test]
    fn at_most_half_of_a_copied_segment_is_waste() {
        assert_eq!(MaxUnused::Percent(5.0).of_a_segment(), 5_000);
        assert_eq!(MaxUnused::Percent(80.0).of_a_segment(), 50_000);
        assert_eq!(MaxUnused::Unlimited.of_a_segment(), 50_000);
        assert_eq!(MaxUnused::Bytes(0).of_a_segment(), 0);
    }
}
