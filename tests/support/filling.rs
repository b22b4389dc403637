//! A store that others fill up while somebody works on it: from one put on there is no room but what was set aside.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use strongroom::Area;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::Listed;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Payload;

/// Memory that is full from the n-th put of an area on; clones share everything.
#[derive(Clone)]
pub struct Filling {
    inner: MemoryBackend,
    area: Area,
    at: u64,
    aside: u64,
    seen: Arc<AtomicU64>,
    spent: Arc<AtomicU64>,
}

impl Filling {
    /// Full before put `at` of `area`, counted from 1, but for `aside` bytes.
    pub fn new(inner: &MemoryBackend, area: Area, at: u64, aside: u64) -> Self {
        inner.set_aside(aside);
        Self { inner: inner.clone(), area, at, aside, seen: Arc::default(), spent: Arc::default() }
    }

    /// Whether it is full.
    pub fn is_full(&self) -> bool {
        self.seen.load(Ordering::SeqCst) >= self.at
    }

    /// How often what was set aside was given back.
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::SeqCst)
    }
}

impl Backend for Filling {
    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            if name.area() == Some(self.area) && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
                let used: u64 = self.inner.contents().iter().map(|(_, bytes)| bytes.len() as u64).sum();
                self.inner.limit(used + self.aside);
            }
            self.inner.put(name, body).await
        })
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        self.inner.get(name)
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        self.inner.get_range(name, offset, length)
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        self.inner.stat(name)
    }

    fn list<'a>(&'a self, area: Area) -> BackendFuture<'a, Vec<Listed>> {
        self.inner.list(area)
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        self.inner.delete(name)
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        self.inner.barrier()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        self.inner.prepare()
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        self.inner.check_writable()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn lists_at_once(&self) -> bool {
        true
    }

    fn spend_reserve(&self) -> BackendFuture<'_, bool> {
        Box::pin(async move {
            let was_there = self.inner.spend_reserve().await?;
            self.spent.fetch_add(u64::from(was_there), Ordering::SeqCst);
            Ok(was_there)
        })
    }
}
