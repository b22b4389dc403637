//! What snapshots need: every page must open, every chunk must be indexed. Of one that is forgotten meanwhile nothing is said.

use super::CheckReport;
use super::PROBLEMS_KEPT;
use super::StoredPack;
use super::told;
use crate::backend::Name;
use crate::catalog::Gap;
use crate::catalog::PageSource;
use crate::catalog::Survey;
use crate::catalog::Surveyor;
use crate::class::Class;
use crate::entry::ChunkRef;
use crate::error::Error;
use crate::error::Result;
use crate::format::page::PageRef;
use crate::format::snapshot::Snapshot;
use crate::id::ChunkId;
use crate::id::PackId;
use crate::index::chunks::ChunkReader;
use crate::index::live::LiveIndex;
use crate::index::table::Index;
use crate::job::Control;
use crate::repository::Repository;
use crate::store::Pending;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

/// Goes through all catalogs. Gives how many of the `packs` neither a snapshot nor an intent needs, and their bytes; `None`
/// when a page cannot be read.
pub(super) async fn catalogs(
    repository: &Repository,
    control: &Control,
    live: &Arc<LiveIndex>,
    (snapshots, intents): (Vec<Snapshot>, Vec<Pending>),
    packs: &[StoredPack],
    report: &mut CheckReport,
) -> Result<Option<(u64, u64)>> {
    let pages: Arc<dyn PageSource> = Arc::new(ChunkReader::live(live, Class::Metadata));
    let mut survey = Survey::new(pages);
    let index = &live.current();
    let mut needed = Some(HashSet::new());
    for snapshot in snapshots {
        control.check()?;
        let mut findings = Findings::of(index, needed.as_mut());
        survey.visit(snapshot.root, &mut findings).await;
        // A root that cannot be read is a finding already.
        let entries = survey.entries(snapshot.root).await;
        if entries.is_some_and(|entries| entries != snapshot.counts.entries) {
            let message = "its catalog does not have as many entries as were backed up";
            findings.note(Name::Snapshot(snapshot.id).to_string(), message.to_owned(), false);
        }
        let Findings { held, more, more_newer, is_cut_short, visited, fatal, .. } = findings;
        if let Some(error) = fatal {
            return Err(error);
        }
        if held.is_empty() && !is_cut_short {
            continue;
        }
        // A prune takes what a snapshot needs only when that is gone. Whoever shares it comes to it again.
        if repository.is_forgotten(snapshot.id).await? {
            survey.forget(&visited);
            report.snapshots = report.snapshots.saturating_sub(1);
            continue;
        }
        for Finding { object, message, is_newer } in held {
            report.problems_newer += u64::from(is_newer);
            report.problem(control, object, message);
        }
        report.problems_total += more;
        report.problems_newer += more_newer;
        control.count(|counters| &counters.warnings, more);
        if is_cut_short {
            needed = None;
        }
    }
    let Some(mut needed) = needed else {
        report.pending_records.extend(intents.into_iter().map(|intent| intent.record));
        return Ok(None);
    };
    kept_by_intents(control, index, &mut survey, intents, (packs, &mut needed), report).await?;
    let is_needed = |pack: &PackId| index.pack_number(pack).is_some_and(|number| needed.contains(&number));
    let unneeded = packs.iter().filter(|pack| !is_needed(&pack.id));
    Ok(Some(unneeded.fold((0, 0), |(packs, bytes), pack| (packs + 1, pack.length.saturating_add(bytes)))))
}

/// What only intents keep, told of each: packs that are not `needed` so far, and are from here on.
async fn kept_by_intents(
    control: &Control,
    index: &Index,
    survey: &mut Survey,
    intents: Vec<Pending>,
    (packs, needed): (&[StoredPack], &mut HashSet<u32>),
    report: &mut CheckReport,
) -> Result<()> {
    let lengths: HashMap<u32, u64> =
        packs.iter().filter_map(|pack| index.pack_number(&pack.id).zip(Some(pack.length))).collect();
    for Pending { mut record, root } in intents {
        control.check()?;
        let mut kept = HashSet::new();
        let mut findings = Findings::of(index, Some(&mut kept));
        // What it may lack is no finding: nobody has committed on it.
        survey.visit(root, &mut findings).await;
        if let Some(error) = findings.fatal.take() {
            return Err(error);
        }
        for length in kept.difference(needed).filter_map(|pack| lengths.get(pack)) {
            record.packs += 1;
            record.bytes = record.bytes.saturating_add(*length);
        }
        needed.extend(kept);
        report.pending_records.push(record);
    }
    Ok(())
}

/// What was found in one snapshot, held back until it is known to be there still.
struct Findings<'a> {
    index: &'a Index,
    /// Numbers of the packs that anything was found in; `None` once not everything could be looked for.
    needed: Option<&'a mut HashSet<u32>>,
    held: Vec<Finding>,
    /// Findings beyond those that a report has room for.
    more: u64,
    /// How many of these are of a newer program.
    more_newer: u64,
    /// A page cannot be read: what is below it is not known.
    is_cut_short: bool,
    /// Pages that no snapshot before had.
    visited: Vec<ChunkId>,
    fatal: Option<Error>,
}

struct Finding {
    object: String,
    message: String,
    is_newer: bool,
}

impl<'a> Findings<'a> {
    fn of(index: &'a Index, needed: Option<&'a mut HashSet<u32>>) -> Self {
        let (held, visited) = (Vec::new(), Vec::new());
        Self { index, needed, held, more: 0, more_newer: 0, is_cut_short: false, visited, fatal: None }
    }

    fn needs(&mut self, pack: u32) {
        self.needed.iter_mut().for_each(|needed| _ = needed.insert(pack));
    }

    fn note(&mut self, object: String, message: String, is_newer: bool) {
        if self.held.len() < PROBLEMS_KEPT {
            self.held.push(Finding { object, message, is_newer });
        } else {
            self.more += 1;
            self.more_newer += u64::from(is_newer);
        }
    }
}

impl Surveyor for Findings<'_> {
    fn chunk(&mut self, chunk: &ChunkRef) {
        let why = match self.index.find(&chunk.id) {
            Err(error) => {
                self.fatal.get_or_insert(error);
                return;
            }
            Ok(Some(place)) if place.length == chunk.length => return self.needs(place.pack),
            Ok(Some(_)) => "catalog and index disagree on its length",
            Ok(None) => "no index object names it",
        };
        self.note(format!("chunk {}", chunk.id), why.to_owned(), false);
    }

    fn page(&mut self, page: &PageRef) {
        self.visited.push(page.id);
        match self.index.find(&page.id) {
            Err(error) => _ = self.fatal.get_or_insert(error),
            Ok(place) => place.iter().for_each(|place| self.needs(place.pack)),
        }
    }

    fn unreadable(&mut self, page: &PageRef, gap: Option<Gap>, error: Error) {
        self.is_cut_short = true;
        let lost = gap.map_or_else(String::new, |gap| format!(" ({gap})"));
        match told(error) {
            Ok((message, is_newer)) => self.note(format!("catalog page {}{lost}", page.id), message, is_newer),
            Err(fatal) => _ = self.fatal.get_or_insert(fatal),
        }
    }
}
