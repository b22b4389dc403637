//! Taking back the space of what no snapshot needs, beside running backups, without a lock and without a clock.
//!
//! ```text
//! look --> count --> plan ..> mark --> look --> copy --> look --> merge --> tomb --> delete --> sweep
//! roots     use of   choice   P1      `---------- P2 ---------'   P3        P4       P5         P6
//! view      each     to show
//! trace     pack
//! ```
//! A look reads the roots (pending records first, `roots`), then marks and tombs, the index and the list of packs
//! (`view`), and follows every root (`trace`). `count` tells how much of each pack is needed, `plan` chooses, and
//! `apply` runs the protocol: the mark is visible before the roots are read, so that a writer either shows its intent
//! in time or finds the mark; every live chunk of a victim is copied (`copy` and `crew`: `scan`, `extract`, and
//! the room `pack`), and of a chunk that has other copies one that stays was read (`proof`), before the index is merged without the victims (`merge`); the tomb is visible before
//! the first pack is gone. A run that dies anywhere leaves marks, tombs and copies, which the next run of anybody
//! finishes (`sweep` takes them away when their time has come, `keys` data keys that no pack names). Marks are terminal: nothing is ever un-condemned. One
//! that seals anew also takes what earlier root keys open (`earlier`).
//!
//! Whatever cannot be read or found stops the run before it deletes anything; without one snapshot nothing goes (`beginning`). All that is kept for each chunk beside
//! the index are a few bits (`bits`).

mod account;
mod apply;
mod beginning;
mod bits;
mod copy;
mod count;
mod crew;
mod earlier;
mod extract;
mod keys;
mod merge;
mod options;
mod plan;
mod proof;
mod roots;
mod scan;
mod sweep;
mod trace;
mod view;

pub use earlier::SealedBefore;
pub(crate) use earlier::snapshots as snapshots_sealed_before;
pub use options::MaxUnused;
pub(crate) use options::PruneOptions;

use crate::backend::Leftovers;
use crate::backend::Listed;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::store::Pending;
use crate::store::PendingRecord;
use crate::store::Store;
use crate::store::pending_records;
use apply::Run;
use count::Youth;
use plan::Choice;
use plan::Standing;
use plan::Wishes;
use std::collections::HashSet;
use std::sync::Arc;
use view::View;

/// What a prune would do, in numbers. Bytes are stored bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneSummary {
    /// There is no snapshot yet: what is stored may belong to first backups that run, and stays as it is.
    pub is_beginning: bool,
    /// Snapshots.
    pub snapshots: u64,
    /// Pending records: backups about to commit, or cut off then, whose data stays as well.
    pub pending: u64,
    /// All packs that are there.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs that nothing needs and that are removed.
    pub packs_removed: u64,
    /// Their bytes.
    pub bytes_removed: u64,
    /// Of these, packs that no index object names: left by interrupted runs.
    pub packs_unindexed: u64,
    /// Packs of which a part is needed, which is written anew.
    pub packs_repacked: u64,
    /// Their bytes: to be read.
    pub bytes_repacked: u64,
    /// About how many bytes of them are to be written.
    pub bytes_copied: u64,
    /// Bytes that nothing needs, in all packs.
    pub bytes_unused: u64,
    /// The same after this prune, about.
    pub bytes_unused_after: u64,
    /// Packs left alone because they are so young that a running backup may be about to use them.
    pub packs_young: u64,
    /// How many of their bytes nothing needs.
    pub bytes_young: u64,
    /// The same for packs that no index object names: of backups that run, or were cut off before their next checkpoint.
    pub packs_unfinished: u64,
    /// Their bytes.
    pub bytes_unfinished: u64,
    /// Packs that earlier runs have condemned, to be removed when their grace is over.
    pub packs_waiting: u64,
    /// Of these, packs whose grace is over: they are removed as well, and what is needed of them is copied.
    pub packs_due: u64,
    /// Their bytes.
    pub bytes_due: u64,
    /// Data keys that no pack names that stays, and whose time has come.
    pub keys_removed: u64,
    /// How long condemned packs stay, in seconds.
    pub grace_seconds: u64,
    /// What is sealed under earlier root keys now, if that is to be sealed anew.
    pub sealed_before: Option<SealedBefore>,
}

impl PruneSummary {
    /// About how many bytes are given back in the end.
    pub fn bytes_freed(&self) -> u64 {
        (self.bytes_removed + self.bytes_repacked).saturating_sub(self.bytes_copied)
    }
}

/// What a prune did. Bytes are stored bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneReport {
    /// Packs newly condemned.
    pub packs_condemned: u64,
    /// Packs deleted.
    pub packs_deleted: u64,
    /// Their bytes.
    pub bytes_deleted: u64,
    /// New packs, with what was needed of condemned ones.
    pub packs_written: u64,
    /// Their bytes.
    pub bytes_written: u64,
    /// Chunks copied.
    pub chunks_copied: u64,
    /// Segments copied as they were, without being opened.
    pub segments_copied: u64,
    /// Segments formed anew from chunks of wasteful ones.
    pub segments_formed: u64,
    /// Index objects written by merging.
    pub index_written: u64,
    /// Index objects deleted because others replace them.
    pub index_deleted: u64,
    /// Tombs removed.
    pub tombs_removed: u64,
    /// Pending records removed.
    pub pending_removed: u64,
    /// Packs that are there afterwards.
    pub packs_left: u64,
    /// Their bytes.
    pub bytes_left: u64,
    /// What killed runs had left in the store beside the objects, and was removed.
    pub leftovers: Leftovers,
    /// Of these, condemned packs that wait for their grace to be over.
    pub packs_waiting: u64,
    /// Packs that were found damaged on the way. What is needed of them stays, and what others have of it as well.
    pub packs_damaged: u64,
    /// Data keys that were deleted, because no pack names them.
    pub keys_deleted: u64,
    /// Records of snapshots that were sealed anew.
    pub snapshots_sealed_anew: u64,
    /// What is sealed under earlier root keys afterwards, if that was to be sealed anew.
    pub sealed_before: Option<SealedBefore>,
}

/// What a prune would do: to be shown, and then consumed by [`Plan::apply`].
pub(crate) struct Plan {
    run: Run,
    chosen: HashSet<PackId>,
    summary: PruneSummary,
    pending: Vec<PendingRecord>,
}

impl Plan {
    /// Looks at everything and chooses; writes nothing.
    pub(crate) async fn make(store: &Arc<Store>, options: PruneOptions, control: Control) -> Result<Self> {
        let mut run = Run::new(View::new(store), options, control);
        match run.look(&HashSet::new()).await {
            Err(error) if error.kind() == Kind::Invalid && run.is_beginning()? => {
                return Self::of_nothing_yet(run).await;
            }
            looked => looked?,
        };
        // Packs of a session that has committed belong to no running backup.
        let records = run.roots.snapshots.iter();
        let mut ended: HashSet<SnapshotId> =
            records.flat_map(|(id, root)| [Some(*id), Some(root.session), root.parent]).flatten().collect();
        ended.extend(&run.options.ended);
        let youth = Youth { min_age_seconds: run.options.min_age.as_secs(), ended: &ended };
        let mut uses = count::uses(&run.view, &run.trace, &youth)?;
        let before = if run.options.reencrypt { earlier::packs(&run.view).await? } else { HashSet::new() };
        uses.iter_mut().for_each(|pack| pack.sealed_before = before.contains(&pack.id));
        let wishes = Wishes {
            max_unused: run.options.max_unused,
            max_repack_bytes: run.options.max_repack_bytes,
            repack_small: run.options.repack_small,
            pack_goals: run.options.pack_goals,
        };
        let choice = plan::choose(&uses, &wishes);
        let old = run.view.unindexed.iter().filter(|(pack, unindexed)| {
            let is_old = run.view.rough_age_seconds(unindexed.stored) >= youth.min_age_seconds;
            is_old && !run.view.condemned.is_condemned(pack)
        });
        let unindexed: Vec<(PackId, u64)> = old.map(|(pack, unindexed)| (*pack, unindexed.length)).collect();
        let mut summary = run.summary(&choice, &unindexed)?;
        let packs = choice.remove.iter().chain(&choice.repack).map(|pack| pack.id);
        let chosen: HashSet<PackId> = packs.chain(unindexed.iter().map(|(pack, _)| *pack)).collect();
        if run.options.reencrypt {
            summary.sealed_before = Some(earlier::count(&run.view, &before, &chosen).await?);
        }
        run.plan_keys(&chosen, &mut summary).await?;
        let pending = run.pending().await?;
        Ok(Self { run, chosen, summary, pending })
    }

    /// Nothing to do beside the first backup: without a snapshot nobody can tell what is needed.
    async fn of_nothing_yet(run: Run) -> Result<Self> {
        let summary = PruneSummary { is_beginning: true, ..run.summary(&Choice::default(), &[])? };
        let pending = run.pending().await?;
        Ok(Self { run, chosen: HashSet::new(), summary, pending })
    }

    /// The pending records that are there, and what they keep.
    pub(crate) fn pending(&self) -> &[PendingRecord] {
        &self.pending
    }

    pub(crate) fn summary(&self) -> PruneSummary {
        self.summary
    }

    /// Whether what is sealed under earlier root keys is to be sealed anew.
    pub(crate) fn reencrypts(&self) -> bool {
        self.run.options.reencrypt
    }

    /// Does it. The work watches `control` from here on.
    pub(crate) async fn apply(mut self, control: Control) -> Result<PruneReport> {
        if self.summary.is_beginning {
            self.run.count_what_is_left()?;
            return Ok(self.run.report);
        }
        self.run.control = control;
        match self.run.apply(self.chosen).await {
            // The first backup began meanwhile.
            Err(error) if error.kind() == Kind::Invalid && self.summary.packs == 0 && self.run.is_beginning()? => {
                Ok(self.run.report)
            }
            applied => applied,
        }
    }
}

fn count_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Hashing, opening and sealing take their time: not on a thread that serves others.
async fn off_thread<S: Send + 'static, T: Send + 'static>(
    mut state: S,
    work: impl FnOnce(&mut S) -> Result<T> + Send + 'static,
) -> Result<(S, T)> {
    tokio::task::spawn_blocking(move || {
        let done = work(&mut state)?;
        Ok((state, done))
    })
    .await
    .map_err(|lost| Error::new(Kind::Bug, "the copying of a pack was lost").because(lost.to_string()))?
}

impl Run {
    async fn pending(&self) -> Result<Vec<PendingRecord>> {
        let (mut records, view) = (Vec::new(), &self.view);
        for Pending { mut record, .. } in pending_records(&view.store).await?.0 {
            for number in self.trace.kept_by(&record.id) {
                let pack = view.index.pack(number)?;
                record.packs += 1;
                record.bytes += pack.map_or(0, |pack| u64::from(pack.length));
            }
            records.push(record);
        }
        Ok(records)
    }

    /// Which data keys this run removes, if all packs go that are to go now.
    async fn plan_keys(&mut self, chosen: &HashSet<PackId>, summary: &mut PruneSummary) -> Result<()> {
        let mut going = self.ripe(|then| then.map(|_| self.view.rough_age_seconds(then)));
        if self.grace_seconds() == 0 {
            going.extend(chosen);
        }
        let (listed, released) = (keys::listed(&self.view).await?, keys::named_by(&self.view, going.iter())?);
        let unneeded = keys::unneeded(&self.view, &listed, |_, _| true, &going).await?;
        let is_old = |key: &Listed| self.view.rough_age_seconds(key.modified) >= self.key_age_seconds();
        let go_with_packs = keys::go_with_packs(&self.options);
        let goes = |id: &DataKeyId, key: &Listed| (go_with_packs && released.contains(id)) || is_old(key);
        summary.keys_removed = count_of(unneeded.iter().filter(|(id, key)| goes(id, key)).count());
        // Whose time has come is for the store's clock to say.
        self.has_keys_to_time = !unneeded.is_empty();
        Ok(())
    }

    fn summary(&self, choice: &Choice, unindexed: &[(PackId, u64)]) -> Result<PruneSummary> {
        let Choice { remove, repack, stay } = choice;
        let count = count_of;
        let unused = |packs: &[plan::PackUse]| packs.iter().map(plan::PackUse::unused).sum::<u64>();
        let lengths = |packs: &[plan::PackUse]| packs.iter().map(|pack| pack.length).sum::<u64>();
        let young = || stay.iter().filter(|pack| pack.standing == Standing::Young);
        let mut summary = PruneSummary {
            snapshots: count(self.roots.snapshots.len()),
            pending: count(self.roots.pending.len()),
            packs_removed: count(remove.len() + unindexed.len()),
            bytes_removed: lengths(remove) + unindexed.iter().map(|(_, length)| length).sum::<u64>(),
            packs_unindexed: count(unindexed.len()),
            packs_repacked: count(repack.len()),
            bytes_repacked: lengths(repack),
            bytes_copied: repack.iter().map(|pack| pack.kept).sum(),
            bytes_unused: unused(remove) + unused(repack) + unused(stay),
            bytes_unused_after: unused(stay),
            packs_young: count(young().count()),
            bytes_young: young().map(plan::PackUse::unused).sum(),
            grace_seconds: self.grace_seconds(),
            ..PruneSummary::default()
        };
        let due = self.ripe(|then| then.map(|_| self.view.rough_age_seconds(then)));
        let mut unfinished = (0, 0);
        let mut add = |id: &PackId, length: u64, is_condemned: bool| {
            summary.packs += 1;
            summary.bytes += length;
            summary.packs_waiting += u64::from(is_condemned);
            if due.contains(id) {
                summary.packs_due += 1;
                summary.bytes_due += length;
            }
        };
        for (number, pack) in (0u32..).zip(self.view.index.packs()) {
            let (pack, state) = (pack?, self.view.state(number));
            if state.listed {
                add(&pack.id, u64::from(pack.length), state.marked || state.tombed);
            }
        }
        for (pack, there) in &self.view.unindexed {
            let is_condemned = self.view.condemned.is_condemned(pack);
            add(pack, there.length, is_condemned);
            if !is_condemned && !unindexed.iter().any(|(old, _)| old == pack) {
                unfinished = (unfinished.0 + 1, unfinished.1 + there.length);
            }
        }
        (summary.packs_unfinished, summary.bytes_unfinished) = unfinished;
        Ok(summary)
    }
}
