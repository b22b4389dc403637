//! A backend that is a round trip away.

use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use strongroom::Area;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::Layer;
use strongroom::Listed;
use strongroom::Name;
use strongroom::Page;
use strongroom::Payload;
use strongroom::Result;

/// `inner` behind a network: every request takes its time before it is done, however many there are at once. Time is that of
/// tokio: in a test that holds it still (`#[tokio::test(start_paused = true)]`) the round trips that a job waits for one
/// after the other can be counted, and cost nothing.
/// What kind of store it says that it is is up to the store inside. Clones share the count.
#[derive(Clone)]
pub struct Distant {
    inner: Arc<dyn Backend>,
    round_trip: Duration,
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Distant {
    /// So far away.
    pub fn new(inner: Arc<dyn Backend>, round_trip: Duration) -> Self {
        Self { inner, round_trip, under_way: Arc::default(), most: Arc::default() }
    }

    /// Most requests that were under way at once.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    fn after<'a, T: Send + 'a>(&'a self, request: impl Future<Output = Result<T>> + Send + 'a) -> BackendFuture<'a, T> {
        Box::pin(async move {
            let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(self.round_trip).await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            request.await
        })
    }
}

impl Layer for Distant {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        self.after(self.inner.put(name, body))
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        self.after(self.inner.get(name))
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        self.after(self.inner.get_range(name, offset, length))
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        self.after(self.inner.stat(name))
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        self.after(self.inner.list_page(area, after))
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        self.after(self.inner.delete(name))
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        self.after(self.inner.barrier())
    }

    fn describe(&self) -> String {
        format!("{} (far away)", self.inner.describe())
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        self.after(self.inner.prepare())
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        self.after(self.inner.check_writable())
    }

    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        self.after(self.inner.check_deletable())
    }

    fn recognise(&self) -> BackendFuture<'_, Option<String>> {
        self.after(self.inner.recognise())
    }
}
