//! Virtual time, what each machine's clocks make of it, and randomness that does not depend on threads.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::ThreadId;
use std::time::Duration;
use strongroom::Clock;
use strongroom::Rng;
use strongroom::SeededRng;
use strongroom::Timestamp;

pub const SECOND: u64 = 1000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

/// When every world begins, in seconds since 1970.
const BEGINNING: i64 = 1_800_000_000;

/// Milliseconds since the beginning of the world; clones share it. This is the store's time.
#[derive(Clone, Default)]
pub struct Time(Arc<AtomicU64>);

impl Time {
    pub fn now(&self) -> u64 {
        self.0.load(SeqCst)
    }

    pub fn pass(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds, SeqCst);
    }

    /// Never goes back.
    pub fn reach(&self, moment: u64) {
        self.0.fetch_max(moment, SeqCst);
    }
}

/// A moment of the world as a store dates it whose clock is behind by so many milliseconds.
pub fn date(moment: u64, behind: u64) -> Timestamp {
    let signed = |time| i64::try_from(time).expect("no world lasts that long");
    timestamp(signed(moment) - signed(behind))
}

fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp {
        seconds: BEGINNING + milliseconds.div_euclid(1000),
        nanoseconds: u32::try_from(milliseconds.rem_euclid(1000)).expect("below a thousand") * 1_000_000,
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        date(Self::now(self), 0)
    }
}

/// The two clocks of one machine.
pub struct Hands {
    time: Time,
    /// How far the wall clock is off, in milliseconds.
    skew: AtomicI64,
    /// Pauses that neither clock has noticed: those of a whole virtual machine.
    unnoticed: AtomicU64,
}

impl Hands {
    pub fn new(time: &Time, skew: i64) -> Self {
        Self { time: time.clone(), skew: AtomicI64::new(skew), unnoticed: AtomicU64::new(0) }
    }

    pub fn set(&self, skew: i64) {
        self.skew.store(skew, SeqCst);
    }

    /// A machine that starts again knows the time.
    pub fn start(&self) {
        self.unnoticed.store(0, SeqCst);
    }

    pub fn overlook(&self, milliseconds: u64) {
        self.unnoticed.fetch_add(milliseconds, SeqCst);
    }

    fn noticed(&self) -> u64 {
        self.time.now() - self.unnoticed.load(SeqCst)
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        timestamp(i64::try_from(self.noticed()).expect("no world lasts that long") + self.skew.load(SeqCst))
    }

    fn since_boot(&self) -> Duration {
        Duration::from_millis(self.noticed())
    }
}

/// Random bytes of one session. The thread of the world draws from one stream. Threads that work for it at the same time
/// cannot do that and be repeatable, for which of them closes a pack is chance: what they draw depends on the step of the
/// world and on how much is drawn, so that two of them draw the same. Nothing that the engine does depends on that; an
/// attacker would be glad of it.
pub struct Draws {
    seed: u64,
    step: Time,
    home: ThreadId,
    stream: SeededRng,
}

impl Draws {
    /// `step` counts the steps of the world.
    pub fn new(seed: u64, step: &Time) -> Self {
        Self { seed, step: step.clone(), home: std::thread::current().id(), stream: SeededRng::new(seed) }
    }
}

impl Rng for Draws {
    fn fill(&self, into: &mut [u8]) -> strongroom::Result<()> {
        if std::thread::current().id() == self.home {
            return self.stream.fill(into);
        }
        let step = self.step.now();
        let mixed = [step, into.len() as u64].iter().fold(self.seed, |mixed, part| {
            (mixed ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        });
        SeededRng::new(mixed).fill(into)
    }
}
