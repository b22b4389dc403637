//! Pruning: what to ask, the plan to show, and the job that carries it out.

use super::Repository;
use crate::backend::Leftovers;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::wire::size;
use crate::id::SnapshotId;
use crate::job::Canceller;
use crate::job::Control;
use crate::job::Job;
use crate::prune::MaxUnused;
use crate::prune::Plan;
use crate::prune::PruneOptions;
use crate::prune::PruneReport;
use crate::prune::PruneSummary;
use crate::store::PendingRecord;
use std::fmt;
use std::time::Duration;

/// A prune about to be planned.
#[must_use = "nothing happens before `plan`"]
pub struct PruneBuilder {
    repository: Repository,
    options: PruneOptions,
}

/// What a prune would do; nothing has happened yet. Dropping it leaves the repository as it is.
#[must_use = "nothing happens before `apply`"]
pub struct PrunePlan {
    repository: Repository,
    plan: Plan,
    /// What a stop of the look, and of what is done about it, is asked through.
    canceller: Canceller,
}

impl Repository {
    /// Prepares to remove what no snapshot needs.
    pub fn prune(&self) -> PruneBuilder {
        let private = &self.inner.private;
        let pack_goals = (size(private.pack_bytes), size(private.metadata_pack_bytes));
        PruneBuilder { repository: self.clone(), options: PruneOptions::new(pack_goals) }
    }
}

impl PruneBuilder {
    /// How much that nothing needs may stay in packs of which a part is needed; 5 % unless told otherwise.
    pub fn max_unused(mut self, max_unused: MaxUnused) -> Self {
        self.options.max_unused = max_unused;
        self
    }

    /// Bytes of packs written anew at most.
    pub fn max_repack_bytes(mut self, bytes: u64) -> Self {
        self.options.max_repack_bytes = bytes;
        self
    }

    /// Puts packs together that are far smaller than they should be.
    pub fn repack_small(mut self, repack: bool) -> Self {
        self.options.repack_small = repack;
        self
    }

    /// Seals anew, under the present root key, whatever opens with an earlier one: the records of snapshots, the index, and
    /// packs, those of running backups excepted. What no run has left is told by [`SealedBefore::is_nothing`].
    ///
    /// [`SealedBefore::is_nothing`]: crate::SealedBefore::is_nothing
    pub fn reencrypt(mut self, reencrypt: bool) -> Self {
        self.options.reencrypt = reencrypt;
        self
    }

    /// How long condemned packs stay. Unless told otherwise nothing on a store whose listings are always current, and
    /// a day on others: a host that sees the repository as it was before must not miss what was condemned since.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.options.grace = Some(grace);
        self
    }

    /// Packs younger than this stay unless their session is known to have ended; two days unless told otherwise. A
    /// shorter time costs running backups work, never data.
    pub fn min_age(mut self, age: Duration) -> Self {
        self.options.min_age = age;
        self
    }

    /// These snapshots were forgotten just now: what only they needed is young, but belongs to no running backup.
    pub fn forgotten(mut self, sessions: &[SnapshotId]) -> Self {
        self.options.ended.extend_from_slice(sessions);
        self
    }

    /// Goes on where there is not one snapshot, and removes everything that is stored.
    pub fn allow_no_snapshots(mut self, allow: bool) -> Self {
        self.options.allow_no_snapshots = allow;
        self
    }

    /// Looks at everything and chooses. Writes nothing; what cannot be read is an error.
    pub fn plan(mut self) -> Job<PrunePlan> {
        Job::start(|control| {
            self.repository.heed(&control);
            self.run(control)
        })
    }

    async fn run(self, control: Control) -> Result<PrunePlan> {
        let Self { repository, options } = self;
        let canceller = control.canceller();
        let plan = Plan::make(repository.store(), options, control).await?;
        Ok(PrunePlan { repository, plan, canceller })
    }
}

impl PrunePlan {
    /// What it comes to.
    pub fn summary(&self) -> PruneSummary {
        self.plan.summary()
    }

    /// Pending records that are there: of backups that run, or were cut off. What they need stays.
    pub fn pending(&self) -> &[PendingRecord] {
        self.plan.pending()
    }

    /// Does it. Stopping it is safe anywhere; the next prune goes on.
    pub fn apply(self) -> Job<PruneReport> {
        // What was looked at is asked through the switch of the job that looked.
        Job::start_under(self.canceller.clone(), |control| self.run(control))
    }

    async fn run(self, control: Control) -> Result<PruneReport> {
        let Self { repository, plan, .. } = self;
        repository.check_prunable().await?;
        // First: on a full store it makes room. Where there is none even for asking what time it is there, last.
        let swept = repository.swept().await?;
        let mut report =
            if plan.reencrypts() { repository.reencrypt(plan, control).await? } else { plan.apply(control).await? };
        report.leftovers = match swept {
            Some(swept) => swept,
            None => repository.swept().await?.unwrap_or_default(),
        };
        Ok(report)
    }
}

impl Repository {
    /// What killed runs had left and was removed; `None` where a full store kept that from being done.
    async fn swept(&self) -> Result<Option<Leftovers>> {
        match self.store().sweep().await {
            Err(full) if full.kind() == Kind::NoSpace => Ok(None),
            swept => swept.map(Some),
        }
    }

    /// Before anything is condemned: this program must know every feature. A full store is no obstacle.
    async fn check_prunable(&self) -> Result<()> {
        if let Some(feature) = self.inner.public.missing_to_prune() {
            return Err(Error::new(Kind::Unsupported, "the repository needs a newer program to be pruned")
                .because(format!("pruning needs the feature {feature:?}, which this program does not know")));
        }
        self.check_deletable().await
    }
}

impl fmt::Debug for PrunePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrunePlan({:?})", self.plan.summary())
    }
}
