//! Objects in and out: what `format` lays out, `crypto` seals and `backend` keeps, put together.
//!
//! Everything above this room speaks of records, segments and chunks; everything below of bytes. A
//! [`Store`] is one opened repository's keys and backend. Nothing it returns has skipped a check:
//! small objects are bound to their names, segments to their places, index parts to their order.

mod ahead;
mod condemned;
mod data_keys;
mod deletion;
mod disk;
mod earlier;
mod index_object;
mod local;
mod new_pack;
mod on_full;
mod pack_object;
mod pending;
mod segment;
mod small;

pub(crate) use condemned::Condemned;
pub(crate) use data_keys::KeyCopy;
pub(crate) use local::LocalFiles;
pub(crate) use new_pack::DurablePacks;
pub(crate) use new_pack::NewPack;
pub(crate) use new_pack::StoredPack;
pub(crate) use on_full::OnFull;
pub(crate) use pending::Pending;
pub use pending::PendingRecord;
pub(crate) use pending::pending_records;
pub(crate) use segment::OpenSegment;
pub(crate) use segment::SegmentReader;
pub(crate) use segment::StoredSegment;
pub(crate) use segment::WholePack;

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::Heeding;
use crate::backend::Listed;
use crate::backend::Name;
use crate::class::Class;
use crate::crypto::keyring::UnknownKey;
use crate::crypto::keys::Keys;
use crate::crypto::keys::ObjectKey;
use crate::crypto::keys::Purpose;
use crate::crypto::name::NameKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::id::DataKeyId;
use crate::id::RepositoryId;
use crate::job::Canceller;
use crate::random::Rng;
use crate::time::Clock;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;

/// The way out for verbs that need every snapshot, where the record of one cannot be read.
pub(crate) const SNAPSHOT_BY_ID: &str = "'strongroom forget ID' removes that damaged record for good, if no copy of the \
                                         repository has it; then run the same command again";

/// One opened repository: its backend, its keys, and where time and randomness come from.
pub(crate) struct Store {
    backend: Arc<dyn Backend>,
    /// The same without a stop of the job in mind, where `backend` has that.
    unstoppable: Option<Arc<dyn Backend>>,
    repository: RepositoryId,
    keys: Arc<Keys>,
    data_keys: Arc<Mutex<HashMap<DataKeyId, KnownKey>>>,
    rng: Arc<dyn Rng>,
    clock: Arc<dyn Clock>,
    local: Arc<RwLock<LocalFiles>>,
}

use data_keys::KnownKey;

impl Store {
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        repository: RepositoryId,
        keys: Keys,
        rng: Arc<dyn Rng>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            backend,
            unstoppable: None,
            repository,
            keys: Arc::new(keys),
            data_keys: Arc::default(),
            rng,
            clock,
            local: Arc::default(),
        }
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// An area's objects, each once even where the backend names one twice: what is counted must not depend on it.
    pub(crate) async fn list(&self, area: Area) -> Result<Vec<Listed>> {
        let mut listed = self.backend.list(area).await?;
        listed.sort_by_key(|object| object.name);
        listed.dedup_by_key(|object| object.name);
        Ok(listed)
    }

    /// Listed objects that could not be found: removed meanwhile, or hidden by a store that does not tell the truth.
    /// A second listing decides; what is still in it is damaged, and given with the words for it.
    pub(crate) async fn still_listed(&self, area: Area, missing: &[Name]) -> Result<Vec<(Name, Error)>> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let listed = self.list(area).await?.into_iter().filter(|object| missing.contains(&object.name));
        let damaged = |name: Name| Error::damaged(name, "it is listed, but reading it finds nothing");
        Ok(listed.map(|object| (object.name, damaged(object.name))).collect())
    }

    /// The same for those to whom every damage is a reason to stop.
    pub(crate) async fn confirm_gone(&self, area: Area, missing: &[Name]) -> Result<()> {
        let hidden = self.still_listed(area, missing).await?;
        hidden.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The same repository as a job sees it, which may be asked to stop.
    pub(crate) fn heeding(&self, canceller: Canceller) -> Self {
        let backend = Arc::new(Heeding::new(Arc::clone(&self.backend), canceller));
        self.around(backend, Some(Arc::clone(&self.backend)))
    }

    /// The same for what must be finished once it is begun, whoever asks the job to stop.
    pub(crate) fn unstoppable(&self) -> Self {
        self.around(Arc::clone(self.unstoppable.as_ref().unwrap_or(&self.backend)), None)
    }

    fn around(&self, backend: Arc<dyn Backend>, unstoppable: Option<Arc<dyn Backend>>) -> Self {
        Self {
            backend,
            unstoppable,
            repository: self.repository,
            keys: Arc::clone(&self.keys),
            data_keys: Arc::clone(&self.data_keys),
            rng: Arc::clone(&self.rng),
            clock: Arc::clone(&self.clock),
            local: Arc::clone(&self.local),
        }
    }

    /// The same repository with other keys to seal and open with.
    pub(crate) fn rekeyed(&self, keys: Keys) -> Self {
        let (backend, rng, clock) = (Arc::clone(&self.backend), Arc::clone(&self.rng), Arc::clone(&self.clock));
        Self::new(backend, self.repository, keys, rng, clock)
    }

    /// The key of this purpose that the head of `what` names. None at hand: nothing need be damaged, and nothing may be
    /// concluded.
    fn opening_key(&self, purpose: Purpose, id: &[u8; 16], what: impl Display) -> Result<&ObjectKey> {
        let unknown = || Error::new(Kind::Unsupported, format!("cannot open {what}")).because(UnknownKey);
        self.keys.opening(purpose, id).ok_or_else(unknown)
    }

    pub(crate) fn repository(&self) -> RepositoryId {
        self.repository
    }

    pub(crate) fn rng(&self) -> &dyn Rng {
        self.rng.as_ref()
    }

    /// Where files of this machine go.
    pub(crate) fn local(&self) -> LocalFiles {
        self.local.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_local(&self, change: impl FnOnce(&mut LocalFiles)) {
        change(&mut self.local.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The key that names chunks of `class`.
    pub(crate) fn names(&self, class: Class) -> &NameKey {
        match class {
            Class::Data => &self.keys.data_names,
            Class::Metadata => &self.keys.metadata_names,
        }
    }
}
