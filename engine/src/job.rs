//! A running piece of work: awaitable, observable, cancellable at any point.

use crate::entry::EntryPath;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Counters;
use crate::event::Event;
use crate::event::Progress;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use tokio::sync::Notify;
use tokio::sync::broadcast;

/// Events kept for a listener that is slow.
const EVENTS_KEPT: usize = 4096;

/// What systems let a process open if nobody says otherwise: enough for everything.
const FILES_OPEN_USUAL: usize = 1024;
/// Files that are open whatever a job does: the runtime's, the caches', the repository's.
const FILES_OPEN_ELSEWHERE: usize = 40;
/// Files that a job holds open however few are allowed: with less nothing can be done.
const FILES_OPEN_LEAST: usize = 4;

/// A job; await it for its report. It goes on while it is awaited, and no faster than whoever awaits it beside its events takes
/// them. Dropping it cancels it, which is safe anywhere.
#[must_use = "a job does nothing useful unless it is awaited"]
pub struct Job<T> {
    future: Pin<Box<dyn Future<Output = Result<T>> + Send>>,
    control: Control,
    /// It has given its report: there is nothing to stop any more.
    is_done: bool,
}

/// What the inside of a job sees: where to count, where to tell, and whether to stop.
#[derive(Clone)]
pub(crate) struct Control {
    counters: Arc<Counters>,
    events: broadcast::Sender<Event>,
    cancel: Canceller,
}

/// Asks a job to stop; clones share one switch.
#[derive(Clone, Debug, Default)]
pub struct Canceller(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    is_on: AtomicBool,
    /// Wakes who waits for it.
    turned: Notify,
}

/// The events of a job from the moment of asking.
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

/// The counters of a job, at any time.
#[derive(Clone)]
pub struct ProgressReader(Arc<Counters>);

impl ProgressReader {
    /// The latest counters.
    pub fn latest(&self) -> Progress {
        self.0.watch();
        self.0.read()
    }

    /// The entry that a backup reads now, where that is known: from the second time on that this is asked.
    pub fn current(&self) -> Option<EntryPath> {
        self.0.current()
    }
}

impl Canceller {
    /// Asks for a clean stop. Nothing already stored is lost; nothing half-done becomes visible. A store that does not
    /// answer is given up: what it was asked last, it may still do, so that a snapshot may appear after all.
    pub fn cancel(&self) {
        self.0.is_on.store(true, Ordering::Release);
        self.0.turned.notify_waiters();
    }

    /// Whether a stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_on.load(Ordering::Acquire)
    }

    /// Returns once a stop was asked for.
    pub async fn cancelled(&self) {
        let mut turned = std::pin::pin!(self.0.turned.notified());
        // Who waits is known before the switch is looked at, so that no turn is missed.
        turned.as_mut().enable();
        if !self.is_cancelled() {
            turned.await;
        }
    }
}

impl Events {
    /// The next event; `None` when the job has ended.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::Missed { count }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Control {
    pub(crate) fn new() -> Self {
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        Self { counters: Arc::default(), events, cancel: Canceller::default() }
    }

    /// The same job with nobody to hear of its events.
    pub(crate) fn unheard(&self) -> Self {
        Self { events: broadcast::channel(1).0, ..self.clone() }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Adds to one counter: `control.count(|c| &c.bytes_done, 17)`.
    pub(crate) fn count(&self, which: fn(&Counters) -> &AtomicU64, amount: u64) {
        Counters::add(which(&self.counters), amount);
    }

    /// True when somebody listens: spares building events nobody reads.
    pub(crate) fn is_watched(&self) -> bool {
        self.events.receiver_count() > 0
    }

    pub(crate) fn tell(&self, event: Event) {
        if matches!(event, Event::Warning(_)) {
            Counters::add(&self.counters.warnings, 1);
        }
        // An error only says that nobody listens.
        let _ = self.events.send(event);
    }

    pub(crate) fn canceller(&self) -> Canceller {
        self.cancel.clone()
    }

    /// An error when a stop was asked for.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::new(Kind::Cancelled, "stopped on request")) } else { Ok(()) }
    }
}

impl<T> Job<T> {
    /// A job around `work`, which gets the control it must obey.
    pub(crate) fn start<F>(work: impl FnOnce(Control) -> F) -> Self
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        Self::start_under(Canceller::default(), work)
    }

    /// The same under the switch of an earlier job that has ended.
    pub(crate) fn start_under<F>(canceller: Canceller, work: impl FnOnce(Control) -> F) -> Self
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let control = Control { cancel: canceller, ..Control::new() };
        Self { future: Box::pin(work(control.clone())), control, is_done: false }
    }

    /// A reader of the latest counters.
    pub fn progress(&self) -> ProgressReader {
        ProgressReader(Arc::clone(&self.control.counters))
    }

    /// The events from now on.
    pub fn events(&self) -> Events {
        Events { receiver: self.control.events.subscribe() }
    }

    /// A switch that stops the job cleanly.
    pub fn canceller(&self) -> Canceller {
        self.control.canceller()
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.future.as_mut().poll(context);
        self.is_done |= polled.is_ready();
        polled
    }
}

impl<T> Drop for Job<T> {
    /// Only flips the switch: threads of the job see it and wind down by themselves.
    fn drop(&mut self) {
        if !self.is_done {
            self.control.cancel.cancel();
        }
    }
}

/// How many of `most` files or folders a job may hold open at once: all, unless this process may open so few that what
/// else is open would find no room.
pub(crate) fn open_files(most: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(most, |limit| share_of(usize::try_from(limit).unwrap_or(usize::MAX), most))
}

/// A third of what is left beside the runtime, the caches and the repository's own files: a restore holds files and
/// folders.
fn share_of(limit: usize, most: usize) -> usize {
    if limit >= FILES_OPEN_USUAL {
        return most;
    }
    most.min((limit.saturating_sub(FILES_OPEN_ELSEWHERE) / 3).max(FILES_OPEN_LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_few_files_may_be_opened_a_job_opens_fewer() {
        assert_eq!((share_of(65_536, 448), share_of(1024, 448)), (448, 448));
        assert_eq!((share_of(256, 448), share_of(64, 448), share_of(10, 448)), (72, 8, 4));
        assert!(open_files(3) <= 3);
    }
}
