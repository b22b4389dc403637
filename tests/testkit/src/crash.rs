//! A backend that remembers every write, to show what a crash after any of them would have left.
//!
//! It takes the trait at its word: a pack is durable once a barrier that began after its `put`
//! had returned has returned itself; anything else is durable when its call returns.

use crate::counting::Operation;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use strongroom::Backend;
use strongroom::BackendFuture;
use strongroom::Layer;
use strongroom::MemoryBackend;
use strongroom::Name;
use strongroom::Payload;
use strongroom::Properties;

/// Disks write sectors of this many bytes, whole or not at all.
const SECTOR_BYTES: usize = 512;

/// What becomes of packs that no barrier covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of them are gone.
    Lost,
    /// All of them are whole: the lucky case.
    Kept,
    /// Their names are there; their bytes are cut short or zeroed by sectors, as the seed says.
    Torn {
        /// The same tears the same for ever.
        seed: u64,
    },
    /// Each is lost, kept or torn, as the seed says: also what reordered writes leave.
    Mixed {
        /// The same mixes the same for ever.
        seed: u64,
    },
}

/// One completed write.
#[derive(Clone, Debug)]
pub enum Event {
    /// An object was stored.
    Put {
        /// Its name.
        name: Name,
        /// All of it.
        bytes: Bytes,
    },
    /// An object was deleted, if it was there.
    Delete {
        /// Its name.
        name: Name,
    },
    /// Packs became durable.
    Barrier {
        /// Those among so many first events.
        covers: usize,
    },
}

/// Writes go to memory and into the trace; clones share both.
#[derive(Clone)]
pub struct Crash {
    base: MemoryBackend,
    live: MemoryBackend,
    trace: Arc<Mutex<Vec<Event>>>,
}

impl Crash {
    /// Starts from the durable state of `base`, which is left alone.
    pub fn new(base: &MemoryBackend) -> Self {
        Self { base: base.fork(), live: base.fork(), trace: Arc::default() }
    }

    /// Completed writes so far: `at` takes 0 to this.
    pub fn writes(&self) -> usize {
        self.trace.lock().expect("no holder panics").len()
    }

    /// The completed writes.
    pub fn trace(&self) -> Vec<Event> {
        self.trace.lock().expect("no holder panics").clone()
    }

    /// What is found after a crash that followed write `k` (0: before the first).
    pub fn at(&self, k: usize, mode: Mode) -> MemoryBackend {
        let trace = self.trace();
        let happened = &trace[..k.min(trace.len())];
        let covered = happened.iter().filter_map(|event| match event {
            Event::Barrier { covers } => Some(*covers),
            _ => None,
        });
        let covered = covered.max().unwrap_or(0);
        let mut objects: BTreeMap<Name, Bytes> = self.base.contents().into_iter().collect();
        for (number, event) in happened.iter().enumerate() {
            match event {
                Event::Put { name, bytes } => {
                    let durable = !name.is_pack() || number < covered;
                    let left = if durable { Some(bytes.clone()) } else { survives(bytes, number as u64, mode) };
                    left.map(|left| objects.insert(*name, left));
                }
                Event::Delete { name } => {
                    objects.remove(name);
                }
                Event::Barrier { .. } => {}
            }
        }
        let result = MemoryBackend::new();
        for (name, bytes) in objects {
            result.replace(name, bytes);
        }
        result
    }

    fn record(&self, event: Event) {
        self.trace.lock().expect("no holder panics").push(event);
    }

    /// The kind of each write, for messages.
    pub fn operations(&self) -> Vec<Operation> {
        let kind = |event: &Event| match event {
            Event::Put { .. } => Operation::Put,
            Event::Delete { .. } => Operation::Delete,
            Event::Barrier { .. } => Operation::Barrier,
        };
        self.trace().iter().map(kind).collect()
    }
}

/// What is left of an unsynced pack.
fn survives(bytes: &Bytes, number: u64, mode: Mode) -> Option<Bytes> {
    match mode {
        Mode::Lost => None,
        Mode::Kept => Some(bytes.clone()),
        Mode::Torn { seed } => Some(torn(bytes, &mut Dice::new(seed, number))),
        Mode::Mixed { seed } => {
            let mut dice = Dice::new(seed, number);
            match dice.below(3) {
                0 => None,
                1 => Some(bytes.clone()),
                _ => Some(torn(bytes, &mut dice)),
            }
        }
    }
}

/// Cut at a sector, or with sectors that never arrived; whole only where zeros were zeros before.
fn torn(bytes: &Bytes, dice: &mut Dice) -> Bytes {
    let sectors = bytes.len().div_ceil(SECTOR_BYTES);
    if sectors == 0 {
        return bytes.clone();
    }
    let first_lost = dice.below(sectors as u64) as usize;
    if dice.below(2) == 0 {
        return bytes.slice(..first_lost * SECTOR_BYTES);
    }
    let mut left = bytes.to_vec();
    for (sector, part) in left.chunks_mut(SECTOR_BYTES).enumerate() {
        if sector == first_lost || dice.below(4) == 0 {
            part.fill(0);
        }
    }
    Bytes::from(left)
}

/// A small generator (SplitMix64): the same seed throws the same for ever.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, number: u64) -> Self {
        Self(seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ z >> 31) % limit
    }
}

impl Layer for Crash {
    fn inner(&self) -> &dyn Backend {
        &self.live
    }

    fn put<'a>(&'a self, name: &'a Name, body: Payload) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            self.live.put(name, body.clone()).await?;
            self.record(Event::Put { name: *name, bytes: body.join() });
            Ok(())
        })
    }

    fn delete<'a>(&'a self, name: &'a Name) -> BackendFuture<'a, ()> {
        Box::pin(async move {
            self.live.delete(name).await?;
            self.record(Event::Delete { name: *name });
            Ok(())
        })
    }

    fn barrier(&self) -> BackendFuture<'_, ()> {
        let covers = self.writes();
        Box::pin(async move {
            self.live.barrier().await?;
            self.record(Event::Barrier { covers });
            Ok(())
        })
    }

    fn describe(&self) -> String {
        "memory that may crash".into()
    }

    /// Every step of the protocol is taken, those too that a store whose listings are always current can do without.
    fn properties(&self) -> Properties {
        let mut properties = self.live.properties();
        properties.lists_at_once = false;
        properties
    }
}
