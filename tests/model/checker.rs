//! Visits every state of a world, breadth first, so that the first violation found has a shortest trace.

use super::state::Chunks;
use super::state::State;
use super::world::Move;
use super::world::Moves;
use super::world::World;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::hash::Hash;
use std::hash::Hasher;

/// States are told apart by 64 bits: among ten million, two are confused once in 400,000 searches.
type Fingerprint = u64;

/// What was found.
pub enum Outcome {
    /// Every state was visited, and every one is good.
    Exhausted { states: usize, depth: usize, commits: usize },
    /// The shortest way to a state in which these chunks are lost.
    Lost { chunks: Chunks, trace: Vec<Move>, states: usize },
    /// There were more states than were allowed.
    TooMany { states: usize, depth: usize },
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exhausted { states, depth, commits } => {
                write!(f, "exhausted: {states} states, {depth} moves deep, a backup committed in {commits}")
            }
            Self::TooMany { states, depth } => write!(f, "not exhausted after {states} states, {depth} moves deep"),
            Self::Lost { chunks, trace, states } => {
                write!(f, "chunks {chunks:#b} are lost after {} moves ({states} states)", trace.len())?;
                trace.iter().enumerate().try_for_each(|(number, step)| write!(f, "\n  {:>2}. {step}", number + 1))
            }
        }
    }
}

/// Visits at most `most` states.
pub fn explore(world: &World, most: usize, mut visit: impl FnMut(&State)) -> Outcome {
    let first = world.first();
    let mut came_from: HashMap<Fingerprint, Fingerprint, BuildHasherDefault<AsItIs>> = HashMap::default();
    came_from.insert(fingerprint(&first), 0);
    let (mut now, mut later) = (vec![first], Vec::new());
    let (mut depth, mut commits, mut moves) = (0, 0, Moves::new());
    while !now.is_empty() {
        for state in &now {
            visit(state);
            commits += usize::from(world.committed(state));
            let from = fingerprint(state);
            world.moves(state, &mut moves);
            for (_, next) in moves.drain(..) {
                if let Entry::Vacant(place) = came_from.entry(fingerprint(&next)) {
                    place.insert(from);
                    let chunks = world.lost(&next);
                    if chunks != 0 {
                        let trace = trace(world, fingerprint(&next), |state| came_from.get(&state).copied());
                        return Outcome::Lost { chunks, trace, states: came_from.len() };
                    }
                    later.push(next);
                }
            }
            if came_from.len() > most {
                return Outcome::TooMany { states: came_from.len(), depth };
            }
        }
        now.clear();
        std::mem::swap(&mut now, &mut later);
        depth += 1;
    }
    Outcome::Exhausted { states: came_from.len(), depth, commits }
}

/// Walks back to the beginning, and from there plays the same moves again.
fn trace(world: &World, last: Fingerprint, came_from: impl Fn(Fingerprint) -> Option<Fingerprint>) -> Vec<Move> {
    let mut way = vec![last];
    while let Some(before) = way.last().and_then(|state| came_from(*state)).filter(|before| *before != 0) {
        way.push(before);
    }
    way.reverse();
    let mut state = world.first();
    let replay = way.into_iter().skip(1).map(|wanted| {
        let mut moves = Moves::new();
        world.moves(&state, &mut moves);
        let found = moves.into_iter().find(|(_, next)| fingerprint(next) == wanted);
        let (step, next) = found.expect("this move was made before");
        state = next;
        step
    });
    replay.collect()
}

fn fingerprint(state: &State) -> Fingerprint {
    let mut mixer = Mixer(0x9e37_79b9_7f4a_7c15);
    state.hash(&mut mixer);
    mixer.finish()
}

/// Mixes words by multiplying and folding; fast, and good enough where nobody is hostile.
struct Mixer(u64);

impl Mixer {
    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word) * 0xa076_1d64_78bd_642f;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.mix(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Fingerprints need no second hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
