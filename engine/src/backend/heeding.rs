//! A backend as a job sees it: a request that hangs does not hold up a stop.

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::BackendFuture;
use crate::backend::Disk;
use crate::backend::Distance;
use crate::backend::Layer;
use crate::backend::Leftovers;
use crate::backend::Listed;
use crate::backend::Name;
use crate::backend::Page;
use crate::backend::Payload;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::job::Canceller;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::Instant;

/// How long a store that has answered in the same job may be silent after a stop before it is given up, and for how long a
/// stop may go on storing what is half-done.
pub(super) const PATIENCE_FAR: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));
/// A disk that is busy is waited for: what it was given, it writes, whether or not somebody waits.
const PATIENCE_NEAR: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(120));

/// The backend of one job. Before a stop it changes nothing. After it, requests that were under way or that finish what
/// is half-done are waited for as long as the store answers; a store that has not answered at all is not waited for.
pub(crate) struct Heeding {
    inner: Arc<dyn Backend>,
    canceller: Canceller,
    patience: (Duration, Duration),
    last_answer: Mutex<Option<Instant>>,
    stopped: Mutex<Option<Instant>>,
}

impl Heeding {
    pub(crate) fn new(inner: Arc<dyn Backend>, canceller: Canceller) -> Self {
        let patience = match inner.properties().distance {
            Distance::Near => PATIENCE_NEAR,
            Distance::Far => PATIENCE_FAR,
        };
        Self { inner, canceller, patience, last_answer: Mutex::default(), stopped: Mutex::default() }
    }

    /// Waits for an answer, or until there is no reason to wait any more.
    async fn heed<T>(&self, request: BackendFuture<'_, T>) -> Result<T> {
        tokio::select! {
            biased;
            answer = request => {
                *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                answer
            }
            () = self.given_up() => Err(Error::new(Kind::Cancelled, "stopped on request")
                .because(format!("{} did not answer", self.inner.describe()))),
        }
    }

    async fn given_up(&self) {
        self.canceller.cancelled().await;
        let now = Instant::now();
        let stopped = *self.stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
        let (silence, all) = self.patience;
        loop {
            let answered = *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(until) = answered.map(|answered| (answered + silence).min(stopped + all)) else { return };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Layer for Heeding {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(self.heed(self.inner.put(name, body)))
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(self.heed(self.inner.get(name)))
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(self.heed(self.inner.get_range(name, offset, length)))
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        Box::pin(self.heed(self.inner.stat(name)))
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(self.heed(self.inner.list_page(area, after)))
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(self.heed(self.inner.delete(name)))
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        Box::pin(self.heed(self.inner.barrier()))
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        Box::pin(self.heed(self.inner.check_writable()))
    }

    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        Box::pin(self.heed(self.inner.check_deletable()))
    }

    fn recognise(&self) -> BackendFuture<'_, Option<String>> {
        Box::pin(self.heed(self.inner.recognise()))
    }

    fn disk(&self) -> Option<&dyn Disk> {
        self.inner.disk().is_some().then_some(self)
    }
}

impl Heeding {
    /// Waits for the disk as for anything else.
    async fn ask_disk<'a, T: Default>(&'a self, ask: impl FnOnce(&'a dyn Disk) -> BackendFuture<'a, T>) -> Result<T> {
        match self.inner.disk() {
            Some(disk) => self.heed(ask(disk)).await,
            None => Ok(T::default()),
        }
    }
}

impl Disk for Heeding {
    fn adopt<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(self.ask_disk(move |disk| disk.adopt(name)))
    }

    fn barrier_for(&self, area: Area) -> BackendFuture<'_, ()> {
        Box::pin(self.ask_disk(move |disk| disk.barrier_for(area)))
    }

    fn reserve(&self, stored: u64) -> BackendFuture<'_, bool> {
        Box::pin(self.ask_disk(move |disk| disk.reserve(stored)))
    }

    fn spend_reserve(&self) -> BackendFuture<'_, bool> {
        Box::pin(self.ask_disk(|disk| disk.spend_reserve()))
    }

    fn leftovers(&self) -> BackendFuture<'_, Leftovers> {
        Box::pin(self.ask_disk(|disk| disk.leftovers()))
    }

    fn sweep(&self) -> BackendFuture<'_, Leftovers> {
        Box::pin(self.ask_disk(|disk| disk.sweep()))
    }
}
