//! Where a run keeps on this machine what it has read so far.

use super::aside::Opener;
use crate::cache::Unfinished;
use crate::store::Store;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the journal of unfinished runs is, and what it is keyed by.
pub(crate) struct CachePlace {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) store: Arc<Store>,
    pub(crate) source: [u8; 32],
}

impl CachePlace {
    pub(crate) fn open(&self) -> Option<Unfinished> {
        let folder = self.folder.as_ref()?;
        Unfinished::open(folder, self.store.keys().metadata_names.clone(), self.source)
    }

    /// The same for entries that wait for their turn, which nobody takes for those of an unfinished run.
    pub(crate) fn opener_for_waiting(&self) -> Opener {
        let key = self.store.keys().metadata_names.clone();
        let source = *key.name(&[self.source.as_slice(), b"waiting"].concat()).as_bytes();
        let folder = self.folder.clone();
        Box::new(move || Unfinished::open(&folder?, key, source))
    }
}
