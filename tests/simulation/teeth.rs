//! The simulation has teeth: with one rule broken on purpose it finds a loss, and soon.

use super::options::Broken;
use super::options::Options;
use super::play;
use super::runtime;
use super::time::HOUR;
use strongroom::Area;

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
    options.cares = 0;
    options.copies = 0;
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

/// A store whose machine goes down while somebody has not heard yet of what he did, and others rely on it.
fn abrupt(options: &mut Options) {
    busy(options);
    options.interval = HOUR;
    options.pauses = 0;
    options.lingers = 5;
    options.outages = 100;
}

#[test]
fn backups_that_rely_on_an_index_that_nobody_has_synced_lose_data_when_the_store_goes_down() {
    loses(Broken::NoBarrierFor(Area::Index), 2000, abrupt);
}

#[test]
fn snapshots_come_back_without_their_data_when_prunes_do_not_sync_that_they_are_gone() {
    loses(Broken::NoBarrierFor(Area::Snapshots), 2000, abrupt);
}

#[test]
fn a_root_key_is_lost_with_its_slot_when_those_who_use_it_do_not_sync_that() {
    let (_, why) = first_loss(Broken::NoBarrierFor(Area::Slots), 1000, |options| {
        abrupt(options);
        options.cares = 3;
    });
    assert!(why.contains("its key is not at hand") || why.contains("cannot be read"), "{why}");
}

#[test]
fn a_rewrite_that_forgets_first_is_found_out() {
    let (_, why) = first_loss(Broken::ForgetsBeforeRewriting, 100, busy);
    assert!(why.contains("is not written anew yet"), "{why}");
}

#[test]
fn rules_that_take_protected_snapshots_are_found_out() {
    let (_, why) = first_loss(Broken::ForgetsProtected, 300, busy);
    assert!(why.contains("is protected"), "{why}");
}

#[test]
fn packs_that_no_barrier_made_durable_are_lost_when_the_store_goes_down() {
    loses(Broken::NoBarrier, 300, |options| {
        busy(options);
        options.outages = 200;
    });
}
