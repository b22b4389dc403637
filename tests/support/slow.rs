//! A backend far away: every answer takes its time, by a clock that stands still while anything runs. So time tells how
//! many requests had to wait for one another.

use bytes::Bytes;
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

/// What one request takes.
pub const ROUND: Duration = Duration::from_millis(50);

/// Answers late; clones share the counts.
#[derive(Clone)]
pub struct Slow {
    inner: Arc<dyn Backend>,
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Slow {
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        Self { inner, under_way: Arc::default(), most: Arc::default() }
    }

    /// Most requests that were under way at once.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    async fn wait(&self) {
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(ROUND).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Layer for Slow {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(async move {
            self.wait().await;
            self.inner.get(name).await
        })
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(async move {
            self.wait().await;
            self.inner.get_range(name, offset, length).await
        })
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        Box::pin(async move {
            self.wait().await;
            self.inner.stat(name).await
        })
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(async move {
            self.wait().await;
            self.inner.list_page(area, after).await
        })
    }
}
