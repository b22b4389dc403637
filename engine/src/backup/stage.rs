//! A stage on a thread of its own: its failure stops the others, and so does a panic, with what it said.

use super::halt::Halt;
use super::read::Reader;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::source::Source;
use crate::source::SourceError;
use crate::verdict::Verdict;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use tokio::task::JoinError;
use tokio::task::JoinHandle;

/// A source that was read to its end.
pub(crate) struct ReadThrough {
    pub(crate) verdict: Verdict,
    pub(crate) batches: u64,
}

/// The source thread: `None` when another stage stopped it.
pub(crate) fn read(source: Box<dyn Source>, mut reader: Reader) -> Result<Option<ReadThrough>> {
    let kind = source.kind().to_owned();
    let outcome = catch_unwind(AssertUnwindSafe(|| source.run(&mut reader)));
    match outcome {
        Ok(Ok(verdict)) => Ok(reader.finish().ok().map(|batches| ReadThrough { verdict, batches })),
        Ok(Err(SourceError::Stopped)) => Ok(None),
        Ok(Err(failed)) => {
            reader.abandon();
            Err(Error::new(Kind::SourceFailed, format!("the {kind} source failed")).because(failed))
        }
        Err(panic) => {
            Err(Error::new(Kind::SourceFailed, format!("the {kind} source panicked")).because(words(panic.as_ref())))
        }
    }
}

/// Runs a stage on a thread; its error halts the others at once, not only when it is waited for.
pub(crate) fn spawn<T: Send + 'static>(
    halt: &Arc<Halt>,
    stage: impl FnOnce() -> Result<T> + Send + 'static,
) -> JoinHandle<Result<T>> {
    let halt = Arc::clone(halt);
    tokio::task::spawn_blocking(move || {
        // A stage that panics must not leave the others waiting for it.
        let outcome = catch_unwind(AssertUnwindSafe(stage)).unwrap_or_else(|panic| {
            Err(Error::new(Kind::Bug, "a stage of the backup panicked").because(words(panic.as_ref())))
        });
        outcome.map_err(|error| {
            halt.fail(error);
            Error::new(Kind::Cancelled, "another stage failed")
        })
    })
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it said nothing".to_owned())
}

pub(crate) fn lost(cause: JoinError) -> Error {
    Error::new(Kind::Bug, "a stage of the backup was lost").because(cause.to_string())
}
