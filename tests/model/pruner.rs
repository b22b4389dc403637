//! The steps of a pruner, P0 to P6: each is one thing that the store does for it.

use super::merge;
use super::state::Area;
use super::state::Chunks;
use super::state::NONE;
use super::state::Packs;
use super::state::Pruner;
use super::state::PrunerAt;
use super::state::State;
use super::state::bits;
use super::state::listings;
use super::world::Move;
use super::world::Moves;
use super::world::Rule;
use super::world::Who;
use super::world::World;

/// Adds everything that the pruner of this number may do next.
pub fn moves(world: &World, state: &State, number: usize, moves: &mut Moves) {
    let mut turn = Turn { world, state, number, moves };
    if turn.me().at != PrunerAt::Idle && state.crashes < world.crashes {
        turn.end("crashes", |next| next.crashes += 1);
    }
    step(world, state, number, moves);
}

/// The same, but it does not crash.
pub fn step(world: &World, state: &State, number: usize, moves: &mut Moves) {
    let mut turn = Turn { world, state, number, moves };
    match turn.me().at {
        PrunerAt::Idle => turn.choose(),
        PrunerAt::PutMark => turn.put_mark(),
        PrunerAt::Wait(more) => turn.wait(more),
        PrunerAt::ReadPending => turn.read_roots(Area::Pending),
        PrunerAt::ReadSnapshots => turn.read_roots(Area::Snapshots),
        PrunerAt::ReadMarks => turn.read_condemned(Area::Marks),
        PrunerAt::ReadTombs => turn.read_condemned(Area::Tombs),
        PrunerAt::ReadIndex => turn.read_index(),
        PrunerAt::ReadPacks => turn.read_packs(),
        PrunerAt::PutCopy => turn.put_copy(),
        PrunerAt::PutCopyIndex => turn.put_copy_index(),
        PrunerAt::PutMerged => merge::put(&mut turn),
        PrunerAt::DeleteSuperseded => merge::delete_superseded(&mut turn),
        PrunerAt::PutTomb => turn.put_tomb(),
        PrunerAt::DeletePacks => turn.delete_packs(),
        PrunerAt::WaitForTomb => turn.wait(0),
        PrunerAt::RemoveMark => turn.remove_mark(),
    }
}

/// One pruner's turn.
pub struct Turn<'a> {
    pub world: &'a World,
    pub state: &'a State,
    pub number: usize,
    moves: &'a mut Moves,
}

impl Turn<'_> {
    pub fn me(&self) -> &Pruner {
        &self.state.pruners[self.number]
    }

    /// Its number among all writers and pruners.
    pub fn actor(&self) -> usize {
        self.world.writers + self.number
    }

    fn own(&self) -> u64 {
        self.world.own(self.actor())
    }

    pub fn push(&mut self, what: &'static str, about: u16, change: impl FnOnce(&mut State)) {
        let mut next = *self.state;
        change(&mut next);
        self.moves.push((Move { who: Who::Pruner(self.number), what, about }, next));
    }

    pub fn go(&mut self, what: &'static str, about: u16, change: impl FnOnce(&mut Pruner)) {
        let number = self.number;
        self.push(what, about, |next| change(&mut next.pruners[number]));
    }

    /// The run is over; the next one remembers nothing.
    pub fn end(&mut self, what: &'static str, change: impl FnOnce(&mut State)) {
        let (number, runs) = (self.number, self.me().runs);
        self.push(what, 0, |next| {
            change(next);
            next.pruners[number] = Pruner { runs, ..Pruner::default() };
        });
    }

    /// P0: which packs are chosen is a heuristic, so all choices are tried.
    fn choose(&mut self) {
        let (world, facts, runs) = (self.world, self.state.store.there, self.me().runs);
        if runs >= world.runs {
            return;
        }
        let packs = self.state.store.packs();
        for victims in (1..=packs).filter(|set| set & !packs == 0 && set.count_ones() <= world.victims) {
            let begin = Pruner { victims, runs: runs + 1, at: PrunerAt::PutMark, ..Pruner::default() };
            if world.keeps(Rule::MarkBeforeReading) {
                self.condemn(begin);
            } else {
                self.go("chooses packs", victims, |me| *me = Pruner { at: PrunerAt::ReadPending, ..begin });
            }
        }
        for run in bits(Area::Marks.of(facts)) {
            let victims = self.state.store.runs[run];
            let run_of = run as u8;
            let begin = Pruner { victims, run: run_of, adopted: true, runs: runs + 1, ..Pruner::default() };
            let begin = Pruner { at: self.after_mark(), ..begin };
            self.go("takes over the mark of packs", victims, |me| *me = begin);
            if !world.keeps(Rule::LeftMarksAreFinished) {
                let removed = Pruner { runs: runs + 1, ..Pruner::default() };
                let number = self.number;
                self.push("removes the left mark of packs", victims, |next| {
                    next.toggle(Area::Marks, run, world.stale);
                    next.pruners[number] = removed;
                });
            }
        }
        if world.merges && Area::Index.of(facts).count_ones() > 1 {
            let begin = Pruner { runs: runs + 1, at: condemned(world), ..Pruner::default() };
            self.go("begins to merge the index", 0, |me| *me = begin);
        }
    }

    /// P1, and what may follow at once: copying what is live now, so that writers soon find copies.
    fn condemn(&mut self, begin: Pruner) {
        let (world, number, victims) = (self.world, self.number, begin.victims);
        let run = self.state.new_run(world.run_names(number));
        let run_it = |next: &mut State, at: PrunerAt, copying: Chunks| {
            next.store.runs[run] = victims;
            next.toggle(Area::Marks, run, world.stale);
            next.pruners[number] = Pruner { run: run as u8, at, copying, ..begin };
        };
        let at = self.after_mark();
        self.push("MARKS packs", victims, |next| run_it(next, at, 0));
        let live = world.pending_roots(Area::Pending.of(self.state.store.there))
            | world.snapshot_roots(Area::Snapshots.of(self.state.store.there));
        let copying = live & self.state.store.held(victims);
        if world.early && copying != 0 {
            self.push("MARKS, and copies from, packs", victims, |next| run_it(next, PrunerAt::PutCopy, copying));
        }
    }

    /// P1 where the mark comes too late.
    fn put_mark(&mut self) {
        let (world, number, victims) = (self.world, self.number, self.me().victims);
        let run = self.state.new_run(world.run_names(number));
        self.push("marks, too late, packs", victims, |next| {
            next.store.runs[run] = victims;
            next.toggle(Area::Marks, run, world.stale);
            let me = &mut next.pruners[number];
            (me.run, me.at) = (run as u8, first_step(world));
        });
    }

    /// The grace period, where a listing may be stale.
    fn after_mark(&self) -> PrunerAt {
        match (self.world.stale, self.world.keeps(Rule::Grace), self.world.keeps(Rule::GraceIsTwice)) {
            (true, true, true) => PrunerAt::Wait(3),
            (true, true, false) => PrunerAt::Wait(1),
            _ => roots(self.world),
        }
    }

    /// Odd: a wait begins. Even: it ends, and what was unsettled when it began has settled.
    fn wait(&mut self, more: u8) {
        let (number, awaited) = (self.number, self.me().awaited);
        let after = if self.me().at == PrunerAt::WaitForTomb { PrunerAt::RemoveMark } else { roots(self.world) };
        if more % 2 == 1 {
            let unsettled = self.state.store.unsettled;
            self.go("begins to wait", 0, |me| (me.awaited, me.at) = (unsettled, PrunerAt::Wait(more - 1)));
        } else {
            self.push("has waited", 0, |next| {
                next.store.unsettled &= !awaited;
                next.pruners.iter_mut().for_each(|pruner| pruner.awaited &= !awaited);
                let me = &mut next.pruners[number];
                (me.awaited, me.waited) = (0, true);
                me.at = if more == 0 { after } else { PrunerAt::Wait(more - 1) };
            });
        }
    }

    /// P2 begins.
    fn read_roots(&mut self, area: Area) {
        let (world, store) = (self.world, &self.state.store);
        let next_at = match (area, world.keeps(Rule::PendingBeforeSnapshots)) {
            (Area::Pending, true) => PrunerAt::ReadSnapshots,
            (Area::Snapshots, false) => PrunerAt::ReadPending,
            _ => condemned(world),
        };
        for shown in listings(store, area, self.own()) {
            let (what, live) = match area {
                Area::Pending if world.keeps(Rule::PendingIsARoot) => {
                    ("reads pending records: chunks", world.pending_roots(shown))
                }
                Area::Pending => ("does not look at pending records", 0),
                _ => ("reads snapshots: chunks", world.snapshot_roots(shown)),
            };
            self.go(what, live.into(), |me| (me.live, me.at) = (me.live | live, next_at));
        }
    }

    fn read_condemned(&mut self, area: Area) {
        let (world, store) = (self.world, &self.state.store);
        let next_at = match (area, world.keeps(Rule::MarksBeforeTombs)) {
            (Area::Marks, true) => PrunerAt::ReadTombs,
            (Area::Tombs, false) => PrunerAt::ReadMarks,
            _ => PrunerAt::ReadIndex,
        };
        for shown in listings(store, area, self.own()) {
            let packs = store.condemned(shown);
            match area {
                Area::Marks => {
                    let foreign = world.keeps(Rule::ForeignMarksCount);
                    let counted = if foreign { packs } else { self.me().victims };
                    let what = if foreign { "reads marks: packs" } else { "looks at its own mark only: packs" };
                    self.go(what, counted, |me| (me.condemned, me.at) = (me.condemned | counted, next_at));
                }
                _ => self.go("reads tombs: packs", packs, |me| {
                    (me.condemned, me.tombed, me.at) = (me.condemned | packs, packs, next_at);
                }),
            }
        }
    }

    fn read_index(&mut self) {
        let store = &self.state.store;
        for shown in listings(store, Area::Index, self.own()) {
            let named = store.named(shown);
            self.go("reads the index: packs", named, |me| (me.seen, me.at) = (shown, PrunerAt::ReadPacks));
        }
    }

    /// The end of P2: what is live in a victim must have a usable copy.
    fn read_packs(&mut self) {
        let shown = match self.world.keeps(Rule::UsablePacksExist) {
            true => listings(&self.state.store, Area::Packs, self.own()),
            false => vec![Packs::MAX],
        };
        for packs in shown {
            self.judge(packs);
        }
    }

    fn judge(&mut self, packs: Packs) {
        let (world, me, store) = (self.world, *self.me(), &self.state.store);
        let named = store.named(me.seen);
        let victims = if world.keeps(Rule::VictimsAreNoCopies) { me.victims } else { 0 };
        let own_mark = if world.keeps(Rule::VictimsAreNoCopies) { 0 } else { me.victims };
        let usable = named & packs & !(me.condemned & !own_mark) & !victims;
        let looked_into = me.victims & packs & if world.keeps(Rule::OrphansAreLookedInto) { Packs::MAX } else { named };
        let copying = store.held(looked_into) & me.live & !store.held(usable);
        let clear = Pruner { live: 0, condemned: 0, ..me };
        let verified = world.keeps(Rule::CopiesAreVerified);
        if copying == 0 {
            let at = match me.run {
                NONE if me.victims != 0 => PrunerAt::PutMark,
                NONE => PrunerAt::PutMerged,
                _ => first_step(world),
            };
            self.go("finds nothing to copy", 0, |me| *me = Pruner { at, ..clear });
        } else if !world.keeps(Rule::MarksAreTerminal) && me.run != NONE {
            self.end("PARDONS its victims", |next| next.delete(Area::Marks, me.run.into(), world.stale));
        } else if copying & !store.held(me.victims & store.packs()) == 0 {
            self.go("has to copy chunks", copying.into(), |me| {
                let (seen, tombed) = if verified { (0, 0) } else { (me.seen, me.tombed) };
                *me = Pruner { at: PrunerAt::PutCopy, copying, seen, tombed, ..clear };
            });
        } else {
            self.end("finds a victim gone and stops", |_| {});
        }
    }

    fn put_copy(&mut self) {
        let (world, number, me) = (self.world, self.number, *self.me());
        if me.copying & !self.state.store.held(me.victims & self.state.store.packs()) != 0 {
            self.end("finds a victim gone and stops", |_| {});
            return;
        }
        let pack = self.state.new_pack(world.pack_names(self.actor()));
        self.push("puts a copy, pack", 1 << pack, |next| {
            next.toggle(Area::Packs, pack, world.stale);
            next.store.content[pack] = me.copying;
            let me = &mut next.pruners[number];
            (me.fresh, me.copying, me.at) = (pack as u8, 0, PrunerAt::PutCopyIndex);
        });
    }

    fn put_copy_index(&mut self) {
        let (world, number, me) = (self.world, self.number, *self.me());
        let object = self.state.new_object(world.object_names(self.actor()));
        let at = match me.run {
            // Without the rule that copies are verified it still knows what it saw.
            NONE if me.seen != 0 => PrunerAt::PutMark,
            _ if me.seen != 0 => first_step(world),
            _ if me.waited => roots(world),
            _ => self.after_mark(),
        };
        self.push("puts an index object for the copy, pack", 1 << me.fresh, |next| {
            next.toggle(Area::Index, object, world.stale);
            next.store.names[object] = 1 << me.fresh;
            let me = &mut next.pruners[number];
            (me.fresh, me.at) = (NONE, at);
        });
    }

    /// P4. Who works on the mark of another run writes a tomb of its own.
    fn put_tomb(&mut self) {
        let (world, number, me) = (self.world, self.number, *self.me());
        let run = if me.adopted { self.state.new_run(world.run_names(number)) } else { me.run.into() };
        self.advance("puts a tomb for packs", me.victims, |next| {
            if !next.store.has(Area::Tombs, run) {
                next.store.runs[run] = me.victims;
                next.toggle(Area::Tombs, run, world.stale);
            }
        });
    }

    /// P5, one pack after the other.
    fn delete_packs(&mut self) {
        let (world, left) = (self.world, self.me().victims & self.state.store.packs());
        let delete = |next: &mut State| {
            bits(left).take(1).for_each(|pack| next.delete(Area::Packs, pack, world.stale));
        };
        if left.count_ones() > 1 {
            self.push("DELETES the first of packs", left, delete);
        } else {
            self.advance("DELETES, and is done with, packs", left, delete);
        }
    }

    /// P6.
    fn remove_mark(&mut self) {
        let (world, run) = (self.world, usize::from(self.me().run));
        self.advance("removes the mark", 0, |next| {
            next.delete(Area::Marks, run, world.stale);
            if !world.keeps(Rule::TombsOutliveRuns) {
                next.delete(Area::Tombs, run, world.stale);
            }
        });
    }

    /// Does something and goes on to the next of P3 to P6; after the last one the run is over.
    pub fn advance(&mut self, what: &'static str, about: u16, change: impl FnOnce(&mut State)) {
        let (world, number, me) = (self.world, self.number, *self.me());
        let done = if me.at == PrunerAt::DeleteSuperseded { PrunerAt::PutMerged } else { me.at };
        let after = steps(world).into_iter().skip_while(|step| *step != done).nth(1);
        let wait = world.stale && world.keeps(Rule::MarkOutlivesDoubt);
        self.push(what, about, |next| {
            change(next);
            let awaited = if wait { next.store.unsettled } else { 0 };
            next.pruners[number] = match after {
                Some(PrunerAt::RemoveMark) if wait => Pruner { at: PrunerAt::WaitForTomb, awaited, ..me },
                Some(at) if me.victims != 0 => Pruner { at, ..me },
                // It merged only, or has done everything.
                _ => Pruner { runs: me.runs, ..Pruner::default() },
            };
            let me = &mut next.pruners[number];
            if done == PrunerAt::PutMerged {
                (me.seen, me.tombed) = (0, 0);
            }
        });
    }
}

/// How P2 begins.
fn roots(world: &World) -> PrunerAt {
    if world.keeps(Rule::PendingBeforeSnapshots) { PrunerAt::ReadPending } else { PrunerAt::ReadSnapshots }
}

/// How reading marks and tombs begins.
fn condemned(world: &World) -> PrunerAt {
    if world.keeps(Rule::MarksBeforeTombs) { PrunerAt::ReadMarks } else { PrunerAt::ReadTombs }
}

/// P3 to P6, in the order in which they come.
fn steps(world: &World) -> [PrunerAt; 4] {
    use PrunerAt::DeletePacks;
    use PrunerAt::PutMerged;
    use PrunerAt::PutTomb;
    use PrunerAt::RemoveMark;
    let broken = |rule: Rule| !world.keeps(rule);
    match () {
        () if broken(Rule::IndexBeforeDelete) => [PutTomb, DeletePacks, PutMerged, RemoveMark],
        () if broken(Rule::TombBeforeDelete) => [PutMerged, DeletePacks, PutTomb, RemoveMark],
        () if broken(Rule::MarkUntilTomb) => [PutMerged, RemoveMark, PutTomb, DeletePacks],
        () if broken(Rule::MarkOutlivesPacks) => [PutMerged, PutTomb, RemoveMark, DeletePacks],
        () => [PutMerged, PutTomb, DeletePacks, RemoveMark],
    }
}

fn first_step(world: &World) -> PrunerAt {
    steps(world)[0]
}
