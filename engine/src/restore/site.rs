//! What every stage of one restore shares.

use crate::catalog::Gap;
use crate::entry::EntryPath;
use crate::restore::boundary::SegmentStore;
use crate::restore::file::FileJob;
use crate::restore::flags::LateFlags;
use crate::restore::listed::Listed;
use crate::restore::names;
use crate::restore::names::Original;
use crate::restore::opened::Opened;
use crate::restore::options::RestoreOptions;
use crate::restore::spare::Spare;
use crate::restore::tally::Tally;
use crate::restore::target::Target;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

/// What every stage of one restore shares.
pub(crate) struct Site {
    pub(crate) options: RestoreOptions,
    pub(crate) target: Target,
    pub(crate) spare: Spare,
    pub(crate) tally: Tally,
    pub(crate) store: Arc<dyn SegmentStore>,
    pub(crate) opened: Opened,
    /// Files that are begun and not finished: whoever ends the job removes what they left.
    unfinished: Mutex<HashMap<usize, Arc<FileJob>>>,
    /// Files of the target of which not all names were seen yet.
    shared: Mutex<HashMap<usize, Arc<Original>>>,
    /// Files whose flags wait for the end.
    flags: Mutex<Vec<LateFlags>>,
    /// Which folders were backed up with all below them, where that can be told.
    listed: Option<Listed>,
    /// The first entries that cannot be read, and why: from there on what the snapshot has is not known.
    lost: OnceLock<String>,
}

impl Site {
    pub(crate) fn new(
        options: RestoreOptions,
        target: Target,
        spare: Spare,
        tally: Tally,
        store: Arc<dyn SegmentStore>,
    ) -> Self {
        let listed = options.listed.clone().map(Listed::new);
        Self {
            listed,
            options,
            target,
            spare,
            tally,
            store,
            opened: Opened::default(),
            unfinished: Mutex::default(),
            shared: Mutex::default(),
            flags: Mutex::default(),
            lost: OnceLock::new(),
        }
    }

    /// Entries that cannot be read are reported; from here on nothing is deleted.
    pub(crate) fn lose(&self, gap: &Gap, why: &str) {
        let lost = format!("{gap} cannot be read: {why}");
        self.tally.fail(None, lost.as_str(), true);
        let _ = self.lost.set(lost);
    }

    /// The first entries passed that could not be read, and why.
    pub(crate) fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// True when what the snapshot does not have is to be removed, and is known.
    pub(crate) fn deletes(&self) -> bool {
        self.options.delete && self.lost.get().is_none()
    }

    /// True when strangers are to be removed from this directory (nothing: the target), and not only from one that it
    /// leads to.
    pub(crate) fn deletes_in(&self, place: Option<&EntryPath>) -> bool {
        self.deletes() && self.is_listed(place)
    }

    /// True when this directory (nothing: the target) was backed up itself, or cannot be told from one that was, and does
    /// not only lead to one.
    pub(crate) fn is_listed(&self, place: Option<&EntryPath>) -> bool {
        let Some(all) = &self.listed else { return true };
        let path = place.map(|place| self.in_snapshot(place)).or_else(|| self.options.path.clone());
        path.is_some_and(|path| all.holds(&path))
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

    /// Remembers a file of the target until all of its names were seen.
    pub(crate) fn share(&self, original: &Arc<Original>) {
        let mut map = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(Arc::as_ptr(original).addr(), Arc::clone(original));
    }

    /// They were.
    pub(crate) fn settled(&self, original: &Arc<Original>) {
        let mut map = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        map.remove(&Arc::as_ptr(original).addr());
    }

    /// The walk is over: what was to wait for it is done.
    pub(crate) fn complete(&self) {
        let mut shared: Vec<_> =
            std::mem::take(&mut *self.shared.lock().unwrap_or_else(PoisonError::into_inner)).into_values().collect();
        shared.sort_by(|a, b| a.path.cmp(&b.path));
        shared.iter().filter(|_| !self.options.dry_run).for_each(|original| names::part(self, original));
        self.set_late_flags();
    }

    /// The flags of this file are to be set after everything else.
    pub(crate) fn flag_later(&self, flags: LateFlags) {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner).push(flags);
    }

    /// How many files wait for theirs.
    #[cfg(test)]
    pub(crate) fn late_flags(&self) -> usize {
        self.flags.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sets the flags that had to wait.
    fn set_late_flags(&self) {
        let waiting = std::mem::take(&mut *self.flags.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.iter().for_each(|flags| flags.set(self));
    }

    /// Removes what unfinished files left, sets the flags of those that are finished, and shuts what was opened.
    pub(crate) fn abandon(&self) {
        self.set_late_flags();
        let files = std::mem::take(&mut *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner));
        for file in files.into_values() {
            file.discard(self);
        }
        self.opened.leave_all(&self.target);
    }
}

impl Drop for Site {
    /// A job that is dropped may still be planning when its workers clean up.
    fn drop(&mut self) {
        self.abandon();
    }
}
