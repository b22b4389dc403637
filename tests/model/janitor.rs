//! The steps of the janitor: pending records and tombs are seen to be done with first, and removed some time later.

use super::state::Area;
use super::state::Janitor;
use super::state::NONE;
use super::state::State;
use super::state::bits;
use super::state::listings;
use super::world::Move;
use super::world::Moves;
use super::world::Rule;
use super::world::Who;
use super::world::World;
use super::writer;

/// Adds everything that the janitor may do next.
pub fn moves(world: &World, state: &State, moves: &mut Moves) {
    let mut turn = Turn { world, state, moves };
    let janitor = state.janitor;
    if janitor.pending != NONE {
        turn.push("removes the pending record", 1 << janitor.pending, |next| {
            next.delete(Area::Pending, janitor.pending.into(), world.stale);
            next.janitor = Janitor::default();
        });
    } else if janitor.tomb != NONE {
        turn.push("removes the tomb", 1 << janitor.tomb, |next| {
            next.delete(Area::Tombs, janitor.tomb.into(), world.stale);
            next.janitor = Janitor::default();
        });
    } else {
        bits(Area::Pending.of(state.store.there)).for_each(|record| turn.look_at_record(record));
        let finished = Area::Tombs.of(state.store.there) & !Area::Marks.of(state.store.there);
        let old = if world.tombs_last { 0 } else { finished };
        bits(old).for_each(|run| turn.look_at_tomb(run));
    }
}

struct Turn<'a> {
    world: &'a World,
    state: &'a State,
    moves: &'a mut Moves,
}

impl Turn<'_> {
    fn push(&mut self, what: &'static str, about: u16, change: impl FnOnce(&mut State)) {
        let mut next = *self.state;
        change(&mut next);
        self.moves.push((Move { who: Who::Janitor, what, about }, next));
    }

    fn look_at_record(&mut self, record: usize) {
        let (store, snapshot) = (&self.state.store, Area::Snapshots.bit(1 + record / 2));
        let settled = store.unsettled & snapshot == 0 || !self.world.keeps(Rule::PendingOutlivesDoubt);
        if store.there & snapshot == 0 {
            self.push("finds, after a long time, pending record", 1 << record, |next| {
                next.janitor.pending = record as u8;
                writer::grow_old(next, record);
            });
        } else if settled {
            // W4 keeps commits away from old records: when a record is old, its snapshot has settled long ago.
            self.push("finds the snapshot of pending record", 1 << record, |next| next.janitor.pending = record as u8);
        }
    }

    /// A tomb is 30 days old: whatever was done with it has settled long ago.
    fn look_at_tomb(&mut self, run: usize) {
        let (world, store) = (self.world, &self.state.store);
        let packs = store.runs[run];
        let doubt = bits(packs).fold(Area::Tombs.bit(run) | Area::Marks.all(), |all, pack| all | Area::Packs.bit(pack));
        if store.unsettled & doubt != 0 || store.packs() & packs != 0 {
            return;
        }
        let named = |shown: u16| store.named(shown) & packs;
        let unnamed = listings(store, Area::Index, 0).into_iter().any(|shown| named(shown) == 0);
        if unnamed || !world.keeps(Rule::TombsOutliveIndex) {
            self.push("finds, after a long time, the tomb of packs", packs, |next| next.janitor.tomb = run as u8);
        }
    }
}
