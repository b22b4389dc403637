//! Promises about backups that are held up between looking and committing.

use super::hooked::Call;
use super::hooked::When;
use super::pruner::Pruner;
use super::pruner::STEPS;
use super::scene::Played;
use super::scene::play;
use crate::backend::Area;
use crate::error::Kind;
use std::error::Error;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The intent was declared and read back.
const AFTER_INTENT: When = When::After(Call::Get, Area::Pending, 1);
/// All was looked at, and the clocks have not been asked again.
const BEFORE_GUARD: When = When::After(Call::List, Area::Packs, 2);
/// Too late to stop.
const BEFORE_COMMIT: When = When::Before(Call::Put, Area::Snapshots, 1);

/// How often it looked at marks, the first look at its start left out.
async fn validations(played: &Played) -> u64 {
    played.hooked.count(Call::List, Area::Marks).await - 1
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).expect("small")
}

#[tokio::test]
async fn what_was_seen_long_ago_by_either_clock_is_looked_at_again() {
    for (boot, wall, expected) in [
        (0, 0, 1),
        (9 * MINUTE, signed(9 * MINUTE), 1),
        (11 * MINUTE, 0, 2),
        (0, signed(11 * MINUTE), 2),
        (0, -signed(11 * MINUTE), 2),
    ] {
        let played = play(|others| vec![(BEFORE_GUARD, others.pass(boot, wall, 0))]).await;
        assert_eq!(validations(&played).await, expected, "{boot} s since boot, {wall} s by the wall");
        assert!(played.verified().await);
    }
}

#[tokio::test]
async fn a_snapshot_that_became_visible_late_is_looked_at_again() {
    for (boot, wall, storage, expected) in [
        (0, 0, 0, 1),
        (30 * MINUTE, signed(30 * MINUTE), signed(30 * MINUTE), 1),
        (2 * HOUR, 0, 0, 2),
        (0, signed(2 * HOUR), 0, 2),
        (0, 0, signed(2 * HOUR), 2),
    ] {
        let played = play(|others| vec![(BEFORE_COMMIT, others.pass(boot, wall, storage))]).await;
        assert_eq!(validations(&played).await, expected, "{boot}, {wall} and {storage} s");
        assert!(played.verified().await);
    }
}

#[tokio::test]
async fn an_intent_that_may_be_taken_for_left_over_is_declared_again_under_another_name() {
    for point in [AFTER_INTENT, BEFORE_GUARD] {
        for expired in [false, true] {
            let played = play(|others| {
                let mut acts = vec![(point, others.pass(15 * DAY, signed(15 * DAY), signed(15 * DAY)))];
                if expired {
                    acts.push((point, others.expire(Area::Pending)));
                }
                acts
            });
            let played = played.await;
            assert_eq!(played.hooked.count(Call::Put, Area::Pending).await, 2, "{point:?}, expired: {expired}");
            let snapshot = played.outcome.as_ref().expect("a backup").snapshot.as_ref().expect("a snapshot");
            assert_ne!(snapshot.id, snapshot.session, "{point:?}, expired: {expired}");
            assert!(played.verified().await);
        }
    }
}

#[tokio::test]
async fn a_machine_that_slept_through_a_prune_commits_only_what_is_there() {
    for forget in [false, true] {
        let played = play(|others| {
            let mut acts =
                vec![others.pass(15 * DAY, signed(15 * DAY), signed(15 * DAY)), others.expire(Area::Pending)];
            if forget {
                acts.push(others.forget());
            }
            acts.push(others.prune(&Pruner::new(&others.store, 1), &STEPS));
            acts.into_iter().map(|act| (BEFORE_GUARD, act)).collect()
        });
        let played = played.await;
        assert_eq!(played.acts_after, 0);
        // Its own new packs were nobody's any more.
        assert!(!played.verified().await, "forgotten: {forget}");
    }
}

#[tokio::test]
async fn a_snapshot_that_became_visible_too_late_is_mended_while_that_can_be_done() {
    let played = play(|others| {
        let pruner = Pruner::new(&others.store, 1);
        vec![
            (BEFORE_COMMIT, others.pass(15 * DAY, signed(15 * DAY), signed(15 * DAY))),
            (BEFORE_COMMIT, others.expire(Area::Pending)),
            (BEFORE_COMMIT, others.forget()),
            // All but deleting, which the put of the snapshot has overtaken.
            (BEFORE_COMMIT, others.prune(&pruner, &STEPS[..4])),
            (When::Number(u64::MAX), others.prune(&pruner, &STEPS[4..])),
        ]
    });
    let played = played.await;
    assert_eq!(played.acts_after, 1);
    assert!(played.verified().await);
}

#[tokio::test]
async fn a_snapshot_that_became_visible_too_late_to_be_mended_fails_and_names_what_it_lacks() {
    let played = play(|others| {
        let mut acts = vec![
            others.pass(15 * DAY, signed(15 * DAY), signed(15 * DAY)),
            others.expire(Area::Pending),
            others.forget(),
        ];
        acts.push(others.prune(&Pruner::new(&others.store, 1), &STEPS));
        acts.into_iter().map(|act| (BEFORE_COMMIT, act)).collect()
    });
    let error = played.await.outcome.expect_err("a snapshot without its data");
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.to_string().contains("lacks data"), "{error}");
    let why = error.source().expect("a reason").to_string();
    assert!(why.contains("rest of its catalog cannot be read"), "{why}");
}

#[tokio::test]
async fn a_loss_of_content_alone_is_told_file_by_file() {
    let played = play(|others| {
        let mut acts = vec![
            others.pass(15 * DAY, signed(15 * DAY), signed(15 * DAY)),
            others.expire(Area::Pending),
            others.forget(),
        ];
        acts.push(others.prune(&Pruner::of_data(&others.store, 1), &STEPS));
        acts.into_iter().map(|act| (BEFORE_COMMIT, act)).collect()
    });
    let error = played.await.outcome.expect_err("a snapshot without its data");
    let why = error.source().expect("a reason").to_string();
    assert!(why.contains("5 entries") && why.contains("a, b, c, d, e"), "{why}");
}
