//! What a running job tells: counters that are always current, and events worth a line.

use crate::entry::EntryPath;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// The latest counters of a job; reading them never slows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Entries finished.
    pub entries_done: u64,
    /// Entries to expect (a backup guesses by its parent, and may learn of more; 0 when unknown).
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

    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// For a job that begins again; warnings were given all the same.
    pub(crate) fn restart(&self) {
        let counters =
            [&self.entries_done, &self.entries_total, &self.bytes_done, &self.bytes_total, &self.bytes_stored];
        counters.into_iter().for_each(|counter| counter.store(0, Ordering::Relaxed));
    }

    pub(crate) fn read(&self) -> Progress {
        Progress {
            entries_done: self.entries_done.load(Ordering::Relaxed),
            entries_total: self.entries_total.load(Ordering::Relaxed),
            bytes_done: self.bytes_done.load(Ordering::Relaxed),
            bytes_total: self.bytes_total.load(Ordering::Relaxed),
            bytes_stored: self.bytes_stored.load(Ordering::Relaxed),
            warnings: self.warnings.load(Ordering::Relaxed),
        }
    }
}

/// Something that happened inside a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
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
