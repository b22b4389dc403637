//! What every stage of one restore shares.

use crate::entry::EntryPath;
use crate::restore::boundary::SegmentStore;
use crate::restore::file::FileJob;
use crate::restore::options::RestoreOptions;
use crate::restore::tally::Tally;
use crate::restore::target::Target;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// What every stage of one restore shares.
pub(crate) struct Site {
    pub(crate) options: RestoreOptions,
    pub(crate) target: Target,
    pub(crate) tally: Tally,
    pub(crate) store: Arc<dyn SegmentStore>,
    /// Files that are begun and not finished: whoever ends the job removes what they left.
    unfinished: Mutex<HashMap<usize, Arc<FileJob>>>,
    /// Files whose flags wait for the end.
    flags: Mutex<Vec<Arc<FileJob>>>,
}

impl Site {
    pub(crate) fn new(options: RestoreOptions, target: Target, tally: Tally, store: Arc<dyn SegmentStore>) -> Self {
        Self { options, target, tally, store, unfinished: Mutex::default(), flags: Mutex::default() }
    }

    /// The path in the snapshot of what goes to `place` below the target: what patterns speak of.
    pub(crate) fn in_snapshot(&self, place: &EntryPath) -> EntryPath {
        let below = self.options.path.as_ref();
        below.and_then(|below| below.join(place.as_bytes()).ok()).unwrap_or_else(|| place.clone())
    }

    /// Remembers a file whose temporary copy now exists.
    pub(crate) fn begun(&self, file: &Arc<FileJob>) {
        let mut map = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(Arc::as_ptr(file).addr(), Arc::clone(file));
    }

    /// The file has its name, or is gone.
    pub(crate) fn ended(&self, file: &Arc<FileJob>) {
        let mut map = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        map.remove(&Arc::as_ptr(file).addr());
    }

    /// The flags of this file are to be set after everything else.
    pub(crate) fn flag_later(&self, file: Arc<FileJob>) {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    /// Sets the flags that had to wait.
    pub(crate) fn set_late_flags(&self) {
        let files = std::mem::take(&mut *self.flags.lock().unwrap_or_else(PoisonError::into_inner));
        files.iter().for_each(|file| file.set_late_flags(self));
    }

    /// Removes what unfinished files left.
    pub(crate) fn abandon(&self) {
        let files = std::mem::take(&mut *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner));
        for file in files.into_values() {
            file.discard(self);
        }
    }
}
