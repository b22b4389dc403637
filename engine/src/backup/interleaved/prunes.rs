//! Prunes at every point of a backup: a snapshot that restores byte for byte once the victims are gone, or none.

use super::hooked::Act;
use super::hooked::Call;
use super::hooked::When;
use super::pruner::Pruner;
use super::pruner::STEPS;
use super::pruner::Step;
use super::scene::Others;
use super::scene::play;
use super::scene::play_again;
use crate::backend::Area;
use crate::backend::Backend;
use crate::error::Kind;
use crate::random::SeededRng;
use crate::random::array;

/// Everything before what is asked for in the name.
const BEFORE_W0: When = When::Before(Call::List, Area::Marks, 1);
const BEFORE_W1: When = When::Before(Call::Put, Area::Packs, 1);
const INSIDE_W1: When = When::Before(Call::Put, Area::Index, 1);
const BEFORE_W2: When = When::Before(Call::Put, Area::Pending, 1);
const BEFORE_W3: When = When::Before(Call::List, Area::Marks, 2);
const INSIDE_W3: When = When::After(Call::List, Area::Tombs, 2);
const BEFORE_W4: When = When::After(Call::List, Area::Packs, 2);
const BEFORE_COMMIT: When = When::Before(Call::Put, Area::Snapshots, 1);
const POINTS: [When; 8] = [BEFORE_W0, BEFORE_W1, INSIDE_W1, BEFORE_W2, BEFORE_W3, INSIDE_W3, BEFORE_W4, BEFORE_COMMIT];

fn mark_at(when: When) -> impl FnOnce(&Others) -> Vec<(When, Act)> {
    prune_at(when, &STEPS[..1], When::Number(u64::MAX), &STEPS[1..])
}

/// Two parts of one prune at two moments.
fn prune_at(
    first: When,
    steps: &'static [Step],
    second: When,
    rest: &'static [Step],
) -> impl FnOnce(&Others) -> Vec<(When, Act)> {
    move |others| {
        let pruner = Pruner::new(&others.store, 1);
        vec![(first, others.prune(&pruner, steps)), (second, others.prune(&pruner, rest))]
    }
}

#[tokio::test]
async fn a_mark_at_any_point_costs_no_backup_and_no_byte() {
    for point in POINTS {
        let played = play(mark_at(point)).await;
        assert_eq!(played.acts_after, 1, "{point:?}: the mark comes in between, the rest afterwards");
        assert!(played.verified().await, "{point:?}");
    }
}

#[tokio::test]
async fn a_whole_prune_at_any_point_costs_no_byte() {
    for point in POINTS {
        let played = play(prune_at(point, &STEPS, point, &[])).await;
        assert_eq!(played.acts_after, 0, "{point:?}");
        // What the older snapshots and the intent need the prune has copied. What was stored and not yet declared was
        // nobody's, and is gone.
        assert_eq!(played.verified().await, !matches!(point, INSIDE_W1 | BEFORE_W2), "{point:?}");
    }
}

#[tokio::test]
async fn a_prune_that_forgets_the_parent_leaves_a_whole_snapshot_or_none() {
    for point in POINTS {
        let played = play(|others| {
            let pruner = Pruner::new(&others.store, 1);
            vec![(point, others.forget()), (point, others.prune(&pruner, &STEPS))]
        });
        let committed = played.await.verified().await;
        // Between reading the index and declaring the intent nothing protects what it was going to lean on. Before
        // that it leans on nothing of the kind, and after it the prune has seen the intent.
        assert_eq!(committed, !matches!(point, BEFORE_W1 | INSIDE_W1 | BEFORE_W2), "{point:?}");
    }
}

#[tokio::test]
async fn a_source_that_can_be_read_again_is_when_a_prune_has_taken_what_its_backup_relied_on() {
    for point in POINTS {
        let played = play_again(|others| {
            let pruner = Pruner::new(&others.store, 1);
            vec![(point, others.forget()), (point, others.prune(&pruner, &STEPS))]
        });
        let played = played.await;
        let report = played.outcome.as_ref().expect("a backup");
        let began_again = report.warnings.iter().filter(|said| said.message.contains("source is read again")).count();
        let is_taken = matches!(point, BEFORE_W1 | INSIDE_W1 | BEFORE_W2);
        assert_eq!(began_again, usize::from(is_taken), "{point:?}: {:?}", report.warnings);
        assert!(played.verified().await, "{point:?}");
    }
}

#[tokio::test]
async fn a_backup_that_prunes_stop_each_time_gives_up_in_the_end() {
    let played = play_again(|others| {
        let pruners: Vec<_> = (1..=9).map(|number| Pruner::new(&others.store, number)).collect();
        // Whatever it has stored and not yet declared is nobody's.
        let before = |nth| When::Before(Call::Put, Area::Pending, nth);
        (1..).zip(&pruners).map(|(nth, pruner)| (before(nth), others.prune(pruner, &STEPS))).collect()
    });
    let played = played.await;
    assert_eq!(played.acts_after, 5, "four attempts");
    assert!(!played.verified().await);
}

#[tokio::test]
async fn a_mark_seen_at_the_start_means_that_nothing_is_leaned_on() {
    let played = play(mark_at(BEFORE_W0)).await;
    let report = played.outcome.as_ref().expect("a backup");
    // Five files, all of them stored anew.
    assert!(report.bytes_new >= 150_000, "{}", report.bytes_new);
    assert_eq!(played.hooked.count(Call::Put, Area::Index).await, 1, "nothing had to be rescued");
    assert!(played.verified().await);
}

#[tokio::test]
async fn sealed_segments_are_copied_from_packs_that_a_mark_condemns() {
    let played = play(mark_at(BEFORE_W3)).await;
    played.outcome.as_ref().expect("a backup");
    assert_eq!(played.hooked.count(Call::Put, Area::Index).await, 2, "one of the backup, one of the rescue");
    assert_eq!(played.hooked.count(Call::List, Area::Marks).await, 4, "start, validation, rescue, validation");
    assert!(played.verified().await);
}

#[tokio::test]
async fn copies_that_the_prune_has_made_are_used_before_any_is_made_again() {
    let played = play(prune_at(BEFORE_W3, &STEPS, BEFORE_W3, &[])).await;
    played.outcome.as_ref().expect("a backup");
    assert_eq!(played.hooked.count(Call::Put, Area::Index).await, 1, "nothing had to be copied by the backup");
    assert!(played.verified().await);
}

#[tokio::test]
async fn a_mark_that_goes_while_it_is_read_has_left_its_tomb() {
    let played = play(|others| {
        let pruner = Pruner::new(&others.store, 1);
        let listed = When::After(Call::List, Area::Marks, 2);
        vec![
            (BEFORE_W1, others.forget()),
            (BEFORE_W1, others.prune(&pruner, &STEPS[..5])),
            (listed, others.prune(&pruner, &STEPS[5..])),
        ]
    });
    let played = played.await;
    assert_eq!(played.acts_after, 0);
    assert!(!played.verified().await);
}

#[tokio::test]
async fn a_pack_that_is_gone_is_missed_even_when_its_tomb_has_expired() {
    let played = play(|others| {
        let pruner = Pruner::new(&others.store, 1);
        // The pack is stored and nothing names it yet; the index object that does comes afterwards.
        vec![(INSIDE_W1, others.prune(&pruner, &STEPS)), (INSIDE_W1, others.expire(Area::Tombs))]
    });
    let played = played.await;
    assert_eq!(played.outcome.as_ref().expect_err("nothing to restore from").kind(), Kind::Damaged);
    assert_eq!(played.restored().await, ["first", "second"]);
}

#[tokio::test]
async fn a_backup_whose_packs_are_condemned_again_and_again_gives_up() {
    let played = play(|others| {
        let pruners: Vec<_> = (1..=7).map(|number| Pruner::new(&others.store, number)).collect();
        // Each look at the marks is followed by one of the rescue.
        let before = |round: u64| When::Before(Call::List, Area::Marks, 2 * round);
        let marks = (1..).zip(&pruners).map(|(round, pruner)| (before(round), others.prune(pruner, &STEPS[..1])));
        marks.collect()
    });
    let played = played.await;
    assert_eq!(played.acts_after, 1, "it has given up before the seventh");
    assert!(!played.verified().await);
}

/// One or two pruners, and perhaps a forgetting; each step before a random call, in order.
fn random(seed: u64, calls: u64) -> impl FnOnce(&Others) -> Vec<(When, Act)> {
    move |others| {
        let rng = SeededRng::new(seed);
        let draw = |below: u64| u64::from_le_bytes(array(&rng).expect("seeded")) % below;
        let mut acts: Vec<(u64, Act)> = Vec::new();
        for number in 0..=draw(2) {
            let pruner = Pruner::new(&others.store, u8::try_from(number + 1).expect("small"));
            let mut moments: Vec<u64> = STEPS.iter().map(|_| draw(calls)).collect();
            moments.sort_unstable();
            for (moment, step) in moments.into_iter().zip(STEPS.chunks(1)) {
                acts.push((moment, others.prune(&pruner, step)));
            }
        }
        if draw(2) == 0 {
            acts.push((draw(calls), others.forget()));
        }
        acts.sort_by_key(|(moment, _)| *moment);
        acts.into_iter().map(|(moment, act)| (When::Number(moment), act)).collect()
    }
}

#[tokio::test]
async fn random_prunes_and_forgettings_never_leave_a_snapshot_that_lacks_a_byte() {
    let calls = play(|_| Vec::new()).await.hooked.calls().await;
    let mut committed = 0;
    const SEEDS: u64 = 600;
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let played = play(random(seed, calls + 10)).await;
        committed += u64::from(played.verified().await);
    }
    // Neither outcome may be so rare that the other half of the promise is not tried.
    assert!((SEEDS / 10..SEEDS).contains(&committed), "{committed} of {SEEDS} were committed");
}

#[tokio::test]
async fn a_damaged_mark_stops_backups_and_no_restore() {
    let played = play(|others| {
        let (pruner, backend) = (Pruner::new(&others.store, 1), others.backend.clone());
        let damage: Act = Box::new(move || {
            Box::pin(async move {
                for listed in backend.list(Area::Marks).await.expect("a list") {
                    backend.replace(listed.name, &b"torn"[..]);
                }
            })
        });
        vec![(BEFORE_W3, others.prune(&pruner, &STEPS[..1])), (BEFORE_W3, damage)]
    });
    let played = played.await;
    assert_eq!(played.outcome.as_ref().expect_err("nothing is known of marks").kind(), Kind::Damaged);
    assert_eq!(played.restored().await, ["first", "second"]);
}
