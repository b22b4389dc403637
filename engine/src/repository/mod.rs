//! The front door: one repository, one verb a file.
//!
//! A [`Repository`] is cheap to clone and safe to share. Verbs that take long give a [`crate::Job`];
//! short ones are plain async functions. Nothing here remembers state between verbs: each one reads
//! what the backend holds, so any number of programs may work on one repository at once.

mod backup;
mod catalog;
mod check;
mod compare;
mod create;
#[cfg(test)]
mod damage;
mod forget;
#[cfg(test)]
mod healing;
mod inspect;
mod keys;
mod open;
mod restore;
mod snapshots;
mod stats;
mod tag;

pub use backup::BackupBuilder;
pub use catalog::ContentReader;
pub use catalog::Differences;
pub use catalog::Entries;
pub use check::CheckBuilder;
pub use check::CheckReport;
pub use check::Problem;
pub use check::ReadData;
pub use compare::CompareOptions;
pub use compare::DiskChange;
pub use compare::DiskDifference;
pub use compare::DiskDifferences;
pub use create::CreateOptions;
pub use create::Created;
pub use create::KdfChoice;
pub use inspect::ConfigView;
pub use inspect::PackView;
pub use inspect::SegmentView;
pub use keys::KeySlot;
pub use keys::generate_key_file;
pub use open::Key;
pub use restore::RestoreBuilder;
pub use snapshots::SnapshotFilter;
pub use stats::SnapshotStats;
pub use stats::Stats;
pub use tag::TagChange;

use crate::catalog::PageSource;
use crate::class::Class;
use crate::crypto::keys::RootKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::config::PrivateConfig;
use crate::format::config::PublicConfig;
use crate::id::RepositoryId;
use crate::id::SlotId;
use crate::index::chunks::ChunkReader;
use crate::index::load;
use crate::index::table::Index;
use crate::store::Store;
use std::sync::Arc;

/// An opened repository.
#[derive(Clone)]
pub struct Repository {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    root: RootKey,
    /// The slot it was opened with.
    slot: SlotId,
    public: PublicConfig,
    private: PrivateConfig,
    /// The feature that this program lacks for writing.
    read_only_because: Option<String>,
}

impl Repository {
    /// Its identity, chosen at creation.
    pub fn id(&self) -> RepositoryId {
        self.inner.store.repository()
    }

    /// Where it is, for people.
    pub fn describe(&self) -> String {
        self.inner.store.backend().describe()
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.inner.store
    }

    /// Before anything is written: this program must know every feature, and the backend must take objects.
    async fn check_writable(&self) -> Result<()> {
        if let Some(feature) = &self.inner.read_only_because {
            return Err(Error::new(Kind::Unsupported, "the repository needs a newer program to be written to")
                .because(format!("writing needs the feature {feature:?}, which this program does not know")));
        }
        self.store().backend().check_writable().await
    }

    /// The index as the backend holds it now, for reading. What an index object that cannot be read names is missing
    /// from it: only entries that need it fail, each by name.
    async fn index(&self) -> Result<Arc<Index>> {
        Ok(Arc::new(load::load_what_opens(self.store()).await?.0))
    }

    /// A reader of catalog pages.
    fn pages(&self, index: &Arc<Index>) -> Arc<dyn PageSource> {
        Arc::new(ChunkReader::new(self.store(), index, Class::Metadata))
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repository({} at {})", self.id(), self.describe())
    }
}
