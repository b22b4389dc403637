//! The steps of a writer, W0 to W5: each is one thing that the store does for it.

use super::state::Area;
use super::state::Chunks;
use super::state::NONE;
use super::state::Packs;
use super::state::State;
use super::state::Writer;
use super::state::WriterAt;
use super::state::listings;
use super::world::Move;
use super::world::Moves;
use super::world::Rule;
use super::world::Who;
use super::world::World;

/// Adds everything that the writer of this number may do next.
pub fn moves(world: &World, state: &State, number: usize, moves: &mut Moves) {
    let mut turn = Turn { world, state, number, moves };
    if !matches!(turn.me().at, WriterAt::Start | WriterAt::Gone) && state.crashes < world.crashes {
        turn.push("crashes", 0, |next| {
            next.writers[number] = Writer { at: WriterAt::Gone, ..Writer::default() };
            next.crashes += 1;
        });
    }
    step(world, state, number, moves);
}

/// The same, but it does not crash.
pub fn step(world: &World, state: &State, number: usize, moves: &mut Moves) {
    let mut turn = Turn { world, state, number, moves };
    match turn.me().at {
        WriterAt::Start => turn.start(),
        WriterAt::PutPack => turn.put_pack(),
        WriterAt::PutIndex => turn.put_index(),
        WriterAt::PutPending => turn.put_pending(),
        WriterAt::ReadMarks => turn.read_condemned(Area::Marks),
        WriterAt::ReadTombs => turn.read_condemned(Area::Tombs),
        WriterAt::ReadIndex => turn.read_index(),
        WriterAt::ReadPacks => turn.read_packs(),
        WriterAt::Commit => turn.commit(),
        WriterAt::RemovePending => turn.remove_pending("removes its pending record"),
        WriterAt::Withdraw => turn.remove_pending("gives up and removes its pending record"),
        WriterAt::Gone => {}
    }
}

/// One writer's turn.
struct Turn<'a> {
    world: &'a World,
    state: &'a State,
    number: usize,
    moves: &'a mut Moves,
}

impl Turn<'_> {
    fn me(&self) -> &Writer {
        &self.state.writers[self.number]
    }

    fn needs(&self) -> Chunks {
        self.world.needs[1 + self.number]
    }

    fn pending(&self) -> usize {
        2 * self.number + usize::from(self.me().name)
    }

    fn push(&mut self, what: &'static str, about: u16, change: impl FnOnce(&mut State)) {
        let mut next = *self.state;
        change(&mut next);
        self.moves.push((Move { who: Who::Writer(self.number), what, about }, next));
    }

    fn go(&mut self, what: &'static str, about: u16, change: impl FnOnce(&mut Writer)) {
        let number = self.number;
        self.push(what, about, |next| change(&mut next.writers[number]));
    }

    /// W0 is a heuristic: the writer leans on what was usable at some time, or on everything an index object names.
    fn start(&mut self) {
        let store = &self.state.store;
        let facts = store.there;
        let named = store.named(Area::Index.of(facts));
        let condemned = store.condemned(Area::Marks.of(facts) | Area::Tombs.of(facts));
        let now = self.needs() & !store.held(named & store.packs() & !condemned);
        let old = self.needs() & !store.held(named);
        let first = |missing: Chunks| if missing == 0 { after_index(self.world) } else { WriterAt::PutPack };
        let (at_now, at_old) = (first(now), first(old));
        self.go("finds what it need not upload; to be stored are chunks", now.into(), |me| {
            (me.missing, me.at) = (now, at_now);
        });
        if old != now {
            self.go("looks at an old index; to be stored are chunks", old.into(), |me| {
                (me.missing, me.at) = (old, at_old);
            });
        }
    }

    fn put_pack(&mut self) {
        let (world, missing, number) = (self.world, self.me().missing, self.number);
        let pack = self.state.new_pack(world.pack_names(number));
        self.push("puts pack", 1 << pack, |next| {
            next.toggle(Area::Packs, pack, world.stale);
            next.store.content[pack] = missing;
            let me = &mut next.writers[number];
            (me.fresh, me.missing, me.at) = (pack as u8, 0, WriterAt::PutIndex);
        });
    }

    fn put_index(&mut self) {
        let (world, number, pack) = (self.world, self.number, usize::from(self.me().fresh));
        let object = self.state.new_object(world.object_names(number));
        let rescued = self.me().rescues > 0;
        let committed = self.state.store.has(Area::Snapshots, 1 + number);
        let next_at = match (committed, rescued) {
            (true, _) => WriterAt::Gone,
            (false, false) => after_index(world),
            (false, true) if world.keeps(Rule::RescueIsValidated) => validation(world),
            (false, true) => WriterAt::Commit,
        };
        self.push("puts an index object for pack", 1 << pack, |next| {
            next.toggle(Area::Index, object, world.stale);
            next.store.names[object] = 1 << pack;
            let me = &mut next.writers[number];
            (me.fresh, me.at) = (NONE, next_at);
        });
        if !world.keeps(Rule::IndexBeforeSnapshot) && !committed {
            self.push("COMMITS before it has indexed pack", 1 << pack, |next| {
                next.toggle(Area::Snapshots, 1 + number, world.stale);
            });
        }
    }

    fn put_pending(&mut self) {
        let (world, number, pending) = (self.world, self.number, self.pending());
        let next_at = match (world.keeps(Rule::Validation), world.keeps(Rule::IntentBeforeValidation)) {
            (true, true) => validation(world),
            _ => WriterAt::Commit,
        };
        self.push("puts its pending record", 0, |next| {
            if !next.store.has(Area::Pending, pending) {
                next.toggle(Area::Pending, pending, world.stale);
            }
            let me = &mut next.writers[number];
            (me.late, me.at) = (false, next_at);
        });
    }

    fn read_condemned(&mut self, area: Area) {
        let store = &self.state.store;
        let world = self.world;
        let next_at = match (area, world.keeps(Rule::MarksBeforeTombs), world.keeps(Rule::MarksBeforeIndex)) {
            (Area::Marks, true, _) => WriterAt::ReadTombs,
            (Area::Tombs, false, _) => WriterAt::ReadMarks,
            (_, _, true) => WriterAt::ReadIndex,
            (_, _, false) => WriterAt::ReadPacks,
        };
        let what = if area == Area::Marks { "reads marks: packs" } else { "reads tombs: packs" };
        for shown in listings(store, area, self.world.own(self.number)) {
            let condemned = store.condemned(shown);
            self.go(what, condemned, |me| (me.condemned, me.at) = (me.condemned | condemned, next_at));
        }
    }

    fn read_index(&mut self) {
        let store = &self.state.store;
        let next_at =
            if self.world.keeps(Rule::MarksBeforeIndex) { WriterAt::ReadPacks } else { condemned(self.world) };
        for shown in listings(store, Area::Index, self.world.own(self.number)) {
            let named = store.named(shown);
            self.go("reads the index: packs", named, |me| (me.named, me.at) = (named, next_at));
        }
    }

    /// The end of W3: everything that the snapshot needs must be in usable packs.
    fn read_packs(&mut self) {
        let shown = match self.world.keeps(Rule::UsablePacksExist) {
            true => listings(&self.state.store, Area::Packs, self.world.own(self.number)),
            false => vec![Packs::MAX],
        };
        for packs in shown {
            self.validate(packs);
        }
    }

    fn validate(&mut self, packs: Packs) {
        let (world, me) = (self.world, *self.me());
        let usable = me.named & !me.condemned & packs;
        let missing = self.needs() & !self.state.store.held(usable);
        let clear = Writer { condemned: 0, named: 0, ..me };
        if missing == 0 {
            let intent_first = world.keeps(Rule::IntentBeforeValidation);
            let at = if intent_first { WriterAt::Commit } else { WriterAt::PutPending };
            self.go("finds all it needs in packs", usable, |me| *me = Writer { at, ..clear });
        } else if me.rescues < world.rescues {
            // From the condemned pack while it exists, or from the source.
            self.go("has to rescue chunks", missing.into(), |me| {
                *me = Writer { at: WriterAt::PutPack, missing, rescues: me.rescues + 1, ..clear };
            });
        } else {
            self.go("misses chunks", missing.into(), |me| *me = Writer { at: WriterAt::Withdraw, ..clear });
        }
    }

    /// W4. The guard compares times that this model does not have; `late` says what they would say.
    fn commit(&mut self) {
        let (world, number, me) = (self.world, self.number, *self.me());
        let guarded = me.late && world.keeps(Rule::GuardOfThePendingRecord);
        if !guarded {
            let at = WriterAt::RemovePending;
            self.push("COMMITS", 0, |next| {
                next.toggle(Area::Snapshots, 1 + number, world.stale);
                next.writers[number].at = at;
            });
        } else if !world.keeps(Rule::FreshPendingName) {
            self.go("finds its pending record old", 0, |me| me.at = WriterAt::PutPending);
        } else if me.name == 0 {
            self.go("finds its pending record old and takes a new name", 0, |me| {
                (me.name, me.at) = (1, WriterAt::PutPending);
            });
        } else {
            self.go("finds its pending record old again", 0, |me| me.at = WriterAt::Withdraw);
        }
    }

    fn remove_pending(&mut self, what: &'static str) {
        let (world, number, pending) = (self.world, self.number, self.pending());
        let snapshot = Area::Snapshots.bit(1 + number);
        if self.state.store.unsettled & snapshot != 0 && world.keeps(Rule::PendingOutlivesDoubt) {
            self.go("leaves its pending record to prune", 0, |me| {
                *me = Writer { at: WriterAt::Gone, ..Writer::default() };
            });
            return;
        }
        self.push(what, 0, |next| {
            next.delete(Area::Pending, pending, world.stale);
            next.writers[number] = Writer { at: WriterAt::Gone, ..Writer::default() };
        });
    }
}

/// What follows the index objects.
fn after_index(world: &World) -> WriterAt {
    match (world.keeps(Rule::Validation), world.keeps(Rule::IntentBeforeValidation)) {
        (true, false) => validation(world),
        _ => WriterAt::PutPending,
    }
}

/// How W3 begins.
fn validation(world: &World) -> WriterAt {
    if world.keeps(Rule::MarksBeforeIndex) { condemned(world) } else { WriterAt::ReadIndex }
}

/// How reading marks and tombs begins.
fn condemned(world: &World) -> WriterAt {
    if world.keeps(Rule::MarksBeforeTombs) { WriterAt::ReadMarks } else { WriterAt::ReadTombs }
}

/// Much time passes, so much that this pending record counts as abandoned.
pub fn grow_old(state: &mut State, record: usize) {
    if let Some(me) = state.writers.get_mut(record / 2)
        && usize::from(me.name) == record % 2
        && !matches!(me.at, WriterAt::PutPending | WriterAt::Gone)
    {
        me.late = true;
    }
}
