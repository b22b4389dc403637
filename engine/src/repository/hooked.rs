//! Objects in memory that let a test act before any operation on them: how others get between two steps of a run.

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::BackendFuture;
use crate::backend::Layer;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::backend::Page;
use crate::backend::Payload;
use crate::error::Error;
use crate::error::Kind;
use bytes::Bytes;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Put(Name),
    Get(Name),
    List(Area),
    Delete(Name),
}

type Hook = Box<dyn Fn(Step, MemoryBackend) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A backend with a hook.
pub(super) struct Hooked {
    objects: MemoryBackend,
    hook: Hook,
    /// Every step, in order.
    steps: Mutex<Vec<Step>>,
    /// Reads of what was not there.
    missed: Mutex<Vec<Name>>,
}

impl Hooked {
    /// Calls `hook` with each step before it is taken, and with the objects.
    pub(super) fn new<F>(
        objects: MemoryBackend,
        hook: impl Fn(Step, MemoryBackend) -> F + Send + Sync + 'static,
    ) -> Arc<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let hook: Hook = Box::new(move |step, objects| Box::pin(hook(step, objects)));
        Arc::new(Self { objects, hook, steps: Mutex::default(), missed: Mutex::default() })
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        self.steps.lock().expect("no holder panics").clone()
    }

    pub(super) fn missed(&self) -> usize {
        self.missed.lock().expect("no holder panics").len()
    }

    async fn step(&self, step: Step) {
        self.steps.lock().expect("no holder panics").push(step);
        (self.hook)(step, self.objects.clone()).await;
    }

    fn seen<T>(&self, name: &Name, outcome: Result<T, Error>) -> Result<T, Error> {
        if outcome.as_ref().is_err_and(|error| error.kind() == Kind::NotFound) {
            self.missed.lock().expect("no holder panics").push(*name);
        }
        outcome
    }
}

impl Layer for Hooked {
    fn inner(&self) -> &dyn Backend {
        &self.objects
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            self.step(Step::Put(*name)).await;
            self.objects.put(name, body).await
        })
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(async move {
            self.step(Step::Get(*name)).await;
            self.seen(name, self.objects.get(name).await)
        })
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(async move {
            self.step(Step::Get(*name)).await;
            self.seen(name, self.objects.get_range(name, offset, length).await)
        })
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(async move {
            self.step(Step::List(area)).await;
            self.objects.list_page(area, after).await
        })
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            self.step(Step::Delete(*name)).await;
            self.objects.delete(name).await
        })
    }
}
