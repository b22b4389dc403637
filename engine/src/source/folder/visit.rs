//! What the walk does with one name: leave it out, keep its metadata, or give its bytes.

use super::attributes;
use super::attributes::Handle;
use super::content;
use super::content::Broken;
use super::inspect;
use super::place;
use super::walk::Frame;
use super::walk::Walker;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::source::SourceError;
use crate::source::Want;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Statx;
use rustix::io;
use std::ffi::CStr;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// How a name came to be visited.
#[derive(Clone, Copy)]
struct Origin {
    /// Its place, when it or something below it was asked for.
    place: Option<usize>,
    /// It was asked for itself.
    target: bool,
}

/// How one attempt to read a file ended.
enum Attempt {
    /// The metadata as it was after reading, and what could not be kept.
    Read(Box<Metadata>, Vec<String>),
    /// It changed meanwhile.
    Changed,
    /// It is not there any more.
    Vanished,
    /// It cannot be read.
    Unreadable(io::Errno),
}

impl Walker<'_> {
    /// Visits `name`, which the present paths already end with.
    pub(super) fn visit(&mut self, name: &CStr, kind: FileType) -> Result<(), SourceError> {
        let Some(frame) = self.frames.last() else { return Ok(()) };
        let number = frame.place.and_then(|number| self.places.get(number)?.children.get(name.to_bytes()).copied());
        let (covered, directory) = (frame.covered, frame.directory.clone());
        let Some((number, asked)) = number.and_then(|number| Some((number, self.places.get(number)?))) else {
            let Some(directory) = directory else { return Ok(()) };
            return self.item(directory.as_fd(), name, kind, Origin { place: None, target: false });
        };
        let origin = Origin { place: Some(number), target: asked.target };
        if let Some(directory) = directory.filter(|_| covered && asked.real == self.real) {
            return self.item(directory.as_fd(), name, kind, origin);
        }
        // It stands elsewhere on this machine than its path in the snapshot says.
        let outside = std::mem::replace(&mut self.real, asked.real.clone());
        let depth = self.frames.len();
        let result = if asked.target { self.target(origin) } else { self.leading(number) };
        if self.frames.len() > depth {
            self.set_outside(outside);
        } else {
            self.real = outside;
        }
        result
    }

    /// A path that was asked for, reached from the top: only the last name of it is not followed.
    fn target(&mut self, origin: Origin) -> Result<(), SourceError> {
        let at = self.real.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (above, name) = self.real.split_at(at);
        let Ok(name) = CString::new(name.get(1..).unwrap_or_default()) else { return Ok(()) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(place::real_path(above), flags, Mode::empty()) {
            Ok(directory) => self.item(directory.as_fd(), &name, FileType::Unknown, origin),
            Err(why) => {
                self.lost(format!("cannot be reached: {why}"));
                Ok(())
            }
        }
    }

    /// A directory that only leads to what was asked for; links on the way there are followed.
    fn leading(&mut self, number: usize) -> Result<(), SourceError> {
        let open = |how| rustix::fs::open(place::real_path(&self.real), how | OFlags::CLOEXEC, Mode::empty());
        let opened = open(OFlags::RDONLY | OFlags::DIRECTORY)
            .or_else(|_| open(OFlags::PATH | OFlags::DIRECTORY))
            .and_then(|directory| Ok((inspect::stat_open(directory.as_fd())?, directory)));
        match opened {
            Ok((stat, directory)) => {
                if self.directory_entry(&stat, Handle::Open(directory.as_fd()))? {
                    self.descend(None, Frame::of(Some(number), false, None, (0, 0)));
                }
            }
            Err(why) => self.lost(format!("cannot be reached: {why}")),
        }
        Ok(())
    }

    /// Anything that is taken, unless a rule leaves it out.
    fn item(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        kind: FileType,
        origin: Origin,
    ) -> Result<(), SourceError> {
        let mut stat = None;
        let mut is_directory = kind == FileType::Directory;
        if kind == FileType::Unknown {
            let Some(found) = self.stat(directory, name) else { return Ok(()) };
            is_directory = inspect::is_directory(&found);
            stat = Some(found);
        }
        if let Some(reason) = self.left_out(name, is_directory, origin) {
            self.skip(reason);
            return Ok(());
        }
        if is_directory {
            return self.directory(directory, name, origin);
        }
        let Some(stat) = stat.or_else(|| self.stat(directory, name)) else { return Ok(()) };
        if inspect::is_directory(&stat) {
            return self.directory(directory, name, origin);
        }
        self.leaf(directory, name, &stat, origin)
    }

    /// Why a rule leaves the item out, if one does.
    fn left_out(&self, name: &CStr, is_directory: bool, origin: Origin) -> Option<&'static str> {
        let frame = self.frames.last()?;
        if frame.marker.as_deref().is_some_and(|marker| marker != name.to_bytes()) {
            return Some("beside a marker file");
        }
        let by_pattern = if origin.target {
            self.rules.excludes_within(&self.real, is_directory)
        } else {
            self.rules.excludes(&self.real, is_directory)
        };
        if by_pattern {
            return Some("excluded by a pattern");
        }
        self.is_gitignored(is_directory).then_some("excluded by a .gitignore")
    }

    fn directory(&mut self, above: BorrowedFd<'_>, name: &CStr, origin: Origin) -> Result<(), SourceError> {
        let begin = Instant::now();
        let opened = inspect::open_at(above, name, OFlags::DIRECTORY)
            .and_then(|directory| Ok((inspect::stat_open(directory.as_fd())?, directory)));
        self.ahead.pace.took(begin.elapsed());
        let (stat, directory) = match opened {
            Ok(opened) => opened,
            Err(io::Errno::NOENT) => {
                self.note("vanished before it was read".to_string());
                return Ok(());
            }
            Err(why) => return self.closed_directory(above, name, why, origin),
        };
        if !self.directory_entry(&stat, Handle::Open(directory.as_fd()))? {
            return Ok(());
        }
        let here = inspect::device(&stat);
        let only = self.only_device(origin, here);
        // A mount point is kept as an empty folder, to mount something on after a restore.
        if only.is_none_or(|only| only == here) || origin.place.is_some() {
            let covered = only.is_none_or(|only| only == here);
            self.descend(Some(directory), Frame::of(origin.place, covered, only, (here, stat.stx_ino)));
        }
        Ok(())
    }

    /// The device to stay on; each path asked for has its own.
    fn only_device(&self, origin: Origin, here: u64) -> Option<u64> {
        if !self.rules.one_file_system {
            return None;
        }
        if origin.target { Some(here) } else { self.frames.last().and_then(|frame| frame.device) }
    }

    /// A directory that cannot be opened: its own entry is kept.
    fn closed_directory(
        &mut self,
        above: BorrowedFd<'_>,
        name: &CStr,
        why: io::Errno,
        origin: Origin,
    ) -> Result<(), SourceError> {
        let Some(stat) = self.stat(above, name) else { return Ok(()) };
        if !inspect::is_directory(&stat) {
            return self.leaf(above, name, &stat, origin);
        }
        if self.directory_entry(&stat, Handle::Named(above, name))? {
            self.lost(format!("the folder cannot be read: {why}"));
        }
        Ok(())
    }

    /// Gives a directory's own entry; false when it has no valid path.
    fn directory_entry(&mut self, stat: &Statx, from: Handle<'_>) -> Result<bool, SourceError> {
        let Some(path) = self.entry_path() else { return Ok(false) };
        let mut metadata = self.owners.metadata(stat);
        let mut warnings = Vec::new();
        metadata.xattrs = self.attributes.xattrs(from, &mut warnings);
        if let Handle::Open(directory) = from {
            metadata.flags = attributes::flags(directory);
        }
        self.sink.begin(&path, &metadata)?;
        self.sink.end(metadata, warnings)?;
        Ok(true)
    }

    /// Anything but a directory.
    fn leaf(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        stat: &Statx,
        origin: Origin,
    ) -> Result<(), SourceError> {
        let here = inspect::device(stat);
        if self.only_device(origin, here).is_some_and(|only| only != here) {
            self.skip("on another file system");
            return Ok(());
        }
        let mut metadata = self.owners.metadata(stat);
        if metadata.kind == FileKind::File {
            if self.rules.larger_than.is_some_and(|limit| metadata.size > limit) {
                self.skip("larger than the limit");
                return Ok(());
            }
            return self.file(directory, name, metadata, stat.stx_blocks);
        }
        let mut warnings = Vec::new();
        if let FileKind::Symlink { target } = &mut metadata.kind {
            match rustix::fs::readlinkat(directory, name, Vec::new()) {
                Ok(text) => *target = text.into_bytes(),
                Err(io::Errno::NOENT | io::Errno::INVAL) => {
                    self.note("vanished before it was read".to_string());
                    return Ok(());
                }
                Err(why) => {
                    self.lost(format!("the link cannot be read: {why}"));
                    return Ok(());
                }
            }
        }
        let Some(path) = self.entry_path() else { return Ok(()) };
        metadata.xattrs = self.attributes.xattrs(Handle::Named(directory, name), &mut warnings);
        self.sink.begin(&path, &metadata)?;
        self.sink.end(metadata, warnings)?;
        Ok(())
    }

    /// A regular file: read once, and once more when it changed meanwhile.
    fn file(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        mut metadata: Metadata,
        mut blocks: u64,
    ) -> Result<(), SourceError> {
        let Some(path) = self.entry_path() else { return Ok(()) };
        for is_last in [false, true] {
            let want = self.sink.begin(&path, &metadata)?;
            self.ahead.answered(want);
            if want == Want::Nothing {
                self.bytes += metadata.size;
                return Ok(self.sink.end(metadata, Vec::new())?);
            }
            match self.attempt(directory, name, &metadata, blocks, is_last)? {
                Attempt::Read(metadata, warnings) => {
                    self.bytes += metadata.size;
                    // Whoever watches hears at once what the entry itself remembers.
                    for warning in &warnings {
                        self.sink.warn(Some(&path), warning.clone(), false);
                    }
                    return Ok(self.sink.end(*metadata, warnings)?);
                }
                Attempt::Changed => {
                    self.sink.retract()?;
                    let Some(stat) = self.stat(directory, name) else { return Ok(()) };
                    metadata = self.owners.metadata(&stat);
                    blocks = stat.stx_blocks;
                    if metadata.kind != FileKind::File {
                        self.lost("became something else while it was read".to_string());
                        return Ok(());
                    }
                }
                Attempt::Vanished => {
                    self.sink.retract()?;
                    self.note("vanished before it was read".to_string());
                    return Ok(());
                }
                Attempt::Unreadable(why) => {
                    self.sink.retract()?;
                    self.lost(format!("cannot be read: {why}"));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        before: &Metadata,
        blocks: u64,
        is_last: bool,
    ) -> Result<Attempt, SourceError> {
        let begin = Instant::now();
        let opened = open_file(directory, name);
        self.ahead.pace.took(begin.elapsed());
        let file = match opened {
            Ok(file) => file,
            Err(io::Errno::NOENT) => return Ok(Attempt::Vanished),
            // A link or a socket took its place.
            Err(io::Errno::LOOP | io::Errno::NXIO) if !is_last => return Ok(Attempt::Changed),
            Err(why) => return Ok(Attempt::Unreadable(why)),
        };
        let poured = match content::pour(file.as_fd(), before.size, blocks, &mut self.ahead.pace, self.sink) {
            Ok(poured) => poured,
            Err(Broken::Stopped) => return Err(SourceError::Stopped),
            Err(Broken::Unreadable(why)) => return Ok(Attempt::Unreadable(why)),
        };
        let mut warnings = Vec::new();
        match inspect::stat_open(file.as_fd()) {
            Ok(after) if inspect::is_same(before, &after) => {}
            Ok(_) if !is_last => return Ok(Attempt::Changed),
            Ok(_) => warnings.push("changed while being read".to_string()),
            Err(why) => return Ok(Attempt::Unreadable(why)),
        }
        // The times stay those from before: should it have changed, the next backup sees other ones
        // and reads it again.
        let mut metadata = Box::new(before.clone());
        metadata.size = poured.size;
        metadata.extents = poured.extents;
        metadata.xattrs = self.attributes.xattrs(Handle::Open(file.as_fd()), &mut warnings);
        metadata.flags = attributes::flags(file.as_fd());
        Ok(Attempt::Read(metadata, warnings))
    }

    /// What is called `name`, or `None` (and reported) when that cannot be told.
    fn stat(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> Option<Statx> {
        let begin = Instant::now();
        let found = inspect::stat_at(directory, name);
        self.ahead.pace.took(begin.elapsed());
        match found {
            Ok(stat) => Some(stat),
            Err(io::Errno::NOENT) => {
                self.note("vanished before it was read".to_string());
                None
            }
            Err(why) => {
                self.lost(format!("cannot be looked at: {why}"));
                None
            }
        }
    }
}

/// Opens a file that may have become a fifo meanwhile, which must not block us.
fn open_file(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    match inspect::open_at(directory, name, OFlags::NONBLOCK) {
        // Someone holds a lease on it and is asked to give it up: worth waiting for.
        Err(io::Errno::AGAIN) => inspect::open_at(directory, name, OFlags::empty()),
        other => other,
    }
}
