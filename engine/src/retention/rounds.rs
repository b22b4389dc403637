//! One round of the rules over times: from the newest snapshot to the oldest.

use super::Dated;
use super::Keep;
use super::KeepRules;
use super::age::Age;
use super::calendar::Local;
use super::calendar::Unit;
use crate::time::Timestamp;
use std::cmp::Reverse;

/// Claims may differ from the store's time by this much: a long backup, a clock that is off, a zone that is wrong.
const CLAIM_SECONDS_MAX: i64 = 24 * 3600;

/// The time a host claims, which cannot be later than when the record was stored.
pub(super) fn claimed(dated: &Dated) -> Timestamp {
    let claim = dated.snapshot.started;
    match dated.stored {
        Some(stored) if claim.seconds > stored.seconds.saturating_add(CLAIM_SECONDS_MAX) => stored,
        _ => claim,
    }
}

/// The claim where the store bears it out, else the store's time.
pub(super) fn believed(dated: &Dated) -> Timestamp {
    let claim = dated.snapshot.started;
    match dated.stored {
        Some(stored) if claim.seconds.abs_diff(stored.seconds) > CLAIM_SECONDS_MAX.unsigned_abs() => stored,
        _ => claim,
    }
}

/// Whether a time lies further ahead of the present than clocks differ: whose it was, it was wrong.
pub(super) fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    time.seconds > now.seconds.saturating_add(CLAIM_SECONDS_MAX)
}

/// A rule at work: what it counts, how far it goes, and the last unit it kept something of.
struct Counter {
    name: &'static str,
    unit: Option<Unit>,
    left: Left,
    last: Option<i64>,
}

/// How far a rule goes yet.
enum Left {
    Count(u32),
    All,
    /// Only what is later than this.
    Within(Age, i64),
}

/// Which of the group (by position) the rules keep at these times, and the words of the rule. Of twins only the `firsts`
/// are looked at, and what lies in the future not at all: it uses up no count and is the measure of no age.
pub(super) fn apply(
    rules: &KeepRules,
    times: &[Timestamp],
    group: &[Dated],
    firsts: &[usize],
    now: Timestamp,
    offset_at: &dyn Fn(Timestamp) -> i32,
) -> Vec<(usize, String)> {
    let mut order: Vec<(usize, Timestamp)> = times.iter().copied().enumerate().collect();
    order.retain(|(number, time)| firsts.get(*number) == Some(number) && !is_ahead(*time, now));
    // What is made from a snapshot has its time and is finished later: of the two the original is the newer one. Last the
    // id decides, so that every run decides alike.
    let made = |number: usize| group.get(number).map(|dated| (Reverse(dated.snapshot.finished), dated.snapshot.id));
    order.sort_by_key(|(number, time)| Reverse((*time, made(*number))));
    let local = |time| Local::new(time, offset_at(time));
    // A clock that is a little ahead must not make everything else too old.
    let present = order.iter().find(|(_, time)| *time <= now).or(order.first());
    let Some(newest) = present.map(|(_, time)| local(*time)) else { return Vec::new() };
    let mut counters = counters(rules, &|age| newest.before(age, offset_at));
    let mut kept = Vec::new();
    let oldest = order.len().saturating_sub(1);
    for (place, (number, time)) in order.into_iter().enumerate() {
        let time = local(time);
        for counter in &mut counters {
            kept.extend(counter.keeps(&time, place == oldest).map(|why| (number, why)));
        }
    }
    kept
}

/// `before` tells the time from which on something is within an age.
fn counters(rules: &KeepRules, before: &dyn Fn(Age) -> i64) -> Vec<Counter> {
    let counted = [
        ("last", None, rules.last),
        ("hourly", Some(Unit::Hour), rules.hourly),
        ("daily", Some(Unit::Day), rules.daily),
        ("weekly", Some(Unit::Week), rules.weekly),
        ("monthly", Some(Unit::Month), rules.monthly),
        ("yearly", Some(Unit::Year), rules.yearly),
    ];
    let within = [
        ("", None, rules.within),
        ("hourly ", Some(Unit::Hour), rules.within_hourly),
        ("daily ", Some(Unit::Day), rules.within_daily),
        ("weekly ", Some(Unit::Week), rules.within_weekly),
        ("monthly ", Some(Unit::Month), rules.within_monthly),
        ("yearly ", Some(Unit::Year), rules.within_yearly),
    ];
    let counted = counted.into_iter().filter_map(|(name, unit, keep)| {
        let left = match keep {
            Keep::None => return None,
            Keep::Newest(count) => Left::Count(count),
            Keep::All => Left::All,
        };
        Some(Counter { name, unit, left, last: None })
    });
    let within = within.into_iter().filter_map(|(name, unit, age)| {
        let age = age?;
        Some(Counter { name, unit, left: Left::Within(age, before(age)), last: None })
    });
    counted.chain(within).collect()
}

impl Counter {
    /// The rule's words, if it keeps a snapshot of this time. They come newest first.
    fn keeps(&mut self, time: &Local, is_oldest: bool) -> Option<String> {
        let goes_on = match self.left {
            Left::Count(left) => left > 0,
            Left::All => true,
            Left::Within(_, begins) => time.is_after(begins),
        };
        let bucket = self.unit.map(|unit| time.bucket(unit));
        let is_new = bucket.is_none() || bucket != self.last;
        if !goes_on || !(is_new || is_oldest) {
            return None;
        }
        self.last = bucket;
        if let Left::Count(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        let oldest = if is_new { "" } else { "oldest " };
        Some(match self.left {
            Left::Within(age, _) => format!("{oldest}{}within {age}", self.name),
            _ => format!("{oldest}{}", self.name),
        })
    }
}
