//! A backend that counts what is asked of the one inside it.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use strongroom::Area;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::Layer;
use strongroom::Listed;
use strongroom::Name;
use strongroom::Page;
use strongroom::Payload;

/// One kind of backend call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// [`Backend::put`].
    Put,
    /// [`Backend::get`].
    Get,
    /// [`Backend::get_range`].
    GetRange,
    /// [`Backend::stat`].
    Stat,
    /// [`Backend::list_page`].
    List,
    /// [`Backend::delete`].
    Delete,
    /// [`Backend::barrier`].
    Barrier,
    /// [`Backend::prepare`].
    Prepare,
    /// [`Backend::check_writable`], and [`Backend::check_deletable`].
    CheckWritable,
}

/// What was asked so far. Failed calls count too; bytes count only when they moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls by kind and area (`None`: the config, or no object at all).
    pub calls: BTreeMap<(Operation, Option<Area>), u64>,
    /// Bytes stored.
    pub bytes_put: u64,
    /// Bytes read.
    pub bytes_got: u64,
}

impl Counts {
    /// Calls of one kind.
    pub fn of(&self, operation: Operation) -> u64 {
        self.calls.iter().filter(|((kind, _), _)| *kind == operation).map(|(_, count)| count).sum()
    }

    /// Calls of one kind that concern one area.
    pub fn of_area(&self, operation: Operation, area: Area) -> u64 {
        self.calls.get(&(operation, Some(area))).copied().unwrap_or(0)
    }

    /// All calls.
    pub fn total(&self) -> u64 {
        self.calls.values().sum()
    }
}

/// Counts calls on their way to `inner`; clones share the counts.
#[derive(Clone)]
pub struct Counting {
    inner: Arc<dyn Backend>,
    counts: Arc<Mutex<Counts>>,
}

impl Counting {
    /// Nothing was asked yet.
    pub fn new(inner: Arc<dyn Backend>) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().expect("no holder panics").clone()
    }

    /// Takes the counts and starts again from nothing.
    pub fn take(&self) -> Counts {
        std::mem::take(&mut *self.counts.lock().expect("no holder panics"))
    }

    fn count(&self, operation: Operation, area: Option<Area>) {
        *self.counts.lock().expect("no holder panics").calls.entry((operation, area)).or_default() += 1;
    }

    fn got(&self, bytes: &Bytes) {
        self.counts.lock().expect("no holder panics").bytes_got += bytes.len() as u64;
    }
}

impl Layer for Counting {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        self.count(Operation::Put, name.area());
        Box::pin(async move {
            let length = body.len();
            self.inner.put(name, body).await?;
            self.counts.lock().expect("no holder panics").bytes_put += length;
            Ok(())
        })
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        self.count(Operation::Get, name.area());
        Box::pin(async move { self.inner.get(name).await.inspect(|bytes| self.got(bytes)) })
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        self.count(Operation::GetRange, name.area());
        Box::pin(async move { self.inner.get_range(name, offset, length).await.inspect(|bytes| self.got(bytes)) })
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        self.count(Operation::Stat, name.area());
        self.inner.stat(name)
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        self.count(Operation::List, Some(area));
        self.inner.list_page(area, after)
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        self.count(Operation::Delete, name.area());
        self.inner.delete(name)
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        self.count(Operation::Barrier, None);
        self.inner.barrier()
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        self.count(Operation::Prepare, None);
        self.inner.prepare()
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        self.count(Operation::CheckWritable, None);
        self.inner.check_writable()
    }

    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        self.count(Operation::CheckWritable, None);
        self.inner.check_deletable()
    }
}
