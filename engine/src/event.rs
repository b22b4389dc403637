//! What a running job tells: counters that are always current, and events worth a line.

use crate::entry::EntryPath;
use crate::id::SnapshotId;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use tokio::sync::Notify;

/// The latest counters of a job; reading them never slows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Entries finished.
    pub entries_done: u64,
    /// Entries to expect (a backup guesses by its parent, or by what its source can tell or count; 0 when unknown).
    pub entries_total: u64,
    /// Plaintext bytes finished.
    pub bytes_done: u64,
    /// Plaintext bytes to expect (0 when unknown).
    pub bytes_total: u64,
    /// Stored bytes sent to, or read from, the backend.
    pub bytes_stored: u64,
    /// Warnings so far.
    pub warnings: u64,
}

/// The shared cell behind [`Progress`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) entries_done: AtomicU64,
    pub(crate) entries_total: AtomicU64,
    pub(crate) bytes_done: AtomicU64,
    pub(crate) bytes_total: AtomicU64,
    pub(crate) bytes_stored: AtomicU64,
    pub(crate) warnings: AtomicU64,
    /// Somebody wants to know which entry is under way.
    is_followed: AtomicBool,
    /// Somebody watches the counters.
    is_watched: AtomicBool,
    watched: Notify,
    current: Mutex<Option<EntryPath>>,
}

impl Counters {
    /// What is under way now, for those who follow.
    pub(crate) fn at(&self, path: &EntryPath) {
        if self.is_followed.load(Ordering::Relaxed) {
            *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.clone());
        }
    }

    /// What was under way last; known from the first question on.
    pub(crate) fn current(&self) -> Option<EntryPath> {
        self.is_followed.store(true, Ordering::Relaxed);
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Somebody looks at the counters while the job runs.
    pub(crate) fn watch(&self) {
        if !self.is_watched.swap(true, Ordering::AcqRel) {
            self.watched.notify_one();
        }
    }

    /// Waits until somebody looks.
    pub(crate) async fn followed(&self) {
        while !self.is_watched.load(Ordering::Acquire) {
            self.watched.notified().await;
        }
    }

    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// For a job that begins again; warnings were given all the same.
    pub(crate) fn restart(&self) {
        let counters =
            [&self.entries_done, &self.entries_total, &self.bytes_done, &self.bytes_total, &self.bytes_stored];
        counters.into_iter().for_each(|counter| counter.store(0, Ordering::Relaxed));
    }

    /// The counters now. There is at least as much as is done.
    pub(crate) fn read(&self) -> Progress {
        let at_least = |total: u64, done: u64| if total == 0 { 0 } else { total.max(done) };
        let (entries_done, bytes_done) =
            (self.entries_done.load(Ordering::Relaxed), self.bytes_done.load(Ordering::Relaxed));
        Progress {
            entries_done,
            entries_total: at_least(self.entries_total.load(Ordering::Relaxed), entries_done),
            bytes_done,
            bytes_total: at_least(self.bytes_total.load(Ordering::Relaxed), bytes_done),
            bytes_stored: self.bytes_stored.load(Ordering::Relaxed),
            warnings: self.warnings.load(Ordering::Relaxed),
        }
    }
}

/// Something that happened inside a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A backup goes on to its next part.
    Phase(Phase),
    /// The snapshot is stored: it stays, whatever becomes of the job.
    SnapshotStored {
        /// Which one.
        id: SnapshotId,
    },
    /// An entry was finished.
    EntryDone {
        /// Which one.
        path: EntryPath,
        /// What came of it.
        action: Action,
        /// Its plaintext bytes.
        bytes: u64,
    },
    /// An entry was left out on purpose.
    Skipped {
        /// Which one.
        path: EntryPath,
        /// Which rule left it out.
        reason: String,
    },
    /// Something could not be done as asked; the job goes on.
    Warning(Warning),
    /// The listener was too slow and missed this many events.
    Missed {
        /// How many.
        count: u64,
    },
}

/// A part of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It loads what the repository holds. A backup that begins again comes back to this.
    Preparing,
    /// It reads its source.
    Reading,
    /// All is read and stored, and it makes sure that what it relies on is still there, to store the snapshot.
    Committing,
}

/// What came of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Not in the parent snapshot (backup), or created (restore).
    New,
    /// In the parent snapshot with other content or metadata (backup), or rewritten (restore).
    Changed,
    /// As it was.
    Unchanged,
    /// Left out on purpose.
    Skipped,
    /// Removed because the snapshot does not have it (restore with delete).
    Deleted,
}

/// One thing that could not be kept or done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The entry it concerns, when there is one.
    pub path: Option<EntryPath>,
    /// What failed and why, one line.
    pub message: String,
    /// True when content is missing from the result, so that it is partial.
    pub partial: bool,
}
