//! The threads that run ahead: they open, look and ask the kernel to read, and keep nothing of it.

use super::super::inspect;
use super::super::listing::Dirents;
use super::super::listing::Listing;
use super::super::rules::Rules;
use super::plan::BYTES_MAX;
use super::plan::Item;
use super::plan::Place;
use super::plan::Plan;
use super::plan::Work;
use rustix::fs::Advice;
use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::io;
use rustix::io::ReadWriteFlags;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

/// They wait for the disk nearly all the time, so their number is how many requests it gets at once.
const HELPERS: usize = 8;
/// What takes longer than this did not come from memory.
const SLOW: Duration = Duration::from_micros(100);
/// No single call counts for more: it may have waited for a processor instead.
const COUNTED_MAX: Duration = Duration::from_millis(4);
/// What content that is not in memory counts for: the kernel reads it behind our back.
const COLD: Duration = Duration::from_micros(300);
/// Things done that are judged together.
const JUDGED: u32 = 1024;
/// Time waited for each of them, on average, below which there is nothing to run ahead for.
const WAITED_MIN: Duration = Duration::from_micros(25);
/// Read ahead of one file; the rest is read in sequence, which the kernel notices itself.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Larger requests are cut by the kernel, silently.
const REQUEST_BYTES: u64 = 512 * 1024;
/// Larger directories are left to the walk: their names would be kept twice.
const NAMES_MAX: usize = 8192;

/// What the walk and the helpers share.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) plan: Plan,
    /// Read content as well, not only inodes.
    pub(super) reads: bool,
    ends: bool,
    idle: usize,
    done: u32,
    waited: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

/// A few threads, ended and joined when this is dropped.
#[derive(Debug)]
pub(super) struct Helpers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl State {
    /// Whether what was done of late came from memory; `None` as long as there is too little to judge by.
    pub(super) fn judge(&mut self) -> Option<bool> {
        let enough = self.done >= JUDGED;
        enough.then(|| std::mem::take(&mut self.waited) < WAITED_MIN * std::mem::take(&mut self.done))
    }

    /// Forgets all work: what the helpers are at is finished, nothing else begun.
    pub(super) fn clear(&mut self) {
        self.plan = Plan::default();
        (self.done, self.waited) = (0, Duration::ZERO);
    }

    fn count(&mut self, done: u32, waited: Duration) {
        self.done = self.done.saturating_add(done);
        self.waited += waited;
    }
}

impl Helpers {
    /// Starts the threads; fewer when the system gives no more.
    pub(super) fn start(rules: &Arc<Rules>) -> Self {
        let shared = Arc::<Shared>::default();
        let start = |number: usize| {
            let (shared, rules) = (Arc::clone(&shared), Arc::clone(rules));
            let builder = thread::Builder::new().name(format!("read-ahead-{number}")).stack_size(256 * 1024);
            builder.spawn(move || help(&shared, &rules)).ok()
        };
        let threads = (0..HELPERS).map_while(start).collect();
        Self { shared, threads }
    }

    /// Changes what is shared, and wakes the helpers when there is work for them.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.shared.lock();
        let result = change(&mut state);
        if state.idle > 0 && !state.plan.is_empty() && state.plan.is_near() {
            self.shared.wake.notify_all();
        }
        result
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.shared.lock().ends = true;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            // One that panicked has left nothing behind that matters.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; `None` when it is time to end.
    fn next(&self) -> Option<(Work, bool)> {
        let mut state = self.lock();
        loop {
            if state.ends {
                return None;
            }
            if let Some(work) = state.plan.take() {
                return Some((work, state.reads));
            }
            state.idle += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

fn help(shared: &Shared, rules: &Rules) {
    let mut dirents = Dirents::new();
    while let Some((work, reads)) = shared.next() {
        match work {
            Work::Files(place, items) => {
                for item in items {
                    if rules.why_excluded(&place.real_of(&item.name), false).is_some() {
                        continue;
                    }
                    let (bytes, waited) = if reads { read(&place, &item, rules) } else { (0, look(&place, &item)) };
                    let mut state = shared.lock();
                    state.count(1, waited);
                    state.plan.read(&item.key, bytes);
                }
            }
            Work::Directory(place, item) => {
                let begin = Instant::now();
                let listed = list(&place, &item, rules, &mut dirents);
                let mut state = shared.lock();
                state.count(1, waited(begin));
                match listed {
                    Some((place, listing)) => state.plan.add(place, listing),
                    None => state.plan.forget(&item.key),
                }
                if state.idle > 0 {
                    shared.wake.notify_all();
                }
            }
        }
    }
}

/// Brings an inode into memory.
fn look(place: &Place, item: &Item) -> Duration {
    let begin = Instant::now();
    // Whatever is wrong with it, the walk will find and report.
    let _ = inspect::stat_at(place.directory.as_fd(), &item.name);
    waited(begin)
}

/// Has the kernel read the beginning of a file, unless it is in memory already: how much, and the time that took.
fn read(place: &Place, item: &Item, rules: &Rules) -> (u64, Duration) {
    let begin = Instant::now();
    let opened = inspect::open_at(place.directory.as_fd(), &item.name, OFlags::NONBLOCK)
        .and_then(|file| Ok((inspect::stat_open(file.as_fd())?, file)));
    let time = waited(begin);
    let Ok((stat, file)) = opened else { return (0, time) };
    let is_file = FileType::from_raw_mode(u32::from(stat.stx_mode)) == FileType::RegularFile;
    let is_wanted = is_file && inspect::device(&stat) == place.device;
    if !is_wanted || stat.stx_size == 0 || rules.larger_than.is_some_and(|limit| stat.stx_size > limit) {
        return (0, time);
    }
    if is_in_memory(file.as_fd()) {
        return (0, time);
    }
    let bytes = stat.stx_size.min(FILE_BYTES_MAX).min(BYTES_MAX);
    will_need(file.as_fd(), 0, bytes);
    (bytes, time + COLD)
}

/// Whether the first byte can be had without waiting; no when that cannot be told.
fn is_in_memory(file: BorrowedFd<'_>) -> bool {
    io::preadv2(file, &mut [io::IoSliceMut::new(&mut [0])], 0, ReadWriteFlags::NOWAIT).is_ok()
}

/// Asks the kernel to read a part of a file, without waiting for it.
pub(in crate::source::folder) fn will_need(file: BorrowedFd<'_>, begin: u64, end: u64) {
    let mut at = begin;
    while at < end {
        // Advice only: whether it was heard changes nothing.
        let _ = rustix::fs::fadvise(file, at, NonZeroU64::new(REQUEST_BYTES.min(end - at)), Advice::WillNeed);
        at += REQUEST_BYTES;
    }
}

/// Lists a directory on the same device that no rule touches.
fn list(above: &Place, item: &Item, rules: &Rules, dirents: &mut Dirents) -> Option<(Arc<Place>, Listing)> {
    let real = above.real_of(&item.name);
    if rules.why_excluded(&real, true).is_some() {
        return None;
    }
    let directory = inspect::open_at(above.directory.as_fd(), &item.name, OFlags::DIRECTORY).ok()?;
    let stat = inspect::stat_open(directory.as_fd()).ok()?;
    if inspect::device(&stat) != above.device {
        return None;
    }
    let mut listing = Listing::default();
    listing.read(directory.as_fd(), dirents, NAMES_MAX).ok()?;
    listing.sort();
    if rules.markers.iter().any(|marker| listing.contains(marker.name())) {
        return None;
    }
    let path = above.path_of(&item.name);
    Some((Arc::new(Place { directory: Arc::new(directory), path, real, device: above.device }), listing))
}

/// The time since `begin` as far as it was spent waiting.
fn waited(begin: Instant) -> Duration {
    let time = begin.elapsed();
    if time < SLOW { Duration::ZERO } else { time.min(COUNTED_MAX) }
}
