//! The walk through directories, in the order of entry paths.
//!
//! It keeps its own stack instead of recursing, and closes the descriptors of directories far above,
//! so that a tree of any depth can be walked.

use super::ahead;
use super::ahead::Ahead;
use super::attributes::Attributes;
use super::inspect;
use super::inspect::Owners;
use super::listing::Dirents;
use super::listing::Listing;
use super::place;
use super::place::Places;
use super::rules;
use super::rules::Rules;
use crate::entry::EntryPath;
use crate::job::open_files;
use crate::source::Sink;
use crate::source::SourceError;
use crate::verdict::Verdict;
use ignore::gitignore::Gitignore;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io;
use std::ffi::CStr;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

/// Directories kept open at once, where so many files may be opened.
const OPEN_MAX: usize = 100;
/// Reasons that are told in the verdict; all are told to the sink.
const REASONS_MAX: usize = 100;
/// What is said when nothing at all is left of what was asked for.
const NOTHING_LEFT: &str = "nothing of what was named to be backed up can be taken";
/// Names of one directory given to those who read ahead.
const AHEAD_MAX: usize = 1024;

/// One walk through all places.
pub(super) struct Walker<'a> {
    pub(super) places: &'a Places,
    pub(super) rules: &'a Rules,
    pub(super) sink: &'a mut dyn Sink,
    pub(super) owners: Owners,
    pub(super) attributes: Attributes,
    pub(super) ahead: Ahead,
    /// Snapshot path of the item being visited.
    pub(super) path: Vec<u8>,
    /// Absolute path of the same; nothing for `/`.
    pub(super) real: Vec<u8>,
    pub(super) frames: Vec<Frame>,
    /// Content bytes of the files seen.
    pub(super) bytes: u64,
    /// The item being visited was asked for by name.
    pub(super) is_named: bool,
    /// Paths asked for of which nothing at all is taken.
    pub(super) missed: usize,
    /// Directories kept open at once.
    open_max: usize,
    entries: u64,
    spare: Vec<Listing>,
    dirents: Dirents,
    reasons: Vec<String>,
}

/// A directory being walked.
#[derive(Default)]
pub(super) struct Frame {
    /// `None` while it is closed because it is too far above, or when only places in it are walked.
    pub(super) directory: Option<Arc<OwnedFd>>,
    /// Number of its place, when names below it were asked for.
    pub(super) place: Option<usize>,
    /// All its names are walked, not only those asked for.
    pub(super) covered: bool,
    /// The only device to walk on, when that is asked for.
    pub(super) device: Option<u64>,
    /// The only name kept, because a marker file of that name is here.
    pub(super) marker: Option<Vec<u8>>,
    gitignore: Option<Box<Gitignore>>,
    listing: Listing,
    /// Device and inode, to know it again.
    identity: (u64, u64),
    path_length: usize,
    real_length: usize,
    /// The absolute path to go back to, when it is not a part of the one in here.
    real_outside: Option<Vec<u8>>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(places: &'a Places, rules: &'a Rules, ahead: Ahead, sink: &'a mut dyn Sink) -> Self {
        Self {
            places,
            rules,
            sink,
            owners: Owners::default(),
            attributes: Attributes::new(),
            ahead,
            path: Vec::new(),
            real: Vec::new(),
            frames: Vec::new(),
            bytes: 0,
            is_named: false,
            missed: 0,
            open_max: open_files(OPEN_MAX),
            entries: 0,
            spare: Vec::new(),
            dirents: Dirents::new(),
            reasons: Vec::new(),
        }
    }

    /// Gives everything to the sink.
    pub(super) fn run(mut self) -> Result<Verdict, SourceError> {
        self.enter_root()?;
        let mut name = Vec::new();
        while let Some(frame) = self.frames.last_mut() {
            self.path.truncate(frame.path_length);
            self.real.truncate(frame.real_length);
            let Some((next, kind)) = frame.listing.next() else {
                self.leave();
                continue;
            };
            name.clear();
            name.extend_from_slice(next.to_bytes_with_nul());
            let next = CStr::from_bytes_with_nul(&name).expect("a listing ends each name with its only NUL");
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(next.to_bytes());
            self.real.push(b'/');
            self.real.extend_from_slice(next.to_bytes());
            if self.ahead.reached(&self.path) {
                self.look_ahead(OPEN_MAX, false);
            }
            self.visit(next, kind)?;
        }
        if self.missed > 0 && self.missed == self.places.targets(place::ROOT) {
            let cause = self.reasons.into_iter().next().map(Into::into);
            return Err(SourceError::Failed { message: NOTHING_LEFT.to_owned(), cause });
        }
        Ok(if self.reasons.is_empty() { Verdict::Whole } else { Verdict::Partial(self.reasons) })
    }

    /// The root of the snapshot is no entry; what is in it may be a whole directory.
    fn enter_root(&mut self) -> Result<(), SourceError> {
        let Some(root) = self.places.get(place::ROOT) else { return Ok(()) };
        if !root.target {
            self.descend(None, Frame { place: Some(place::ROOT), ..Frame::default() });
            return Ok(());
        }
        self.real.clone_from(&root.real);
        let failed = |why: io::Errno| SourceError::Failed {
            message: format!("cannot read {}", place::real_path(&root.real).display()),
            cause: Some(Box::new(std::io::Error::from(why))),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(place::real_path(&root.real), flags, Mode::empty()).map_err(failed)?;
        let stat = inspect::stat_open(directory.as_fd()).map_err(failed)?;
        let device = self.rules.one_file_system.then(|| inspect::device(&stat));
        let identity = (inspect::device(&stat), stat.stx_ino);
        let frame = Frame { place: Some(place::ROOT), covered: true, device, identity, ..Frame::default() };
        self.descend(Some(directory), frame);
        self.is_named = true;
        self.tell_of_marker();
        Ok(())
    }

    /// Goes on in the directory at the present path; `frame` has what its parent decides.
    pub(super) fn descend(&mut self, directory: Option<OwnedFd>, mut frame: Frame) {
        let begin = Instant::now();
        let mut listing = self.spare.pop().unwrap_or_default();
        if let Some(directory) = &directory
            && frame.covered
            && let Err(why) = listing.read(directory.as_fd(), &mut self.dirents, usize::MAX)
        {
            self.lost(format!("the folder cannot be read: {why}"));
        }
        self.ahead.pace.took(begin.elapsed());
        if let Some(place) = frame.place.and_then(|number| self.places.get(number)) {
            for name in place.children.keys() {
                // Too many names: the error was reported above.
                let _ = listing.add(name, FileType::Unknown);
            }
        }
        listing.sort();
        self.entries += u64::try_from(listing.len()).unwrap_or(u64::MAX);
        self.sink.total(self.entries, self.bytes);
        if let Some(directory) = &directory {
            let markers = self.rules.markers.iter();
            let mut present = markers.filter(|marker| listing.contains(marker.name()));
            frame.marker =
                present.find(|marker| marker.is_genuine(directory.as_fd())).map(|marker| marker.name().to_vec());
            if self.rules.gitignore && frame.covered && listing.contains(b".gitignore") {
                let (gitignore, problems) = rules::gitignore(directory.as_fd());
                frame.gitignore = gitignore;
                for problem in problems {
                    self.note(format!("its .gitignore: {problem}"));
                }
            }
        }
        frame.listing = listing;
        frame.directory = directory.map(Arc::new);
        frame.path_length = self.path.len();
        frame.real_length = self.real.len();
        self.frames.push(frame);
        self.close_far_above();
        if self.ahead.is_surprised() {
            self.look_ahead(1, true);
        }
    }

    /// Tells those who read ahead what comes next in the last `depth` directories.
    fn look_ahead(&mut self, depth: usize, surprised: bool) {
        if self.open_max < OPEN_MAX {
            // Those who read ahead would open more than may be.
            return;
        }
        let mut found = Vec::new();
        for frame in self.frames.iter().rev().take(depth) {
            if let Some(directory) = frame.directory.as_ref().filter(|_| frame.covered && frame.marker.is_none()) {
                let path = self.path.get(..frame.path_length).unwrap_or_default().to_vec();
                let real = self.real.get(..frame.real_length).unwrap_or_default().to_vec();
                let place = ahead::Place { directory: directory.clone(), path, real, device: frame.identity.0 };
                found.push((place, frame.listing.rest(AHEAD_MAX)));
            }
            if frame.real_outside.is_some() {
                // What is above stands elsewhere on this machine.
                break;
            }
        }
        self.ahead.add(found, surprised);
    }

    /// Frees the descriptor of the directory that is now too far above.
    fn close_far_above(&mut self) {
        let far = self.frames.len().checked_sub(self.open_max + 1);
        if let Some(frame) = far.and_then(|far| self.frames.get_mut(far))
            && frame.place.is_none()
        {
            frame.directory = None;
        }
    }

    /// Goes back to the directory above.
    fn leave(&mut self) {
        let Some(left) = self.frames.pop() else { return };
        if let Some(listing) = left.listing.recycle() {
            self.spare.push(listing);
        }
        if let Some(real) = left.real_outside {
            self.real = real;
        }
        let Some(frame) = self.frames.last_mut() else { return };
        if frame.directory.is_some() || !frame.covered {
            return;
        }
        let reopened = left.directory.ok_or(io::Errno::BADF).and_then(|below| reopen(&below, frame.identity));
        match reopened {
            Ok(directory) => frame.directory = Some(Arc::new(directory)),
            Err(why) => {
                frame.listing.exhaust();
                self.path.truncate(frame.path_length);
                self.lost(format!("the rest of the folder cannot be reached again: {why}"));
            }
        }
    }

    /// Why the `.gitignore` files around leave the item out, if they do; the nearest that says anything decides.
    pub(super) fn gitignored(&self, is_directory: bool) -> Option<String> {
        let said = |frame: &Frame| {
            let (folder, path) = self.real.split_at_checked(frame.real_length)?;
            let (gitignore, path) = (frame.gitignore.as_ref()?, path.get(1..)?);
            let ignored = rules::is_ignored(gitignore, path, is_directory)?;
            let line = || rules::deciding_line(gitignore, path, is_directory);
            let shown = String::from_utf8_lossy(folder);
            Some(ignored.then(|| format!("by {shown}/.gitignore, '{}'", line())))
        };
        if self.rules.gitignore { self.frames.iter().rev().find_map(said)? } else { None }
    }

    /// Keeps the absolute path of the directory outside, to be taken up again when the next frame is left.
    pub(super) fn set_outside(&mut self, real: Vec<u8>) {
        if let Some(frame) = self.frames.last_mut() {
            frame.real_outside = Some(real);
        }
    }

    /// The present path, parsed; `None` (and reported) when it is longer than the format allows.
    pub(super) fn entry_path(&mut self) -> Option<EntryPath> {
        match EntryPath::parse(&self.path) {
            Ok(path) => Some(path),
            Err(why) => {
                let message = format!("{}: {why}", String::from_utf8_lossy(&self.path));
                self.reason(message.clone());
                self.sink.warn(None, message, true);
                None
            }
        }
    }

    /// Reports that content at the present path is missing from the snapshot.
    pub(super) fn lost(&mut self, message: String) {
        let path = EntryPath::parse(&self.path).ok();
        self.reason(format!("{}: {message}", place::real_path(&self.real).display()));
        self.sink.warn(path.as_ref(), message, true);
    }

    /// Whoever watches hears at once what the entry at the present path lacks, which it remembers itself, too.
    pub(super) fn lacking(&mut self, warnings: &[String]) {
        warnings.iter().for_each(|warning| self.lost(warning.clone()));
    }

    /// Reports something about the present path that takes nothing from the snapshot.
    pub(super) fn note(&mut self, message: String) {
        let path = EntryPath::parse(&self.path).ok();
        self.sink.warn(path.as_ref(), message, false);
    }

    /// Reports that the present item is gone: a loss only where it was asked for by name.
    pub(super) fn vanished(&mut self) {
        let gone = "vanished before it was read".to_owned();
        if self.is_named {
            self.missed += 1;
            self.lost(gone);
        } else {
            self.note(gone);
        }
    }

    /// Reports that a rule leaves the present item out: a loss where it was asked for by name.
    pub(super) fn leave_out(&mut self, reason: &str) {
        if self.is_named {
            self.missed += 1;
            self.lost(format!("was named to be backed up, and is left out: {reason}"));
        } else {
            self.skip(reason);
        }
    }

    /// Reports that a marker leaves out what is in the folder just entered, where that was asked for by name.
    pub(super) fn tell_of_marker(&mut self) {
        let marker = self.frames.last().filter(|frame| self.is_named && frame.covered);
        if let Some(marker) = marker.and_then(|frame| frame.marker.as_deref()) {
            let marker = String::from_utf8_lossy(marker).into_owned();
            self.lost(format!("was named to be backed up, and what is in it is left out: beside {marker}"));
        }
    }

    /// Reports a path asked for that was not there from the beginning.
    pub(super) fn absent(&mut self, message: String) {
        self.reason(message.clone());
        self.sink.warn(None, message, true);
    }

    /// Reports that the present path is left out on purpose.
    pub(super) fn skip(&mut self, reason: &str) {
        if let Ok(path) = EntryPath::parse(&self.path) {
            self.sink.skipped(&path, reason);
        }
    }

    fn reason(&mut self, reason: String) {
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(reason);
        }
    }
}

impl Frame {
    /// A frame for the directory just looked at.
    pub(super) fn of(place: Option<usize>, covered: bool, device: Option<u64>, identity: (u64, u64)) -> Self {
        Self { place, covered, device, identity, ..Self::default() }
    }
}

/// Opens the directory above `below`, which must be the one remembered.
fn reopen(below: &OwnedFd, identity: (u64, u64)) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = rustix::fs::openat(below, c"..", flags, Mode::empty())?;
    let stat = inspect::stat_open(above.as_fd())?;
    if (inspect::device(&stat), stat.stx_ino) == identity { Ok(above) } else { Err(io::Errno::STALE) }
}
