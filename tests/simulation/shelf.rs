//! The simulated store: objects with a past, so that it can show itself as it was, and lose what was never made durable.

use super::time::HOUR;
use super::time::date;
use crate::support::trees::Dice;
use bytes::Bytes;
use std::collections::BTreeMap;
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

/// How far an object has come to be kept for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Safety {
    /// Its `put` has not returned.
    Unanswered,
    /// It has, but no barrier of its writer since.
    Answered,
    Durable,
}

#[derive(Clone, Debug)]
struct Object {
    bytes: Bytes,
    born: u64,
    by: usize,
    safety: Safety,
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

#[derive(Default)]
struct Inner {
    objects: BTreeMap<Name, Object>,
    ghosts: Vec<Ghost>,
    changes: Vec<Change>,
}

/// The store; clones are handles on the same objects.
#[derive(Clone, Default)]
pub struct Shelf(Arc<Mutex<Inner>>);

fn listed(name: Name, length: usize, born: u64) -> Listed {
    Listed { name, length: length as u64, modified: Some(date(born)) }
}

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
    pub fn new(contents: &[(Name, Bytes)]) -> Self {
        let shelf = Self::default();
        for (name, bytes) in contents {
            let object = Object { bytes: bytes.clone(), born: 0, by: NOBODY, safety: Safety::Durable };
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

    pub fn put(&self, name: Name, bytes: Bytes, by: usize, now: u64) -> Result<()> {
        let mut inner = self.lock();
        if inner.objects.contains_key(&name) {
            return Err(Error::new(Kind::Conflict, format!("cannot store {name}")).because("it exists already"));
        }
        inner.objects.insert(name, Object { bytes, born: now, by, safety: Safety::Unanswered });
        inner.changes.push(Change::Stored(name, by));
        Ok(())
    }

    /// The writer has heard that the object is stored. What is no pack is durable then, and so is every one before it:
    /// file systems keep names in the order in which they were made.
    pub fn answered(&self, name: &Name) {
        let mut inner = self.lock();
        if name.is_pack() {
            inner.objects.get_mut(name).into_iter().for_each(|object| object.safety = Safety::Answered);
        } else {
            let born = inner.objects.get(name).map_or(0, |object| object.born);
            let older = inner.objects.iter_mut().filter(|(name, object)| !name.is_pack() && object.born <= born);
            older.for_each(|(_, object)| object.safety = Safety::Durable);
        }
    }

    /// Makes durable what its caller knows to be stored.
    pub fn barrier(&self, by: usize) {
        let mut inner = self.lock();
        let known = inner.objects.values_mut().filter(|object| object.by == by && object.safety == Safety::Answered);
        known.for_each(|object| object.safety = Safety::Durable);
    }

    pub fn delete(&self, name: Name, by: usize, now: u64) {
        let mut inner = self.lock();
        inner.ghosts.retain(|ghost| ghost.died + MEMORY > now);
        if let Some(object) = inner.objects.remove(&name) {
            let length = object.bytes.len() as u64;
            inner.ghosts.push(Ghost { name, length, born: object.born, by: object.by, died: now, killed_by: by });
            inner.changes.push(Change::Deleted(name, by));
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
            Some(object) => Some(listed(*name, object.bytes.len(), object.born)),
            None => gone().map(|ghost| listed(*name, ghost.length as usize, ghost.born)),
        }
    }

    pub fn list(&self, area: Area, sight: Sight) -> Vec<Listed> {
        let inner = self.lock();
        let there = inner.objects.iter().filter(|(name, object)| name.area() == Some(area) && object.is_seen(sight));
        let gone = inner.ghosts.iter().filter(|ghost| ghost.name.area() == Some(area) && ghost.is_seen(sight));
        let mut all: Vec<Listed> = there.map(|(name, object)| listed(*name, object.bytes.len(), object.born)).collect();
        all.extend(gone.map(|ghost| listed(ghost.name, ghost.length as usize, ghost.born)));
        all.sort();
        all
    }

    /// The machine goes down: what was not durable is lost, torn or kept.
    pub fn outage(&self, dice: &mut Dice) {
        let mut inner = self.lock();
        let at_risk = inner.objects.iter().filter(|(_, object)| object.safety != Safety::Durable);
        let names: Vec<Name> = at_risk.map(|(name, _)| *name).collect();
        for name in names {
            let fate = dice.below(3);
            let Some(object) = inner.objects.get_mut(&name) else { continue };
            object.safety = Safety::Durable;
            match fate {
                0 => continue,
                // Only of packs the name may be there and the bytes not.
                1 if name.is_pack() => object.bytes = torn(&object.bytes, dice),
                _ => drop(inner.objects.remove(&name)),
            }
            inner.changes.push(Change::Lost(name));
        }
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
