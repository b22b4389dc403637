//! The simulated store: objects with a past, so that it can show itself as it was, and lose what was never made durable.

use super::time::HOUR;
use super::time::date;
use crate::support::trees::Dice;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use strongroom::Area;
use strongroom::Error;
use strongroom::Kind;
use strongroom::Listed;
use strongroom::Name;
use strongroom::Result;

/// Disks write sectors of this many bytes, whole or not at all.
const SECTOR_BYTES: usize = 512;
/// Objects that have gone are remembered for longer than any listing is stale.
const MEMORY: u64 = 8 * HOUR;

/// What one sync makes durable, names that were given and names that were taken away: packs are spread over many.
type Folder = (Option<Area>, u8);

fn folder(name: &Name) -> Folder {
    let spread = if let Name::Pack(id) = name { id.as_bytes()[0] } else { 0 };
    (name.area(), spread)
}

#[derive(Clone, Debug)]
struct Object {
    bytes: Bytes,
    born: u64,
    by: usize,
    /// Its folder was synced since it has its name.
    is_durable: bool,
}

/// An object that has gone.
#[derive(Clone, Copy, Debug)]
struct Ghost {
    name: Name,
    length: u64,
    born: u64,
    by: usize,
    died: u64,
    killed_by: usize,
}

/// What has become of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Stored(Name, usize),
    Deleted(Name, usize),
    /// In an outage: gone, or no longer what it was.
    Lost(Name),
    /// In an outage: there again, because its deletion was not durable.
    Back(Name),
}

/// From where the store is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    pub by: usize,
    /// What others did after this moment is not seen.
    pub at: u64,
}

/// None of the actors.
pub const NOBODY: usize = usize::MAX;

impl Sight {
    /// Everything as it is.
    pub const ALL: Self = Self { by: NOBODY, at: u64::MAX };
}

/// The store's clock.
#[derive(Clone, Copy, Default)]
pub struct StoreClock {
    /// Milliseconds that it is behind at first.
    pub behind: u64,
    /// When it is set right.
    pub right_from: u64,
}

#[derive(Default)]
struct Inner {
    clock: StoreClock,
    objects: BTreeMap<Name, Object>,
    /// Deleted, and their folders were not synced since.
    removed: BTreeMap<Name, Object>,
    ghosts: Vec<Ghost>,
    changes: Vec<Change>,
    /// Folders that the process of an actor has to sync.
    unsynced: BTreeMap<usize, BTreeSet<Folder>>,
}

/// The store; clones are handles on the same objects.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Mutex<Inner>>);

impl Object {
    fn is_seen(&self, sight: Sight) -> bool {
        self.by == sight.by || self.born <= sight.at
    }
}

impl Ghost {
    fn is_seen(&self, sight: Sight) -> bool {
        self.killed_by != sight.by && self.died > sight.at && (self.by == sight.by || self.born <= sight.at)
    }
}

impl Shelf {
    /// A store that holds these for long, and for good.
    pub fn new(contents: &[(Name, Bytes)], clock: StoreClock) -> Self {
        let shelf = Self::default();
        shelf.lock().clock = clock;
        for (name, bytes) in contents {
            let object = Object { bytes: bytes.clone(), born: 0, by: NOBODY, is_durable: true };
            shelf.lock().objects.insert(*name, object);
        }
        shelf
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder panics")
    }

    /// What has changed since this was asked last.
    pub fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.lock().changes)
    }

    pub fn has(&self, name: &Name) -> bool {
        self.lock().objects.contains_key(name)
    }

    pub fn is_of(&self, name: &Name, by: usize) -> bool {
        self.lock().objects.get(name).is_some_and(|object| object.by == by)
    }

    /// Everything that is there now, by name.
    pub fn names(&self, area: Area) -> Vec<Name> {
        self.lock().objects.keys().filter(|name| name.area() == Some(area)).copied().collect()
    }

    /// A process begins: what an earlier one of this actor has left unsynced is not its business.
    pub fn begin(&self, by: usize) {
        self.lock().unsynced.remove(&by);
    }

    /// Before anything but a pack gets its name, all names that its process gave earlier are durable.
    pub fn put(&self, name: Name, bytes: Bytes, by: usize, now: u64) -> Result<()> {
        let mut inner = self.lock();
        if !name.is_pack() {
            inner.sync(by);
        }
        if inner.objects.contains_key(&name) {
            return Err(Error::new(Kind::Conflict, format!("cannot store {name}")).because("it exists already"));
        }
        inner.objects.insert(name, Object { bytes, born: now, by, is_durable: false });
        inner.changes.push(Change::Stored(name, by));
        Ok(())
    }

    /// The writer hears that the object is stored: of a pack the name is left to the next barrier.
    pub fn answered(&self, name: &Name, by: usize) {
        let mut inner = self.lock();
        inner.unsynced.entry(by).or_default().insert(folder(name));
        if !name.is_pack() {
            inner.sync(by);
        }
    }

    /// Somebody hears that the object is deleted.
    pub fn deleted(&self, name: &Name, by: usize) {
        let mut inner = self.lock();
        inner.unsynced.entry(by).or_default().insert(folder(name));
        inner.sync(by);
    }

    /// Leaves the name of a pack of somebody else to the next barrier.
    pub fn adopt(&self, name: &Name, by: usize) {
        self.lock().unsynced.entry(by).or_default().insert(folder(name));
    }

    /// Makes durable what its caller knows to be stored.
    pub fn barrier(&self, by: usize) {
        self.lock().sync(by);
    }

    /// Makes an area durable as a listing shows it.
    pub fn barrier_for(&self, area: Area, by: usize) {
        let mut inner = self.lock();
        let folders: BTreeSet<Folder> = match area {
            Area::Packs => (0..=u8::MAX).map(|spread| (Some(area), spread)).collect(),
            _ => BTreeSet::from([(Some(area), 0)]),
        };
        inner.unsynced.entry(by).or_default().extend(folders);
        inner.sync(by);
    }

    pub fn delete(&self, name: Name, by: usize, now: u64) {
        let mut inner = self.lock();
        inner.ghosts.retain(|ghost| ghost.died + MEMORY > now);
        if let Some(object) = inner.objects.remove(&name) {
            let length = object.bytes.len() as u64;
            inner.ghosts.push(Ghost { name, length, born: object.born, by: object.by, died: now, killed_by: by });
            inner.changes.push(Change::Deleted(name, by));
            inner.removed.insert(name, object);
        }
    }

    pub fn get(&self, name: &Name, sight: Sight) -> Result<Bytes> {
        let inner = self.lock();
        let found = inner.objects.get(name).filter(|object| object.is_seen(sight));
        let missing = || Error::new(Kind::NotFound, format!("cannot read {name}")).because("it does not exist");
        found.map(|object| object.bytes.clone()).ok_or_else(missing)
    }

    pub fn range(&self, name: &Name, offset: u64, length: u64, sight: Sight) -> Result<Bytes> {
        let bytes = self.get(name, sight)?;
        let (start, end) = (offset as usize, (offset + length) as usize);
        if end > bytes.len() {
            return Err(Error::new(Kind::Damaged, format!("cannot read {name}")).because("it ends early"));
        }
        Ok(bytes.slice(start..end))
    }

    pub fn stat(&self, name: &Name, sight: Sight) -> Option<Listed> {
        let inner = self.lock();
        let there = inner.objects.get(name).filter(|object| object.is_seen(sight));
        let gone = || inner.ghosts.iter().find(|ghost| ghost.name == *name && ghost.is_seen(sight));
        match there {
            Some(object) => Some(inner.listed(*name, object.bytes.len(), object.born)),
            None => gone().map(|ghost| inner.listed(*name, ghost.length as usize, ghost.born)),
        }
    }

    pub fn list(&self, area: Area, sight: Sight) -> Vec<Listed> {
        let inner = self.lock();
        let there = inner.objects.iter().filter(|(name, object)| name.area() == Some(area) && object.is_seen(sight));
        let gone = inner.ghosts.iter().filter(|ghost| ghost.name.area() == Some(area) && ghost.is_seen(sight));
        let mut all: Vec<Listed> =
            there.map(|(name, object)| inner.listed(*name, object.bytes.len(), object.born)).collect();
        all.extend(gone.map(|ghost| inner.listed(ghost.name, ghost.length as usize, ghost.born)));
        all.sort();
        all
    }

    /// The machine goes down: what was not durable is lost, torn or kept, each name by itself, and what was deleted may
    /// be there again. Tells how many names were lost, and how many came back.
    pub fn outage(&self, dice: &mut Dice) -> (u64, u64) {
        let mut inner = self.lock();
        let at_risk = inner.objects.iter().filter(|(_, object)| !object.is_durable);
        let names: Vec<Name> = at_risk.map(|(name, _)| *name).collect();
        let (mut lost, mut back) = (0, 0);
        for name in names {
            let fate = dice.below(3);
            let Some(object) = inner.objects.get_mut(&name) else { continue };
            object.is_durable = true;
            match fate {
                0 => continue,
                // Only of packs the name may be there and the bytes not.
                1 if name.is_pack() => object.bytes = torn(&object.bytes, dice),
                _ => drop(inner.objects.remove(&name)),
            }
            lost += 1;
            inner.changes.push(Change::Lost(name));
        }
        for (name, object) in std::mem::take(&mut inner.removed) {
            if dice.below(2) == 0 && !inner.objects.contains_key(&name) {
                inner.objects.insert(name, Object { is_durable: true, ..object });
                inner.ghosts.retain(|ghost| ghost.name != name);
                inner.changes.push(Change::Back(name));
                back += 1;
            }
        }
        inner.unsynced.clear();
        (lost, back)
    }
}

impl Inner {
    /// An object with the date that it got.
    fn listed(&self, name: Name, length: usize, born: u64) -> Listed {
        let off = if born < self.clock.right_from { self.clock.behind } else { 0 };
        Listed { name, length: length as u64, modified: Some(date(born, off)) }
    }

    /// Syncs the folders that the process of an actor has to.
    fn sync(&mut self, by: usize) {
        let folders = self.unsynced.remove(&by).unwrap_or_default();
        if folders.is_empty() {
            return;
        }
        let there = self.objects.iter_mut().filter(|(name, _)| folders.contains(&folder(name)));
        there.for_each(|(_, object)| object.is_durable = true);
        self.removed.retain(|name, _| !folders.contains(&folder(name)));
    }
}

/// Cut at a sector, or with a sector that never arrived.
fn torn(bytes: &Bytes, dice: &mut Dice) -> Bytes {
    let at = usize::try_from(dice.below(bytes.len().div_ceil(SECTOR_BYTES).max(1) as u64)).expect("a pack is small");
    let start = at * SECTOR_BYTES;
    if dice.below(2) == 0 {
        return bytes.slice(..start);
    }
    let mut left = bytes.to_vec();
    left.iter_mut().skip(start).take(SECTOR_BYTES).for_each(|byte| *byte = 0);
    Bytes::from(left)
}
