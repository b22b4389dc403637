//! Judges by the clock whether the walk waits for the disk.

use std::time::Duration;

/// What takes longer than this did not come from memory.
const SLOW: Duration = Duration::from_micros(100);
/// No single call counts for more: it may have waited for a processor instead.
const COUNTED_MAX: Duration = Duration::from_millis(4);
/// Calls that are judged together.
const CALLS: u32 = 64;
/// Slow calls among them, without which it may be mere chance.
const SLOW_MIN: u32 = 4;
/// Time lost in them that helpers are worth.
const WAITED_MIN: Duration = Duration::from_millis(4);

/// The calls since the last judgement.
#[derive(Debug, Default)]
pub(in crate::source::folder) struct Pace {
    calls: u32,
    slow: u32,
    waited: Duration,
    is_waiting: bool,
}

impl Pace {
    /// Takes note of one call to the system that may wait for the disk.
    pub(in crate::source::folder) fn took(&mut self, time: Duration) {
        self.calls += 1;
        if time >= SLOW {
            self.slow += 1;
            self.waited += time.min(COUNTED_MAX);
        }
        if self.slow >= SLOW_MIN && self.waited >= WAITED_MIN {
            *self = Self { is_waiting: true, ..Self::default() };
        } else if self.calls >= CALLS {
            *self = Self::default();
        }
    }

    /// Whether the last judgement was that the disk is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(micros: impl IntoIterator<Item = u64>) -> bool {
        let mut pace = Pace::default();
        for micros in micros {
            pace.took(Duration::from_micros(micros));
            if pace.is_waiting() {
                return true;
            }
        }
        false
    }

    #[test]
    fn a_warm_cache_is_never_taken_for_a_slow_disk() {
        assert!(!paced(std::iter::repeat_n(60, 10_000)));
    }

    #[test]
    fn a_rare_pause_is_no_slow_disk_however_long() {
        assert!(!paced((0..10_000).map(|call| if call % 30 == 0 { 500_000 } else { 5 })));
    }

    #[test]
    fn a_disk_that_is_waited_for_is_noticed_within_a_few_dozen_calls() {
        assert!(paced((0..48).map(|call| if call % 4 == 0 { 600 } else { 5 })));
        assert!(paced(std::iter::repeat_n(600, 8)));
    }
}
