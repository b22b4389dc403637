//! The simulation has teeth: with one rule broken on purpose it finds a loss, and soon.

use super::options::Broken;
use super::options::Options;
use super::play;
use super::runtime;
use super::time::HOUR;

/// The first seed whose world loses something, and what is said of it.
fn first_loss(broken: Broken, among: u64, worse: impl Fn(&mut Options)) -> (u64, String) {
    let runtime = runtime();
    for seed in 0..among {
        let mut options = Options { broken: Some(broken), ..Options::of(seed) };
        worse(&mut options);
        if let (Err(why), _) = play(&runtime, seed, options, false) {
            println!("{broken:?}: seed {seed}: {why}");
            return (seed, why);
        }
    }
    panic!("{broken:?}: {among} worlds, and nothing was found");
}

fn loses(broken: Broken, among: u64, worse: impl Fn(&mut Options)) {
    let (_, why) = first_loss(broken, among, worse);
    assert!(why.contains("has lost") || why.contains("cannot be read"), "{why}");
}

/// A world in which prunes have something to do.
fn busy(options: &mut Options) {
    options.writers = options.writers.max(3);
    options.pruners = options.pruners.max(2);
    options.keepers = 1;
    options.runs = 3;
    options.files = 10;
    options.stale = 0;
}

#[test]
fn writers_that_see_no_mark_lose_data() {
    loses(Broken::MarksAreHidden, 300, busy);
}

#[test]
fn pruners_that_see_no_pending_record_lose_data() {
    loses(Broken::IntentsAreHidden, 1000, busy);
}

#[test]
fn pruners_that_see_no_mark_of_others_lose_data() {
    loses(Broken::ForeignMarksAreHidden, 1000, busy);
}

#[test]
fn pruners_that_do_not_wait_for_stale_listings_lose_data() {
    loses(Broken::NoGrace, 300, |options| {
        busy(options);
        options.stale = 6 * HOUR;
        options.interval = HOUR;
    });
}

#[test]
fn packs_that_no_barrier_made_durable_are_lost_when_the_store_goes_down() {
    loses(Broken::NoBarrier, 300, |options| {
        busy(options);
        options.outages = 200;
    });
}
