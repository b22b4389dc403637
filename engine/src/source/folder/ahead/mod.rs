//! Reading ahead of the walk, when it waits for the disk.
//!
//! The walk asks for one thing after the other, and a disk that takes half a millisecond for each answer
//! makes a first backup of many small files twenty times slower than it need be. So the clock is watched
//! (`pace`): once the walk is seen to wait, a few threads (`helpers`) go through what it will want next
//! (`plan`) and have the kernel bring it into memory: inodes always, content while the snapshot before
//! does not have it. They give nothing to the walk and it never waits for them; what they do can change
//! how long it takes, but not what it gives. When all is found in memory they rest until the walk waits
//! again; resting, they cost nothing, and they are not even started before they are needed.

mod helpers;
mod pace;
mod plan;

pub(super) use helpers::will_need;
pub(super) use pace::Pace;
pub(super) use plan::Place;

use super::listing::Listing;
use super::rules::Rules;
use crate::source::Want;
use helpers::Helpers;
use std::sync::Arc;

/// Of the last 32 answers, how many must have been for bytes to read content ahead.
const WANTED_MIN: u32 = 24;
/// Names that the walk passes before the helpers, idle again, are given those that come next.
const PAUSE: u32 = 32;

/// Decides whether to run ahead, and tells the helpers where the walk is.
#[derive(Debug)]
pub(super) struct Ahead {
    /// How long the walk's own calls take.
    pub(super) pace: Pace,
    rules: Arc<Rules>,
    helpers: Option<Helpers>,
    is_on: bool,
    /// Never rests, for tests.
    is_forced: bool,
    /// One bit for each of the last answers: bytes are wanted.
    answers: u32,
    /// Names the walk passes before the helpers are given others.
    pause: u32,
}

impl Ahead {
    /// At rest, until the walk waits.
    pub(super) fn new(rules: Arc<Rules>, is_forced: bool) -> Self {
        let answers = if is_forced { u32::MAX } else { 0 };
        Self { pace: Pace::default(), rules, helpers: None, is_on: false, is_forced, answers, pause: 0 }
    }

    /// The sink answered for a file.
    pub(super) fn answered(&mut self, want: Want) {
        self.answers = self.answers << 1 | u32::from(want == Want::Bytes);
    }

    /// The walk is at `path`; true when the helpers need to be given the names that come next.
    pub(super) fn reached(&mut self, path: &[u8]) -> bool {
        if !self.is_on {
            // What a .gitignore leaves out must not be read, and only the walk knows that.
            if !(self.is_forced || self.pace.is_waiting()) || self.rules.gitignore {
                return false;
            }
            self.is_on = true;
        }
        let helpers = self.helpers.get_or_insert_with(|| Helpers::start(&self.rules));
        let reads = self.answers.count_ones() >= WANTED_MIN;
        let (is_warm, is_idle) = helpers.with(|state| {
            state.reads = reads;
            state.plan.reached(path);
            let is_warm = state.judge().unwrap_or(false);
            (is_warm, state.plan.is_empty())
        });
        if is_warm && !self.is_forced {
            self.rest();
            return false;
        }
        self.pause = self.pause.saturating_sub(1);
        is_idle && self.pause == 0
    }

    /// Whether the walk goes into a directory that nobody listed ahead of it.
    pub(super) fn is_surprised(&self) -> bool {
        self.is_on && self.helpers.as_ref().is_some_and(|helpers| helpers.with(|state| state.plan.is_surprised()))
    }

    /// Gives the helpers the next names of some directories; nearer ones than they know when they were
    /// surprised.
    pub(super) fn add(&mut self, found: Vec<(Place, Listing)>, surprised: bool) {
        self.pause = PAUSE;
        let Some(helpers) = &self.helpers else { return };
        helpers.with(|state| {
            if surprised {
                state.plan.turn_back();
            }
            for (place, listing) in found {
                state.plan.add(Arc::new(place), listing);
            }
        });
    }

    fn rest(&mut self) {
        self.is_on = false;
        self.pace.reset();
        if let Some(helpers) = &self.helpers {
            helpers.with(helpers::State::clear);
        }
    }
}
