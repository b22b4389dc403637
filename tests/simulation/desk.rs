//! Where operations wait for their turn: every call of a backend is laid down here and answered by the scheduler.

use super::shelf::NOBODY;
use super::shelf::Shelf;
use super::shelf::Sight;
use super::time::Time;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use strongroom::Area;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::Disk;
use strongroom::Error;
use strongroom::Kind;
use strongroom::Leftovers;
use strongroom::Listed;
use strongroom::Name;
use strongroom::Page;
use strongroom::Payload;
use strongroom::Properties;
use strongroom::Result;
use tokio::sync::Notify;
use tokio::sync::oneshot;

/// What somebody wants to do next.
#[derive(Clone, Debug)]
pub enum Operation {
    Put(Name, Bytes),
    Get(Name),
    Range(Name, u64, u64),
    Stat(Name),
    List(Area),
    Delete(Name),
    Barrier,
    BarrierFor(Area),
    Adopt(Name),
    /// Nothing, until this moment.
    Rest(u64),
}

impl Operation {
    /// Its place among operations of one actor, and its words in a trace.
    pub fn words(&self) -> String {
        match self {
            Self::Put(name, bytes) => format!("put {name} ({} bytes)", bytes.len()),
            Self::Get(name) => format!("get {name}"),
            Self::Range(name, offset, length) => format!("get {name} {offset} {length}"),
            Self::Stat(name) => format!("stat {name}"),
            Self::List(area) => format!("list {area}"),
            Self::Delete(name) => format!("delete {name}"),
            Self::Barrier => "barrier".into(),
            Self::Adopt(name) => format!("adopt {name}"),
            Self::BarrierFor(area) => format!("barrier for {area}"),
            Self::Rest(_) => "rest".into(),
        }
    }

    fn is_read(&self) -> bool {
        matches!(self, Self::Get(_) | Self::Range(..) | Self::Stat(_) | Self::List(_))
    }
}

/// What comes back.
#[derive(Clone, Debug)]
pub enum Answer {
    Done,
    Bytes(Bytes),
    Stat(Option<Listed>),
    List(Vec<Listed>),
}

/// An operation that waits, or an answer on its way.
pub struct Waiting {
    pub actor: usize,
    pub operation: Operation,
    /// What the store has answered, once it was asked.
    pub answer: Option<Result<Answer>>,
    pub reply: oneshot::Sender<Result<Answer>>,
}

#[derive(Default)]
struct Inner {
    waiting: Vec<Waiting>,
    /// Processes that are gone: nothing that they still try has any effect.
    dead: BTreeSet<(usize, u64)>,
}

/// All operations that wait; clones share them.
#[derive(Clone, Default)]
pub struct Desk {
    inner: Arc<Mutex<Inner>>,
    /// Somebody has come, or has ended.
    pub stirred: Arc<Notify>,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }

    pub async fn ask(&self, actor: usize, life: u64, operation: Operation) -> Result<Answer> {
        let gone = || Error::new(Kind::BackendBusy, "this machine is switched off");
        let (reply, answer) = oneshot::channel();
        {
            let mut inner = self.lock();
            if inner.dead.contains(&(actor, life)) {
                return Err(gone());
            }
            inner.waiting.push(Waiting { actor, operation, answer: None, reply });
        }
        self.stirred.notify_one();
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub fn has(&self, actor: usize) -> bool {
        self.lock().waiting.iter().any(|waiting| waiting.actor == actor)
    }

    /// Takes an operation of the actor that only reads.
    pub fn take_read(&self, actor: usize) -> Option<Waiting> {
        let mut inner = self.lock();
        let at = inner.waiting.iter().position(|waiting| waiting.actor == actor && waiting.operation.is_read())?;
        Some(inner.waiting.swap_remove(at))
    }

    /// Who waits, and for those who rest until when.
    pub fn actors(&self) -> Vec<(usize, u64)> {
        let inner = self.lock();
        let until = |waiting: &Waiting| match waiting.operation {
            Operation::Rest(until) => (waiting.actor, until),
            _ => (waiting.actor, 0),
        };
        let all: BTreeSet<(usize, u64)> = inner.waiting.iter().map(until).collect();
        all.into_iter().collect()
    }

    /// Takes the `nth` operation of an actor, in an order that does not depend on who came first.
    pub fn take(&self, actor: usize, nth: u64) -> Option<Waiting> {
        let mut inner = self.lock();
        let mut own: Vec<(String, usize)> = (0..)
            .zip(&inner.waiting)
            .filter(|(_, waiting)| waiting.actor == actor)
            .map(|(at, waiting)| (waiting.operation.words(), at))
            .collect();
        own.sort();
        let at = own.get(usize::try_from(nth).ok()? % own.len().max(1))?.1;
        Some(inner.waiting.swap_remove(at))
    }

    pub fn put_back(&self, waiting: Waiting) {
        self.lock().waiting.push(waiting);
    }

    /// The process ends here; gives what it was waiting for.
    pub fn kill(&self, actor: usize, life: u64) -> Vec<Waiting> {
        let mut inner = self.lock();
        inner.dead.insert((actor, life));
        let (own, others) = std::mem::take(&mut inner.waiting).into_iter().partition(|waiting| waiting.actor == actor);
        inner.waiting = others;
        own
    }
}

/// The store as one process of one actor sees it.
pub struct View {
    pub desk: Desk,
    pub actor: usize,
    pub life: u64,
    pub lists_at_once: bool,
    /// For a run that stores a snapshot once more: set while threads may wait for what it reads.
    pub rereads: Option<Arc<AtomicBool>>,
}

impl View {
    async fn ask(&self, operation: Operation) -> Result<Answer> {
        match (&self.rereads, &operation) {
            // The stages begin when their keys are stored, and have ended when the snapshot is declared.
            (Some(rereads), Operation::Put(Name::DataKey(_), _)) => rereads.store(true, SeqCst),
            (Some(rereads), Operation::Put(Name::Pending(_), _)) => rereads.store(false, SeqCst),
            _ => {}
        }
        self.desk.ask(self.actor, self.life, operation).await
    }

    async fn done(&self, operation: Operation) -> Result<()> {
        self.ask(operation).await.map(|_| ())
    }

    async fn bytes(&self, operation: Operation) -> Result<Bytes> {
        match self.ask(operation).await? {
            Answer::Bytes(bytes) => Ok(bytes),
            other => panic!("{other:?} is no answer to a read"),
        }
    }
}

impl Backend for View {
    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(self.done(Operation::Put(*name, body.join())))
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(self.bytes(Operation::Get(*name)))
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(self.bytes(Operation::Range(*name, offset, length)))
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        Box::pin(async move {
            match self.ask(Operation::Stat(*name)).await? {
                Answer::Stat(listed) => Ok(listed),
                other => panic!("{other:?} is no answer to a stat"),
            }
        })
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(async move {
            match self.ask(Operation::List(area)).await? {
                Answer::List(all) => Ok(Page::rest(all, after)),
                other => panic!("{other:?} is no answer to a listing"),
            }
        })
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(self.done(Operation::Delete(*name)))
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        Box::pin(self.done(Operation::Barrier))
    }

    fn describe(&self) -> String {
        "a simulated store".into()
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn recognise(&self) -> BackendFuture<'_, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn properties(&self) -> Properties {
        let mut properties = Properties::far();
        (properties.puts, properties.lists_at_once) = (2, self.lists_at_once);
        properties
    }

    fn disk(&self) -> Option<&dyn Disk> {
        Some(self)
    }
}

impl Disk for View {
    fn adopt<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(self.done(Operation::Adopt(*name)))
    }

    fn barrier_for(&self, area: Area) -> BackendFuture<'_, ()> {
        Box::pin(self.done(Operation::BarrierFor(area)))
    }

    fn reserve(&self, _: u64) -> BackendFuture<'_, bool> {
        Box::pin(async { Ok(false) })
    }

    fn spend_reserve(&self) -> BackendFuture<'_, bool> {
        Box::pin(async { Ok(false) })
    }

    fn leftovers(&self) -> BackendFuture<'_, Leftovers> {
        Box::pin(async { Ok(Leftovers::default()) })
    }

    fn sweep(&self) -> BackendFuture<'_, Leftovers> {
        Box::pin(async { Ok(Leftovers::default()) })
    }
}

/// The store as it is, without waiting: for whoever checks the others, and cleans up after them.
#[derive(Clone)]
pub struct Truth {
    pub shelf: Shelf,
    pub time: Time,
    pub lists_at_once: bool,
}

impl Backend for Truth {
    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            self.shelf.put(*name, body.join(), NOBODY, self.time.now())?;
            self.shelf.answered(name, NOBODY);
            Ok(())
        })
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(async move { self.shelf.get(name, Sight::ALL) })
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(async move { self.shelf.range(name, offset, length, Sight::ALL) })
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        Box::pin(async move { Ok(self.shelf.stat(name, Sight::ALL)) })
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(async move { Ok(Page::rest(self.shelf.list(area, Sight::ALL), after)) })
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            self.shelf.delete(*name, NOBODY, self.time.now());
            self.shelf.deleted(name, NOBODY);
            Ok(())
        })
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        Box::pin(async move {
            self.shelf.barrier(NOBODY);
            Ok(())
        })
    }

    fn describe(&self) -> String {
        "the truth".into()
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn recognise(&self) -> BackendFuture<'_, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    fn properties(&self) -> Properties {
        let mut properties = Properties::far();
        (properties.puts, properties.lists_at_once) = (2, self.lists_at_once);
        properties
    }

    fn disk(&self) -> Option<&dyn Disk> {
        None
    }
}
