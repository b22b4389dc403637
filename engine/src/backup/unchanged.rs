//! Whether a run came to what its parent has: a change of folders that only lead to the source does not count.

use super::assemble::Assembled;
use super::batch::Ended;
use crate::entry::EntryPath;
use crate::format::snapshot::Snapshot;
use crate::verdict::Verdict;

/// Compares every entry with the parent's as it passes, when somebody wants to know.
pub(crate) struct Comparison {
    /// Folders above what is backed up; `None` when nobody wants to know.
    leading: Option<Vec<EntryPath>>,
    same: bool,
}

impl Comparison {
    pub(crate) fn new(leading: Option<Vec<EntryPath>>) -> Self {
        Self { same: leading.is_some(), leading }
    }

    /// Looks at an entry whose content is known.
    pub(crate) fn look(&mut self, ended: &Ended) {
        let Some(leading) = self.leading.as_ref().filter(|_| self.same) else { return };
        self.same = match &ended.earlier {
            None => false,
            Some(earlier) => **earlier == ended.entry || leading.contains(&ended.entry.path),
        };
    }

    /// True when every entry that passed is in the parent, and is there as it is here.
    pub(crate) fn is_same(&self) -> bool {
        self.same
    }
}

/// Whether storing another snapshot would tell nothing new.
pub(crate) fn is_unchanged(earlier: Option<&Snapshot>, assembled: &Assembled, verdict: &Verdict) -> bool {
    // As many entries, each of them in the parent: then none of the parent's is gone.
    let holds = |earlier: &Snapshot| assembled.same && earlier.counts.entries == assembled.counts.entries;
    *verdict == Verdict::Whole
        && earlier.is_some_and(|earlier| {
            earlier.verdict == Verdict::Whole && (earlier.root == assembled.root || holds(earlier))
        })
}
