//! The ways to hurt an object, and which of them make sense for which.

use super::victim::Victim;
use bytes::Bytes;
use std::mem::discriminant;
use strongroom::Area;
use strongroom::MemoryBackend;
use strongroom::Name;

/// Packs are too long for every byte: at their front and back every one, between them every so many.
const PACK_EDGE: usize = 400;
const PACK_FLIPS_EVERY: usize = 131;
const PACK_CUTS_EVERY: usize = 509;
const SECTOR: usize = 512;
/// Small objects are zeroed in shorter stretches.
const STRETCH: usize = 16;

/// One way to hurt one object.
pub struct Hurt {
    pub name: Name,
    pub way: Way,
}

/// What is done to it.
#[derive(Clone, Debug)]
pub enum Way {
    /// The byte there is XORed.
    Flip(usize, u8),
    /// Cut to this length.
    Cut(usize),
    /// These bytes follow its end.
    Extend(Vec<u8>),
    /// So many bytes from there become zero.
    Zero(usize, usize),
    /// It and this one take each other's place.
    Swap(Name),
    /// It becomes what this object was in another repository, or the like-named object of another type here.
    Become(Bytes),
    Delete,
    /// Its bytes stand under another name as well.
    Duplicate(Name),
}

impl Way {
    /// One word for the count.
    pub fn sort(&self) -> &'static str {
        match self {
            Self::Flip(..) => "flip",
            Self::Cut(_) => "cut",
            Self::Extend(_) => "extend",
            Self::Zero(..) => "zero",
            Self::Swap(_) => "swap",
            Self::Become(_) => "become",
            Self::Delete => "delete",
            Self::Duplicate(_) => "duplicate",
        }
    }
}

impl std::fmt::Debug for Hurt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.way {
            Way::Become(bytes) => write!(f, "{} becomes {} other bytes", self.name, bytes.len()),
            Way::Extend(bytes) => write!(f, "{} grows by {} bytes", self.name, bytes.len()),
            way => write!(f, "{}: {way:?}", self.name),
        }
    }
}

impl Hurt {
    /// The area in words.
    pub fn area(&self) -> String {
        self.name.area().map_or("config".into(), |area| area.to_string())
    }

    /// A snapshot or an intent that is gone is one that was removed; a key under a second name is never asked for.
    pub fn is_harmless(&self) -> bool {
        match self.way {
            Way::Delete => matches!(self.name, Name::Snapshot(_) | Name::Pending(_)),
            Way::Duplicate(_) => matches!(self.name, Name::Slot(_) | Name::DataKey(_)),
            _ => false,
        }
    }

    /// Packs hold each data key too, so that its object may come to any harm.
    pub fn is_made_up_for(&self) -> bool {
        matches!(self.name, Name::DataKey(_))
    }

    /// A pack under a second name is one that no index object names.
    pub fn adds_a_pack(&self) -> bool {
        matches!((&self.way, self.name), (Way::Duplicate(_), Name::Pack(_)))
    }

    /// The victim, hurt.
    pub fn apply(&self, victim: &Victim) -> MemoryBackend {
        let memory = MemoryBackend::new();
        for (name, bytes) in &victim.objects {
            memory.replace(*name, bytes.clone());
        }
        let bytes = &victim.objects[&self.name];
        let changed = match &self.way {
            Way::Flip(at, mask) => {
                let mut changed = bytes.to_vec();
                changed[*at] ^= mask;
                changed
            }
            Way::Cut(length) => bytes[..*length].to_vec(),
            Way::Extend(more) => [bytes.as_ref(), more].concat(),
            Way::Zero(at, length) => zeroed(bytes, *at, *length),
            Way::Swap(other) => {
                memory.replace(*other, bytes.clone());
                victim.objects[other].to_vec()
            }
            Way::Become(other) => other.to_vec(),
            Way::Delete => return without(&memory, self.name),
            Way::Duplicate(other) => {
                memory.replace(*other, bytes.clone());
                return memory;
            }
        };
        memory.replace(self.name, changed);
        memory
    }
}

fn zeroed(bytes: &[u8], at: usize, length: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let end = bytes.len().min(at + length);
    changed[at..end].fill(0);
    changed
}

fn without(memory: &MemoryBackend, name: Name) -> MemoryBackend {
    let left = MemoryBackend::new();
    for (other, bytes) in memory.contents().into_iter().filter(|(other, _)| *other != name) {
        left.replace(other, bytes);
    }
    left
}

/// The same name with its last digit changed.
fn other_name(name: &Name) -> Option<Name> {
    let mut text = name.to_string();
    let last = text.pop()?;
    text.push(if last == '0' { '1' } else { '0' });
    Name::parse(&text).filter(|other| other != name)
}

/// Every hurt of every object.
pub fn all(victim: &Victim) -> Vec<Hurt> {
    let mut hurts = Vec::new();
    for (name, bytes) in &victim.objects {
        let ways = match name.area() {
            Some(Area::Packs) => pack_bytes(bytes),
            _ => small_bytes(bytes),
        };
        let whole = whole_objects(victim, name, bytes);
        hurts.extend(ways.into_iter().chain(whole).map(|way| Hurt { name: *name, way }));
    }
    hurts
}

/// Every byte of a small object in three ways, every length, every stretch.
fn small_bytes(bytes: &Bytes) -> Vec<Way> {
    let mut ways = Vec::new();
    for at in 0..bytes.len() {
        ways.extend([0x01, 0xff].map(|mask| Way::Flip(at, mask)));
        ways.push(Way::Cut(at));
        if zeroed(bytes, at, STRETCH) != *bytes {
            ways.push(Way::Zero(at, STRETCH));
        }
    }
    if zeroed(bytes, 0, SECTOR) != *bytes {
        ways.push(Way::Zero(0, SECTOR));
    }
    ways
}

fn pack_bytes(bytes: &Bytes) -> Vec<Way> {
    let mut ways = Vec::new();
    let at_edge = |at: usize| at < PACK_EDGE || at + PACK_EDGE >= bytes.len();
    for at in 0..bytes.len() {
        if at_edge(at) || at % PACK_FLIPS_EVERY == 0 {
            ways.push(Way::Flip(at, 1 << (at % 8)));
        }
        if at_edge(at) || at % PACK_CUTS_EVERY == 0 {
            ways.push(Way::Cut(at));
        }
        if at % SECTOR == 0 && zeroed(bytes, at, SECTOR) != *bytes {
            ways.push(Way::Zero(at, SECTOR));
        }
    }
    ways
}

/// Hurts of the object as a whole.
fn whole_objects(victim: &Victim, name: &Name, bytes: &Bytes) -> Vec<Way> {
    let mut ways = vec![Way::Delete];
    for more in [1, 16, SECTOR, 65_536] {
        ways.push(Way::Extend(vec![0; more]));
        ways.push(Way::Extend(bytes.iter().copied().cycle().take(more).collect()));
    }
    let others = || victim.objects.iter().filter(|(other, _)| *other != name);
    ways.extend(
        others().filter(|(other, _)| discriminant(*other) == discriminant(name)).map(|(other, _)| Way::Swap(*other)),
    );
    // Other types, under this name: the intent of a snapshot as the snapshot, a slot as a data key.
    ways.extend(others().map(|(_, bytes)| Way::Become(bytes.clone())));
    ways.extend(victim.stranger.iter().map(|(_, bytes)| Way::Become(bytes.clone())));
    ways.extend(other_name(name).map(Way::Duplicate));
    ways
}
