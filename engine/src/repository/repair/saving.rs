//! One run of a repair of packs: each is read once, and what is found is saved, indexed and condemned as the run goes on.

use super::look::Look;
use super::look::PackRead;
use super::look::read_pack;
use super::packs::DamagedPack;
use super::packs::PacksRepaired;
use super::salvage;
use super::salvage::Known;
use super::salvage::Salvaged;
use crate::backend::Name;
use crate::error::Kind;
use crate::error::Result;
use crate::event::Event;
use crate::event::Warning;
use crate::format::gc::Mark;
use crate::id::ChunkId;
use crate::id::PackId;
use crate::id::SnapshotId;
use crate::job::Control;
use crate::limits::MARK_PACKS_MAX;
use crate::pack::IndexWriter;
use crate::random;
use crate::store::Condemned;
use crate::store::OnFull;
use crate::store::Store;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

/// Damaged packs that one mark names at most, when one is found after the other: a run that is stopped has forgotten no
/// more.
const GROUP_PACKS: usize = 64;
/// Packs without a table for which the index is gone through once: their records are in memory.
const TABLELESS_PACKS: usize = 256;
/// The index is gone through this often at most for fewer of them: each time this part of all bytes was read.
const PASSES: u64 = 16;

/// Which packs to read, and how.
pub(super) struct Asked {
    /// In this order, with their lengths.
    pub(super) packs: Vec<(PackId, u64)>,
    /// Every segment is opened.
    pub(super) read_data: bool,
    /// Nothing is stored.
    pub(super) dry_run: bool,
}

/// A run under way.
pub(super) struct Saving<'a> {
    control: &'a Control,
    look: &'a Arc<Look>,
    asked: &'a Asked,
    /// Packs that are asked for and were not read yet.
    unread: HashSet<PackId>,
    /// Packs that have other copies of what is damaged: read and opened in this run, asked for or not.
    proven: HashSet<PackId>,
    session: SnapshotId,
    index: IndexWriter,
    saved: HashSet<ChunkId>,
    /// Found damaged, with the reason; nothing was saved of them yet.
    damaged: Vec<(PackId, String)>,
    /// The same for those whose own tables do not open.
    tableless: Vec<(PackId, String)>,
    /// Saved: to be condemned when that is indexed.
    spent: Vec<PackId>,
}

impl<'a> Saving<'a> {
    pub(super) fn new(control: &'a Control, look: &'a Arc<Look>, asked: &'a Asked) -> Result<Self> {
        Ok(Self {
            control,
            look,
            asked,
            unread: asked.packs.iter().map(|(id, _)| *id).collect(),
            proven: HashSet::new(),
            session: SnapshotId::from_bytes(random::array(look.store.rng())?),
            index: IndexWriter::new(&look.store, OnFull::Fail),
            saved: HashSet::new(),
            damaged: Vec::new(),
            tableless: Vec::new(),
            spent: Vec::new(),
        })
    }

    /// Reads all packs and saves what can be saved. Gives the chunks that still open.
    pub(super) async fn run(mut self, report: &mut PacksRepaired) -> Result<HashSet<ChunkId>> {
        let total: u64 = self.asked.packs.iter().map(|(_, length)| length).sum();
        self.control.count(|counters| &counters.bytes_total, total);
        let (mut read, mut next_pass) = (0, total / PASSES);
        for (id, length) in &self.asked.packs {
            self.read(*id, report).await?;
            let is_sound = self.damaged.is_empty();
            self.save(report).await?;
            read += length;
            if read >= next_pass || self.tableless.len() >= TABLELESS_PACKS {
                next_pass = read + total / PASSES;
                self.save_tableless(report).await?;
            }
            // Damage often comes in a row: an index object and a mark for each pack would be many.
            if is_sound || self.spent.len() >= GROUP_PACKS {
                self.condemn().await?;
            }
        }
        while !self.tableless.is_empty() {
            self.save_tableless(report).await?;
        }
        self.condemn().await?;
        report.damaged.sort_by_key(|pack| pack.id);
        Ok(self.saved)
    }

    /// Reads a pack, unless that was done. From then on nothing relies on it if it is damaged.
    async fn read(&mut self, id: PackId, report: &mut PacksRepaired) -> Result<()> {
        if !self.unread.remove(&id) {
            return Ok(());
        }
        self.control.check()?;
        let store = &self.look.store;
        let why = match read_pack(store, id).await? {
            // A prune has taken it meanwhile.
            None => None,
            Some(PackRead::Damaged { why, .. }) => Some(why),
            Some(PackRead::Unknown(why)) => {
                report.unknown.push((id, why));
                None
            }
            Some(PackRead::Whole { bytes, own }) if self.asked.read_data => {
                let bad = salvage::count_bad(store, id, bytes, own).await?;
                (bad > 0).then(|| format!("{bad} of its segments do not open to what was stored"))
            }
            Some(PackRead::Whole { .. }) => None,
        };
        report.packs_read += 1;
        self.control.count(|counters| &counters.bytes_done, self.look.there.get(&id).copied().unwrap_or_default());
        if let Some(why) = why {
            let message = format!("{}: {why}", Name::Pack(id));
            self.control.tell(Event::Warning(Warning { path: None, message, partial: true }));
            self.look.distrust(&id);
            self.damaged.push((id, why));
        }
        Ok(())
    }

    /// Opens all of a pack that has another copy of something. If that fails nothing relies on it; it is not condemned,
    /// unless it is asked for and damaged.
    async fn prove(&mut self, id: PackId, report: &mut PacksRepaired) -> Result<bool> {
        self.read(id, report).await?;
        self.control.check()?;
        let store = &self.look.store;
        let is_sound = match read_pack(store, id).await? {
            Some(PackRead::Whole { bytes, own }) => salvage::opens_whole(store, id, bytes, own).await?,
            Some(PackRead::Damaged { .. } | PackRead::Unknown(_)) | None => false,
        };
        if is_sound {
            self.proven.insert(id);
        } else {
            self.look.distrust(&id);
        }
        Ok(is_sound)
    }

    /// Saves what is left of the packs found so far, and of those that are found by that.
    async fn save(&mut self, report: &mut PacksRepaired) -> Result<()> {
        while let Some((id, why)) = self.damaged.pop() {
            let Some(bytes) = self.bytes(id).await? else { continue };
            match salvage::by_own_table(self.look, id, &bytes).await? {
                Some(known) => self.take_out(id, why, bytes, known, report).await?,
                None => self.tableless.push((id, why)),
            }
        }
        Ok(())
    }

    /// The same for packs without a table of their own: the index is gone through once for as many as there are.
    async fn save_tableless(&mut self, report: &mut PacksRepaired) -> Result<()> {
        let some: Vec<_> = self.tableless.drain(..self.tableless.len().min(TABLELESS_PACKS)).collect();
        if some.is_empty() {
            return Ok(());
        }
        let ids: Vec<PackId> = some.iter().map(|(id, _)| *id).collect();
        let mut indexed = salvage::by_index(self.look, &ids).await?;
        for (id, why) in some {
            let Some(bytes) = self.bytes(id).await? else { continue };
            let known = indexed.remove(&id).unwrap_or_default();
            self.take_out(id, why, bytes, known, report).await?;
        }
        self.save(report).await
    }

    async fn bytes(&self, id: PackId) -> Result<Option<Bytes>> {
        self.control.check()?;
        Ok(match read_pack(&self.look.store, id).await? {
            Some(PackRead::Damaged { bytes, .. } | PackRead::Whole { bytes, .. }) => Some(bytes),
            Some(PackRead::Unknown(_)) | None => None,
        })
    }

    async fn take_out(
        &mut self,
        id: PackId,
        why: String,
        bytes: Bytes,
        known: Known,
        report: &mut PacksRepaired,
    ) -> Result<()> {
        let known = Arc::new(known);
        let Salvaged { pack, segments, segments_lost, good, .. } = loop {
            let salvaged = salvage::salvage(self.look, id, bytes.clone(), &known, self.session).await?;
            // A pack that has another copy is asked first whether it is damaged as well.
            let others = salvaged.leans_on.iter().filter_map(|number| self.look.index.pack_id(*number));
            let others: Vec<PackId> = others.filter(|pack| !self.proven.contains(pack)).collect();
            let mut are_sound = true;
            for other in others {
                are_sound &= self.prove(other, report).await?;
            }
            if are_sound {
                break salvaged;
            }
        };
        let count = |segments: usize| u64::try_from(segments).unwrap_or(u64::MAX);
        let (segments, segments_lost) = (count(segments), count(segments_lost));
        report.damaged.push(DamagedPack { id, why, segments, segments_lost });
        self.saved.extend(good);
        if !self.asked.dry_run {
            if let Some(pack) = pack {
                report.packs_written += 1;
                report.bytes_written += u64::from(pack.indexed.length);
                let (stored, _) = self.look.store.put_pack(pack, OnFull::Fail).await?;
                self.index.add(stored).await?;
            }
            self.spent.push(id);
        }
        Ok(())
    }

    /// Condemns what is dealt with. What was saved is usable before the mark makes its old copy unusable.
    async fn condemn(&mut self) -> Result<()> {
        if self.spent.is_empty() {
            return Ok(());
        }
        self.index.settle().await?;
        let spent = std::mem::take(&mut self.spent);
        condemn(&self.look.store, spent.iter().filter(|pack| !self.look.condemned.is_condemned(pack))).await
    }
}

/// Marks that name these packs: a prune that stopped after its first step.
async fn condemn(store: &Arc<Store>, packs: impl Iterator<Item = &PackId>) -> Result<()> {
    let all: Vec<PackId> = packs.copied().collect::<BTreeSet<_>>().into_iter().collect();
    for some in all.chunks(MARK_PACKS_MAX) {
        let id = SnapshotId::from_bytes(random::array(store.rng())?);
        match store.put_small(&Name::Mark(id), &Mark { packs: some.to_vec() }.encode()).await {
            // A prune has found it, finished it and taken it away before it was read back here.
            Err(error) if error.kind() == Kind::NotFound => {
                let now = Condemned::read(store).await?;
                if !some.iter().all(|pack| now.is_condemned(pack)) {
                    return Err(error);
                }
            }
            other => other?,
        }
    }
    Ok(())
}
