//! Time as data, and the clock it comes from.

use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Seconds since 1970 (may be negative) and nanoseconds below a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds since the Unix epoch, rounded down.
    pub seconds: i64,
    /// 0..1_000_000_000.
    pub nanoseconds: u32,
}

/// Where the engine learns what time it is; tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// The present moment by the host's wall clock.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment: nobody sets this clock, and it goes on while the machine sleeps. A clock that has
    /// nothing better takes the wall clock.
    fn since_boot(&self) -> Duration {
        let Timestamp { seconds, nanoseconds } = self.now();
        Duration::new(u64::try_from(seconds).unwrap_or_default(), nanoseconds)
    }
}

/// The host's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from(SystemTime::now())
    }

    fn since_boot(&self) -> Duration {
        let time = clock_gettime(ClockId::Boottime);
        // The kernel gives neither negative times since boot nor more nanoseconds than a second has.
        Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
    }
}

impl Timestamp {
    /// Whether its nanoseconds are below a second, as nobody keeps the fields from not being: others are never read.
    pub(crate) fn is_valid(self) -> bool {
        self.nanoseconds < 1_000_000_000
    }

    /// How far two moments lie apart, whichever is the earlier one.
    pub(crate) fn distance(self, other: Self) -> Duration {
        let nanoseconds = |time: Self| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds);
        let apart = nanoseconds(self).abs_diff(nanoseconds(other));
        let fraction = u32::try_from(apart % 1_000_000_000).unwrap_or_default();
        Duration::new(u64::try_from(apart / 1_000_000_000).unwrap_or(u64::MAX), fraction)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => {
                Self { seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX), nanoseconds: after.subsec_nanos() }
            }
            Err(before) => {
                let before = before.duration();
                let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Self { seconds: -whole, nanoseconds: 0 },
                    nanos => Self { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanos },
                }
            }
        }
    }
}
