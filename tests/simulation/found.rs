//! Worlds in which something was lost once, or said to be: each is played again for ever.

use super::options::Options;
use super::play;
use super::runtime;
use super::time::DAY;
use super::time::HOUR;
use super::time::SECOND;

/// What the worlds below have in common.
const BUSY: Options = Options {
    writers: 2,
    pruners: 3,
    readers: 0,
    keepers: 1,
    runs: 3,
    files: 6,
    chunk: 0,
    shard: 0,
    cares: 0,
    copies: 0,
    pace: 2 * SECOND,
    interval: HOUR,
    sticky: 0,
    pauses: 30,
    faults: 0,
    crashes: 0,
    outages: 0,
    lingers: 0,
    full: 0,
    stale: 0,
    steady: true,
    skew: 0,
    behind: 0,
    right_from: 0,
    broken: None,
};

/// Nothing goes wrong, but whoever has something to do may take days.
const SLOW: Options = Options { pace: 100, interval: 5 * DAY, pauses: 0, lingers: 4, ..BUSY };

fn is_sound(seed: u64, options: Options) {
    let (outcome, tally) = play(&runtime(), seed, options, false);
    assert_eq!(outcome, Ok(()), "{tally:?}");
}

/// A prune read which snapshots there are and slept; meanwhile one of them was forgotten, and another prune took its data.
#[test]
fn what_was_forgotten_and_pruned_during_a_prune_is_no_damage() {
    is_sound(633, Options { pace: 30 * SECOND, interval: DAY, sticky: 50, skew: 3650 * DAY, ..BUSY });
    is_sound(1686, Options { sticky: 90, steady: false, skew: 3650 * DAY, ..BUSY });
}

/// A prune stored a merged index object and slept before it read that back; meanwhile another one had merged it again.
#[test]
fn what_one_prune_has_merged_another_may_merge_before_it_is_read_back() {
    let world = Options { writers: 3, readers: 1, files: 10, chunk: 512, copies: 6, interval: 5 * DAY, ..BUSY };
    is_sound(654, Options { pauses: 0, lingers: 5, steady: false, skew: 3650 * DAY, ..world });
}

/// A rewrite slept while it wrote; meanwhile its snapshot was forgotten, and a prune took what only that needed.
#[test]
fn what_is_forgotten_and_pruned_while_it_is_rewritten_is_no_damage() {
    is_sound(
        20_779_010_491,
        Options { pruners: 2, readers: 2, keepers: 2, runs: 2, files: 10, cares: 6, copies: 6, ..SLOW },
    );
}

/// A prune slept while it left its word that a pending record is old; its writer came back, and another prune took the
/// word away before it was read back.
#[test]
fn the_word_that_a_pending_record_is_old_may_go_before_it_is_read_back() {
    let world = Options { writers: 3, pruners: 2, readers: 2, runs: 2, chunk: 512, pace: 100, ..BUSY };
    is_sound(20_779_013_819, Options { sticky: 90, steady: false, skew: HOUR, ..world });
}

/// A writer whose machine was suspended again and again found everything each time, and index objects merged once more.
#[test]
fn a_writer_that_others_are_faster_than_has_found_no_damage() {
    let world = Options { writers: 8, pruners: 2, readers: 1, keepers: 2, files: 20, cares: 3, copies: 3, ..BUSY };
    is_sound(20_779_017_460, Options { pace: 30 * SECOND, pauses: 300, ..world });
}

/// A writer slept behind the put of its snapshot, which was forgotten and pruned meanwhile. It took its data for lost.
#[test]
fn a_snapshot_forgotten_before_its_writer_looked_again_was_not_too_late() {
    let world = Options { writers: 8, pruners: 2, runs: 1, files: 10, chunk: 1024, cares: 6, copies: 3, ..BUSY };
    is_sound(20_779_027_877, Options { interval: DAY, sticky: 90, pauses: 100, ..world });
}
