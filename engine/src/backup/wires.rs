//! From the source's threads to the workers: batches in one order, and no more of them than the catalog stage keeps up with.

use super::batch::Batch;
use super::batch::Item;
use super::batch::Span;
use super::halt::Halt;
use super::watch::Pulse;
use crate::job::Control;
use crate::source::Stop;
use crossbeam_channel::Receiver;
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::SendTimeoutError;
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long another stage is waited for before looking whether the job still goes on.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a reading end ships batches through.
pub(crate) struct Wires {
    pub(crate) control: Control,
    pub(crate) halt: Arc<Halt>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) batches: Sender<Batch>,
    /// One credit a batch, given back by the catalog stage: it can fall behind only so far.
    pub(crate) credits: Sender<()>,
    /// Batches so far.
    pub(crate) sequence: AtomicU64,
    /// Entries that are open beside one another.
    pub(crate) open: AtomicUsize,
}

/// How waiting for another stage went.
enum Wait<T> {
    Over(T),
    GoesOn,
    InVain,
}

impl Wires {
    /// Sends a batch of a stream on its way.
    pub(crate) fn ship(
        &self,
        stream: u64,
        buffer: Vec<u8>,
        items: Vec<Item<Span>>,
        home: &Sender<Vec<u8>>,
    ) -> Result<(), Stop> {
        self.wait_for(|| match self.credits.send_timeout((), PATIENCE) {
            Ok(()) => Wait::Over(()),
            Err(SendTimeoutError::Timeout(())) => Wait::GoesOn,
            Err(SendTimeoutError::Disconnected(())) => Wait::InVain,
        })?;
        // Only whoever has a credit takes a number: else those with later numbers could hold all credits, and wait for it.
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        self.pulse.held_up(true);
        let sent = self.batches.send(Batch { sequence, stream, buffer, items, home: home.clone() });
        self.pulse.held_up(false);
        sent.map_err(|_| Stop)
    }

    /// Waits for a buffer.
    pub(crate) fn fresh_buffer(&self, buffers: &Receiver<Vec<u8>>) -> Result<Vec<u8>, Stop> {
        self.wait_for(|| match buffers.recv_timeout(PATIENCE) {
            Ok(buffer) => Wait::Over(buffer),
            Err(RecvTimeoutError::Timeout) => Wait::GoesOn,
            Err(RecvTimeoutError::Disconnected) => Wait::InVain,
        })
    }

    /// Whether to go on; a source that waits for its bytes learns here that it need not wait any longer.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        self.halt.check(&self.control)
    }

    /// Waits for a later stage, and looks now and then whether waiting still makes sense.
    fn wait_for<T>(&self, attempt: impl Fn() -> Wait<T>) -> Result<T, Stop> {
        self.pulse.held_up(true);
        let outcome = loop {
            match attempt() {
                Wait::Over(value) => break Ok(value),
                Wait::InVain => break Err(Stop),
                Wait::GoesOn => {
                    if let Err(stop) = self.halt.check_storing(&self.control) {
                        break Err(stop);
                    }
                }
            }
        };
        self.pulse.held_up(false);
        outcome
    }
}
