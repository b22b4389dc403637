//! The front door: one repository, one verb a file.
//!
//! A [`Repository`] is cheap to clone and safe to share. Verbs that take long give a [`crate::Job`];
//! short ones are plain async functions. Nothing here remembers state between verbs: each one reads
//! what the backend holds, so any number of programs may work on one repository at once.

mod backup;
#[cfg(test)]
mod beside_prune;
#[cfg(test)]
mod between;
mod check;
mod compare;
mod copy;
mod create;
#[cfg(test)]
mod damage;
mod data_keys;
#[cfg(test)]
mod distrusting;
mod excluded;
mod forget;
#[cfg(test)]
mod healing;
#[cfg(test)]
mod hooked;
mod inspect;
mod keep;
mod key_lists;
#[cfg(test)]
mod key_lists_tests;
mod keys;
#[cfg(test)]
mod lost_keys;
mod open;
mod prune;
mod record;
mod reencrypt;
#[cfg(test)]
mod reencrypt_tests;
mod repair;
mod reread;
mod restore;
mod rewrite;
mod rotate;
#[cfg(test)]
mod rotate_tests;
mod series;
#[cfg(test)]
mod sharded;
mod snapshots;
mod sources;
mod stats;
#[cfg(test)]
mod swapped;
mod tag;
mod undo_rotation;
#[cfg(test)]
mod undo_rotation_tests;
mod unlock;
#[cfg(test)]
mod unlock_tests;
mod view;

pub use backup::BackupBuilder;
pub use check::AtThisPace;
pub use check::BudgetReport;
pub use check::BudgetShare;
pub use check::CheckBuilder;
pub use check::CheckReport;
pub use check::Problem;
pub use check::ReadBudget;
pub use check::ReadData;
pub use compare::CompareOptions;
pub use compare::DiskChange;
pub use compare::DiskDifference;
pub use compare::DiskDifferences;
pub use copy::CopyBuilder;
pub use copy::CopyFailed;
pub use copy::CopyReport;
pub use create::CreateOptions;
pub use create::Created;
pub use create::KdfChoice;
pub use data_keys::DataKeysPutBack;
pub use inspect::ConfigView;
pub use inspect::PackView;
pub use inspect::SegmentView;
pub use keep::ForgetGroup;
pub use keep::ForgetPlan;
pub use keep::GroupBy;
pub use keep::GroupKey;
pub use key_lists::KeyFinding;
pub use key_lists::KeyTrouble;
pub use keys::KeySlot;
pub use keys::generate_key_file;
pub use open::Key;
pub use prune::PruneBuilder;
pub use prune::PrunePlan;
pub use repair::DamagedPack;
pub use repair::FetchBuilder;
pub use repair::FetchReport;
pub use repair::IndexRepaired;
pub use repair::KeysRepaired;
pub use repair::PacksRepaired;
pub use repair::RepairIndexBuilder;
pub use repair::RepairPacksBuilder;
pub use repair::RepairSnapshotsBuilder;
pub use repair::SnapshotRepaired;
pub use repair::SnapshotsRepaired;
pub use restore::RestoreBuilder;
pub use rewrite::RewriteBuilder;
pub use rewrite::RewriteReport;
pub use rewrite::SnapshotRewritten;
pub use rotate::RotateOptions;
pub use rotate::Rotation;
pub use snapshots::SnapshotFilter;
pub use snapshots::SnapshotList;
pub use snapshots::UnreadableSnapshot;
pub use stats::SnapshotStats;
pub use stats::Stats;
pub use tag::TagChange;
pub use unlock::OpenOptions;

use crate::backend::Area;
use crate::crypto::keyring::Keyring;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::config::PrivateConfig;
use crate::format::config::PublicConfig;
use crate::id::RepositoryId;
use crate::id::SlotId;
use crate::index::live::LiveIndex;
use crate::job::Control;
use crate::store::Store;
use std::path::PathBuf;
use std::sync::Arc;

/// An opened repository.
#[derive(Clone)]
pub struct Repository {
    store: Arc<Store>,
    inner: Arc<Inner>,
}

struct Inner {
    ring: Keyring,
    /// The slot it was opened with.
    slot: SlotId,
    /// What opening it was allowed to cost.
    options: OpenOptions,
    /// Slots of a newer root key that were not tried, and why.
    newer_not_tried: Vec<String>,
    public: PublicConfig,
    private: PrivateConfig,
    /// The feature that this program lacks for writing.
    read_only_because: Option<String>,
}

impl Repository {
    /// Its identity, chosen at creation.
    pub fn id(&self) -> RepositoryId {
        self.store.repository()
    }

    /// Where it is, for people.
    pub fn describe(&self) -> String {
        self.store.backend().describe()
    }

    /// The folder of this machine that it is in, if it is in one.
    pub fn folder(&self) -> Option<PathBuf> {
        self.store().backend().properties().folder
    }

    /// Where this program may put files of its own on this machine: in `cache` what helps the next run (how far an
    /// unfinished backup came, which packs were verified when, what index objects say), in `temporary` what goes with the
    /// run. With either of them a large index takes little memory. Both may be deleted at any time.
    pub fn use_folders(&self, cache: Option<PathBuf>, temporary: Option<PathBuf>) {
        self.store().set_local(|local| (local.cache, local.temporary) = (cache, temporary));
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// From now on a request of this handle that hangs does not hold up a stop of the job.
    fn heed(&mut self, control: &Control) {
        self.store = Arc::new(self.store.heeding(control.canceller()));
    }

    /// Fails early where nothing can be written: this program must know every feature, and the backend must take objects.
    pub async fn check_writable(&self) -> Result<()> {
        self.check_features()?;
        self.store().backend().check_writable().await?;
        self.settle_slots().await
    }

    /// Before something is deleted and nothing written: a full store must not keep its space from being given back.
    async fn check_deletable(&self) -> Result<()> {
        self.check_features()?;
        self.store().backend().check_deletable().await?;
        self.settle_slots().await
    }

    /// What is sealed under a root key needs a slot that holds it. Whoever made the slot that this program has opened may
    /// have died before it was durable.
    async fn settle_slots(&self) -> Result<()> {
        self.store().barrier_for(Area::Slots).await
    }

    fn check_features(&self) -> Result<()> {
        if let Some(feature) = &self.inner.read_only_because {
            return Err(Error::new(Kind::Unsupported, "the repository needs a newer program to be written to")
                .because(format!("writing needs the feature {feature:?}, which this program does not know")));
        }
        Ok(())
    }

    /// The index as the backend holds it now, for reading. What an index object that cannot be read names is missing
    /// from it: only entries that need it fail, each by name.
    async fn index(&self) -> Result<Arc<LiveIndex>> {
        LiveIndex::load(self.store()).await
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repository({} at {})", self.id(), self.describe())
    }
}
