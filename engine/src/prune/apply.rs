//! The protocol: condemn, look at the roots, copy, and only then let go. Any error on the way deletes nothing more.

use super::PruneReport;
use super::bits::Bits;
use super::copy;
use super::count;
use super::count_of;
use super::earlier;
use super::keys;
use super::merge;
use super::options::GRACE;
use super::options::MaxUnused;
use super::options::PruneOptions;
use super::proof::Proof;
use super::roots::Roots;
use super::sweep;
use super::trace::Trace;
use super::view::View;
use crate::backend::Area;
use crate::backend::Listed;
use crate::backend::Name;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::format::gc::Mark;
use crate::format::gc::Tomb;
use crate::id::DataKeyId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::limits::MARK_PACKS_MAX;
use crate::random;
use crate::store::Condemned;
use crate::store::OnFull;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::collections::HashSet;

/// Rounds of copying at most. More than one is needed only where others prune or store at the same time.
const ROUNDS_MAX: usize = 5;
/// What helps a prune that has no room for what it must write before it deletes.
const FULL: &str = "a prune needs a little room before it gives any back: forget one more snapshot, or move some other \
                    file of a few kilobytes off that disk, and prune again";
/// Looks at the repository at most, where it changes while it is looked at.
const LOOKS_MAX: usize = 4;

/// Packs deleted between two looks at whether to stop.
const DELETIONS: usize = 64;

/// One run, from its first look on.
pub(super) struct Run {
    pub(super) view: View,
    pub(super) trace: Trace,
    proof: Proof,
    pub(super) roots: Roots,
    pub(super) options: PruneOptions,
    pub(super) control: Control,
    pub(super) report: PruneReport,
    /// Marks of this run, and probes of the store's time among them.
    own: Vec<SnapshotId>,
    /// There are data keys that no pack names, and go when they are old.
    pub(super) has_keys_to_time: bool,
    /// Data keys named by packs that this run has deleted.
    released: HashSet<DataKeyId>,
}

impl Run {
    pub(super) fn new(view: View, options: PruneOptions, control: Control) -> Self {
        Self {
            view,
            trace: Trace::default(),
            proof: Proof::default(),
            roots: Roots::default(),
            options,
            control,
            report: PruneReport::default(),
            own: Vec::new(),
            has_keys_to_time: false,
            released: HashSet::new(),
        }
    }

    /// Roots, then marks and tombs, then the index, then everything the roots reach. Where something is missing the
    /// whole look is repeated, if somebody else has changed the repository meanwhile.
    /// Gives the positions in victims that must be copied before these go.
    pub(super) async fn look(&mut self, victims: &HashSet<PackId>) -> Result<Bits> {
        for _ in 1..LOOKS_MAX {
            let is_anew = self.trace.is_new();
            match self.look_once(victims).await {
                Err(error) if matches!(error.kind(), Kind::Damaged | Kind::NotFound) => {
                    // What only a forgotten snapshot needed may have gone since the roots were read, or since it was
                    // traced.
                    self.trace = Trace::default();
                    let seen = (self.roots.names(), self.view.names());
                    let roots = Roots::read(&self.view.store, &self.roots).await;
                    if is_anew
                        && let Ok(roots) = roots
                        && self.view.refresh().await.is_ok()
                        && (roots.names(), self.view.names()) == seen
                    {
                        return Err(error);
                    }
                }
                other => return other,
            }
        }
        self.look_once(victims).await
    }

    /// Looks again, and reads what stays of chunks that victims have as well: only what cannot be read elsewhere, and
    /// what has no other copy, is needed of them.
    async fn needed(&mut self, victims: &HashSet<PackId>) -> Result<Bits> {
        let mut needed = self.look(victims).await?;
        let numbers = self.numbers(victims);
        while !self.proof.complete(&self.view, &self.trace, &numbers, &self.control).await? {
            needed = count::needed(&self.view, &self.trace, &numbers)?;
        }
        Ok(needed)
    }

    async fn look_once(&mut self, victims: &HashSet<PackId>) -> Result<Bits> {
        self.control.check()?;
        self.roots = Roots::read(&self.view.store, &self.roots).await?;
        self.view.refresh().await?;
        self.refuse_without_snapshots()?;
        self.trace.follow(&self.view, &self.roots, &self.control).await?;
        count::needed(&self.view, &self.trace, &self.numbers(victims))
    }

    fn numbers(&self, packs: &HashSet<PackId>) -> HashSet<u32> {
        packs.iter().filter_map(|pack| self.view.index.pack_number(pack)).collect()
    }

    /// How long condemned packs must stay, in seconds.
    pub(super) fn grace_seconds(&self) -> u64 {
        let by_store = || if self.view.store.lists_at_once() { 0 } else { GRACE.as_secs() };
        self.options.grace.map_or_else(by_store, |grace| grace.as_secs())
    }

    /// Does what was planned: `remove` and `repack` are condemned, copied from where needed, and removed at once or by
    /// a later run; what earlier runs have condemned is finished where its time has come.
    pub(super) async fn apply(&mut self, chosen: HashSet<PackId>) -> Result<PruneReport> {
        let packs_before = count_of(self.view.packs_listed());
        self.finish_others().await?;
        let fresh: HashSet<PackId> =
            chosen.into_iter().filter(|pack| !self.view.condemned.is_condemned(pack)).collect();
        // Where nothing waits for a time to pass, the mark on what earlier runs have condemned comes first: a store with no
        // room for more condemns no more.
        let first = if self.grace_seconds() == 0 { self.ripe(|_| None) } else { HashSet::new() };
        self.mark(&first).await?;
        let fresh =
            if first.is_empty() { self.mark(&fresh).await.map(|()| fresh)? } else { self.mark_more(&fresh).await? };
        self.report.packs_condemned = count_of(fresh.len());
        self.learn_time().await?;
        let earlier = self.ripe(|then| self.view.age_seconds(then));
        self.mark(&earlier.difference(&first).copied().collect()).await?;
        let victims: HashSet<PackId> = fresh.union(&earlier).copied().collect();
        let going = if self.grace_seconds() == 0 { victims.clone() } else { earlier };
        self.finish(&victims, going).await?;
        let keys = keys::listed(&self.view).await?;
        self.look(&HashSet::new()).await?;
        let grace = self.grace_seconds();
        sweep::marks(&self.view, &self.roots, grace).await?;
        self.report.tombs_removed = sweep::tombs(&self.view).await?;
        self.report.pending_removed = sweep::pending(&self.view, &self.roots, grace).await?;
        // A list that is too short would make keys look unneeded: then they wait for another run, as beside another prune.
        if count_of(self.view.packs_listed()) + self.report.packs_deleted >= packs_before {
            self.delete_keys(&keys).await?;
        }
        self.count_what_is_left()?;
        self.report.packs_damaged = count_of(self.view.index.distrust().damaged());
        if self.options.reencrypt {
            let packs = earlier::packs(&self.view).await?;
            self.report.sealed_before = Some(earlier::count(&self.view, &packs, &HashSet::new()).await?);
        }
        // What cannot be set aside is no failure of a prune that is done.
        let _ = self.view.store.reserve(self.report.bytes_left).await;
        Ok(self.report)
    }

    /// What earlier runs have condemned, whose grace is over and of which nothing is needed, goes before anything new is
    /// condemned: on a full store each attempt would else condemn more, and have no room left to delete any of it. The
    /// marks are those of the others.
    async fn finish_others(&mut self) -> Result<()> {
        if self.ripe(|then| then.map(|_| self.view.rough_age_seconds(then))).is_empty() {
            return Ok(());
        }
        if self.grace_seconds() > 0 {
            self.learn_time().await?;
        }
        let due = self.ripe(|then| self.view.age_seconds(then));
        if !due.is_empty() {
            self.needed(&due).await?;
            let at_stake = count::at_stake(&self.view, &self.trace, &self.numbers(&due))?;
            self.delete(&due.into_iter().filter(|pack| !at_stake.contains(pack)).collect()).await?;
            self.look(&HashSet::new()).await?;
        }
        Ok(())
    }

    /// Learns the store's time from the date of a mark of this run, if anything waits for a time to pass. One without packs
    /// condemns nothing.
    async fn learn_time(&mut self) -> Result<()> {
        if self.own.is_empty() && self.has_anything_to_time() {
            self.put_mark(&[], OnFull::SpendReserve).await?;
        }
        self.view.refresh().await?;
        let dated = self.own.iter().filter_map(|id| self.view.gc_stored.get(&Name::Mark(*id)).copied().flatten());
        self.view.present = dated.max();
        Ok(())
    }

    /// Packs that are condemned and whose grace is over: in marks of earlier runs and of other hosts, and those that
    /// a run had no time to delete after it had stored their tomb.
    pub(super) fn ripe(&self, age_seconds: impl Fn(Option<Timestamp>) -> Option<u64>) -> HashSet<PackId> {
        let (condemned, grace) = (&self.view.condemned, self.grace_seconds());
        let is_ripe = |id: &SnapshotId| {
            let stored = self.view.gc_stored.get(&Name::Mark(*id)).copied().flatten();
            grace == 0 || age_seconds(stored).is_some_and(|age| age >= grace)
        };
        let marks = condemned.marks().iter().filter(|(id, _)| !self.own.contains(id) && is_ripe(id));
        let marked = marks.flat_map(|(_, packs)| packs).filter(|pack| !condemned.is_deleted(pack));
        let buried = condemned.tombs().values().flatten().filter(|pack| self.view.is_listed(pack));
        marked.chain(buried).copied().collect()
    }

    /// Whether something waits for a time to pass.
    fn has_anything_to_time(&self) -> bool {
        let condemned = &self.view.condemned;
        let has_waiting = !condemned.tombs().is_empty() || !condemned.marks().is_empty();
        has_waiting || !self.roots.pending.is_empty() || self.has_keys_to_time
    }

    /// From P2 on.
    async fn finish(&mut self, victims: &HashSet<PackId>, going: HashSet<PackId>) -> Result<()> {
        let needed = self.needed(victims).await?;
        let rest = self.delete_free(victims, &needed, going).await?;
        let rest = match self.settle(victims, needed).await {
            Err(full) if full.kind() == Kind::NoSpace => self.settle_by_parts(victims, rest, full).await?,
            settled => settled.map(|()| rest)?,
        };
        let merged = self.merge(&rest).await;
        if merged.as_ref().is_err_and(|error| error.kind() != Kind::NoSpace) {
            return merged;
        }
        self.delete(&rest).await?;
        if merged.is_err() {
            // Tombs hide the packs from every reader of the index, so the merge can follow when there is room again.
            self.view.refresh().await?;
            self.merge(&rest).await?;
        }
        Ok(())
    }

    /// Packs of which nothing is needed that is not safe elsewhere go first, where anything must be copied: a full store
    /// gets room for the copies. Gives the others.
    async fn delete_free(
        &mut self,
        victims: &HashSet<PackId>,
        needed: &Bits,
        going: HashSet<PackId>,
    ) -> Result<HashSet<PackId>> {
        if needed.is_empty() {
            return Ok(going);
        }
        let at_stake = count::at_stake(&self.view, &self.trace, &self.numbers(victims))?;
        let (free, rest) = going.into_iter().partition(|pack| !at_stake.contains(pack));
        self.delete(&free).await?;
        Ok(rest)
    }

    /// P3: the index without the packs that go now and those that are deleted already. Where another run merges the
    /// same objects at the same time, everything is looked at again first.
    async fn merge(&mut self, going: &HashSet<PackId>) -> Result<()> {
        for _ in 1..LOOKS_MAX {
            let deleted = self.view.condemned.tombs().values().flatten();
            let dropped: HashSet<PackId> = going.iter().chain(deleted).copied().collect();
            let reencrypt = self.options.reencrypt;
            let anew = if reencrypt { earlier::index_objects(&self.view).await? } else { BTreeSet::new() };
            match merge::merge(&self.view, &dropped, anew, &mut self.report).await {
                Err(error) if error.kind() == Kind::Conflict => drop(self.look(&HashSet::new()).await?),
                other => return other,
            }
        }
        Err(Error::new(Kind::Conflict, "cannot merge the index").because("other runs merge it all the time"))
    }

    pub(super) fn count_what_is_left(&mut self) -> Result<()> {
        let condemned = &self.view.condemned;
        for (number, pack) in (0u32..).zip(self.view.index.packs()) {
            let pack = pack?;
            if self.view.state(number).listed {
                self.report.packs_left += 1;
                self.report.bytes_left += u64::from(pack.length);
                self.report.packs_waiting += u64::from(condemned.is_condemned(&pack.id));
            }
        }
        for (pack, unindexed) in &self.view.unindexed {
            self.report.packs_left += 1;
            self.report.bytes_left += unindexed.length;
            self.report.packs_waiting += u64::from(condemned.is_condemned(pack));
        }
        Ok(())
    }

    /// P2: copies until every live chunk of a victim has a copy in a usable pack that is no victim; after each copy
    /// everything is looked at again, because the copy itself may have been condemned.
    async fn settle(&mut self, victims: &HashSet<PackId>, mut needed: Bits) -> Result<()> {
        let session = self.new_session()?;
        let mut rounds = 0;
        while rounds < ROUNDS_MAX {
            if needed.is_empty() {
                return Ok(());
            }
            let (seen, damaged) = (self.view.names(), self.view.index.distrust().count());
            let copied = copy::copy(&self.view, needed, session, &self.options, &self.control).await;
            match &copied {
                Ok(tally) => self.count_copies(tally),
                // Another run may have finished with a victim of both: then a copy is elsewhere by now. And where the
                // pack turned out to be damaged another victim may have the same.
                Err(error) if error.kind() == Kind::Damaged => {}
                Err(_) => return copied.map(|_| ()),
            }
            needed = self.needed(victims).await?;
            if self.view.index.distrust().count() > damaged {
                continue;
            }
            rounds += 1;
            if self.view.names() == seen {
                copied?;
            }
        }
        Err(Error::new(Kind::Conflict, "cannot settle what is still needed")
            .because("other runs condemn the copies as fast as they are made; nothing more was deleted"))
    }

    /// P2 where there is no room for all copies at once: what is needed of the packs that need the least is copied, as
    /// little as can be, and these packs go, which makes room for more. Gives those that may go and are still there.
    async fn settle_by_parts(
        &mut self,
        victims: &HashSet<PackId>,
        mut going: HashSet<PackId>,
        full: Error,
    ) -> Result<HashSet<PackId>> {
        let narrow = PruneOptions { max_unused: MaxUnused::Bytes(0), ..self.options.clone() };
        let session = self.new_session()?;
        let mut at_once = 1;
        // Every part takes a pack away, or finds that it was too large.
        for _ in 0..2 * victims.len() + ROUNDS_MAX {
            let needed = self.needed(victims).await?;
            going = self.delete_free(victims, &needed, going).await?;
            if needed.is_empty() {
                return Ok(going);
            }
            let (from, of) = (self.numbers(&going), self.numbers(victims));
            let part = count::needed_least(&self.view, &self.trace, &of, &from, at_once)?;
            if part.is_empty() {
                break;
            }
            match copy::copy(&self.view, part, session, &narrow, &self.control).await {
                Ok(tally) => {
                    self.count_copies(&tally);
                    at_once *= 2;
                }
                Err(error) if error.kind() == Kind::NoSpace && at_once > 1 => at_once = 1,
                Err(error) if error.kind() == Kind::NoSpace => break,
                Err(error) => return Err(error),
            }
        }
        Err(full.advise(FULL))
    }

    /// A name for the packs that are about to be stored.
    fn new_session(&mut self) -> Result<SnapshotId> {
        let session = SnapshotId::from_bytes(random::array(self.view.store.rng())?);
        self.proof.trust(session);
        Ok(session)
    }

    fn count_copies(&mut self, tally: &copy::Tally) {
        self.report.packs_written += tally.packs;
        self.report.bytes_written += tally.bytes;
        self.report.chunks_copied += tally.chunks;
        self.report.segments_copied += tally.copied.segments_copied;
        self.report.segments_formed += tally.copied.segments_formed;
    }

    /// P4 and P5: a tomb is visible before the first of its packs is gone.
    async fn delete(&mut self, packs: &HashSet<PackId>) -> Result<()> {
        let sorted: BTreeSet<PackId> = packs.iter().copied().collect();
        let all: Vec<PackId> = sorted.into_iter().collect();
        if !all.is_empty() {
            // What these packs may go for: snapshots that are gone, and copies that the index names. Whoever saw to that
            // may not have come so far that it is durable.
            self.view.store.barrier_for(Area::Snapshots).await?;
            self.view.store.barrier_for(Area::Index).await?;
        }
        for some in all.chunks(MARK_PACKS_MAX) {
            let id = SnapshotId::from_bytes(random::array(self.view.store.rng())?);
            let body = Tomb { packs: some.to_vec() }.encode();
            match self.put_in_need(&Name::Tomb(id), &body, OnFull::SpendReserve).await {
                // Others have finished it, so long before it was read back here that the tomb is gone again.
                Err(error) if error.kind() == Kind::NotFound && self.is_over(some, Condemned::is_deleted).await? => {}
                outcome => outcome?,
            }
        }
        self.released.extend(keys::named_by(&self.view, all.iter())?);
        for some in all.chunks(DELETIONS) {
            self.control.check()?;
            self.view.store.delete_all(some.iter().copied().map(Name::Pack)).await?;
            for pack in some {
                if let Some(length) = self.view.listed_length(pack)? {
                    self.report.packs_deleted += 1;
                    self.report.bytes_deleted += length;
                }
            }
        }
        Ok(())
    }

    /// Data keys that no pack names: old ones, and those whose packs this run has deleted.
    async fn delete_keys(&mut self, listed: &[Listed]) -> Result<()> {
        let is_due = |id: &DataKeyId, key: &Listed| {
            let is_old = || self.view.age_seconds(key.modified).is_some_and(|age| age >= self.key_age_seconds());
            (self.released.contains(id) && keys::go_with_packs(&self.options)) || is_old()
        };
        let unneeded = keys::unneeded(&self.view, listed, is_due, &HashSet::new()).await?;
        let names = unneeded.into_values().map(|key| key.name);
        self.report.keys_deleted = self.view.store.delete_all(names).await?;
        Ok(())
    }

    /// How old a data key must be that no pack names.
    pub(super) fn key_age_seconds(&self) -> u64 {
        keys::age_seconds(self.options.min_age.as_secs())
    }

    /// P1.
    async fn mark(&mut self, packs: &HashSet<PackId>) -> Result<()> {
        let sorted: BTreeSet<PackId> = packs.iter().copied().collect();
        let all: Vec<PackId> = sorted.into_iter().collect();
        for some in all.chunks(MARK_PACKS_MAX) {
            self.put_mark(some, OnFull::SpendReserve).await?;
        }
        Ok(())
    }

    /// Marks as many as there is room for, without what was set aside: what goes first needs that.
    async fn mark_more(&mut self, packs: &HashSet<PackId>) -> Result<HashSet<PackId>> {
        let sorted: BTreeSet<PackId> = packs.iter().copied().collect();
        let mut marked = HashSet::new();
        for some in sorted.into_iter().collect::<Vec<_>>().chunks(MARK_PACKS_MAX) {
            match self.put_mark(some, OnFull::Fail).await {
                Err(full) if full.kind() == Kind::NoSpace => break,
                put => put?,
            }
            marked.extend(some);
        }
        Ok(marked)
    }

    /// Stores a small object; on a full store in what room there is, or in the room that was set aside.
    async fn put_in_need(&self, name: &Name, body: &[u8], on_full: OnFull) -> Result<()> {
        let store = &self.view.store;
        on_full.put(store, || store.put_small(name, body)).await.map_err(|error| match error.kind() {
            Kind::NoSpace => error.advise(FULL),
            _ => error,
        })
    }

    /// Whether all these packs are gone, or what is stored now says `enough` of them.
    async fn is_over(&self, packs: &[PackId], enough: impl Fn(&Condemned, &PackId) -> bool) -> Result<bool> {
        let condemned = Condemned::read(&self.view.store).await?;
        for pack in packs.iter().filter(|pack| !enough(&condemned, pack)) {
            if self.view.store.backend().stat(&Name::Pack(*pack)).await?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn put_mark(&mut self, packs: &[PackId], on_full: OnFull) -> Result<()> {
        let id = SnapshotId::from_bytes(random::array(self.view.store.rng())?);
        let body = Mark { packs: packs.to_vec() }.encode();
        let outcome = self.put_in_need(&Name::Mark(id), &body, on_full).await;
        self.own.push(id);
        match outcome {
            // Another run has found it, finished it and taken it away before it was read back here.
            Err(error) if error.kind() == Kind::NotFound && self.is_over(packs, Condemned::is_condemned).await? => {
                Ok(())
            }
            other => other,
        }
    }
}
