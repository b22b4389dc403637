//! What the rules keep, and what forged times cannot change.

use super::*;
use crate::id::SnapshotId;
use crate::random::Rng;
use crate::random::SeededRng;

const DAY: i64 = 24 * 3600;
/// 2026-11-21, a Saturday, at noon.
const NOON: i64 = 1_795_262_400;

/// A day later.
const NOW: Timestamp = Timestamp { seconds: NOON + DAY, nanoseconds: 0 };

fn utc(_: Timestamp) -> i32 {
    0
}

fn at(number: u16, seconds: i64, stored: Option<i64>) -> Dated {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&number.to_be_bytes());
    let time = |seconds| Timestamp { seconds, nanoseconds: 0 };
    Dated { snapshot: Snapshot::new(SnapshotId::from_bytes(id), time(seconds)), stored: stored.map(time) }
}

/// One a day, the newest first, stored ten minutes later.
fn days(count: u16) -> Vec<Dated> {
    (0..count).map(|back| at(back, NOON - i64::from(back) * DAY, Some(NOON - i64::from(back) * DAY + 600))).collect()
}

fn number(decision: &Decision) -> u16 {
    let bytes = decision.snapshot.id.as_bytes();
    u16::from_be_bytes([bytes[0], bytes[1]])
}

fn kept(rules: &KeepRules, group: Vec<Dated>) -> Vec<u16> {
    decide(rules, group, NOW, &utc).iter().filter(|decision| decision.is_kept()).map(number).collect()
}

#[test]
fn the_last_are_kept() {
    assert_eq!(kept(&KeepRules { last: Keep::Newest(3), ..KeepRules::default() }, days(10)), [0, 1, 2]);
    assert_eq!(kept(&KeepRules { last: Keep::All, ..KeepRules::default() }, days(10)).len(), 10);
    assert_eq!(kept(&KeepRules { last: Keep::Newest(0), ..KeepRules::default() }, days(10)), [] as [u16; 0]);
}

#[test]
fn snapshots_that_are_the_same_count_as_one_and_share_their_fate() {
    let mut group = days(5);
    // The same again, under other ids and with other tags: stored now, as tags are changed.
    let mut again = at(100, NOON - DAY, Some(NOON + DAY));
    again.snapshot.tags.push("changed".to_owned());
    group.insert(0, again);
    group.push(at(101, NOON - 3 * DAY, Some(NOON)));
    let last = |count| KeepRules { last: Keep::Newest(count), ..KeepRules::default() };
    assert_eq!(kept(&last(3), group.clone()), [0, 100, 1, 2]);
    assert_eq!(kept(&last(4), group.clone()), [0, 100, 1, 2, 101, 3]);
    let tagged = KeepRules { tags: vec![vec!["changed".to_owned()]], ..KeepRules::default() };
    let decided = decide(&tagged, group, NOW, &utc);
    let twin = decided.iter().find(|decision| number(decision) == 1).unwrap();
    assert_eq!(twin.reasons, [Reason::Twin]);
    assert_eq!(decided.iter().filter(|decision| decision.is_kept()).count(), 2);
}

#[test]
fn the_newest_of_each_day_is_kept() {
    let mut group = days(5);
    group.extend((0..5).map(|back| at(100 + back, NOON - i64::from(back) * DAY - 3600, None)));
    assert_eq!(kept(&KeepRules { daily: Keep::Newest(3), ..KeepRules::default() }, group), [0, 1, 2]);
}

#[test]
fn rules_add_up_and_say_why() {
    let rules = KeepRules {
        last: Keep::Newest(1),
        daily: Keep::Newest(3),
        weekly: Keep::Newest(3),
        monthly: Keep::Newest(2),
        ..KeepRules::default()
    };
    let decided = decide(&rules, days(40), NOW, &utc);
    let why = |wanted: u16| -> String {
        let found = decided.iter().find(|decision| number(decision) == wanted).expect("there");
        found.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(why(0), "last, daily, weekly, monthly");
    assert_eq!(why(1), "daily");
    assert_eq!(why(6), "weekly", "Sunday of the week before");
    assert_eq!(why(13), "weekly");
    assert_eq!(why(21), "monthly", "the last of October");
    assert_eq!(decided.iter().filter(|decision| decision.is_kept()).count(), 6);
}

#[test]
fn the_oldest_stays_while_a_rule_has_counts_left() {
    let rules = KeepRules { yearly: Keep::Newest(5), ..KeepRules::default() };
    let decided = decide(&rules, days(10), NOW, &utc);
    let last = decided.last().expect("ten");
    assert_eq!(last.reasons, [Reason::Rule("oldest yearly".into())]);
    assert_eq!(kept(&rules, days(10)), [0, 9]);
    assert_eq!(kept(&KeepRules { yearly: Keep::Newest(1), ..KeepRules::default() }, days(10)), [0]);
}

#[test]
fn an_age_counts_from_the_newest_snapshot() {
    let within = |age: &str| KeepRules { within: age.parse().ok(), ..KeepRules::default() };
    assert_eq!(kept(&within("3d"), days(10)), [0, 1, 2]);
    let weekly = KeepRules { within_weekly: "15d".parse().ok(), ..KeepRules::default() };
    assert_eq!(kept(&weekly, days(60)), [0, 6, 13]);
}

#[test]
fn tags_ids_and_protection_keep_whatever_the_time() {
    let mut group = days(6);
    group[3].snapshot.tags = vec!["a".into(), "b".into()];
    group[4].snapshot.tags = vec!["a".into()];
    group[5].snapshot.is_protected = true;
    let rules = KeepRules {
        last: Keep::Newest(1),
        tags: vec![vec!["a".into(), "b".into()]],
        ids: vec!["0002".into()],
        ..KeepRules::default()
    };
    assert_eq!(kept(&rules, group.clone()), [0, 2, 3, 5]);
    let untagged = KeepRules { tags: vec![vec![]], ..KeepRules::default() };
    assert_eq!(kept(&untagged, group), [0, 1, 2, 5]);
}

#[test]
fn forged_times_push_no_real_snapshot_out() {
    let rules = KeepRules {
        last: Keep::Newest(2),
        daily: Keep::Newest(7),
        weekly: Keep::Newest(4),
        monthly: Keep::Newest(6),
        within: "2d".parse().ok(),
        ..KeepRules::default()
    };
    let rng = SeededRng::new(7);
    for round in 0..200 {
        let real = days(60);
        let safe: Vec<u16> = kept(&rules, real.clone()).into_iter().filter(|number| *number >= 2).collect();
        let mut group = real;
        let mut draw = [0u8; 8];
        for forged in 0..50u16 {
            rng.fill(&mut draw).expect("random");
            // Any time within four years around, many just after a real one; all stored a minute after noon.
            let claim = match draw[0] % 3 {
                0 => NOON - i64::from(draw[1]) * DAY + 60,
                1 => NOON + i64::from(u16::from_le_bytes([draw[2], draw[3]])) * 1_000,
                _ => NOON - i64::from(u16::from_le_bytes([draw[2], draw[3]])) * 1_000,
            };
            group.push(at(1000 + forged, claim, Some(NOON + 660)));
        }
        let after = kept(&rules, group);
        for number in &safe {
            assert!(after.contains(number), "round {round}: {number} was pushed out");
        }
    }
}

#[test]
fn a_snapshot_from_the_future_counts_as_stored_now() {
    let mut group = days(4);
    group.push(at(500, NOON + 4000 * DAY, Some(NOON + 700)));
    let rules = KeepRules { within: "2d".parse().ok(), ..KeepRules::default() };
    assert_eq!(kept(&rules, group), [500, 0, 1]);
}

#[test]
fn ages_count_from_no_snapshot_of_the_future() {
    let mut group = days(4);
    // Both clocks were wrong when it was made.
    group.push(at(500, NOON + 4000 * DAY, Some(NOON + 4000 * DAY)));
    let rules = KeepRules { within: "2d".parse().ok(), ..KeepRules::default() };
    assert_eq!(kept(&rules, group.clone()), [500, 0, 1]);
    // A clock that has stopped is no reason to forget anything: to it everything is of the future.
    group.iter_mut().for_each(|dated| dated.snapshot.started.seconds += 8000 * DAY);
    group.iter_mut().for_each(|dated| dated.stored = None);
    assert_eq!(kept(&rules, group), [500, 0, 1, 2, 3]);
}

#[test]
fn what_is_dated_in_the_future_uses_up_no_count_of_any_rule() {
    let text = |age: &str| age.parse().ok();
    let one = Keep::Newest(1);
    let all = [
        KeepRules { last: one, ..KeepRules::default() },
        KeepRules { hourly: one, ..KeepRules::default() },
        KeepRules { daily: one, weekly: one, monthly: one, yearly: one, ..KeepRules::default() },
        KeepRules { within: text("1h"), ..KeepRules::default() },
        KeepRules { within_hourly: text("3h"), within_daily: text("3d"), ..KeepRules::default() },
        KeepRules { within_weekly: text("3w"), within_monthly: text("3m"), ..KeepRules::default() },
        KeepRules { within_yearly: text("3y"), ..KeepRules::default() },
        KeepRules { ids: vec!["0002".into()], ..KeepRules::default() },
    ];
    for rules in all {
        let without = kept(&rules, days(40));
        // By the host alone, by a store that agrees, and by one whose clock was wrong in another way.
        for stored in [None, Some(3300), Some(5000)] {
            let mut group = days(40);
            for forged in 0..3u16 {
                let ahead = 3300 * DAY + i64::from(forged) * 40 * DAY;
                group.push(at(500 + forged, NOON + ahead, stored.map(|days| NOON + days * DAY + ahead % DAY)));
            }
            let mut expected = vec![502, 501, 500];
            expected.extend(&without);
            let mut found = kept(&rules, group.clone());
            found[..3].sort_by_key(|number| std::cmp::Reverse(*number));
            assert_eq!(found, expected, "{rules:?} {stored:?}");
            let decided = decide(&rules, group, NOW, &utc);
            for decision in decided.iter().filter(|decision| number(decision) >= 500) {
                assert_eq!(decision.reasons, [Reason::Future], "{rules:?} {stored:?}");
                assert!(decision.is_of_the_future());
            }
        }
    }
}

#[test]
fn clocks_that_differ_by_less_than_a_day_make_no_future() {
    let last = KeepRules { last: Keep::Newest(1), ..KeepRules::default() };
    let mut group = days(3);
    group.push(at(500, NOW.seconds + DAY, Some(NOW.seconds + DAY)));
    assert_eq!(kept(&last, group.clone()), [500]);
    group[3].snapshot.started.seconds += 1;
    assert_eq!(kept(&last, group), [500, 0]);
}

#[test]
fn a_store_whose_clock_was_ahead_leaves_the_claims() {
    let rules = KeepRules { last: Keep::Newest(2), daily: Keep::Newest(3), ..KeepRules::default() };
    let mut group = days(10);
    let without = kept(&rules, group.clone());
    // Copied while the store's clock was wrong.
    group.iter_mut().for_each(|dated| dated.stored = Some(Timestamp { seconds: NOON + 4000 * DAY, nanoseconds: 0 }));
    assert_eq!(kept(&rules, group), without);
}

#[test]
fn twins_of_the_future_share_their_fate() {
    let mut group = days(3);
    for number in [500, 501] {
        group.push(at(number, NOON + 4000 * DAY, Some(NOON + 4000 * DAY)));
    }
    group[4].snapshot.tags.push("changed".to_owned());
    let last = KeepRules { last: Keep::Newest(1), ..KeepRules::default() };
    assert_eq!(kept(&last, group), [501, 500, 0]);
}

#[test]
fn an_original_goes_before_what_was_made_of_it() {
    for (original, made) in [(1, 2), (2, 1)] {
        let mut group = vec![at(original, NOON, Some(NOON)), at(made, NOON, Some(NOON))];
        group[0].snapshot.finished.seconds = NOON + 60;
        group[1].snapshot.finished.seconds = NOON + DAY;
        // Twins have the same catalog.
        group[1].snapshot.host = "another".to_owned();
        assert_eq!(kept(&KeepRules { last: Keep::Newest(1), ..KeepRules::default() }, group), [original]);
    }
}

#[test]
fn a_copied_repository_is_thinned_as_its_origin_was() {
    let rules = KeepRules { daily: Keep::Newest(7), monthly: Keep::Newest(2), ..KeepRules::default() };
    let mut copied = days(60);
    for dated in &mut copied {
        dated.stored = Some(Timestamp { seconds: NOON + 100 * DAY, nanoseconds: 0 });
    }
    let (origin, copy) = (kept(&rules, days(60)), kept(&rules, copied));
    assert!(origin.iter().all(|number| copy.contains(number)));
    assert!(copy.len() <= origin.len() + 2, "{copy:?}");
}

#[test]
fn a_backup_across_midnight_counts_for_the_day_it_began() {
    let rules = KeepRules { daily: Keep::Newest(2), ..KeepRules::default() };
    let late = NOON + DAY / 2 - 600;
    let group =
        vec![at(1, NOON, Some(NOON + 60)), at(2, late, Some(late + 3600)), at(3, NOON + DAY, Some(NOON + DAY + 60))];
    assert_eq!(kept(&rules, group), [3, 2]);
}

#[test]
fn no_snapshots_no_decisions() {
    assert!(decide(&KeepRules { last: Keep::All, ..KeepRules::default() }, vec![], NOW, &utc).is_empty());
    assert!(KeepRules::default().is_empty());
}
