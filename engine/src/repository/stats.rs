//! How much there is: in plain, stored, and shared.

use super::Repository;
use crate::backend::Area;
use crate::catalog::Gap;
use crate::catalog::Survey;
use crate::catalog::Surveyor;
use crate::class::Class;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Result;
use crate::format::index::PackInfo;
use crate::format::page::PageRef;
use crate::format::segment::SegmentInfo;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::id::SnapshotId;
use crate::index::table::Index;
use crate::store::PendingRecord;
use crate::store::pending_records;
use crate::view::RepositoryView;
use std::collections::HashSet;
use std::sync::Arc;

/// What a repository holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Committed snapshots that can be read.
    pub snapshots: u64,
    /// Committed snapshots whose record cannot be read.
    pub snapshots_unreadable: u64,
    /// Bytes of all snapshots' entries, counted once a snapshot.
    pub bytes_of_snapshots: u64,
    /// Packs the index names.
    pub packs: u64,
    /// Index objects.
    pub index_objects: u64,
    /// Different content chunks.
    pub chunks: u64,
    /// Plaintext bytes of the different content chunks.
    pub bytes_unique: u64,
    /// Plaintext bytes of catalogs.
    pub bytes_catalog: u64,
    /// Bytes of all objects as stored.
    pub bytes_stored: u64,
    /// All objects.
    pub objects: u64,
    /// Backups that are about to commit, or were cut off then: no snapshots. Of packs those are counted that their run has
    /// stored, if no snapshot is of that run.
    pub pending_records: Vec<PendingRecord>,
}

/// What one snapshot refers to, or several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotStats {
    /// Entries.
    pub entries: u64,
    /// Regular files and streams.
    pub files: u64,
    /// Bytes of its entries.
    pub bytes: u64,
    /// Different chunks, catalog pages included.
    pub chunks: u64,
    /// Plaintext bytes of the different chunks.
    pub bytes_unique: u64,
    /// Their share of the stored segments they stand in.
    pub bytes_stored: u64,
    /// Catalog pages that cannot be read: what is below them is missing from the three counts above.
    pub pages_unreadable: u64,
}

impl Repository {
    /// Counts the whole repository. Reads the index and the lists, no packs.
    pub async fn stats(&self) -> Result<Stats> {
        let mut stats = Stats::default();
        let list = self.list_snapshots().await?;
        stats.snapshots_unreadable = u64::try_from(list.unreadable.len()).unwrap_or(u64::MAX);
        let mut pending = self.uncommitted(&list.snapshots).await?;
        for snapshot in list.snapshots {
            stats.snapshots += 1;
            stats.bytes_of_snapshots += snapshot.counts.bytes;
        }
        let index = self.index().await?.current();
        for pack in index.packs() {
            let pack = pack?;
            stats.packs += 1;
            let run = pending.iter_mut().find(|(run, _)| *run == Some(pack.session));
            if let Some((_, record)) = run {
                record.packs += 1;
                record.bytes += u64::from(pack.length);
            }
            let plain: u64 = pack.segments.iter().map(|segment| u64::from(segment.plain_length)).sum();
            match pack.class {
                Class::Data => stats.bytes_unique += plain,
                _ => stats.bytes_catalog += plain,
            }
        }
        stats.chunks = u64::try_from(index.len()).unwrap_or(u64::MAX);
        let areas =
            [Area::Slots, Area::KeyLists, Area::DataKeys, Area::Packs, Area::Index, Area::Pending, Area::Snapshots];
        for area in areas.into_iter().chain([Area::Marks, Area::Tombs]) {
            for listed in self.store().backend().list(area).await? {
                stats.objects += 1;
                stats.bytes_stored += listed.length;
                stats.index_objects += u64::from(area == Area::Index);
            }
        }
        stats.pending_records = pending.into_iter().map(|(_, record)| record).collect();
        Ok(stats)
    }

    /// Pending records, and the run whose packs each keeps, if no snapshot is of that run.
    async fn uncommitted(&self, snapshots: &[Snapshot]) -> Result<Vec<(Option<SnapshotId>, PendingRecord)>> {
        let runs: HashSet<SnapshotId> = snapshots.iter().map(|snapshot| snapshot.session).collect();
        let records = pending_records(self.store()).await?.0.into_iter().map(|pending| pending.record);
        Ok(records.map(|record| (Some(record.session).filter(|run| !runs.contains(run)), record)).collect())
    }

    /// [`RepositoryView::snapshot_stats`] of a view of its own.
    pub async fn snapshot_stats(&self, snapshot: &Snapshot) -> Result<SnapshotStats> {
        self.view_all().await?.snapshot_stats(snapshot).await
    }
}

impl RepositoryView {
    /// Counts what one snapshot refers to.
    pub async fn snapshot_stats(&self, snapshot: &Snapshot) -> Result<SnapshotStats> {
        self.stats_of(std::slice::from_ref(snapshot)).await
    }

    /// Counts what some snapshots refer to: entries, files and bytes once a snapshot, what is stored once in all.
    pub async fn stats_of(&self, snapshots: &[Snapshot]) -> Result<SnapshotStats> {
        let index = self.index().current();
        let (seen, stats) = (HashSet::new(), SnapshotStats::default());
        let mut count = Count { index: &index, pack: None, seen, stats, failed: None };
        let mut survey = Survey::new(Arc::clone(self.pages()));
        for snapshot in snapshots {
            survey.visit(snapshot.root, &mut count).await;
            count.stats.entries = count.stats.entries.saturating_add(snapshot.counts.entries);
            count.stats.files = count.stats.files.saturating_add(snapshot.counts.files);
            count.stats.bytes = count.stats.bytes.saturating_add(snapshot.counts.bytes);
        }
        match count.failed {
            Some(error) => Err(error),
            None => Ok(count.stats),
        }
    }
}

struct Count<'a> {
    index: &'a Index,
    /// The last pack that was asked for: neighbours stand in one, and it may have to be read from a file.
    pack: Option<(u32, Arc<PackInfo>)>,
    seen: HashSet<ChunkId>,
    stats: SnapshotStats,
    failed: Option<Error>,
}

impl Count<'_> {
    fn add(&mut self, id: &ChunkId, length: u32) {
        if !self.seen.insert(*id) {
            return;
        }
        self.stats.chunks += 1;
        self.stats.bytes_unique += u64::from(length);
        match self.segment(id) {
            Ok(Some(segment)) => {
                let share = u64::from(segment.stored_length) * u64::from(length);
                self.stats.bytes_stored += share / u64::from(segment.plain_length).max(1);
            }
            Ok(None) => {}
            Err(error) => drop(self.failed.get_or_insert(error)),
        }
    }

    fn segment(&mut self, id: &ChunkId) -> Result<Option<SegmentInfo>> {
        let Some(place) = self.index.find(id)? else { return Ok(None) };
        if self.pack.as_ref().is_none_or(|(number, _)| *number != place.pack) {
            self.pack = self.index.pack(place.pack)?.map(|pack| (place.pack, pack));
        }
        let pack = self.pack.as_ref().filter(|(number, _)| *number == place.pack);
        Ok(pack.and_then(|(_, pack)| pack.segments.get(usize::from(place.segment)).copied()))
    }
}

impl Surveyor for Count<'_> {
    fn chunk(&mut self, chunk: &ChunkRef) {
        self.add(&chunk.id, chunk.length);
    }

    fn page(&mut self, page: &PageRef) {
        self.add(&page.id, page.length);
    }

    fn unreadable(&mut self, _page: &PageRef, _gap: Option<Gap>, error: Error) {
        self.stats.pages_unreadable += 1;
        if !error.is_local() {
            self.failed.get_or_insert(error);
        }
    }
}
