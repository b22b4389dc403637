//! A backend that lets others act before or after chosen calls: how tests interleave a backup with a prune.

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::BackendFuture;
use crate::backend::Layer;
use crate::backend::Listed;
use crate::backend::MemoryBackend;
use crate::backend::Name;
use crate::backend::Page;
use crate::backend::Payload;
use crate::error::Result;
use bytes::Bytes;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Put,
    Get,
    Stat,
    List,
    Delete,
}

/// When somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before the call of this number, from 0, whatever it is.
    Number(u64),
    /// Before the n-th call of this kind in this area, from 1.
    Before(Call, Area, u64),
    /// After it has been answered, and before the caller hears of it.
    After(Call, Area, u64),
}

/// Something done in between.
pub(super) type Act = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// Acts in the order in which they are due; a later one waits for those before it.
#[derive(Default)]
struct Script {
    acts: VecDeque<(When, Act)>,
    calls: u64,
    by_kind: HashMap<(Call, Area), u64>,
}

/// `inner` with a script.
#[derive(Clone)]
pub(super) struct Hooked {
    inner: MemoryBackend,
    script: Arc<tokio::sync::Mutex<Script>>,
}

impl Hooked {
    pub(super) fn new(inner: &MemoryBackend, acts: Vec<(When, Act)>) -> Self {
        let script = Script { acts: acts.into(), ..Script::default() };
        Self { inner: inner.clone(), script: Arc::new(tokio::sync::Mutex::new(script)) }
    }

    /// Does what has not come to be due; gives how many acts those were.
    pub(super) async fn finish(&self) -> usize {
        let left = std::mem::take(&mut self.script.lock().await.acts);
        let count = left.len();
        for (_, act) in left {
            act().await;
        }
        count
    }

    /// How many calls of a kind there were.
    pub(super) async fn count(&self, call: Call, area: Area) -> u64 {
        self.script.lock().await.by_kind.get(&(call, area)).copied().unwrap_or_default()
    }

    /// How many calls there were at all.
    pub(super) async fn calls(&self) -> u64 {
        self.script.lock().await.calls
    }

    async fn around<T>(&self, call: Call, area: Option<Area>, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(area) = area else { return work.await };
        let nth = {
            let mut script = self.script.lock().await;
            let number = script.calls;
            script.calls += 1;
            let count = script.by_kind.entry((call, area)).or_default();
            *count += 1;
            let nth = *count;
            let is_due = |when| match when {
                When::Number(due) => due <= number,
                When::Before(what, place, due) => (what, place, due) == (call, area, nth),
                When::After(..) => false,
            };
            script.run(is_due).await;
            nth
        };
        let answer = work.await;
        let is_due = |when| matches!(when, When::After(what, place, due) if (what, place, due) == (call, area, nth));
        self.script.lock().await.run(is_due).await;
        answer
    }
}

impl Script {
    async fn run(&mut self, is_due: impl Fn(When) -> bool) {
        while self.acts.front().is_some_and(|(when, _)| is_due(*when))
            && let Some((_, act)) = self.acts.pop_front()
        {
            act().await;
        }
    }
}

impl Layer for Hooked {
    fn inner(&self) -> &dyn Backend {
        &self.inner
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(self.around(Call::Put, name.area(), self.inner.put(name, body)))
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(self.around(Call::Get, name.area(), self.inner.get(name)))
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(self.around(Call::Get, name.area(), self.inner.get_range(name, offset, length)))
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        Box::pin(self.around(Call::Stat, name.area(), self.inner.stat(name)))
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(self.around(Call::List, Some(area), self.inner.list_page(area, after)))
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(self.around(Call::Delete, name.area(), self.inner.delete(name)))
    }
}
