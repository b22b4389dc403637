//! What kind of world a seed makes: how many actors, how bad the store and the machines are.

use super::time::DAY;
use super::time::HOUR;
use super::time::MINUTE;
use super::time::SECOND;
use crate::support::trees::Dice;
use strongroom::Area;

/// A rule that is broken on purpose, to see that its loss is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Writers see no mark and no tomb.
    MarksAreHidden,
    /// Pruners see no pending record.
    IntentsAreHidden,
    /// Pruners do not wait, though listings are stale.
    NoGrace,
    /// A barrier returns and has done nothing.
    NoBarrier,
    /// What others have stored or deleted in this area is not made durable by whoever relies on it.
    NoBarrierFor(Area),
    /// Pruners see only what they have marked themselves.
    ForeignMarksAreHidden,
    /// Who rewrites a snapshot forgets it first.
    ForgetsBeforeRewriting,
    /// Who forgets by rules takes protected snapshots as well.
    ForgetsProtected,
}

/// A generator of its own for each purpose of a seed; those of neighbouring seeds have nothing in common.
pub fn dice(seed: u64, purpose: u64) -> Dice {
    let mut mixed = seed.wrapping_add(purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    Dice::new(mixed ^ mixed >> 31)
}

/// Everything that a seed decides before the first step.
#[derive(Clone, Debug)]
pub struct Options {
    pub writers: u64,
    pub pruners: u64,
    pub readers: u64,
    /// Somebody who forgets and tags.
    pub keepers: u64,
    /// Runs of each writer, and of everybody else.
    pub runs: u64,
    /// Different files there are. Few: the same ones come and go.
    pub files: u64,
    /// Nominal bytes of a chunk; 0 is the standard, so that every file is one.
    pub chunk: u64,
    /// Chunks from which on the index goes to local files; 0 is never.
    pub shard: u64,
    /// One prune in so many is another kind of care: a repair, or a new root key; 0 is never.
    pub cares: u64,
    /// One backup in so many is a copy from another repository; 0 is never.
    pub copies: u64,
    /// Milliseconds that one operation takes at most.
    pub pace: u64,
    /// Milliseconds between two runs of one actor at most.
    pub interval: u64,
    /// In a hundred: how often whoever was at work last goes on.
    pub sticky: u64,
    /// One operation in so many is interrupted by a pause of its machine; 0 is never.
    pub pauses: u64,
    /// One operation in so many fails; 0 is never.
    pub faults: u64,
    /// One operation in so many is the last of its process; 0 is never.
    pub crashes: u64,
    /// One operation in so many is the last of everybody: the store's machine goes down.
    pub outages: u64,
    /// One write in so many is done, and its process hears of it only after a pause; 0 is never.
    pub lingers: u64,
    /// One operation in so many begins an hour without room; 0 is never.
    pub full: u64,
    /// Milliseconds that a listing may be old; 0 on a store that lists at once.
    pub stale: u64,
    /// Nobody sees what he has seen before go back in time.
    pub steady: bool,
    /// Clocks are off by so many milliseconds at most.
    pub skew: u64,
    /// Milliseconds that the store's own clock is behind at first; somebody sets it right once.
    pub behind: u64,
    /// When that is, in milliseconds from the beginning.
    pub right_from: u64,
    pub broken: Option<Broken>,
}

impl Options {
    pub fn of(seed: u64) -> Self {
        let mut dice = dice(seed, 0);
        let mut one_of = |choices: &[u64]| {
            let at = usize::try_from(dice.below(choices.len() as u64)).expect("a small number");
            choices[at]
        };
        let options = Self {
            writers: one_of(&[2, 2, 2, 3, 3, 4, 5, 8]),
            pruners: one_of(&[0, 1, 1, 1, 2, 2, 2, 3]),
            readers: one_of(&[0, 0, 1, 2]),
            keepers: one_of(&[0, 1, 1, 2]),
            runs: one_of(&[1, 2, 2, 3]),
            files: one_of(&[6, 10, 20]),
            chunk: one_of(&[0, 512, 512, 1024]),
            shard: one_of(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 6]),
            cares: one_of(&[0, 3, 6]),
            copies: one_of(&[0, 0, 3, 6]),
            pace: one_of(&[100, 2 * SECOND, 30 * SECOND]),
            interval: one_of(&[MINUTE, HOUR, DAY, 5 * DAY]),
            sticky: one_of(&[0, 0, 50, 90]),
            pauses: one_of(&[0, 30, 100, 300]),
            faults: one_of(&[0, 0, 50, 250]),
            crashes: one_of(&[0, 0, 100, 400]),
            outages: one_of(&[0, 0, 0, 100]),
            lingers: one_of(&[0, 4, 20]),
            full: one_of(&[0, 0, 0, 200]),
            stale: one_of(&[0, 0, 6 * HOUR]),
            steady: one_of(&[0, 1]) == 1,
            skew: one_of(&[0, HOUR, 3650 * DAY]),
            behind: one_of(&[0, 0, 0, 0, 0, HOUR, DAY, 12 * DAY]),
            right_from: one_of(&[HOUR, 6 * HOUR, DAY, 5 * DAY]),
            broken: None,
        };
        // A store of many machines has its time from many clocks.
        if options.stale > 0 { Self { behind: 0, ..options } } else { options }
    }

    /// Whether nothing ever goes wrong but pauses and clocks: then only other actors can be in somebody's way.
    pub fn is_calm(&self) -> bool {
        self.broken.is_none() && self.faults + self.crashes + self.outages + self.full + self.stale == 0
    }
}
