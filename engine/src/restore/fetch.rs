//! Fetches the segments that hold the wanted chunks, neighbours together, and keeps the workers busy with them.

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::restore::boundary::Located;
use crate::restore::site::Site;
use crate::restore::window::Limits;
use crate::restore::window::Share;
use crate::restore::window::Window;
use crate::restore::write::Lost;
use crate::restore::write::Pool;
use crate::restore::write::SegmentTask;
use crate::restore::write::Task;
use crate::restore::write::Want;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

/// Unwanted stored bytes fetched along rather than starting another request.
const GAP_BYTES_MAX: u64 = 128 << 10;
/// Copies of one chunk that are tried.
const COPIES_MAX: usize = 8;
/// Files released to a worker at once.
const RELEASE_FILES: usize = 128;

/// What is wanted of one segment.
struct Group {
    pack: u32,
    segment: u16,
    offset: u64,
    length: u64,
    wants: Vec<Want>,
}

/// Writes everything a window wants; files that cannot be restored are reported, only what ends the job is an error.
pub(crate) async fn window(
    site: &Arc<Site>,
    pool: &Pool,
    room: &Arc<Semaphore>,
    limits: Limits,
    window: &Arc<Window>,
) -> Result<()> {
    let (done, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let ready: Vec<_> = window.shares.iter().filter(|share| is_released(share)).map(|s| Arc::clone(&s.file)).collect();
    for files in ready.chunks(RELEASE_FILES) {
        pool.give(Task::Release(files.to_vec(), done.clone()));
    }
    drop(done);
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let mut wanted: Vec<u32> =
        window.pieces.iter().enumerate().filter(|(_, piece)| piece.wanted).map(|(at, _)| number(at)).collect();
    let mut reasons: HashMap<u32, Arc<str>> = HashMap::new();
    for copy in 0..=COPIES_MAX {
        if wanted.is_empty() || site.tally.is_halted() {
            break;
        }
        let (groups, missing) = locate(site, window, &wanted, copy)?;
        for piece in missing {
            give_up(site, window, piece, reasons.get(&piece));
        }
        wanted.clear();
        for lost in round(site, pool, room, limits, window, groups).await {
            reasons.insert(lost.piece, lost.why);
            wanted.push(lost.piece);
        }
    }
    while waiting.recv().await.is_some() {}
    site.tally.check()?;
    for piece in wanted {
        give_up(site, window, piece, reasons.get(&piece));
    }
    for share in window.shares.iter().filter(|share| share.last && !share.file.is_finished()) {
        share.file.fail(site, "it was not finished: a worker ended early");
        share.file.discard(site);
    }
    Ok(())
}

/// True for files that a worker must let finish: all but those that one write finishes.
fn is_released(share: &Share) -> bool {
    share.last && !share.file.plan.single
}

fn give_up(site: &Site, window: &Window, piece: u32, why: Option<&Arc<str>>) {
    let file = window.pieces.get(piece as usize).and_then(|piece| window.file_of(piece));
    if let Some(file) = file {
        file.fail(site, why.map_or("a chunk of its content is missing from the repository", |why| why));
        file.settle(site, 1);
    }
}

/// The segments that have copy number `copy` of the wanted pieces, in the order of packs; and the pieces without one.
fn locate(site: &Site, window: &Window, wanted: &[u32], copy: usize) -> Result<(Vec<Group>, Vec<u32>)> {
    let mut missing = Vec::new();
    let mut found: Vec<(Located, u32)> = Vec::with_capacity(wanted.len());
    for number in wanted {
        let Some(piece) = window.pieces.get(*number as usize) else { continue };
        match site.store.locate(&piece.id, copy)? {
            Some(located) => found.push((located, *number)),
            None => missing.push(*number),
        }
    }
    found.sort_unstable_by_key(|(at, number)| (at.pack, at.stored_offset, at.segment, at.offset, *number));
    let mut groups: Vec<Group> = Vec::new();
    for (at, piece) in found {
        let want = Want { piece, offset: at.offset, length: at.length };
        match groups.last_mut() {
            Some(group) if group.pack == at.pack && group.segment == at.segment => group.wants.push(want),
            _ => groups.push(Group {
                pack: at.pack,
                segment: at.segment,
                offset: at.stored_offset,
                length: u64::from(at.stored_length),
                wants: vec![want],
            }),
        }
    }
    Ok((groups, missing))
}

/// Fetches groups and has them written; the pieces that could not be had this way.
async fn round(
    site: &Arc<Site>,
    pool: &Pool,
    room: &Arc<Semaphore>,
    limits: Limits,
    window: &Arc<Window>,
    groups: Vec<Group>,
) -> Vec<Lost> {
    let (lost, mut losses) = tokio::sync::mpsc::unbounded_channel();
    let mut fetches = JoinSet::new();
    for range in ranges(groups, limits.range_bytes) {
        let Ok(permit) = Arc::clone(room).acquire_owned().await else { break };
        if site.tally.is_halted() {
            break;
        }
        let fetch = Fetch {
            site: Arc::clone(site),
            tasks: pool.sender(),
            window: Arc::clone(window),
            lost: lost.clone(),
            room: Arc::new(permit),
        };
        fetches.spawn(fetch.range(range));
        while fetches.try_join_next().is_some() {}
    }
    drop(lost);
    while fetches.join_next().await.is_some() {}
    let mut all = Vec::new();
    while let Some(one) = losses.recv().await {
        all.push(one);
    }
    all
}

/// Neighbouring segments of one pack together, up to `most` stored bytes.
fn ranges(groups: Vec<Group>, most: u64) -> Vec<Vec<Group>> {
    let mut ranges: Vec<Vec<Group>> = Vec::new();
    for group in groups {
        let fits = |range: &Vec<Group>| match (range.first(), range.last()) {
            (Some(first), Some(last)) => {
                let end = last.offset.saturating_add(last.length);
                group.pack == last.pack
                    && group.offset >= end
                    && group.offset - end <= GAP_BYTES_MAX
                    && group.offset.saturating_add(group.length) - first.offset <= most
            }
            _ => false,
        };
        match ranges.last_mut() {
            Some(range) if fits(range) => range.push(group),
            _ => ranges.push(vec![group]),
        }
    }
    ranges
}

/// One request on its way.
struct Fetch {
    site: Arc<Site>,
    tasks: std::sync::mpsc::Sender<Task>,
    window: Arc<Window>,
    lost: UnboundedSender<Lost>,
    room: Arc<OwnedSemaphorePermit>,
}

impl Fetch {
    async fn range(self, range: Vec<Group>) {
        let (Some(first), Some(last)) = (range.first(), range.last()) else { return };
        let (pack, start) = (first.pack, first.offset);
        let length = last.offset.saturating_add(last.length).saturating_sub(start);
        match self.get(pack, start, length).await {
            Ok(bytes) => {
                for group in range {
                    let from = group.offset.saturating_sub(start);
                    self.give(group, &bytes, from);
                }
            }
            Err(error) if range.len() > 1 && error.is_local() => {
                // Part of the range may still be there.
                for group in range {
                    match self.get(pack, group.offset, group.length).await {
                        Ok(bytes) => self.give(group, &bytes, 0),
                        Err(error) => self.fail(&group, error),
                    }
                }
            }
            Err(error) => self.fail(first, error),
        }
    }

    async fn get(&self, pack: u32, offset: u64, length: u64) -> Result<Bytes> {
        let bytes = self.site.store.fetch(pack, offset, length).await?;
        self.site.tally.fetched(length);
        Ok(bytes)
    }

    fn give(&self, group: Group, bytes: &Bytes, from: u64) {
        let bounds = usize::try_from(from).ok().zip(usize::try_from(from.saturating_add(group.length)).ok());
        let Some((from, to)) = bounds.filter(|(_, to)| *to <= bytes.len()) else {
            return self.fail(&group, Error::new(Kind::Damaged, "a pack is shorter than its table says"));
        };
        let task = SegmentTask {
            window: Arc::clone(&self.window),
            pack: group.pack,
            segment: group.segment,
            stored: bytes.slice(from..to),
            wants: group.wants,
            lost: self.lost.clone(),
            room: Arc::clone(&self.room),
        };
        // It fails only when every worker died; the files concerned are then reported as unfinished.
        let _ = self.tasks.send(Task::Segment(task));
    }

    /// The pieces of one segment are lost, or the job ends.
    fn fail(&self, group: &Group, error: Error) {
        if !error.is_local() {
            return self.site.tally.end(error);
        }
        let why: Arc<str> = Arc::from(error.in_one_line());
        for want in &group.wants {
            // The receiver is gone only when the job is.
            let _ = self.lost.send(Lost { piece: want.piece, why: Arc::clone(&why) });
        }
    }
}
