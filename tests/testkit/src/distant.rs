//! A backend that is a round trip away.

use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use strongroom::Area;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::Distance;
use strongroom::Layer;
use strongroom::Listed;
use strongroom::Name;
use strongroom::Page;
use strongroom::Payload;
use strongroom::Properties;
use strongroom::Result;

/// `inner` behind a network: every request takes its time before it is done, however many there are at once. Time is that of
/// tokio: in a test that holds it still (`#[tokio::test(start_paused = true)]`) the round trips that a job waits for one
/// after the other can be counted, and cost nothing.
pub struct Distant {
    inner: Arc<dyn Backend>,
    round_trip: Duration,
}

impl Distant {
    /// So far away.
    pub fn new(inner: Arc<dyn Backend>, round_trip: Duration) -> Self {
        Self { inner, round_trip }
    }

    fn after<'a, T: Send + 'a>(&self, request: impl Future<Output = Result<T>> + Send + 'a) -> BackendFuture<'a, T> {
        let round_trip = self.round_trip;
        Box::pin(async move {
            tokio::time::sleep(round_trip).await;
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

    /// Those of the store inside, but for what follows from how far it is.
    fn properties(&self) -> Properties {
        let mut properties = self.inner.properties();
        (properties.distance, properties.puts) = (Distance::Far, Properties::far().puts);
        properties
    }
}
