//! The engine itself in simulated worlds: everything that can go wrong with a store, with machines and with their
//! clocks, in an order that a seed decides.
//!
//! Writers who back up or copy, pruners who also repair and change the root key, keepers who forget, tag, protect and
//! rewrite (`verbs`), and readers are sessions of the real engine, each behind a view of one store in memory. In most
//! worlds chunks are so small that little files have many. Before each operation an actor waits until the scheduler
//! lets it go on (`desk`, `world`), so all interleavings are at operations; only what a running backup reads of its
//! parent is answered at once. Time is virtual (`time`): an operation takes a moment, an actor may sleep for weeks
//! before one or before it hears of its outcome, clocks are off by years, and a suspended machine may not notice that
//! it slept. The store's own clock may be behind until somebody sets it right, by hours or by twelve days. The store
//! (`shelf`, `answers`) shows itself as it was up to six hours ago where it says that its listings
//! may be stale, fails before or after doing what it was asked for, or does it later, is full, and loses or tears what
//! no barrier made durable when its machine goes down. As on a local disk a name is safe, and a deletion, when its
//! folder was synced by whomever since: a call does that before it returns, and somebody who relies on what others did
//! before theirs returned must do it himself. Of the rest an outage keeps and undoes what it likes.
//!
//! After every step each committed snapshot must find all it needs in packs that are there and in the index (`oracle`).
//! What rules forget is not protected, and what is rewritten goes only for another one. In the end all snapshots are
//! restored and compared, the check finds nothing, and when everything was pruned that nobody needs nothing else is
//! left (`ending`). A snapshot is excused if it was stored after its pending record had become so old that it was taken
//! for left over, but only if its owner was told so. Worlds that once went wrong are kept (`found`), and rules that are
//! broken on purpose are found out (`teeth`).
//!
//! **How far a seed decides.** The order of operations, times, faults and all random bytes come from the seed, in one
//! thread; the stages of a backup and the copying of a prune have threads of their own, which are waited for. A test
//! plays seeds twice and compares every step. `STRONGROOM_SIMULATION=<seed>` plays one aloud.

mod actors;
mod answers;
mod desk;
mod ending;
mod found;
mod options;
mod oracle;
mod rewrites;
mod shelf;
mod tally;
mod teeth;
mod time;
mod verbs;
mod verdicts;
mod world;

use bytes::Bytes;
use options::Options;
use std::collections::BTreeMap;
use std::sync::Mutex;
use strongroom::MemoryBackend;
use strongroom::Name;
use tally::Tally;
use tokio::runtime::Runtime;
use world::World;

/// Seeds of one test of the ordinary run.
const SEEDS: u64 = 250;

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

/// What an empty repository with chunks of this size consists of, made once.
fn empty(runtime: &Runtime, chunk: u64) -> Vec<(Name, Bytes)> {
    static EMPTY: Mutex<BTreeMap<u64, Vec<(Name, Bytes)>>> = Mutex::new(BTreeMap::new());
    let mut empty = EMPTY.lock().expect("no holder panics");
    let made = empty.entry(chunk).or_insert_with(|| {
        let backend = MemoryBackend::new();
        runtime.block_on(actors::create(&backend, 7, chunk)).expect("created");
        runtime.block_on(verbs::original());
        backend.contents()
    });
    made.clone()
}

/// Plays one world to its end.
fn play(runtime: &Runtime, seed: u64, options: Options, aloud: bool) -> (Result<(), String>, Tally) {
    let contents = empty(runtime, options.chunk);
    runtime.block_on(async {
        let mut world = World::new(seed, options, &contents, aloud).await;
        let outcome = world.play().await;
        (outcome, world.tally)
    })
}

/// Plays many worlds; the first that loses something fails the test, and is told with the way to see it again.
fn play_all(seeds: impl Iterator<Item = u64>) {
    let runtime = runtime();
    let (mut total, mut worlds) = (Tally::default(), 0u64);
    for seed in seeds {
        let options = Options::of(seed);
        let (outcome, tally) = play(&runtime, seed, options.clone(), false);
        if let Err(why) = outcome {
            panic!(
                "seed {seed}: {why}\n{options:?}\n{tally:?}\nto see it step by step: STRONGROOM_SIMULATION={seed} \
                 cargo nextest run -p strongroom-tests --no-capture one_world_can_be_seen_again"
            );
        }
        worlds += 1;
        total.add(&tally);
    }
    println!("{worlds} worlds: {total:?}");
    let missing = total.missing();
    assert!(worlds < SEEDS || missing.is_empty(), "never in {worlds} worlds: {missing:?}\n{total:?}");
}

#[test]
fn one_world_can_be_seen_again() {
    let seed = std::env::var("STRONGROOM_SIMULATION").ok().and_then(|seed| seed.parse().ok());
    let (seed, aloud) = (seed.unwrap_or(1), seed.is_some());
    let options = Options::of(seed);
    if aloud {
        println!("{options:?}");
    }
    let (outcome, tally) = play(&runtime(), seed, options, aloud);
    assert_eq!(outcome, Ok(()), "{tally:?}");
}

#[test]
fn a_seed_plays_the_same_world_again() {
    let runtime = runtime();
    for seed in 0..40 {
        let (one, first) = play(&runtime, seed, Options::of(seed), false);
        let (two, second) = play(&runtime, seed, Options::of(seed), false);
        assert_eq!((one, first), (two, second), "seed {seed}");
    }
}

macro_rules! worlds {
    ($($name:ident: $number:literal,)*) => {
        $(
            #[test]
            fn $name() {
                play_all($number * SEEDS..($number + 1) * SEEDS);
            }
        )*
    };
}

worlds! {
    nothing_is_lost_in_any_of_these_worlds: 0,
    nor_in_any_of_these: 1,
    nor_in_any_of_those: 2,
    nor_in_the_fourth_batch: 3,
    nor_in_the_fifth: 4,
    nor_in_the_sixth: 5,
    nor_in_the_seventh: 6,
    nor_in_the_eighth: 7,
}

/// As many worlds as an hour has room for, beginning where the time of day says: `STRONGROOM_LONG=1`.
#[test]
fn nothing_is_lost_in_an_hour_of_worlds() {
    let long = std::env::var_os("STRONGROOM_LONG").is_some();
    let started = std::time::Instant::now();
    let first = started_at();
    let goes_on = |seed: &u64| if long { started.elapsed().as_secs() < 3600 } else { *seed < first + 20 };
    play_all((first..).take_while(goes_on));
}

/// Another beginning each day, so that runs of several days try different worlds.
fn started_at() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    1_000_000 + since / 86_400 * 1_000_000
}
