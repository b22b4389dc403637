//! What happened in worlds, counted: a rule that nothing came near to was not tried.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

/// How often each thing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub steps: u64,
    /// The same for the same seed.
    pub trace: u64,
    pub counts: BTreeMap<&'static str, u64>,
}

/// What must have happened in a few hundred worlds.
pub const MUST_HAPPEN: &[&str] = &[
    // What is done.
    "snapshots stored",
    "copies stored",
    "prunes",
    "snapshots rewritten",
    "snapshots protected",
    "snapshots that rules removed",
    "packs that a repair named",
    "root keys",
    // What goes wrong.
    "failures",
    "crashes",
    "names lost",
    // What only becomes of small chunks, segments and packs.
    "files of several chunks",
    "packs of several segments",
    "snapshots that share packs",
    "packs deleted",
    "data keys deleted",
    "segments copied sealed",
    "segments formed anew",
    "levels of the index merged",
    "shards",
];

impl Tally {
    pub fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }

    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        other.counts.iter().for_each(|(what, times)| self.count(what, *times));
    }

    /// What should have happened and did not.
    pub fn missing(&self) -> Vec<&'static str> {
        MUST_HAPPEN.iter().filter(|what| self.counts.get(*what).is_none_or(|times| *times == 0)).copied().collect()
    }
}

/// A tally that actors share.
#[derive(Clone, Default)]
pub struct Deeds(Arc<Mutex<Tally>>);

impl Deeds {
    pub fn count(&self, what: &'static str, times: u64) {
        self.0.lock().expect("no holder panics").count(what, times);
    }

    pub fn tally(&self) -> Tally {
        self.0.lock().expect("no holder panics").clone()
    }
}
