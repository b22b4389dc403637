//! A backend that lets something else happen just before its n-th operation.

use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use strongroom::Area;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::Layer;
use strongroom::Listed;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Page;
use strongroom::Payload;

/// What happens in between, once.
pub type Happening = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Memory with something in between; clones share everything.
#[derive(Clone)]
pub struct Between {
    inner: MemoryBackend,
    at: u64,
    seen: Arc<AtomicU64>,
    happening: Arc<Mutex<Option<Happening>>>,
}

impl Between {
    /// `happening` runs just before operation `at`, counted from 1.
    pub fn new(inner: &MemoryBackend, at: u64, happening: impl Future<Output = ()> + Send + 'static) -> Self {
        let happening: Happening = Box::pin(happening);
        Self { inner: inner.clone(), at, seen: Arc::default(), happening: Arc::new(Mutex::new(Some(happening))) }
    }

    /// Whether it has happened.
    pub fn happened(&self) -> bool {
        self.happening.lock().expect("no holder panics").is_none()
    }

    async fn pass(&self) {
        if self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            let happening = self.happening.lock().expect("no holder panics").take();
            if let Some(happening) = happening {
                happening.await;
            }
        }
    }
}

impl Layer for Between {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            self.pass().await;
            self.inner.put(name, body).await
        })
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(async move {
            self.pass().await;
            self.inner.get(name).await
        })
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(async move {
            self.pass().await;
            self.inner.get_range(name, offset, length).await
        })
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        Box::pin(async move {
            self.pass().await;
            self.inner.stat(name).await
        })
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(async move {
            self.pass().await;
            self.inner.list_page(area, after).await
        })
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            self.pass().await;
            self.inner.delete(name).await
        })
    }
}
