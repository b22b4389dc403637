//! The prune protocol as a model: every order in which writers, pruners, crashes and `forget` can act is tried.
//!
//! The engine's tests try many interleavings; this tries all of a small world, of the protocol rather than of its code.
//! A world has two chunks, a few packs, index objects that are merged, one or two writers (W0 to W5), pruners (P1 to P6)
//! that choose any packs as victims, a janitor that removes old pending records and tombs, a `forget` at any time, crashes
//! at any step, and if wanted listings that show any mixture of what is and of what was a moment ago. After every move I-1
//! must hold: every chunk reachable from a committed snapshot is in an existing pack that an index object names. The
//! protocol itself is in FORMAT.md.
//!
//! There is no clock. What people call time is an order of moves: a wait ends when all is visible that was done before it
//! began, and the janitor finds a record old whenever it likes, after which the writer's guard knows.
//!
//! - `state`: one moment; `world`: what is played; `writer`, `pruner`, `merge`, `janitor`: the moves; `symmetry`: which
//!   states are one; `checker`: visits them all.
//! - `rules`: the protocol without one of its rules. If that loses data, the rule is needed; the others say why not.
//! - `later`: nothing is blocked for ever.
//!
//! A *fine* world makes every request a step of its own. Larger worlds are coarse: what follows each other at once is
//! one step, and a trace names the last of it. A world that *forgets deleted packs* leaves them out of marks, tombs and index objects; with the rule that a
//! usable pack exists, and listings that are never stale, nobody can tell the difference.

mod checker;
mod janitor;
mod later;
mod merge;
mod pruner;
mod rules;
mod state;
mod symmetry;
mod world;
mod writer;

use checker::Outcome;
use checker::explore;
use world::World;

/// No world has more states; a search that does not end is a mistake.
const STATES_MAX: usize = 60_000_000;

/// One writer and one pruner, one run each: pack 0 holds both chunks, nothing is committed yet.
const SMALL: World = World {
    writers: 1,
    pruners: 1,
    runs: 1,
    crashes: 0,
    rescues: 0,
    victims: 1,
    stale: false,
    early: false,
    merges: false,
    tombs_last: false,
    fine: false,
    forgets_deleted: false,
    packs: [0b11, 0],
    needs: [0, 0b11, 0b01],
    without: 0,
};

/// As large as it gets: states that differ only in names, or in what is said of deleted packs, are one. An older
/// snapshot needs chunk 0.
const LARGE: World = World { forgets_deleted: true, needs: [0b01, 0b11, 0b01], ..SMALL };

/// The protocol holds in a world, wherever it goes.
fn holds(world: &World) {
    let outcome = explore(world, STATES_MAX, |_| {});
    println!("{outcome}");
    let Outcome::Exhausted { commits, .. } = outcome else { panic!("{world:?}: {outcome}") };
    assert!(commits > 0, "nobody ever committed, so nothing was tried");
}

/// Worlds of hours.
fn long() -> bool {
    std::env::var_os("STRONGROOM_LONG").is_some()
}

#[test]
fn one_writer_and_one_pruner_lose_nothing_whatever_request_comes_when() {
    holds(&World { fine: true, crashes: 1, rescues: 1, early: true, needs: [0b01, 0b11, 0], ..SMALL });
}

#[test]
fn one_writer_and_a_pruner_that_runs_twice_lose_nothing() {
    holds(&World { runs: 2, crashes: 1, rescues: 1, early: true, merges: true, ..LARGE });
}

#[test]
fn one_writer_and_two_pruners_that_crash_lose_nothing() {
    holds(&World { pruners: 2, crashes: 1, rescues: 1, ..LARGE });
}

#[test]
fn one_writer_and_two_pruners_that_crash_and_merge_lose_nothing() {
    holds(&World { pruners: 2, crashes: 1, merges: true, ..LARGE });
}

#[test]
fn two_writers_and_one_pruner_that_crash_lose_nothing() {
    holds(&World { writers: 2, crashes: 1, rescues: 1, ..LARGE });
}

#[test]
fn two_writers_and_one_pruner_that_crash_and_merge_lose_nothing() {
    holds(&World { writers: 2, crashes: 1, merges: true, ..LARGE });
}

#[test]
fn runs_with_two_victims_lose_nothing() {
    holds(&World { crashes: 1, rescues: 1, victims: 2, early: true, merges: true, packs: [0b11, 0b01], ..LARGE });
}

#[test]
fn listings_that_are_stale_lose_nothing() {
    let world = World { stale: true, crashes: 1, rescues: 1, early: true, needs: [0b01, 0b11, 0], ..SMALL };
    holds(&world);
    holds(&World { fine: true, ..world });
}

/// The listing of packs is what lets tombs go. Whoever does not want it has to keep them.
#[test]
fn tombs_that_stay_for_ever_take_the_place_of_listing_packs() {
    let world = World { pruners: 2, merges: true, tombs_last: true, ..SMALL };
    holds(&world.without(world::Rule::UsablePacksExist));
}

/// Both ways to make states one are ways to count, not to look away: with and without them the verdict is the same.
#[test]
fn what_is_counted_as_one_state_changes_no_verdict() {
    let world = World { crashes: 1, rescues: 1, merges: true, forgets_deleted: false, ..LARGE };
    holds(&world);
    holds(&World { forgets_deleted: true, ..world });
    holds(&World { fine: true, forgets_deleted: true, ..world });
}

/// The sizes that take long are tried with `STRONGROOM_LONG=1`; else their first states.
#[test]
fn larger_worlds_lose_nothing() {
    let worlds = [
        World { pruners: 2, crashes: 1, rescues: 1, merges: true, ..LARGE },
        World { writers: 2, crashes: 1, rescues: 1, merges: true, ..LARGE },
        World { writers: 2, runs: 2, crashes: 1, rescues: 1, ..LARGE },
        World { pruners: 2, stale: true, ..SMALL },
    ];
    for world in worlds {
        let outcome = explore(&world, if long() { STATES_MAX } else { 300_000 }, |_| {});
        println!("{outcome}");
        assert!(!matches!(outcome, Outcome::Lost { .. }), "{world:?}: {outcome}");
    }
}
