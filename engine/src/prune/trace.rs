//! The live set: one bit for every copy of a chunk that a root reaches, each catalog page visited once.

use super::bits::Bits;
use super::roots::Roots;
use super::view::View;
use crate::catalog::Gap;
use crate::catalog::Survey;
use crate::catalog::Surveyor;
use crate::class::Class;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Result;
use crate::format::page::PageRef;
use crate::format::wire::size;
use crate::id::ChunkId;
use crate::id::SnapshotId;
use crate::index::chunks::ChunkReader;
use crate::index::table::Copy;
use crate::job::Control;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Arc;

/// What has been traced so far. It is kept between looks, so that a second one reads only pages that are new.
#[derive(Default)]
pub(super) struct Trace {
    live: Bits,
    /// Positions that `live` has been told of.
    known: u32,
    seen: HashSet<ChunkId>,
    /// Packs that a snapshot needs something of, by number; and those of which only a pending record does.
    by_snapshots: Bits,
    by_pending: BTreeMap<SnapshotId, BTreeSet<u32>>,
    /// Something was missed: the next look begins anew, because what counts as seen may not be known below.
    stale: bool,
}

impl Trace {
    /// Whether a root reaches the chunk whose copy stands at this position.
    pub(super) fn is_live(&self, position: u32) -> bool {
        self.live.has(position)
    }

    /// Nothing has been traced yet: nothing counts as live that roots of an earlier look have reached.
    pub(super) fn is_new(&self) -> bool {
        self.known == 0 && self.seen.is_empty()
    }

    /// Marks everything that the roots reach. Whatever a snapshot needs and cannot be read or found is an error.
    pub(super) async fn follow(&mut self, view: &View, roots: &Roots, control: &Control) -> Result<()> {
        if std::mem::replace(&mut self.stale, true) {
            *self = Self { stale: true, ..Self::default() };
        }
        self.grow(view)?;
        let pages = Arc::new(ChunkReader::new(&view.store, &view.index, Class::Metadata));
        let mut survey = Survey::resume(pages, std::mem::take(&mut self.seen));
        let (live, by_snapshots) = (&mut self.live, &mut self.by_snapshots);
        by_snapshots.grow(view.index.pack_ids().len());
        let mut finder =
            Finder { view, live, by_snapshots, pending: None, failed: None, tolerant: false, absent: false };
        // Snapshots first: what a pending record may lack must not count as seen where a snapshot needs it.
        for root in roots.snapshots.values() {
            control.check()?;
            survey.visit(root.page, &mut finder).await;
            if let Some(error) = finder.failed.take() {
                return Err(error);
            }
        }
        finder.tolerant = true;
        for (id, root) in &roots.pending {
            control.check()?;
            finder.pending = Some(self.by_pending.remove(id).unwrap_or_default());
            survey.visit(root.page, &mut finder).await;
            self.by_pending.extend(finder.pending.take().map(|packs| (*id, packs)));
            if let Some(error) = finder.failed.take() {
                return Err(error);
            }
        }
        self.stale = finder.absent;
        self.seen = survey.into_seen();
        Ok(())
    }

    /// Packs of which a pending record needs something, and no snapshot does.
    pub(super) fn kept_by(&self, pending: &SnapshotId) -> impl Iterator<Item = u32> {
        let packs = self.by_pending.get(pending).into_iter().flatten().copied();
        packs.filter(|pack| !self.by_snapshots.has(*pack))
    }

    /// Makes room for copies that are new in the index: those of live chunks are live.
    fn grow(&mut self, view: &View) -> Result<()> {
        let Self { live, known, .. } = self;
        let end = view.index.end();
        live.grow(size(end));
        if *known > 0 && *known < end {
            view.index.for_each_chunk(|copies| {
                for (position, record) in copies.iter().filter(|(position, _)| position >= known) {
                    if copies.iter().any(|(other, twin)| live.has(*other) && twin.length == record.length) {
                        live.set(*position);
                    }
                }
                Ok(())
            })?;
        }
        *known = end;
        Ok(())
    }
}

struct Finder<'a> {
    view: &'a View,
    live: &'a mut Bits,
    by_snapshots: &'a mut Bits,
    /// Packs that the pending record needs which is being traced.
    pending: Option<BTreeSet<u32>>,
    failed: Option<Error>,
    /// Tracing a pending record. One that lacks something because a prune has deleted it cannot be committed as it
    /// is: its writer finds the tomb when it validates, and stores anew or gives up.
    tolerant: bool,
    /// A pending record lacks something.
    absent: bool,
}

impl Finder<'_> {
    fn find(&mut self, id: &ChunkId, length: u32) {
        let all = match self.view.index.copies(id) {
            Ok(all) => all,
            Err(error) => {
                self.failed.get_or_insert(error);
                return;
            }
        };
        let copies = || all.iter().filter(|(_, record)| record.length == length);
        // Its copies were marked and looked at before.
        if copies().next().is_some_and(|(position, _)| self.live.has(*position)) {
            return;
        }
        if let Some((_, home)) = copies().find(|(_, record)| self.view.state(record.pack).whole) {
            match &mut self.pending {
                Some(packs) => _ = packs.insert(home.pack),
                None => _ = self.by_snapshots.set(home.pack),
            }
            for (position, _) in copies() {
                self.live.set(*position);
            }
        } else if self.tolerant && self.were_deleted(&all) {
            self.absent = true;
        } else {
            self.failed.get_or_insert_with(|| Error::damaged(format!("chunk {id}"), "no pack holds it"));
        }
    }

    /// No pack that should still be there holds one of these copies.
    fn were_deleted(&self, copies: &[Copy]) -> bool {
        copies.iter().all(|(_, record)| {
            let state = self.view.state(record.pack);
            state.tombed || !state.current
        })
    }
}

impl Surveyor for Finder<'_> {
    fn chunk(&mut self, chunk: &ChunkRef) {
        self.find(&chunk.id, chunk.length);
    }

    fn page(&mut self, page: &PageRef) {
        self.find(&page.id, page.length);
    }

    fn unreadable(&mut self, page: &PageRef, _: Option<Gap>, error: Error) {
        match self.view.index.copies(&page.id) {
            Ok(copies) if self.tolerant && error.is_local() && self.were_deleted(&copies) => self.absent = true,
            Ok(_) => drop(self.failed.get_or_insert(error)),
            Err(other) => drop(self.failed.get_or_insert(other)),
        }
    }
}
