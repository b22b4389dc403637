//! A backend that fails at the n-th call in one chosen way.
//!
//! Only calls that the fault can strike are counted, so `at` runs from 1 to the `seen()` of a
//! faultless run ([`Plan::never`]) and every value strikes.

use crate::counting::Operation;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use strongroom::Area;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::Error;
use strongroom::Kind;
use strongroom::Layer;
use strongroom::Listed;
use strongroom::Name;
use strongroom::Page;
use strongroom::Payload;
use strongroom::Properties;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No answer, and nothing was done.
    TimeoutBefore,
    /// No answer, but it was done.
    TimeoutAfter,
    /// A server error.
    Busy,
    /// Credentials were withdrawn.
    Denied,
    /// An existing object is said to be absent.
    NotFound,
    /// An absent object is said to exist.
    Conflict,
    /// A read ends early and says nothing.
    ShortBody,
    /// A read returns one flipped bit.
    CorruptBody,
    /// A listing fails half-way, and says so.
    ListError,
    /// A listing from before the last so many changes.
    StaleList(usize),
    /// A listing names an object twice.
    DuplicateEntry,
    /// A listing that is empty: a lie no honest backend tells, to be survived by doing nothing rash.
    EmptyList,
    /// A listing without its second half: a lie as well.
    ShortList,
    /// The disk is full.
    NoSpace,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 14] = [
        Self::TimeoutBefore,
        Self::TimeoutAfter,
        Self::Busy,
        Self::Denied,
        Self::NotFound,
        Self::Conflict,
        Self::ShortBody,
        Self::CorruptBody,
        Self::ListError,
        Self::StaleList(2),
        Self::DuplicateEntry,
        Self::EmptyList,
        Self::ShortList,
        Self::NoSpace,
    ];

    /// Whether this fault can happen to such a call.
    pub fn strikes(self, operation: Operation) -> bool {
        use Operation::Barrier;
        use Operation::CheckWritable;
        use Operation::Delete;
        use Operation::Get;
        use Operation::GetRange;
        use Operation::List;
        use Operation::Prepare;
        use Operation::Put;
        use Operation::Stat;
        match self {
            Self::TimeoutBefore | Self::Busy | Self::Denied => true,
            Self::TimeoutAfter => matches!(operation, Put | Delete | Barrier | Prepare),
            Self::NotFound => matches!(operation, Get | GetRange | Stat),
            Self::Conflict => operation == Put,
            Self::ShortBody | Self::CorruptBody => matches!(operation, Get | GetRange),
            Self::ListError | Self::StaleList(_) | Self::DuplicateEntry | Self::EmptyList | Self::ShortList => {
                operation == List
            }
            Self::NoSpace => matches!(operation, Put | Prepare | CheckWritable),
        }
    }

    fn error(self, what: &str) -> Error {
        let (kind, why) = match self {
            Self::Denied => (Kind::BackendDenied, "403: access denied"),
            Self::NotFound => (Kind::NotFound, "404: no such object"),
            Self::Conflict => (Kind::Conflict, "412: it exists already"),
            Self::NoSpace => (Kind::NoSpace, "no space left on device"),
            Self::Busy => (Kind::BackendBusy, "503: slow down"),
            Self::ListError => (Kind::BackendBusy, "the listing broke off"),
            _ => (Kind::BackendBusy, "timed out"),
        };
        Error::new(kind, format!("cannot {what}")).because(why)
    }
}

/// Which call fails, how, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The first call to fail, counted from 1 among those the fault strikes.
    pub at: u64,
    /// How it fails.
    pub fault: Fault,
    /// Every later one fails as well.
    pub forever: bool,
}

impl Plan {
    /// One call fails.
    pub fn once(fault: Fault, at: u64) -> Self {
        Self { at, fault, forever: false }
    }

    /// One call fails, and every later one.
    pub fn forever(fault: Fault, at: u64) -> Self {
        Self { at, fault, forever: true }
    }

    /// Counts the calls that `fault` could strike, and lets all of them pass.
    pub fn never(fault: Fault) -> Self {
        Self { at: u64::MAX, fault, forever: false }
    }
}

/// A change made through this backend, so that a listing can be taken back in time.
#[derive(Clone, Copy)]
enum Change {
    Added(Name),
    Removed(Listed),
}

/// `inner` with one fault; clones share the count.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn Backend>,
    plan: Plan,
    seen: Arc<AtomicU64>,
    struck: Arc<AtomicU64>,
    changes: Arc<Mutex<Vec<Change>>>,
}

impl Faulty {
    /// Lets calls pass to `inner`, but for those of the plan.
    pub fn new(inner: Arc<dyn Backend>, plan: Plan) -> Self {
        Self { inner, plan, seen: Arc::default(), struck: Arc::default(), changes: Arc::default() }
    }

    /// Calls so far that the fault could have struck.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }

    /// Calls so far that it did strike.
    pub fn struck(&self) -> u64 {
        self.struck.load(Ordering::SeqCst)
    }

    /// The fault of this call, if it is its turn.
    fn turn(&self, operation: Operation) -> Option<Fault> {
        if !self.plan.fault.strikes(operation) {
            return None;
        }
        let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        let hit = number == self.plan.at || self.plan.forever && number > self.plan.at;
        if hit {
            self.struck.fetch_add(1, Ordering::SeqCst);
        }
        hit.then_some(self.plan.fault)
    }

    fn changed(&self, change: Change) {
        self.changes.lock().expect("no holder panics").push(change);
    }

    async fn put_through(&self, name: &Name, body: Payload) -> Result<(), Error> {
        self.inner.put(name, body).await?;
        self.changed(Change::Added(*name));
        Ok(())
    }

    async fn delete_through(&self, name: &Name) -> Result<(), Error> {
        let before = self.inner.stat(name).await?;
        self.inner.delete(name).await?;
        if let Some(listed) = before {
            self.changed(Change::Removed(listed));
        }
        Ok(())
    }

    /// Takes back the last `ago` changes of any area from a true listing of one.
    fn rewind(&self, area: Area, mut list: Vec<Listed>, ago: usize) -> Vec<Listed> {
        let changes = self.changes.lock().expect("no holder panics");
        for change in changes.iter().rev().take(ago) {
            match change {
                Change::Added(name) => list.retain(|listed| listed.name != *name),
                Change::Removed(listed) if listed.name.area() == Some(area) => list.push(*listed),
                Change::Removed(_) => {}
            }
        }
        list.sort();
        list
    }
}

/// One flipped bit in the middle.
fn corrupt(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x10;
    }
    Bytes::from(bytes)
}

/// What a read returns under a fault that alters bodies.
fn altered(fault: Option<Fault>, bytes: Bytes) -> Bytes {
    match fault {
        Some(Fault::ShortBody) => bytes.slice(..bytes.len() / 2),
        Some(Fault::CorruptBody) => corrupt(&bytes),
        _ => bytes,
    }
}

impl Layer for Faulty {
    fn inner(&self) -> &dyn Backend {
        self.inner.as_ref()
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            let Some(fault) = self.turn(Operation::Put) else {
                return self.put_through(name, body).await;
            };
            if fault == Fault::TimeoutAfter {
                self.put_through(name, body).await?;
            }
            Err(fault.error(&format!("store {name}")))
        })
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(async move {
            match self.turn(Operation::Get) {
                fault @ (None | Some(Fault::ShortBody | Fault::CorruptBody)) => {
                    Ok(altered(fault, self.inner.get(name).await?))
                }
                Some(fault) => Err(fault.error(&format!("read {name}"))),
            }
        })
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(async move {
            match self.turn(Operation::GetRange) {
                fault @ (None | Some(Fault::ShortBody | Fault::CorruptBody)) => {
                    Ok(altered(fault, self.inner.get_range(name, offset, length).await?))
                }
                Some(fault) => Err(fault.error(&format!("read {name}"))),
            }
        })
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        Box::pin(async move {
            match self.turn(Operation::Stat) {
                None => self.inner.stat(name).await,
                Some(Fault::NotFound) => Ok(None),
                Some(fault) => Err(fault.error(&format!("look for {name}"))),
            }
        })
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(async move {
            let fault = self.turn(Operation::List);
            let Page { objects: mut list, more } = self.inner.list_page(area, after).await?;
            match fault {
                None => {}
                Some(Fault::StaleList(ago)) => list = self.rewind(area, list, ago),
                Some(Fault::DuplicateEntry) => list.extend(list.first().copied()),
                Some(Fault::EmptyList) => list.clear(),
                Some(Fault::ShortList) => list.truncate(list.len() / 2),
                Some(fault) => return Err(fault.error(&format!("list {area}"))),
            }
            // What lies is short, and says that it is whole.
            Ok(Page { objects: list, more: more && fault.is_none() })
        })
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            let Some(fault) = self.turn(Operation::Delete) else {
                return self.delete_through(name).await;
            };
            if fault == Fault::TimeoutAfter {
                self.delete_through(name).await?;
            }
            Err(fault.error(&format!("delete {name}")))
        })
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        Box::pin(async move {
            let Some(fault) = self.turn(Operation::Barrier) else {
                return self.inner.barrier().await;
            };
            if fault == Fault::TimeoutAfter {
                self.inner.barrier().await?;
            }
            Err(fault.error("wait for packs to be durable"))
        })
    }

    fn describe(&self) -> String {
        format!("{} (faulty)", self.inner.describe())
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        Box::pin(async move {
            let Some(fault) = self.turn(Operation::Prepare) else {
                return self.inner.prepare().await;
            };
            if fault == Fault::TimeoutAfter {
                self.inner.prepare().await?;
            }
            Err(fault.error("create a repository"))
        })
    }

    fn check_writable(&self) -> BackendFuture<'_, ()> {
        Box::pin(async move {
            match self.turn(Operation::CheckWritable) {
                None => self.inner.check_writable().await,
                Some(fault) => Err(fault.error("write")),
            }
        })
    }

    fn check_deletable(&self) -> BackendFuture<'_, ()> {
        Layer::check_writable(self)
    }

    /// Some of the faults are listings that are not current.
    fn properties(&self) -> Properties {
        let mut properties = self.inner.properties();
        properties.lists_at_once = false;
        properties
    }
}
