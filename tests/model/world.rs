//! What is played: how many of whom, in what store, and by which rules of the protocol.

use super::janitor;
use super::pruner;
use super::state::Area;
use super::state::Chunks;
use super::state::OBJECTS;
use super::state::Objects;
use super::state::PACKS;
use super::state::Packs;
use super::state::RUNS;
use super::state::State;
use super::state::bits;
use super::symmetry;
use super::writer;
use std::ops::Range;

/// One rule of the protocol. A world without it shows what it is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rule {
    /// W1 before W4: packs are in the index before the snapshot that needs them.
    IndexBeforeSnapshot,
    /// W2 before W3.
    IntentBeforeValidation,
    /// W3 at all.
    Validation,
    /// W3, P2: marks are listed before tombs.
    MarksBeforeTombs,
    /// W3: marks and tombs are listed before index objects.
    MarksBeforeIndex,
    /// W3, P2: a usable pack exists, by a listing after that of marks.
    UsablePacksExist,
    /// W3: after a rescue everything is validated again.
    RescueIsValidated,
    /// W4: a snapshot is not committed once its pending record is so old that it may have been removed.
    GuardOfThePendingRecord,
    /// W4: a pending record that is put again has a new name.
    FreshPendingName,
    /// W5: the pending record goes only when no listing can miss the snapshot any more.
    PendingOutlivesDoubt,
    /// P1 before P2.
    MarkBeforeReading,
    /// P2 waits.
    Grace,
    /// P2 waits for twice as long as a listing may be stale.
    GraceIsTwice,
    /// P2: pending records are roots.
    PendingIsARoot,
    /// P2: pending records are read before snapshots.
    PendingBeforeSnapshots,
    /// P2: packs condemned by others are no copies.
    ForeignMarksCount,
    /// P2: other victims of the same run are no copies.
    VictimsAreNoCopies,
    /// P2: a pack that no index object names is looked into like any other.
    OrphansAreLookedInto,
    /// P2: after copying everything is read again.
    CopiesAreVerified,
    /// A mark is terminal: a victim that turns out to be needed is copied, never pardoned.
    MarksAreTerminal,
    /// P3: the merged index is there before what it supersedes goes.
    MergedBeforeDelete,
    /// P3: only what was read is superseded.
    OnlyWhatWasRead,
    /// P3: only tombs and the run's own victims are left out of a merge, not what others have only marked.
    MarkedStaysInIndex,
    /// P3: packs with tombs are left out of a merge.
    TombedLeavesIndex,
    /// P3 before P5.
    IndexBeforeDelete,
    /// P4 before P5.
    TombBeforeDelete,
    /// P4 before P6.
    MarkUntilTomb,
    /// P5 before P6.
    MarkOutlivesPacks,
    /// P6: the mark goes only when no listing can miss the tomb any more.
    MarkOutlivesDoubt,
    /// P6: somebody else's mark goes only with its packs.
    LeftMarksAreFinished,
    /// Tombs live on after P6.
    TombsOutliveRuns,
    /// A tomb goes only when no index object names its packs.
    TombsOutliveIndex,
}

/// Who makes a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    Somebody,
    Writer(usize),
    Pruner(usize),
    Janitor,
}

/// One move, for those who read a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    pub who: Who,
    pub what: &'static str,
    /// The packs or chunks that it is about.
    pub about: u16,
}

/// All that may happen next.
pub type Moves = Vec<(Move, State)>;

impl std::fmt::Display for Move {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.who {
            Who::Somebody => write!(f, "somebody")?,
            Who::Writer(number) => write!(f, "writer {number}")?,
            Who::Pruner(number) => write!(f, "pruner {number}")?,
            Who::Janitor => write!(f, "the janitor")?,
        }
        write!(f, " {}", self.what)?;
        bits(self.about).try_for_each(|bit| write!(f, " {bit}"))
    }
}

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub writers: usize,
    pub pruners: usize,
    /// Runs of each pruner.
    pub runs: u8,
    /// Crashes of anybody, all together.
    pub crashes: u8,
    /// Times that a writer stores what it found missing before it gives up.
    pub rescues: u8,
    /// Most victims of one run.
    pub victims: u32,
    /// Whether a listing may be stale.
    pub stale: bool,
    /// Whether pruners may copy at once what is live in their victims, before they wait.
    pub early: bool,
    /// Whether pruners also merge the index for its own sake.
    pub merges: bool,
    /// Whether tombs stay for ever.
    pub tombs_last: bool,
    /// Whether every request is a step of its own; if not, what often follows each other is one step.
    pub fine: bool,
    /// Whether states are one that differ only in what they say of deleted packs; for worlds whose listings are not stale
    /// and where a usable pack exists.
    pub forgets_deleted: bool,
    /// What the first packs hold; none, there is none.
    pub packs: [Chunks; 2],
    /// Chunks that the first snapshot and those of the writers need.
    pub needs: [Chunks; 3],
    /// Rules that nobody keeps, one bit each.
    pub without: u64,
}

impl World {
    /// Whether everybody keeps a rule.
    pub fn keeps(&self, rule: Rule) -> bool {
        self.without >> rule as u32 & 1 == 0
    }

    /// The same world, but nobody keeps this rule.
    pub fn without(self, rule: Rule) -> Self {
        Self { without: self.without | 1 << rule as u32, ..self }
    }

    /// Names for packs of one actor (writers first, then pruners). A writer puts one pack, and one for each rescue.
    pub fn pack_names(&self, actor: usize) -> Range<usize> {
        self.share(actor, 2, PACKS)
    }

    /// Names for its index objects.
    pub fn object_names(&self, actor: usize) -> Range<usize> {
        self.share(actor, 1, OBJECTS)
    }

    /// Names for the runs of a pruner.
    pub fn run_names(&self, pruner: usize) -> Range<usize> {
        if self.forgets_deleted {
            return 0..RUNS;
        }
        RUNS / 2 * pruner..RUNS / 2 * (pruner + 1)
    }

    /// Three names for each writer, the rest for the pruners; where everything is numbered anew, all share all.
    fn share(&self, actor: usize, first: usize, end: usize) -> Range<usize> {
        if self.forgets_deleted {
            return 0..end;
        }
        let of_pruners = first + 3 * self.writers;
        match actor.checked_sub(self.writers) {
            None => first + 3 * actor..first + 3 * (actor + 1),
            Some(pruner) => {
                let each = (end - of_pruners) / self.pruners;
                of_pruners + each * pruner..of_pruners + each * (pruner + 1)
            }
        }
    }

    /// Bits of the objects that only this actor puts: it knows of them, whatever a listing shows.
    pub fn own(&self, actor: usize) -> u64 {
        let all = |area: Area, names: Range<usize>| names.fold(0, |own, name| own | area.bit(name));
        let stored = all(Area::Packs, self.pack_names(actor)) | all(Area::Index, self.object_names(actor));
        match actor.checked_sub(self.writers) {
            None => stored | all(Area::Pending, 2 * actor..2 * actor + 2) | Area::Snapshots.bit(1 + actor),
            Some(pruner) => {
                let runs = self.run_names(pruner);
                stored | all(Area::Marks, runs.clone()) | all(Area::Tombs, runs)
            }
        }
    }

    /// How it begins: some packs, all named by one index object, and one snapshot.
    pub fn first(&self) -> State {
        let mut state = State::default();
        for (pack, content) in self.packs.into_iter().enumerate().filter(|(_, content)| *content != 0) {
            state.store.there |= Area::Packs.bit(pack);
            state.store.content[pack] = content;
        }
        state.store.names[0] = state.store.packs();
        state.store.there |= Area::Index.bit(0);
        if self.needs[0] != 0 {
            state.store.there |= Area::Snapshots.bit(0);
        }
        state
    }

    /// Adds everything that may happen next.
    pub fn moves(&self, state: &State, moves: &mut Moves) {
        for snapshot in bits(Area::Snapshots.of(state.store.there)) {
            let mut next = *state;
            next.toggle(Area::Snapshots, snapshot, self.stale);
            moves.push((Move { who: Who::Somebody, what: "forgets snapshot", about: 1 << snapshot }, next));
        }
        (0..self.writers).for_each(|number| writer::moves(self, state, number, moves));
        (0..self.pruners).for_each(|number| pruner::moves(self, state, number, moves));
        janitor::moves(self, state, moves);
        if !self.fine {
            self.take_together(moves);
        }
        for (_, next) in moves {
            if self.forgets_deleted {
                next.forget_deleted();
            }
            next.forget_names();
            if self.forgets_deleted {
                symmetry::renumber(next, self.pruners);
            }
        }
    }

    /// In a coarse world some steps follow the one before at once: nothing else happens in between.
    fn take_together(&self, moves: &mut Moves) {
        let mut at = 0;
        while let Some((step, state)) = moves.get(at).copied() {
            let mut then = Moves::new();
            match step.who {
                Who::Writer(number) if state.writers[number].at.follows_at_once() => {
                    writer::step(self, &state, number, &mut then);
                }
                Who::Pruner(number) if state.pruners[number].at.follows_at_once() => {
                    pruner::step(self, &state, number, &mut then);
                }
                _ => {
                    at += 1;
                    continue;
                }
            }
            moves.swap_remove(at);
            moves.append(&mut then);
        }
    }

    /// Chunks that a set of pending records needs.
    pub fn pending_roots(&self, records: u16) -> Chunks {
        bits(records).fold(0, |chunks, record| chunks | self.needs[1 + record / 2])
    }

    /// Chunks that a set of snapshots needs.
    pub fn snapshot_roots(&self, snapshots: u16) -> Chunks {
        bits(snapshots).fold(0, |chunks, snapshot| chunks | self.needs[snapshot])
    }

    /// Whether a writer has committed its snapshot and nobody has forgotten it.
    pub fn committed(&self, state: &State) -> bool {
        Area::Snapshots.of(state.store.there) & !1 != 0
    }

    /// I-1: every chunk reachable from a committed snapshot is in an existing pack that an index object names.
    /// Gives the chunks of which that is not true.
    pub fn lost(&self, state: &State) -> Chunks {
        let store = &state.store;
        let objects: Objects = Area::Index.of(store.there);
        let readable: Packs = store.packs() & store.named(objects);
        self.snapshot_roots(Area::Snapshots.of(store.there)) & !store.held(readable)
    }
}
