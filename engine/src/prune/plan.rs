//! Which packs to remove and which to write anew: a pure choice from how much of each is needed.

use super::options::MaxUnused;
use crate::class::Class;
use crate::format::index::PackInfo;
use crate::id::PackId;
use crate::pack::PackShape;

/// Packs below this share of their goal, in percent, are small.
const SMALL_PERCENT: u64 = 50;

/// Whether a pack may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It may.
    Free,
    /// A backup that is still running may be about to use it.
    Young,
    /// It is missing or has another length than the index says.
    Lost,
    /// An earlier run has condemned it, or no index object names it any more.
    Condemned,
}

/// How much of a pack is needed, in stored bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackUse {
    pub(super) id: PackId,
    pub(super) length: u64,
    pub(super) class: Class,
    pub(super) standing: Standing,
    /// Segments' share of chunks that are needed and counted here.
    pub(super) kept: u64,
    /// The same of chunks that are needed and counted in another pack.
    pub(super) duplicate: u64,
    /// The same of chunks that nothing needs.
    pub(super) dead: u64,
    pub(super) chunks_kept: u64,
    /// Plain bytes of live chunks that have no other copy.
    pub(super) only_here: u64,
    /// It is to be sealed anew: something in it opens with an earlier root key.
    pub(super) sealed_before: bool,
}

impl PackUse {
    pub(super) fn new(pack: &PackInfo, standing: Standing) -> Self {
        Self {
            id: pack.id,
            length: u64::from(pack.length),
            class: pack.class,
            standing,
            kept: 0,
            duplicate: 0,
            dead: 0,
            chunks_kept: 0,
            only_here: 0,
            sealed_before: false,
        }
    }

    pub(super) fn unused(&self) -> u64 {
        self.duplicate + self.dead
    }
}

/// What is wished for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    pub(super) max_unused: MaxUnused,
    pub(super) max_repack_bytes: u64,
    pub(super) repack_small: bool,
    /// Stored bytes at which packs of data and of metadata are closed.
    pub(super) pack_goals: (usize, usize),
}

/// The choice: packs that nothing needs, and packs whose needed part is copied out of them first.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    pub(super) remove: Vec<PackUse>,
    pub(super) repack: Vec<PackUse>,
    pub(super) stay: Vec<PackUse>,
}

/// Chooses among packs that are free; lost ones go only when nothing needed is counted in them.
pub(super) fn choose(uses: &[PackUse], wishes: &Wishes) -> Choice {
    let mut choice = Choice::default();
    let mut partly: Vec<PackUse> = Vec::new();
    for pack in uses {
        match pack.standing {
            Standing::Free | Standing::Lost if pack.chunks_kept == 0 => choice.remove.push(*pack),
            Standing::Free => partly.push(*pack),
            Standing::Condemned => {}
            Standing::Young | Standing::Lost => choice.stay.push(*pack),
        }
    }
    let needed = uses.iter().map(|pack| pack.kept).sum();
    let allowed = wishes.max_unused.bytes(needed);
    // What young packs waste cannot be helped, and is no reason to write others anew.
    let mut unused: u64 = partly.iter().map(PackUse::unused).sum();
    // The emptiest first: they free the most for the least copying. Ids make equal ones come in one order.
    partly.sort_by(|one, other| {
        let share = |pack: &PackUse, other: &PackUse| u128::from(pack.unused()) * u128::from(other.length);
        share(other, one).cmp(&share(one, other)).then(one.id.cmp(&other.id))
    });
    let small = if wishes.repack_small { smalls(&partly, wishes) } else { [false, false] };
    let mut left = wishes.max_repack_bytes;
    for pack in partly {
        let is_wanted = pack.sealed_before
            || (unused > allowed && pack.unused() > 0)
            || (is_small(&pack, wishes) && small_of(small, pack.class));
        if is_wanted && pack.length <= left {
            left -= pack.length;
            unused -= pack.unused();
            choice.repack.push(pack);
        } else {
            choice.stay.push(pack);
        }
    }
    choice
}

/// Whether there are more small packs of each class than copying leaves open at its end: as many would become as many
/// again, every time.
fn smalls(packs: &[PackUse], wishes: &Wishes) -> [bool; 2] {
    [Class::Data, Class::Metadata].map(|class| {
        packs.iter().filter(|pack| pack.class == class && is_small(pack, wishes)).count() > PackShape::open(class)
    })
}

fn small_of([data, metadata]: [bool; 2], class: Class) -> bool {
    match class {
        Class::Data => data,
        Class::Metadata => metadata,
    }
}

fn is_small(pack: &PackUse, wishes: &Wishes) -> bool {
    let goal = match pack.class {
        Class::Data => wishes.pack_goals.0,
        Class::Metadata => wishes.pack_goals.1,
    };
    pack.length.saturating_mul(100) < u64::try_from(goal).unwrap_or(u64::MAX).saturating_mul(SMALL_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(number: u8, standing: Standing, kept: u64, duplicate: u64, dead: u64) -> PackUse {
        PackUse {
            id: PackId::from_bytes([number; 32]),
            length: kept + duplicate + dead + 10,
            class: Class::Data,
            standing,
            kept,
            duplicate,
            dead,
            chunks_kept: u64::from(kept > 0),
            only_here: kept,
            sealed_before: false,
        }
    }

    fn wishes(max_unused: MaxUnused) -> Wishes {
        Wishes { max_unused, max_repack_bytes: u64::MAX, repack_small: false, pack_goals: (1000, 1000) }
    }

    fn numbers(packs: &[PackUse]) -> Vec<u8> {
        let mut numbers: Vec<u8> = packs.iter().map(|pack| pack.id.as_bytes()[0]).collect();
        numbers.sort_unstable();
        numbers
    }

    fn packs() -> Vec<PackUse> {
        vec![
            pack(1, Standing::Free, 0, 0, 900),
            pack(2, Standing::Free, 100, 0, 800),
            pack(3, Standing::Free, 800, 50, 50),
            pack(4, Standing::Free, 900, 0, 0),
            pack(5, Standing::Young, 0, 0, 900),
            pack(6, Standing::Lost, 0, 0, 900),
            pack(7, Standing::Lost, 900, 0, 0),
            pack(8, Standing::Condemned, 0, 0, 900),
            pack(9, Standing::Free, 0, 900, 0),
        ]
    }

    #[test]
    fn what_nothing_needs_goes_and_what_may_be_needed_stays() {
        let choice = choose(&packs(), &wishes(MaxUnused::Unlimited));
        assert_eq!(numbers(&choice.remove), [1, 6, 9]);
        assert_eq!(numbers(&choice.repack), [0; 0]);
        assert_eq!(numbers(&choice.stay), [2, 3, 4, 5, 7]);
    }

    #[test]
    fn the_emptiest_packs_are_written_anew_until_little_enough_is_unused() {
        let chosen = |max_unused| numbers(&choose(&packs(), &wishes(max_unused)).repack);
        assert_eq!(chosen(MaxUnused::Bytes(0)), [2, 3]);
        assert_eq!(chosen(MaxUnused::Bytes(100)), [2]);
        assert_eq!(chosen(MaxUnused::Bytes(900)), [0; 0]);
        // 2700 bytes are needed: 100 unused ones beside them are 3.6 %.
        assert_eq!(chosen(MaxUnused::Percent(5.0)), [2]);
        assert_eq!(chosen(MaxUnused::Percent(3.0)), [2, 3]);
    }

    #[test]
    fn what_is_to_be_sealed_anew_is_written_anew_however_full_it_is() {
        let mut packs = packs();
        packs.iter_mut().for_each(|pack| pack.sealed_before = true);
        let mut wishes = wishes(MaxUnused::Unlimited);
        let choice = choose(&packs, &wishes);
        // Young ones are left to a later run, and so is what is missing.
        assert_eq!(
            [&choice.remove, &choice.repack, &choice.stay].map(|some| numbers(some)),
            [vec![1, 6, 9], vec![2, 3, 4], vec![5, 7]]
        );
        wishes.max_repack_bytes = 910;
        assert_eq!(numbers(&choose(&packs, &wishes).repack), [2]);
    }

    #[test]
    fn no_more_is_written_anew_than_was_asked_for() {
        let mut wishes = wishes(MaxUnused::Bytes(0));
        wishes.max_repack_bytes = 909;
        assert_eq!(numbers(&choose(&packs(), &wishes).repack), [0; 0]);
        wishes.max_repack_bytes = 910;
        assert_eq!(numbers(&choose(&packs(), &wishes).repack), [2]);
    }

    #[test]
    fn small_packs_are_put_together_where_that_makes_fewer_of_them() {
        let mut wishes = wishes(MaxUnused::Unlimited);
        wishes.repack_small = true;
        let mut packs = vec![pack(1, Standing::Free, 100, 0, 0), pack(2, Standing::Free, 800, 0, 0)];
        packs.push(pack(3, Standing::Free, 480, 0, 0));
        // Two come out of copying data, however small.
        assert_eq!(numbers(&choose(&packs, &wishes).repack), [0; 0]);
        packs.push(pack(4, Standing::Free, 200, 0, 0));
        assert_eq!(numbers(&choose(&packs, &wishes).repack), [1, 3, 4]);
        packs.iter_mut().for_each(|pack| pack.class = Class::Metadata);
        assert_eq!(numbers(&choose(&packs[..2], &wishes).repack), [0; 0]);
        assert_eq!(numbers(&choose(&packs[..3], &wishes).repack), [1, 3]);
    }
}
