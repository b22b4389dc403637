//! A store that others fill up while somebody works on it: from one put on there is no room but what was set aside.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use strongroom::Area;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::Disk;
use strongroom::Layer;
use strongroom::Leftovers;
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

impl Layer for Filling {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            if name.area() == Some(self.area) && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
                let used: u64 = self.inner.contents().iter().map(|(_, bytes)| bytes.len() as u64).sum();
                self.inner.limit(used + self.aside);
            }
            self.inner.put(name, body).await
        })
    }

    fn disk(&self) -> Option<&dyn Disk> {
        Some(self)
    }
}

impl Disk for Filling {
    fn adopt<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        self.inner.adopt(name)
    }

    fn barrier_for(&self, area: Area) -> BackendFuture<'_, ()> {
        self.inner.barrier_for(area)
    }

    fn reserve(&self, stored: u64) -> BackendFuture<'_, bool> {
        self.inner.reserve(stored)
    }

    fn spend_reserve(&self) -> BackendFuture<'_, bool> {
        Box::pin(async move {
            let was_there = self.inner.spend_reserve().await?;
            self.spent.fetch_add(u64::from(was_there), Ordering::SeqCst);
            Ok(was_there)
        })
    }

    fn leftovers(&self) -> BackendFuture<'_, Leftovers> {
        self.inner.leftovers()
    }

    fn sweep(&self) -> BackendFuture<'_, Leftovers> {
        self.inner.sweep()
    }
}
