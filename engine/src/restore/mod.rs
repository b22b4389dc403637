//! Restore: the way back, from a snapshot's entries to files in a folder.
//!
//! The entries come as a stream and are worked on in windows, so that memory stays bounded whatever the snapshot:
//!
//! ```text
//! gather --> plan --> fetch --> write (N threads) --> finish --> verify
//! entries    judge    ranges    decode, verify id,    links,     read
//! chunks     pieces   of packs  write, name, times    deletes,   back
//!                                                     directories
//! ```
//!
//! While one window is fetched and written the next one is gathered and planned. Within a window every segment is
//! fetched and decoded once, and a verified chunk is written to every file that wants it. A file of one chunk is
//! created, written and finished in one go; others are written beside their name and renamed when the last piece is
//! in place, so that a half-restored file never looks like a whole one; one too large for that is patched in place and
//! carries a mark meanwhile. Every directory is reached component by
//! component from the target's handle and never through a link, and its own times and mode are set when the walk
//! has left it. What cannot be restored is reported per entry; only a target that takes no more, a backend that does
//! not answer, or a request to stop ends the job.

mod acl;
mod boundary;
mod compare;
mod extents;
mod fetch;
mod file;
mod finish;
mod flags;
mod folders;
mod gather;
mod groups;
mod identity;
mod io;
mod judge;
mod levels;
mod listed;
mod metadata;
mod mounted;
mod names;
mod opened;
mod options;
mod owner;
mod patch;
mod plan;
mod remove;
mod select;
mod site;
mod spare;
mod special;
mod tally;
mod target;
mod trust;
mod verify;
mod window;
mod write;

#[cfg(test)]
mod existing;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod guarded;
#[cfg(test)]
mod held;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod linked;
#[cfg(test)]
mod lost;
#[cfg(test)]
mod scene;
#[cfg(test)]
mod spared;
#[cfg(test)]
mod spelling;
#[cfg(test)]
mod swapped;
#[cfg(test)]
mod tests;

pub(crate) use boundary::ChunkList;
pub(crate) use boundary::ChunkLists;
pub(crate) use boundary::EntryPage;
pub(crate) use boundary::EntryStream;
pub(crate) use boundary::Later;
pub(crate) use boundary::Located;
pub(crate) use boundary::SegmentDecode;
pub(crate) use boundary::SegmentStore;
pub use options::Overwrite;
pub use options::OwnerMap;
pub use options::OwnerMode;
pub use options::RestoreOptions;
pub use options::RestoreReport;
pub(crate) use select::Select;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::job::Control;
use crate::restore::gather::Gather;
use crate::restore::plan::Planner;
use crate::restore::site::Site;
use crate::restore::spare::Spare;
use crate::restore::tally::Tally;
use crate::restore::target::Target;
use crate::restore::window::Limits;
use crate::restore::window::Window;
use crate::restore::write::Pool;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// Restores `entries` (in path order) into a folder. `Invalid`: patterns or a deletion that make no sense;
/// `TargetFailed`: the target cannot be written at all; `Cancelled`; and whatever the repository fails with.
/// Must run inside a tokio runtime.
pub(crate) async fn run(
    control: Control,
    entries: Box<dyn EntryStream>,
    chunks: Arc<dyn ChunkLists>,
    store: Arc<dyn SegmentStore>,
    options: RestoreOptions,
) -> Result<RestoreReport> {
    run_within(Limits::default(), control, entries, chunks, store, options).await
}

async fn run_within(
    limits: Limits,
    control: Control,
    entries: Box<dyn EntryStream>,
    chunks: Arc<dyn ChunkLists>,
    store: Arc<dyn SegmentStore>,
    options: RestoreOptions,
) -> Result<RestoreReport> {
    let started = Instant::now();
    owner::check(&options.owner)?;
    let select = Arc::new(Select::new(&options)?);
    let spare = Spare::find(&options)?;
    spare.refuse(&options.target)?;
    let (target, root) = Target::open(&options.target, options.dry_run, options.is_folder)?;
    // Once more, now that all of the path exists.
    spare.refuse(&options.target)?;
    if options.delete && target.is_file_system_root() {
        return Err(Error::new(Kind::Invalid, "refusing to remove anything from the root of the file system"));
    }
    let gather = Gather::new(entries, chunks, Arc::clone(&select), options.path.clone(), limits);
    let site = Arc::new(Site::new(options, target, spare, Tally::new(control), store));
    let pool = Pool::start(&site, compare::threads(&site))
        .map_err(|cause| Error::new(Kind::TargetFailed, "cannot start the restore's threads").because(cause))?;
    let planner = Planner::new(Arc::clone(&site), Arc::clone(&select), root);
    let job = Job { site: Arc::clone(&site), select, limits, pool };
    let selected = job.windows(gather, planner).await;
    job.pool.stop().await;
    let done = selected.and_then(|selected| site.tally.check().map(|()| selected));
    let (at_end, failed) = (Arc::clone(&site), done.is_err());
    blocking(move || if failed { at_end.abandon() } else { at_end.complete() }).await?;
    let selected = done?;
    if selected == 0
        && let Some(lost) = site.lost()
    {
        return Err(Error::damaged("all of the snapshot that is asked for", lost));
    }
    if selected == 0 && site.options.delete {
        return Err(Error::new(Kind::Invalid, "refusing to remove anything: nothing of the snapshot is selected"));
    }
    let mut report = site.tally.report(started.elapsed().as_secs_f64());
    report.entries_selected = selected;
    Ok(report)
}

/// One restore in motion.
struct Job {
    site: Arc<Site>,
    select: Arc<Select>,
    limits: Limits,
    pool: Pool,
}

impl Job {
    /// Works through all windows, planning one while the one before is written; how many entries were selected.
    async fn windows(&self, mut gather: Gather, mut planner: Planner) -> Result<u64> {
        let room = Arc::new(Semaphore::new(4 + compare::threads(&self.site) / 4));
        let mut next;
        let mut selected = 0;
        (planner, next) = self.plan(&mut gather, planner, false).await?;
        while let Some((window, ended)) = next {
            let window = Arc::new(window);
            selected = window.selected;
            let planning =
                async { if ended { Ok((planner, None)) } else { self.plan(&mut gather, planner, ended).await } };
            let (done, planned) = tokio::join!(self.complete(&room, &window), planning);
            done?;
            (planner, next) = planned?;
        }
        Ok(selected)
    }

    /// The next window, and whether it is the last.
    async fn plan(
        &self,
        gather: &mut Gather,
        mut planner: Planner,
        ended: bool,
    ) -> Result<(Planner, Option<(Window, bool)>)> {
        if ended {
            return Ok((planner, None));
        }
        let steps = gather.window().await?;
        self.site.tally.check()?;
        let end = steps.is_empty();
        blocking(move || {
            let window = planner.window(steps, end);
            (planner, Some((window, end)))
        })
        .await
    }

    /// Does everything a window asks for.
    async fn complete(&self, room: &Arc<Semaphore>, window: &Arc<Window>) -> Result<()> {
        let dry_run = self.site.options.dry_run;
        if !dry_run {
            fetch::window(&self.site, &self.pool, room, self.limits, window).await?;
        }
        let (site, select, window) = (Arc::clone(&self.site), Arc::clone(&self.select), Arc::clone(window));
        blocking(move || {
            if dry_run {
                finish::dry_run(&site, &window);
            } else if site.options.verify {
                verify::window(&site, &window);
            }
            finish::window(&site, &select, &window);
        })
        .await?;
        self.site.tally.check()
    }
}

/// Runs work that waits for the disk where it holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(|cause| Error::new(Kind::Bug, "a thread of the restore ended early").because(cause))
}
