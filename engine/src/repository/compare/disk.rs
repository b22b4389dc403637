//! The disk beside a walk through a snapshot: one open folder a level, everything looked up relative to it.

use super::DiskChange;
use super::DiskDifference;
use super::tops::Tops;
use crate::catalog::Gap;
use crate::entry::Entry;
use crate::entry::EntryPath;
use crate::entry::FileKind;
use crate::entry::Metadata;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::job::open_files;
use crate::source::Attributes;
use crate::source::Dirents;
use crate::source::Handle;
use crate::source::Listing;
use crate::source::Owners;
use crate::source::open_at;
use crate::source::stat_at;
use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::CStr;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Folders open at once; deeper down the upper ones are closed and opened again on the way back.
pub(super) const FOLDERS_OPEN: usize = 100;

/// A folder that both sides have, on the way to the entry compared last.
struct Folder {
    /// `None`: the snapshot's top.
    path: Option<EntryPath>,
    handle: Option<OwnedFd>,
    /// Names on the disk from the last one compared on; empty where not all of them were backed up.
    names: Listing,
}

/// A file whose bytes are still to be compared.
pub(super) struct Opened {
    pub(super) entry: Entry,
    pub(super) file: File,
    /// What differs besides.
    pub(super) fields: Vec<&'static str>,
}

/// The disk, and how far it was compared.
pub(super) struct Disk {
    root: PathBuf,
    /// The entry that stands at the root itself.
    path: Option<EntryPath>,
    tops: Tops,
    read_content: bool,
    open: Vec<Folder>,
    is_closed: bool,
    owners: Owners,
    attributes: Attributes,
    dirents: Dirents,
}

/// Where an entry would be.
enum Spot {
    /// In the innermost open folder.
    In(CString),
    /// The root itself.
    Root(CString),
}

impl Disk {
    /// Opens the root, unless `path` may be a file there.
    pub(super) fn open(root: PathBuf, path: Option<EntryPath>, tops: Tops, read_content: bool) -> Result<Self> {
        let mut disk = Self {
            root,
            path,
            tops,
            read_content,
            open: Vec::new(),
            is_closed: false,
            owners: Owners::default(),
            attributes: Attributes::new(),
            dirents: Dirents::new(),
        };
        if disk.path.is_none() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let handle = rustix::fs::open(&disk.root, flags, Mode::empty());
            let doing = format!("cannot open {}", disk.root.display());
            let failed = |why| Error::new(Kind::NotFound, doing.clone()).because(why);
            let handle = handle.map_err(failed)?;
            let names = disk.names(handle.as_fd(), None).map_err(failed)?;
            disk.open.push(Folder { path: None, handle: Some(handle), names });
        }
        Ok(disk)
    }

    /// Whether everything was told.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Compares entries in order until there are none, or one's bytes are to be read.
    pub(super) fn compare(
        &mut self,
        entries: &mut VecDeque<Entry>,
        found: &mut VecDeque<DiskDifference>,
    ) -> Option<Opened> {
        while let Some(entry) = entries.pop_front() {
            let inside = |folder: &Folder| folder.path.as_ref().is_none_or(|path| entry.path.is_within(path));
            while self.open.last().is_some_and(|folder| !inside(folder)) {
                self.leave(found);
            }
            if let Some(opened) = self.entry(entry, found) {
                return Some(opened);
            }
        }
        None
    }

    /// Passes what stands in a gap. Nobody knows what the snapshot has there, so nothing is told as extra; folders that
    /// go on behind it are entered.
    pub(super) fn pass(&mut self, gap: &Gap) {
        let goes_on = |folder: &Folder| folder.path.as_ref().is_none_or(|path| gap.last.is_within(path));
        while self.open.last().is_some_and(|folder| !goes_on(folder)) {
            self.open.pop();
        }
        let mut known = self.open.last().and_then(|folder| folder.path.clone());
        let wanted = |path: &EntryPath| self.path.as_ref().is_none_or(|top| path.is_within(top));
        let upwards = std::iter::successors(Some(gap.last.clone()), EntryPath::parent);
        let unopened: Vec<EntryPath> =
            upwards.take_while(|path| Some(path) != known.as_ref() && wanted(path)).collect();
        for path in unopened.into_iter().rev() {
            if let Some(folder) = self.open.last_mut() {
                while folder.names.peek().is_some_and(|(name, _)| name.to_bytes() <= path.name()) {
                    folder.names.next();
                }
            }
            let Some(spot) = self.spot(&path, true) else { break };
            if self.enter(&path, &spot).is_err() {
                break;
            }
            known = Some(path);
        }
        // It may be a file in the snapshot, with nothing below it.
        if known.as_ref() == Some(&gap.last)
            && let Some(folder) = self.open.last_mut()
        {
            folder.names = Listing::default();
        }
    }

    /// Tells what is left when there are no more entries.
    pub(super) fn close(&mut self, found: &mut VecDeque<DiskDifference>) {
        while !self.open.is_empty() {
            self.leave(found);
        }
        self.is_closed = true;
    }

    fn entry(&mut self, entry: Entry, found: &mut VecDeque<DiskDifference>) -> Option<Opened> {
        let is_directory = entry.metadata.kind == FileKind::Directory;
        let mut tell = |change| {
            found.push_back(DiskDifference { path: entry.path.clone(), kind: entry.metadata.kind.clone(), change });
            None
        };
        let Some(spot) = self.spot(&entry.path, is_directory) else {
            // A stream never was on the disk.
            return if entry.metadata.kind == FileKind::Stream { None } else { tell(DiskChange::Missing) };
        };
        if let Spot::In(name) = &spot {
            let extras = self.extras(Some(name.as_bytes()));
            found.extend(extras);
        }
        let mut tell = |change| {
            found.push_back(DiskDifference { path: entry.path.clone(), kind: entry.metadata.kind.clone(), change });
            None
        };
        let fields = match self.look(&entry, &spot) {
            Ok(Some(fields)) => fields,
            Ok(None) if entry.metadata.kind == FileKind::Stream => return None,
            Ok(None) => return tell(DiskChange::Missing),
            Err(why) => return tell(DiskChange::Unreadable { why: format!("it cannot be looked at: {why}") }),
        };
        let same_type = !fields.contains(&"type");
        if is_directory
            && same_type
            && let Err(why) = self.enter(&entry.path, &spot)
        {
            tell(DiskChange::Unreadable { why: format!("it cannot be listed: {why}") });
        }
        let is_file = same_type && entry.metadata.kind == FileKind::File;
        if is_file && self.read_content && !fields.contains(&"size") {
            return match self.open_file(&spot) {
                Ok(file) => Some(Opened { entry, file, fields }),
                Err(why) => tell(DiskChange::Unreadable { why: format!("it cannot be opened: {why}") }),
            };
        }
        if fields.is_empty() { None } else { tell(DiskChange::Changed { fields }) }
    }

    /// Where an entry would be; `None` when the folder it was in is not there.
    fn spot(&self, path: &EntryPath, is_directory: bool) -> Option<Spot> {
        if self.path.as_ref() == Some(path) {
            let mut root = self.root.as_os_str().as_bytes().to_vec();
            if is_directory && self.root.is_dir() {
                // A folder may be named by a link; nothing below it may be reached by one.
                root.extend_from_slice(b"/.");
            }
            return CString::new(root).ok().map(Spot::Root);
        }
        let parent = path.parent();
        let name = CString::new(path.name()).ok()?;
        self.open.last().filter(|folder| folder.path == parent).map(|_| Spot::In(name))
    }

    /// What differs by metadata; `None` when nothing is there.
    fn look(&mut self, entry: &Entry, spot: &Spot) -> Result<Option<Vec<&'static str>>, Errno> {
        let (handle, name) = match spot {
            Spot::Root(root) => (CWD, root),
            Spot::In(name) => (self.innermost()?, name),
        };
        let stat = match stat_at(handle, name) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(why) => return Err(why),
        };
        let mut there = self.owners.metadata(&stat);
        if let FileKind::Symlink { target } = &mut there.kind {
            *target = rustix::fs::readlinkat(self.handle_of(spot)?, name, Vec::new())?.into_bytes();
        }
        let mut fields = differences(&entry.metadata, &there);
        if !fields.contains(&"type") {
            let mut unread = Vec::new();
            let handle = match spot {
                Spot::Root(_) => CWD,
                Spot::In(_) => self.open.last().and_then(|folder| folder.handle.as_ref()).ok_or(Errno::NOENT)?.as_fd(),
            };
            let xattrs = self.attributes.xattrs(Handle::Named(handle, name), &mut unread);
            if unread.is_empty() && xattrs != entry.metadata.xattrs {
                fields.push("xattrs");
            }
        }
        Ok(Some(fields))
    }

    fn handle_of(&mut self, spot: &Spot) -> Result<BorrowedFd<'_>, Errno> {
        match spot {
            Spot::Root(_) => Ok(CWD),
            Spot::In(_) => self.innermost(),
        }
    }

    fn open_file(&mut self, spot: &Spot) -> Result<File, Errno> {
        let (Spot::Root(name) | Spot::In(name)) = spot;
        // What was a file a moment ago may be a pipe by now, which must not be waited for.
        open_at(self.handle_of(spot)?, name, OFlags::NONBLOCK).map(File::from)
    }

    /// Opens a folder that both sides have. It stays open even when it cannot be listed.
    fn enter(&mut self, path: &EntryPath, spot: &Spot) -> Result<(), Errno> {
        let (Spot::Root(name) | Spot::In(name)) = spot;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(self.handle_of(spot)?, name, flags, Mode::empty())?;
        let names = self.names(handle.as_fd(), Some(path));
        let (names, listed) = match names {
            Ok(names) => (names, Ok(())),
            Err(why) => (Listing::default(), Err(why)),
        };
        self.open.push(Folder { path: Some(path.clone()), handle: Some(handle), names });
        if let Some(upper) = self.open.len().checked_sub(open_files(FOLDERS_OPEN)).filter(|upper| *upper > 0)
            && let Some(upper) = self.open.get_mut(upper)
        {
            upper.handle = None;
        }
        listed
    }

    /// The names in a folder that was backed up as a whole.
    fn names(&mut self, handle: BorrowedFd<'_>, path: Option<&EntryPath>) -> Result<Listing, Errno> {
        let mut names = Listing::default();
        if self.tops.is_whole(path) {
            let folder = open_at(handle, c".", OFlags::DIRECTORY)?;
            names.read(folder.as_fd(), &mut self.dirents, usize::MAX)?;
            names.sort();
        }
        Ok(names)
    }

    /// Leaves the innermost folder.
    fn leave(&mut self, found: &mut VecDeque<DiskDifference>) {
        found.extend(self.extras(None));
        self.open.pop();
    }

    /// What only the disk has in the innermost folder, up to `next`, which itself is passed.
    fn extras(&mut self, next: Option<&[u8]>) -> Vec<DiskDifference> {
        let mut extras = Vec::new();
        let up_to = |name: &CStr| next.is_none_or(|next| name.to_bytes() <= next);
        let pending = |folder: &Folder| folder.names.peek().is_some_and(|(name, _)| up_to(name));
        if !self.open.last().is_some_and(pending) || self.innermost().is_err() {
            return extras;
        }
        let Some(Folder { path, handle: Some(handle), names }) = self.open.last_mut() else { return extras };
        while names.peek().is_some_and(|(name, _)| up_to(name)) {
            let Some((name, _)) = names.next() else { break };
            if Some(name.to_bytes()) == next {
                continue;
            }
            let at = match path {
                Some(path) => path.join(name.to_bytes()),
                None => EntryPath::parse(name.to_bytes()),
            };
            // What vanished since it was listed is no difference any more.
            if let (Ok(path), Ok(stat)) = (at, stat_at(handle.as_fd(), name)) {
                let kind = self.owners.metadata(&stat).kind;
                extras.push(DiskDifference { path, kind, change: DiskChange::Extra });
            }
        }
        extras
    }

    /// The innermost folder, opened again from the outermost where it was closed.
    fn innermost(&mut self) -> Result<BorrowedFd<'_>, Errno> {
        if self.open.last().is_some_and(|folder| folder.handle.is_none()) {
            let (first, rest) = self.open.split_first().ok_or(Errno::NOENT)?;
            let mut at = first.handle.as_ref().ok_or(Errno::NOENT)?.try_clone().map_err(|_| Errno::MFILE)?;
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            for folder in rest {
                let name = folder.path.as_ref().map(EntryPath::name).unwrap_or_default();
                at = rustix::fs::openat(&at, name, flags, Mode::empty())?;
            }
            if let Some(last) = self.open.last_mut() {
                last.handle = Some(at);
            }
        }
        self.open.last().and_then(|folder| folder.handle.as_ref()).map(OwnedFd::as_fd).ok_or(Errno::NOENT)
    }
}

/// The names of what differs, all that `stat` and `readlink` tell.
fn differences(entry: &Metadata, there: &Metadata) -> Vec<&'static str> {
    let mut fields = Vec::new();
    let same_type = match (&entry.kind, &there.kind) {
        (FileKind::Symlink { .. }, FileKind::Symlink { .. }) => true,
        (one, other) => one == other,
    };
    if !same_type {
        return vec!["type"];
    }
    if entry.size != there.size && entry.kind == FileKind::File {
        fields.push("size");
    }
    // A link's own mode means nothing.
    if entry.mode != there.mode && !matches!(entry.kind, FileKind::Symlink { .. }) {
        fields.push("mode");
    }
    if (entry.uid, entry.gid) != (there.uid, there.gid) {
        fields.push("owner");
    }
    if entry.modified != there.modified {
        fields.push("modified");
    }
    if entry.kind != there.kind {
        fields.push("target");
    }
    fields
}
