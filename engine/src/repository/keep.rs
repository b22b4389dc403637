//! Forgetting by rules: a plan that can be looked at, then carried out.

use super::Repository;
use super::snapshots::SnapshotFilter;
use crate::backend::Area;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::snapshot::Snapshot;
use crate::id::SnapshotId;
use crate::retention::Dated;
use crate::retention::Decision;
use crate::retention::KeepRules;
use crate::retention::Reason;
use crate::retention::decide;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// What snapshots must have in common for the rules to count them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupBy {
    /// The host.
    pub host: bool,
    /// All paths, in any order.
    pub paths: bool,
    /// All tags, in any order.
    pub tags: bool,
    /// The label.
    pub label: bool,
}

impl Default for GroupBy {
    /// Host and paths.
    fn default() -> Self {
        Self { host: true, paths: true, tags: false, label: false }
    }
}

/// What the snapshots of one group have in common; `None` for what they were not grouped by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct GroupKey {
    /// The host.
    pub host: Option<String>,
    /// The paths, in order.
    pub paths: Option<Vec<Vec<u8>>>,
    /// The tags, in order.
    pub tags: Option<Vec<String>>,
    /// The label, where there is one.
    pub label: Option<Option<String>>,
}

impl GroupBy {
    fn key(self, snapshot: &Snapshot) -> GroupKey {
        let mut paths = snapshot.paths.clone();
        paths.sort();
        let mut tags = snapshot.tags.clone();
        tags.sort();
        GroupKey {
            host: self.host.then(|| snapshot.host.clone()),
            paths: self.paths.then_some(paths),
            tags: self.tags.then_some(tags),
            label: self.label.then(|| snapshot.label.clone()),
        }
    }
}

/// One group, decided upon.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForgetGroup {
    /// What its snapshots have in common.
    pub key: GroupKey,
    /// All of them, newest first.
    pub decisions: Vec<Decision>,
}

impl ForgetGroup {
    /// Whether nothing of it would be left, or nothing but what is dated in the future.
    pub fn loses_all(&self) -> bool {
        let mut removes = false;
        for decision in &self.decisions {
            removes |= !decision.is_kept();
            if decision.reasons.iter().any(|reason| *reason != Reason::Future) {
                return false;
            }
        }
        removes
    }

    /// Snapshots that are dated in the future: they stay, and the rules have judged the others as if they were not there.
    pub fn of_the_future(&self) -> impl Iterator<Item = &Snapshot> {
        let decisions = self.decisions.iter().filter(|decision| decision.is_of_the_future());
        decisions.map(|decision| &decision.snapshot)
    }
}

/// What would be forgotten, and why the rest stays. Nothing has happened yet.
#[derive(Debug)]
#[must_use = "nothing is forgotten before the plan is carried out"]
pub struct ForgetPlan {
    groups: Vec<ForgetGroup>,
}

impl ForgetPlan {
    /// The groups, in the order of what they have in common.
    pub fn groups(&self) -> &[ForgetGroup] {
        &self.groups
    }

    /// Refuses a plan by which a group would lose all its snapshots, unless `may_remove_all`.
    pub fn check(&self, may_remove_all: bool) -> Result<()> {
        match self.groups.iter().find(|group| !may_remove_all && group.loses_all()) {
            None => Ok(()),
            Some(group) => Err(Error::new(Kind::Protected, "cannot forget every snapshot of a group")
                .because(format!("the rules keep none of its {} snapshots", group.decisions.len()))),
        }
    }

    /// The snapshots that no rule keeps.
    pub fn removals(&self) -> impl Iterator<Item = &Snapshot> {
        let decisions = self.groups.iter().flat_map(|group| &group.decisions);
        decisions.filter(|decision| !decision.is_kept()).map(|decision| &decision.snapshot)
    }
}

impl Repository {
    /// Applies keep rules to the snapshots that pass the filter, group by group. `offset_at` is how many seconds east
    /// of UTC the place is whose days and weeks count, at a time.
    ///
    /// Errors: any snapshot record that cannot be read; rules that are all empty; an id to keep that no snapshot has.
    pub async fn plan_forget(
        &self,
        rules: &KeepRules,
        filter: &SnapshotFilter,
        group_by: GroupBy,
        offset_at: &(dyn Fn(Timestamp) -> i32 + Send + Sync),
    ) -> Result<ForgetPlan> {
        if rules.is_empty() {
            return Err(Error::new(Kind::Invalid, "no rule says what to keep").because("nothing is forgotten then"));
        }
        let mut stored = HashMap::new();
        for listed in self.store().list(Area::Snapshots).await? {
            stored.insert(listed.name, listed.modified);
        }
        let mut groups: BTreeMap<GroupKey, Vec<Dated>> = BTreeMap::new();
        let snapshots = self.snapshots().await?;
        let is_known = |start: &String| snapshots.iter().any(|snapshot| snapshot.id.to_string().starts_with(start));
        if let Some(unknown) = rules.ids.iter().find(|start| !is_known(start)) {
            return Err(Error::new(Kind::Invalid, "cannot tell what to keep")
                .because(format!("there is no snapshot {unknown}")));
        }
        for snapshot in snapshots.into_iter().filter(|snapshot| filter.matches(snapshot)) {
            let stored = stored.get(&Name::Snapshot(snapshot.id)).copied().flatten();
            groups.entry(group_by.key(&snapshot)).or_default().push(Dated { snapshot, stored });
        }
        let now = self.store().clock().now();
        let decided = |(key, group)| ForgetGroup { key, decisions: decide(rules, group, now, offset_at) };
        Ok(ForgetPlan { groups: groups.into_iter().map(decided).collect() })
    }

    /// Removes what the plan says. A group that would lose all its snapshots is refused, before anything is removed,
    /// unless `may_remove_all`. Gives how many were removed; one that is gone already does not count.
    pub async fn apply_forget(&self, plan: ForgetPlan, may_remove_all: bool) -> Result<u64> {
        plan.check(may_remove_all)?;
        self.check_deletable().await?;
        let ids: Vec<SnapshotId> = plan.removals().map(|snapshot| snapshot.id).collect();
        self.remove_records(&ids).await
    }
}
