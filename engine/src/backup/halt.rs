//! The first failure of a job, which stops every stage.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::job::Control;
use crate::source::Stop;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

/// Nothing failed.
const RUNNING: u8 = 0;
/// The source failed: nothing more comes, and the other stages store what they hold.
const DRAINING: u8 = 1;
/// Every stage ends as soon as it can.
const STOPPED: u8 = 2;

/// Keeps the first failure; everything after it is a consequence and is dropped.
#[derive(Default)]
pub(crate) struct Halt {
    state: AtomicU8,
    first: Mutex<Option<Error>>,
}

impl Halt {
    /// Records a failure and stops every stage.
    pub(crate) fn fail(&self, error: Error) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let state = if error.kind() == Kind::SourceFailed { DRAINING } else { STOPPED };
        if first.is_none() {
            *first = Some(error);
        }
        self.state.fetch_max(state, Ordering::AcqRel);
    }

    /// Whether stages must stop; a cancelled job counts as a failure of its own kind.
    pub(crate) fn check(&self, control: &Control) -> Result<(), Stop> {
        if let Err(cancelled) = control.check() {
            self.fail(cancelled);
        }
        if self.is_halted() { Err(Stop) } else { Ok(()) }
    }

    /// Whether what was read must not be stored any more. After a failure of the source alone it is: the next run
    /// then need not store it again.
    pub(crate) fn check_storing(&self, control: &Control) -> Result<(), Stop> {
        // A request to stop becomes a failure here.
        let _ = self.check(control);
        if self.is_storing() { Ok(()) } else { Err(Stop) }
    }

    /// Whether what was read is still to be stored, as far as is known.
    pub(crate) fn is_storing(&self) -> bool {
        self.state.load(Ordering::Acquire) != STOPPED
    }

    /// The first failure, or a bug when a stage stopped without saying why.
    pub(crate) fn take(&self) -> Error {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.take().unwrap_or_else(|| Error::new(Kind::Bug, "a stage of the backup stopped without saying why"))
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.state.load(Ordering::Acquire) != RUNNING
    }
}
