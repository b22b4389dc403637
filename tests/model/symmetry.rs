//! Makes states one that differ only in names: packs, index objects and runs are numbered by what they are, and pruners
//! by what they do.
//!
//! Any new numbering of a state is as good as the old one, so a tie costs a little work and never a state.

use super::state::Area;
use super::state::NONE;
use super::state::OBJECTS;
use super::state::PACKS;
use super::state::Pruner;
use super::state::RUNS;
use super::state::State;
use super::state::bits;

/// New numbers of old ones.
type Numbering = [u8; 16];

/// Numbers everything anew. For worlds where all share all names, and listings are never stale.
pub fn renumber(state: &mut State, pruners: usize) {
    if pruners == 2 && name_free(&state.pruners[0]) > name_free(&state.pruners[1]) {
        state.pruners.swap(0, 1);
    }
    packs(state);
    objects(state);
    runs(state);
}

/// What tells pruners apart without any name.
fn name_free(pruner: &Pruner) -> impl Ord {
    let counts = [pruner.victims, pruner.condemned, pruner.tombed, pruner.seen].map(u16::count_ones);
    (pruner.at, pruner.live, pruner.copying, pruner.runs, pruner.fresh == NONE, counts)
}

/// Numbers for the members of `known`, those with the smallest keys first.
fn numbering(known: u16, key: impl Fn(usize) -> u64) -> Numbering {
    let mut keys = [(u64::MAX, 0u8); 16];
    let count = bits(known).zip(keys.iter_mut()).map(|(old, place)| *place = (key(old), old as u8)).count();
    keys[..count].sort_unstable();
    let mut numbers = [NONE; 16];
    keys[..count].iter().enumerate().for_each(|(new, (_, old))| numbers[usize::from(*old)] = new as u8);
    numbers
}

fn set(numbers: &Numbering, old: u16) -> u16 {
    bits(old).fold(0, |new, number| new | 1 << numbers[number])
}

fn one(numbers: &Numbering, old: u8) -> u8 {
    if old == NONE { NONE } else { numbers[usize::from(old)] }
}

/// Moves the objects of one folder to their new numbers.
fn facts(state: &mut State, area: Area, numbers: &Numbering) {
    let there = state.store.there;
    let moved = bits(area.of(there)).fold(0, |all, old| all | area.bit(numbers[old].into()));
    state.store.there = there & !area.all() | moved;
}

fn packs(state: &mut State) {
    let is = |set: u16, pack: usize| u64::from(set >> pack & 1);
    let fresh = |number: u8, pack: usize| u64::from(usize::from(number) == pack);
    let old = *state;
    let numbers = numbering(old.packs_known(), |pack| {
        let mut key = u64::from(old.store.content[pack]);
        let mut add = |bit: u64| key = key << 1 | bit;
        for me in &old.writers {
            [is(me.named, pack), is(me.condemned, pack), fresh(me.fresh, pack)].into_iter().for_each(&mut add);
        }
        for me in &old.pruners {
            let sets = [me.victims, me.condemned, me.tombed].map(|set| is(set, pack));
            sets.into_iter().chain([fresh(me.fresh, pack)]).for_each(&mut add);
        }
        let named = old.store.names.iter().filter(|names| is(**names, pack) == 1).count();
        let condemned = old.store.runs.iter().filter(|names| is(**names, pack) == 1).count();
        key << 8 | (named as u64) << 4 | condemned as u64
    });
    facts(state, Area::Packs, &numbers);
    state.store.content = [0; PACKS];
    bits(old.packs_known()).for_each(|pack| {
        state.store.content[usize::from(numbers[pack])] = old.store.content[pack];
    });
    state.store.names.iter_mut().chain(&mut state.store.runs).for_each(|names| *names = set(&numbers, *names));
    for me in &mut state.writers {
        (me.named, me.condemned) = (set(&numbers, me.named), set(&numbers, me.condemned));
        me.fresh = one(&numbers, me.fresh);
    }
    for me in &mut state.pruners {
        (me.victims, me.condemned) = (set(&numbers, me.victims), set(&numbers, me.condemned));
        (me.tombed, me.fresh) = (set(&numbers, me.tombed), one(&numbers, me.fresh));
    }
}

fn objects(state: &mut State) {
    let old = *state;
    let there = Area::Index.of(old.store.there);
    let numbers = numbering(old.objects_known(), |object| {
        let sets = [there, old.pruners[0].seen, old.pruners[1].seen].map(|set| u64::from(set >> object & 1));
        sets.into_iter().fold(old.store.names[object].into(), |key, bit| key << 1 | bit)
    });
    facts(state, Area::Index, &numbers);
    state.store.names = [0; OBJECTS];
    bits(old.objects_known()).for_each(|object| {
        state.store.names[usize::from(numbers[object])] = old.store.names[object];
    });
    state.pruners.iter_mut().for_each(|me| me.seen = set(&numbers, me.seen));
}

fn runs(state: &mut State) {
    let old = *state;
    let stored = [Area::Marks.of(old.store.there), Area::Tombs.of(old.store.there)];
    let used = [old.pruners[0].run, old.pruners[1].run, old.janitor.tomb];
    let numbers = numbering(old.runs_known(), |run| {
        let stored =
            stored.iter().fold(old.store.runs[run].into(), |key: u64, set| key << 1 | u64::from(set >> run & 1));
        used.iter().fold(stored, |key, user| key << 1 | u64::from(usize::from(*user) == run))
    });
    facts(state, Area::Marks, &numbers);
    facts(state, Area::Tombs, &numbers);
    state.store.runs = [0; RUNS];
    bits(old.runs_known()).for_each(|run| state.store.runs[usize::from(numbers[run])] = old.store.runs[run]);
    state.pruners.iter_mut().for_each(|me| me.run = one(&numbers, me.run));
    state.janitor.tomb = one(&numbers, state.janitor.tomb);
}
