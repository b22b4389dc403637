//! P3: merging index objects while others put new ones and merge as well.

use super::pruner::Turn;
use super::state::Area;
use super::state::Objects;
use super::state::PrunerAt;
use super::state::bits;
use super::world::Rule;

/// Puts the merged index object: all that the objects it read name, without victims and tombs. It may take the place
/// of all it read, or only of those that name what has to go.
pub fn put(turn: &mut Turn<'_>) {
    let (world, me, store) = (turn.world, *turn.me(), &turn.state.store);
    let tombed = if world.keeps(Rule::TombedLeavesIndex) { me.tombed } else { 0 };
    let marked = match world.keeps(Rule::MarkedStaysInIndex) {
        true => 0,
        false => store.condemned(Area::Marks.of(store.there)),
    };
    let left_out = me.victims | tombed | marked;
    let touched = bits(me.seen).filter(|object| store.names[*object] & left_out != 0);
    let touched = touched.fold(0, |objects: Objects, object| objects | 1 << object);
    let all = if me.seen.count_ones() > 1 { me.seen } else { touched };
    if touched == 0 && (me.victims != 0 || all == 0) {
        turn.advance("finds nothing to merge", 0, |_| {});
    }
    if touched != 0 {
        supersede(turn, touched, left_out);
    }
    if all != touched && (me.victims == 0 || touched != 0) {
        supersede(turn, all, left_out);
    }
}

fn supersede(turn: &mut Turn<'_>, superseded: Objects, left_out: u16) {
    let (world, number) = (turn.world, turn.number);
    let packs = turn.state.store.named(superseded) & !left_out;
    let left = superseded & Area::Index.of(turn.state.store.there);
    if !world.keeps(Rule::MergedBeforeDelete) && left != 0 {
        turn.push("deletes, before it merges, one of index objects", left, |next| {
            bits(left).take(1).for_each(|object| next.delete(Area::Index, object, world.stale));
        });
        return;
    }
    let object = turn.state.new_object(world.object_names(turn.actor()));
    turn.push("puts a merged index object for packs", packs, |next| {
        let there = Area::Index.of(next.store.there);
        if packs != 0 {
            next.toggle(Area::Index, object, world.stale);
            next.store.names[object] = packs;
        }
        let me = &mut next.pruners[number];
        me.seen = if world.keeps(Rule::OnlyWhatWasRead) { superseded } else { there };
        (me.tombed, me.at) = (0, PrunerAt::DeleteSuperseded);
    });
}

/// Deletes what the merged object has taken the place of, one after the other.
pub fn delete_superseded(turn: &mut Turn<'_>) {
    let (world, number) = (turn.world, turn.number);
    let left = turn.me().seen & Area::Index.of(turn.state.store.there);
    let rest = bits(left).skip(1).fold(0, |objects: Objects, object| objects | 1 << object);
    let delete = |next: &mut super::state::State| {
        bits(left).take(1).for_each(|object| next.delete(Area::Index, object, world.stale));
    };
    if rest == 0 {
        turn.advance("deletes, and is done with, index objects", left, delete);
    } else {
        turn.push("deletes the first of index objects", left, |next| {
            delete(next);
            next.pruners[number].seen = rest;
        });
    }
}
