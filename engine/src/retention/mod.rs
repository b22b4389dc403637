//! Which snapshots to keep: rules over times, tags and ids, and why each one stays.
//!
//! The rules are those people know: the last ones, the last of each of so many hours, days, weeks, months and years,
//! everything within an age, and what is named or tagged. They are applied from the newest snapshot to the oldest,
//! and what no rule keeps may go. The oldest of all is kept while a rule has counts left, so that a history
//! grows to its full length.
//!
//! Snapshots that are the same but for tags and id count as one: a change of tags that was cut off, or two copies made
//! at once, must not push others out. They share their fate.
//!
//! A snapshot's time is what its host claims. A host that was broken into could store snapshots with forged times until every rule
//! is used up by them. So the time at which the store received a record, where it tells, is looked at as well. A claim
//! of a later time counts as that time. And where a claim and the store differ by more than a day, the rules are
//! applied once more with the store's time in place of those claims, and what either round keeps is kept: forged
//! snapshots can add to what is kept and take nothing away.
//!
//! Where that time, too, lies in the future, a clock was wrong that nothing corrects: such a snapshot stays, uses up no
//! count, is the measure of no age, and the others are judged as if it were not there.
//!
//! Ages count back from the newest snapshot of the group that is not of the future, and not from now: what is no longer
//! backed up does not melt away. Years, months, weeks and days are those of the calendar; hours are as long as ever, also
//! in the nights in which clocks change.

mod age;
mod calendar;
mod rounds;
mod twins;

pub use age::Age;
pub use age::AgeError;

use crate::format::snapshot::Snapshot;
use crate::time::Timestamp;
use std::fmt;

/// How many a rule keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// The rule is not in use.
    #[default]
    None,
    /// At most so many, the newest ones.
    Newest(u32),
    /// As many as there are.
    All,
}

/// What to keep. A snapshot stays when any of these rules keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeepRules {
    /// The newest ones.
    pub last: Keep,
    /// The newest one of each hour, and so on.
    pub hourly: Keep,
    /// By day.
    pub daily: Keep,
    /// By week, from Monday to Sunday.
    pub weekly: Keep,
    /// By month.
    pub monthly: Keep,
    /// By year.
    pub yearly: Keep,
    /// Everything not older than the newest by this age. Hours are elapsed time, days and what is longer are the
    /// calendar's.
    pub within: Option<Age>,
    /// The newest of each hour within this age, and so on.
    pub within_hourly: Option<Age>,
    /// By day.
    pub within_daily: Option<Age>,
    /// By week.
    pub within_weekly: Option<Age>,
    /// By month.
    pub within_monthly: Option<Age>,
    /// By year.
    pub within_yearly: Option<Age>,
    /// What has all tags of one of these lists; an empty list is for snapshots without any tag.
    pub tags: Vec<Vec<String>>,
    /// What has an id that begins so.
    pub ids: Vec<String>,
}

impl KeepRules {
    /// Whether no rule is in use.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a snapshot is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was protected.
    Protected,
    /// Its id was named.
    Id,
    /// It has these tags.
    Tags(Vec<String>),
    /// A rule counts it; in the rule's words: `last`, `daily`, `oldest monthly`, `within 3d`, `weekly within 1y`.
    Rule(String),
    /// A rule counts it by the time at which the store received it, since its host claims another one.
    ByStore(String),
    /// Another one that is the same but for its tags is kept.
    Twin,
    /// Its time lies more than a day ahead of this machine's clock: no rule counts it, and none may remove it.
    Future,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected => out.write_str("protected"),
            Self::Id => out.write_str("named"),
            Self::Tags(tags) if tags.is_empty() => out.write_str("no tags"),
            Self::Tags(tags) => write!(out, "tags {}", tags.join(",")),
            Self::Rule(rule) => out.write_str(rule),
            Self::Twin => out.write_str("same as one that is kept"),
            Self::Future => out.write_str("dated in the future"),
            Self::ByStore(rule) => write!(out, "{rule} by the time it was stored"),
        }
    }
}

/// A snapshot and when the store received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dated {
    pub(crate) snapshot: Snapshot,
    pub(crate) stored: Option<Timestamp>,
}

/// What the rules say about one snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Which one.
    pub snapshot: Snapshot,
    /// Why it is kept; nothing keeps it when there are none.
    pub reasons: Vec<Reason>,
}

impl Decision {
    /// Whether it stays.
    pub fn is_kept(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// Whether it is dated in the future, so that no rule has looked at it.
    pub fn is_of_the_future(&self) -> bool {
        self.reasons.contains(&Reason::Future)
    }
}

/// Applies the rules to the snapshots of one group, in any order; gives them newest first. Ages count from the newest
/// that is not later than `now`; what is later by more than clocks differ is kept beside them. `offset_at` is how many seconds east of UTC the place is whose calendar counts, at a
/// time.
pub(crate) fn decide(
    rules: &KeepRules,
    mut group: Vec<Dated>,
    now: Timestamp,
    offset_at: &dyn Fn(Timestamp) -> i32,
) -> Vec<Decision> {
    let firsts = twins::firsts(&mut group);
    let claims: Vec<Timestamp> = group.iter().map(rounds::claimed).collect();
    let stores: Vec<Timestamp> = group.iter().map(rounds::believed).collect();
    let by_claim = rounds::apply(rules, &claims, &group, &firsts, now, offset_at);
    let by_store =
        if claims == stores { Vec::new() } else { rounds::apply(rules, &stores, &group, &firsts, now, offset_at) };
    let mut named = vec![false; group.len()];
    let fixed: Vec<Vec<Reason>> = group.iter().map(|dated| fixed(rules, &dated.snapshot)).collect();
    for (_, first) in fixed.iter().zip(&firsts).filter(|(reasons, _)| !reasons.is_empty()) {
        named.get_mut(*first).into_iter().for_each(|named| *named = true);
    }
    let mut decided = Vec::with_capacity(group.len());
    for (((dated, claimed), mut reasons), first) in group.into_iter().zip(&claims).zip(fixed).zip(&firsts) {
        reasons.extend(by_claim.iter().filter(|kept| kept.0 == *first).map(|kept| Reason::Rule(kept.1.clone())));
        if reasons.is_empty() {
            reasons.extend(by_store.iter().filter(|kept| kept.0 == *first).map(|kept| Reason::ByStore(kept.1.clone())));
        }
        if reasons.is_empty() && named.get(*first) == Some(&true) {
            reasons.push(Reason::Twin);
        }
        if claims.get(*first).is_some_and(|time| rounds::is_ahead(*time, now)) {
            reasons.push(Reason::Future);
        }
        decided.push((*claimed, Decision { snapshot: dated.snapshot, reasons }));
    }
    decided.sort_by_key(|(claimed, decision)| std::cmp::Reverse((*claimed, decision.snapshot.id)));
    decided.into_iter().map(|(_, decision)| decision).collect()
}

/// Reasons that have nothing to do with time.
fn fixed(rules: &KeepRules, snapshot: &Snapshot) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if snapshot.is_protected {
        reasons.push(Reason::Protected);
    }
    let id = snapshot.id.to_string();
    if rules.ids.iter().any(|start| !start.is_empty() && id.starts_with(start.as_str())) {
        reasons.push(Reason::Id);
    }
    let has = |tags: &&Vec<String>| match tags.is_empty() {
        true => snapshot.tags.is_empty(),
        false => tags.iter().all(|tag| snapshot.tags.contains(tag)),
    };
    if let Some(tags) = rules.tags.iter().find(has) {
        reasons.push(Reason::Tags(tags.clone()));
    }
    reasons
}

#[cfg(test)]
mod tests;
