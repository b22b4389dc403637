//! What the walk does with one name: leave it out, keep its metadata, or give its bytes.

use super::attributes;
use super::attributes::Handle;
use super::content;
use super::content::Broken;
use super::inspect;
use super::place;
use super::walk::Frame;
use super::walk::Walker;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::source::CHANGED;
use crate::source::EntryStart;
use crate::source::SourceError;
use crate::source::Want;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Statx;
use rustix::io;
use std::borrow::Cow;
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

/// A regular file as it was looked at before reading.
struct Looked {
    metadata: Metadata,
    blocks: u64,
    /// The file looked at; `None` when only its name was.
    opened: Option<OwnedFd>,
}

/// How one attempt to read a file ended.
enum Attempt {
    /// The metadata that belongs to what was read, what could not be kept, and what changed meanwhile.
    Read(Box<Metadata>, Vec<String>, Change),
    /// Something else stands in its place.
    Replaced,
    /// It is not there any more.
    Vanished,
    /// It cannot be read.
    Unreadable(io::Errno),
}

/// What happened to a file while it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    /// It grew, or something about it changed that is not content: what was read is what it was.
    Beside,
    /// It was written or cut: what was read may never have been its content at any one time.
    Within,
}

/// What comes after an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next name.
    Name,
    /// The same file once more.
    Again,
}

impl<'a> Walker<'a> {
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
        self.sink.looks_at(&self.real);
        let at = self.real.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let (above, name) = self.real.split_at(at);
        let Ok(name) = CString::new(name.get(1..).unwrap_or_default()) else { return Ok(()) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(place::real_path(above), flags, Mode::empty()) {
            Ok(directory) => self.item(directory.as_fd(), &name, FileType::Unknown, origin),
            Err(why) => {
                self.missed += 1;
                self.lost(format!("cannot be reached: {why}"));
                Ok(())
            }
        }
    }

    /// A directory that only leads to what was asked for; links on the way there are followed.
    fn leading(&mut self, number: usize) -> Result<(), SourceError> {
        self.sink.looks_at(&self.real);
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
            Err(why) => {
                self.missed += self.places.targets(number);
                self.lost(format!("cannot be reached: {why}"));
            }
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
        self.is_named = origin.target;
        self.sink.looks_at(&self.real);
        let mut stat = None;
        let mut is_directory = kind == FileType::Directory;
        if kind == FileType::Unknown {
            let Some(found) = self.stat(directory, name) else { return Ok(()) };
            is_directory = inspect::is_directory(&found);
            stat = Some(found);
        }
        let mut takes_all = true;
        if let Some(reason) = self.left_out(name, is_directory, origin) {
            if !self.leads(origin) {
                self.leave_out(&reason);
                return Ok(());
            }
            self.leave_out(&format!("{reason}, but for what was asked for by name in it"));
            takes_all = false;
        }
        if is_directory {
            return self.directory(directory, name, origin, takes_all);
        }
        let Some(stat) = stat.or_else(|| self.stat(directory, name)) else { return Ok(()) };
        if inspect::is_directory(&stat) {
            return self.directory(directory, name, origin, takes_all);
        }
        self.leaf(directory, name, &stat, origin)
    }

    /// Whether something below the item was asked for as well.
    fn leads(&self, origin: Origin) -> bool {
        let place = origin.place.and_then(|number| self.places.get(number));
        place.is_some_and(|place| !place.children.is_empty())
    }

    /// Why a rule leaves the item out, if one does. Of what was asked for by name nothing is asked but whether a pattern
    /// means that very path: what leaves out the folders above it, or stands in them, says nothing of it.
    fn left_out(&self, name: &CStr, is_directory: bool, origin: Origin) -> Option<Cow<'a, str>> {
        if origin.target {
            return self.rules.why_excluded(&self.real, is_directory).map(Cow::Borrowed);
        }
        let frame = self.frames.last()?;
        if let Some(marker) = frame.marker.as_deref().filter(|marker| *marker != name.to_bytes()) {
            return Some(format!("beside {}", String::from_utf8_lossy(marker)).into());
        }
        let by_pattern = self.rules.why_excluded(&self.real, is_directory);
        by_pattern.map(Cow::Borrowed).or_else(|| self.gitignored(is_directory).map(Cow::Owned))
    }

    /// A folder, and all that is in it or only what was asked for there.
    fn directory(
        &mut self,
        above: BorrowedFd<'_>,
        name: &CStr,
        origin: Origin,
        takes_all: bool,
    ) -> Result<(), SourceError> {
        let begin = Instant::now();
        let opened = inspect::open_at(above, name, OFlags::DIRECTORY)
            .and_then(|directory| Ok((inspect::stat_open(directory.as_fd())?, directory)));
        self.ahead.pace.took(begin.elapsed());
        let (stat, directory) = match opened {
            Ok(opened) => opened,
            Err(io::Errno::NOENT) => {
                self.vanished();
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
            let covered = takes_all && only.is_none_or(|only| only == here);
            self.descend(Some(directory), Frame::of(origin.place, covered, only, (here, stat.stx_ino)));
            self.tell_of_marker();
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
        self.sink.begin(EntryStart::new(&path, &metadata))?;
        self.lacking(&warnings);
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
        // On an overlay file system a file may have another device than its folder has: the mounts tell.
        if self.only_device(origin, here).is_some_and(|only| only != here) && inspect::is_mount_point(directory, name) {
            self.skip("on another file system");
            return Ok(());
        }
        let mut metadata = self.owners.metadata(stat);
        if metadata.kind == FileKind::File {
            if let Some(reason) = self.rules.too_large(metadata.size) {
                self.leave_out(&reason);
                return Ok(());
            }
            return self.file(directory, name, metadata, stat.stx_blocks);
        }
        let mut warnings = Vec::new();
        if let FileKind::Symlink { target } = &mut metadata.kind {
            match rustix::fs::readlinkat(directory, name, Vec::new()) {
                Ok(text) => *target = text.into_bytes(),
                Err(io::Errno::NOENT | io::Errno::INVAL) => {
                    self.vanished();
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
        self.sink.begin(EntryStart::new(&path, &metadata))?;
        self.lacking(&warnings);
        self.sink.end(metadata, warnings)?;
        Ok(())
    }

    /// A regular file: read once, and once more when it changed meanwhile.
    fn file(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        metadata: Metadata,
        blocks: u64,
    ) -> Result<(), SourceError> {
        let Some(path) = self.entry_path() else { return Ok(()) };
        let first = Looked { metadata, blocks, opened: None };
        if self.read(&path, directory, name, first)? == Next::Again
            && let Some(again) = self.look_again(directory, name)
        {
            self.read(&path, directory, name, again)?;
        }
        Ok(())
    }

    /// Gives a regular file as far as it can be had; what was opened already is not tried again.
    fn read(
        &mut self,
        path: &EntryPath,
        directory: BorrowedFd<'_>,
        name: &CStr,
        looked: Looked,
    ) -> Result<Next, SourceError> {
        let want = self.sink.begin(EntryStart::new(path, &looked.metadata))?;
        self.ahead.answered(want);
        if want == Want::Nothing {
            self.bytes += looked.metadata.size;
            self.sink.end(looked.metadata, Vec::new())?;
            return Ok(Next::Name);
        }
        let is_first = looked.opened.is_none();
        let attempt = self.attempt(directory, name, looked)?;
        let (metadata, mut warnings, change) = match attempt {
            Attempt::Read(metadata, warnings, change) if change == Change::Nothing || !is_first => {
                (metadata, warnings, change)
            }
            other => {
                self.sink.retract()?;
                match other {
                    Attempt::Vanished => self.vanished(),
                    Attempt::Unreadable(why) => self.lost(format!("cannot be read: {why}")),
                    Attempt::Read(..) | Attempt::Replaced => return Ok(Next::Again),
                }
                return Ok(Next::Name);
            }
        };
        self.bytes += metadata.size;
        self.lacking(&warnings);
        if change != Change::Nothing {
            warnings.push(CHANGED.to_string());
        }
        match change {
            Change::Nothing => {}
            Change::Beside => self.note(CHANGED.to_string()),
            Change::Within => self.lost(CHANGED.to_string()),
        }
        self.sink.end(*metadata, warnings)?;
        Ok(Next::Name)
    }

    fn attempt(&mut self, directory: BorrowedFd<'_>, name: &CStr, looked: Looked) -> Result<Attempt, SourceError> {
        let Looked { mut metadata, blocks, opened } = looked;
        let is_first = opened.is_none();
        let file = match opened.map_or_else(|| self.open(directory, name), Ok) {
            Ok(file) => file,
            Err(io::Errno::NOENT) => return Ok(Attempt::Vanished),
            // A link or a socket took its place.
            Err(io::Errno::LOOP | io::Errno::NXIO) => return Ok(Attempt::Replaced),
            Err(why) => return Ok(Attempt::Unreadable(why)),
        };
        let poured = match content::pour(file.as_fd(), metadata.size, blocks, &mut self.ahead.pace, self.sink) {
            Ok(poured) => Ok(poured),
            Err(Broken::Stopped) => return Err(SourceError::Stopped),
            Err(Broken::Unreadable(why)) => Err(why),
        };
        let after = inspect::stat_open(file.as_fd());
        let poured = match (poured, &after) {
            (Ok(poured), _) => poured,
            // What was opened need not be what was looked at: a folder or a pipe took its place.
            (Err(_), Ok(after)) if is_first && !inspect::is_same(&metadata, after) => return Ok(Attempt::Replaced),
            (Err(why), _) => return Ok(Attempt::Unreadable(why)),
        };
        let change = match after {
            Ok(after) if inspect::is_same(&metadata, &after) => Change::Nothing,
            Ok(after) if inspect::keeps_content(&metadata, &after, poured.size) => Change::Beside,
            Ok(_) => Change::Within,
            Err(why) => return Ok(Attempt::Unreadable(why)),
        };
        let mut warnings = Vec::new();
        // The times stay those from before: should it have changed, the next backup sees other ones
        // and reads it again.
        metadata.size = poured.size;
        metadata.extents = poured.extents;
        metadata.xattrs = self.attributes.xattrs(Handle::Open(file.as_fd()), &mut warnings);
        metadata.flags = attributes::flags(file.as_fd());
        Ok(Attempt::Read(Box::new(metadata), warnings, change))
    }

    /// Looks at a file that changed once more, and this time at what is open: whatever takes its name from now on,
    /// metadata and content are of one file. `None` when it is not to be read (and that is reported).
    fn look_again(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> Option<Looked> {
        let opened = self.open(directory, name).and_then(|file| Ok((inspect::stat_open(file.as_fd())?, file)));
        let became_other = "became something else while it was read";
        match opened {
            Ok((stat, file)) => {
                let metadata = self.owners.metadata(&stat);
                if metadata.kind != FileKind::File {
                    self.lost(became_other.to_string());
                    return None;
                }
                if self.rules.larger_than.is_some_and(|limit| metadata.size > limit) {
                    self.leave_out("larger than the limit");
                    return None;
                }
                Some(Looked { metadata, blocks: stat.stx_blocks, opened: Some(file) })
            }
            Err(io::Errno::NOENT) => {
                self.vanished();
                None
            }
            Err(io::Errno::LOOP | io::Errno::NXIO) => {
                self.lost(became_other.to_string());
                None
            }
            Err(why) => {
                self.lost(format!("cannot be read: {why}"));
                None
            }
        }
    }

    fn open(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
        let begin = Instant::now();
        let opened = open_file(directory, name);
        self.ahead.pace.took(begin.elapsed());
        opened
    }

    /// What is called `name`, or `None` (and reported) when that cannot be told.
    fn stat(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> Option<Statx> {
        let begin = Instant::now();
        let found = inspect::stat_at(directory, name);
        self.ahead.pace.took(begin.elapsed());
        match found {
            Ok(stat) => Some(stat),
            Err(io::Errno::NOENT) => {
                self.vanished();
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
