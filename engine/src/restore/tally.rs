//! Counts what a restore did, keeps its failures, and remembers what must end it.

use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Action;
use crate::event::Event;
use crate::event::Warning;
use crate::job::Control;
use crate::restore::options::RestoreReport;
use rustix::io::Errno;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Failures and other words kept one by one.
const FAILURES_KEPT: usize = 1000;

/// What is said where a directory has a name that it was not seen to have.
pub(crate) const TAKEN: &str = "its name is taken by something that has come there since, or that the target has under \
    another spelling: that was kept";

/// Shared by every thread of one restore.
pub(crate) struct Tally {
    control: Control,
    /// Whoever started the job knew the totals; otherwise they grow with what is planned.
    totals_given: bool,
    restored: AtomicU64,
    unchanged: AtomicU64,
    skipped: AtomicU64,
    deleted: AtomicU64,
    written: AtomicU64,
    total: AtomicU64,
    owners_refused: AtomicU64,
    attributes_refused: AtomicU64,
    failures: Mutex<Vec<Warning>>,
    failures_total: AtomicU64,
    kept: Mutex<Vec<Warning>>,
    warnings: Mutex<Vec<Warning>>,
    fatal: Mutex<Option<Error>>,
    halted: AtomicBool,
}

impl Tally {
    pub(crate) fn new(control: Control) -> Self {
        let totals_given = control.counters().read().entries_total > 0;
        Self {
            control,
            totals_given,
            restored: AtomicU64::default(),
            unchanged: AtomicU64::default(),
            skipped: AtomicU64::default(),
            deleted: AtomicU64::default(),
            written: AtomicU64::default(),
            total: AtomicU64::default(),
            owners_refused: AtomicU64::default(),
            attributes_refused: AtomicU64::default(),
            failures: Mutex::default(),
            failures_total: AtomicU64::default(),
            kept: Mutex::default(),
            warnings: Mutex::default(),
            fatal: Mutex::default(),
            halted: AtomicBool::default(),
        }
    }

    /// An entry is finished; `bytes` is its content's length.
    pub(crate) fn done(&self, path: &EntryPath, action: Action, bytes: u64) {
        let counter = match action {
            Action::New | Action::Changed => &self.restored,
            Action::Unchanged => &self.unchanged,
            Action::Skipped => &self.skipped,
            Action::Deleted => &self.deleted,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if action != Action::Deleted {
            self.control.count(|counters| &counters.entries_done, 1);
        }
        if self.control.is_watched() {
            self.control.tell(Event::EntryDone { path: path.clone(), action, bytes });
        }
    }

    /// An entry of `bytes` content bytes is to be restored.
    pub(crate) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
        if !self.totals_given {
            self.control.count(|counters| &counters.entries_total, 1);
            self.control.count(|counters| &counters.bytes_total, bytes);
        }
    }

    /// Content bytes were written, or would be in a dry run.
    pub(crate) fn wrote(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
        self.passed(bytes);
    }

    /// Content bytes are where they should be without having been written.
    pub(crate) fn passed(&self, bytes: u64) {
        self.control.count(|counters| &counters.bytes_done, bytes);
    }

    /// Stored bytes came from the backend.
    pub(crate) fn fetched(&self, bytes: u64) {
        self.control.count(|counters| &counters.bytes_stored, bytes);
    }

    /// Something about an entry could not be restored; `partial` when it is content that is missing.
    pub(crate) fn fail(&self, path: Option<&EntryPath>, message: impl Into<String>, partial: bool) {
        let warning = Warning { path: path.cloned(), message: message.into(), partial };
        self.failures_total.fetch_add(1, Ordering::Relaxed);
        let mut kept = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < FAILURES_KEPT {
            kept.push(warning.clone());
        }
        drop(kept);
        self.control.tell(Event::Warning(warning));
    }

    /// Something in the target was left alone, and nobody lacks anything because of it.
    pub(crate) fn keep(&self, path: Option<&EntryPath>, why: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < FAILURES_KEPT {
            kept.push(Warning { path: path.cloned(), message: why.to_owned(), partial: false });
        }
    }

    /// Something was done that nobody may have expected.
    pub(crate) fn warn(&self, path: &EntryPath, message: String) {
        let warning = Warning { path: Some(path.clone()), message, partial: false };
        let mut kept = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < FAILURES_KEPT {
            kept.push(warning.clone());
        }
        drop(kept);
        self.control.tell(Event::Warning(warning));
    }

    /// A system call for an entry failed: fatal when the target as a whole cannot take more, else a failure.
    pub(crate) fn io(&self, path: &EntryPath, doing: &str, errno: Errno) {
        if is_fatal(errno) {
            let text = format!("cannot {doing} '{path}' in the target");
            self.end(Error::new(Kind::TargetFailed, text).because(std::io::Error::from(errno)));
        } else if errno == Errno::EXIST {
            self.fail(Some(path), TAKEN, true);
        } else {
            self.fail(Some(path), format!("cannot {doing}: {}", explain(errno)), true);
        }
    }

    /// An owner could not be set because we are not root: the report tells how many.
    pub(crate) fn owner_refused(&self) {
        self.owners_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// An attribute could not be set because we are not root: likewise.
    pub(crate) fn attribute_refused(&self) {
        self.attributes_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the job with `error`; the first one counts.
    pub(crate) fn end(&self, error: Error) {
        self.halted.store(true, Ordering::Release);
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// True when nothing more should be done.
    pub(crate) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Acquire) || self.control.canceller().is_cancelled()
    }

    /// The error that ends the job, when there is one.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(error) = self.fatal.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        self.control.check()
    }

    /// The report, once every thread is done.
    pub(crate) fn report(&self, seconds: f64) -> RestoreReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RestoreReport {
            entries_selected: 0,
            entries_restored: read(&self.restored),
            entries_unchanged: read(&self.unchanged),
            entries_skipped: read(&self.skipped),
            entries_deleted: read(&self.deleted),
            bytes_written: read(&self.written),
            bytes_total: read(&self.total),
            failures: std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner)),
            failures_total: read(&self.failures_total),
            kept: std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner)),
            warnings: std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner)),
            owners_refused: read(&self.owners_refused),
            attributes_refused: read(&self.attributes_refused),
            seconds,
        }
    }
}

/// True for failures that every further entry would meet as well.
fn is_fatal(errno: Errno) -> bool {
    errno == Errno::NOSPC || errno == Errno::DQUOT || errno == Errno::ROFS
}

/// An errno in the system's words, without its number.
pub(crate) fn explain(errno: Errno) -> String {
    if errno == Errno::STALE {
        return "something else was put in its place, or in that of a folder above it, meanwhile".to_owned();
    }
    let text = std::io::Error::from(errno).to_string();
    match text.find(" (os error") {
        Some(at) => text.get(..at).unwrap_or(&text).to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_ends_the_job_and_a_refusal_does_not() {
        let tally = Tally::new(Control::new());
        let path = EntryPath::parse(b"a").expect("a valid path");
        tally.io(&path, "create", Errno::PERM);
        assert!(tally.check().is_ok() && !tally.is_halted());
        tally.io(&path, "write", Errno::NOSPC);
        assert!(tally.is_halted());
        assert_eq!(tally.check().expect_err("no room").kind(), Kind::TargetFailed);
        let report = tally.report(0.0);
        assert_eq!(report.failures_total, 1);
        assert_eq!(
            report.failures.first().map(|one| one.message.as_str()),
            Some("cannot create: operation not permitted")
        );
    }
}
