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
use crate::index::chunks::ChunkReader;
use crate::index::table::Copy;
use crate::job::Control;
use std::collections::HashSet;
use std::sync::Arc;

/// What has been traced so far. It is kept between looks, so that a second one reads only pages that are new.
#[derive(Default)]
pub(super) struct Trace {
    live: Bits,
    /// Positions that `live` has been told of.
    known: u32,
    seen: HashSet<ChunkId>,
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
        let mut finder = Finder { view, live: &mut self.live, failed: None, tolerant: false, absent: false };
        // Snapshots first: what a pending record may lack must not count as seen where a snapshot needs it.
        for root in roots.snapshots.values() {
            control.check()?;
            survey.visit(root.page, &mut finder).await;
            if let Some(error) = finder.failed.take() {
                return Err(error);
            }
        }
        finder.tolerant = true;
        for root in roots.pending.values() {
            control.check()?;
            survey.visit(root.page, &mut finder).await;
            if let Some(error) = finder.failed.take() {
                return Err(error);
            }
        }
        self.stale = finder.absent;
        self.seen = survey.into_seen();
        Ok(())
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
        if copies().any(|(_, record)| self.view.state(record.pack).whole) {
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
