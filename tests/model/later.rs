//! Nothing is blocked for ever: whatever state everybody dies in, a later backup commits and a later prune finishes.

use super::LARGE;
use super::checker::Outcome;
use super::checker::explore;
use super::state::Area;
use super::state::Janitor;
use super::state::Pruner;
use super::state::PrunerAt;
use super::state::State;
use super::state::Writer;
use super::state::WriterAt;
use super::state::bits;
use super::world::Moves;
use super::world::Who;
use super::world::World;
use std::collections::HashSet;

/// Moves that somebody needs who is alone, at most.
const MOVES_MAX: usize = 60;

/// Everybody has died; from now on there are one new writer and one new pruner.
fn all_dead(state: &State) -> State {
    let dead = Writer { at: WriterAt::Gone, ..Writer::default() };
    let mut after = State { crashes: u8::MAX, ..*state };
    (after.writers, after.pruners, after.janitor) = ([dead, Writer::default()], Default::default(), Janitor::default());
    after.forget_names();
    after
}

/// Only one acts, and of all it may do it always does the last: whoever can go on, goes on.
fn alone(world: &World, mut state: State, who: Who, done: impl Fn(&State) -> bool) -> State {
    for _ in 0..MOVES_MAX {
        if done(&state) {
            return state;
        }
        let mut moves = Moves::new();
        world.moves(&state, &mut moves);
        let own = moves.into_iter().rfind(|(step, _)| step.who == who);
        let (step, next) = own.unwrap_or_else(|| panic!("{who:?} cannot go on in {state:?}"));
        state = next;
        assert_eq!(world.lost(&state), 0, "{step} loses data in {state:?}");
    }
    panic!("{who:?} does not come to an end in {state:?}")
}

/// One later run takes over a mark that was left.
fn finish_one_mark(world: &World, state: &State) -> State {
    let mut moves = Moves::new();
    world.moves(state, &mut moves);
    let (_, begun) = moves
        .into_iter()
        .find(|(step, _)| step.who == Who::Pruner(0) && step.what.starts_with("takes over"))
        .expect("a mark can be taken over");
    let mut after = alone(world, begun, Who::Pruner(0), |state| state.pruners[0].at == PrunerAt::Idle);
    after.pruners[0] = Pruner::default();
    after
}

#[test]
fn a_later_backup_commits_and_a_later_prune_finishes_whatever_was_left() {
    let world = World { pruners: 2, crashes: 0, needs: [0b01, 0b11, 0b11], ..LARGE };
    let later = World { writers: 2, pruners: 1, rescues: 1, ..world };
    let (mut seen, mut marks) = (HashSet::new(), 0);
    let outcome = explore(&world, super::STATES_MAX, |state| {
        let left = all_dead(state);
        if !seen.insert(left) {
            return;
        }
        let mut after = alone(&later, left, Who::Writer(1), |state| state.writers[1].at == WriterAt::Gone);
        assert!(after.store.has(Area::Snapshots, 2), "the later backup did not commit, after {state:?}");
        while bits(Area::Marks.of(after.store.there)).next().is_some() {
            let before = Area::Marks.of(after.store.there).count_ones();
            after = finish_one_mark(&later, &after);
            assert!(Area::Marks.of(after.store.there).count_ones() < before, "a mark stays, after {state:?}");
            marks += 1;
        }
    });
    println!("{outcome}; {} ends, {marks} marks taken over", seen.len());
    assert!(matches!(outcome, Outcome::Exhausted { .. }) && marks > 0);
}
