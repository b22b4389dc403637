//! One moment of the modelled world: what the store holds, and what every writer and pruner remembers.
//!
//! Names are small numbers and sets of them are bits. Every writer and pruner takes names of its own, as real ones
//! are random and never meet; a name that nobody can mention any more is forgotten, so that it may be given again
//! without being *re*used.

use std::ops::Range;

/// Chunks, one bit each.
pub type Chunks = u8;
/// Packs, one bit each.
pub type Packs = u16;
/// Index objects, one bit each.
pub type Objects = u16;

/// Most packs at a time.
pub const PACKS: usize = 16;
/// Most index objects at a time.
pub const OBJECTS: usize = 16;
/// Most runs of prune that are remembered by a mark or a tomb.
pub const RUNS: usize = 8;
/// A number that names nothing.
pub const NONE: u8 = u8::MAX;

/// A folder of the store. What is in all of them together is one row of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Area {
    Packs,
    Index,
    Marks,
    Tombs,
    /// Two names for each writer: a record that was put again has another one.
    Pending,
    /// The snapshot that was there before, then one of each writer.
    Snapshots,
}

impl Area {
    const fn place(self) -> (u32, u64) {
        match self {
            Self::Packs => (0, 0xffff),
            Self::Index => (16, 0xffff),
            Self::Marks => (32, 0xff),
            Self::Tombs => (40, 0xff),
            Self::Pending => (48, 0xf),
            Self::Snapshots => (52, 0x7),
        }
    }

    /// The bit of one object.
    pub const fn bit(self, number: usize) -> u64 {
        1 << (self.place().0 + number as u32)
    }

    /// All bits of this folder.
    pub const fn all(self) -> u64 {
        self.place().1 << self.place().0
    }

    /// Its bits in `facts`, moved to the right.
    pub const fn of(self, facts: u64) -> u16 {
        ((facts >> self.place().0) & self.place().1) as u16
    }
}

/// Everything that is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Store {
    /// Objects that exist.
    pub there: u64,
    /// Objects that were put or deleted a moment ago: a listing may still show how it was.
    pub unsettled: u64,
    /// What each pack holds.
    pub content: [Chunks; PACKS],
    /// The packs that each index object names.
    pub names: [Packs; OBJECTS],
    /// The packs that the mark and the tomb of each run name.
    pub runs: [Packs; RUNS],
}

impl Store {
    pub fn has(&self, area: Area, number: usize) -> bool {
        self.there & area.bit(number) != 0
    }

    /// Packs that exist.
    pub fn packs(&self) -> Packs {
        Area::Packs.of(self.there)
    }

    /// Packs that these index objects name.
    pub fn named(&self, objects: Objects) -> Packs {
        bits(objects).fold(0, |packs, object| packs | self.names[object])
    }

    /// Packs that the marks or tombs of these runs name.
    pub fn condemned(&self, runs: u16) -> Packs {
        bits(runs).fold(0, |packs, run| packs | self.runs[run])
    }

    /// Chunks in these packs.
    pub fn held(&self, packs: Packs) -> Chunks {
        bits(packs).fold(0, |chunks, pack| chunks | self.content[pack])
    }
}

/// Where a writer is; the letters are those of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum WriterAt {
    /// W0: looks at the store to find out what it need not upload.
    #[default]
    Start,
    /// W1.
    PutPack,
    PutIndex,
    /// W2.
    PutPending,
    /// W3, in this order.
    ReadMarks,
    ReadTombs,
    ReadIndex,
    ReadPacks,
    /// W4.
    Commit,
    /// W5.
    RemovePending,
    /// It found something missing and cannot help itself.
    Withdraw,
    /// Finished, or dead.
    Gone,
}

impl WriterAt {
    /// Steps that a coarse world takes together with the one before.
    pub fn follows_at_once(self) -> bool {
        matches!(self, Self::ReadTombs | Self::ReadPacks)
    }
}

/// What a writer remembers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Writer {
    pub at: WriterAt,
    /// Chunks to be stored in its next pack.
    pub missing: Chunks,
    /// The pack it has put and not yet indexed.
    pub fresh: u8,
    /// Packs it saw in marks and tombs.
    pub condemned: Packs,
    /// Packs it saw in the index.
    pub named: Packs,
    /// Times it found something missing.
    pub rescues: u8,
    /// Which of its two names the pending record has.
    pub name: u8,
    /// So much time has passed since it put its pending record that somebody may have removed it as abandoned.
    pub late: bool,
}

impl Default for Writer {
    fn default() -> Self {
        let at = WriterAt::default();
        Self { at, missing: 0, fresh: NONE, condemned: 0, named: 0, rescues: 0, name: 0, late: false }
    }
}

/// Where a pruner is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum PrunerAt {
    /// Between runs.
    #[default]
    Idle,
    /// P1, only without the rule that the mark comes first: after the reading.
    PutMark,
    /// Waits until everything that was unsettled has settled; as often as the number says.
    Wait(u8),
    /// P2, in this order.
    ReadPending,
    ReadSnapshots,
    ReadMarks,
    ReadTombs,
    ReadIndex,
    ReadPacks,
    /// Copies what is live out of a victim.
    PutCopy,
    PutCopyIndex,
    /// P3.
    PutMerged,
    DeleteSuperseded,
    /// P4.
    PutTomb,
    /// P5.
    DeletePacks,
    /// Waits until the tomb has settled.
    WaitForTomb,
    /// P6.
    RemoveMark,
}

impl PrunerAt {
    /// Steps that a coarse world takes together with the one before.
    pub fn follows_at_once(self) -> bool {
        matches!(
            self,
            Self::ReadTombs | Self::ReadPacks | Self::DeleteSuperseded | Self::DeletePacks | Self::RemoveMark
        )
    }
}

/// What a pruner remembers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Pruner {
    pub at: PrunerAt,
    /// Packs that this run deletes; none when it only merges the index.
    pub victims: Packs,
    /// The run whose mark it works on: its own, or one that it found.
    pub run: u8,
    /// Whether it took that mark over.
    pub adopted: bool,
    /// Chunks that a snapshot or a pending record needs.
    pub live: Chunks,
    /// Packs it saw in marks and tombs.
    pub condemned: Packs,
    /// Packs it saw in tombs.
    pub tombed: Packs,
    /// Index objects it saw; later those it still has to delete.
    pub seen: Objects,
    /// Chunks to be copied.
    pub copying: Chunks,
    /// The copy it has put and not yet indexed.
    pub fresh: u8,
    /// True once it has waited the grace period.
    pub waited: bool,
    /// What was unsettled when it began to wait.
    pub awaited: u64,
    /// Runs so far.
    pub runs: u8,
}

impl Default for Pruner {
    fn default() -> Self {
        Self {
            at: PrunerAt::default(),
            victims: 0,
            run: NONE,
            adopted: false,
            live: 0,
            condemned: 0,
            tombed: 0,
            seen: 0,
            copying: 0,
            fresh: NONE,
            waited: false,
            awaited: 0,
            runs: 0,
        }
    }
}

/// What the janitor remembers: the run of prune, or somebody else, that removes what has been done with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Janitor {
    /// A pending record that it found to be 14 days old, or to have its snapshot, and is about to remove.
    pub pending: u8,
    /// A tomb that it found to be 30 days old and is about to remove.
    pub tomb: u8,
}

impl Default for Janitor {
    fn default() -> Self {
        Self { pending: NONE, tomb: NONE }
    }
}

/// One moment of the world.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct State {
    pub store: Store,
    pub writers: [Writer; 2],
    pub pruners: [Pruner; 2],
    pub janitor: Janitor,
    pub crashes: u8,
}

impl State {
    /// Puts or deletes one object. In a store that may be stale, listings show it for sure only after a wait.
    pub fn toggle(&mut self, area: Area, number: usize, stale: bool) {
        let bit = area.bit(number);
        self.store.there ^= bit;
        if stale {
            self.store.unsettled |= bit;
            self.pruners.iter_mut().for_each(|pruner| pruner.awaited &= !bit);
        }
    }

    /// Deletes one object if it is there; deleting what is gone is no error.
    pub fn delete(&mut self, area: Area, number: usize, stale: bool) {
        if self.store.has(area, number) {
            self.toggle(area, number, stale);
        }
    }

    /// Index objects that somebody may still come upon.
    pub fn objects_known(&self) -> Objects {
        let remembered = self.pruners.iter().fold(0, |seen, pruner| seen | pruner.seen);
        remembered | Area::Index.of(self.store.there | self.store.unsettled)
    }

    /// Runs whose mark or tomb somebody may still come upon.
    pub fn runs_known(&self) -> u16 {
        let facts = self.store.there | self.store.unsettled;
        let remembered = self.pruners.iter().map(|pruner| pruner.run).chain([self.janitor.tomb]);
        let remembered = remembered.filter(|run| *run != NONE);
        remembered.fold(Area::Marks.of(facts) | Area::Tombs.of(facts), |runs, run| runs | 1 << run)
    }

    /// Packs that somebody may still come upon.
    pub fn packs_known(&self) -> Packs {
        let store = &self.store;
        let stored = Area::Packs.of(store.there | store.unsettled);
        let written = store.named(self.objects_known()) | store.condemned(self.runs_known());
        let fresh = |number: u8| if number == NONE { 0 } else { 1 << number };
        let writers = self.writers.iter().fold(0, |all, it| all | it.condemned | it.named | fresh(it.fresh));
        let pruners =
            self.pruners.iter().fold(0, |all, it| all | it.victims | it.condemned | it.tombed | fresh(it.fresh));
        stored | written | writers | pruners
    }

    /// Forgets packs that are deleted for good, wherever they are named. Where everybody asks whether a pack exists, and
    /// listings are never stale, nobody can tell these states apart: a deleted pack is no copy of anything, marked or not,
    /// and its name never comes back.
    pub fn forget_deleted(&mut self) {
        let fresh = |number: u8| if number == NONE { 0 } else { 1 << number };
        let packs = self.store.packs();
        self.store.names.iter_mut().for_each(|names| *names &= packs);
        self.store.runs.iter_mut().for_each(|names| *names &= packs);
        for object in (0..OBJECTS).filter(|object| self.store.names[*object] == 0) {
            self.store.there &= !Area::Index.bit(object);
            self.pruners.iter_mut().for_each(|pruner| pruner.seen &= !(1 << object));
        }
        for run in (0..RUNS).filter(|run| self.store.runs[*run] == 0) {
            self.store.there &= !(Area::Marks.bit(run) | Area::Tombs.bit(run));
        }
        for me in &mut self.writers {
            me.named &= packs | fresh(me.fresh);
            me.condemned &= packs;
        }
        for me in &mut self.pruners {
            me.victims &= packs;
            me.condemned &= packs;
            me.tombed &= packs;
        }
        if self.janitor.tomb != NONE && self.store.runs[usize::from(self.janitor.tomb)] == 0 {
            self.janitor.tomb = NONE;
        }
    }

    /// Forgets what nobody can mention any more: states that differ only in that are one.
    pub fn forget_names(&mut self) {
        let (objects, runs) = (self.objects_known(), self.runs_known());
        (0..OBJECTS).filter(|object| objects >> object & 1 == 0).for_each(|object| self.store.names[object] = 0);
        (0..RUNS).filter(|run| runs >> run & 1 == 0).for_each(|run| self.store.runs[run] = 0);
        let packs = self.packs_known();
        (0..PACKS).filter(|pack| packs >> pack & 1 == 0).for_each(|pack| self.store.content[pack] = 0);
    }

    /// The first of these names that no pack has.
    pub fn new_pack(&self, names: Range<usize>) -> usize {
        unknown(self.packs_known(), names)
    }

    /// The first of these names that no index object has.
    pub fn new_object(&self, names: Range<usize>) -> usize {
        unknown(self.objects_known(), names)
    }

    /// The first of these names that no run has.
    pub fn new_run(&self, names: Range<usize>) -> usize {
        unknown(self.runs_known(), names)
    }
}

/// A world in which somebody runs out of names is not exhausted, so that is a mistake of the world.
fn unknown(known: u16, mut names: Range<usize>) -> usize {
    names.find(|name| known >> name & 1 == 0).expect("the world has names enough for what is played in it")
}

/// Numbers of the bits that are set.
pub fn bits(set: u16) -> impl Iterator<Item = usize> {
    let mut left = set;
    std::iter::from_fn(move || {
        let next = (left != 0).then(|| left.trailing_zeros() as usize);
        left &= left.wrapping_sub(1);
        next
    })
}

/// Everything that a listing of a folder may show: objects that are not settled are shown as they are or as they were,
/// but everybody knows what it did itself.
pub fn listings(store: &Store, area: Area, own: u64) -> Vec<u16> {
    let doubtful = area.of(store.unsettled & !own);
    let mut shown = Vec::with_capacity(1);
    let mut flipped = doubtful;
    loop {
        shown.push(area.of(store.there) ^ flipped);
        if flipped == 0 {
            return shown;
        }
        flipped = (flipped - 1) & doubtful;
    }
}
