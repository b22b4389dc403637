//! What writers do besides backups, pruners besides prunes, and keepers at all.

use super::actors::Outcome;
use super::actors::Seat;
use super::actors::create;
use super::actors::key;
use super::actors::open;
use super::actors::some_files;
use super::actors::store;
use super::desk::Operation;
use super::options::Broken;
use super::options::dice;
use super::time::Time;
use crate::support::trees::Dice;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;
use strongroom::GroupBy;
use strongroom::Keep;
use strongroom::KeepRules;
use strongroom::Kind;
use strongroom::MaxUnused;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Repository;
use strongroom::RotateOptions;
use strongroom::SeededRng;
use strongroom::Snapshot;
use strongroom::SnapshotFilter;
use strongroom::SnapshotId;
use strongroom::TagChange;

/// Snapshots of the repository that is copied from.
const ORIGINALS: u64 = 6;
/// Different files there are in it.
const ORIGINAL_FILES: u64 = 20;

/// The repository that is copied from, made once: nothing ever happens to it.
pub async fn original() -> &'static [(Name, Bytes)] {
    static ORIGINAL: OnceLock<Vec<(Name, Bytes)>> = OnceLock::new();
    if ORIGINAL.get().is_none() {
        let backend = MemoryBackend::new();
        let repository = create(&backend, 11, 0).await.expect("created");
        let mut dice = dice(0, 11);
        for host in 0..ORIGINALS {
            let files = some_files(&mut dice, ORIGINAL_FILES);
            store(&repository, &format!("original {host}"), &files, &Arc::default()).await.expect("stored");
        }
        // Whoever was first has made the same.
        let _ = ORIGINAL.set(backend.contents());
    }
    ORIGINAL.get().expect("it was made")
}

/// One of them, if there are any.
fn one_of<'a, T>(dice: &mut Dice, all: &'a [T]) -> Option<&'a T> {
    all.get(usize::try_from(dice.below(all.len().max(1) as u64)).expect("a small number"))
}

impl Seat {
    /// Copies one snapshot from the other repository.
    pub(super) async fn copy(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let backend = MemoryBackend::new();
        for (name, bytes) in original().await {
            backend.replace(*name, bytes.clone());
        }
        let from = open(backend, SeededRng::new(dice.next()), Arc::new(Time::default())).await?;
        let snapshots = from.snapshots().await?;
        let snapshot = one_of(dice, &snapshots).cloned().expect("there are some");
        let repository = self.open(dice).await?;
        let report = from.copy_to(&repository, vec![snapshot]).threads(1).start().await?;
        let copied = report.copied.first().map(|(_, copy)| *copy);
        self.deeds.count("copies stored", u64::from(copied.is_some()));
        Ok(copied.map_or(Outcome::Done, Outcome::Stored))
    }

    pub(super) async fn maintain(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        if dice.below(self.options.cares.max(1)) + 1 != self.options.cares {
            return self.prune(dice).await;
        }
        match dice.below(5) {
            0 | 1 => self.repair_index(dice).await,
            2 => self.repair_packs(dice).await,
            3 => self.repair_snapshots(dice).await,
            _ => self.rotate(dice).await,
        }
    }

    async fn prune(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let repository = self.open(dice).await?;
        let mut builder = repository.prune().repack_small(dice.below(3) == 0);
        if dice.below(4) > 0 {
            builder = builder.min_age(Duration::ZERO);
        }
        match dice.below(4) {
            0 => {}
            1 => builder = builder.max_unused(MaxUnused::Percent(40.0)),
            _ => builder = builder.max_unused(MaxUnused::Bytes(0)),
        }
        if self.options.stale == 0 && dice.below(4) == 0 {
            builder = builder.grace(Duration::from_secs(24 * 3600));
        }
        if self.options.broken == Some(Broken::NoGrace) {
            builder = builder.grace(Duration::ZERO);
        }
        match builder.plan().await {
            Ok(plan) => plan.apply().await.map(|report| Outcome::Pruned(Box::new(report))),
            // Not one snapshot is there.
            Err(error) if error.kind() == Kind::Invalid => Ok(Outcome::Done),
            Err(error) => Err(error),
        }
    }

    async fn repair_index(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let report = self.open(dice).await?.repair_index().start().await?;
        self.deeds.count("packs that a repair named", report.packs_named.len() as u64);
        Ok(Outcome::Done)
    }

    async fn repair_packs(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let report = self.open(dice).await?.repair_packs().start().await?;
        self.deeds.count("packs that a repair condemned", report.damaged.len() as u64);
        Ok(Outcome::Done)
    }

    /// Nothing is ever lost, so there is nothing to repair, but in snapshots that are gone by now.
    async fn repair_snapshots(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let repository = self.open_to_reread(dice).await?;
        let snapshots = repository.list_snapshots().await?.snapshots;
        let Some(snapshot) = one_of(dice, &snapshots) else { return Ok(Outcome::Done) };
        let report = repository.repair_snapshots(vec![snapshot.clone()]).start().await?;
        if report.whole.contains(&snapshot.id) {
            return Ok(Outcome::Done);
        }
        self.deeds.count("snapshots repaired", report.repaired.len() as u64);
        Ok(Outcome::Repaired(snapshot.id, format!("{report:?}")))
    }

    /// Makes a new root key; mostly the old one goes.
    async fn rotate(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let repository = self.open(dice).await?;
        let rotation = repository.rotate_root_key(key(), RotateOptions::default()).await?;
        self.deeds.count("root keys", 1);
        if dice.below(4) > 0 {
            rotation.remove_old_slots().await?;
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn keep(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        match dice.below(6) {
            0 => self.keep_by_rules(dice).await,
            1 | 2 => self.rewrite(dice).await,
            _ => self.keep_by_hand(dice).await,
        }
    }

    /// Forgets, tags or protects some snapshots, but never the only one.
    async fn keep_by_hand(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let repository = self.open(dice).await?;
        let snapshots = repository.list_snapshots().await?.snapshots;
        for snapshot in snapshots.iter().skip(1) {
            match dice.below(8) {
                0 | 1 => self.forget(&repository, snapshot).await?,
                2 | 3 => {
                    let add = vec![format!("tag {}", dice.below(1000))];
                    drop(repository.tag(&[snapshot.id], &TagChange { add, ..TagChange::default() }).await?);
                }
                4 => {
                    let protected = repository.protect(&[snapshot.id], !snapshot.is_protected).await?;
                    self.deeds.count("snapshots protected", protected.len() as u64);
                }
                _ => {}
            }
        }
        Ok(Outcome::Done)
    }

    async fn forget(&self, repository: &Repository, snapshot: &Snapshot) -> strongroom::Result<()> {
        self.rewrites.let_go(snapshot.id, self.actor);
        match repository.forget(&[snapshot.id]).await {
            Err(error) if error.kind() == Kind::Protected => Ok(()),
            other => other.map(|_| ()),
        }
    }

    async fn keep_by_rules(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let repository = self.open(dice).await?;
        let most = |count: u64| Keep::Newest(u32::try_from(count).expect("a small number"));
        let rules = KeepRules { last: most(1 + dice.below(3)), daily: most(dice.below(3)), ..KeepRules::default() };
        let group_by = GroupBy { host: dice.below(2) == 0, ..GroupBy::default() };
        let plan = repository.plan_forget(&rules, &SnapshotFilter::default(), group_by, &|_| 0).await?;
        plan.removals().for_each(|snapshot| self.rewrites.let_go(snapshot.id, self.actor));
        if self.options.broken == Some(Broken::ForgetsProtected) {
            let decisions = plan.groups().iter().flat_map(|group| &group.decisions);
            let protected: Vec<SnapshotId> = decisions
                .map(|decision| &decision.snapshot)
                .filter(|snapshot| snapshot.is_protected)
                .map(|snapshot| snapshot.id)
                .collect();
            for id in protected {
                self.desk.ask(self.actor, self.life, Operation::Delete(Name::Snapshot(id))).await?;
            }
        }
        let removed = repository.apply_forget(plan, false).await?;
        self.deeds.count("snapshots that rules removed", removed);
        Ok(Outcome::Done)
    }

    /// Drops a file from one snapshot.
    async fn rewrite(&self, dice: &mut Dice) -> strongroom::Result<Outcome> {
        let repository = self.open_to_reread(dice).await?;
        let snapshots = repository.list_snapshots().await?.snapshots;
        let Some(snapshot) = one_of(dice, &snapshots) else { return Ok(Outcome::Done) };
        let text = snapshot.label.clone().unwrap_or_default();
        let files: Vec<&str> = text.split(' ').collect();
        let left = self.rewrites.labels(snapshot);
        let Some(file) = one_of(dice, &files).filter(|_| left.iter().all(|label| label.contains(' '))) else {
            return Ok(Outcome::Done);
        };
        let replaces = dice.below(2) == 0 && !snapshot.is_protected;
        self.rewrites.begin(snapshot, file, replaces.then_some(self.actor));
        if replaces && self.options.broken == Some(Broken::ForgetsBeforeRewriting) {
            repository.forget(&[snapshot.id]).await?;
        }
        let seed = file.split(':').next().unwrap_or_default();
        let exclude = format!("file {:06}", seed.parse::<u64>().expect("labels are made here"));
        let rewrite = repository.rewrite(vec![snapshot.clone()], vec![exclude.into()]).forget(replaces);
        let report = rewrite.start().await?;
        self.deeds.count("snapshots rewritten", report.rewritten.len() as u64);
        Ok(report.rewritten.first().and_then(|rewritten| rewritten.new).map_or(Outcome::Done, Outcome::Stored))
    }
}
