//! A backend in memory, for tests and for repositories that need not outlive the process.

use crate::backend::Area;
use crate::backend::Backend;
use crate::backend::BackendFuture;
use crate::backend::Disk;
use crate::backend::Leftovers;
use crate::backend::Listed;
use crate::backend::Name;
use crate::backend::Page;
use crate::backend::Payload;
use crate::backend::Properties;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::time::Clock;
use crate::time::SystemClock;
use crate::time::Timestamp;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Objects that a listing gives at once, as many as the large providers do.
const LISTED_AT_ONCE: usize = 1000;

/// Objects in memory; clones are handles on the same objects.
#[derive(Clone)]
pub struct MemoryBackend {
    objects: Arc<Mutex<BTreeMap<Name, Held>>>,
    clock: Arc<dyn Clock>,
    /// Bytes that there is room for, and how many of them are set aside.
    room: Arc<AtomicU64>,
    aside: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Held {
    bytes: Bytes,
    modified: Timestamp,
    /// Where bytes cannot be read.
    spoiled: Range<usize>,
}

impl Held {
    fn new(bytes: Bytes, modified: Timestamp) -> Self {
        Self { bytes, modified, spoiled: 0..0 }
    }

    /// A range that lies in the object.
    fn readable(&self, name: &Name, range: Range<usize>) -> Result<Bytes> {
        if range.start < self.spoiled.end && self.spoiled.start < range.end {
            return Err(Error::damaged(name, "the disk cannot read it"));
        }
        Ok(self.bytes.slice(range))
    }
}

impl MemoryBackend {
    /// An empty location; unlike a folder it need not be prepared.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// The same, with the store's time given from outside.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { objects: Arc::default(), clock, room: Arc::new(AtomicU64::new(u64::MAX)), aside: Arc::default() }
    }

    /// A copy of all objects that goes its own way from here.
    #[must_use]
    pub fn fork(&self) -> Self {
        let same = |bytes: &AtomicU64| Arc::new(AtomicU64::new(bytes.load(Ordering::Relaxed)));
        Self {
            objects: Arc::new(Mutex::new(self.lock().clone())),
            clock: Arc::clone(&self.clock),
            room: same(&self.room),
            aside: same(&self.aside),
        }
    }

    /// Every object with its bytes, in name order.
    pub fn contents(&self) -> Vec<(Name, Bytes)> {
        self.lock().iter().map(|(name, held)| (*name, held.bytes.clone())).collect()
    }

    /// Puts `bytes` under `name` whether or not it exists: how tests play a store that rots.
    pub fn replace(&self, name: Name, bytes: impl Into<Bytes>) {
        let modified = self.clock.now();
        self.lock().insert(name, Held::new(bytes.into(), modified));
    }

    /// Has these bytes of an object not be read any more: how tests play a bad sector.
    pub fn spoil(&self, name: &Name, bytes: Range<usize>) {
        if let Some(held) = self.lock().get_mut(name) {
            held.spoiled = bytes;
        }
    }

    /// Has all objects, together with what is set aside, be this many bytes at most: how tests play a store that is full.
    pub fn limit(&self, bytes: u64) {
        self.room.store(bytes, Ordering::Relaxed);
    }

    /// Sets so many bytes aside, until they are asked for: how tests play a store with a reserve.
    pub fn set_aside(&self, bytes: u64) {
        self.aside.store(bytes, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Held>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_now(&self, name: &Name, body: &Payload) -> Result<()> {
        if body.len() > name.bytes_max() {
            return Err(Error::new(Kind::Invalid, format!("cannot store {name}"))
                .because(format!("{} bytes are more than any reader accepts", body.len())));
        }
        let held = Held::new(body.join(), self.clock.now());
        let mut objects = self.lock();
        if objects.contains_key(name) {
            return Err(Error::new(Kind::Conflict, format!("cannot store {name}")).because("it exists already"));
        }
        let used: usize = objects.values().map(|held| held.bytes.len()).sum();
        let wanted = u64::try_from(used.saturating_add(held.bytes.len())).unwrap_or(u64::MAX);
        if wanted.saturating_add(self.aside.load(Ordering::Relaxed)) > self.room.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::NoSpace, format!("cannot store {name}")).because("there is no room left"));
        }
        objects.insert(*name, held);
        Ok(())
    }

    fn get_now(&self, name: &Name) -> Result<Bytes> {
        let held = self.held(name)?;
        let all = 0..held.bytes.len();
        held.readable(name, all)
    }

    fn range_now(&self, name: &Name, offset: u64, length: u64) -> Result<Bytes> {
        let held = self.held(name)?;
        let range =
            usize::try_from(offset).ok().zip(offset.checked_add(length).and_then(|end| usize::try_from(end).ok()));
        match range {
            Some((start, end)) if end <= held.bytes.len() => held.readable(name, start..end),
            _ => Err(Error::damaged(
                name,
                format!("it ends at byte {}, before the {length} bytes at {offset}", held.bytes.len()),
            )),
        }
    }

    fn held(&self, name: &Name) -> Result<Held> {
        let found = self.lock().get(name).cloned();
        let held = found
            .ok_or_else(|| Error::new(Kind::NotFound, format!("cannot read {name}")).because("it does not exist"))?;
        if u64::try_from(held.bytes.len()).is_ok_and(|length| length <= name.bytes_max()) {
            Ok(held)
        } else {
            Err(Error::damaged(name, format!("its {} bytes are more than it can have", held.bytes.len())))
        }
    }

    fn prepare_now(&self) -> Result<()> {
        let objects = self.lock();
        let doing = "cannot create a repository in memory";
        if objects.contains_key(&Name::Config) {
            return Err(Error::new(Kind::Conflict, doing).because("a repository is there already"));
        }
        // Slots, and lists of them, without a config are what an interrupted creation leaves behind.
        if objects.keys().any(|name| !matches!(name, Name::Slot(_) | Name::KeyList(_))) {
            return Err(Error::new(Kind::Invalid, doing).because("it is not empty"));
        }
        Ok(())
    }
}

fn listed(name: &Name, held: &Held) -> Listed {
    Listed { name: *name, length: u64::try_from(held.bytes.len()).unwrap_or(u64::MAX), modified: Some(held.modified) }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryBackend({} objects)", self.lock().len())
    }
}

impl Backend for MemoryBackend {
    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move { self.put_now(name, &body) })
    }

    fn get<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Bytes> {
        Box::pin(async move { self.get_now(name) })
    }

    fn get_range<'a>(&'a self, name: &'a Name, offset: u64, length: u64) -> BackendFuture<'a, Bytes> {
        Box::pin(async move { self.range_now(name, offset, length) })
    }

    fn stat<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, Option<Listed>> {
        Box::pin(async move { Ok(self.lock().get(name).map(|held| listed(name, held))) })
    }

    fn list_page<'a>(&'a self, area: Area, after: Option<Name>) -> BackendFuture<'a, Page> {
        Box::pin(async move {
            let objects = self.lock();
            let inside = |name: &Name| name.area() == Some(area) && after.is_none_or(|after| *name > after);
            let mut found = objects.iter().filter(|(name, _)| inside(name)).map(|(name, held)| listed(name, held));
            let objects = found.by_ref().take(LISTED_AT_ONCE).collect();
            Ok(Page { objects, more: found.next().is_some() })
        })
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            self.lock().remove(name);
            Ok(())
        })
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn describe(&self) -> String {
        "memory".into()
    }

    fn prepare(&self) -> BackendFuture<'_, ()> {
        Box::pin(async move { self.prepare_now() })
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
        Properties::near()
    }

    fn disk(&self) -> Option<&dyn Disk> {
        Some(self)
    }
}

impl Disk for MemoryBackend {
    fn adopt<'a>(&'a self, _: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn barrier_for(&self, _: Area) -> BackendFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn reserve(&self, _stored: u64) -> BackendFuture<'_, bool> {
        Box::pin(async move { Ok(self.aside.load(Ordering::Relaxed) > 0) })
    }

    fn spend_reserve(&self) -> BackendFuture<'_, bool> {
        Box::pin(async move { Ok(self.aside.swap(0, Ordering::Relaxed) > 0) })
    }

    fn leftovers(&self) -> BackendFuture<'_, Leftovers> {
        Box::pin(async { Ok(Leftovers::default()) })
    }

    fn sweep(&self) -> BackendFuture<'_, Leftovers> {
        Box::pin(async { Ok(Leftovers::default()) })
    }
}
